"""FFHQ: 70,000 faces from Flickr at 1024 x 1024, in folders of 1,000, with 68 landmarks each.

Source: github.com/NVlabs/ffhq-dataset, README. ``images1024x1024/00000/00000.png``, ``thumbnails128x128``,
``in-the-wild-images``; ``ffhq-dataset-v2.json`` has for each picture a ``category`` (training for the first 60,000,
else validation) and for ``image`` and ``in_the_wild`` a ``file_path``, ``pixel_size`` and dlib's 68 ``face_landmarks``
in pixels; for ``in_the_wild`` also ``face_rect`` (left, top, right, bottom).

The folders of 1,000 are not classes. Landmarks of aligned pictures are scaled to the actual picture size.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import unknown
from faceaug.data.image import picture_size
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.points import check_pixels, five_of_68
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.errors import AnnotationError, ArgumentError, ImageError, counted, printable, some

TABLE = "ffhq-dataset-v2.json"
_OLD_TABLE = "ffhq-dataset-v1.json"
_FOLDERS = ("images1024x1024", "thumbnails128x128", "in-the-wild-images")
_BUCKET = re.compile(r"[0-9]{2}000", re.ASCII)
_NAME = re.compile(r"([0-9]{5})\.(png|jpg|jpeg|webp)", re.ASCII)
_PARTS = {"training": 0, "validation": 1}


def find(place: Place) -> Evidence | None:
    """Detect FFHQ by its table, its folder names, or its numbered folders of 1,000."""
    if _table(place) is not None:
        return Evidence("ffhq", TABLE, strong=True)
    if place.has_folder(_FOLDERS):
        return Evidence("ffhq", f"a folder {_FOLDERS[0]}")
    if all(map(_in_bucket, place.pictures)):
        return Evidence("ffhq", "five digits in folders of 1,000")
    return None


def read(place: Place) -> Reading:
    """Read landmarks and partition by the number in the name; there are no classes."""
    if find(place) is None:
        raise ArgumentError(f"{printable(place.root)}: layout='ffhq', but neither its table nor its folders are here")
    known = unknown(len(place.pictures))
    table = _table(place)
    if table is None:
        return Reading(place.pictures, known, notes=("folders of 1,000 are not classes",))
    entries = _entries(place, table)
    points = np.full((len(place.pictures), 68, 2), np.nan, np.float32)
    boxes = np.full((len(place.pictures), 4), np.nan, np.float32)
    without = []
    for k, name in enumerate(place.pictures):
        found = _NAME.fullmatch(name.rpartition("/")[2])
        entry = entries.get(str(int(found[1]))) if found else None
        if entry is None:
            without.append(name)
            continue
        known.partition[k] = _PARTS.get(str(entry.get("category")), -1)
        wild = _FOLDERS[2] in name.split("/") or place.own_name == _FOLDERS[2]
        points[k], boxes[k] = _scaled(table, place.file(name), entry, wild=wild)
    known.landmarks[:] = five_of_68(points)
    have = counted(len(without), "picture has", "pictures have")
    notes = [f"{printable(table.name)}: {have} no entry ({some(without)})"] if without else []
    used = frozenset(place.tables.get(table.name, ()))
    boxed = None if np.isnan(boxes).all() else boxes
    return Reading(place.pictures, replace(known, points=points, boxes=boxed), notes=tuple(notes), used=used)


def _in_bucket(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) > 1
        and _BUCKET.fullmatch(parts[-2]) is not None
        and (found := _NAME.fullmatch(parts[-1])) is not None
        and int(found[1]) // 1000 == int(parts[-2]) // 1000
    )


def _table(place: Place) -> Path | None:
    for name in (TABLE, _OLD_TABLE):
        if name in place.tables:
            return place.file(place.tables[name][0])
        above = place.root.resolve().parent / name
        if place.own_name in _FOLDERS and above.is_file():
            return above
    return None


def _entries(place: Place, table: Path) -> dict[str, dict[str, Any]]:
    try:
        found = place.json(table)
    except ValueError as error:
        raise AnnotationError(f"{printable(table)}: not readable JSON ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise AnnotationError(f"{printable(table)}: expected an object with an entry for each picture")
    return found


def _scaled(table: Path, path: Path, entry: dict[str, Any], *, wild: bool) -> tuple[NDArray[np.float32], list[float]]:
    """(68 points, box) scaled to the actual picture size; NaN if the entry or the picture's size is missing."""
    facts = entry.get("in_the_wild" if wild else "image") or {}
    box = [np.nan] * 4
    try:
        points = np.array(facts.get("face_landmarks", []), np.float64)
        width, height = (float(side) for side in facts.get("pixel_size", (np.nan, np.nan)))
        check_pixels([width, height])
        check_pixels(points)
        if min(width, height) < 1:
            raise ValueError("its pixel_size should be a width and a height")
        if wild and "face_rect" in facts:
            left, top, right, bottom = (float(side) for side in facts["face_rect"])
            check_pixels([left, top, right, bottom])
            box = [left, top, right - left, bottom - top]
    except (TypeError, ValueError, AttributeError) as error:
        raise AnnotationError(
            f"{printable(table)}: {printable(path.name)}: its entry cannot be read ({error})"
        ) from error
    if points.shape != (68, 2):
        return np.full((68, 2), np.nan, np.float32), box
    try:
        own = picture_size(path)
    except ImageError:
        return np.full((68, 2), np.nan, np.float32), box
    scale = np.array(own) / (width, height)
    return ((points + 0.5) * scale - 0.5).astype(np.float32) if (scale != 1).any() else points.astype(np.float32), box
