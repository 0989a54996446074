"""Locks: one process at a time for a folder or an output."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from faceaug.errors import RefusedError, printable
from faceaug.storage.files import OUTPUT_LOCK, explained, is_continued, prepare_output, remove_output
from faceaug.storage.names import check_names

_LOG = logging.getLogger(__name__)
LOCK = "lock"  # name of the lock file; it names the holder


@contextmanager
def locked(folder: Path, purpose: str, *, name: str = LOCK, needed: bool = True) -> Iterator[None]:
    """Hold the lock of a folder, or refuse at once and name the holder. The system releases the lock of a killed run.

    Args:
        folder: the existing folder that contains the lock.
        purpose: the command, shown to a second process.
        name: name of the lock file.
        needed: refuse a file system without locks; if False, a second process is not kept out there.

    Raises:
        RefusedError: another process holds the lock, or the folder cannot be locked.
    """
    lock = _acquired(folder, name, needed=needed)
    try:
        with suppress(OSError):
            _write_holder(folder / name, purpose)
        yield
    finally:
        if lock is not None:
            lock.release()


@contextmanager
def claimed_output(
    out: Path,
    *,
    inside: Path | None = None,
    marker: str,
    identity: dict[str, Any],
    purpose: str,
    names: Collection[str] = (),
) -> Iterator[bool]:
    """Prepare an output folder and lock it while it is filled; see ``prepare_output``.

    Args:
        out: the folder to write into; created if missing.
        inside: a folder that must neither be nor contain ``out``.
        marker: name of the JSON file in ``out`` that identifies the run.
        identity: content of the marker; an unfinished run is continued only if it matches.
        purpose: the command, shown to a second process.
        names: paths below ``out`` that its file system must hold, each as a separate file; see ``check_names``.

    Yields:
        True if ``out`` holds an unfinished run with the same identity, False if it is new.

    Raises:
        RefusedError: another process is writing to ``out``, ``prepare_output`` refuses it, or its file system cannot
            hold the names; nothing was written.
    """
    if not (out / OUTPUT_LOCK).is_file():  # refuse before anything is created
        is_continued(out, inside=inside, marker=marker, identity=identity)
        check_names(out, names)
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out, purpose, name=OUTPUT_LOCK, needed=False):
        yield prepare_output(out, inside=inside, marker=marker, identity=identity)
        with suppress(OSError):  # finished: from now on the marker says so
            remove_output(out / OUTPUT_LOCK)


@contextmanager
def awaited(path: Path) -> Iterator[None]:
    """Hold a lock, after waiting for whichever process holds it; without locks on the file system, go on at once.

    Args:
        path: the lock file, created if missing. It stays, since another process may wait for it.
    """
    lock = _file_lock(path)
    try:
        lock.acquire()
    except Timeout:
        _LOG.info("%s: another process holds it; waiting", printable(path))
        lock.acquire(timeout=-1)
    except (NotImplementedError, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _write_holder(path: Path, purpose: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(path, flags, 0o644), "w") as handle:
        handle.write(f"process {os.getpid()} (faceaug {purpose})\n")


def _acquired(folder: Path, name: str, *, needed: bool) -> FileLock | None:
    path = folder / name
    if path.is_symlink():  # older versions of filelock would empty the file that it leads to
        raise RefusedError(f"{printable(path)} is in the way: a symbolic link, which is not followed; remove it")
    lock = _file_lock(path)
    try:
        lock.acquire()
    except Timeout:
        holder = "another run"
        with suppress(OSError, UnicodeDecodeError):
            holder = path.read_text().strip() or holder
        raise RefusedError(f"{printable(folder)}: in use by {printable(holder)}; wait for it to end") from None
    except (NotImplementedError, OSError) as error:
        if not needed:
            return None
        raise RefusedError(f"{printable(path)}: cannot be locked ({error}); check the folder's permissions") from error
    return lock


def _file_lock(path: Path) -> FileLock:
    # A soft lock (used without flock) would outlive a killed run; older versions of filelock never fall back to it.
    strict = "fallback_to_soft" in inspect.signature(FileLock).parameters
    return FileLock(path, timeout=0, fallback_to_soft=False) if strict else FileLock(path, timeout=0)
