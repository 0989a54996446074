"""Looks of the faces in pictures: what the checks of faces measure, from one decode and one search each."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cutouts import read_layers, shown_layer
from faceaug.clean.signatures import content_digest
from faceaug.data.image import Image8, load_cv2, read_bytes
from faceaug.errors import ArgumentError, ImageError
from faceaug.faces.face import Face
from faceaug.faces.finder import FaceFinder
from faceaug.faces.templates import MEAN_FACE, Affine, inverse, move_points, place_face
from faceaug.faces.warp import cut_frame

VERSION = 1  # increase it when a measure or the finder changes: cached looks are then measured again
# One record per picture. Without a face, "fine" to "clipped" are those of the whole picture.
FACE_LOOKS = np.dtype(
    [
        ("faces", "<u4"),  # faces found
        ("alike", "<u4"),  # of these, at least half as large as the largest
        ("eyes", "<f4"),  # distance of the eyes of the largest face, pixels
        ("roll", "<f4"),  # degrees, -180..180
        ("outside", "<f4"),  # share of the face outside the picture
        ("fine", "<f4"),  # see ``fine_detail``
        ("light", "<f4"),  # grey level of the brighter parts, see ``_light``
        ("spread", "<f4"),  # from the 2nd to the 98th percentile
        ("clipped", "<f4"),  # share of pixels with a white channel
        ("entropy", "<f4"),  # of the grey levels of the whole picture, bits
        ("width", "<u4"),
        ("height", "<u4"),
    ]
)
Looks: TypeAlias = NDArray[np.void]  # FACE_LOOKS (n,)
_TINY = 12  # pixels: faces from this size on are found
_SMALL = 640  # pixels: in pictures up to this size, one view shows tiny faces as well
_ALIKE = 0.5  # of the size of the largest face
_EYES = 40.0  # pixels between the eyes of a face that is measured; larger faces are made smaller
_SQUARE = 178 / 37.5  # side of the celeba-square template over its eye distance
_ROWS, _COLUMNS = (0.2, 0.95), (0.18, 0.82)  # of that square around the face, as shares of its side
_WHOLE = 200  # pixels: longer side of a whole picture that is measured
_FLAT = 160  # grey levels; a picture with less between its 1st and 99th percentile is searched again, stretched
_BLANK = 8  # grey levels; with less there is nothing to stretch
_WHITE = 254
_SKIN = 0.6  # of the bright parts of a picture: what dark skin has
_COARSER = 1.33  # of sharp photos: the ratio of the finest two sizes over that of the next two
_NOISE = 0.02  # grey levels added to both contrasts, so that a blank picture has a ratio


def read_face_look(path: str) -> tuple[str, bytes]:
    """Measure one file.

    Args:
        path: of the file.

    Returns:
        The digest of its bytes, as in ``Signature.content``, and a record of ``FACE_LOOKS`` as bytes; both are empty if
        it cannot be read.
    """
    try:
        data = read_bytes(path)
        image = shown_layer(read_layers(data, name=path))
    except ImageError:
        return "", b""
    return content_digest(data), face_look(image).tobytes()


def face_look(image: Image8) -> NDArray[np.void]:
    """Measure a picture: one record of ``FACE_LOOKS``.

    Args:
        image: uint8 (height, width, 3), RGB.
    """
    record = np.zeros((), FACE_LOOKS)
    record["height"], record["width"] = image.shape[:2]
    whole = _shrunk(image)
    record["entropy"] = _entropy(_grey(whole))
    shown = whole
    faces = _find(image)
    if faces:
        largest = faces[0]
        record["faces"] = len(faces)
        record["alike"] = sum(face.size >= _ALIKE * largest.size for face in faces)
        record["eyes"], record["roll"] = largest.eye_distance, largest.roll
        record["outside"] = outside_of(largest.landmarks, image)
        shown = _cut(image, largest)
    grey = _grey(shown)
    low, high = np.percentile(grey, (2, 98))
    record["fine"] = fine_detail(grey)
    record["light"] = _light(grey, _grey(whole))
    record["spread"] = high - low
    record["clipped"] = (shown.max(axis=2) >= _WHITE).mean()
    return record


def fine_detail(grey: NDArray[np.uint8]) -> float:
    """Contrast of the finest detail of a picture over that of twice its size: about 0.9 if sharp, 0.5 if blurred.

    The ratio depends little on what a picture shows, which the contrast of the finest detail alone does. Where a blur
    is so strong that both are only noise, the next two sizes tell: their ratio is scaled to the same values, and the
    lower one counts.

    Args:
        grey: uint8 (height, width).
    """
    cv2 = load_cv2()
    plain = grey.astype(np.float32)
    blurs = [plain, *(cv2.GaussianBlur(plain, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0))]
    finest, fine, coarse = (float((a - b).std()) + _NOISE for a, b in pairwise(blurs))
    return min(finest / fine, _COARSER * fine / coarse)


def outside_of(landmarks: NDArray[np.float32], image: Image8) -> float:
    """Share of a face that lies outside its picture: of an ellipse from forehead to chin, placed by the landmarks.

    Args:
        landmarks: (5, 2), pixel indices.
        image: uint8 (height, width, 3).
    """
    points = move_points(inverse(_placed(landmarks)), _ellipse())
    height, width = image.shape[:2]
    inside = (points >= -0.5).all(axis=1) & (points <= (width - 0.5, height - 0.5)).all(axis=1)
    return float(1 - inside.mean())


def _find(image: Image8) -> list[Face]:
    """The faces of a picture that have the shape of one, the largest first."""
    small = max(image.shape[:2]) <= _SMALL
    found = _usable(_finder(_TINY), image) if small else _usable(_finder(None), image)
    if not found and (flat := _stretched(image)) is not None:
        found = _usable(_finder(_TINY), flat)
    return found if found or small else _usable(_finder(_TINY), image)


def _usable(finder: FaceFinder, image: Image8) -> list[Face]:
    faces = []
    for face in finder.find(image):
        try:
            _placed(face.landmarks)
        except ArgumentError:  # points that no face has
            continue
        faces.append(face)
    return faces


@lru_cache(maxsize=2)
def _finder(smallest: int | None) -> FaceFinder:
    """The finder of this process; None is its own choice of the smallest faces."""
    return FaceFinder() if smallest is None else FaceFinder(min_face=smallest)


def _stretched(image: Image8) -> Image8 | None:
    """A picture of low contrast with all of the range; None for others. Faces in the dark are found that way."""
    low, high = np.percentile(_grey(_shrunk(image)), (1, 99))
    if not _BLANK <= high - low < _FLAT:
        return None
    levels = np.clip((np.arange(256) - low) * (255 / (high - low)), 0, 255)
    stretched: Image8 = np.rint(levels).astype(np.uint8)[image]
    return stretched


def _placed(landmarks: NDArray[np.float32]) -> Affine:
    return place_face("celeba", landmarks)


def _cut(image: Image8, face: Face) -> Image8:
    """A face, aligned, at its own resolution or less."""
    side = max(8, round(_SQUARE * min(face.eye_distance, _EYES)))
    frame = cut_frame(image, place_face("celeba-square", face.landmarks, size=(side, side)), (side, side))
    rows, columns = (slice(int(side * first), math.ceil(side * last)) for first, last in (_ROWS, _COLUMNS))
    return frame[rows, columns]


@lru_cache(maxsize=1)
def _ellipse() -> NDArray[np.float64]:
    """Points of the mean face from forehead to chin in a picture aligned like CelebA, (n, 2)."""
    across, down = np.meshgrid(np.linspace(-1, 1, 25), np.linspace(-1, 1, 25))
    inside = across**2 + down**2 <= 1
    eyes = MEAN_FACE[1, 0] - MEAN_FACE[0, 0]
    middle = MEAN_FACE.mean(axis=0)
    points: NDArray[np.float64] = middle + np.stack([across[inside] * 1.05 * eyes, down[inside] * 1.52 * eyes], axis=1)
    return points


def _shrunk(image: Image8) -> Image8:
    scale = _WHOLE / max(image.shape[:2])
    if scale >= 1:
        return image
    cv2 = load_cv2()
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small: Image8 = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small


def _grey(image: Image8) -> NDArray[np.uint8]:
    cv2 = load_cv2()
    grey: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def _light(face: NDArray[np.uint8], whole: NDArray[np.uint8]) -> float:
    """Grey level of the brighter parts of a face: the mean of its 75th and 95th percentile.

    Dark skin in a well-exposed picture is no fault, so bright parts of the picture raise the level, though not by more
    than the face's own: a face against a bright sky can be underexposed.
    """
    level = float(np.percentile(face, (75, 95)).mean())
    return max(level, min(_SKIN * float(np.percentile(whole, 95)), level / _SKIN))


def _entropy(grey: NDArray[np.uint8]) -> float:
    counts = np.bincount(grey.ravel(), minlength=256)
    shares = counts[counts > 0] / grey.size
    return float(abs((shares * np.log2(shares)).sum()))
