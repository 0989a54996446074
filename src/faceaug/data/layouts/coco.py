"""COCO: boxes and landmarks of faces in one JSON file per partition.

Source: cocodataset.org/#format-data and the data format of COCO-WholeBody. ``images`` have ``id`` and ``file_name``;
``annotations`` have ``image_id``, ``bbox`` (x, y, width, height) and ``keypoints`` (x, y, v each; v 0 is not labelled),
named by their category; COCO-WholeBody has ``face_box`` and ``face_kpts`` (68, iBUG's order). COCO measures keypoints
from the corner of the picture, so half a pixel is subtracted.

Only the face with the largest box of each picture is read, and no crowds (``iscrowd``). The ``bbox`` of a person with
keypoints of the body is not the box of a face. Categories are not labels: they are named in a note.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import unknown
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place, part_within
from faceaug.data.layouts.points import check_pixels, five_of_68
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some

_OURS = frozenset({"face", "face_68"})  # categories of our writer
_MOVED = ("of its pictures is", "of its pictures are")
# Keypoint names of the five landmarks. The person's right eye is on the left of the picture.
_FIVE = (
    ("right_eye", "lefteye", "left_eye_in_picture"),
    ("left_eye", "righteye"),
    ("nose", "nose_tip"),
    ("right_mouth", "leftmouth", "mouth_right", "right_mouth_corner"),
    ("left_mouth", "rightmouth", "mouth_left", "left_mouth_corner"),
)


@dataclass(frozen=True, slots=True)
class _Face:
    box: list[float]
    area: float
    five: NDArray[np.float32]
    points: NDArray[np.float32] | None
    lost: bool = False  # whether it has keypoints of which none is read


def find(place: Place) -> Evidence | None:
    """Detect COCO by a JSON file with images and annotations."""
    tables = coco_tables(place)
    return Evidence("coco", some(list(tables)), strong=True) if tables else None


def coco_tables(place: Place) -> dict[str, dict[str, Any]]:
    """The JSON files in COCO format, with their content."""
    tables = [name for name in place.others if name.lower().endswith(".json") and name.count("/") < 3]
    if len(tables) > 50:
        return {}
    documents = {name: _document(place, place.file(name)) for name in tables}
    return {name: document for name, document in documents.items() if document is not None}


def read(place: Place) -> Reading:
    """Read the largest face of each picture, and the partition from the names of the JSON files or folders."""
    tables = coco_tables(place)
    if not tables:
        raise ArgumentError(f"{printable(place.root)}: layout='coco', but no JSON file has images and annotations")
    known = unknown(len(place.pictures))
    boxes = np.full((len(place.pictures), 4), np.nan, np.float32)
    points = np.full((len(place.pictures), 68, 2), np.nan, np.float32)
    position = _positions(place)
    levels = find_levels(place)
    notes: list[str] = []
    for table, document in tables.items():
        part = part_within(table.rpartition("/")[2].rpartition(".")[0])
        faces, more = _faces(place.file(table), document)
        moved: list[str] = []
        absent = [name for name in faces if _find(name, position) is None]
        notes += _table_notes(table, document, faces, known_part=part is not None)
        for name, face in faces.items():
            k = _find(name, position)
            if k is not None:
                moved += [name] if part is not None and known.partition[k] not in {-1, part} else []
                known.partition[k] = part if part is not None else known.partition[k]
                if face is not None:
                    boxes[k] = face.box
                    known.landmarks[k] = face.five
                    points[k] = np.nan if face.points is None else face.points
        if moved:
            says = f"{counted(len(moved), *_MOVED)} in another partition too ({some(moved)})"
            raise AnnotationError(f"{printable(place.file(table))}: {says}")
        if absent:
            are = counted(len(absent), "of its pictures is", "of its pictures are")
            notes.append(f"{printable(table)}: {are} not here, or not by a unique name ({some(absent)})")
        if more:
            left = counted(more, "further face is", "further faces are")
            notes.append(f"{printable(table)}: {left} left out; the largest of each picture is read")
    silent = known.partition == -1
    folders = [levels.part[name.rpartition("/")[0]] for name in place.pictures]
    known.partition[silent] = [part for part, empty in zip(folders, silent.tolist(), strict=True) if empty]
    known = replace(known, boxes=boxes, points=None if np.isnan(points).all() else points)
    return Reading(place.pictures, known, notes=tuple(notes), used=frozenset(tables))


def _document(place: Place, path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None if it is not in COCO format."""
    try:
        text = place.head(path)
        if '"images"' not in text and '"annotations"' not in text:
            return None
        found = place.json(path)
    except (AnnotationError, ValueError):
        return None
    lists = isinstance(found, dict) and all(isinstance(found.get(name), list) for name in ("images", "annotations"))
    return found if lists else None


