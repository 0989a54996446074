"""Real faces as one array, cropped and resized once, and the order in which they are shown."""

from __future__ import annotations

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.containers import file_of
from faceaug.data.crop import Crop, crop_face, place as placement
from faceaug.data.folder import FaceFolder
from faceaug.data.image import WHITE
from faceaug.draws import permutation
from faceaug.errors import ImageError, RefusedError, printable
from faceaug.progress import SILENT, Progress
from faceaug.storage.files import check_free_space, explained, publish_file, remove_output, write_json
from faceaug.storage.schema import parse_json

_CHUNK = 1024  # files in flight; limits the decoded pictures in memory
_ENLARGED = 2  # times; pictures that are enlarged more are blurred
_BORDERS = "which a model learns as part of a face; crop 'square' (--crop square) cuts them off instead"
_BLURRED = "a model learns the blur; give larger pictures, or a smaller --size"
PIXELS, FACTS = "faces.npy", "faces.json"


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of a run.

    Attributes:
        pixels: uint8 (n, 3, size, size), a memory map, so that the faces need not fit in memory.
        unreadable: a line for each picture that was left out.
        fingerprint: digest of the pixels, and of the attributes if there are any.
        rows: int64 (n,), indices of the pictures in the folder.
        attributes: int8 (n, 40), -1 no, 1 yes, 0 unknown; None for an unconditional run.
    """

    pixels: NDArray[np.uint8]
    unreadable: tuple[str, ...]
    fingerprint: str
    rows: NDArray[np.int64]
    attributes: NDArray[np.int8] | None = None


def map_faces(
    folder: FaceFolder, place: Path, *, crop: Crop, size: int, rows: NDArray[np.int64], progress: Progress = SILENT
) -> Faces:
    """Decode, crop and resize pictures once, into ``faces.npy``; later calls open this file.

    Args:
        folder: the pictures.
        place: folder for the file, such as the run folder.
        crop: the part of a picture to use.
        size: height and width of a face, pixels.
        rows: indices of the pictures, in this order.
        progress: shows how many pictures are read.

    Raises:
        RefusedError: no picture is readable, all are the same, or the disk is full.
    """
    listing = _listing(folder, crop, size, rows)
    if (found := _mapped(place, listing, rows)) is not None:
        return found
    needed = len(rows) * 3 * size * size
    check_free_space(place, needed + 2**20)
    partial = place / (PIXELS + ".partial")
    with explained(place):
        pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(rows), 3, size, size))
        kept, problems = _fill(pixels, folder, crop=crop, size=size, rows=rows, progress=progress)
        count = len(kept)
        _refuse_sameness(folder, pixels[:count])
        digest = fingerprint(pixels[:count])
        pixels.flush()
        del pixels
        publish_file(partial, place / PIXELS)
        facts: dict[str, Any] = {"listing": listing, "count": count, "unreadable": problems, "fingerprint": digest}
        if problems:
            facts["rows"] = kept
        write_json(place / FACTS, facts)
    opened = _mapped(place, listing, rows)
    if opened is None:
        raise RefusedError(f"{printable(place / PIXELS)}: disappeared while it was opened; run again")
    return opened


def drop_faces(place: Path) -> None:
    """Remove the files that ``map_faces`` wrote."""
    for name in (FACTS, PIXELS, PIXELS + ".partial"):
        remove_output(place / name)


def _mapped(place: Path, listing: str, rows: NDArray[np.int64]) -> Faces | None:
    try:
        facts = parse_json((place / FACTS).read_bytes())
        if facts["listing"] != listing:
            return None
        pixels = np.load(place / PIXELS, mmap_mode="r")[: facts["count"]]
        kept = rows if facts["count"] == len(rows) else np.array(facts["rows"], np.int64)
        return Faces(pixels, tuple(facts["unreadable"]), facts["fingerprint"], kept)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged or absent: it is written again


def _listing(folder: FaceFolder, crop: Crop, size: int, rows: NDArray[np.int64]) -> str:
    """A digest of the files to decode: names, sizes and modification times."""
    ground = "" if folder.ground == WHITE else f" on {folder.ground}"
    digest = hashlib.sha256(f"{crop} {size}{ground}".encode())
    for row in rows.tolist():
        path = folder.path(row)
        try:
            facts = file_of(path).stat()
            line = f"{path.name}\0{facts.st_size}\0{facts.st_mtime_ns}\0"
        except OSError:
            line = f"{path.name}\0absent\0"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _refuse_sameness(folder: FaceFolder, faces: NDArray[np.uint8]) -> None:
    if len(faces) > 1 and all((face == faces[0]).all() for face in faces[1:]):
        raise RefusedError(
            f"{printable(folder.root)}: all {len(faces)} faces are the same picture (one colour, or copies), so there "
            "is nothing to learn; give a folder of different faces"
        )


def load_faces(
    folder: FaceFolder, *, crop: Crop, size: int, rows: NDArray[np.int64], progress: Progress = SILENT
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Decode, crop and resize pictures in memory.

    Args:
        folder: the pictures.
        crop: the part of a picture to use.
        size: height and width of a face, pixels.
        rows: indices of the pictures, in this order.
        progress: shows how many pictures are read.

    Returns:
        (faces, rows, problems): the readable pictures, uint8 (n, 3, size, size); their indices, int64 (n,); and a line
        for each unreadable one.

    Raises:
        RefusedError: no picture is readable.
    """
    faces = np.empty((len(rows), 3, size, size), np.uint8)
    kept, problems = _fill(faces, folder, crop=crop, size=size, rows=rows, progress=progress)
    return faces[: len(kept)], np.array(kept, np.int64), problems


