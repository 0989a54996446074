"""Hugging Face imagefolder: ``metadata.csv``, ``.jsonl`` or ``.parquet`` beside the pictures; also what faceaug writes.

Source: ``datasets`` 5.2, ``packaged_modules/folder_based_builder``. One table in the folder, or one in each sub-folder
(``train/metadata.csv``). ``file_name`` is relative to the table; so is any column ``*_file_name``, which holds a
picture of its own (``image_file_name``, ``mask_file_name``). Other columns are features as they are.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.metadata import METADATA_NAMES, join_rows, read_metadata, side_pictures
from faceaug.data.tables import read_text
from faceaug.errors import AnnotationError, ArgumentError, printable, some

OWN_FILES = ("dataset.json", "report.html", "README.md")  # beside the metadata of a folder that faceaug wrote


def metadata_tables(place: Place) -> tuple[str, ...]:
    """The one in the folder itself, else one for each sub-folder that has its own."""
    for name in METADATA_NAMES:
        if name in place.tables.get(name, ()):
            return (name,)
    found: dict[str, str] = {}
    for ending in METADATA_NAMES:
        for name in place.tables.get(ending, ()):
            found.setdefault(name.rpartition("/")[0], name)
    return tuple(sorted(found.values()))


def find(place: Place) -> Evidence | None:
    """Its tables."""
    tables = metadata_tables(place)
    return Evidence("imagefolder", some(list(tables)), strong=True) if tables else None


def read(place: Place) -> Reading:
    """Join the rows by path; where they do not name the partition, the folder does."""
    tables = metadata_tables(place)
    if not tables:
        raise ArgumentError(f"{printable(place.root)}: layout='imagefolder', but there is no {METADATA_NAMES[0]}")
    rows: list[dict[str, Any]] = []
    for table in tables:
        rows += [_from_root(row, PurePosixPath(table).parent) for row in read_metadata(place.file(table))]
    aside = side_pictures(rows)
    names = tuple(name for name in place.pictures if name not in aside)
    source = place.file(tables[0]) if len(tables) == 1 else place.root
    known, notes, classes = join_rows(source, rows, list(names), classes=own_classes(place))
    if aside:
        notes.append(f"{len(aside)} pictures in other columns are not taken for faces ({some(sorted(aside))})")
    if known.columns:
        notes.append(f"{len(known.columns)} further columns are kept as they are ({some(list(known.columns))})")
    levels = find_levels(place, partial=True)
    # Only the plain words: a class may be called Val_Kilmer.
    parts = [levels.part[name.rpartition("/")[0]] if levels.plain else -1 for name in names]
    silent = known.partition == -1
    known.partition[silent] = [part for part, empty in zip(parts, silent.tolist(), strict=True) if empty]
    used = {*tables, *own_files(place)}
    return Reading(names, known, classes, notes=tuple(notes), used=frozenset(used))


def _from_root(row: dict[str, Any], below: PurePosixPath) -> dict[str, Any]:
    moved = {name: str(below / cell) for name, cell in row.items() if name.endswith("_file_name") and cell}
    return row | moved | {"file_name": str(below / row["file_name"])}


def own_files(place: Place) -> list[str]:
    """The files beside the pictures of a folder that faceaug wrote; StyleGAN's dataset.json is another one."""
    return [name for name in OWN_FILES if name in place.tables.get(name, ())] if _own_document(place) else []


def own_classes(place: Place) -> tuple[str, ...]:
    """The names of the labels in a folder that faceaug wrote, in their order, with those that have no picture."""
    found = _own_document(place).get("classes")
    return tuple(found) if isinstance(found, list) and all(isinstance(name, str) for name in found) else ()


def _own_document(place: Place) -> dict[str, Any]:
    if "dataset.json" not in place.tables.get("dataset.json", ()):
        return {}
    try:
        found = json.loads(read_text(place.file("dataset.json")))
    except (AnnotationError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("run"), dict) else {}
