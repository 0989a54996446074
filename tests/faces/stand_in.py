"""A finder that returns given faces, for pictures it has been shown, and photos with dots for landmarks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import encode_png

SHAPE = np.array([[-0.5, -0.55], [0.5, -0.55], [0.0, 0.05], [-0.42, 0.5], [0.42, 0.5]])  # in eye distances
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))


@dataclass(frozen=True)
class GivenFace:
    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float = 0.9

    @property
    def roll(self) -> float:
        across = self.landmarks[1] - self.landmarks[0]
        return math.degrees(math.atan2(across[1], across[0]))

    @property
    def eye_distance(self) -> float:
        return float(np.hypot(*(self.landmarks[1] - self.landmarks[0])))


def face_at(x: float, y: float, eyes: float, roll: float = 0.0) -> GivenFace:
    """A face about a middle, with this distance of the eyes, turned by degrees."""
    turn = math.radians(roll)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = (SHAPE @ rotation.T * eyes + (x, y)).astype(np.float32)
    return GivenFace((x - eyes, y - 1.3 * eyes, x + eyes, y + 1.3 * eyes), points)


@dataclass(frozen=True)
class GivenFinder:
    """Finds the faces that were given for the pixels of a picture, the largest first."""

    faces: Mapping[str, Sequence[GivenFace]]

    def find(self, image: NDArray[np.uint8]) -> tuple[GivenFace, ...]:
        found = self.faces.get(digest(image), ())
        return tuple(sorted(found, key=lambda face: -face.eye_distance))


def digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes() + str(image.shape).encode()).hexdigest()


def paint(faces: Sequence[GivenFace], *, width: int = 640, height: int = 520, seed: int = 0) -> NDArray[np.uint8]:
    """A photo whose ground differs with the seed, with a dot of its own colour on every landmark."""
    image = np.full((height, width, 3), (90 + seed % 60, 100, 110), np.uint8)
    for face in faces:
        for (x, y), colour in zip(face.landmarks.tolist(), COLOURS, strict=True):
            centre = (round(x * 16), round(y * 16))
            cv2.circle(image, centre, round(face.eye_distance * 16 / 10), colour, -1, cv2.LINE_AA, shift=4)
    return image


def dots_in(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The middles of the dots in an aligned picture of one face: (5, 2)."""
    found = []
    for colour in COLOURS:
        near = np.abs(image.astype(int) - colour).max(axis=2) < 100
        y, x = np.nonzero(near)
        found.append((x.mean(), y.mean()))
    return np.array(found)


def write_photos(folder: Path, photos: Mapping[str, Sequence[GivenFace]], **size: int) -> GivenFinder:
    """Write a photo for each name, and return a finder that knows their faces."""
    known = {}
    for seed, (name, faces) in enumerate(photos.items()):
        image = paint(faces, seed=seed, **size)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image))
        known[digest(image)] = tuple(faces)
    return GivenFinder(known)