def _fill(
    faces: NDArray[np.uint8],
    folder: FaceFolder,
    *,
    crop: Crop,
    size: int,
    rows: NDArray[np.int64],
    progress: Progress,
) -> tuple[list[int], list[str]]:
    """Write the readable pictures into ``faces``; return their indices, and a line for each unreadable one."""
    problems: list[str] = []
    padded: list[int] = []
    small: list[int] = []

    def face(row: int) -> NDArray[np.uint8] | str:
        """One face, uint8 (3, size, size), or the reason why it cannot be read."""
        try:
            image = folder.read(row)
        except ImageError as error:
            return str(error)
        where = placement(crop, (image.shape[1], image.shape[0]), (size, size))
        if where.padded:
            padded.append(row)
        if where.fitted[0] > _ENLARGED * where.box[2]:
            small.append(row)
        return crop_face(image, crop, (size, size)).transpose(2, 0, 1)

    kept: list[int] = []
    with ThreadPoolExecutor(2) as pool, progress.phase("reading", len(rows), "pictures") as phase:
        for start in range(0, len(rows), _CHUNK):  # OpenCV releases the interpreter lock while it decodes
            chunk = rows[start : start + _CHUNK].tolist()
            for row, result in phase.over(zip(chunk, pool.map(face, chunk), strict=True)):
                if isinstance(result, str):
                    problems.append(result)
                else:
                    faces[len(kept)] = result
                    kept.append(row)
    if not kept:
        raise RefusedError(f"{folder.root}: none of its {len(rows)} pictures can be read ({problems[0]})")
    _warn(folder, padded, kept, "not square", f"crop {crop!r} cuts nothing off: they got black borders, {_BORDERS}")
    _warn(folder, small, kept, "small", f"they were enlarged more than twice to {size} pixels: {_BLURRED}")
    return kept, problems


def _warn(folder: FaceFolder, rows: list[int], kept: list[int], fact: str, consequence: str) -> None:
    """Warn of what some pictures are, if there are any."""
    if rows:
        which = f"{len(rows):,} of {len(kept):,} pictures are {fact}, such as {printable(folder.names[min(rows)])}"
        warnings.warn(f"{printable(folder.root)}: {which}, and {consequence}", stacklevel=4)


def fingerprint(faces: NDArray[np.uint8]) -> str:
    """SHA-256 of the faces, so that a resumed run can check that they are the same."""
    return hashlib.sha256(np.ascontiguousarray(faces).data).hexdigest()


class ShowingOrder:
    """The order in which faces are shown: a new permutation for each epoch, which depends on (seed, epoch) only."""

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._seed = seed
        self._order = np.empty(0, np.int64)
        self._epoch = -1

    def __call__(self, start: int, count: int) -> NDArray[np.int64]:
        """Indices of ``count`` faces from position ``start`` on, int64; a batch may span two epochs."""
        pieces = []
        stop = start + count
        while start < stop:
            epoch, offset = divmod(start, self._n)
            pieces.append(self._of(epoch)[offset : offset + stop - start])
            start += len(pieces[-1])
        return np.concatenate(pieces)

    def _of(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._order = permutation(self._n, self._seed, epoch=epoch, slot="train/order")
            self._epoch = epoch
        return self._order
