"""The few calls with which the journal changes a disk, so that a test can make each of them fail."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

from faceaug.storage.files import sync_folder
from faceaug.storage.transfer import copy_whole

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100


class Disk:
    """The real disk. Nothing but ``faceaug.storage.journal`` uses it."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of ``data`` at the end of a file."""
        while data:
            data = data[os.write(descriptor, data) :]

    def sync(self, descriptor: int) -> None:
        """Wait until the disk has a file's content."""
        os.fsync(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Wait until the disk has a folder's names, where the file system can tell."""
        try:
            sync_folder(path)
        except PermissionError:  # a folder that may be written and not listed cannot be opened for this
            os.sync()

    def make_folder(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir()

    def rename_folder(self, start: Path, end: Path) -> None:
        """Rename an empty folder of our own; what it replaces can only be another empty folder."""
        os.rename(start, end)  # noqa: TID251 - our own folder, before anything lies in it

    def link(self, start: Path, end: Path) -> None:
        """Give a file a second name; fails where the name is taken."""
        os.link(start, end, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        """Drop the old name of a file that has a new one."""
        os.unlink(path)  # noqa: TID251 - called by the journal only, for a file with another name

    def copy(self, start: Path, end: Path) -> None:
        """Copy a file to another file system under a new name; returns when the disk has it."""
        copy_whole(start, end)

    def rename(self, start: Path, end: Path) -> None:
        """Rename without overwriting, for file systems without hard links."""
        try:
            _rename_noreplace(start, end)
            return
        except OSError as error:
            if error.errno not in {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}:
                raise
        os.close(os.open(end, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.replace(start, end)  # noqa: TID251 - over our own empty placeholder
        except OSError:
            os.unlink(end)  # noqa: TID251 - our own empty placeholder
            raise

    def set_mtime(self, path: Path, mtime_ns: int) -> None:
        """Put a folder's time of change back, where the user may."""
        with suppress(PermissionError, FileNotFoundError):
            os.utime(path, ns=(path.stat().st_atime_ns, mtime_ns))


def _rename_noreplace(start: Path, end: Path) -> None:
    """Linux's renameat2(2) with RENAME_NOREPLACE; OSError ENOSYS where there is none."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, "no renameat2")
    result = renameat2(_AT_FDCWD, os.fsencode(start), _AT_FDCWD, os.fsencode(end), _RENAME_NOREPLACE)
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(start))
