"""One process at a time: the lock of a folder, and of an output that is being filled."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from faceaug.errors import RefusedError, printable
from faceaug.storage.files import OUTPUT_LOCK, explained, is_continued, prepare_output, remove_output

LOCK = "lock"  # name of the file that says who works in a folder


@contextmanager
def locked(folder: Path, purpose: str, *, name: str = LOCK, needed: bool = True) -> Iterator[None]:
    """Hold the lock of a folder, or refuse at once and name the holder; a killed run frees it.

    Args:
        folder: it exists, and the lock lies in it.
        purpose: the command, named to whoever comes second.
        name: of the lock.
        needed: whether to refuse a file system that has no locks; else nothing keeps a second process out there.

    Raises:
        RefusedError: somebody holds it, or there can be none.
    """
    lock = _acquired(folder, name, needed=needed)
    try:
        with suppress(OSError):
            (folder / name).write_text(f"process {os.getpid()} (faceaug {purpose})\n")
        yield
    finally:
        if lock is not None:
            lock.release()


@contextmanager
def claimed_output(
    out: Path, *, inside: Path | None = None, marker: str, identity: dict[str, Any], purpose: str
) -> Iterator[bool]:
    """Make an output folder ready and keep others out of it while it is filled; see ``prepare_output``.

    Args:
        out: the folder to write into; created when missing.
        inside: a folder that ``out`` must not lie in (nor be).
        marker: name of the JSON file in ``out`` that says which run fills it.
        identity: what the marker must hold for an unfinished run to be continued.
        purpose: the command, named to whoever comes second.

    Yields:
        True if ``out`` holds an unfinished run with the same identity, False if it is new.

    Raises:
        RefusedError: another process fills ``out``, or ``prepare_output`` refuses it; nothing was written.
    """
    if not (out / OUTPUT_LOCK).is_file():  # refused before anything is made
        is_continued(out, inside=inside, marker=marker, identity=identity)
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out, purpose, name=OUTPUT_LOCK, needed=False):
        yield prepare_output(out, inside=inside, marker=marker, identity=identity)
        with suppress(OSError):  # finished: whoever comes now reads so in the marker
            remove_output(out / OUTPUT_LOCK)


def _acquired(folder: Path, name: str, *, needed: bool) -> FileLock | None:
    path = folder / name
    # Without flock a soft lock would outlive a killed run; older versions of filelock never fall back to one.
    strict = "fallback_to_soft" in inspect.signature(FileLock).parameters
    lock = FileLock(path, timeout=0, fallback_to_soft=False) if strict else FileLock(path, timeout=0)
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
