"""Hugging Face imagefolder: pictures with ``metadata.csv``, ``.jsonl`` or ``.parquet``; faceaug writes it, too.

Source: ``datasets`` 5.2, ``packaged_modules/folder_based_builder``. There is one table in the folder, or one in each
subfolder (``train/metadata.csv``). ``file_name`` is relative to the table, and so are other columns ``*_file_name``,
which name further pictures (``image_file_name``, ``mask_file_name``). All other columns are features.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.metadata import METADATA_NAMES, join_rows, side_pictures
from faceaug.data.tables import read_text
from faceaug.errors import AnnotationError, ArgumentError, printable, some

OWN_FILES = ("dataset.json", "report.html", "README.md")  # next to the metadata in folders that faceaug wrote


def metadata_tables(place: Place) -> tuple[str, ...]:
    """The table in the folder itself, otherwise one for each subfolder that has one."""
    for name in METADATA_NAMES:
        if name in place.tables.get(name, ()):
            return (name,)
    found: dict[str, str] = {}
    for ending in METADATA_NAMES:
        for name in place.tables.get(ending, ()):
            found.setdefault(name.rpartition("/")[0], name)
    return tuple(sorted(found.values()))


def find(place: Place) -> Evidence | None:
    """Detect the layout by its tables."""
    tables = metadata_tables(place)
    return Evidence("imagefolder", some(list(tables)), strong=True) if tables else None


def read(place: Place) -> Reading:
    """Join the rows by path; the partition comes from the table or else from the folder."""
    tables = metadata_tables(place)
    if not tables:
        raise ArgumentError(f"{printable(place.root)}: layout='imagefolder', but there is no {METADATA_NAMES[0]}")
    rows: list[dict[str, Any]] = []
    for table in tables:
        rows += [_from_root(row, PurePosixPath(table).parent) for row in place.rows(place.file(table))]
    aside = side_pictures(rows)
    names = tuple(name for name in place.pictures if name not in aside)
    source = place.file(tables[0]) if len(tables) == 1 else place.root
    known, notes, classes = join_rows(source, rows, list(names), classes=own_classes(place))
    if aside:
        notes.append(f"{len(aside)} pictures in other columns are not read as faces ({some(sorted(aside))})")
    if known.columns:
        notes.append(f"{len(known.columns)} further columns are kept unchanged ({some(list(known.columns))})")
    levels = find_levels(place, partial=True)
    # Only exact keywords, because a class may be called Val_Kilmer.
    parts = [levels.part[name.rpartition("/")[0]] if levels.plain else -1 for name in names]
    silent = known.partition == -1
    known.partition[silent] = [part for part, empty in zip(parts, silent.tolist(), strict=True) if empty]
    used = {*tables, *own_files(place)}
    return Reading(names, known, classes, notes=tuple(notes), used=frozenset(used))


def _from_root(row: dict[str, Any], below: PurePosixPath) -> dict[str, Any]:
    moved = {name: str(below / cell) for name, cell in row.items() if name.endswith("_file_name") and cell}
    return row | moved | {"file_name": str(below / row["file_name"])}


def own_files(place: Place) -> list[str]:
    """The files that faceaug wrote next to the pictures. StyleGAN's dataset.json is not one of them."""
    return [name for name in OWN_FILES if name in place.tables.get(name, ())] if _own_document(place) else []


def own_classes(place: Place) -> tuple[str, ...]:
    """The names of the labels in a folder that faceaug wrote, in label order, including labels without pictures."""
    found = _own_document(place).get("classes")
    return tuple(found) if isinstance(found, list) and all(isinstance(name, str) for name in found) else ()


def _own_document(place: Place) -> dict[str, Any]:
    if "dataset.json" not in place.tables.get("dataset.json", ()):
        return {}
    return place.once(_run_document, place.file("dataset.json"))


def _run_document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except (AnnotationError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("run"), dict) else {}
