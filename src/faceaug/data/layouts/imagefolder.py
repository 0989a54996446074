"""Hugging Face imagefolder: pictures with ``metadata.csv``, ``.jsonl`` or ``.parquet``; faceaug writes it, too.

Source: ``datasets`` 5.2, ``packaged_modules/folder_based_builder``. There is one table in the folder, or one in each
subfolder (``train/metadata.csv``). ``file_name`` is relative to the table, and so are other columns ``*_file_name``,
which name further pictures (``image_file_name``, ``mask_file_name``; lists of them in ``frames_file_names``). All
other columns are features.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from faceaug.data.annotations import ATTRIBUTES, Doubt
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.layouts.records import own_classes, own_files
from faceaug.data.loose_columns import plain_columns
from faceaug.data.metadata import further_columns, join_rows
from faceaug.data.metadata_files import METADATA_NAMES, names_files, side_pictures
from faceaug.errors import ArgumentError, counted, printable, some

_COMPARED = {
    "label": "label", "partition": "partition", "split": "partition", "identity": "identity", "celeb_id": "identity",
} | dict.fromkeys(ATTRIBUTES, "attributes")  # fmt: skip


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
    twins, doubts = _compare_twins(place, tables)
    source = place.file(tables[0]) if len(tables) == 1 else place.root
    rows, people = plain_columns(rows)
    known, notes, classes = join_rows(source, rows, list(names), classes=own_classes(place))
    if aside:
        them = counted(len(aside), "picture in another column is no face", "pictures in other columns are no faces")
        notes.append(f"{them} ({some(sorted(aside))})")
    notes += further_columns(known.columns)
    levels = find_levels(place, partial=True)
    # Only exact keywords, because a class may be called Val_Kilmer.
    parts = [levels.part[name.rpartition("/")[0]] if levels.plain else -1 for name in names]
    silent = known.partition == -1
    known.partition[silent] = [part for part, empty in zip(parts, silent.tolist(), strict=True) if empty]
    used = {*tables, *twins, *own_files(place)}
    known = replace(known, doubts=doubts)
    return Reading(names, known, classes, people, (*notes, *_twin_notes(twins, doubts)), frozenset(used))


def _compare_twins(place: Place, tables: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Doubt, ...]]:
    """(further tables next to those that are read, doubts about what they say otherwise)."""
    twins: list[str] = []
    doubts: list[Doubt] = []
    for table in tables:
        below = table.rpartition("/")[0]
        beside = [f"{below}/{name}" if below else name for name in METADATA_NAMES]
        for other in beside:
            if other != table and other in place.tables.get(other.rpartition("/")[2], ()):
                twins.append(other)
                doubts += _differences(place, table, other)
    return tuple(twins), tuple(doubts)


def _differences(place: Place, table: str, other: str) -> list[Doubt]:
    first, second = ({row["file_name"]: row for row in place.rows(place.file(name))} for name in (table, other))
    found: dict[str, list[str]] = {}
    for name in first.keys() & second.keys():
        for column, about in _COMPARED.items():
            if str(first[name].get(column, "")) != str(second[name].get(column, "")):
                found.setdefault(about, []).append(name)
    pair = f"{printable(table)} and {printable(other)}"
    advice = "keep the correct one and move the other away"
    return [
        Doubt(
            about, f"{pair} contradict each other about the {about} of {counted(len(set(names)), 'picture')}: {advice}"
        )
        for about, names in sorted(found.items())
    ]


def _twin_notes(twins: tuple[str, ...], doubts: tuple[Doubt, ...]) -> list[str]:
    if twins and not doubts:
        return [f"{some(list(twins))}: a second table that says the same; not used"]
    return [doubt.says for doubt in doubts]


def _from_root(row: dict[str, Any], below: PurePosixPath) -> dict[str, Any]:
    moved = {name: _below(below, cell) for name, cell in row.items() if names_files(name)}
    return row | moved | {"file_name": str(below / row["file_name"])}


def _below(folder: PurePosixPath, cell: Any) -> Any:
    """A path, or a list of paths, as seen from the root; whatever else a document holds there stays as it is."""
    if isinstance(cell, list):
        return [str(folder / one) if isinstance(one, str) and one else one for one in cell]
    return str(folder / cell) if isinstance(cell, str) and cell else cell
