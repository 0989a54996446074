from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from faceaug.errors import ArgumentError, RefusedError
from faceaug.storage import outputs
from faceaug.storage.outputs import Kind, check_output, write_output

NOTE = Kind("a note of ours", ".note", lambda head: head.startswith(b"ours"))
PAGE = Kind("a page of ours", ".page", lambda head: head.startswith(b"ours"), is_data=False)
KINDS = (NOTE, PAGE)


@given(before=st.binary(max_size=40), data=st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_only_what_is_ours_or_the_same_is_replaced(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("outputs") / "a.note"
    path.write_bytes(before)
    if before.startswith(b"ours") or before == data:
        write_output(path, data, KINDS)
        assert path.read_bytes() == data
    else:
        with pytest.raises(RefusedError, match=r"a\.note: exists and is not a note of ours; choose another name"):
            write_output(path, data, KINDS)
        assert path.read_bytes() == before
        write_output(path, data, KINDS, overwrite=True)
        assert path.read_bytes() == data
    assert os.listdir(path.parent) == ["a.note"]


def test_a_new_file_has_the_usual_mode_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.page"
    before = os.umask(0o022)
    try:
        write_output(path, b"text", KINDS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_bytes() == b"text"


def test_a_check_changes_nothing_and_tells_the_kind(tmp_path: Path) -> None:
    assert check_output(tmp_path / "new" / "a.page", KINDS) is PAGE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a.NOTE", "a.note"),
        ("a.PAGE", "a.page"),
        ("a.txt", "a.note"),
        ("a", "a.note"),
        (".page", ".page.note"),
        ("...", ".../output.note"),
    ],
)
def test_another_ending_is_refused_with_a_name_that_would_do(tmp_path: Path, name: str, other: str) -> None:
    with pytest.raises(ArgumentError, match="expected a name that ends in .note or .page, such as") as caught:
        check_output(tmp_path / name, KINDS)
    assert str(caught.value).endswith(f"{tmp_path / other}")


def test_a_file_in_the_way_with_another_ending_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"ours")
    with pytest.raises(RefusedError, match=r"photo\.jpg: exists, and its name does not end in \.note or \.page"):
        check_output(tmp_path / "photo.jpg", KINDS, overwrite=True)


def test_data_stays_out_of_folders_of_data_however_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    (tmp_path / "link").symlink_to(faces)
    monkeypatch.chdir(faces)
    for path in (faces / "a.note", tmp_path / "link" / "a.note", Path("a.note"), Path("deep") / ".." / "a.note"):
        with pytest.raises(RefusedError, match=r"a\.note: lies inside .* and would become a part of it"):
            check_output(path, KINDS, overwrite=True, apart_from=[tmp_path / "link"])
    assert check_output(faces / "a.page", KINDS, apart_from=[faces]) is PAGE
    assert check_output(tmp_path / "faces.note", KINDS, apart_from=[faces]) is NOTE


def test_a_loop_of_links_is_named(tmp_path: Path) -> None:
    for name in ("loop", "other"):
        (tmp_path / name).symlink_to(name)
    with pytest.raises(RefusedError, match="loop is not a folder; choose another place"):
        check_output(tmp_path / "loop" / "a.note", KINDS, apart_from=[tmp_path / "other"])


def test_a_file_that_appears_during_the_writing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "a.note", outputs._write_new

    def late(partial: Path, data: bytes) -> None:
        write(partial, data)
        path.write_bytes(b"ours, but of another process")

    monkeypatch.setattr(outputs, "_write_new", late)
    with pytest.raises(RefusedError, match="another file has just appeared"):
        write_output(path, b"data", KINDS)
    assert path.read_bytes() == b"ours, but of another process"
    assert os.listdir(tmp_path) == ["a.note"]


def test_a_file_system_without_hard_links_takes_outputs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_output(tmp_path / "a.note", b"data", KINDS)
    assert (tmp_path / "a.note").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["a.note"]


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.note"
    path.write_bytes(b"ours")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RefusedError, match="no space left on the disk"):
        write_output(path, b"new", KINDS)
    assert path.read_bytes() == b"ours"
    assert os.listdir(tmp_path) == ["a.note"]


def test_a_folder_that_cannot_be_written_is_named_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RefusedError, match=f"{tmp_path} cannot be written; check its permissions"):
        check_output(tmp_path / "new" / "a.note", KINDS)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="choose another place"):
        check_output(tmp_path / f"{'a' * 300}.note", KINDS)
