"""Temporary folders that a killed run cannot leave for ever: the next one finds them by name and lock."""

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

_PREFIX = "faceaug-temporary-"  # of no folder that a user would name
_LOCK = "faceaug-temporary.lock"


@dataclass(frozen=True, slots=True, eq=False)
class Temporary:
    """A folder in the system's temporary folder, locked while this process lives.

    Attributes:
        path: the folder; whatever lies in it goes with it.
        lock: held by the process that made it.
    """

    path: Path
    lock: FileLock

    def remove(self) -> None:
        """Remove the folder."""
        with suppress(OSError, NotImplementedError):
            self.lock.release()
        remove_output(self.path)


def make_temporary() -> Temporary:
    """Make a temporary folder; first remove those of this user's runs that were killed."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = FileLock(path / _LOCK, timeout=0)
    with suppress(OSError, NotImplementedError):  # where there are no locks, nobody removes it either
        lock.acquire()
    return Temporary(path, lock)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder that goes when the block ends."""
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
                    pass  # nobody holds it; folders are never locked a second time
                remove_output(path)


def _is_ours(path: Path) -> bool:
    """Whether a path is a real folder of this user with our lock in it."""
    folder, lock = path.lstat(), (path / _LOCK).lstat()
    mine = not hasattr(os, "geteuid") or folder.st_uid == lock.st_uid == os.geteuid()
    return mine and stat.S_ISDIR(folder.st_mode) and stat.S_ISREG(lock.st_mode)
