"""A folder of face pictures as an immutable, sorted view. The only directory walk.

Layouts, told apart by what lies in the folder:

* CelebA: the folder with ``img_align_celeba/`` in it, or that folder itself; tables beside the pictures or above
* Hugging Face imagefolder: ``metadata.csv`` or ``metadata.jsonl``, in the folder or one in each of its sub-folders
  (``train/``, ``test/``); also what ``expand_dataset(...).save`` wrote
* class folders: every picture lies in a sub-folder, whose name is its class
* flat: anything else
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np

from faceaug.data.annotations import PARTITIONS, Annotations, find_tables, join_tables, read_table, unknown
from faceaug.data.crop import in_frame
from faceaug.errors import RefusedError, printable, some
from faceaug.storage.files import PARTIAL, existing_folder
from faceaug.data.image import SUFFIXES, Image8, read_image
from faceaug.data.metadata import METADATA_NAMES, join_rows, read_metadata

Layout: TypeAlias = Literal["celeba", "imagefolder", "classes", "flat"]
Target: TypeAlias = dict[str, Any]
CELEBA_PICTURES = "img_align_celeba"
_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
# Sub-folders that say which part of the data they hold, as Hugging Face names them.
_SPLITS = PARTITIONS | {"training": 0, "validation": 1, "valid": 1, "dev": 1, "testing": 2}


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
        stem, dot, ending = last_part(self.name).rpartition(".")
        return bool(stem) and dot + ending.lower() in SUFFIXES


@dataclass(frozen=True)
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

    @cached_property
    def pictures(self) -> tuple[File, ...]:
        """The files whose ending says picture."""
        return tuple(file for file in self.files if file.is_picture)


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
                entries = [entry for entry in found if not _is_hidden(entry)]
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


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name.lower() in _JUNK:
        return True
    # Files being written are called so; a folder of that name is the user's.
    return entry.name.endswith(PARTIAL) and not entry.is_dir(follow_symlinks=False)


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
        path: a folder in one of the layouts above.

    Attributes:
        root: the folder.
        names: tuple of picture paths below it, sorted.
        layout: "celeba", "imagefolder", "classes" or "flat".
        classes: names of the labels, in their order: the class folders, or the texts in a ``label`` column;
            empty where labels are numbers or there are none.
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
        tables = _metadata_tables(listing)
        self.layout: Layout = _layout(listing.root, self.names, tables)
        self.classes: tuple[str, ...] = ()
        self.annotations, notes = self._read_annotations(tables)
        _freeze(self.annotations)
        self.notes = tuple(notes + [f"{printable(name)}: {why}; left alone" for name, why in listing.skipped])

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
        """Only the target of picture ``index``; the keys are those of ``faceaug.data.folder.make_target``.

        Without the picture its size is not known: ``visible`` says only which landmarks are known.
        """
        position = range(len(self))[index]
        return make_target(self.annotations, position)

    def _read_annotations(self, metadata: tuple[str, ...]) -> tuple[Annotations, list[str]]:
        if self.layout == "imagefolder":
            return self._read_metadata(metadata)
        if self.layout == "classes":
            known = unknown(len(self.names))
            self.classes = tuple(sorted({name.split("/", 1)[0] for name in self.names}))
            numbers = {name: i for i, name in enumerate(self.classes)}
            known.label[:] = [numbers[name.split("/", 1)[0]] for name in self.names]
            return known, []
        tables = [read_table(path) for path in table_paths(self.root)]
        names = table_names(self.names)
        known, notes = join_tables(tables, names)
        return known, notes + (_twins(self.names, names) if tables else [])

    def _read_metadata(self, metadata: tuple[str, ...]) -> tuple[Annotations, list[str]]:
        rows: list[dict[str, Any]] = []
        for table in metadata:
            below = PurePosixPath(table).parent
            found = read_metadata(self.root / table)
            rows += [row | {"file_name": str(below / row["file_name"])} for row in found]
        source = self.root / metadata[0] if len(metadata) == 1 else self.root
        known, notes, self.classes = join_rows(source, rows, list(self.names))
        splits = np.array([_SPLITS.get(name.split("/", 1)[0], -1) for name in self.names], np.int8)
        silent = known.partition == -1
        known.partition[silent] = splits[silent]
        return known, notes


def _freeze(known: Annotations) -> None:
    for name in Annotations.__dataclass_fields__:
        getattr(known, name).flags.writeable = False


def table_names(names: Sequence[str]) -> list[str]:
    """What tables call each picture: its name without folders.

    Of several with one name, the one in CelebA's own folder, else the first, owns it; the others get an empty one.
    """
    owner: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (not name.startswith(f"{CELEBA_PICTURES}/"), name)):
        owner.setdefault(last_part(name), name)
    return [last if owner[last := last_part(name)] == name else "" for name in names]


def _twins(names: Sequence[str], plain: Sequence[str]) -> list[str]:
    twins = [name for name, own in zip(names, plain, strict=True) if not own]
    if not twins:
        return []
    return [f"{len(twins)} pictures share a name with another one and get no row of the tables ({some(twins)})"]


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


def _metadata_tables(listing: Listing) -> tuple[str, ...]:
    """The imagefolder tables: the one in the folder itself, else one for each sub-folder that has its own."""
    present = {file.name for file in listing.files}
    for name in METADATA_NAMES:
        if name in present:
            return (name,)
    found: dict[str, str] = {}
    for ending in METADATA_NAMES:
        for name in (name for name in present if name.endswith(f"/{ending}")):
            found.setdefault(name.rpartition("/")[0], name)
    return tuple(sorted(found.values()))


def find_layout(listing: Listing) -> Layout:
    """The layout of a listed folder."""
    return _layout(listing.root, tuple(file.name for file in listing.pictures), _metadata_tables(listing))


def _layout(root: Path, names: tuple[str, ...], metadata: tuple[str, ...]) -> Layout:
    if metadata:
        return "imagefolder"
    if table_paths(root) or any(name.startswith(f"{CELEBA_PICTURES}/") for name in names):
        return "celeba"
    return "classes" if all("/" in name for name in names) else "flat"
