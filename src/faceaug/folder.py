"""A folder of face pictures as an immutable, sorted view. The only directory walk.

What the folder says is found out by the readers in ``faceaug.data.layouts``, one for each layout.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from faceaug.annotations import Annotations
from faceaug.crop import in_frame
from faceaug.data.containers import kind_of, open_container
from faceaug.data.layouts import Layout, Place, choose_layout, read_layout
from faceaug.data.layouts.celeba import ALIGNED as CELEBA_PICTURES, table_names, table_paths as place_tables
from faceaug.data.layouts.leftovers import unread_pictures
from faceaug.errors import RefusedError, printable
from faceaug.files import PARTIAL, existing_folder
from faceaug.image import SUFFIXES, Image8, read_image

__all__ = [
    "CELEBA_PICTURES",
    "CLASS_FOLDERS",
    "FaceFolder",
    "File",
    "Layout",
    "Listing",
    "Target",
    "find_layout",
    "last_part",
    "list_folder",
    "make_target",
    "table_names",
    "table_paths",
]

Target: TypeAlias = dict[str, Any]
CLASS_FOLDERS: frozenset[Layout] = frozenset({"classes", "lfw", "identities"})  # a folder more would be a class more
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
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def is_picture(self) -> bool:
        """Whether its ending says picture."""
        return _is_picture(self.name)


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

    def place(self) -> Place:
        """The names alone, for the readers of layouts."""
        others = tuple(file.name for file in self.files if not file.is_picture)
        return Place(self.root, tuple(file.name for file in self.files if file.is_picture), others)


def _is_picture(name: str) -> bool:
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
                entries = [entry for entry in found if not _is_hidden(entry.name)]
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


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK or name.endswith(PARTIAL)


def _problem(facts: os.stat_result, device: int) -> str:
    if stat.S_ISDIR(facts.st_mode):
        return "" if facts.st_dev == device else "is on another file system"
    if stat.S_ISREG(facts.st_mode):
        return ""
    return "is a symbolic link" if stat.S_ISLNK(facts.st_mode) else "is not a regular file"


class FaceFolder:
    """A folder of face pictures with what its tables say about them: a map-style dataset.

    ``folder[i]`` is ``(image, target)``: a uint8 (height, width, 3) RGB array and a dict with the same keys for
    every item, so that torch's default collate works (for pictures of one size).

    Args:
        path: a folder, or a ZIP, tar or RecordIO file, which is read without unpacking.
        layout: how to read it, one of ``faceaug.data.layouts.LAYOUTS``; None to find out.

    Attributes:
        root: the folder.
        names: tuple of picture paths below it, sorted.
        layout: which layout it was read in, and ``evidence`` what speaks for that.
        classes: names of the labels, in their order: the class folders, or the texts in a ``label`` column;
            empty where labels are numbers or there are none.
        identities: names of the identities: identity k is ``identities[k]``; empty where identities are numbers.
        annotations: arrays over all pictures; read-only.
        notes: what was odd but not wrong, a line each: rows without a picture, guesses, files seen and not used.

    Raises:
        ArgumentError: there is no such folder or layout, or nothing there is of that layout.
        RefusedError: there are no pictures in it.
        AnnotationError: a table contradicts itself.
    """

    def __init__(self, path: Path | str, layout: str | None = None) -> None:
        place, skipped = _look(path)
        if not place.pictures:
            unread = unread_pictures(place.others)
            raise RefusedError(
                f"{printable(path)}: no pictures in it ({', '.join(SUFFIXES)}); give the folder that holds them"
                + (f". These are not read: {unread}" if unread else "")
            )
        choice, reading = read_layout(place, layout)
        self.root = place.root
        self.names: tuple[str, ...] = reading.names
        self.layout: Layout = choice.layout
        self.evidence = choice.why
        self.classes, self.identities = reading.classes, reading.identities
        self.in_class_folders = reading.class_folders
        self.annotations = reading.known
        _freeze(self.annotations)
        self.notes = reading.notes + tuple(f"{printable(name)}: {why}; left alone" for name, why in skipped)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # numpy forgets on its way to a worker process that an array was read-only.
        self.__dict__.update(state)
        _freeze(self.annotations)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Image8, Target]:
        image, target = self.read(index), self.target(index)
        return image, target | {"visible": in_frame(target["landmarks"], image.shape[:2])}

    def __iter__(self) -> Iterator[tuple[Image8, Target]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"FaceFolder({str(self.root)!r}): {len(self)} pictures, layout {self.layout}"

    def read(self, index: int) -> Image8:
        """Only the picture: uint8 (height, width, 3), RGB; ImageError if it cannot be read."""
        return read_image(self.path(index))

    def path(self, index: int) -> Path:
        """Where picture ``index`` lies."""
        return self.root / self.names[index]

    def target(self, index: int) -> Target:
        """Only the target of picture ``index``; the keys are those of ``faceaug.folder.make_target``.

        Without the picture its size is not known: ``visible`` says only which landmarks are known.
        """
        position = range(len(self))[index]
        return make_target(self.annotations, position)


def _look(path: Path | str) -> tuple[Place, tuple[tuple[str, str], ...]]:
    """The names in a folder or container, and (name, why) of what was left alone."""
    root = Path(path)
    if kind_of(root.name) and root.is_file():
        return _within(root, ("",))
    listing = list_folder(root)
    place = listing.place()
    containers = tuple(name for name in place.others if kind_of(name))
    if place.pictures or not containers:
        return place, listing.skipped
    found, left = _within(root, containers)
    others = (name for name in place.others if name not in containers)
    return Place(root, found.pictures, tuple(sorted((*others, *found.others)))), (*listing.skipped, *left)


def _within(root: Path, containers: Sequence[str]) -> tuple[Place, tuple[tuple[str, str], ...]]:
    """The names in containers, as if these were folders."""
    names: list[str] = []
    left: list[tuple[str, str]] = []
    for container in containers:
        contents = open_container(root / container)
        below = f"{container}/" if container else ""
        names += [below + name for name in contents.members if not any(map(_is_hidden, name.split("/")))]
        left += [(below + name, why) for name, why in contents.left]
    names.sort(key=os.fsencode)
    pictures = tuple(name for name in names if _is_picture(name))
    return Place(root, pictures, tuple(name for name in names if not _is_picture(name))), tuple(left)


def _freeze(known: Annotations) -> None:
    for array in known.arrays().values():
        array.flags.writeable = False


def make_target(known: Annotations, position: int) -> Target:
    """One row of annotations as the target dict of the contract (numpy arrays and scalars, never None)."""
    landmarks = known.landmarks[position]
    return {
        "attributes": known.attributes[position].copy(),
        "identity": int(known.identity[position]),
        "label": int(known.label[position]),
        "partition": known.partition[position],
        "landmarks": landmarks.copy(),
        "visible": ~np.isnan(landmarks).any(axis=1),
        "origin": int(known.origin[position]),
        "source": int(known.source[position]),
        "weight": known.weight[position],
        "index": position,
    }


def table_paths(root: Path, place: Place | None = None) -> list[Path]:
    """The CelebA tables that belong to a folder: in it, or above it where it is one of CelebA's own.

    Args:
        root: the folder.
        place: its names, where they are known already.

    Returns:
        Of a table in both forms, the published .txt.
    """
    found = place_tables(list_folder(root).place() if place is None else place)
    return [path for path in found if path.suffix == ".txt" or path.with_suffix(".txt") not in found]


def find_layout(listing: Listing) -> Layout:
    """The layout of a listed folder."""
    return choose_layout(listing.place()).layout
