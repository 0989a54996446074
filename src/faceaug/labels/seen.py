"""What the attribute classifier sees in the pictures of a folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import crop_face
from faceaug.data.folder import FaceFolder
from faceaug.errors import ImageError, RefusedError, printable
from faceaug.progress import SILENT, Progress
from faceaug.synthesize.attribute_network import SIDE
from faceaug.synthesize.classifier import AttributeClassifier

_AT_ONCE = 512  # faces in memory


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Answers of a classifier.

    Attributes:
        rows: int64 (n,), the readable pictures.
        logits: float64 (n, a), above 0 means yes; the mean of a face and its mirror image.
        unreadable: a line for each other picture.
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float64]
    unreadable: tuple[str, ...]


def look_at(
    folder: FaceFolder, rows: NDArray[np.int64], classifier: AttributeClassifier, progress: Progress = SILENT
) -> Seen:
    """Show pictures to a classifier, cropped as its training pictures were.

    Args:
        folder: the pictures.
        rows: their indices.
        classifier: the classifier.
        progress: counts the pictures.

    Raises:
        RefusedError: no picture is readable.
    """
    crop = classifier.config.crop
    kept: list[int] = []
    found: list[NDArray[np.float32]] = []
    problems: list[str] = []

    def face(row: int) -> NDArray[np.uint8] | str:
        """One face, uint8 (3, side, side), or the reason why it cannot be read."""
        try:
            return crop_face(folder.read(row), crop, (SIDE, SIDE)).transpose(2, 0, 1)
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool, progress.phase("looking for attributes", len(rows), "pictures") as phase:
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE].tolist()
            results = list(pool.map(face, part))
            problems += [result for result in results if isinstance(result, str)]
            faces = [result for result in results if not isinstance(result, str)]
            kept += [row for row, result in zip(part, results, strict=True) if not isinstance(result, str)]
            if faces:
                found.append(_logits(classifier, np.stack(faces)))
            phase.advance(len(part))
    if not kept:
        raise RefusedError(f"{printable(folder.root)}: none of {len(rows):,} pictures can be read ({problems[0]})")
    return Seen(np.array(kept, np.int64), np.concatenate(found).astype(np.float64), tuple(problems))


def _logits(classifier: AttributeClassifier, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Both views of a face make fewer errors than one."""
    return (classifier.logits(faces) + classifier.logits(np.ascontiguousarray(faces[..., ::-1]))) / np.float32(2)
