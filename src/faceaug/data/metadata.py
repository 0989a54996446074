"""Hugging Face imagefolder metadata: one row per file, with any columns.

``metadata.csv`` or ``metadata.jsonl``, also what an expanded folder is described by. Columns faceaug knows are read
into annotations; the others are left alone.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS, ORIGINS, PARTITIONS, Annotations, unknown
from faceaug.data.tables import read_text, text_lines
from faceaug.errors import AnnotationError, printable, some
from faceaug.storage.schema import parse_json

METADATA_NAMES = ("metadata.csv", "metadata.jsonl")
_PARTITION_NAMES = PARTITIONS | {"validation": 1, "valid": 1}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?", re.ASCII)
_TRUTHS = ("True", "true", "False", "false")


def read_metadata(path: Path) -> list[dict[str, Any]]:
    """Read a Hugging Face imagefolder table: rows with ``file_name`` and any other columns.

    Returns:
        One dict per row; values are texts from CSV and whatever JSON holds from JSON Lines, without
        nulls. File names are relative, with "/" and without "." parts.

    Raises:
        AnnotationError: no ``file_name`` column, a name twice, absolute or pointing outside, a line
            that is no row.
    """
    text = read_text(path)
    try:
        rows = _csv_rows(path, text) if path.suffix == ".csv" else _json_rows(text)
    except (csv.Error, ValueError) as error:
        raise AnnotationError(f"{printable(path)}: not a readable table ({error})") from error
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            raise AnnotationError(f"{printable(path)}: row {number}: expected a file_name")
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise AnnotationError(f"{printable(path)}: row {number}: {printable(name)} points outside the folder")
        if str(inside) in seen:
            raise AnnotationError(f"{printable(path)}: {printable(name)} has two rows; keep one")
        seen.add(str(inside))
        row["file_name"] = str(inside)
    return rows


def _csv_rows(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    columns = list(reader.fieldnames or ())
    if "file_name" not in columns:
        raise AnnotationError(f"{printable(path)}: the first line names no column file_name")
    if len(set(columns)) != len(columns):
        raise AnnotationError(f"{printable(path)}: a column occurs twice")
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise AnnotationError(f"{printable(path)}: line {reader.line_num}: expected {len(columns)} values")
        rows.append(dict(row))
    return rows


def _json_rows(text: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text_lines(text), start=1):
        if line.strip():
            row = parse_json(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not a JSON object")
            rows.append({key: value for key, value in row.items() if value is not None})
    return rows


def join_metadata(path: Path, names: list[str]) -> tuple[Annotations, list[str]]:
    """Join an imagefolder table to pictures by their path in the folder; see ``join_tables``.

    Raises:
        AnnotationError: a row names a file that is not there (``datasets`` refuses such a folder
            too), or a column that faceaug knows holds something it cannot be.
    """
    known, notes, _ = join_rows(path, read_metadata(path), names)
    return known, notes


def join_rows(
    path: Path, rows: list[dict[str, Any]], names: list[str]
) -> tuple[Annotations, list[str], tuple[str, ...]]:
    """Join rows of metadata to pictures by their path in the folder.

    Args:
        path: what errors and notes call the table.
        rows: as read by ``read_metadata``.
        names: picture paths below the folder, in the order wanted.

    Returns:
        (annotations, notes, classes). Where labels are texts, ``classes`` holds them sorted and the
        labels are their positions; where they are whole numbers, ``classes`` is empty.

    Raises:
        AnnotationError: see ``join_metadata``.
    """
    place = {name: i for i, name in enumerate(names)}
    absent = [row["file_name"] for row in rows if row["file_name"] not in place]
    if absent:
        raise AnnotationError(f"{printable(path)}: {len(absent)} rows name no picture here ({some(absent)})")
    known = unknown(len(names))
    at = np.array([place[row["file_name"]] for row in rows], dtype=np.int64)
    columns = _Columns(path, rows)
    classes = _class_names(columns)
    for name, target, parse in (
        ("identity", known.identity, _count),
        ("label", known.label, _lookup(classes) if classes else _count),
        ("partition", known.partition, _partition),
        ("origin", known.origin, _origin),
        ("weight", known.weight, _weight),
    ):
        columns.fill(name, target, at, parse)
    for k, name in enumerate(ATTRIBUTES):
        columns.fill(name, known.attributes[:, k], at, _sign)
    for k, name in enumerate(LANDMARKS):
        columns.fill(name, known.landmarks[:, k // 2, k % 2], at, _finite)
    _fill_sources(known, rows, place)
    extra = len(names) - len(rows)
    return known, [f"{path.name}: {extra} pictures have no row"] if extra else [], classes


class _Columns:
    """Columns of metadata rows, parsed cell by cell; equal texts once."""

    def __init__(self, path: Path, rows: list[dict[str, Any]]) -> None:
        self._path = path
        self._rows = rows
        self._names = set().union(*rows) if rows else set()

    def cells(self, name: str) -> list[Any]:
        """The cells of one column; "" where a row has none."""
        return [row.get(name, "") for row in self._rows] if name in self._names else []

    def fill(
        self,
        name: str,
        target: NDArray[Any],
        at: NDArray[np.int64],
        parse: Callable[[Any], float],
    ) -> None:
        """Parse a column into the rows of an array; empty cells leave what is there."""
        cells = self.cells(name)
        given = [k for k, cell in enumerate(cells) if cell != ""]
        if all(isinstance(cell, str) for cell in cells):
            first = {cells[k]: k for k in reversed(given)}
            parsed = {cell: self._parsed(first[cell], name, cell, parse) for cell in reversed(first)}
            target[at[given]] = [parsed[cells[k]] for k in given]
        else:  # JSON: equal cells may mean different things (0 and false)
            target[at[given]] = [self._parsed(k, name, cells[k], parse) for k in given]

    def _parsed(self, k: int, name: str, cell: Any, parse: Callable[[Any], float]) -> float:
        try:
            return parse(cell)
        except (KeyError, OverflowError, TypeError, ValueError):
            raise AnnotationError(
                f"{printable(self._path)}: {printable(self._rows[k]['file_name'])}: {name} is "
                f"{printable(repr(cell)[:60])}; expected {_EXPECTED.get(name, '-1, 0 or 1')}"
            ) from None


_EXPECTED = {
    "identity": "a whole number from -1",
    "label": "a whole number from -1",
    "partition": "train, val, test, 0, 1, 2 or -1",
    "origin": f"one of {', '.join(ORIGINS)}",
    "weight": "a number from 0",
} | dict.fromkeys(LANDMARKS, "a number of pixels, or nothing")


def _class_names(columns: _Columns) -> tuple[str, ...]:
    cells = [cell for cell in columns.cells("label") if cell != ""]
    if all(not isinstance(cell, str) or _NUMBER.fullmatch(cell.strip()) for cell in cells):
        return ()
    return tuple(sorted({str(cell) for cell in cells}))


def _lookup(classes: tuple[str, ...]) -> Callable[[Any], float]:
    numbers = {name: i for i, name in enumerate(classes)}
    return lambda cell: numbers[str(cell)]


def _finite(cell: Any) -> float:
    number = float(cell)
    if math.isinf(number):
        raise ValueError
    return number


def _whole(cell: Any) -> int:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()) and "." not in cell:
        return int(cell)  # not by way of a float, which rounds beyond 2**53
    if isinstance(cell, int):
        return int(cell)
    if not float(cell).is_integer():
        raise ValueError
    return int(float(cell))


def _count(cell: Any) -> int:
    number = _whole(cell)
    if not -1 <= number < 2**63:
        raise ValueError
    return number


def _weight(cell: Any) -> float:
    number = _finite(cell)
    if not number >= 0:
        raise ValueError
    return number


def _sign(cell: Any) -> int:
    if isinstance(cell, bool) or cell in _TRUTHS:
        return 1 if str(cell).lower() == "true" else -1
    number = _whole(cell)
    if number not in {-1, 0, 1}:
        raise ValueError
    return number


def _partition(cell: Any) -> int:
    if isinstance(cell, str) and cell in _PARTITION_NAMES:
        return _PARTITION_NAMES[cell]
    number = _whole(cell)
    if number not in {-1, 0, 1, 2}:
        raise ValueError
    return number


def _origin(cell: Any) -> int:
    return ORIGINS.index(cell)


def _fill_sources(known: Annotations, rows: list[dict[str, Any]], place: dict[str, int]) -> None:
    """An augmented row belongs to the real row that was made from the same source file."""
    real = {
        row["source_file"]: place[row["file_name"]]
        for row in rows
        if row.get("source_file") and row.get("origin") == "real"
    }
    for row in rows:
        if row.get("source_file"):
            known.source[place[row["file_name"]]] = real.get(row["source_file"], -1)
