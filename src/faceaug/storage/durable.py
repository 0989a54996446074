"""Durable writes of many files: sync them in groups.

A file that was written and renamed survives a crash of the program but not a power cut, after which ext4 leaves it
empty. One ``fsync`` per file takes several times as long as writing it, so files are synced in groups.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TypeVar

from faceaug.storage.files import sync_folder, write_bytes

_CONCURRENT = 16  # files synced at the same time, so that the disk commits them together
_INTERVAL = 1.0  # minimum seconds between the starts of two groups; a power cut loses about that much work
T = TypeVar("T")


class GroupSync:
    """Syncs groups of files below a folder. Use it as a context manager.

    Linux can sync a whole file system with one call (``syncfs``), which is much cheaper than one call per file. On
    FUSE that call does not reach the disk, and other systems lack it; there, threads sync file by file.

    Args:
        folder: an existing folder on the file system of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Opened early because syncfs reports only failures that happened after the open.
        self._descriptor = os.open(folder, os.O_RDONLY) if _has_syncfs(folder) else None

    def sync(self, paths: Iterable[Path]) -> None:
        """Flush these files, their names and their parent folders to the disk.

        Args:
            paths: files below the folder; links and folders are ignored.

        Raises:
            OSError: the disk is full or fails.
        """
        if self._descriptor is not None:
            _sync_file_system(self._descriptor)
            return
        files = list(paths)
        with ThreadPoolExecutor(_CONCURRENT) as threads:
            list(threads.map(_sync_file, files))
        parents = {parent for path in files for parent in path.parents if parent.is_relative_to(self._folder)}
        for parent in sorted(parents | {self._folder, self._folder.parent}, reverse=True):
            sync_folder(parent)

    def __enter__(self) -> GroupSync:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Tally:
    """A progress file with one line per finished item; a line is written only after its files are on the disk.

    Groups are synced in the background while the next files are written.

    Args:
        path: path of the tally, in the output folder.
        lines: the initial lines, each with its line end; they replace the content of an existing file.
    """

    def __init__(self, path: Path, lines: Iterable[str]) -> None:
        self._sync = GroupSync(path.parent)
        self._thread = ThreadPoolExecutor(1)
        self._lines: list[str] = []
        self._files: list[Path] = []
        self._running: Future[None] | None = None
        self._began = monotonic() - _INTERVAL  # the first group at once: on a slow disk a sync takes many seconds
        write_bytes(path, "".join(lines).encode())
        self._handle = path.open("ab")

    def add(self, lines: Sequence[str], files: Iterable[Path]) -> None:
        """Add lines and the completely written files that they stand for.

        Raises:
            OSError: the disk is full or failed, for this or an earlier group.
        """
        self._lines += lines
        self._files += files
        if monotonic() - self._began >= _INTERVAL and (self._running is None or self._running.done()):
            self._begin()

    def flush(self) -> None:
        """Write everything that was added and wait until it is on the disk.

        Raises:
            OSError: the disk is full or fails.
        """
        self._finish()
        if self._lines or self._files:
            self._begin()
            self._finish()

    def close(self) -> None:
        """Write everything and release the file, so that another tally may continue it. Calling it twice is harmless.

        Raises:
            OSError: the disk is full or fails.
        """
        if self._handle.closed:
            return
        try:
            self.flush()
        finally:
            self._thread.shutdown()
            self._handle.close()
            self._sync.__exit__(None)

    def _begin(self) -> None:
        self._finish()
        lines, self._lines = self._lines, []
        files, self._files = self._files, []
        self._began = monotonic()
        self._running = self._thread.submit(self._write_group, "".join(lines).encode(), files)

    def _finish(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def _write_group(self, text: bytes, files: list[Path]) -> None:
        self._sync.sync(files)
        self._handle.write(text)
        self._handle.flush()
        os.fsync(self._handle.fileno())


def whole_lines(path: Path, read: Callable[[str], T]) -> list[T]:
    """Read the lines of a tally before the first that is torn or damaged, as after a crash or a power cut.

    Args:
        path: path of the tally; it need not exist.
        read: reads a line (without its line end); raises ValueError, TypeError or KeyError if it is not whole.
    """
    text = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
    found: list[T] = []
    for line in text.split("\n")[:-1]:
        try:
            found.append(read(line))
        except (ValueError, TypeError, KeyError):
            break
    return found


def _sync_file(path: Path) -> None:
    # Windows can sync only a file opened for writing; elsewhere the copy of a read-only file must be synced too.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has_syncfs(folder: Path) -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "syncfs") and not _is_fuse(folder)


def _sync_file_system(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # ctypes releases the GIL during the call
    if libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _is_fuse(folder: Path) -> bool:
    """Whether a folder lies on a FUSE file system; True if that cannot be determined."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return True
    kinds = [line.split(" - ", 1)[1].split(" ", 1)[0] for line in mounts if line.split(" ", 3)[2] == number]
    return any(kind.startswith("fuse") for kind in kinds)
