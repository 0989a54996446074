"""Temporary folders that survive no longer than the next run: it removes those of killed runs, by name and lock."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from faceaug.storage.files import HIDDEN_TEMPORARY, remove_output

_PREFIX = "faceaug-temporary-"  # unlikely as the name of a user's folder
_LOCK = "faceaug-temporary.lock"


@dataclass(frozen=True, slots=True, eq=False)
class Temporary:
    """A temporary folder, locked while this process runs.

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


def make_temporary(place: Path | None = None) -> Temporary:
    """Create a temporary folder, after removing those left there by this user's killed runs.

    Args:
        place: a folder of the user's, where it is hidden; None for the system's temporary folder.

    Raises:
        OSError: it cannot be created there.
    """
    prefix = _PREFIX if place is None else HIDDEN_TEMPORARY
    within = Path(tempfile.gettempdir()) if place is None else place
    _remove_abandoned(within, prefix)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
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


def _remove_abandoned(place: Path, prefix: str) -> None:
    with suppress(OSError):  # a folder that can be written but not listed
        names = [name for name in os.listdir(place) if name.startswith(prefix)]
        _remove_unlocked(place / name for name in sorted(names))


def _remove_unlocked(paths: Iterable[Path]) -> None:
    for path in paths:
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
