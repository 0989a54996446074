"""One file, one new name: what cannot be done for it is an answer, and never stops the others.

A move is ``link``, then ``unlink`` of the old name, because ``rename`` would overwrite silently. Where there are no
hard links it is a rename that cannot overwrite. To another file system (a folder that was moved to another disk, a
bind mount) the file is copied, compared with the original, synchronised and named; then the original goes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from faceaug.errors import printable
from faceaug.storage.disk import Disk
from faceaug.storage.files import PARTIAL
from faceaug.storage.identity import digest_of, facts_of, is_as_seen, is_remembered
from faceaug.storage.moves import Step
from faceaug.storage.walk import File

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
# Errors that say something about one path. A full or failing disk concerns all, and ends the run.
_OF_ONE_FILE = frozenset({
    errno.EPERM, errno.EACCES, errno.EROFS, errno.EXDEV, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
    errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY, errno.ETXTBSY, errno.EINVAL, errno.EILSEQ, errno.ESTALE,
    errno.EMLINK, errno.ENXIO, errno.ENODEV,
})  # fmt: skip
_ROOM = 64  # bytes
_TAKEN = "its new name is taken"
_CHANGED = "has changed since it was looked at"
_GONE = "is no longer there"


def trouble_with_one(error: OSError) -> str:
    """What an error says about the one file at hand; raises it again if it is about the whole disk."""
    if error.errno in _OF_ONE_FILE:
        return f"cannot be moved ({error.strerror})"
    raise error


class Mover:
    """Changes of single names below a folder and its state.

    Args:
        root: the user's folder.
        state: its state folder.
        disk: the calls that change the disk.
    """

    def __init__(self, root: Path, state: Path, disk: Disk) -> None:
        self._root, self._state, self._disk = root, state, disk
        self._longest_place = _longest_path(state) - len(os.fsencode(state)) - _ROOM

    def path(self, place: str) -> Path:
        """Where a place of the journal is."""
        return self._state / place[1:] if place[0] == "/" else self._root / place

    def exists(self, place: str) -> bool:
        """Whether a place is taken, by whatever."""
        return os.path.lexists(self.path(place))

    def holds(self, place: str, file: File) -> bool:
        """Whether a place holds the file that the journal tells of; what cannot be looked at does not."""
        try:
            return is_remembered(self.path(place), file)
        except OSError as error:
            trouble_with_one(error)
            return False

    def mtimes(self, folders: Iterable[str]) -> dict[str, int]:
        """Times of change of folders of the user's, ns; of those that are there and can be looked at."""
        found: dict[str, int] = {}
        for folder in folders:
            try:
                facts = facts_of(self._root / folder)
            except OSError as error:
                trouble_with_one(error)
                continue
            if facts is not None:
                found[folder] = facts.st_mtime_ns
        return found

    def is_too_long(self, place: str) -> bool:
        """Whether a path is longer than the system takes, with some room for what is made beside it."""
        return len(os.fsencode(place)) > self._longest_place

    def is_unwritable(self, folder: str) -> bool:
        """Whether names in a folder of the user's cannot be changed, as far as permissions tell."""
        path = self._root / folder
        return path.is_dir() and not os.access(path, os.W_OK | os.X_OK)

    def give_name(self, step: Step, *, on_copy: Callable[[], None]) -> str:
        """Give a file its new name beside (or, without hard links, instead of) the old; or say why not.

        Args:
            step: what to do.
            on_copy: called before a copy on another file system gets its name.

        Raises:
            OSError: the disk is full or fails.
        """
        try:
            return self._give_name(step, on_copy)
        except OSError as error:
            return trouble_with_one(error)

    def _give_name(self, step: Step, on_copy: Callable[[], None]) -> str:
        start, end = self.path(step.start), self.path(step.end)
        if problem := self._problem_before(step, start):
            return problem
        try:
            self.make_folders(end.parent)
        except (FileExistsError, NotADirectoryError) as error:
            return f"needs the folder {printable(error.filename)}, and something else has that name"
        try:
            self._disk.link(start, end)
        except FileExistsError:
            return _TAKEN
        except FileNotFoundError:
            return _GONE
        except OSError as error:
            if error.errno == errno.EXDEV:
                return self._copy(step, on_copy)
            if error.errno not in _NO_LINKS:
                raise
            return self._rename(step, on_copy)
        if not is_as_seen(end, step.file):  # exchanged between the look and the link: give the newcomer its peace
            self._disk.unlink(end)
            return _CHANGED
        return ""

    def _problem_before(self, step: Step, start: Path) -> str:
        if not is_as_seen(start, step.file):
            return _CHANGED if os.path.lexists(start) else _GONE
        if step.keeper is not None and not is_as_seen(self.path(step.keeper.name), step.keeper):
            return f"the file kept in its stead, {step.keeper.name}, has changed since it was looked at"
        if _is_held_by_sticky_bit(start):
            return "belongs to somebody else and lies in a folder with the sticky bit"
        return ""

    def _rename(self, step: Step, on_copy: Callable[[], None]) -> str:
        try:
            self._disk.rename(self.path(step.start), self.path(step.end))
        except FileExistsError:
            return _TAKEN
        except FileNotFoundError:
            return _GONE
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return self._copy(step, on_copy)
        return ""

    def _copy(self, step: Step, on_copy: Callable[[], None]) -> str:
        """Make the file anew on another file system; the old name goes later, as with a link."""
        start, end, partial = self.path(step.start), self.path(step.end), self.partial(step.end)
        try:
            with suppress(FileNotFoundError):
                self._disk.unlink(partial)  # of a copy that was stopped
            self._disk.copy(start, partial)
            content = digest_of(partial)
            if content != (step.file.digest or digest_of(start)) or not is_as_seen(start, step.file):
                self._disk.unlink(partial)
                return "could not be copied: the copy is not the same, or the file changed"
        except OSError as error:  # the other disk is full or fails, and none of that is about the rest
            with suppress(OSError):
                self._disk.unlink(partial)
            return f"cannot be copied to another file system ({error.strerror})"
        on_copy()
        try:
            self._disk.rename(partial, end)
        except OSError as error:
            self._disk.unlink(partial)
            return _TAKEN if isinstance(error, FileExistsError) else trouble_with_one(error)
        return ""

    def partial(self, place: str) -> Path:
        """Where a copy lies until it is whole: one name for each place, so that the next run finds what was left."""
        name = blake2b(os.fsencode(place), digest_size=8).hexdigest()
        return self.path(place).with_name(f".faceaug-{name}{PARTIAL}")

    def drop_old(self, step: Step) -> str:
        """Drop the old name of a file that has its new one; where that cannot be, take the new one back and say why."""
        start, end = self.path(step.start), self.path(step.end)
        try:
            if is_as_seen(start, step.file):
                with suppress(FileNotFoundError):
                    self._disk.unlink(start)
            elif are_one(start, end):  # written to in this moment: what was planned is not true of it
                self._disk.unlink(end)
                return _CHANGED
        except OSError as error:
            problem = trouble_with_one(error)
            return self._take_back(step) or problem
        return ""

    def _take_back(self, step: Step) -> str:
        """Drop the new name of a file that still has the old one."""
        start, end = self.path(step.start), self.path(step.end)
        try:
            if is_as_seen(start, step.file) and is_as_seen(end, step.file):
                self._disk.unlink(end)
        except OSError as error:
            trouble_with_one(error)
            return f"has two names now, and neither can be taken away ({error.strerror})"
        return ""

    def sync_parents(self, places: Iterable[str]) -> None:
        """Wait until the disk has the names in the folders of some places."""
        for folder in sorted({self.path(place).parent for place in places}):
            with suppress(FileNotFoundError, NotADirectoryError):  # gone since, with what was in it
                self._disk.sync_folder(folder)

    def make_folders(self, path: Path) -> None:
        """Make a folder and those above it where they are missing."""
        if not path.is_dir():
            self.make_folders(path.parent)
            self._disk.make_folder(path)
            self._disk.sync_folder(path.parent)


def are_one(one: Path, other: Path) -> bool:
    """Whether two names are hard links of one regular file."""
    a, b = facts_of(one), facts_of(other)
    if a is None or b is None or not stat.S_ISREG(a.st_mode):
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _is_held_by_sticky_bit(path: Path) -> bool:
    """Whether only the owner of a file or of its folder may take it out; a link could be made and not be completed."""
    if not hasattr(os, "geteuid"):
        return False
    me, folder = os.geteuid(), path.parent.stat()
    if not folder.st_mode & stat.S_ISVTX or me in {0, folder.st_uid}:
        return False
    facts = facts_of(path)
    return facts is not None and facts.st_uid != me


def _longest_path(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):  # systems without pathconf, or without a limit
        return 4096
