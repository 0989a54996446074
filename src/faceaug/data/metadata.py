"""Hugging Face imagefolder metadata: one row per file, with any columns.

Columns known to faceaug become arrays; the others are kept unchanged in ``Annotations.columns``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS, ORIGINS, SPLITS, Annotations, match_names, unknown
from faceaug.data.metadata_files import read_metadata
from faceaug.errors import AnnotationError, counted, printable, some

BOXES = ("box_x", "box_y", "box_width", "box_height")
CLASS = "class"  # the column with the names of numeric labels
_MOST_CLASSES = 1_000_000
OWN_COLUMNS = ("model", "seed", "key", "operations", "sha256")  # of folders that faceaug wrote
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?", re.ASCII)
_PADDED = re.compile(r"0[0-9]+", re.ASCII)
_PLAIN_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_UNSET = 2  # an attribute without a cell
_SIGNS = {"true": 1, "yes": 1, "false": -1, "no": -1}
_TOO_LARGE = (2 - 2.0**-24) * 2.0**127  # the smallest number that overflows float32 when rounded


def join_metadata(path: Path, names: list[str]) -> tuple[Annotations, list[str]]:
    """Join an imagefolder table to pictures by their path in the folder; see ``join_tables``.

    Raises:
        AnnotationError: a row names a missing file (where ``datasets`` 5.2 fails, too), or a column known to faceaug
            has an invalid value.
    """
    known, notes, _ = join_rows(path, read_metadata(path), names)
    return known, notes


def join_rows(
    path: Path, rows: list[dict[str, Any]], names: list[str], *, classes: tuple[str, ...] = ()
) -> tuple[Annotations, list[str], tuple[str, ...]]:
    """Join rows of metadata to pictures by their path in the folder.

    Args:
        path: path of the table, for errors and notes.
        rows: as read by ``read_metadata``.
        names: picture paths below the folder; they define the order of the rows.
        classes: names of the labels, if already known.

    Returns:
        (annotations, notes, classes). If labels are texts, ``classes`` are these, sorted, and the labels are positions
        in ``classes``. If labels are whole numbers, ``classes`` are their names from the column ``class``, or empty.

    Raises:
        AnnotationError: see ``join_metadata``.
    """
    place = {name: i for i, name in enumerate(names)}
    rows, renamed = _with_names_here(path, rows, place)
    absent = [row["file_name"] for row in rows if row["file_name"] not in place]
    if absent:
        raise AnnotationError(
            f"{printable(path)}: {counted(len(absent), 'row names', 'rows name')} no picture here ({some(absent)})"
        )
    known = unknown(len(names))
    at = np.array([place[row["file_name"]] for row in rows], dtype=np.int64)
    columns = _Columns(path, rows)
    numbered = _numbered_classes(columns, classes)
    classes = numbered or _class_names(columns, rows, classes)
    for name, target, parse in (
        ("celeb_id", known.identity, _count),
        ("identity", known.identity, _count),
        ("label", known.label, _lookup(classes) if classes and not numbered else _count),
        ("origin", known.origin, _origin),
        ("weight", known.weight, _weight),
    ):
        columns.fill(name, target, at, parse)
    columns.fill(columns.partition(), known.partition, at, _partition)
    notes = _fill_attributes(known, columns, at)
    for k, name in enumerate(LANDMARKS):
        columns.fill(name, known.landmarks[:, k // 2, k % 2], at, _finite)
    known = _with_boxes(known, columns, at)
    _fill_sources(known, rows, place)
    extra = len(names) - len(rows)
    notes = (
        renamed + ([f"{path.name}: {counted(extra, 'picture has', 'pictures have')} no row"] if extra else []) + notes
    )
    read = {CLASS} if numbered else set()
    return replace(known, columns=columns.others(at, len(names), read=read)), notes, classes


def match_rows(names: Sequence[str], place: Mapping[str, int]) -> list[int]:
    """Match rows to pictures; see ``match_names``. Windows's separator is taken for "/" where that finds a picture.

    Args:
        names: ``file_name`` of each row.
        place: the position of each picture's name.

    Returns:
        The position of the picture of each row; -1 for none.
    """
    plain = [name if name in place else name.replace("\\", "/") for name in names]
    found: list[int] = match_names(plain, place)[0].tolist()
    return found


def _with_names_here(
    path: Path, rows: list[dict[str, Any]], place: dict[str, int]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows with the names of the pictures here: "/" for Windows's separator, and the suffix of the picture."""
    names = [row["file_name"] for row in rows]
    if all(name in place for name in names):
        return rows, []
    here = list(place)
    new = [here[at] if at >= 0 else name for name, at in zip(names, match_rows(names, place), strict=True)]
    changed = [(old, now) for old, now in zip(names, new, strict=True) if old != now]
    if not changed:
        return rows, []
    old, now = changed[0]
    says = (
        counted(len(changed), "row belongs to a picture", "rows belong to pictures")
        + " with another separator or suffix"
    )
    rows = [row | {"file_name": name} for row, name in zip(rows, new, strict=True)]
    return rows, [f"{printable(path.name)}: {says} ({printable(old)} is {printable(now)} here)"]


