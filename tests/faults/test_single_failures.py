"""What fails for one file holds up no other: each move of a clean and of an undo, with each kind of failure."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from benchmarks.reliability.single import KINDS, OneBad

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.errors import RefusedError
from faceaug.storage.disk import Disk
from faceaug.storage.journal import Move, open_journal
from faceaug.storage.walk import list_folder
from tests.clean.zoo import age_folders, contents, jpeg, messy, tree, write

ANY_SHARE = CleanPolicy(max_remove=1)


def with_disk(patch: pytest.MonkeyPatch, disk: Disk) -> None:
    patch.setattr("faceaug.storage.journal.Disk", lambda: disk)


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_that_cannot_be_moved_by_a_clean_is_left_and_the_rest_is_done(tmp_path: Path, kind: str) -> None:
    reference = messy(tmp_path / "reference")
    planned = clean_folder(reference, ANY_SHARE)
    for at in count(1):
        folder = messy(tmp_path / str(at))
        before, everything = tree(folder), contents(folder)
        disk = OneBad(at, KINDS[kind])
        with pytest.MonkeyPatch.context() as patch:
            with_disk(patch, disk)
            report = clean_folder(folder, ANY_SHARE)
        if not disk.bad:
            assert at > 5
            break
        assert contents(folder) == everything
        made = len(report.set_aside) + len(report.renames)
        assert made >= len(planned.set_aside) + len(planned.renames) - 1, at
        assert len(report.left) == len(planned.left) + 1 or made == len(planned.set_aside) + len(planned.renames), at
        clean_folder(folder, ANY_SHARE)
        assert tree(folder, folder_times=False) == tree(reference, folder_times=False), at
        undo_clean(folder, all_runs=True)
        assert tree(folder) == before, at
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_that_cannot_be_moved_by_an_undo_is_left_and_the_rest_is_done(tmp_path: Path, kind: str) -> None:
    for at in count(1):
        folder = messy(tmp_path / str(at))
        before, everything = tree(folder), contents(folder)
        planned = clean_folder(folder, ANY_SHARE)
        disk = OneBad(at, KINDS[kind])
        with pytest.MonkeyPatch.context() as patch:
            with_disk(patch, disk)
            report = undo_clean(folder)
        if not disk.bad:
            assert at > 5
            break
        assert contents(folder) == everything
        assert len(report.left) <= 1, at
        assert report.restored + len(report.left) == len(planned.set_aside) + len(planned.renames), at
        if report.left:
            assert undo_clean(folder).restored == 1
        assert tree(folder) == before, at
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["held by a sticky folder", "immutable"])
def test_a_cycle_of_names_with_one_bad_file_keeps_every_file_and_comes_back(tmp_path: Path, kind: str) -> None:
    for at in count(1):
        folder = tmp_path / str(at)
        for name in "abcd":
            write(folder / name, name.encode())
        age_folders(folder)
        before, everything = tree(folder), contents(folder)
        known = {file.name: file for file in list_folder(folder).files}
        disk = OneBad(at, KINDS[kind])
        targets = {"a": "b", "b": "c", "c": "a", "d": "D"}
        with open_journal(folder, beside=False, purpose="test", disk=disk) as journal:
            journal.apply([Move(known[name], target, "test") for name, target in targets.items()])
        assert contents(folder) == everything, at
        if journal.history.runs[-1].moved:
            undo_clean(folder, all_runs=True)
        assert tree(folder, folder_times=False) == {
            k: (v[0], v[1] if v[2] != "folder" else 0, v[2]) for k, v in before.items()
        }
        if not disk.bad:
            break


def test_a_name_taken_by_a_file_blocks_only_what_belongs_below_it(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for k in range(6):
        write(folder / f"{k}.jpg", jpeg(k))
    for k, name in enumerate(["one/x.jpg", "two/x.jpg", "three/deep/x.jpg"]):
        write(folder / name, jpeg(k))
    clean_folder(folder, ANY_SHARE)
    (folder / "one").rmdir()
    (folder / "one").write_text("mine")
    shutil.rmtree(folder / "three")
    (folder / "three").symlink_to("nowhere")
    report = undo_clean(folder)
    assert report.restored == 1
    assert sorted(name for name, _ in report.left) == ["one/x.jpg", "three/deep/x.jpg"]
    assert [why.split(",")[0] for _, why in sorted(report.left)] == [
        f"needs the folder {folder / 'one'}",
        "lies behind a symbolic link",
    ]
    (folder / "one").unlink()
    (folder / "three").unlink()
    assert undo_clean(folder).restored == 2
    assert (folder / "three" / "deep" / "x.jpg").read_bytes() == jpeg(2)


def test_a_path_too_long_for_set_aside_lies_under_a_short_name_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for k in range(4):
        write(folder / f"{k}.jpg", jpeg(k))
    room = os.pathconf(folder, "PC_PATH_MAX") - len(os.fsencode(folder)) - len("/.jpg") - 2
    deep = "/".join(["d" * 99] * (room // 100))
    name = f"{deep}/{'n' * (room - len(deep) - 1)}.jpg"
    write(folder / name, jpeg(1))
    age_folders(folder)
    before = tree(folder)
    report = clean_folder(folder, ANY_SHARE)
    assert [entry.name for entry in report.set_aside] == [name]
    assert not (folder / name).exists()
    with open_journal(folder, beside=False, purpose="test") as journal:
        assert journal.history.set_aside() == [name]
    assert clean_folder(folder, ANY_SHARE).run is None
    assert undo_clean(folder).restored == 1
    assert tree(folder) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make files of others")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed: cannot work as somebody else")
@pytest.mark.parametrize("how", ["not writable", "sticky"])
def test_a_folder_of_somebody_else_keeps_its_files_and_the_rest_is_cleaned(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "f"
    for k in range(12):
        write(folder / f"{k}.jpg", jpeg(k))
    write(folder / "copy.jpg", jpeg(0))
    theirs = write(folder / "theirs" / "copy.jpg", jpeg(1))
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    os.chown(theirs, 0, 0)
    os.chown(theirs.parent, 0, 0)
    theirs.parent.chmod(0o755 if how == "not writable" else 0o1777)
    for parent in [tmp_path, *tmp_path.parents][:4]:  # one level more where tests run in several processes
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    program = (
        "import sys; from faceaug.clean import clean_folder as c; r = c(sys.argv[1], workers=0);"
        "print(r.run, [e.name for e in r.set_aside], r.left)"
    )
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # to read this Python
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [*command, sys.executable, "-c", program, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0001 ['copy.jpg']" in done.stdout
    assert "theirs/copy.jpg" in done.stdout
    assert theirs.stat().st_nlink == 1
    assert undo_clean(folder).restored == 1


def test_a_folder_that_cannot_be_written_at_all_is_still_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = messy(tmp_path / "celeba")
    clean_folder(folder)
    before = tree(folder)
    monkeypatch.setattr("faceaug.storage.mover.os.access", lambda *_: False)
    with pytest.raises(RefusedError, match="cannot be written"):
        undo_clean(folder)
    assert tree(folder) == before
