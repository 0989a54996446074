"""Move one file. A problem with one file is returned as text, so that it never stops the other moves.

A move is ``link`` followed by ``unlink`` of the old name, because ``rename`` would overwrite silently. Without hard
links it is a rename that cannot overwrite. To another file system (a folder on another disk, a bind mount) the file is
copied, compared with the original, synced and given its name; then the original is removed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from faceaug.errors import RefusedError, printable
from faceaug.storage.disk import Disk
from faceaug.storage.identity import digest_of, facts_of, is_as_seen, is_remembered
from faceaug.storage.moves import Step
from faceaug.storage.partial import PARTIAL
from faceaug.storage.records import SET_ASIDE, is_run
from faceaug.storage.walk import File

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
# Errors that concern one path. Others, such as a full or failing disk, concern all files and end the run.
_SINGLE_FILE_ERRORS = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EROFS,
        errno.EXDEV,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENOENT,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.EBUSY,
        errno.ETXTBSY,
        errno.EINVAL,
        errno.EILSEQ,
        errno.ESTALE,
        errno.EMLINK,
        errno.ENXIO,
        errno.ENODEV,
    }
)
_MOST_DIGITS = 9  # of a run's name; a folder with as many is not followed by a longer name
_RESERVE = 64  # bytes of a path, for temporary names in the same folder
BEHIND_LINK = "lies behind a symbolic link, which is not followed; put the folder itself there"
_TAKEN = "its new name is taken"
_CHANGED = "has changed since it was examined"
_GONE = "is no longer there"


def single_file_problem(error: OSError) -> str:
    """Describe an error that concerns one file; raise it again if it concerns the whole disk."""
    if error.errno in _SINGLE_FILE_ERRORS:
        return f"cannot be moved ({error.strerror})"
    raise error


class Mover:
    """Moves single files below a folder and its state folder.

    Args:
        root: the user's folder.
        state: its state folder.
        disk: the calls that change the disk.
    """

    def __init__(self, root: Path, state: Path, disk: Disk) -> None:
        self._root = root
        self._state = state
        self._disk = disk
        self._longest_place = _longest_path(state) - len(os.fsencode(state)) - _RESERVE

    def path(self, place: str) -> Path:
        """The path of a place (see ``faceaug.storage.moves``)."""
        return self._state / place[1:] if place[0] == "/" else self._root / place

    def exists(self, place: str) -> bool:
        """Whether anything exists at a place."""
        return os.path.lexists(self.path(place))

    def holds(self, place: str, file: File) -> bool:
        """Whether a place holds a file recorded in the journal; False if it cannot be examined, or is behind a link."""
        if self.is_behind_link(place):
            return False
        try:
            return is_remembered(self.path(place), file)
        except OSError as error:
            single_file_problem(error)
            return False

    def is_behind_link(self, place: str) -> bool:
        """Whether a folder on the way to a place is a symbolic link, which may lead out of the folder.

        A clean never follows one, so the user has made it since, or the journal was not written by faceaug. Only
        ``set-aside`` itself may be one: it can be moved to a larger disk.
        """
        folders = [self.path(place), *self.path(place).parents][1 : place.lstrip("/").count("/") + 1]
        try:
            return any(folder.is_symlink() for folder in (folders[:-1] if place.startswith(SET_ASIDE) else folders))
        except OSError:  # whoever uses the place meets the same error
            return False

    def mtimes(self, folders: Iterable[str]) -> dict[str, int]:
        """Modification times (ns) of the user's folders; missing and inaccessible ones are left out."""
        found: dict[str, int] = {}
        for folder in folders:
            try:
                facts = facts_of(self._root / folder)
            except OSError as error:
                single_file_problem(error)
                continue
            if facts is not None:
                found[folder] = facts.st_mtime_ns
        return found

    def last_run(self, recorded: Iterable[str] = ()) -> int:
        """The highest number of a run that is recorded or has set files aside; 0 if there is none.

        Args:
            recorded: names of runs in the journal. After a lost one, their first number is not 1.
        """
        names = list(recorded)
        with suppress(OSError):
            names += os.listdir(self.path(SET_ASIDE))
        return max((int(name) for name in names if is_run(name) and len(name) < _MOST_DIGITS), default=0)

    def is_too_long(self, place: str) -> bool:
        """Whether a path exceeds the system's limit, less a reserve for temporary names in the same folder."""
        return len(os.fsencode(place)) > self._longest_place

    def is_unwritable(self, folder: str) -> bool:
        """Whether permissions forbid changes in a folder of the user's."""
        path = self._root / folder
        return path.is_dir() and not os.access(path, os.W_OK | os.X_OK)

    def give_name(self, step: Step, *, on_copy: Callable[[], None]) -> str:
        """Give a file its new name, in addition to (or, without hard links, instead of) the old.

        Args:
            step: the move.
            on_copy: called before a copy on another file system gets its name.

        Returns:
            Why that was not possible; empty on success.

        Raises:
            OSError: the disk is full or fails.
        """
        try:
            return self._give_name(step, on_copy)
        except OSError as error:
            return single_file_problem(error)

    def _give_name(self, step: Step, on_copy: Callable[[], None]) -> str:
        start, end = self.path(step.start), self.path(step.end)
        if self.is_behind_link(step.start) or self.is_behind_link(step.end):
            return BEHIND_LINK
        if problem := self._problem_before(step, start):
            return problem
        try:
            self.make_folders(end.parent)
        except (FileExistsError, NotADirectoryError) as error:
            return f"needs the folder {printable(error.filename)}, but something else has that name"
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
        if not is_as_seen(end, step.file):  # replaced between the check and the link: leave the new file alone
            self._disk.unlink(end)
            return _CHANGED
        return ""

    def _problem_before(self, step: Step, start: Path) -> str:
        if not is_as_seen(start, step.file):
            return _CHANGED if os.path.lexists(start) else _GONE
        if step.keeper is not None and not is_as_seen(self.path(step.keeper.name), step.keeper):
            return f"the file kept instead, {step.keeper.name}, has changed since it was examined"
        if _is_held_by_sticky_bit(start):
            return "belongs to another user and lies in a folder with the sticky bit"
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
        """Copy the file to another file system; the old name is removed later, as after a link."""
        start, end, partial = self.path(step.start), self.path(step.end), self.partial(step.end)
        try:
            with suppress(FileNotFoundError):
                self._disk.unlink(partial)  # left by an interrupted copy
            self._disk.copy(start, partial)
            content = digest_of(partial)
            if content != (step.file.digest or digest_of(start)) or not is_as_seen(start, step.file):
                self._disk.unlink(partial)
                return "could not be copied: the copy differs, or the file changed"
        except OSError as error:  # a full or failing target disk does not concern the other files
            with suppress(OSError):
                self._disk.unlink(partial)
            return f"cannot be copied to another file system ({error.strerror})"
        on_copy()
        try:
            self._disk.rename(partial, end)
        except OSError as error:
            self._disk.unlink(partial)
            return _TAKEN if isinstance(error, FileExistsError) else single_file_problem(error)
        return ""

    def partial(self, place: str) -> Path:
        """Path of an incomplete copy; it depends on ``place`` only, so that the next run finds an interrupted one."""
        name = blake2b(os.fsencode(place), digest_size=8).hexdigest()
        return self.path(place).with_name(f".faceaug-{name}{PARTIAL}")

    def drop_old(self, step: Step) -> str:
        """Remove the old name of a file that has its new one; if that fails, remove the new one and return why."""
        start, end = self.path(step.start), self.path(step.end)
        try:
            if is_as_seen(start, step.file):
                with suppress(FileNotFoundError):
                    self._disk.unlink(start)
            elif are_one(start, end):  # modified just now, so the plan no longer applies
                self._disk.unlink(end)
                return _CHANGED
        except OSError as error:
            problem = single_file_problem(error)
            return self._drop_new(step) or problem
        return ""

    def _drop_new(self, step: Step) -> str:
        """Remove the new name of a file that still has the old one."""
        start, end = self.path(step.start), self.path(step.end)
        try:
            if is_as_seen(start, step.file) and is_as_seen(end, step.file):
                self._disk.unlink(end)
        except OSError as error:
            single_file_problem(error)
            return f"now has two names, and neither can be removed ({error.strerror})"
        return ""

    def sync_parents(self, places: Iterable[str]) -> None:
        """Flush the entries of the folders that contain these places to the disk."""
        for folder in sorted({self.path(place).parent for place in places}):
            with suppress(FileNotFoundError, NotADirectoryError):  # removed in the meantime
                self._disk.sync_folder(folder)

    def make_run_folder(self, run: str) -> Path:
        """Create the folder for the reports of a run.

        Raises:
            RefusedError: it is a symbolic link, or lies behind one.
        """
        path = self._state / "runs" / run
        if self.is_behind_link(f"/runs/{run}/report"):
            raise RefusedError(f"{printable(path)} is in the way: a symbolic link, which is not followed; remove it")
        self.make_folders(path)
        return path

    def make_folders(self, path: Path) -> None:
        """Create a folder and its missing parents."""
        if not path.is_dir():
            self.make_folders(path.parent)
            self._disk.make_folder(path)
            self._disk.sync_folder(path.parent)


def are_one(one: Path, other: Path) -> bool:
    """Whether two names are hard links of one regular file, so that one of them can be removed.

    A disk that folds case finds a file with a single link under several names.
    """
    a, b = facts_of(one), facts_of(other)
    if a is None or b is None or not stat.S_ISREG(a.st_mode) or a.st_nlink < 2:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _is_held_by_sticky_bit(path: Path) -> bool:
    """Whether the sticky bit lets only other users remove a file: a link would succeed, but the unlink would fail."""
    if not hasattr(os, "geteuid"):
        return False
    me = os.geteuid()
    folder = path.parent.stat()
    if not folder.st_mode & stat.S_ISVTX or me in {0, folder.st_uid}:
        return False
    facts = facts_of(path)
    return facts is not None and facts.st_uid != me


def _longest_path(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):  # systems without pathconf, or without a limit
        return 4096
