"""What is known of pictures: arrays over all of them, joined from CelebA's tables, and choices among their rows.

A table says which picture a row is about by its name; the row's position says nothing. So tables are always joined
by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import AnnotationError, ArgumentError, RefusedError, printable, some
from faceaug.data.tables import ATTRIBUTES, LANDMARKS, Kind, Table, find_tables, read_table

__all__ = [
    "ALL",
    "ATTRIBUTES",
    "LANDMARKS",
    "ORIGINS",
    "PARTITIONS",
    "Annotations",
    "Kind",
    "Table",
    "attribute_index",
    "find_tables",
    "join_tables",
    "read_table",
    "select_rows",
    "unknown",
]

PARTITIONS = {"train": 0, "val": 1, "test": 2}
ALL = "all"  # every partition, said on purpose
ORIGINS = ("real", "augmented", "synthetic")


def attribute_index(name: str) -> int:
    """The column of an attribute, 0..39, or ArgumentError that lists the forty."""
    try:
        return ATTRIBUTES.index(name)
    except ValueError:
        raise ArgumentError(f"unknown attribute {name!r}; the attributes are {', '.join(ATTRIBUTES)}") from None


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
    """

    attributes: NDArray[np.int8]
    identity: NDArray[np.int64]
    label: NDArray[np.int64]
    partition: NDArray[np.int8]
    landmarks: NDArray[np.float32]
    weight: NDArray[np.float32]
    origin: NDArray[np.int8]
    source: NDArray[np.int64]


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


def join_tables(tables: list[Table], names: list[str]) -> tuple[Annotations, list[str]]:
    """Join tables to pictures by name.

    Args:
        tables: as read by ``read_table``.
        names: picture names without folders, in the order wanted.

    Returns:
        (annotations, notes): one row per name; a note for each table that has rows without a picture.

    Raises:
        AnnotationError: a table names none of the pictures: it belongs to another folder.
    """
    known = unknown(len(names))
    place = {name: i for i, name in enumerate(names)}
    notes = []
    for table in tables:
        rows = np.array([place.get(name, -1) for name in table.names], dtype=np.int64)
        missing = int((rows < 0).sum())
        if missing and missing == len(rows):
            raise AnnotationError(
                f"{printable(table.path)}: none of its {len(rows)} names ({some(list(table.names))}) is a picture here"
            )
        if missing:
            absent = [name for name, row in zip(table.names, rows, strict=True) if row < 0]
            notes.append(f"{table.path.name}: {missing} of {len(rows)} rows have no picture ({some(absent)})")
        _fill(known, table, rows)
    return known, notes


def _fill(known: Annotations, table: Table, rows: NDArray[np.int64]) -> None:
    present = rows >= 0
    at, values = rows[present], table.values[present]
    if table.kind == "attributes":
        columns = np.array([ATTRIBUTES.index(name) for name in table.columns])
        known.attributes[np.ix_(at, columns)] = values
    elif table.kind == "identity":
        known.identity[at] = values[:, 0]
    elif table.kind == "partition":
        known.partition[at] = values[:, 0]
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
        RefusedError: no real picture is in it.
    """
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
