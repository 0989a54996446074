"""Files that a continued run writes again: what it wrote is replaced, what is somebody else's stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from faceaug.errors import RefusedError
from faceaug.storage.unfinished import BEGUN, Begun, is_taken, write_again

DATA = bytes(range(1, 250)) * 11  # five sectors and a part of one, without zeros

LEFT: dict[str, bytes] = {
    "whole": DATA,
    "empty": b"",
    "cut off": DATA[:1000],
    "only zeros": bytes(len(DATA)),
    "zeros at the end": DATA[:1024] + bytes(len(DATA) - 1024),
    "a sector missing": DATA[:512] + bytes(512) + DATA[1024:],
    "cut off, a sector missing": bytes(512) + DATA[512:700],
}
STRANGE: dict[str, bytes] = {
    "another picture": b"\xff\xd8" + DATA[2:],
    "a byte changed": DATA[:700] + b"\0" + DATA[701:],
    "longer": DATA + b"x",
    "longer by zeros": DATA + bytes(512),
    "short": b"mine",
}


@pytest.mark.parametrize("found", LEFT.values(), ids=LEFT)
def test_what_a_cut_of_the_power_left_of_a_file_is_replaced(tmp_path: Path, found: bytes) -> None:
    path = tmp_path / "000001.png"
    path.write_bytes(found)
    write_again(path, DATA)
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ["000001.png"]


@pytest.mark.parametrize("found", STRANGE.values(), ids=STRANGE)
def test_anything_else_stays_and_is_named(tmp_path: Path, found: bytes) -> None:
    path = tmp_path / "000001.png"
    path.write_bytes(found)
    with pytest.raises(RefusedError, match=r"000001\.png: is not what this run writes there; move it elsewhere"):
        write_again(path, DATA)
    assert path.read_bytes() == found
    assert os.listdir(tmp_path) == ["000001.png"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("whole"), os.mkfifo])
def test_links_folders_and_pipes_stay(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "whole").write_bytes(DATA)
    make(tmp_path / "000001.png")
    before = (tmp_path / "000001.png").lstat()
    marks: tuple[Callable[[bytes], bool] | None, ...] = (None, lambda _: True)
    for is_ours in marks:
        with pytest.raises(RefusedError, match="is not what this run writes there"):
            write_again(tmp_path / "000001.png", DATA, is_ours=is_ours)
    assert (tmp_path / "000001.png").lstat() == before


def test_a_file_with_the_mark_of_the_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "000001.png"
    for found, taken in ((b"mark: mine", True), (b"no mark", False)):
        path.write_bytes(found)
        if taken:
            write_again(path, DATA, is_ours=lambda head: head.startswith(b"mark"))
        else:
            with pytest.raises(RefusedError):
                write_again(path, DATA, is_ours=lambda head: head.startswith(b"mark"))
        assert path.read_bytes() == (DATA if taken else found)


@pytest.mark.parametrize("found", [*LEFT.values(), *STRANGE.values()], ids=[*LEFT, *STRANGE])
def test_a_file_is_compared_with_the_one_that_is_copied_there(tmp_path: Path, found: bytes) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA)
    assert not is_taken(target, source)
    target.write_bytes(found)
    assert is_taken(target, source) == (found in STRANGE.values())


@pytest.mark.parametrize("found", [b"other pixels", *LEFT.values()])
def test_a_content_that_the_stopped_run_has_noted_is_replaced(tmp_path: Path, found: bytes) -> None:
    first = Begun(tmp_path / BEGUN)
    write_again(tmp_path / "000001.jpg", found, begun=first)
    write_again(tmp_path / "000001.jpg", DATA, begun=Begun(tmp_path / BEGUN))
    assert (tmp_path / "000001.jpg").read_bytes() == DATA
    first.remove()
    assert os.listdir(tmp_path) == ["000001.jpg"]


def test_a_content_that_no_run_has_noted_stays(tmp_path: Path) -> None:
    begun = Begun(tmp_path / BEGUN)
    write_again(tmp_path / "000001.jpg", b"ours", begun=begun)
    (tmp_path / "000002.jpg").write_bytes(b"mine")
    with pytest.raises(RefusedError, match=r"000002\.jpg: is not what this run writes there"):
        write_again(tmp_path / "000002.jpg", DATA, begun=begun)
    (tmp_path / "000001.jpg").unlink()
    (tmp_path / "000001.jpg").symlink_to("000002.jpg")
    with pytest.raises(RefusedError, match=r"000001\.jpg: is not what this run writes there"):
        write_again(tmp_path / "000001.jpg", DATA, begun=begun)
    assert (tmp_path / "000002.jpg").read_bytes() == b"mine"


def test_notes_of_another_run_of_this_process_are_read_anew(tmp_path: Path) -> None:
    for k in range(3):
        write_again(tmp_path / "a", b"content %d" % k, begun=Begun(tmp_path / BEGUN))
    assert (tmp_path / "a").read_bytes() == b"content 2"
