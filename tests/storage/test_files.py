from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from pathlib import Path

import pytest

from faceaug.errors import ArgumentError, RefusedError
from faceaug.storage import files
from faceaug.storage.files import (
    check_free_space,
    check_output_space,
    copy_file,
    existing_folder,
    explained,
    finish_output,
    prepare_output,
    publish_folder,
    remove_output,
    replacing_folder,
    write_bytes,
    write_json,
)
from faceaug.storage.partial import PARTIAL
from faceaug.storage.schema import parse_json

RUN = {"seed": 0, "size": (64, 64), "model": None}


def prepare(out: Path, *, inside: Path | None = None, run: dict[str, object] = RUN) -> bool:
    return prepare_output(out, inside=inside, marker="dataset.json", identity=run)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_written_whole_and_replaces_the_old_one(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old", durable=durable)
    write_bytes(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_a_link_in_the_place_of_a_file_being_written_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "f"
    folder.mkdir()
    source = folder / "source"
    source.write_text("source")
    (folder / f"a{PARTIAL}").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        write_bytes(folder / "a", b"new")
    (folder / f"b{PARTIAL}").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        copy_file(source, folder / "b", facts=source.stat())
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_content_and_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_json_is_readable_and_keeps_every_name(tmp_path: Path) -> None:
    value = {"b": 1, "a": ["ä", "顔"]}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text()) == value
    assert (tmp_path / "a.json").read_text().startswith('{\n  "b": 1,\n  "a"')
    write_json(tmp_path / "raw.json", {"name": os.fsdecode(b"f\xff")})
    assert parse_json((tmp_path / "raw.json").read_bytes()) == {"name": os.fsdecode(b"f\xff")}


def test_outputs_are_removed_but_a_links_aim_is_not(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    for name in ("link", "old", "missing"):
        remove_output(tmp_path / name)
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["file"]


def test_a_folder_is_published_whole_over_an_older_one(tmp_path: Path) -> None:
    for name in ("new.partial", "final"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    publish_folder(tmp_path / "new.partial", tmp_path / "final")
    assert names(tmp_path) == ["final"]
    assert names(tmp_path / "final") == ["new.partial"]


@pytest.fixture(params=["at once", "by way of a third name"])
def exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders change names at once, or as on systems that cannot do that."""

    def missing(*_: object) -> None:
        raise OSError(errno.EINVAL, "this file system cannot")

    if request.param != "at once":
        monkeypatch.setattr("faceaug.storage.files.rename_with", missing)


@pytest.mark.usefixtures("exchange")
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    final = tmp_path / "model"
    final.mkdir()
    texts = ["", "first", "second"]
    for before, text in itertools.pairwise(texts):
        with replacing_folder(final, ours=["a", "b"]) as folder:
            for name in ("a", "b"):
                (folder / name).write_text(text)
                assert {(final / name).read_text() for name in names(final)} == ({before} if before else set())
        assert {name: (final / name).read_text() for name in names(final)} == {"a": text, "b": text}
        assert names(tmp_path) == ["model"]


@pytest.mark.usefixtures("exchange")
def test_a_folder_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    final = tmp_path / "model"
    with replacing_folder(final, ours=["a"]) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(OSError, match="full"), replacing_folder(final, ours=["a"]) as folder:
        (folder / "a").write_text("new")
        raise OSError(errno.ENOSPC, "full")
    assert names(tmp_path) == ["model"]
    assert (final / "a").read_text() == "old"


@pytest.mark.usefixtures("exchange")
def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("model", f"model{PARTIAL}", f"model.old{PARTIAL}"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a{PARTIAL}").write_text("torn")
    with replacing_folder(tmp_path / "model", ours=["a"]) as folder:
        (folder / "a").write_text("new")
    assert (tmp_path / "model" / "a").read_text() == "new"
    assert names(tmp_path / "model") == ["a"]
    assert names(tmp_path) == ["model"]


@pytest.mark.usefixtures("exchange")
def test_a_folder_with_a_users_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with replacing_folder(tmp_path / "model", ours=["a"]) as folder:
        (folder / "a").write_text("new")
    assert names(tmp_path / "model") == ["a", "notes.txt"]
    assert (tmp_path / "model" / "notes.txt").read_text() == "mine"


# Output folders ------------------------------------------------------------------------------------------------------


def test_a_new_output_is_marked_and_an_unfinished_one_is_continued(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    assert prepare(out) is False
    assert names(out) == ["dataset.json"]
    (out / "1.png").touch()
    assert prepare(out) is True
    finish_output(out, marker="dataset.json", document={"run": RUN})
    with pytest.raises(RefusedError, match="holds a finished run: choose another folder"):
        prepare(out)


def test_an_empty_folder_or_one_with_a_torn_marker_is_taken(tmp_path: Path) -> None:
    assert prepare(tmp_path) is False
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / f"dataset.json{PARTIAL}").write_bytes(b'{"ru')
    assert prepare(torn) is False
    assert names(torn) == ["dataset.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"finished": false}', '{"run": {"seed": 1}}', "\x00"])
def test_another_run_or_an_unreadable_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(RefusedError, match="choose another folder"):
        prepare(tmp_path)
    assert (tmp_path / "dataset.json").read_text() == text


def test_what_is_in_the_way_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.jpg").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing" / "there")
    for name, reason in {
        "full": "is not empty",
        "file": "is a file",
        "file/below": "cannot be written",
        "dangling": "cannot be written",
        "x" * 300: "cannot be written",
    }.items():
        with pytest.raises(RefusedError, match=reason):
            prepare(tmp_path / name)
    assert names(tmp_path) == ["dangling", "file", "full"]
    assert names(tmp_path / "full") == ["mine.jpg"]


def test_an_output_inside_the_input_is_refused_however_it_is_named(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    (tmp_path / "link").symlink_to(faces)
    for out in (faces, faces / "out", tmp_path / "link" / "out", tmp_path / "x" / ".." / "faces" / "out"):
        with pytest.raises(RefusedError, match="choose an output folder outside it"):
            prepare(out, inside=faces)
    assert names(faces) == []
    assert prepare(tmp_path / "faces-out", inside=faces) is False


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "no space left on the disk"),
        (errno.EROFS, r"cannot be written \(Read-only file system\); check its permissions"),
        (errno.EACCES, "check its permissions"),
        (errno.EPERM, "check its permissions"),
    ],
)
def test_a_full_or_read_only_disk_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "write_json", fail)
    with pytest.raises(RefusedError, match=message) as caught:
        prepare(tmp_path / "out")
    assert str(tmp_path / "out") in str(caught.value)
    assert caught.value.exit_code == 3


def test_other_failures_keep_their_own_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), explained(tmp_path):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(ZeroDivisionError), explained(tmp_path):
        raise ZeroDivisionError


def test_an_input_folder_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert existing_folder(str(tmp_path)) == tmp_path
    for name, reason in {"file": "is a file, not a folder", "missing": "no such folder"}.items():
        with pytest.raises(ArgumentError, match=reason):
            existing_folder(tmp_path / name)


def test_too_little_space_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    check_free_space(tmp_path / "not" / "yet" / "there", 1)
    check_free_space(Path("relative"), 1)
    with pytest.raises(RefusedError, match=r"about 1000000000000 MB are needed and \d+ MB are free"):
        check_free_space(tmp_path, 10**18)


def test_what_a_stopped_run_has_written_counts_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    check_output_space(tmp_path / "out", 1_000)
    with pytest.raises(RefusedError, match="are needed"):
        check_output_space(tmp_path / "out", 3_000)
    (tmp_path / "out" / "deeper").mkdir(parents=True)
    (tmp_path / "out" / "deeper" / "1.png").write_bytes(bytes(1_500))
    (tmp_path / "out" / "2.png").write_bytes(bytes(500))
    check_output_space(tmp_path / "out", 3_000)
    with pytest.raises(RefusedError, match="are needed"):
        check_output_space(tmp_path / "out", 3_001)
