"""The disk fails, or the process dies, at every call that changes something; no file is lost, undo gives all back."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from faceaug.clean import CleanPolicy, clean_folder, folder as clean, undo_clean
from faceaug.errors import FaceAugError, JournalError, RefusedError
from faceaug.storage.disk import Disk
from faceaug.storage.journal import Move, open_journal
from faceaug.storage.walk import list_folder
from tests.clean.zoo import age_folders, celeba, contents, good, jpeg, tree, write

CALLS = ("append", "sync", "sync_folder", "make_folder", "rename_folder", "link", "unlink", "rename", "set_mtime")
ANY_SHARE = CleanPolicy(max_remove=1)


class Crash(BaseException):
    """The process ends here; nothing of the library may catch it."""


class Failing(Disk):
    """A disk whose k-th call fails, before it happens or after."""

    def __init__(self, at: int, fail: Callable[[], None], *, after: bool) -> None:
        self.calls, self.fired = 0, False
        for name in CALLS:
            setattr(self, name, self._failing(getattr(super(), name), at, fail, after))

    def _failing(
        self, real: Callable[..., None], at: int, fail: Callable[[], None], after: bool
    ) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            self.calls += 1
            now = self.calls == at
            if now:
                self.fired = True
            if now and not after:
                fail()
            real(*arguments)
            if now and after:
                fail()

        return call


def crash() -> None:
    raise Crash


def raising(code: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(code, os.strerror(code), "somewhere")

    return fail


def small_mess(root: Path) -> Path:
    files = good(1, 2) | {"00003.jpg": jpeg(3), "000004.JPG": jpeg(4), "000005.jpg": jpeg(1), "000006.jpg": b"cut"}
    return celeba(root, files, known=6)


def with_disk(monkeypatch: pytest.MonkeyPatch, disk: Disk | None) -> None:
    def opened(root: Path, *, beside: bool, purpose: str) -> object:
        return open_journal(root, beside=beside, purpose=purpose, disk=disk)

    monkeypatch.setattr(clean, "open_journal", opened)


def snapshot(root: Path, target: Path) -> Path:
    shutil.copytree(root, target, symlinks=True)
    return target


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_of_a_clean_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr("faceaug.storage.journal.GROUP", 2)
    for k in count(1):
        folder = small_mess(tmp_path / str(k))
        before, everything = tree(folder), contents(folder)
        disk = Failing(k, crash, after=after)
        with_disk(monkeypatch, disk)
        with suppress(Crash):
            clean_folder(folder, ANY_SHARE)
        assert contents(folder) == everything, k
        if not disk.fired:
            assert k > 20
            break
        with_disk(monkeypatch, None)
        report = clean_folder(folder, ANY_SHARE)
        assert contents(folder) == everything, k
        assert clean_folder(folder, ANY_SHARE).run is None, k
        assert sorted(os.listdir(folder / "img_align_celeba")) == [f"{n:06d}.jpg" for n in (1, 2, 3, 4)], k
        assert report.run in {"0001", None}
        undo_clean(folder, all_runs=True)
        assert tree(folder) == before, k


def tree_of(found: dict[str, tuple[object, ...]], *, folder_times: bool) -> dict[str, tuple[object, ...]]:
    if folder_times:
        return found
    return {name: (v[0], v[1] if v[2] != "folder" else 0, v[2]) for name, v in found.items()}


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_of_an_undo_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr("faceaug.storage.journal.GROUP", 2)
    for k in count(1):
        folder = small_mess(tmp_path / str(k))
        before, everything = tree(folder), contents(folder)
        with_disk(monkeypatch, None)
        clean_folder(folder, ANY_SHARE)
        disk = Failing(k, crash, after=after)
        with_disk(monkeypatch, disk)
        with suppress(Crash):
            undo_clean(folder)
        assert contents(folder) == everything, k
        if not disk.fired:
            assert k > 20
            break
        with_disk(monkeypatch, None)
        with suppress(RefusedError):  # nothing to undo: the crash came after the last record
            undo_clean(folder)
        assert tree(folder) == before, k


def swap(folder: Path, disk: Disk | None) -> None:
    known = {file.name: file for file in list_folder(folder).files}
    targets = {"a": "b", "b": "c", "c": "a", "d": "D", "e": None}
    plan = [Move(known[name], target, "test") for name, target in targets.items() if name in known]
    with open_journal(folder, beside=False, purpose="test", disk=disk) as journal:
        journal.apply(plan)


@pytest.mark.parametrize("group", [1, 3, 256])
def test_a_crash_in_a_cycle_of_names_leaves_every_file_in_the_folder_or_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr("faceaug.storage.journal.GROUP", group)
    for k in count(1):
        folder = tmp_path / str(k)
        for name in "abcde":
            write(folder / name, name.encode())
        age_folders(folder)
        before = tree(folder)
        disk = Failing(k, crash, after=False)
        with suppress(Crash):
            swap(folder, disk)
        if not disk.fired:
            break
        with open_journal(folder, beside=False, purpose="test") as journal:
            assert journal.notes == [] or "was stopped" in journal.notes[0]
        there = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
        there += [path.read_bytes() for path in (folder / ".faceaug").glob("set-aside/*/*")]
        assert sorted(there) == [b"a", b"b", b"c", b"d", b"e"], k
        if (folder / ".faceaug" / "journal.jsonl").stat().st_size:
            with suppress(RefusedError):
                undo_clean(folder)
        assert tree(folder, folder_times=False) == tree_of(before, folder_times=False), k


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, RefusedError), (errno.EDQUOT, RefusedError), (errno.EIO, JournalError)]
)
def test_a_full_or_broken_disk_at_any_call_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[FaceAugError]
) -> None:
    for k in count(1):
        folder = small_mess(tmp_path / str(k))
        before, everything = tree(folder), contents(folder)
        disk = Failing(k, raising(code), after=False)
        with_disk(monkeypatch, disk)
        if not fails(lambda folder=folder: clean_folder(folder, ANY_SHARE), kind):
            assert not disk.fired
            break
        assert contents(folder) == everything, k
        with_disk(monkeypatch, None)
        clean_folder(folder, ANY_SHARE)
        undo_clean(folder, all_runs=True)
        assert tree(folder) == before, k
        assert contents(folder) == everything, k


def fails(work: Callable[[], object], kind: type[FaceAugError]) -> bool:
    try:
        work()
    except kind as error:
        message = str(error)
        return "No file is lost" in message and ("no space" in message or "Input/output error" in message)
    return False


KILLED = """
import os, sys
from pathlib import Path
from faceaug.clean import folder as clean
from faceaug.storage.journal import open_journal
from tests.faults.test_clean_crashes import ANY_SHARE, Failing
import faceaug.storage.journal
faceaug.storage.journal.GROUP = 2
disk = Failing(int(sys.argv[2]), lambda: os.kill(os.getpid(), 9), after=sys.argv[3] == "after")
clean.open_journal = lambda root, *, beside, purpose: open_journal(root, beside=beside, purpose=purpose, disk=disk)
clean.clean_folder(sys.argv[1], ANY_SHARE)
"""


@pytest.mark.parametrize(("k", "when"), [(3, "after"), (9, "before"), (14, "after"), (19, "before"), (26, "after")])
def test_a_process_that_is_killed_leaves_a_folder_that_the_next_run_completes(
    tmp_path: Path, k: int, when: str
) -> None:
    folder = small_mess(tmp_path / "celeba")
    before, everything = tree(folder), contents(folder)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", KILLED, str(folder), str(k), when]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert contents(folder) == everything
    clean_folder(folder, ANY_SHARE)
    assert contents(folder) == everything
    undo_clean(folder, all_runs=True)
    assert tree(folder) == before


class Elsewhere(Failing):
    """Set-aside files lie on another file system: they are copied."""

    def __init__(self, at: int, fail: Callable[[], None], *, after: bool) -> None:
        super().__init__(at, fail, after=after)
        self.copy = self._failing(Disk().copy, at, fail, after)  # type: ignore[method-assign]
        self.link = self._failing(self._no_link, at, fail, after)  # type: ignore[method-assign]

    def _no_link(self, start: Path, end: Path) -> None:
        raise OSError(errno.EXDEV, "another file system", str(start))


@pytest.mark.parametrize("verb", ["clean", "undo"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_of_a_move_to_another_file_system_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool, verb: str
) -> None:
    monkeypatch.setattr("faceaug.storage.journal.GROUP", 2)
    for k in count(1):
        folder = small_mess(tmp_path / str(k))
        before, everything = tree(folder), set(contents(folder))
        disk = Elsewhere(k, crash, after=after)
        if verb == "undo":
            clean_folder(folder, ANY_SHARE)
        with_disk(monkeypatch, disk)
        with suppress(Crash):
            clean_folder(folder, ANY_SHARE) if verb == "clean" else undo_clean(folder)
        assert set(contents(folder)) >= everything, k
        with_disk(monkeypatch, Elsewhere(0, crash, after=False))
        if verb == "clean":
            clean_folder(folder, ANY_SHARE)
            assert sorted(os.listdir(folder / "img_align_celeba")) == [f"{n:06d}.jpg" for n in (1, 2, 3, 4)], k
        with suppress(RefusedError):  # nothing to undo: the crash came after the last record
            undo_clean(folder, all_runs=True)
        assert tree(folder) == before, k
        with_disk(monkeypatch, None)
        if not disk.fired:
            assert k > 25
            break


def test_a_crash_between_the_held_name_and_the_rename_leaves_no_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without hard links and without a rename that cannot overwrite, an empty file holds the name for a moment."""

    class Plain(Disk):
        def link(self, start: Path, end: Path) -> None:
            raise PermissionError(errno.EPERM, "no hard links", str(start))

    def missing(start: Path, end: Path) -> None:
        raise OSError(errno.ENOSYS, "no renameat2")

    def crashing(start: Path, end: Path) -> None:
        raise Crash

    for verb in ("clean", "undo"):
        folder = small_mess(tmp_path / verb)
        before = tree(folder)
        if verb == "undo":
            clean_folder(folder, ANY_SHARE)
        with monkeypatch.context() as patch:
            with_disk(patch, Plain())
            patch.setattr("faceaug.storage.disk._rename_noreplace", missing)
            patch.setattr("faceaug.storage.disk.os.replace", crashing)
            with pytest.raises(Crash):
                clean_folder(folder, ANY_SHARE) if verb == "clean" else undo_clean(folder)
        if verb == "clean":
            clean_folder(folder, ANY_SHARE)
        assert undo_clean(folder, all_runs=True).left == ()
        assert tree(folder) == before, verb
