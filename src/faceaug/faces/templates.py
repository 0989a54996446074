"""Alignment templates: where a face lies in an aligned picture, and the rule that places it there.

Every rule gives a similarity (rotation, scale, shift), so a face is never stretched. Coordinates are pixel indices: the
centre of the first pixel is (0, 0). The numbers of a template belong to its published size; for another size the
template covers the new frame and is cut at its centre, so ``celeba`` at 178x178 is CelebA's centre square and
``arcface`` at 96x112 the narrow template of the same authors.

* ``celeba``: 178x218. A similarity fitted by least squares, from the template to the photo, to the eyes and the middle
  of the mouth; it leaves 0.36 pixels on CelebA's published tables of aligned and original landmarks.
* ``celeba-square``: its centre square of 178x178.
* ``ffhq``: 1024x1024. The square of NVIDIA's ``ffhq-dataset`` (``recreate_aligned_images``): its side is 4 times the
  distance of the eyes or 3.6 times that from eyes to mouth, whichever is larger.
* ``arcface``: 112x112. A similarity fitted by least squares, from the photo to the template, to all five landmarks, as
  in insightface (``face_align.arcface_dst``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Size
from faceaug.errors import ArgumentError

Template: TypeAlias = Literal["celeba", "celeba-square", "ffhq", "arcface"]
TEMPLATES: tuple[Template, ...] = get_args(Template)
Points: TypeAlias = NDArray[np.float64]  # (n, 2), x and y
Affine: TypeAlias = NDArray[np.float64]  # (2, 3): (x, y, 1) -> (x, y)

_CELEBA = np.array([[69.745, 111.0], [107.237, 111.0], [88.432, 152.514]])  # eyes, middle of the mouth
_ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# Means of the landmarks of CelebA's aligned photos: the face that a template is compared with.
MEAN_FACE: Points = np.array([[69.5, 111.2], [107.7, 111.0], [88.2, 135.4], [71.3, 152.2], [105.3, 152.2]])


@dataclass(frozen=True, slots=True)
class _Rule:
    """A template: its published size, and the similarity from a photo with these landmarks to it."""

    size: Size
    place: Callable[[Points], Affine]


def template_size(template: Template) -> Size:
    """The published (width, height) of a template, pixels."""
    return _rule(template).size


def place_face(template: Template, landmarks: NDArray[np.floating], *, size: Size | None = None) -> Affine:
    """The similarity that aligns a face.

    Args:
        template: name of the template.
        landmarks: (5, 2), x and y in the photo, pixel indices: the eye on the left of the picture, the other eye, the
            tip of the nose, the left and the right corner of the mouth.
        size: (width, height) of the aligned picture; None for the template's own.

    Returns:
        float64 (2, 3), which maps (x, y, 1) in the photo to x, y in the aligned picture.

    Raises:
        ArgumentError: there is no such template, or the landmarks are not five points of a face.
    """
    rule = _rule(template)
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ArgumentError(f"landmarks of shape {points.shape}: expected five known points, (5, 2)")
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = _fitted_to(rule.place(points), rule.size, size or rule.size)
    if not np.isfinite(matrix).all() or scale_of(matrix) == 0:
        raise ArgumentError(f"landmarks {points.round(1).tolist()}: these points are not those of a face")
    return matrix


def move_points(matrix: Affine, points: NDArray[np.floating]) -> Points:
    """Map points (..., 2) by a matrix (2, 3)."""
    moved: Points = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def inverse(matrix: Affine) -> Affine:
    """The inverse of a map; not finite if there is none."""
    (a, b, x), (c, d, y) = matrix
    linear = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
    return np.column_stack([linear, -linear @ (x, y)])


def scale_of(matrix: Affine) -> float:
    """Pixels of the result per pixel of the source."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def least_squares_similarity(source: Points, target: Points) -> Affine:
    """The similarity without reflection that maps one set of points to another with the least squared error.

    In complex numbers it is z -> a z + b, and ``a`` is a linear regression. The result is that of Umeyama (1991)
    wherever that one has no reflection.

    Args:
        source: (n, 2), not all equal.
        target: (n, 2).
    """
    x, y = source @ (1, 1j), target @ (1, 1j)
    centred = x - x.mean()
    a = np.vdot(centred, y - y.mean()) / np.vdot(centred, centred).real
    b = y.mean() - a * x.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def expected_landmarks(template: Template) -> Points:
    """Landmarks (5, 2) of the mean face in a picture that the template's rule has aligned, at its published size.

    The face is the same for all templates, so they differ in place and scale, not in the shape of the face.
    """
    return move_points(place_face(template, MEAN_FACE), MEAN_FACE)


def _place_celeba(points: Points) -> Affine:
    left, right, _, *mouth = points
    return inverse(least_squares_similarity(_CELEBA, np.stack([left, right, np.mean(mouth, axis=0)])))


def _place_celeba_square(points: Points) -> Affine:
    return _fitted_to(_place_celeba(points), (178, 218), (178, 178))


def _place_arcface(points: Points) -> Affine:
    return least_squares_similarity(points, _ARCFACE)


def _place_ffhq(points: Points) -> Affine:
    left, right, _, *mouth = points
    eyes = (left + right) / 2
    across = right - left
    down = np.mean(mouth, axis=0) - eyes
    x = across - np.array([-down[1], down[0]])
    x *= max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down)) / np.hypot(*x)
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down
    # The square's corners are positions of pixel centres (the original adds 0.5 before it cuts), and the picture's
    # corners are half a pixel outside the centres of its outermost pixels.
    side = 1024
    back = np.column_stack([x, y]) * 2 / side
    middle = (side - 1) / 2
    return inverse(np.column_stack([back, centre - back @ (middle, middle)]))


_RULES: dict[Template, _Rule] = {
    "celeba": _Rule((178, 218), _place_celeba),
    "celeba-square": _Rule((178, 178), _place_celeba_square),
    "ffhq": _Rule((1024, 1024), _place_ffhq),
    "arcface": _Rule((112, 112), _place_arcface),
}


def _rule(template: Template) -> _Rule:
    rule = _RULES.get(template)
    if rule is None:
        raise ArgumentError(f"template {template!r}: expected one of {', '.join(TEMPLATES)}")
    return rule


def _fitted_to(matrix: Affine, size: Size, frame: Size) -> Affine:
    """Let a template of one size cover a frame of another, centred."""
    if size == frame:
        return matrix
    scale = max(frame[0] / size[0], frame[1] / size[1])
    shift = (np.array(frame) - scale * np.array(size)) / 2 + (scale - 1) / 2
    return np.column_stack([scale * matrix[:, :2], scale * matrix[:, 2] + shift])
