"""What a reader of tables leaves aside, though it may matter: a column that looks like the partition, class folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from faceaug.data.annotations import Annotations, Doubt
from faceaug.data.layouts.celeba import EDITIONS
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place, part_within
from faceaug.data.layouts.reading import Reading
from faceaug.data.layouts.records import own_files
from faceaug.errors import counted, printable, some

_MOST_WORDS = 16  # of a column of partitions
_SPLIT = "split"
_NUMBERS = frozenset({0, 1, 2})
_BUCKET = re.compile(r"[0-9]{5}", re.ASCII)  # StyleGAN's folders of 1,000
_BY_TABLE = ("imagefolder", "celeba", "coco", "yolo", "stylegan", "fairface")


def check_overlooked(place: Place, layout: str, reading: Reading) -> Reading:
    """Add a doubt for a further column that may be the partition, and a note on folders that may be classes."""
    known, says = doubt_partition(printable(place.root), reading.known)
    reading = replace(reading, known=known, notes=(*reading.notes, *says))
    folders = _class_folders(place, reading) if layout in _BY_TABLE else []
    if not folders:
        return reading
    are = counted(len(folders), "folder is not read as a class", "folders are not read as classes")
    note = f"{are}, because the tables decide ({some(folders)}); layout='classes' (--layout classes) reads them"
    return replace(reading, notes=(*reading.notes, note))


def doubt_partition(where: str, known: Annotations) -> tuple[Annotations, tuple[str, ...]]:
    """Add a doubt for a further column that may be the partition, if a partition is unknown.

    Args:
        where: the folder or dataset, for the message.
        known: its annotations.

    Returns:
        (annotations, notes).
    """
    columns = [name for name, cells in known.columns.items() if _may_be_partition(name, cells)]
    if not columns or not (known.partition == -1).any():
        return known, ()
    name = columns[0]
    words = some(sorted({str(cell) for cell in known.columns[name] if cell is not None}))
    says = f"the column {printable(name)} ({words}) may be the partition, which is unknown"
    advice = "call it partition, with train, val and test in it, or give partition='all'"
    doubt = Doubt("partition", f"{where}: {says}: {advice}")
    return replace(known, doubts=(*known.doubts, doubt)), (says,)


def _may_be_partition(name: str, cells: Sequence[Any]) -> bool:
    found = {cell for cell in cells if isinstance(cell, str | int) and not isinstance(cell, bool)}
    if name.lower() == _SPLIT and len(found) > 1 and found <= _NUMBERS:
        return True
    if len(found) > _MOST_WORDS:
        return False
    parts = {part_within(cell) for cell in found if isinstance(cell, str)}
    return 0 in parts and not parts.isdisjoint({1, 2})


def _class_folders(place: Place, reading: Reading) -> list[str]:
    """Folders that would be classes without the tables, if no table says anything of labels."""
    ours = bool(own_files(place))  # then the folders are those of the pictures that were converted
    if ours or reading.classes or (reading.known.label >= 0).any() or place.has_folder(EDITIONS):
        return []
    label: Mapping[str, str] = find_levels(place).label
    names = sorted(set(label.values()))
    return [] if all(map(_BUCKET.fullmatch, names)) else names
