"""Waiting for the disk, for many files at once.

A file that was written and renamed is safe from a crash of the program but not from a power cut: ext4 then leaves it
empty. One ``fsync`` for each file takes several times as long as writing it, so files are synced in groups.
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

from faceaug.storage.files import sync_folder, write_bytes

_AT_ONCE = 16  # files synced at the same time: the disk then commits them together
_PAUSE = 1.0  # seconds between the starts of two groups, at least; a power cut costs about that much work


class GroupSync:
    """Syncs groups of files below a folder. Use it as a context manager.

    Linux syncs a whole file system in one call, which costs a fraction of a call for each file. That call does not
    reach the disk below a FUSE file system, and other systems lack it: there, threads sync file by file.

    Args:
        folder: it exists, on the file system of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Open from the start: the call reports only failures since then.
        self._descriptor = os.open(folder, os.O_RDONLY) if _has_whole_sync(folder) else None

    def sync(self, paths: Iterable[Path]) -> None:
        """Wait until the disk has these files, under these names, and the folders they lie in.

        Args:
            paths: files below the folder; links and folders among them are ignored.

        Raises:
            OSError: the disk is full or fails.
        """
        if self._descriptor is not None:
            _sync_file_system(self._descriptor)
            return
        files = list(paths)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
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
    """A file with one line for each thing that is done; a line is written once the disk has the files it counts.

    Groups are synced in the background while the next files are written.

    Args:
        path: of the tally, in the folder that is being filled.
        lines: what it says so far, each with its line end; replaces what the file holds.
    """

    def __init__(self, path: Path, lines: Iterable[str]) -> None:
        self._sync = GroupSync(path.parent)
        self._thread = ThreadPoolExecutor(1)
        self._lines: list[str] = []
        self._files: list[Path] = []
        self._running: Future[None] | None = None
        self._began = monotonic()
        write_bytes(path, "".join(lines).encode())
        self._handle = path.open("ab")

    def add(self, lines: Sequence[str], files: Iterable[Path]) -> None:
        """Take lines and the files that they count, which are complete.

        Raises:
            OSError: the disk is full or fails; also for an earlier group.
        """
        self._lines += lines
        self._files += files
        if monotonic() - self._began >= _PAUSE and (self._running is None or self._running.done()):
            self._begin()

    def flush(self) -> None:
        """Write everything that was added; wait for it.

        Raises:
            OSError: the disk is full or fails.
        """
        self._finish()
        if self._lines or self._files:
            self._begin()
            self._finish()

    def close(self) -> None:
        """Write everything and stop; another may go on. Does nothing the second time.

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
        self._running = self._thread.submit(self._settle, "".join(lines).encode(), files)

    def _finish(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def _settle(self, text: bytes, files: list[Path]) -> None:
        self._sync.sync(files)
        self._handle.write(text)
        self._handle.flush()
        os.fsync(self._handle.fileno())


def whole_lines(path: Path, is_whole: Callable[[str], bool]) -> list[str]:
    """The lines of a tally up to the first that is torn or damaged, as a crash or a power cut leaves one.

    Args:
        path: of the tally; it need not exist.
        is_whole: whether a line, without its end, is one of those that were written.
    """
    text = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
    found: list[str] = []
    for line in text.split("\n")[:-1]:
        if not is_whole(line):
            break
        found.append(line)
    return found


def _sync_file(path: Path) -> None:
    # Windows syncs only what may be written; elsewhere a copy of a read-only file has to be synced too.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has_whole_sync(folder: Path) -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "syncfs") and not _is_fuse(folder)


def _sync_file_system(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # such a call lets other threads run
    if libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _is_fuse(folder: Path) -> bool:
    """Whether a folder lies on a FUSE file system; one that cannot be looked up may be one."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return True
    kinds = [line.split(" - ", 1)[1].split(" ", 1)[0] for line in mounts if line.split(" ", 3)[2] == number]
    return any(kind.startswith("fuse") for kind in kinds)
