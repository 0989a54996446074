"""The table of ``faceaug split``: which part each picture belongs to, in any layout.

``faceaug-split.csv`` lies in the root of a folder, with the columns ``file_name``, ``partition`` (train, val or test)
and ``group`` (the identity or class that was kept together). Its partitions replace those of the layout.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, SPLITS
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Reading
from faceaug.data.marks import SPLIT_COLUMNS
from faceaug.data.metadata import match_rows
from faceaug.errors import AnnotationError, counted, printable, some

SPLIT_TABLE = "faceaug-split.csv"


def table_bytes(names: Iterable[str], partition: NDArray[np.int8], groups: Iterable[str]) -> bytes:
    """The file: a row for each picture that has a part.

    Args:
        names: paths of the pictures below the folder.
        partition: (n,), 0 train, 1 val, 2 test, -1 none.
        groups: name of each picture's group.
    """
    words = {number: name for name, number in PARTITIONS.items()}
    rows = zip(names, partition.tolist(), groups, strict=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SPLIT_COLUMNS)
    writer.writerows((name, words[part], group) for name, part, group in rows if part >= 0)
    return text.getvalue().encode("utf-8", "surrogateescape")


def with_split_table(place: Place, reading: Reading) -> Reading:
    """Replace the partitions of a reading by those of the folder's ``faceaug-split.csv``, if it has one.

    Raises:
        AnnotationError: the file is not a table of ``faceaug split``, or contradicts itself.
    """
    if SPLIT_TABLE not in place.others:
        return reading
    path = place.file(SPLIT_TABLE)
    named = _parse(path, place.rows(path))
    at = {name: k for k, name in enumerate(reading.names)}
    rows = np.array(match_rows(list(named), at), np.int64)
    absent = [name for name, row in zip(named, rows.tolist(), strict=True) if row < 0]
    partition = np.full(len(reading.names), -1, np.int8)
    parts = np.array(list(named.values()), np.int8)
    partition[rows[rows >= 0]] = parts[rows >= 0]
    before = reading.known.partition
    known = replace(
        reading.known,
        partition=partition,
        doubts=tuple(doubt for doubt in reading.known.doubts if doubt.about != "partition"),
    )
    notes = _notes(reading.names, before, partition, absent)
    return replace(reading, known=known, notes=(*reading.notes, *notes), used=reading.used | {SPLIT_TABLE})


def _parse(path: Path, rows: list[dict[str, object]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        name, word = str(row["file_name"]), row.get("partition")
        if not isinstance(word, str) or word not in PARTITIONS:
            shown = printable(word)
            raise AnnotationError(
                f"{printable(path)}: line {number}: partition {shown!r}: expected {', '.join(PARTITIONS)}"
            )
        if found.setdefault(name, SPLITS[word]) != SPLITS[word]:
            raise AnnotationError(f"{printable(path)}: line {number}: {printable(name)!r} is in two parts")
    return found


def _notes(
    names: tuple[str, ...], before: NDArray[np.int8], partition: NDArray[np.int8], absent: list[str]
) -> list[str]:
    count = int((partition >= 0).sum())
    notes = [f"partitions are those of {SPLIT_TABLE} ({counted(count, 'picture')})"]
    differ = np.flatnonzero((before >= 0) & (before != partition))
    if len(differ):
        examples = some([names[k] for k in differ.tolist()])
        words = counted(len(differ), "picture has another one", "pictures have another one")
        notes[0] += f"; {words} in the layout's own tables or folders ({examples})"
    without = [names[k] for k in np.flatnonzero(partition < 0).tolist()]
    if without:
        words = counted(len(without), "picture is", "pictures are")
        notes.append(f"{words} not in {SPLIT_TABLE} and in no partition ({some(without)})")
    if absent:
        words = counted(len(absent), "row names", "rows name")
        notes.append(f"{SPLIT_TABLE}: {words} no picture here ({some(absent)})")
    return notes
