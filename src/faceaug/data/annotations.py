"""What is known of pictures: arrays over all of them, joined from CelebA's tables, and choices among their rows.

A table says which picture a row is about by its name; the row's position says nothing. So tables are always joined
by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.tables import ATTRIBUTES, LANDMARKS, Kind, Table, find_tables, read_table
from faceaug.errors import AnnotationError, ArgumentError, RefusedError, printable, some

__all__ = [
    "ALL",
    "ATTRIBUTES",
    "LANDMARKS",
    "ORIGINS",
    "PARTITIONS",
    "SPLITS",
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
# What folders and columns call the parts of the data: the words of Hugging Face datasets 5.2 (SPLIT_KEYWORDS).
SPLITS: dict[str, int] = {
    word: number
    for number, words in enumerate(
        (("train", "training"), ("val", "validation", "valid", "dev"), ("test", "testing", "eval", "evaluation"))
    )
    for word in words
}
ALL = "all"  # every partition, said on purpose
ORIGINS = ("real", "augmented", "synthetic")


def attribute_index(name: str) -> int:
    """The column of an attribute, 0..39, or ArgumentError that lists the forty."""
    try:
        return ATTRIBUTES.index(name)
    except ValueError:
        raise ArgumentError(f"unknown attribute {name!r}; the attributes are {', '.join(ATTRIBUTES)}") from None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question that a folder leaves open: two readings are possible, and they differ.

    Attributes:
        about: "partition", "label", "identity" or "attributes".
        says: both readings, and which option decides.
    """

    about: str
    says: str


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """What is known of n pictures, one row each; unknown where a table has no row.

    Attributes:
        attributes: int8 (n, 40), -1 no, +1 yes, 0 unknown.
        identity: int64 (n,), -1 unknown.
        label: int64 (n,), -1 unknown.
        partition: int8 (n,), 0 train, 1 validation, 2 test, -1 unknown.
        landmarks: float32 (n, 5, 2), x and y, pixel index; NaN unknown.
        weight: float32 (n,), 1 unless a table says otherwise.
        origin: int8 (n,), 0 real, 1 augmented, 2 synthetic.
        source: int64 (n,), row of the real picture an augmented one was made from, -1 none.
        boxes: float32 (n, 4), x, y, width and height of the face in pixels of the picture, NaN unknown; None where
            no table has any.
        points: float32 (n, k, 2), k landmarks like ``landmarks``, the 68 of iBUG for example; None where there are
            none.
        masks: for each picture the paths of its masks below the folder, by label; None where there are none.
        columns: further columns of the tables by name (age, caption, original number), one value for each picture,
            None unknown.
        doubts: questions that the folder leaves open.
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
        """Some of the rows, in the order given."""
        at = np.arange(len(self.label))[rows]
        arrays: dict[str, Any] = {name: array[at] for name, array in self.arrays().items()}
        masks = None if self.masks is None else tuple(self.masks[k] for k in at)
        columns = {name: tuple(values[k] for k in at) for name, values in self.columns.items()}
        return replace(self, **arrays, masks=masks, columns=columns)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays there are, by name."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def settle(known: Annotations, about: Collection[str]) -> None:
    """Refuse to go on with what a folder leaves open.

    Raises:
        RefusedError: two readings differ in one of these; the message names both and what decides.
    """
    for doubt in known.doubts:
        if doubt.about in about:
            raise RefusedError(doubt.says)


def unknown(n: int) -> Annotations:
    """Annotations of n pictures of which nothing is known."""
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
    """Which picture each row of a table is about.

    A row belongs to the picture of its name; else to the only one whose name differs in nothing but the ending, where
    no row has that picture's own name (tables of CelebA's PNG edition say .jpg).

    Args:
        rows: picture names in a table.
        place: the position of each picture's name.

    Returns:
        (found, others): int64 (rows,), -1 for rows without a picture; and the rows joined in spite of their ending.
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
        found[row] = free.pop(rows[row].rpartition(".")[0], -1)
    return found, [row for row in missing if found[row] >= 0]


def join_tables(tables: list[Table], names: list[str]) -> tuple[Annotations, list[str]]:
    """Join tables to pictures by name.

    Args:
        tables: as read by ``read_table``.
        names: picture names without folders, in the order wanted.

    Returns:
        (annotations, notes): one row per name; what is odd about a table: its own notes, rows without a picture,
        names that differ in their ending.

    Raises:
        AnnotationError: a table names none of the pictures: it belongs to another folder.
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
            notes.append(f"{table.path.name}: {missing} of {len(rows)} rows have no picture ({some(absent)})")
        notes += [f"{printable(table.path.name)}: {note}" for note in table.notes]
        if others:
            said, here = table.names[others[0]], names[int(rows[others[0]])]
            notes.append(
                f"{printable(table.path.name)}: {len(others)} rows belong to pictures with another ending "
                f"({printable(said)} is {printable(here)} here)"
            )
        fill(known, table, rows)
    return known, notes


def fill(known: Annotations, table: Table, rows: NDArray[np.int64]) -> None:
    """Put the values of a table into the rows of its pictures; -1 is a row without one."""
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
    """The real pictures of one part of the data.

    Args:
        known: annotations of all pictures.
        partition: "train", "val", "test" (or 0, 1, 2), or "all"; None is the train rows where a table has any,
            else all rows.

    Returns:
        (rows, assumed): int64 positions in order, and whether all were taken only because no table says otherwise.

    Raises:
        ArgumentError: there is no such partition.
        RefusedError: no real picture is in it; or it depends on a question that the folder leaves open.
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