def _with_boxes(known: Annotations, columns: _Columns, at: NDArray[np.int64]) -> Annotations:
    if not all(map(columns.cells, BOXES)):
        return known
    boxes = np.full((len(known.label), 4), np.nan, np.float32)
    for k, name in enumerate(BOXES):
        columns.fill(name, boxes[:, k], at, _finite)
    return replace(known, boxes=boxes)


def further_columns(columns: Mapping[str, object]) -> list[str]:
    """The note on columns without a meaning for faceaug; none if there are none."""
    if not columns:
        return []
    are = counted(len(columns), "further column is kept as it is", "further columns are kept as they are")
    return [f"{are} ({some(list(columns))})"]


def is_own_column(name: str) -> bool:
    """Whether a column has a meaning for faceaug, so that no further column can have its name."""
    own = {"file_name", "source_file", "celeb_id", "split", CLASS, *_EXPECTED, *ATTRIBUTES, *OWN_COLUMNS}
    return name in own or name.startswith("requested_")


def _fill_attributes(known: Annotations, columns: _Columns, at: NDArray[np.int64]) -> list[str]:
    """Fill in the attributes. In a column with 0 and 1 but no -1, 0 is read as no, which a note says."""
    found: list[tuple[int, NDArray[np.int8]]] = []
    for k, name in enumerate(ATTRIBUTES):
        if columns.cells(name):
            values = np.full(len(known.label), _UNSET, np.int8)
            columns.fill(name, values, at, _sign)
            found.append((k, values))
    ours = all(columns.cells(name) for name in ("origin", "sha256"))  # faceaug writes 0 for unknown
    # If no column has a -1, a column of zeros is an attribute that no picture has.
    all_binary = not any((values == -1).any() for _, values in found) and any(
        (values == 1).any() for _, values in found
    )
    binary: list[str] = []
    silent: list[str] = []
    for k, values in found:
        if not ours and (values == 0).any() and not (values == -1).any():
            is_binary = all_binary or bool((values == 1).any())
            values[values == 0] = -1 if is_binary else 0
            (binary if is_binary else silent).append(ATTRIBUTES[k])
        values[values == _UNSET] = 0
        known.attributes[:, k] = values
    are = counted(len(silent), "column has 0 alone, which is", "columns have 0 alone, which is")
    notes = [f"{are} read as unknown ({some(silent)})"] if silent else []
    if binary:
        word = counted(len(binary), "column")
        notes.append(f"0 is read as no, not as unknown, in {word} without -1 ({some(binary)})")
    return notes


class _Columns:
    """Columns of metadata rows, parsed cell by cell; equal strings are parsed once."""

    def __init__(self, path: Path, rows: list[dict[str, Any]]) -> None:
        self._path = path
        self._rows = rows
        self._names = set().union(*rows) if rows else set()

    def cells(self, name: str) -> list[Any]:
        """The cells of one column; "" for rows without one."""
        return [row.get(name, "") for row in self._rows] if name in self._names else []

    def partition(self) -> str:
        """The column with the partition: ``partition``, or ``split`` if it holds names of partitions."""
        cells = self.cells("split") if not self.cells("partition") else []
        words = {cell.lower() for cell in cells if isinstance(cell, str) and cell}
        return "split" if words and words <= SPLITS.keys() else "partition"

    def others(self, at: NDArray[np.int64], n: int, *, read: set[str]) -> dict[str, tuple[Any, ...]]:
        """The columns unknown to faceaug, except those in ``read``, for n pictures."""
        ours = {"origin", "sha256"} <= self._names
        known = {*read, *_EXPECTED, *ATTRIBUTES, "file_name", "celeb_id", "source_file", self.partition()}
        known |= set(OWN_COLUMNS) if ours else set()
        found: dict[str, tuple[Any, ...]] = {}
        for name in sorted(self._names - known):
            if not (ours and name.startswith("requested_")):
                values: list[Any] = [None] * n
                for place, cell in zip(at.tolist(), _typed(self.cells(name)), strict=True):
                    values[place] = cell
                found[name] = tuple(values)
        return found

    def fill(
        self,
        name: str,
        target: NDArray[Any],
        at: NDArray[np.int64],
        parse: Callable[[Any], float],
    ) -> None:
        """Parse a column into the rows of an array; empty cells change nothing."""
        cells = self.cells(name)
        given = [k for k, cell in enumerate(cells) if cell != ""]
        if all(isinstance(cell, str) for cell in cells):
            first = {cells[k]: k for k in reversed(given)}
            parsed = {cell: self._parsed(first[cell], name, cell, parse) for cell in reversed(first)}
            target[at[given]] = [parsed[cells[k]] for k in given]
        else:  # JSON: equal values may have different meanings (0 and false)
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
} | dict.fromkeys((*LANDMARKS, *BOXES), "a number of pixels, or nothing")


