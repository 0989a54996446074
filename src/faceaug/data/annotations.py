"""Annotations of pictures: arrays over all pictures, joined from CelebA's tables, and selection of rows.

A table row identifies its picture by name, never by position, so tables are always joined by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.tables import ATTRIBUTES, LANDMARKS, Kind, Table, find_tables, read_table
from faceaug.errors import AnnotationError, ArgumentError, RefusedError, counted, printable, some

__all__ = [
    "ALL",
    "ATTRIBUTES",
    "AUGMENTED",
    "LANDMARKS",
    "ORIGINS",
    "PARTITIONS",
    "REAL",
    "SPLITS",
    "SYNTHETIC",
    "Annotations",
    "Doubt",
    "Kind",
    "Table",
    "attribute_index",
    "find_tables",
    "join_tables",
    "match_names",
    "read_table",
    "select_rows",
    "settle",
    "unknown",
]

PARTITIONS = {"train": 0, "val": 1, "test": 2}
# Names of partitions in folders and columns: the keywords of Hugging Face datasets 5.2 (SPLIT_KEYWORDS).
SPLITS: dict[str, int] = {
    word: number
    for number, words in enumerate(
        (("train", "training"), ("val", "validation", "valid", "dev"), ("test", "testing", "eval", "evaluation"))
    )
    for word in words
}
_ANOTHER = ("row belongs to a picture", "rows belong to pictures")
ALL = "all"  # every partition, requested explicitly
ORIGINS = ("real", "augmented", "synthetic")
REAL, AUGMENTED, SYNTHETIC = range(len(ORIGINS))  # in ``origin``


def attribute_index(name: str) -> int:
    """The column of an attribute, 0..39; ArgumentError with all forty names if it is unknown."""
    try:
        return ATTRIBUTES.index(name)
    except ValueError:
        raise ArgumentError(f"unknown attribute {name!r}; the attributes are {', '.join(ATTRIBUTES)}") from None


@dataclass(frozen=True, slots=True)
class Doubt:
    """An ambiguity of a folder: two possible readings that differ.

    Attributes:
        about: "partition", "label", "identity", "attributes" or "landmarks".
        says: both readings, and the option that decides.
    """

    about: str
    says: str


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Annotations of n pictures, one row each; values are unknown for pictures without a table row.

    Attributes:
        attributes: int8 (n, 40), -1 no, +1 yes, 0 unknown.
        identity: int64 (n,), -1 unknown.
        label: int64 (n,), -1 unknown.
        partition: int8 (n,), 0 train, 1 validation, 2 test, -1 unknown.
        landmarks: float32 (n, 5, 2), x and y, pixel index; NaN unknown.
        weight: float32 (n,), 1 unless a table gives another.
        origin: int8 (n,), 0 real, 1 augmented, 2 synthetic.
        source: int64 (n,), row of the real picture from which an augmented one was made, -1 none.
        boxes: float32 (n, 4), x, y, width and height of the face in pixels of the picture, NaN unknown; None if no
            table has boxes.
        points: float32 (n, k, 2), k landmarks like ``landmarks``, for example the 68 of iBUG; None if there are none.
        masks: for each picture the paths of its masks below the folder, by label; None if there are none.
        columns: further table columns by name (age, caption, original number), one value per picture, None unknown.
        doubts: ambiguities of the folder.
    """

    attributes: NDArray[np.int8]
    identity: NDArray[np.int64]
    label: NDArray[np.int64]
    partition: NDArray[np.int8]
    landmarks: NDArray[np.float32]
    weight: NDArray[np.float32]
    origin: NDArray[np.int8]
    source: NDArray[np.int64]
    boxes: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    masks: Sequence[Mapping[str, str]] | None = None
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()

    def take(self, rows: NDArray[np.int64] | slice) -> Annotations:
        """The given rows, in the given order."""
        at = np.arange(len(self.label))[rows]
        arrays: dict[str, Any] = {name: array[at] for name, array in self.arrays().items()}
        masks = None if self.masks is None else tuple(self.masks[k] for k in at)
        columns = {name: tuple(values[k] for k in at) for name, values in self.columns.items()}
        return replace(self, **arrays, masks=masks, columns=columns)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that are not None, by name."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def settle(known: Annotations, about: Collection[str]) -> None:
    """Refuse a folder that is ambiguous about any of these.

    Raises:
        RefusedError: two readings differ; the message names both and the option that decides.
    """
    for doubt in known.doubts:
        if doubt.about in about:
            raise RefusedError(doubt.says)


def unknown(n: int) -> Annotations:
    """Annotations of n pictures with all values unknown."""
    return Annotations(
        attributes=np.zeros((n, len(ATTRIBUTES)), np.int8),
        identity=np.full(n, -1, np.int64),
        label=np.full(n, -1, np.int64),
        partition=np.full(n, -1, np.int8),
        landmarks=np.full((n, 5, 2), np.nan, np.float32),
        weight=np.ones(n, np.float32),
        origin=np.zeros(n, np.int8),
        source=np.full(n, -1, np.int64),
    )


