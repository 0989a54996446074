"""Hides the faces of one photo: what a worker process does, and what comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from faceaug.data.image import Colour, Image8, encode_jpeg, encode_png, encode_webp, read_image
from faceaug.deidentify.hiding import hide_faces
from faceaug.deidentify.options import SURE, DeidentifyOptions
from faceaug.deidentify.region import region_of
from faceaug.deidentify.replacing import Replacer, number_of
from faceaug.errors import ImageError
from faceaug.faces.align_options import Finder
from faceaug.faces.finder import FaceFinder
from faceaug.storage.unfinished import Begun, write_again

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif")
WEBP, PNG = ".webp", ".png"
ENDINGS = (*JPEG, WEBP, PNG)  # of pictures that keep their format
Task: TypeAlias = tuple[int, str, str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class HiddenFace:
    """A face that was hidden.

    Attributes:
        box: x0, y0, x1, y1 in the photo, pixel indices.
        score: how sure the finder is, 0..1.
        replaced: whether a synthetic face is in its place.
        attributes: those that were asked of it, as (name, 1 or -1).
    """

    box: tuple[float, ...]
    score: float
    replaced: bool = False
    attributes: tuple[tuple[str, int], ...] = ()

    @property
    def sure(self) -> bool:
        """Whether it is a face beyond doubt."""
        return self.score >= SURE


@dataclass(frozen=True, slots=True)
class HiddenPhoto:
    """What came of a photo: an entry of the ledger of an unfinished folder.

    Attributes:
        photo: index of the photo.
        file: the picture written, a path below the output folder; empty if the photo cannot be read.
        sha256: digest of that file, hex.
        faces: faces hidden in it, the largest first.
        problem: why the photo cannot be read, without its path; empty if it can.
    """

    photo: int
    file: str = ""
    sha256: str = ""
    faces: tuple[HiddenFace, ...] = ()
    problem: str = ""

    def to_json(self) -> tuple[object, ...]:
        """The line of the ledger."""
        return astuple(self)


def read_entry(values: Any) -> HiddenPhoto:
    """Read an entry from the line of a ledger; raises ValueError or TypeError if it is not one."""
    photo, file, sha256, faces, problem = values
    if type(photo) is not int or not all(isinstance(text, str) for text in (file, sha256, problem)) or "\0" in file:
        raise ValueError("not an entry")
    found = tuple(
        HiddenFace(tuple(map(float, box)), float(score), bool(replaced), tuple((str(n), int(v)) for n, v in attributes))
        for box, score, replaced, attributes in faces
    )
    return HiddenPhoto(photo, file, sha256, found, problem)


@dataclass(frozen=True, slots=True)
class Job:
    """What all photos of a run have in common.

    Attributes:
        out: output folder.
        options: how faces are hidden.
        ground: colour laid under transparent pixels.
        finder: what finds the faces; None for faceaug's own, opened once in each process.
        begun: the contents that this run has begun to write.
    """

    out: str
    options: DeidentifyOptions
    ground: Colour
    finder: Finder | None
    begun: Begun


def hide_photo(job: Job, task: Task) -> HiddenPhoto:
    """Hide the faces of a photo and write the picture, not yet durably.

    Args:
        job: what all photos have in common.
        task: (index, path, file below the output folder, attributes of the photo: 40 numbers, or none).

    Raises:
        RefusedError: a file that this run did not write has the name of the picture.
    """
    photo, path, file, known = task
    try:
        image = read_image(path, ground=job.ground)
    except ImageError as error:
        return HiddenPhoto(photo, problem=error.reason)
    hidden, faces = hide_all(image, job.options, finder=job.finder, known=known)
    data = _encoded(hidden, file, job.options)
    target = Path(job.out, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_again(target, data, begun=job.begun)
    return HiddenPhoto(photo, file, hashlib.sha256(data).hexdigest(), faces)


def hide_all(
    image: Image8, options: DeidentifyOptions, *, finder: Finder | None = None, known: Sequence[int] = ()
) -> tuple[Image8, tuple[HiddenFace, ...]]:
    """Find the faces of a photo and hide them.

    Args:
        image: uint8 (height, width, 3), RGB; it stays as it is.
        options: how.
        finder: what finds them; None for faceaug's own.
        known: attributes of the largest face by a table, 40 numbers, 0 unknown; empty if there is none.

    Returns:
        (the picture, the faces in it).
    """
    found = (own_finder(options.min_face, options.threshold) if finder is None else finder).find(image)
    regions = [region_of(face.box, face.roll) for face in found]
    plain = options.how if options.how != "synthetic" else "blur"
    hidden = hide_faces(image, regions, plain)
    faces = [HiddenFace(tuple(map(float, face.box)), float(face.score)) for face in found]
    if options.how != "synthetic":
        return hidden, tuple(faces)
    replacer = own_replacer(tuple(options.attributes.items()), options.keep, options.seed)
    for k in reversed(range(len(found))):  # the largest face last: it is in front
        if not faces[k].sure:
            continue
        wanted = replacer.attributes_for(image, found[k], known if k == 0 else ())
        replaced = replacer.replace(image, hidden, found[k], regions[k], number_of(image, k), wanted)
        if replaced is not None:
            hidden = replaced
            faces[k] = HiddenFace(faces[k].box, faces[k].score, True, tuple(wanted.items()))
    return hidden, tuple(faces)


@lru_cache(maxsize=1)
def own_finder(min_face: int, threshold: float) -> Finder:
    """The finder of this package, thorough, opened once in each process; see ``FaceFinder``."""
    return FaceFinder(min_face=min_face, threshold=threshold, thorough=True)


@lru_cache(maxsize=1)
def own_replacer(attributes: tuple[tuple[str, int], ...], keep: tuple[str, ...], seed: int) -> Replacer:
    """The replacer for these options, opened once in each process; see ``Replacer``."""
    return Replacer(dict(attributes), keep, seed)


def _encoded(image: Image8, file: str, options: DeidentifyOptions) -> bytes:
    ending = Path(file).suffix.lower()
    made = {"Software": "faceaug deidentify", "faces": options.how}
    if ending in JPEG:
        return encode_jpeg(image)
    return encode_webp(image, text=made) if ending == WEBP else encode_png(image, text=made, quick=True)
