"""What a file is called while it is written. Two writers never share one, or each could publish half of the other's.

On one machine the name is fixed and locked, so that a later run writes over what a killed one left; whoever finds it
locked takes a name of its own. Locks need not reach other machines: the processes of a cluster have names of their own
from the start, and ``faceaug.storage.files.remove_partials`` clears what killed ones left.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # suffix of a file being written; never listed as a picture
OWN = re.compile(r".*\.by-[0-9a-f]{8}\.partial", re.DOTALL)  # a partial name of its own
_LONGEST_NAME = 140  # bytes; encrypted file systems allow 143, others 255
_LONGEST_PATH = 4096  # bytes, on Linux
_TRIES = 3  # before giving up the fixed name, which others publish between our opening and locking it
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_writer = ""  # this process among those of a cluster; "" on one machine


def name_writer() -> None:
    """Give the files that this process writes partial names of their own, as one of the processes of a cluster."""
    global _writer  # noqa: PLW0603 - a fact about the process
    _writer = _writer or _own()


def writer() -> str:
    """The name of this process in partial names, such as ".by-0a1b2c3d"; "" on one machine."""
    return _writer


@contextmanager
def partial_file(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open the partial file of a path, empty, for this writer alone. Rename it in the block; on an error it is removed.

    Args:
        path: final name; its folder must exist.

    Yields:
        The partial path and the file, open for writing.
    """
    partial, handle = _opened(path)
    with handle:
        try:
            yield partial, handle
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


def partial_path(path: Path, *, by: str = "") -> Path:
    """Temporary path of a file being written: in the same folder, or in a parent if the path would be too long.

    Args:
        path: final name.
        by: part of the name that tells writers apart.
    """
    name = path.name + by + PARTIAL
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f".{hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}{by}{PARTIAL}"
    folder = path.parent
    while len(os.fsencode(folder)) + len(os.fsencode(name)) + 2 > _LONGEST_PATH and folder != folder.parent:
        folder = folder.parent
    return folder / name


def open_partial(partial: Path) -> BinaryIO:
    """Open a file to be written; a link of its name, as in a folder from elsewhere, is not followed but an error."""
    return open(os.open(partial, _flags() | os.O_TRUNC, 0o666), "wb")


def _opened(path: Path) -> tuple[Path, BinaryIO]:
    for _ in range(0 if _writer or sys.platform == "win32" else _TRIES):
        partial = partial_path(path)
        descriptor = os.open(partial, _flags(), 0o666)
        try:
            free = _lock(descriptor)
            if free and _is_still(partial, descriptor):
                os.ftruncate(descriptor, 0)
                return partial, open(descriptor, "wb")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not free:
            break
    partial = partial_path(path, by=_writer or _own())
    return partial, open_partial(partial)


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; False if somebody else holds it, or the file system has no locks."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether a path is still the open file: the writer before may have published or removed it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _own() -> str:
    return f".by-{secrets.token_hex(4)}"


def _flags() -> int:
    return os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
