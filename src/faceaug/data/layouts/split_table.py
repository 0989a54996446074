"""The table of ``faceaug split``: which part each picture belongs to, in any layout.

``faceaug-split.csv`` lies in the root of a folder, with the columns ``file_name``, ``partition`` (train, val or test)
and ``group`` (the identity or class that was kept together). Its partitions replace those of the layout, also where a
folder inside that root is opened.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, SPLITS, Doubt
from faceaug.data.layouts.added_tables import AddedTable, added_below, added_table
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Reading
from faceaug.data.marks import SPLIT_COLUMNS
from faceaug.data.metadata import match_rows
from faceaug.errors import AnnotationError, counted, printable, some

SPLIT_TABLE = "faceaug-split.csv"


def table_bytes(names: Iterable[str], partition: NDArray[np.int8], groups: Iterable[str]) -> bytes:
    """The file: a row for each picture that has a part.

    Args:
        names: paths of the pictures below the folder; those with a part must be in UTF-8.
        partition: (n,), 0 train, 1 val, 2 test, -1 none.
        groups: name of each picture's group.
    """
    words = {number: name for name, number in PARTITIONS.items()}
    rows = zip(names, partition.tolist(), groups, strict=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SPLIT_COLUMNS)
    writer.writerows((name, words[part], group) for name, part, group in rows if part >= 0)
    return text.getvalue().encode("utf-8")


def with_split_table(place: Place, reading: Reading) -> Reading:
    """Replace the partitions of a reading by those of ``faceaug-split.csv`` in the folder or above it.

    Other partitions in such a table below the folder become a doubt: they are about some of the pictures only.

    Raises:
        AnnotationError: the file is not a table of ``faceaug split``, or contradicts itself.
    """
    table = added_table(place, SPLIT_TABLE)
    if table is None:
        return _with_doubt(place, reading)
    partition, absent = _partition(table, reading)
    before = reading.known.partition
    known = replace(
        reading.known,
        partition=partition,
        doubts=tuple(doubt for doubt in reading.known.doubts if doubt.about != "partition"),
    )
    notes = _notes(table.shown, reading.names, before, partition, absent)
    used = reading.used | {table.shown}
    return replace(reading, known=known, notes=(*reading.notes, *notes), used=used)


def _with_doubt(place: Place, reading: Reading) -> Reading:
    """Add a doubt for the first table below the folder whose partitions are others than those of the layout."""
    for table in added_below(place, SPLIT_TABLE):
        try:
            partition, _ = _partition(table, reading)
        except AnnotationError:  # not a table of ``faceaug split``; it is named among the files that are not read
            continue
        differ = np.flatnonzero((partition >= 0) & (partition != reading.known.partition))
        if len(differ):
            examples = some([reading.names[k] for k in differ.tolist()])
            words = counted(len(differ), "picture has", "pictures have")
            says = f"{words} another partition in {printable(table.shown)} ({examples})"
            advice = "open the folder of that table, split this one (faceaug split), or take partition='all'"
            doubt = Doubt("partition", f"{printable(place.root)}: {says}: {advice}")
            known = replace(reading.known, doubts=(*reading.known.doubts, doubt))
            return replace(reading, known=known, notes=(*reading.notes, says), used=reading.used | {table.shown})
    return reading


def _partition(table: AddedTable, reading: Reading) -> tuple[NDArray[np.int8], list[str]]:
    """(part of each picture, -1 where the table has none; names in the table that are no picture)."""
    named = _parse(table)
    at = {name: k for k, name in enumerate(reading.names)}
    rows = np.array(match_rows(list(named), at), np.int64)
    partition = np.full(len(reading.names), -1, np.int8)
    parts = np.array(list(named.values()), np.int8)
    partition[rows[rows >= 0]] = parts[rows >= 0]
    return partition, [name for name, row in zip(named, rows.tolist(), strict=True) if row < 0]


def _parse(table: AddedTable) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in table.rows:
        name, word = str(row["file_name"]), row.get("partition")
        if not isinstance(word, str) or word not in PARTITIONS:
            shown = printable(word)
            raise AnnotationError(
                f"{printable(table.path)}: {printable(name)}: partition {shown!r}: expected {', '.join(PARTITIONS)}"
            )
        if found.setdefault(name, SPLITS[word]) != SPLITS[word]:
            raise AnnotationError(f"{printable(table.path)}: {printable(name)!r} is in two parts")
    return found


def _notes(
    table: str, names: tuple[str, ...], before: NDArray[np.int8], partition: NDArray[np.int8], absent: list[str]
) -> list[str]:
    count = int((partition >= 0).sum())
    notes = [f"partitions are those of {table} ({counted(count, 'picture')})"]
    differ = np.flatnonzero((before >= 0) & (before != partition))
    if len(differ):
        examples = some([names[k] for k in differ.tolist()])
        words = counted(len(differ), "picture has another one", "pictures have another one")
        notes[0] += f"; {words} in the layout's own tables or folders ({examples})"
    without = [names[k] for k in np.flatnonzero(partition < 0).tolist()]
    if without:
        words = counted(len(without), "picture is", "pictures are")
        notes.append(f"{words} not in {table} and in no partition ({some(without)})")
    if absent:
        words = counted(len(absent), "row names", "rows name")
        notes.append(f"{table}: {words} no picture here ({some(absent)})")
    return notes
