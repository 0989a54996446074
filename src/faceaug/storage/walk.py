"""The only directory walk: regular files below a folder, without following links or entering other file systems."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from faceaug.errors import printable, some
from faceaug.storage.files import existing_folder
from faceaug.storage.partial import PARTIAL

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".avif", ".pbm", ".pgm", ".ppm", ".pnm", *((".heic", ".heif", ".hif") if find_spec("pillow_heif") else ()),
)  # fmt: skip
LINK = "is a symbolic link"
_LINK_ADVICE = "give the folder with the files themselves, or make a copy with files for links (cp -rL FOLDER COPY)"
_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True, slots=True)
class File:
    """One regular file as it was when listed.

    Attributes:
        name: path below the folder, with "/" as separator; bytes that are not UTF-8 are escaped as surrogates.
        device: device number of the file system.
        inode: inode number, shared by hard links.
        size: bytes.
        mtime_ns: modification time, nanoseconds.
        digest: BLAKE2b-128 of the bytes, hex; empty if they were not read.
        changed_ns: time of the last change of content, name or mode (st_ctime), nanoseconds; 0 if unknown. Unlike
            ``mtime_ns`` no program can set it. Not compared.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    digest: str = ""
    changed_ns: int = field(default=0, compare=False)

    @property
    def is_picture(self) -> bool:
        """Whether it has a picture suffix."""
        return is_picture(self.name)


@dataclass(frozen=True)
class Listing:
    """All regular files below a folder, sorted by the bytes of their names.

    Attributes:
        root: the folder.
        files: the files, without hidden ones and system junk.
        skipped: (name, reason) of entries that are not regular files, and of folders not entered.
        apart: names of pictures that are not faces, such as masks.
    """

    root: Path
    files: tuple[File, ...]
    skipped: tuple[tuple[str, str], ...]
    apart: frozenset[str] = frozenset()

    @cached_property
    def pictures(self) -> tuple[File, ...]:
        """The files with a picture suffix, except those known not to be faces."""
        return tuple(file for file in self.files if file.is_picture and file.name not in self.apart)

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the symbolic links to files and folders; none is followed."""
        return tuple(name for name, why in self.skipped if why == LINK)

    def notes(self) -> list[str]:
        """The skipped entries: one line for all links, one for each other entry."""
        others = [f"{printable(name)}: {why}; left alone" for name, why in self.skipped if why != LINK]
        return [*self.link_notes(), *others]

    def link_notes(self) -> tuple[str, ...]:
        """One line with the number of links that were not followed and an example; empty if there are none."""
        if not self.links:
            return ()
        were = "symbolic links were" if len(self.links) > 1 else "symbolic link was"
        return (f"{len(self.links):,} {were} not followed ({self._first_link()}); {_LINK_ADVICE}",)

    def no_pictures(self) -> str:
        """The error message for a folder without pictures: why, and what to do."""
        empty = f"{printable(self.root)}: no pictures in it ({', '.join(SUFFIXES)})"
        if self.links:
            kind = f"{len(self.links):,} symbolic links" if len(self.links) > 1 else "a symbolic link"
            return f"{empty}, only {kind} ({self._first_link()}), and links are not followed: {_LINK_ADVICE}"
        if self.skipped:
            return f"{empty}; {some([f'{name}: {why}' for name, why in self.skipped])}"
        return f"{empty}; give the folder that holds them"

    def _first_link(self) -> str:
        first = self.links[0]
        try:
            return f"{printable(first)} leads to {printable(os.readlink(self.root / first))}"
        except OSError:  # removed in the meantime
            return printable(first)


def is_picture(name: str) -> bool:
    """Whether a name has a picture suffix."""
    stem, dot, ending = last_part(name).rpartition(".")
    return bool(stem) and dot + ending.lower() in SUFFIXES


def last_part(name: str) -> str:
    """The part of a name after its last "/"."""
    return name.rpartition("/")[2]


def list_folder(path: Path | str) -> Listing:
    """List the regular files below a folder, without following links or entering other file systems.

    Raises:
        ArgumentError: there is no such folder.
    """
    root = existing_folder(path)
    device = root.stat().st_dev
    files: list[File] = []
    skipped: list[tuple[str, str]] = []
    for name, facts, problem in _walk(root, device):
        if facts is not None:
            found = File(name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, "", facts.st_ctime_ns)
            files.append(found)
        else:
            skipped.append((name, problem))
    return Listing(root, tuple(sorted(files, key=lambda f: os.fsencode(f.name))), tuple(sorted(skipped)))


def _walk(root: Path, device: int) -> Iterator[tuple[str, os.stat_result | None, str]]:
    """Yield (name, stat result of a regular file or None, reason to skip it) for all entries that are not hidden."""
    waiting = [""]  # folders still to be listed; no recursion, because folders may be nested 2,000 deep
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(root / below) as found:
                entries = [entry for entry in found if not _is_ignored(entry)]
        except OSError as error:
            yield below or ".", None, f"cannot be listed ({error.strerror})"
            continue
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError as error:  # removed in the meantime, or on a disconnected network drive
                yield name, None, f"cannot be examined ({error.strerror})"
                continue
            problem = _problem(facts, device)
            if stat.S_ISDIR(facts.st_mode) and not problem:
                waiting.append(name)
            else:
                yield name, None if problem else facts, problem


def is_hidden(name: str) -> bool:
    """Whether a name is ignored: hidden, system junk, or an unfinished output of faceaug."""
    return name.startswith(".") or name.lower() in _JUNK or name.endswith(PARTIAL)


def _is_ignored(entry: os.DirEntry[str]) -> bool:
    if entry.name.endswith(PARTIAL) and entry.is_dir(follow_symlinks=False):  # a suffix of our files, not folders
        return entry.name.startswith(".")  # so a folder with it belongs to the user
    return is_hidden(entry.name)


def _problem(facts: os.stat_result, device: int) -> str:
    if stat.S_ISDIR(facts.st_mode):
        return "" if facts.st_dev == device else "is on another file system"
    if stat.S_ISREG(facts.st_mode):
        return ""
    return LINK if stat.S_ISLNK(facts.st_mode) else "is not a regular file"