def _typed(cells: list[Any]) -> list[Any]:
    """Convert the cells of one column: to numbers if all strings are numeric, and empty ones to None."""
    given = [cell for cell in cells if cell != ""]
    if given and all(isinstance(cell, str) for cell in given):
        for read, form in ((int, _PLAIN_WHOLE), (float, _PLAIN_NUMBER)):
            if all(form.fullmatch(cell) for cell in given):
                return [None if cell == "" else read(cell) for cell in cells]
    return [None if isinstance(cell, str) and cell == "" else cell for cell in cells]


def _numbered_classes(columns: _Columns, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The names of numeric labels: those given, otherwise those in the column ``class`` if they are one to one."""
    labels = [-1 if cell == "" else cell for cell in columns.cells("label")]
    names = columns.cells(CLASS)
    if not labels or not all(map(_is_plain_number, labels)):
        return ()
    numbers = list(map(int, labels))
    if not names:
        return classes if max(numbers) < len(classes) else ()
    pairs = {(number, str(name)) for number, name in zip(numbers, names, strict=True) if number >= 0}
    name_of = dict(pairs)
    if not name_of or "" in name_of.values() or not len(pairs) == len(name_of) == len(set(name_of.values())):
        return ()
    if all(number < len(classes) and classes[number] == name for number, name in name_of.items()):
        return classes
    most = max(name_of)
    return tuple(name_of.get(number, str(number)) for number in range(most + 1)) if most < _MOST_CLASSES else ()


def _is_plain_number(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell == "-1" or _PLAIN_WHOLE.fullmatch(cell) is not None
    return isinstance(cell, int) and not isinstance(cell, bool)


def _class_names(columns: _Columns, rows: list[dict[str, Any]], known: tuple[str, ...]) -> tuple[str, ...]:
    """The class names in the label column, in known order if they are known; empty if labels are numbers.

    Numbers count as names if they are zero-padded (007), or if every row's label is the name of its folder. -1 is none.
    """
    labels = columns.cells("label")
    cells = [cell for row, cell in zip(rows, labels, strict=False) if cell != "" and not _is_unset(row)]
    texts = [cell for cell in cells if isinstance(cell, str)]
    padded = any(map(_PADDED.fullmatch, texts))
    if texts and len(texts) == len(cells) and (padded or all(map(_is_folder, rows))):
        return known if set(texts) <= set(known) else tuple(sorted(set(texts)))
    if all(not isinstance(cell, str) or _NUMBER.fullmatch(cell.strip()) for cell in cells):
        return ()
    found = {str(cell) for cell in cells}
    return known if found <= set(known) else tuple(sorted(found))


def _is_folder(row: dict[str, Any]) -> bool:
    label = row.get("label", "")
    return label == "" or label in PurePosixPath(row["file_name"]).parts[:-1]


def _is_unset(row: dict[str, Any]) -> bool:
    """Whether a label among names is -1, which means unknown, unless it is the name of the picture's folder."""
    return str(row.get("label", "")) == "-1" and not _is_folder(row)


def _lookup(classes: tuple[str, ...]) -> Callable[[Any], float]:
    numbers = {"-1": -1} | {name: i for i, name in enumerate(classes)}
    return lambda cell: numbers[str(cell)]


def _finite(cell: Any) -> float:
    number = _float(cell)
    if abs(number) >= _TOO_LARGE:  # false for NaN, which means unknown
        raise ValueError
    return number


def _float(cell: Any) -> float:
    if isinstance(cell, str) and ("_" in cell or not cell.isascii()):
        raise ValueError  # a number to Python alone
    return float(cell)


def _whole(cell: Any) -> int:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()) and "." not in cell:
        return int(cell)  # not through a float, which rounds beyond 2**53
    if isinstance(cell, int):
        return int(cell)
    if not _float(cell).is_integer():
        raise ValueError
    return int(_float(cell))


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
    if isinstance(cell, bool | str) and str(cell).lower() in _SIGNS:
        return _SIGNS[str(cell).lower()]
    number = _whole(cell)
    if number not in {-1, 0, 1}:
        raise ValueError
    return number


def _partition(cell: Any) -> int:
    if isinstance(cell, str) and cell.lower() in SPLITS:
        return SPLITS[cell.lower()]
    number = _whole(cell)
    if number not in {-1, 0, 1, 2}:
        raise ValueError
    return number


def _origin(cell: Any) -> int:
    return ORIGINS.index(cell)


def _fill_sources(known: Annotations, rows: list[dict[str, Any]], place: dict[str, int]) -> None:
    """Link each augmented row to the real row with the same source file, and a real row to itself."""
    real = {
        row["source_file"]: place[row["file_name"]]
        for row in rows
        if row.get("source_file") and row.get("origin") == "real"
    }
    for row in rows:
        if row.get("source_file"):
            own = place[row["file_name"]]
            known.source[own] = own if row.get("origin") == "real" else real.get(row["source_file"], -1)
