"""Parquet files with pictures, as containers; needs pyarrow, which is loaded on first use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from faceaug.errors import AnnotationError, printable
from faceaug.storage.walk import is_hidden, is_picture

_ADVICE = "needs pyarrow: python -m pip install 'faceaug[parquet]'"


def list_pictures(path: Path) -> list[tuple[str, int]]:
    """(name, row) of each picture in a Parquet file; names are unique; none if it holds no pictures.

    Raises:
        AnnotationError: pyarrow is not installed.
        ValueError: the file is damaged.
    """
    table = _open(path)
    column = _picture_column(table.schema_arrow)
    if column is None:
        return []
    found: dict[str, int] = {}
    paths: list[str] = []
    for group in range(table.num_row_groups):  # the paths alone, without the pictures
        cells = _read_group(table, group, [f"{column}.path"])[column]
        paths += [str((cell or {}).get("path") or "") for cell in cells]
    for row, path_of in enumerate(paths):
        found[_name(path_of, row, found)] = row
    return list(found.items())


def read_picture(path: Path, row: int, stamp: tuple[int, int]) -> bytes:
    """The bytes of the picture in a row; ``stamp`` is size and time of the file, for the cache.

    Raises:
        AnnotationError: pyarrow is not installed.
        ValueError: the file is damaged.
    """
    table = _open(path)
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).num_rows
        if row < size:
            return _group(str(path), group, stamp)[row]
        row -= size
    raise ValueError("has no such row")


@dataclass(frozen=True, slots=True)
class Rows:
    """What a Parquet file says about its pictures.

    Attributes:
        rows: a dict without nulls for each picture, with ``file_name``; of a ClassLabel other than ``label``, the name.
        classes: names of the labels; empty if they are not a ClassLabel.
        aside: names of further columns of pictures, which are not read.
    """

    rows: list[dict[str, Any]]
    classes: tuple[str, ...]
    aside: tuple[str, ...]


def read_columns(path: Path) -> Rows:
    """Read all columns but the pictures.

    Raises:
        AnnotationError: pyarrow is not installed, or the file is damaged.
    """
    try:
        names = {row: name for name, row in list_pictures(path)}
        table = _open(path)
        schema = table.schema_arrow
        column = _picture_column(schema)
        features = _features(schema)
        pictures = _picture_columns(schema)
        others = [name for name in schema.names if name not in pictures]
        named = {name: tuple(map(str, kind["names"])) for name, kind in features.items() if _has_names(kind)}
        classes = named.pop("label", ())
        rows: list[dict[str, Any]] = []
        for group in range(table.num_row_groups):
            cells = _read_group(table, group, others)
            cells |= {name: [_name_of(cell, named[name]) for cell in cells[name]] for name in others if name in named}
            size = table.metadata.row_group(group).num_rows
            rows += [{name: cells[name][k] for name in others if cells[name][k] is not None} for k in range(size)]
    except ValueError as error:
        raise AnnotationError(f"{printable(path)}: not a readable table ({error})") from error
    aside = tuple(name for name in pictures if name != column)
    return Rows([row | {"file_name": names[k]} for k, row in enumerate(rows) if k in names], classes, aside)


def _has_names(kind: dict[str, Any]) -> bool:
    names = kind.get("names")
    return kind.get("_type") == "ClassLabel" and isinstance(names, list) and bool(names)


def _name_of(cell: Any, names: tuple[str, ...]) -> Any:
    """The name of a class; -1 is how ``datasets`` writes none."""
    if not isinstance(cell, int) or cell >= len(names):
        return cell
    return names[cell] if cell >= 0 else None


def _open(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise AnnotationError(f"{printable(path)}: {_ADVICE}") from None
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def _read_group(table: Any, group: int, columns: list[str]) -> dict[str, list[Any]]:
    import pyarrow

    try:
        found: dict[str, list[Any]] = table.read_row_group(group, columns=columns).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    return found


@lru_cache(maxsize=4)
def _group(path: str, group: int, stamp: tuple[int, int]) -> list[bytes]:  # noqa: ARG001 - part of the cache key
    table = _open(Path(path))
    column = str(_picture_column(table.schema_arrow))
    return [(cell or {}).get("bytes") or b"" for cell in _read_group(table, group, [column])[column]]


def _picture_column(schema: Any) -> str | None:
    """The column of the faces: "image", otherwise the first column of pictures."""
    found = _picture_columns(schema)
    return "image" if "image" in found else found[0] if found else None


def _picture_columns(schema: Any) -> list[str]:
    """The columns of pictures: a declared Image, or a struct of bytes and path."""
    declared = {name for name, kind in _features(schema).items() if kind.get("_type") == "Image"}
    found = []
    for field in schema:
        fields = {field.type.field(k).name for k in range(field.type.num_fields)} if _is_struct(field.type) else set()
        if "bytes" in fields and (field.name in declared or fields == {"bytes", "path"}):
            found.append(field.name)
    return found


def _is_struct(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_struct(kind))


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: kind for name, kind in found.items() if isinstance(kind, dict)}


def _name(path: str, row: int, taken: dict[str, int]) -> str:
    """The picture's own path if it is a safe and new one, otherwise its row; its ending says nothing."""
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in {"..", "/"}]
    own = "/".join(parts)
    if is_picture(own) and "\0" not in own and not any(map(is_hidden, parts)) and own not in taken:
        return own
    return f"{row:07d}.jpg"
