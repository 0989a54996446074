"""The system calls with which the journal changes a disk, in one class so that tests can make each of them fail."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from faceaug.storage.files import NO_RENAMEAT2, rename_with, sync_folder
from faceaug.storage.transfer import copy_whole

_RENAME_NOREPLACE = 1  # linux/fs.h


class Disk:
    """The real disk. Only the journal and the modules below it use it."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Append all of ``data`` to a file."""
        while data:
            data = data[os.write(descriptor, data) :]

    def sync(self, descriptor: int) -> None:
        """Flush a file's content to the disk."""
        os.fsync(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Flush a folder's entries to the disk, where the file system supports it."""
        try:
            sync_folder(path)
        except PermissionError:  # a folder that is writable but not readable cannot be opened for fsync
            os.sync()

    def make_folder(self, path: Path) -> None:
        """Create one folder."""
        path.mkdir()

    def rename_folder(self, start: Path, end: Path) -> None:
        """Rename an empty folder of our own; it can replace only another empty folder."""
        os.rename(start, end)  # our own folder, still empty

    def link(self, start: Path, end: Path) -> None:
        """Create a hard link; fails if the name is taken."""
        os.link(start, end, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        """Remove the old name of a file that has a new one."""
        os.unlink(path)  # called only by the journal, for a file that has another name

    def copy(self, start: Path, end: Path) -> None:
        """Copy a file durably to a new name on another file system."""
        copy_whole(start, end)

    def rename(self, start: Path, end: Path) -> None:
        """Rename without overwriting, for file systems without hard links."""
        try:
            _rename_noreplace(start, end)
            return
        except OSError as error:
            if error.errno not in NO_RENAMEAT2:
                raise
        os.close(os.open(end, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.replace(start, end)  # over our own empty placeholder
        except OSError:
            os.unlink(end)  # our own empty placeholder
            raise

    def set_mtime(self, path: Path, mtime_ns: int) -> None:
        """Restore a folder's modification time, if permitted."""
        with suppress(PermissionError, FileNotFoundError):
            os.utime(path, ns=(path.stat().st_atime_ns, mtime_ns))


def _rename_noreplace(start: Path, end: Path) -> None:
    rename_with(_RENAME_NOREPLACE, start, end)
