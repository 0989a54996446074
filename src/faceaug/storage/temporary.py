"""Temporary folders that survive no longer than the next run: it removes those of killed runs, by name and lock."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from faceaug.storage.files import remove_output

_PREFIX = "faceaug-temporary-"  # unlikely as the name of a user's folder
_LOCK = "faceaug-temporary.lock"


@dataclass(frozen=True, slots=True, eq=False)
class Temporary:
    """A folder in the system's temporary folder, locked while this process runs.

    Attributes:
        path: the folder; it is removed with its content.
        lock: the lock, held by the process that created the folder.
    """

    path: Path
    lock: FileLock

    def remove(self) -> None:
        """Remove the folder and its content."""
        with suppress(OSError, NotImplementedError):
            self.lock.release()
        remove_output(self.path)


def make_temporary() -> Temporary:
    """Create a temporary folder, after removing those left by this user's killed runs."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = FileLock(path / _LOCK, timeout=0)
    with suppress(OSError, NotImplementedError):  # without locks no other run removes it either
        lock.acquire()
    return Temporary(path, lock)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder, removed at the end of the block."""
    made = make_temporary()
    try:
        yield made.path
    finally:
        made.remove()


def _remove_abandoned(place: Path) -> None:
    for path in sorted(place.glob(f"{_PREFIX}*")):
        with suppress(OSError, NotImplementedError, Timeout):
            if _is_ours(path):
                with FileLock(path / _LOCK, timeout=0):
                    pass  # the lock is free, so its process has ended; a folder is never locked a second time
                remove_output(path)


def _is_ours(path: Path) -> bool:
    """Whether a path is a real folder of this user with our lock in it."""
    folder, lock = path.lstat(), (path / _LOCK).lstat()
    mine = not hasattr(os, "geteuid") or folder.st_uid == lock.st_uid == os.geteuid()
    return mine and stat.S_ISDIR(folder.st_mode) and stat.S_ISREG(lock.st_mode)
