"""Contact sheets of what the finder got wrong, to look at. They show people: never publish them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from align_finder import find
from align_truth import Box, Found, Photo, best_error, faceless, load, missed_and_false

from faceaug import FaceFinder
from faceaug.data.image import Image8, encode_jpeg

TILE = 160  # pixels
COLUMNS = 8


def write_sheets(truth: Path, out: Path, *, n: int, seed: int) -> dict[str, Any]:
    """Write false.jpg, missed.jpg, worst.jpg and found.jpg; how many tiles each has."""
    finder = FaceFinder()
    sheets: dict[str, list[Image8]] = {"false": [], "missed": [], "worst": [], "found": []}
    for photo in [*load(truth, "wider-val")[:n], *list(faceless(seed))[:n]]:
        found = find(finder, photo.image)
        missed, false, _ = missed_and_false(photo, found, 30)
        sheets["missed"] += [_tile(photo, box, found) for box in missed]
        sheets["false"] += [_tile(photo, one.box, [one]) for one in false]
        sheets["found"] += [_tile(photo, one.box, [one]) for one in found if one not in false]
    rated = []
    for name, enlarged in (("mtfl-lfw_5590", 4), ("wider-5pt", 1), ("dlib-faces", 1), ("celeba200-points", 1)):
        for photo in load(truth, name, enlarged=enlarged)[:n]:
            found = find(finder, photo.image)
            for face in photo.faces:
                error = None if face.points is None else best_error(found, face.points)
                if error is not None and face.points is not None:
                    rated.append((error, photo, face.points, found))
    for _, photo, points, found in sorted(rated, key=lambda one: -one[0])[:32]:
        low, high = points.min(axis=0), points.max(axis=0)
        sheets["worst"].append(_tile(photo, [*low, *high], found, points))
    out.mkdir(parents=True, exist_ok=True)
    for name, tiles in sheets.items():
        if tiles:
            (out / f"{name}.jpg").write_bytes(encode_jpeg(_sheet(tiles[:96])))
    return {name: len(tiles) for name, tiles in sheets.items()}


def _tile(photo: Photo, box: Box, found: Sequence[Found], truth: Any = None) -> Image8:
    """The surroundings of a box, with found faces in green and points of the truth in red."""
    x, y, side = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 1.8 * max(box[2] - box[0], box[3] - box[1], 8)
    scale = TILE / side
    shift = np.array([[scale, 0, TILE / 2 - scale * x], [0, scale, TILE / 2 - scale * y]])
    tile = cv2.warpAffine(photo.image, shift, (TILE, TILE), flags=cv2.INTER_AREA)
    for one in found:
        corners = np.reshape(one.box, (2, 2)) * scale + shift[:, 2]
        first, last = ((int(x), int(y)) for x, y in corners)
        cv2.rectangle(tile, first, last, (0, 255, 0), 1)
        _dots(tile, one.points, scale, shift, (0, 255, 0))
    _dots(tile, truth, scale, shift, (255, 0, 0))
    return tile


def _dots(tile: Image8, points: Any, scale: float, shift: Any, colour: tuple[int, int, int]) -> None:
    for x, y in [] if points is None else points * scale + shift[:, 2]:
        cv2.circle(tile, (round(x), round(y)), 2, colour, -1)


def _sheet(tiles: list[Image8]) -> Image8:
    rows = -(-len(tiles) // COLUMNS)
    sheet = np.full((rows * TILE, COLUMNS * TILE, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = k // COLUMNS * TILE, k % COLUMNS * TILE
        sheet[y : y + TILE, x : x + TILE] = tile
    return sheet