def match_names(rows: Sequence[str], place: Mapping[str, int]) -> tuple[NDArray[np.int64], list[int]]:
    """Match table rows to pictures.

    A row belongs to the picture of the same name. Otherwise it belongs to the only picture whose name differs just in
    the suffix, if that picture has no row of its own (tables of CelebA's PNG edition say .jpg; others say none).

    Args:
        rows: picture names in a table.
        place: the position of each picture's name.

    Returns:
        (found, others): int64 (rows,), -1 for rows without a picture; and the rows joined despite another suffix.
    """
    found = np.array([place.get(name, -1) for name in rows], dtype=np.int64)
    missing = np.flatnonzero(found < 0).tolist()
    if not missing or len(place) == len(found) - len(missing):
        return found, []
    taken = set(found.tolist())
    free: dict[str, int] = {}
    for name, at in place.items():
        if name and at not in taken:
            stem = name.rpartition(".")[0]
            free[stem] = -1 if stem in free else at
    for row in missing:
        stem, dot, _ = rows[row].rpartition(".")
        found[row] = free.pop(stem if dot else rows[row], -1)
    return found, [row for row in missing if found[row] >= 0]


def join_tables(tables: list[Table], names: list[str]) -> tuple[Annotations, list[str]]:
    """Join tables to pictures by name.

    Args:
        tables: as read by ``read_table``.
        names: picture names without folders; they define the order of the rows.

    Returns:
        (annotations, notes): one row per name; notes of the tables, rows without a picture, and names that differ in
        their suffix.

    Raises:
        AnnotationError: a table names none of the pictures, so it belongs to another folder.
    """
    known = unknown(len(names))
    place = {name: i for i, name in enumerate(names)}
    notes = []
    for table in tables:
        rows, others = match_names(table.names, place)
        missing = int((rows < 0).sum())
        if missing and missing == len(rows):
            raise AnnotationError(
                f"{printable(table.path)}: none of its {len(rows)} names ({some(list(table.names))}) is a picture here"
            )
        if missing:
            absent = [name for name, row in zip(table.names, rows, strict=True) if row < 0]
            have = counted(missing, "row has", "rows have")
            notes.append(f"{printable(table.path.name)}: {have} no picture, of {len(rows):,} ({some(absent)})")
        notes += [f"{printable(table.path.name)}: {note}" for note in table.notes]
        if others:
            in_table, here = table.names[others[0]], names[int(rows[others[0]])]
            notes.append(
                f"{printable(table.path.name)}: {counted(len(others), *_ANOTHER)} with another suffix "
                f"({printable(in_table)} is {printable(here)} here)"
            )
        fill(known, table, rows)
    return known, notes


def fill(known: Annotations, table: Table, rows: NDArray[np.int64]) -> None:
    """Copy the values of a table into the rows of its pictures; -1 marks a table row without a picture."""
    present = rows >= 0
    at, values = rows[present], table.values[present]
    if table.kind == "attributes":
        columns = np.array([ATTRIBUTES.index(name) for name in table.columns])
        known.attributes[np.ix_(at, columns)] = values
    elif table.kind == "identity":
        known.identity[at] = values[:, 0]
    elif table.kind == "partition":
        known.partition[at] = values[:, 0]
    elif table.kind == "boxes" and known.boxes is not None:
        known.boxes[at] = values
    elif table.kind == "landmarks":
        order = [table.columns.index(name) for name in LANDMARKS]
        known.landmarks[at] = values[:, order].reshape(-1, 5, 2)


def select_rows(known: Annotations, partition: str | int | None = None) -> tuple[NDArray[np.int64], bool]:
    """Select the real pictures of a partition.

    Args:
        known: annotations of all pictures.
        partition: "train", "val", "test" (or 0, 1, 2), or "all"; None selects the train rows if there are any,
            otherwise all rows.

    Returns:
        (rows, assumed): int64 positions in order, and whether all were selected only because no partition is known.

    Raises:
        ArgumentError: there is no such partition.
        RefusedError: it has no real picture, or the folder is ambiguous about partitions.
    """
    if partition != ALL:
        settle(known, ("partition",))
    real = known.origin == 0
    assumed = partition is None and not bool((real & (known.partition == PARTITIONS["train"])).any())
    if partition == ALL or assumed:
        rows = np.flatnonzero(real)
    else:
        name = "train" if partition is None else partition
        number = PARTITIONS.get(name, -1) if isinstance(name, str) else name
        if number not in PARTITIONS.values():
            raise ArgumentError(f"partition {partition!r}: expected one of {', '.join(PARTITIONS)}, {ALL}")
        rows = np.flatnonzero(real & (known.partition == number))
    if not len(rows):
        raise RefusedError(f"no real picture is in partition {ALL if partition is None else partition}")
    return rows, assumed
