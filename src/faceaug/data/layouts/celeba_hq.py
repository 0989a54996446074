"""CelebA-HQ and CelebAMask-HQ: 30,000 of CelebA's pictures at 1024 x 1024, with hand-drawn masks at 512 x 512.

Source: github.com/switchablenorms/CelebAMask-HQ (README; ``face_parsing/Data_preprocessing/g_mask.py`` and
``g_partition.py``).

* ``CelebA-HQ-img/0.jpg`` ... ``29999.jpg``
* ``CelebAMask-HQ-mask-anno/0`` ... ``14``, 2,000 pictures each: ``00000_skin.png``; 18 labels, or 19 with the
  background. ``CelebAMask-HQ-mask/0.png``, made from them by ``g_mask.py``, has the label number in each pixel;
  ``CelebAMask-HQ-mask-color``, by ``g_color.py``, a colour
* ``CelebAMask-HQ-attribute-anno.txt``: in the format of ``list_attr_celeba.txt``; ``CelebAMask-HQ-pose-anno.txt``:
  three angles; ``CelebA-HQ-to-CelebA-mapping.txt``: columns ``idx orig_idx orig_file``, 30,000 rows

The partition is that of the original picture, from ``list_eval_partition`` if present, otherwise from its published
bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.data.annotations import Annotations, fill, join_tables, unknown
from faceaug.data.layouts.celeba import published_part, table_paths
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.tables import kind_of_table, text_lines
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some

PICTURES = "CelebA-HQ-img"
MASKS = "CelebAMask-HQ-mask-anno"
LABELS = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
_ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"
_POSE = "CelebAMask-HQ-pose-anno.txt"
_MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
_TABLES = (_ATTRIBUTES, _POSE, _MAPPING)
_MASK = re.compile(rf"([0-9]{{5}})_({'|'.join(LABELS[1:])})\.png", re.ASCII)
_WHOLE_MASKS = {
    **dict.fromkeys(("CelebAMask-HQ-mask", "CelebAMaskHQ-mask", "mask", "masks"), "labels"),
    **dict.fromkeys(("CelebAMask-HQ-mask-color", "CelebAMaskHQ-mask-color"), "colours"),
}


def find(place: Place) -> Evidence | None:
    """Detect CelebA-HQ by its tables, picture folder or mask folder."""
    tables = [name for name in _TABLES if _table(place, name)]
    if tables:
        return Evidence("celebahq", some(tables), strong=True)
    if place.has_folder((PICTURES, MASKS)):
        return Evidence("celebahq", f"a folder {PICTURES}")
    return None


def read(place: Place) -> Reading:
    """Read faces with their masks and attributes, and the annotations of the originals in CelebA's own tables."""
    if find(place) is None:
        raise ArgumentError(f"{printable(place.root)}: layout='celebahq', but none of its tables or folders is here")
    names, masks = _split_masks(place)
    plain = [name.rpartition("/")[2] for name in names]
    known = unknown(len(names))
    notes: list[str] = []
    attributes = _table(place, _ATTRIBUTES)
    if attributes is not None:
        known, notes = join_tables([place.table(attributes, "attributes")], plain)
    columns: dict[str, tuple[Any, ...]] = {}
    mapping = _table(place, _MAPPING)
    if mapping is not None:
        originals = _read_rows(place, mapping, 3, header=1)
        columns["original"] = tuple(originals.get(_number(name), ("", "", None))[-1] for name in plain)
        notes += _join_originals(place, known, columns["original"])
    pose = _table(place, _POSE)
    if pose is not None:
        angles = _read_rows(place, pose, 4, header=2)
        columns["pose"] = tuple(_floats(angles.get(name)) for name in plain)
    found = sum(map(bool, masks))
    if found:
        notes.append(f"masks are joined to {counted(found, 'picture')}; no mask is read as a face")
    joined = {mask for of_face in masks for mask in of_face.values()}
    lone = len(place.pictures) - len(names) - len(joined)
    if lone:
        notes.append(f"{counted(lone, 'mask belongs', 'masks belong')} to no picture here")
    used = {
        name for name in place.others if name.rpartition("/")[2] in _TABLES or kind_of_table(name.rpartition("/")[2])
    }
    known = replace(known, columns=columns, masks=masks if found else None)
    return Reading(names, known, notes=tuple(notes), used=frozenset(used))


def _split_masks(place: Place) -> tuple[tuple[str, ...], tuple[Mapping[str, str], ...]]:
    """(faces, masks of each face by label)."""
    masks: dict[str, dict[str, str]] = {}
    faces = []
    for name in place.pictures:
        folder, _, last = name.rpartition("/")
        part = _MASK.fullmatch(last)
        if part:
            masks.setdefault(str(int(part[1])), {})[part[2]] = name
        elif kinds := [_WHOLE_MASKS[part] for part in place.parts[folder] if part in _WHOLE_MASKS]:
            masks.setdefault(_number(last), {})[kinds[0]] = name
        else:
            faces.append(name)
    return tuple(faces), tuple(masks.get(_number(name.rpartition("/")[2]), {}) for name in faces)


def _number(name: str) -> str:
    return name.rpartition(".")[0].lstrip("0") or "0"


def _table(place: Place, name: str) -> Path | None:
    """The path of a table in the folder, or in the parent of the picture folder."""
    if name in place.tables:
        return place.file(place.tables[name][0])
    above = place.root.resolve().parent / name
    return above if place.own_name in {PICTURES, MASKS} and above.is_file() else None


def _read_rows(place: Place, path: Path, width: int, *, header: int) -> dict[str, tuple[str, ...]]:
    """The rows of a table, keyed by their first column."""
    rows: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text_lines(place.text(path))[header:], start=header + 1):
        cells = tuple(line.split())
        if len(cells) != width:
            raise AnnotationError(f"{printable(path)}: line {number}: expected {width} values, found {len(cells)}")
        if cells[0] in rows:
            raise AnnotationError(f"{printable(path)}: line {number}: {printable(cells[0])} has two rows; keep one")
        rows[cells[0]] = cells
    return rows


def _floats(cells: tuple[str, ...] | None) -> tuple[float, ...] | None:
    try:
        return None if cells is None else tuple(map(float, cells[1:]))
    except ValueError:
        return None


def _join_originals(place: Place, known: Annotations, originals: tuple[Any, ...]) -> list[str]:
    """Join identity and partition of the originals from CelebA's tables, or the partition by picture number."""
    notes = []
    wanted: dict[str, list[int]] = {}
    for k, name in enumerate(originals):
        wanted.setdefault(str(name), []).append(k)
    for path in table_paths(place):
        table = place.table(path)
        if table.kind in {"identity", "partition"}:
            rows = np.array([wanted.get(name, [-1])[0] for name in table.names], np.int64)
            fill(known, table, rows)
            notes.append(f"{printable(path.name)}: joined by the numbers of the original pictures")
    silent = [k for k, name in enumerate(originals) if name and known.partition[k] == -1]
    numbers = [str(originals[k]).partition(".")[0] for k in silent]
    if silent and all(number.isdecimal() and len(number) < 10 for number in numbers):
        known.partition[silent] = [published_part(int(number)) for number in numbers]
        notes.append(f"the partition of {counted(len(silent), 'picture')} is that of the originals in CelebA")
    return notes
