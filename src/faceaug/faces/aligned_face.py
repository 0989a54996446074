"""Aligns the faces of one photo: what a worker process does, and what comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from faceaug.data.image import Colour, Image8, encode_jpeg, encode_png, read_image
from faceaug.errors import ArgumentError, ImageError
from faceaug.faces.align_options import AlignOptions, Finder, FoundFace
from faceaug.faces.finder import MIN_FACE, FaceFinder
from faceaug.faces.templates import move_points, place_face, scale_of
from faceaug.faces.warp import cut_frame, outside_share
from faceaug.storage.unfinished import write_again

Numbers: TypeAlias = tuple[float, ...]
_FACE = 2.4  # size of a face over the distance of its eyes
_LEAST = 8  # pixels: the smallest faces that a finder may be asked for


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """An aligned face, or a photo that yields none: an entry of the ledger of an unfinished folder.

    Attributes:
        photo: index of the photo.
        of: number of entries of this photo.
        found: number of faces found in it.
        tiny: number of those whose eyes are too close together.
        file: the aligned picture, a path below the output folder; empty if there is none.
        sha256: digest of that file, hex.
        face: place among the faces of the photo, 0 is the largest.
        score: how sure the finder is.
        roll: turn in the plane of the photo, degrees.
        eye_distance: distance of the eyes in the photo, pixels; where all faces are too small, of the largest.
        box: x0, y0, x1, y1 in the photo.
        source_landmarks: ten numbers, x and y in the photo.
        landmarks: ten numbers, x and y in the aligned picture.
        scale: pixels of the aligned picture per pixel of the photo.
        outside: share of the aligned picture that lies outside the photo.
        problem: why the photo cannot be read; empty if it can.
    """

    photo: int
    of: int = 1
    found: int = 0
    tiny: int = 0
    file: str = ""
    sha256: str = ""
    face: int = -1
    score: float = 0.0
    roll: float = 0.0
    eye_distance: float = 0.0
    box: Numbers = ()
    source_landmarks: Numbers = ()
    landmarks: Numbers = ()
    scale: float = 0.0
    outside: float = 0.0
    problem: str = ""

    def to_json(self) -> tuple[object, ...]:
        """The line of the ledger."""
        return tuple(getattr(self, name) for name in _NAMES)  # astuple copies the tuples in it, number by number


_NAMES = [field.name for field in fields(AlignedFace)]


def read_entry(values: Any) -> AlignedFace:
    """Read an entry from the line of a ledger; raises ValueError or TypeError if it is not one."""
    fields: list[Any] = [tuple(value) if isinstance(value, list) else value for value in values]
    entry = AlignedFace(*fields)
    if not isinstance(entry.file, str) or "\0" in entry.file or not isinstance(entry.sha256, str):
        raise ValueError("not a file")
    if not all(type(number) is int for number in (entry.photo, entry.of, entry.found, entry.face)):
        raise ValueError("not an entry")
    return entry


@dataclass(frozen=True, slots=True)
class Job:
    """What all photos of a run have in common.

    Attributes:
        out: output folder.
        options: how faces are aligned.
        ground: colour laid under transparent pixels.
        finder: what finds the faces; None for faceaug's own, opened once in each process.
    """

    out: str
    options: AlignOptions
    ground: Colour
    finder: Finder | None


def align_photo(job: Job, task: tuple[int, str, str]) -> list[AlignedFace]:
    """Align the faces of a photo and write the pictures, not yet durably.

    Args:
        job: what all photos have in common.
        task: (index, path, path of the aligned picture below the output folder without suffix).

    Returns:
        An entry for each aligned face, in the order of the faces; one without a file if there is none.

    Raises:
        RefusedError: a file that this run did not write has the name of a picture.
    """
    photo, path, stem = task
    try:
        image = read_image(path, ground=job.ground)
    except ImageError as error:
        return [AlignedFace(photo, problem=str(error))]
    finder = own_finder(job.options.min_eyes) if job.finder is None else job.finder
    found = finder.find(image)
    large = [(k, face) for k, face in enumerate(found) if _is_large(face, job.options)]
    tiny = len(found) - len(large)
    chosen = _chosen(large, image, job.options)
    if not chosen:
        eyes = max((float(face.eye_distance) for face in found), default=0.0)
        return [AlignedFace(photo, found=len(found), tiny=tiny, eye_distance=eyes)]
    of_photo = AlignedFace(photo, len(chosen), len(found), tiny)
    return [_write(job, image, stem, face, replace(of_photo, face=k)) for k, face in chosen]


@lru_cache(maxsize=1)
def own_finder(min_eyes: float = 10.0) -> Finder:
    """The finder of this package, opened once in each process.

    Args:
        min_eyes: distance of the eyes of the smallest faces that matter, pixels.
    """
    return FaceFinder(min_face=min(MIN_FACE, max(_LEAST, round(_FACE * min_eyes))))


def _is_large(face: FoundFace, options: AlignOptions) -> bool:
    """Whether a face has eyes that are far enough apart, and points from which a frame can be computed."""
    try:
        place_face(options.template, face.landmarks)
    except ArgumentError:
        return False
    return float(face.eye_distance) >= options.min_eyes


def _chosen(
    faces: Sequence[tuple[int, FoundFace]], image: Image8, options: AlignOptions
) -> Sequence[tuple[int, FoundFace]]:
    if options.faces == "all" or len(faces) < 2:
        return faces
    if options.faces == "largest":
        return faces[:1]
    middle = np.array([image.shape[1], image.shape[0]]) / 2

    def from_middle(item: tuple[int, FoundFace]) -> float:
        """Distance of a face from the middle of the photo, pixels."""
        x0, y0, x1, y1 = map(float, item[1].box)
        return float(np.hypot((x0 + x1) / 2 - middle[0], (y0 + y1) / 2 - middle[1]))

    return [min(faces, key=from_middle)]


def _write(job: Job, image: Image8, stem: str, face: FoundFace, entry: AlignedFace) -> AlignedFace:
    options = job.options
    size = options.frame
    points = np.asarray(face.landmarks, np.float32)
    matrix = place_face(options.template, points, size=size)
    aligned = cut_frame(image, matrix, size, padding=options.border)
    data = encode_jpeg(aligned) if options.format == "jpg" else encode_png(aligned, quick=True)
    name = f"{stem}-{entry.face}.{options.format}" if options.faces == "all" else f"{stem}.{options.format}"
    path = Path(job.out, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_again(path, data)
    return replace(
        entry,
        file=name,
        sha256=hashlib.sha256(data).hexdigest(),
        score=float(face.score),
        roll=float(face.roll),
        eye_distance=float(face.eye_distance),
        box=tuple(map(float, face.box)),
        source_landmarks=tuple(points.reshape(-1).tolist()),
        landmarks=tuple(move_points(matrix, points).reshape(-1).tolist()),
        scale=scale_of(matrix),
        outside=outside_share(image, matrix, size),
    )
