"""The tables of a Hugging Face imagefolder: ``metadata.csv``, ``metadata.jsonl`` and ``metadata.parquet``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from faceaug.data.tables import delimiter_of, read_text, text_lines
from faceaug.errors import AnnotationError, printable
from faceaug.storage.schema import parse_json

METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
PICTURE_COLUMNS = ("file_name", "image_file_name")  # the first that exists names the face
Source: TypeAlias = Any  # str, or pyarrow.Table, which only Parquet needs


def read_metadata(path: Path) -> list[dict[str, Any]]:
    """Read a Hugging Face imagefolder table: rows with ``file_name`` and any other columns.

    Returns:
        One dict per row, without nulls; values are strings from CSV, and JSON or Arrow values otherwise. File names are
        relative, with "/" and without "." parts.

    Raises:
        AnnotationError: the ``file_name`` column is missing; a name is duplicate, absolute or points outside the
            folder; or a line is not a row.
    """
    return parse_metadata(path, read_source(path))


def read_source(path: Path) -> Source:
    """Read the content of an imagefolder table without interpreting it: a text, or the Arrow table of a Parquet file.

    Raises:
        AnnotationError: the file cannot be read.
    """
    return _arrow_table(path) if path.suffix == ".parquet" else read_text(path)


def parse_metadata(path: Path, source: Source) -> list[dict[str, Any]]:
    """Interpret the content of an imagefolder table; see ``read_metadata``.

    Args:
        path: the file, for the errors and for the form.
        source: see ``read_source``.
    """
    try:
        if path.suffix == ".parquet":
            rows = _parquet_rows(path, source)
        else:
            rows = _csv_rows(path, source) if path.suffix == ".csv" else _json_rows(source)
    except (csv.Error, ValueError) as error:
        raise AnnotationError(f"{printable(path)}: not a readable table ({error})") from error
    named = picture_column(set().union(*rows)) if rows else "file_name"
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        name = row.get(named)
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


def picture_column(columns: Iterable[str]) -> str:
    """The column that names the face: file_name, image_file_name, or the only other column ending in _file_name."""
    found = sorted(name for name in columns if name == "file_name" or name.endswith("_file_name"))
    return next((name for name in PICTURE_COLUMNS if name in found), found[0] if len(found) == 1 else "file_name")


def names_files(column: str) -> bool:
    """Whether a column besides file_name names files: one in ``*_file_name``, several in ``*_file_names``."""
    return column == "file_names" or column.endswith(("_file_name", "_file_names"))


def side_pictures(rows: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Files named by further ``*_file_name`` and ``*_file_names`` columns, such as masks. They are not faces."""
    faces = {row["file_name"] for row in rows}
    named: set[str] = set()
    for row in rows:
        for name, cell in row.items():
            if names_files(name):
                named |= _paths([cell] if name.endswith("_file_name") else cell)
    return frozenset(named - faces)


def _paths(cells: Any) -> set[str]:
    """The paths in a column of files; whatever else a document holds there names none."""
    found = cells if isinstance(cells, list) else []
    return {str(PurePosixPath(cell)) for cell in found if isinstance(cell, str) and cell}


def _arrow_table(path: Path) -> Source:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise AnnotationError(f"{printable(path)}: needs pyarrow: python -m pip install 'faceaug[datasets]'") from None
    try:
        return parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise AnnotationError(f"{printable(path)}: not a readable table ({error})") from error


def _parquet_rows(path: Path, source: Source) -> list[dict[str, Any]]:
    from pyarrow import ArrowException

    try:
        rows: list[dict[str, Any]] = source.to_pylist()
    except ArrowException as error:
        raise AnnotationError(f"{printable(path)}: not a readable table ({error})") from error
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def _csv_rows(path: Path, text: str) -> list[dict[str, Any]]:
    text = text if "\n" in text else text.replace("\r", "\n")
    mark = delimiter_of(text)
    spaced = f"{mark} " in text.partition("\n")[0]  # written with a blank after each mark
    reader = csv.DictReader(io.StringIO(text), strict=True, delimiter=mark, skipinitialspace=spaced)
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if picture_column(columns) not in columns:
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
