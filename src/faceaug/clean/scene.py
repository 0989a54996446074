"""A folder before cleaning: its files and its tables, each listed and read once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.tables import every_table
from faceaug.data.annotations import Annotations, Table
from faceaug.data.folder import FaceFolder, Layout, table_paths
from faceaug.data.layouts import Place, choose_layout
from faceaug.data.layouts.added_tables import added_table
from faceaug.data.layouts.landmark_table import LANDMARK_TABLE, landmark_table
from faceaug.data.layouts.split_table import SPLIT_TABLE
from faceaug.data.metadata import match_rows
from faceaug.data.metadata_files import METADATA_NAMES, Source
from faceaug.errors import AnnotationError, FaceAugError, RefusedError, printable
from faceaug.storage.walk import Listing, last_part, list_folder

_TABLES = (".txt", ".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True, eq=False)
class Originals:
    """The tables of a folder as they are written, for a copy that gets tables of its own.

    Attributes:
        tables: every CelebA table in both forms, with its text.
        metadata: imagefolder table below the folder -> its content, and ``file_name`` of each row.
    """

    tables: tuple[tuple[Table, str], ...] = ()
    metadata: Mapping[str, tuple[Source, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A folder before cleaning.

    Attributes:
        folder: the folder as the caller spelled it.
        listing: its files.
        layout: see ``faceaug.data.folder``.
        tables: its CelebA tables.
        named: pictures that have a row in imagefolder metadata. These are never set aside: with a row for a missing
            file, ``FaceFolder`` would not read the folder and ``datasets`` would stop at that row.
        followed: table of faceaug's own that every layout reads -> the pictures that have a row in it. These may leave.
        annotations: annotations of the pictures, in their order; None if they are joined after name repair, or if
            there are none.
        partition: by a split of faceaug's, of the pictures in their order; None without one. It counts before that of
            other tables.
        classes: names of the labels in ``annotations``.
        identities: names of the identities in ``annotations``; empty if they are numbers.
        notes: remarks about the folder.
        copying: whether a cleaned copy is written, with its own tables, instead of moving files.
        originals: for a copy, the tables as they are written.
    """

    folder: str
    listing: Listing
    layout: Layout
    tables: tuple[Table, ...]
    named: frozenset[str]
    annotations: Annotations | None
    classes: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    copying: bool = False
    originals: Originals = field(default_factory=Originals)
    followed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    partition: NDArray[np.int8] | None = None

    def must_stay(self, name: str) -> bool:
        """Whether the metadata requires a picture."""
        return name in self.named and not self.copying


def look(path: Path | str, *, copying: bool = False) -> Scene:
    """List a folder and read its tables.

    Args:
        path: the folder.
        copying: whether a cleaned copy will be written, instead of moving files.

    Raises:
        ArgumentError: the folder does not exist.
        RefusedError: the folder has no pictures.
        AnnotationError: a table contradicts itself.
        FaceAugError: the disk cannot be read.
    """
    try:
        return _look(path, copying=copying)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        place = path if error.filename is None else os.fsdecode(error.filename)
        raise FaceAugError(f"{printable(place)}: cannot be read ({reason}); nothing was changed") from error


def _look(path: Path | str, *, copying: bool) -> Scene:
    listing = list_folder(path)
    if not listing.pictures:
        raise RefusedError(f"{listing.no_pictures()}. Nothing was changed")
    for name, problem in listing.skipped:  # without its rows nobody knows what they would have said of the pictures
        if name.endswith(_TABLES) and problem.startswith("cannot be"):
            raise FaceAugError(f"{printable(listing.root / name)}: {problem}; nothing was changed")
    place = Place.of(listing)
    faces, notes = _open(listing, place)
    layout = faces.layout
    listing = replace(listing, apart=frozenset(place.pictures) - frozenset(faces.names))
    return Scene(
        folder=str(path),
        listing=listing,
        layout=layout,
        tables=tuple(map(place.table, table_paths(place))) if layout == "celeba" else (),
        named=frozenset(_named(place, _metadata(place))) if layout == "imagefolder" else frozenset(),
        annotations=None if layout in {"celeba", "classes", "flat"} else faces.annotations,
        classes=faces.classes,
        identities=faces.identities,
        notes=notes,
        copying=copying,
        originals=_originals(place, layout) if copying else Originals(),
        followed={name: frozenset(_named(place, [name])) for name in _own_tables(place)},
        partition=_split(place, faces, listing),
    )


def _split(place: Place, faces: FaceFolder, listing: Listing) -> NDArray[np.int8] | None:
    if added_table(place, SPLIT_TABLE) is None:
        return None
    parts = dict(zip(faces.names, faces.annotations.partition.tolist(), strict=True))
    return np.array([parts.get(file.name, -1) for file in listing.pictures], np.int8)


def _open(listing: Listing, place: Place) -> tuple[FaceFolder, tuple[str, ...]]:
    """The folder and its notes. Read as flat if its tables are faulty and cleaning does not need them."""
    try:
        faces = FaceFolder.from_listing(listing, place=place)
    except AnnotationError as error:
        if choose_layout(place).layout in {"celeba", "imagefolder"}:
            raise
        faces = FaceFolder.from_listing(listing, "flat", place=place)
        return faces, (f"cleaned without labels: {error}", *faces.notes)
    return faces, faces.notes


def _metadata(place: Place) -> list[str]:
    return [name for name in place.others if last_part(name) in METADATA_NAMES]


def _named(place: Place, tables: Iterable[str]) -> Iterator[str]:
    """The pictures that have a row in these imagefolder tables, also under another separator or suffix."""
    here = {name: k for k, name in enumerate(place.pictures)}
    for table in tables:
        folder = PurePosixPath(table).parent
        rows = [str(folder / row["file_name"]) for row in place.rows(place.file(table))]
        yield from (place.pictures[at] for at in match_rows(rows, here) if at >= 0)


def _own_tables(place: Place) -> list[str]:
    """The tables in the folder itself, next to those of the layout, that every layout reads."""
    split = [SPLIT_TABLE] if SPLIT_TABLE in place.others else []
    landmarks = landmark_table(place)
    return [*split, LANDMARK_TABLE] if landmarks is not None and landmarks.shown == LANDMARK_TABLE else split


def _originals(place: Place, layout: Layout) -> Originals:
    celeba = tuple((table, place.text(table.path)) for table in every_table(place)) if layout == "celeba" else ()
    listed = _metadata(place) if layout == "imagefolder" else []
    paths = {name: place.file(name) for name in listed}
    metadata = {name: (place.source(path), _names(place.rows(path))) for name, path in paths.items()}
    added = {SPLIT_TABLE: added_table(place, SPLIT_TABLE), LANDMARK_TABLE: landmark_table(place)}
    metadata |= {name: (table.text, _names(table.rows)) for name, table in added.items() if table and table.rows}
    return Originals(celeba, metadata)


def _names(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(row["file_name"] for row in rows)
