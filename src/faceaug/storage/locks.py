"""One process at a time: the lock of a folder, and of an output that is being filled."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from faceaug.errors import RefusedError, printable

LOCK = "lock"  # name of the file that says who works in a folder


@contextmanager
def locked(state: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of a state folder, or refuse at once and name the holder; a killed run frees it."""
    path = state / LOCK
    # Without flock a soft lock would outlive a killed run; older versions of filelock never fall back to one.
    strict = "fallback_to_soft" in inspect.signature(FileLock).parameters
    lock = FileLock(path, timeout=0, fallback_to_soft=False) if strict else FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        holder = "another run"
        with suppress(OSError, UnicodeDecodeError):
            holder = path.read_text().strip() or holder
        raise RefusedError(f"{printable(state)}: in use by {printable(holder)}; wait for it to end") from None
    except (NotImplementedError, OSError) as error:
        raise RefusedError(f"{printable(path)}: cannot be locked ({error}); check the folder's permissions") from error
    try:
        with suppress(OSError):
            path.write_text(f"process {os.getpid()} (faceaug {purpose})\n")
        yield
    finally:
        lock.release()
