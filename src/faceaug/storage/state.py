"""The state folder of a user's folder: its location, its creation, and the errors and signals around it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from types import FrameType

from faceaug.errors import Interrupted, JournalError, RefusedError, printable
from faceaug.storage.disk import Disk
from faceaug.storage.files import explained
from faceaug.storage.state_owner import state_by_mark

_LONGEST = 255  # bytes of a name
_TICK = 20_000_000  # ns; a folder may be stamped one tick of the kernel clock later than the entry renamed in it


def state_folder(root: Path, *, beside: bool) -> Path:
    """The path of a folder's state folder.

    Args:
        root: the user's folder.
        beside: prefer ``.NAME.faceaug`` in the parent folder. For class folders, where a hidden subfolder would become
            a class. An existing state folder is used wherever it is, even if the folder was renamed.
    """
    real = root.resolve()
    inside = real / ".faceaug"
    outside = _outside(real)
    if os.path.lexists(inside):
        return inside
    if own := state_by_mark(real):
        return own
    return outside if beside or os.path.lexists(outside) else inside


def without_journal(state: Path) -> str:
    """A line about files set aside whose journal is gone."""
    return (
        f"{printable(state / 'set-aside')} holds files of earlier runs, but their journal is gone, so undo cannot put "
        "them back; they stay there, under their original paths"
    )


def journal_stamp(root: Path) -> tuple[int, int] | None:
    """Size and time of a folder's journal; None if nothing is recorded. It changes whenever a run has moved files."""
    try:
        facts = (state_folder(root, beside=False) / "journal.jsonl").stat()
    except OSError:
        return None
    return (facts.st_size, facts.st_mtime_ns) if facts.st_size else None


def _outside(real: Path) -> Path:
    name = f".{real.name}.faceaug"
    if len(os.fsencode(name)) > _LONGEST:
        name = f".{blake2b(os.fsencode(real.name), digest_size=16).hexdigest()}.faceaug"
    return real.with_name(name)


def make_state(root: Path, state: Path, disk: Disk) -> None:
    """Create the state folder, or refuse if it cannot be used."""
    inside = state.parent == root.resolve()
    new = not os.path.lexists(state)
    if new:
        if inside:
            _make_quietly(state, disk)
        else:
            disk.make_folder(state)
        disk.sync_folder(state.parent)
    facts = state.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise RefusedError(f"{printable(state)} is in the way: faceaug keeps its state in a folder of that name")
    if facts.st_dev != root.stat().st_dev:
        raise RefusedError(
            f"{printable(state)} is not on the file system of {printable(root)}; files set aside must stay there"
        )
    reports = state / "runs"
    if reports.is_symlink():  # refused before anything is moved; reports are written last
        raise RefusedError(f"{printable(reports)} is in the way: a symbolic link, which is not followed; remove it")
    if inside and not new and not any(state.iterdir()):  # a run stopped at this point, or the user emptied it
        changed = root.stat().st_mtime_ns
        if facts.st_mtime_ns < changed < facts.st_ctime_ns + _TICK:
            disk.set_mtime(root, facts.st_mtime_ns)


def _make_quietly(state: Path, disk: Disk) -> None:
    """Create the state folder inside the user's folder without changing that folder's modification time.

    The time can be restored even after an interruption: it is stored in the name of a temporary folder, then, after
    that is renamed to the state folder, as the state folder's own time until the first file is written there.
    """
    folder = state.parent
    before = folder.stat().st_mtime_ns
    path = next((path for path in folder.glob(f"{state.name}.*") if _time_in(path).isdigit()), None)
    if path is None:
        path = state.with_name(f"{state.name}.{before}")
        disk.make_folder(path)
    elif before < path.stat().st_ctime_ns + _TICK:  # otherwise the user changed the folder since
        before = int(_time_in(path))
    disk.set_mtime(path, before)
    try:
        disk.rename_folder(path, state)
    except OSError:
        if not os.path.lexists(state):
            raise
        with suppress(OSError):  # another run created it first
            path.rmdir()
    disk.set_mtime(folder, before)


def _time_in(path: Path) -> str:
    return path.name.rpartition(".")[2]


@contextmanager
def explained_disk(root: Path) -> Iterator[None]:
    """Turn system errors into errors of faceaug; the journal stays consistent and the next run completes the moves."""
    try:
        with explained(root):
            yield
    except RefusedError as error:
        raise RefusedError(f"{error}. No file is lost; the next run completes this one") from error.__cause__
    except OSError as error:
        raise JournalError(
            f"{printable(root)}: the disk reports {error.strerror!r} for {printable(error.filename)}. No file is lost; "
            "run again when the disk works"
        ) from error


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of acting on them (main thread only; other threads receive none)."""
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        """Remember a signal."""
        arrived.append(number)

    with _handled(note):
        yield arrived


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted on SIGINT or SIGTERM, for phases in which no file is moved (main thread only)."""

    def stop(number: int, _frame: FrameType | None) -> None:
        """End the phase at once."""
        raise Interrupted(f"stopped by {signal.Signals(number).name}; run again to continue")

    with _handled(stop):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # not the main thread, which alone receives signals
                previous[number] = signal.signal(number, handler)
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)