def _positions(place: Place) -> dict[str, int | None]:
    """Positions of pictures by path, and by name; None for names of several pictures."""
    found: dict[str, int | None] = {}
    for k, name in enumerate(place.pictures):
        last = name.rpartition("/")[2]
        found[last] = None if last in found else k
    return found | {name: k for k, name in enumerate(place.pictures)}


def _find(name: str, position: dict[str, int | None]) -> int | None:
    if name in position:
        return position[name]
    return position.get(name.replace("\\", "/").rpartition("/")[2])


def _table_notes(
    table: str, document: dict[str, Any], faces: dict[str, _Face | None], *, known_part: bool
) -> list[str]:
    """Notes on guesses about a table, and on what is not read of it."""
    notes = []
    if not known_part and not table.rpartition("/")[0].lower().endswith("annotations"):
        notes.append(f"{printable(table)}: read as a table of COCO, by its content")
    lost = [name for name, face in faces.items() if face is not None and face.lost]
    if lost:
        have = counted(len(lost), "face has", "faces have")
        why = "neither 68 nor with the names of the five landmarks"
        notes.append(f"{printable(table)}: {have} keypoints that are not read, {why} ({some(lost)})")
    return notes + _category_notes(table, document)


def _category_notes(table: str, document: dict[str, Any]) -> list[str]:
    names = [str(kind.get("name")) for kind in document.get("categories", ()) if isinstance(kind, dict)]
    notes = []
    if len(names) > 1 and not set(names) <= _OURS:
        notes.append(f"{printable(table)}: its {len(names)} categories ({some(names)}) are not read as labels")
    bodies = [kind for kind in document.get("categories", ()) if isinstance(kind, dict) and _is_body(kind)]
    if bodies:
        notes.append(f"{printable(table)}: boxes of persons are not read as boxes of faces")
    return notes


def _is_body(category: dict[str, Any]) -> bool:
    points = category.get("keypoints")
    return isinstance(points, list) and any("shoulder" in str(name).lower() for name in points)


def _faces(path: Path, found: dict[str, Any]) -> tuple[dict[str, _Face | None], int]:
    """(file name -> its largest face, number of the others)."""
    try:
        names = {image["id"]: str(image["file_name"]) for image in found["images"]}
        if len(names) < len(found["images"]):
            raise ValueError("two images have the same id")
        kinds = {kind["id"]: kind for kind in found.get("categories", ())}
        faces: dict[str, _Face | None] = dict.fromkeys(names.values())
        more = 0
        for entry in found["annotations"]:
            if entry.get("iscrowd") == 1:
                continue
            name = names[entry["image_id"]]
            face = _face(entry, kinds.get(entry.get("category_id"), {}))
            held = faces[name]
            more += held is not None
            if held is None or face.area > held.area:
                faces[name] = face
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AnnotationError(f"{printable(path)}: not in COCO format ({type(error).__name__}: {error})") from error
    return faces, more


def _face(entry: dict[str, Any], category: dict[str, Any]) -> _Face:
    box = [float(side) for side in entry.get("face_box") or entry["bbox"]]
    if len(box) != 4 or not (box[2] >= 0 and box[3] >= 0):
        raise ValueError(f"{str(box)[:60]} is not a box of x, y, width and height")
    check_pixels(box)
    area = box[2] * box[3]
    if _is_body(category) and not entry.get("face_box"):
        box = [np.nan] * 4
    names = list(category.get("keypoints", ()))
    five = np.full((5, 2), np.nan, np.float32)
    numbers = entry.get("face_kpts") or entry.get("keypoints") or []
    raw = np.array(numbers, np.float64).reshape(-1, 3)
    check_pixels(raw)
    points = np.where(raw[:, 2:] > 0, raw[:, :2] - 0.5, np.nan).astype(np.float32)
    if len(points) == 68:
        return _Face(box, area, five_of_68(points[None])[0], points)
    plain = [str(name).lower().replace(" ", "_").replace("-", "_") for name in names]
    if len(plain) == len(points):
        for k, words in enumerate(_FIVE):
            at = next((plain.index(word) for word in words if word in plain), None)
            five[k] = five[k] if at is None else points[at]
    return _Face(box, area, five, None, bool((raw[:, 2] > 0).any()) and bool(np.isnan(five).all()))
