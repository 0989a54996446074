"""What goes wrong outside the journal: a failing disk under what is only read, no place for words, quick neighbours."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from benchmarks.reliability.folders import Crash, HookedDisk

from faceaug.clean import clean_folder, undo_clean
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.storage.files import existing_folder
from faceaug.storage.journal import Move, open_journal
from faceaug.storage.walk import list_folder
from tests.clean.zoo import age_folders, celeba, contents, good, jpeg, tree, write


def run(folder: Path, *inject: str, stdout: str | None = None) -> tuple[int, list[str]]:
    traced = ["strace", "-f", "-qq", "-o", os.devnull, *inject] if inject else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with open(stdout or os.devnull, "w") as out:
        done = subprocess.run(
            [*traced, sys.executable, "-m", "faceaug", "clean", str(folder)],
            env=environment, stdout=out, stderr=subprocess.PIPE, check=False, text=True,
        )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_a_summary_without_a_place_is_one_clear_line_and_the_folder_is_clean(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3, 4, 6) | {"000005.jpg": jpeg(1)})
    code, said = run(folder, stdout="/dev/full")
    assert code == 1
    assert said == ["faceaug: the system reports 'No space left on device'; -v shows where"]
    assert clean_folder(folder).run is None


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: no faults in system calls")
def test_a_disk_that_cannot_look_for_tables_is_one_clear_line(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3))
    table = folder / "identity_CelebA.txt"
    table.write_text("000001.jpg 1\n")
    code, said = run(folder, f"--trace-path={table}", "--inject=all:error=EIO")
    assert code == 1
    assert said == [f"faceaug: {table}: cannot be examined (Input/output error); nothing was changed"]


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"), [(errno.EIO, FaceAugError, 1), (errno.EACCES, ArgumentError, 2)]
)
def test_a_folder_on_a_failing_disk_is_no_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[FaceAugError], exit_code: int
) -> None:
    def fail(path: Path) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(kind, match="cannot be read") as caught:
        existing_folder(tmp_path)
    assert caught.value.exit_code == exit_code


def stopped_after_the_new_name(folder: Path) -> None:
    """A run that set ``b`` aside and died before the old name went."""

    def crash() -> None:
        raise Crash

    (file,) = (file for file in list_folder(folder).files if file.name == "b")
    disk = HookedDisk(1, crash, after=True, kinds=("link",))
    with suppress(Crash), open_journal(folder, beside=False, purpose="test", disk=disk) as journal:
        journal.apply([Move(file, None, "test")])
    assert (folder / "b").stat().st_nlink == 2


def exchange(path: Path) -> None:
    new = write(path.with_name("new"), b"somebody else's")
    os.replace(new, path)


@pytest.mark.parametrize("act", [exchange, Path.unlink])
def test_a_neighbour_who_takes_the_old_name_during_recovery_keeps_it(
    tmp_path: Path, act: Callable[[Path], None]
) -> None:
    folder = tmp_path / "f"
    for name in "abc":
        write(folder / name, name.encode())
    stopped_after_the_new_name(folder)
    disk = HookedDisk(1, lambda: act(folder / "b"), kinds=("sync_folder",))
    with open_journal(folder, beside=False, purpose="test", disk=disk):
        pass
    expected = {b"a", b"b", b"c"} | ({b"somebody else's"} if act is exchange else set())
    assert set(contents(folder)) == expected
    assert (folder / ".faceaug" / "set-aside" / "0001" / "b").read_bytes() == b"b"


@pytest.mark.parametrize("calls", range(1, 5))
def test_a_folder_keeps_its_time_when_the_making_of_the_state_was_stopped(tmp_path: Path, calls: int) -> None:
    def crash() -> None:
        raise Crash

    folder = celeba(tmp_path / "celeba", good(1, 2, 3))
    before = tree(folder)
    with suppress(Crash), open_journal(folder, beside=False, purpose="test", disk=HookedDisk(calls, crash)):
        pass
    clean_folder(folder)
    assert tree(folder) == before
    assert [path.name for path in folder.glob(".*")] == [".faceaug"]


def test_an_emptied_state_folder_says_nothing_about_the_time_of_the_folder(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3))
    (folder / ".faceaug").mkdir()
    age_folders(folder)
    os.utime(folder / ".faceaug")
    before = tree(folder)
    clean_folder(folder)
    assert tree(folder) == before


def test_a_run_that_goes_on_names_what_was_moved_before_it_was_stopped(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3, 4, 5) | {"000006.jpg": jpeg(1)}, known=6)

    def crash() -> None:
        raise Crash

    with (
        pytest.MonkeyPatch.context() as patch,
        suppress(Crash),
    ):
        patch.setattr("faceaug.storage.journal.Disk", lambda: HookedDisk(1, crash, after=True, kinds=("unlink",)))
        clean_folder(folder)
    report = clean_folder(folder)
    assert any("000006.jpg" in note and "before the run was stopped" in note for note in report.notes)
    undo_clean(folder)
    assert "000006.jpg" in os.listdir(folder / "img_align_celeba")


def test_a_change_by_the_user_after_the_making_of_the_state_was_stopped_keeps_its_time(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3))
    (folder / ".faceaug.1500000000123456789").mkdir()
    time.sleep(0.1)
    write(folder / "notes.txt", b"mine")
    before = tree(folder)
    before.pop(".faceaug.1500000000123456789")
    clean_folder(folder)
    assert tree(folder) == before


def test_a_file_system_may_stamp_the_folder_later_than_what_was_renamed_in_it(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3))
    before = tree(folder)

    def stamp() -> None:
        os.utime(folder, ns=(0, (folder / ".faceaug").stat().st_ctime_ns + 5_000_000))

    disk = HookedDisk(1, stamp, after=True, kinds=("rename_folder",))
    with open_journal(folder, beside=False, purpose="test", disk=disk):
        pass
    assert tree(folder) == before
