"""How the faces of a set are framed, measured on landmarks: by which template, at which scale, squeezed or not.

Places are shares of the picture's width and height, so that sets of different sizes compare. A template may have been
cut at its centre to the shape of the pictures, or squeezed into it as a whole; both are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Size
from faceaug.faces.templates import (
    MEAN_FACE,
    TEMPLATES,
    Points,
    Template,
    expected_landmarks,
    move_points,
    place_face,
    template_size,
)

SQUEEZED = 0.11  # logarithm of the squeeze from which pictures have lost their shape; sets of true shape reach 0.06
_SCALED = 0.12  # logarithm of the scale, and a share of the picture by which faces are shifted, ...
_SHIFTED = 0.12  # ... beyond which a template does not explain a set
_MOVED = 0.03  # share of the picture by which faces are shifted in a crop of its own
_DOUBT = 0.3  # weight of a squeeze that a template does not imply: the faces themselves may have been squeezed before
_SAME = 0.02  # logarithm of the ratio of two shapes that count as one


@dataclass(frozen=True, slots=True)
class Framing:
    """A set of faces beside a template.

    Attributes:
        template: name of the template.
        cut: whether the template is cut at its centre to the shape of the pictures; else it fills them as a whole.
        distance: root mean square distance of the typical face's landmarks from the template's, as a share of the
            distance of its eyes.
        scale: size of the faces, as a share of the picture, over the template's.
        right: shift to the right of the template's place, as a share of the width; negative to the left.
        down: shift downwards, as a share of the height; negative upwards.
        spread: how much the template's rule would still turn, scale and shift single faces, as a share of the distance
            of the eyes: the smallest for the rule that aligned them.
    """

    template: Template
    cut: bool
    distance: float
    scale: float
    right: float
    down: float
    spread: float

    @property
    def explains(self) -> bool:
        """Whether scale and place are those of the template, but for a loose crop."""
        return abs(np.log(self.scale)) < _SCALED and float(np.hypot(self.right, self.down)) < _SHIFTED

    @property
    def loose(self) -> bool:
        """Whether the faces have the template's scale in another place: the pictures were cropped otherwise."""
        return float(np.hypot(self.right, self.down)) > _MOVED

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        digits = {name: round(getattr(self, name), 4) for name in ("distance", "scale", "right", "down", "spread")}
        return {"template": self.template, "cut": self.cut, **digits}


def true_shape(points: Points) -> float:
    """Width over height of a face: the distance of the eyes over that from eyes to mouth, both as in the picture."""
    left, right, _, *mouth = points
    return float(np.hypot(*(right - left)) / np.hypot(*(np.mean(mouth, axis=0) - (left + right) / 2)))


FACE_SHAPE = true_shape(MEAN_FACE)  # the mean of CelebA's faces


def measure_squeeze(points: NDArray[np.floating]) -> float:
    """Width over height of faces (n, 5, 2), pixels, against that of the mean face: above 1 they are too wide."""
    return float(np.median([true_shape(face) for face in points.astype(np.float64)]) / FACE_SHAPE)


def compare_templates(points: NDArray[np.floating], sizes: NDArray[np.int64], squeeze: float) -> tuple[Framing, ...]:
    """Compare faces with every template, the best explanation first.

    Args:
        points: (n, 5, 2), landmarks in each picture, pixel indices.
        sizes: int (n, 2), width and height of each picture.
        squeeze: see ``measure_squeeze``.
    """
    shares = (points + 0.5) / sizes[:, None]
    typical = np.median(shares, axis=0)
    usual = np.median(sizes, axis=0)
    found = []
    for template in TEMPLATES:
        spread = _spread(template, shares * usual, squeeze)
        whole = template_size(template)
        for cut in (False, True):
            frame = _cut(whole, usual) if cut else whole
            if not cut or abs(np.log(frame[0] / frame[1] * whole[1] / whole[0])) > _SAME:
                found.append(_framing(template, cut, typical, usual, frame, spread))
    return tuple(sorted(found, key=lambda framing: (round(_cost(framing, squeeze, usual), 6), framing.cut)))


def _cost(framing: Framing, squeeze: float, usual: NDArray[np.floating]) -> float:
    """How badly a template explains a set. A whole template implies the squeeze that fits it into the pictures."""
    whole = template_size(framing.template)
    implied = 1.0 if framing.cut else usual[0] / usual[1] * whole[1] / whole[0]
    shift = np.hypot(framing.right, framing.down)
    return float(abs(np.log(framing.scale)) + shift + _DOUBT * abs(np.log(squeeze / implied)))


def _cut(whole: Size, shape: NDArray[np.floating]) -> tuple[float, float]:
    """The centre of a template in the shape of the pictures: (width, height)."""
    scale = max(shape[0] / whole[0], shape[1] / whole[1])
    return float(shape[0] / scale), float(shape[1] / scale)


def _framing(
    template: Template,
    cut: bool,
    typical: NDArray[np.floating],
    usual: NDArray[np.floating],
    frame: tuple[float, float],
    spread: float,
) -> Framing:
    here = expected_landmarks(template) + 0.5 - (np.array(template_size(template)) - frame) / 2
    expected = here / frame
    middle, aim = typical.mean(axis=0), expected.mean(axis=0)
    size = [np.sqrt(((face - face.mean(axis=0)) ** 2).sum(axis=0).prod()) for face in (typical, expected)]
    apart = np.sqrt((((typical - expected) * usual) ** 2).sum(axis=1).mean())
    eyes = np.hypot(*((typical[1] - typical[0]) * usual))
    right, down = (middle - aim).tolist()
    return Framing(template, cut, float(apart / eyes), float(np.sqrt(size[0] / size[1])), right, down, spread)


def _spread(template: Template, points: NDArray[np.floating], squeeze: float) -> float:
    """Root mean square scatter of where a template's rule puts the corners of a face's surroundings.

    ``points`` are in pixels of the usual picture, whatever the sizes of the pictures are.
    """
    true = points * (1 / squeeze, 1) if abs(np.log(squeeze)) > SQUEEZED else points
    eyes = float(np.median(np.hypot(*(true[:, 1] - true[:, 0]).T)))
    middle = np.median(true, axis=0).mean(axis=0)
    corners = middle + eyes * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    placed = np.array([move_points(place_face(template, face), corners) for face in true])
    unit = np.median(np.hypot(*(placed[:, 1] - placed[:, 0]).T)) / 2
    away = np.hypot(*np.moveaxis(placed - np.median(placed, axis=0), -1, 0)) / unit
    return float(np.sqrt((np.median(away, axis=0) ** 2).mean()))
