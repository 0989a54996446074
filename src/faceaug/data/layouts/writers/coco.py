"""Writes COCO: ``images/`` and a JSON file of boxes and keypoints for each partition; format: see the reader.

COCO asks for a box for every object. A face without one gets the whole picture, as in sets of aligned faces.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from faceaug.data.layouts.points import five_of_68
from faceaug.data.layouts.writing import PART_NAMES, Faces, Picture, Plan, Tables, Writer, plain_stems
from faceaug.errors import counted

KEYPOINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")  # right and left of the person
_FACE, _FACE_68 = 1, 2  # ids of the categories


def _plan(faces: Faces) -> Plan:
    stems, notes = plain_stems(faces)
    boxes = faces.known.boxes
    without = len(faces) if boxes is None else int(np.isnan(boxes).any(axis=1).sum())
    if without:
        have = counted(without, "picture has", "pictures have")
        notes += (f"{have} no box; COCO asks for one, which is then the whole picture",)
    points = faces.known.points
    if points is not None:
        has = ~np.isnan(points).all(axis=(1, 2)) if points.shape[1] == 68 else np.zeros(len(faces), bool)
        ours = faces.known.landmarks
        equal = np.isclose(five_of_68(points[has]), ours[has], atol=0.01, equal_nan=True).all(axis=(1, 2))
        if not equal.all():
            keep = counted(int((~equal).sum()), "picture keeps its", "pictures keep their")
            notes += (f"{keep} 68 points, not the five landmarks",)
        if points.shape[1] != 68:
            notes += (f"{points.shape[1]} points per picture are left out: only 68 have a standard order",)
    return Plan(tuple(f"images/{stem}" for stem in stems), notes)


def _tables(faces: Faces, pictures: Sequence[Picture]) -> Tables:
    files: dict[str, dict[str, list[Any]]] = {}
    parts = faces.known.partition.tolist()
    for picture in pictures:
        part = PART_NAMES.get(parts[picture.row], "")
        found = files.setdefault(
            f"annotations/faces{'_' if part else ''}{part}.json", {"images": [], "annotations": []}
        )
        number = picture.row + 1
        name = picture.name.removeprefix("images/")
        found["images"].append(
            {"id": number, "file_name": name, "width": picture.width, "height": picture.height}
        )  # fmt: skip
        found["annotations"].append(_annotation(faces, picture) | {"id": number, "image_id": number, "iscrowd": 0})
    kinds = [
        {"id": _FACE, "name": "face", "supercategory": "person", "keypoints": list(KEYPOINTS), "skeleton": []},
        {"id": _FACE_68, "name": "face_68", "supercategory": "person",
         "keypoints": [f"ibug_{k}" for k in range(1, 69)], "skeleton": []},
    ]  # fmt: skip
    used = {entry["category_id"] for found in files.values() for entry in found["annotations"]}
    categories = [kind for kind in kinds if kind["id"] in used]
    return {name: json.dumps(found | {"categories": categories}).encode() for name, found in files.items()}


def _annotation(faces: Faces, picture: Picture) -> dict[str, Any]:
    known = faces.known
    k = picture.row
    box = [0.0, 0.0, float(picture.width), float(picture.height)]
    if known.boxes is not None and not np.isnan(known.boxes[k]).any():
        box = [float(side) for side in known.boxes[k]]
    points, kind = known.landmarks[k], _FACE
    if known.points is not None and known.points.shape[1] == 68 and not np.isnan(known.points[k]).all():
        points, kind = known.points[k], _FACE_68
    seen = ~np.isnan(points).any(axis=1)
    # COCO measures from the corner of the picture, not from the centre of its first pixel.
    numbers = [
        [float(x) + 0.5, float(y) + 0.5, 2] if shown else [0, 0, 0] for (x, y), shown in zip(points, seen, strict=True)
    ]
    return {
        "category_id": kind,
        "bbox": box,
        "area": box[2] * box[3],
        "keypoints": [number for row in numbers for number in row],
        "num_keypoints": int(seen.sum()),
    }


COCO = Writer(frozenset({"partitions", "landmarks", "boxes", "points"}), _plan, _tables)
