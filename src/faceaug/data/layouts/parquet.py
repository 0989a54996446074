"""Parquet of the Hugging Face hub: pictures and columns in ``data/train-00000-of-00001.parquet``; needs pyarrow.

Source: ``datasets`` 5.2: an ``Image`` is a struct of bytes and path; the types of the columns, names of classes among
them, are in the schema's metadata under "huggingface". Without that metadata, a struct of bytes and path is a picture
too. The pictures are read in place, see ``faceaug.data.containers``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from faceaug.data.columnar import read_columns
from faceaug.data.containers import kind_of
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.loose_columns import plain_columns
from faceaug.data.metadata import further_columns, join_rows
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some


def find(place: Place) -> Evidence | None:
    """Detect Parquet files that contain the pictures."""
    files = _files(place)
    return Evidence("parquet", some(files), strong=True) if files else None


def read(place: Place) -> Reading:
    """Read the columns of each row; the partition comes from them or else from the names of the files."""
    files = _files(place)
    if not files:
        raise ArgumentError(f"{printable(place.root)}: layout='parquet', but no Parquet file has pictures")
    rows: list[dict[str, Any]] = []
    names_of: dict[str, tuple[str, ...]] = {}
    aside: dict[str, None] = {}
    for file in files:
        inside = place.root.is_file()
        found = read_columns(place.root if inside else place.file(file))
        names_of[file] = found.classes
        aside |= dict.fromkeys(found.aside)
        rows += [
            row | {"file_name": row["file_name"] if inside else f"{file}/{row['file_name']}"} for row in found.rows
        ]
    classes = next(iter(names_of.values()))
    if any(other != classes for other in names_of.values()):
        other = next(file for file, names in names_of.items() if names != classes)
        raise AnnotationError(
            f"{printable(place.root)}: {printable(files[0])} and {printable(other)} name the labels differently; "
            "open them one by one"
        )
    here = set(place.pictures)
    rows = [row for row in rows if row["file_name"] in here]
    rows, people = plain_columns(rows)
    known, notes, classes = join_rows(place.root, rows, list(place.pictures), classes=classes)
    levels = find_levels(place)
    parts = [levels.part[name.rpartition("/")[0]] for name in place.pictures]
    missing = (known.partition == -1).tolist()
    known.partition[missing] = [part for part, empty in zip(parts, missing, strict=True) if empty]
    notes += further_columns(known.columns)
    if aside:
        words = "further column of pictures is not read", "further columns of pictures are not read"
        notes.append(f"{counted(len(aside), *words)} ({some(list(aside))})")
    return Reading(place.pictures, replace(known), classes, people, tuple(notes))


def _files(place: Place) -> list[str]:
    if kind_of(place.own_name) == "parquet" and place.root.is_file():
        return [place.own_name]
    found = set()
    for folder in place.folders:
        pure = PurePosixPath(folder)
        found |= {str(path) for path in (pure, *pure.parents) if kind_of(path.name) == "parquet"}
    return sorted(found)
