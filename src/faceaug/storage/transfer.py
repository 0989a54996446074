"""Copy of a user's file to another file system, with all metadata that the target supports."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path


def copy_whole(start: Path, end: Path) -> None:
    """Copy a regular file durably: content, mode, owner, times and extended attributes.

    Args:
        start: the file; links are not followed.
        end: a free name.

    Raises:
        OSError: the file cannot be read or written; nothing is left under ``end``.
    """
    reading = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    writing = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(start, reading), "rb") as original:
        facts = os.fstat(original.fileno())
        with open(os.open(end, writing, 0o600), "wb") as copy:
            try:
                shutil.copyfileobj(original, copy, 1 << 20)
                copy.flush()
                _keep_attributes(start, end, facts)
                os.fsync(copy.fileno())
                _forget_pages(copy.fileno(), facts.st_size)
            except BaseException:
                with suppress(OSError):
                    end.unlink()
                raise


def _keep_attributes(start: Path, end: Path, facts: os.stat_result) -> None:
    """Copy owner, mode, attributes and, last, times, as far as file system and permissions allow."""
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for name in os.listxattr(start, follow_symlinks=False):
                with suppress(OSError):
                    os.setxattr(end, name, os.getxattr(start, name, follow_symlinks=False), follow_symlinks=False)
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(end, facts.st_uid, facts.st_gid, follow_symlinks=False)
    with suppress(OSError):
        os.chmod(end, stat.S_IMODE(facts.st_mode))  # after chown, which clears some mode bits
    with suppress(OSError):
        os.utime(end, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _forget_pages(descriptor: int, size: int) -> None:
    """Drop the cached pages of a file, so that comparing the copy reads it from the disk."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, size, os.POSIX_FADV_DONTNEED)
