"""The only directory walk: regular files below a folder, no link followed, no other file system entered."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from faceaug.errors import printable, some
from faceaug.storage.files import PARTIAL, existing_folder

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".avif", ".pbm", ".pgm", ".ppm", ".pnm",
)  # fmt: skip
LINK = "is a symbolic link"
_WAYS_OUT = "give the folder with the files themselves, or make a copy with files for links (cp -rL FOLDER COPY)"
_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True, slots=True)
class File:
    """One regular file as it was when listed.

    Attributes:
        name: path below the folder, with "/" between its parts; bytes that are not UTF-8 are escaped as surrogates.
        device: number of the file system.
        inode: number of the file in it; the same for hard links.
        size: bytes.
        mtime_ns: time of the last change, nanoseconds.
        digest: BLAKE2b-128 of the bytes, hex; empty where they were not read.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    digest: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether its ending says picture."""
        return is_picture(self.name)


@dataclass(frozen=True)
class Listing:
    """All regular files below a folder, sorted by the bytes of their names.

    Attributes:
        root: the folder.
        files: the files; hidden ones and system junk are left out.
        skipped: (name, why) of what looked like a picture but is not a regular file, and of folders not entered.
        apart: names of pictures that are no faces (masks).
    """

    root: Path
    files: tuple[File, ...]
    skipped: tuple[tuple[str, str], ...]
    apart: frozenset[str] = frozenset()

    @cached_property
    def pictures(self) -> tuple[File, ...]:
        """The files whose ending says picture, and that are faces as far as is known."""
        return tuple(file for file in self.files if file.is_picture and file.name not in self.apart)

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the symbolic links, to files and to folders; none of them is followed."""
        return tuple(name for name, why in self.skipped if why == LINK)

    def notes(self) -> list[str]:
        """What was left alone: one line for all links, one for each other entry."""
        others = [f"{printable(name)}: {why}; left alone" for name, why in self.skipped if why != LINK]
        return [*self.link_notes(), *others]

    def link_notes(self) -> tuple[str, ...]:
        """How many links were not followed, with an example, as one line; empty if there are none."""
        if not self.links:
            return ()
        were = "symbolic links were" if len(self.links) > 1 else "symbolic link was"
        return (f"{len(self.links):,} {were} not followed ({self._first_link()}); {_WAYS_OUT}",)

    def no_pictures(self) -> str:
        """Why a folder without pictures cannot be used, and what to do."""
        empty = f"{printable(self.root)}: no pictures in it ({', '.join(SUFFIXES)})"
        if self.links:
            kind = f"{len(self.links):,} symbolic links" if len(self.links) > 1 else "a symbolic link"
            return f"{empty}, only {kind} ({self._first_link()}), and links are not followed: {_WAYS_OUT}"
        if self.skipped:
            return f"{empty}; {some([f'{name}: {why}' for name, why in self.skipped])}"
        return f"{empty}; give the folder that holds them"

    def _first_link(self) -> str:
        first = self.links[0]
        try:
            return f"{printable(first)} leads to {printable(os.readlink(self.root / first))}"
        except OSError:  # removed since
            return printable(first)


def is_picture(name: str) -> bool:
    """Whether a name's ending says picture."""
    stem, dot, ending = last_part(name).rpartition(".")
    return bool(stem) and dot + ending.lower() in SUFFIXES


def last_part(name: str) -> str:
    """What follows the last "/" of a name."""
    return name.rpartition("/")[2]


def list_folder(path: Path | str) -> Listing:
    """List a folder: regular files only, no link followed, no other file system entered.

    Raises:
        ArgumentError: there is no such folder.
    """
    root = existing_folder(path)
    device = root.stat().st_dev
    files: list[File] = []
    skipped: list[tuple[str, str]] = []
    for name, facts, problem in _walk(root, device):
        if facts is not None:
            files.append(File(name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        else:
            skipped.append((name, problem))
    return Listing(root, tuple(sorted(files, key=lambda f: os.fsencode(f.name))), tuple(sorted(skipped)))


def _walk(root: Path, device: int) -> Iterator[tuple[str, os.stat_result | None, str]]:
    """(name, facts of a regular file or None, why it is left alone) of everything below a folder that is not hidden."""
    waiting = [""]  # folders still to be listed; a list and not recursion, because a folder may be 2,000 deep
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(root / below) as found:
                entries = [entry for entry in found if not _is_passed_over(entry)]
        except OSError as error:
            yield below or ".", None, f"cannot be listed ({error.strerror})"
            continue
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError as error:  # removed since, or on a network disk that went away
                yield name, None, f"cannot be examined ({error.strerror})"
                continue
            problem = _problem(facts, device)
            if stat.S_ISDIR(facts.st_mode) and not problem:
                waiting.append(name)
            else:
                yield name, None if problem else facts, problem


def is_hidden(name: str) -> bool:
    """Whether a name is passed over: hidden, junk of a system, or an output of ours that is not finished."""
    return name.startswith(".") or name.lower() in _JUNK or name.endswith(PARTIAL)


def _is_passed_over(entry: os.DirEntry[str]) -> bool:
    if entry.name.endswith(PARTIAL) and entry.is_dir(follow_symlinks=False):  # files being written are called so
        return entry.name.startswith(".")  # a folder of such a name is the user's
    return is_hidden(entry.name)


def _problem(facts: os.stat_result, device: int) -> str:
    if stat.S_ISDIR(facts.st_mode):
        return "" if facts.st_dev == device else "is on another file system"
    if stat.S_ISREG(facts.st_mode):
        return ""
    return LINK if stat.S_ISLNK(facts.st_mode) else "is not a regular file"
