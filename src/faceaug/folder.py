"""A folder of face pictures as an immutable, sorted view. The only directory walk.

Layouts, told apart by what lies in the folder:

* CelebA: the folder with ``img_align_celeba/`` in it, or that folder itself; tables beside the pictures or above
* Hugging Face imagefolder: ``metadata.csv`` or ``metadata.jsonl``; also what ``expand_dataset(...).save`` wrote
* class folders: every picture lies in a sub-folder, whose name is its class
* flat: anything else
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np

from faceaug.annotations import (
    METADATA_NAMES,
    Annotations,
    find_tables,
    join_metadata,
    join_tables,
    read_table,
    unknown,
)
from faceaug.errors import RefusedError, printable
from faceaug.files import PARTIAL, existing_folder
from faceaug.image import SUFFIXES, Image8, read_image

Layout: TypeAlias = Literal["celeba", "imagefolder", "classes", "flat"]
Target: TypeAlias = dict[str, Any]
CELEBA_PICTURES = "img_align_celeba"
_JUNK = frozenset({"thumbs.db", "desktop.ini"})


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
        return PurePosixPath(self.name).suffix.lower() in SUFFIXES


@dataclass(frozen=True, slots=True)
class Listing:
    """All regular files below a folder, sorted by the bytes of their names.

    Attributes:
        root: the folder.
        files: the files; hidden ones and system junk are left out.
        skipped: (name, why) of what looked like a picture but is not a regular file, and of folders not entered.
    """

    root: Path
    files: tuple[File, ...]
    skipped: tuple[tuple[str, str], ...]

    @property
    def pictures(self) -> tuple[File, ...]:
        """The files whose ending says picture."""
        return tuple(file for file in self.files if file.is_picture)


def list_folder(path: Path | str) -> Listing:
    """List a folder: regular files only, no link followed, no other file system entered.

    Raises:
        ArgumentError: there is no such folder.
    """
    root = existing_folder(path)
    device = root.stat().st_dev
    files: list[File] = []
    skipped: list[tuple[str, str]] = []
    for name, facts, problem in _walk(root, "", device):
        if facts is not None:
            files.append(File(name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        else:
            skipped.append((name, problem))
    return Listing(root, tuple(sorted(files, key=lambda f: os.fsencode(f.name))), tuple(sorted(skipped)))


def _walk(root: Path, below: str, device: int) -> Iterator[tuple[str, os.stat_result | None, str]]:
    try:
        entries = list(os.scandir(root / below))
    except OSError as error:
        yield below, None, f"cannot be listed ({error.strerror})"
        return
    for entry in entries:
        name = f"{below}/{entry.name}" if below else entry.name
        if entry.name.startswith(".") or entry.name.lower() in _JUNK or entry.name.endswith(PARTIAL):
            continue
        facts = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(facts.st_mode):
            if facts.st_dev == device:
                yield from _walk(root, name, device)
            else:
                yield name, None, "is on another file system"
        elif stat.S_ISREG(facts.st_mode):
            yield name, facts, ""
        elif stat.S_ISLNK(facts.st_mode):
            yield name, None, "is a symbolic link"
        else:
            yield name, None, "is not a regular file"


class FaceFolder:
    """A folder of face pictures with what its tables say about them: a map-style dataset.

    ``folder[i]`` is ``(image, target)``: a uint8 (height, width, 3) RGB array and a dict with the same keys for
    every item, so that torch's default collate works (for pictures of one size).

    Args:
        path: a folder in one of the layouts above.

    Attributes:
        root: the folder.
        names: tuple of picture paths below it, sorted.
        layout: "celeba", "imagefolder", "classes" or "flat".
        classes: names of the class folders, in the order of the labels; empty for other layouts.
        annotations: arrays over all pictures; read-only.
        notes: what was odd but not wrong, a line each (rows without a picture, links not followed).

    Raises:
        ArgumentError: there is no such folder.
        RefusedError: there are no pictures in it.
        AnnotationError: a table contradicts itself.
    """

    def __init__(self, path: Path | str) -> None:
        listing = list_folder(path)
        self.root = listing.root
        self.names: tuple[str, ...] = tuple(file.name for file in listing.pictures)
        if not self.names:
            raise RefusedError(
                f"{printable(path)}: no pictures in it ({', '.join(SUFFIXES)}); give the folder that holds them"
            )
        self.layout: Layout = _layout(listing.root, self.names)
        self.classes: tuple[str, ...] = ()
        self.annotations, notes = self._read_annotations()
        for array in (getattr(self.annotations, name) for name in Annotations.__dataclass_fields__):
            array.flags.writeable = False
        self.notes = tuple(notes + [f"{printable(name)}: {why}; left alone" for name, why in listing.skipped])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Image8, Target]:
        return self.read(index), self.target(index)

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
        """Only the target of picture ``index``; the keys are those of ``faceaug.folder.make_target``."""
        position = range(len(self))[index]
        return make_target(self.annotations, position)

    def _read_annotations(self) -> tuple[Annotations, list[str]]:
        if self.layout == "imagefolder":
            table = next(self.root / name for name in METADATA_NAMES if (self.root / name).is_file())
            return join_metadata(table, list(self.names))
        if self.layout == "classes":
            known = unknown(len(self.names))
            self.classes = tuple(sorted({name.split("/", 1)[0] for name in self.names}))
            numbers = {name: i for i, name in enumerate(self.classes)}
            known.label[:] = [numbers[name.split("/", 1)[0]] for name in self.names]
            return known, []
        tables = [read_table(path) for path in table_paths(self.root)]
        return join_tables(tables, [PurePosixPath(name).name for name in self.names])


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


def table_paths(root: Path) -> list[Path]:
    """The CelebA tables that belong to a folder: in it, or above it when it is ``img_align_celeba`` itself."""
    found = find_tables(root)
    if not found and root.resolve().name == CELEBA_PICTURES:
        above = root.resolve().parent
        found = find_tables(above.parent if above.name == CELEBA_PICTURES else above)
    return found


def _layout(root: Path, names: tuple[str, ...]) -> Layout:
    if any((root / name).is_file() for name in METADATA_NAMES):
        return "imagefolder"
    if table_paths(root) or any(name.startswith(f"{CELEBA_PICTURES}/") for name in names):
        return "celeba"
    return "classes" if all("/" in name for name in names) else "flat"
