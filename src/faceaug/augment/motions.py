"""Maps of the geometric functions of ``torchvision.transforms.v2.functional``.

torchvision moves ``KeyPoints`` by other rules than pictures, and the rules differ between functions: pixel edges in
resize, rotate, affine and perspective, pixel indices in flips, whole pixels in elastic. Here the pixels of the picture
decide, so the maps follow torchvision's picture kernels, which have not changed since v1. Those use coordinates of
pixel edges; ours are half a pixel lower.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Reals, Size
from faceaug.augment.maps import Map, Matrix, Nine

Arguments: TypeAlias = dict[str, Any]  # arguments of the function by name
_IDENTITY: Nine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def horizontal_flip(size: Size, _: Arguments) -> Map:
    """Reverse the columns."""
    return Map(size, (Matrix((-1.0, 0.0, size[1] - 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)),))


def vertical_flip(size: Size, _: Arguments) -> Map:
    """Reverse the rows."""
    return Map(size, (Matrix((1.0, 0.0, 0.0, 0.0, -1.0, size[0] - 1.0, 0.0, 0.0, 1.0)),))


def resize(size: Size, given: Arguments) -> Map:
    """Scale the picture so that its edges stay its edges."""
    return _scaled(size, resized(size, given["size"], given["max_size"]))


def crop(size: Size, given: Arguments) -> Map:
    """Cut out a rectangle, which may exceed the picture."""
    return _shifted(size, -given["left"], -given["top"], (given["height"], given["width"]))


def pad(size: Size, given: Arguments) -> Map:
    """Add a margin on each side; negative margins crop."""
    sides = np.ravel(given["padding"]).tolist()
    left, top, right, bottom = sides * (4 // len(sides))
    return _shifted(size, left, top, (size[0] + top + bottom, size[1] + left + right))


def center_crop(size: Size, given: Arguments) -> Map:
    """Cut out the centre; a picture that is too small is padded first, odd pixels right and below."""
    wanted = _pair(given["output_size"])
    left, top = (_middle(has, wants) for has, wants in zip(size[::-1], wanted[::-1], strict=True))
    return _shifted(size, left, top, wanted)


def resized_crop(size: Size, given: Arguments) -> Map:
    """Cut out a rectangle and scale it."""
    part = crop(size, given)
    return part.then(_scaled(part.out, resized(part.out, given["size"], None)))


def rotate(size: Size, given: Arguments) -> Map:
    """Rotate counter-clockwise about the centre; an expanded frame keeps the centre of the picture."""
    radians = math.radians(given["angle"] % 360)
    cosine, sine = math.cos(radians), math.sin(radians)
    out = _expanded(size, cosine, sine) if given["expand"] else size
    return _about(size, out, given["center"], (cosine, sine, -sine, cosine), (0.0, 0.0))


def affine(size: Size, given: Arguments) -> Map:
    """Shear along y, then along x, scale, rotate clockwise about the centre, translate."""
    shear = np.ravel(given["shear"]).tolist()
    sides = [*shear, 0.0] if np.ndim(given["shear"]) == 0 else shear * (2 // len(shear))
    angle, (across, down) = math.radians(given["angle"]), map(math.radians, sides)
    turned = angle - down
    a, c = math.cos(turned) / math.cos(down), math.sin(turned) / math.cos(down)
    b, d = -a * math.tan(across) - math.sin(angle), -c * math.tan(across) + math.cos(angle)
    a, b, c, d = (value * given["scale"] for value in (a, b, c, d))
    return _about(size, size, given["center"], (a, b, c, d), given["translate"])


def perspective(size: Size, given: Arguments) -> Map:
    """The homography given by corners or by its eight coefficients from output to input."""
    back = given["coefficients"]
    if back is None:
        back = _homography(given["endpoints"], given["startpoints"])
    inverse = Matrix(_half_lower((*map(float, back), 1.0))).inverse
    height, width = size
    depth = inverse[6] * (width - 1) / 2 + inverse[7] * (height - 1) / 2 + inverse[8]
    a, b, c, d, e, f, g, h, i = (value / depth for value in inverse)  # positive at the centre, as ``Matrix`` expects
    return Map(size, (Matrix((a, b, c, d, e, f, g, h, i)),))


def elastic(size: Size, given: Arguments) -> Map:
    """Fetch every output pixel from a position of its own."""
    return _elastic(size, given["displacement"])


MOTIONS: dict[str, Callable[[Size, Arguments], Map]] = {
    function.__name__: function
    for function in (
        horizontal_flip,
        vertical_flip,
        resize,
        crop,
        pad,
        center_crop,
        resized_crop,
        rotate,
        affine,
        perspective,
        elastic,
    )
}


def resized(size: Size, wanted: Any, longest: int | None) -> Size:
    """Output (height, width) of torchvision's ``resize``.

    Args:
        size: (height, width) of the input.
        wanted: length of the shorter side, or both sides; None uses ``longest`` alone.
        longest: upper limit of the longer side.
    """
    sides = [] if wanted is None else np.ravel(wanted).tolist()
    if len(sides) == 2:
        return int(sides[0]), int(sides[1])
    short, long = sorted(size)
    new_short, new_long = (int(sides[0]), int(sides[0] * long / short)) if sides else (short, long)
    if longest is not None and (not sides or new_long > longest):
        new_short, new_long = int(longest * new_short / new_long), longest
    return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)


class _Displacement:
    """The backward map of ``elastic``, given at every output pixel.

    Args:
        offsets: float64 (height, width, 2), x and y, pixels.
    """

    mirrors = False
    detail, bend, stretch = 1.0, 1e6, 1.0  # forces a lattice node at every pixel

    def __init__(self, offsets: NDArray[np.float64]) -> None:
        self._offsets = offsets

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Map output positions to source positions; beyond the frame with the offset at its edge."""
        height, width, _ = self._offsets.shape
        column, row = np.clip(np.rint(x), 0, width - 1), np.clip(np.rint(y), 0, height - 1)
        offset = self._offsets[row.astype(int), column.astype(int)]
        return x + offset[..., 0], y + offset[..., 1]

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Map source positions approximately, to about a pixel: only positions outside the output come here."""
        to_x, to_y = x, y
        for _ in range(8):
            from_x, from_y = self.backward(to_x, to_y)
            to_x, to_y = to_x + (x - from_x), to_y + (y - from_y)
        return to_x, to_y


@lru_cache(maxsize=1)  # the landmarks and the boxes of a picture use the same map
def _elastic(size: Size, displacement: Any) -> Map:
    height, width = size
    shares = displacement.detach().cpu().numpy().astype(np.float64).reshape(height, width, 2)
    return Map(size, (_Displacement(shares * [width / 2, height / 2]),))


def _about(size: Size, out: Size, center: Sequence[float] | None, linear: Sequence[float], shift: Any) -> Map:
    """Linear map about a point in edge coordinates, None for the centre, which goes to the centre of ``out``."""
    (a, b, c, d), (height, width) = linear, size
    x, y = (0.0, 0.0) if center is None else (center[0] - width / 2, center[1] - height / 2)
    from_x, from_y = (width - 1) / 2 + x, (height - 1) / 2 + y
    to_x, to_y = (out[1] - 1) / 2 + x + shift[0], (out[0] - 1) / 2 + y + shift[1]
    nine = (a, b, to_x - a * from_x - b * from_y, c, d, to_y - c * from_x - d * from_y, 0.0, 0.0, 1.0)
    return Map(size, (Matrix(nine),), out)


def _expanded(size: Size, cosine: float, sine: float) -> Size:
    """Frame of a rotated picture: extent of its corners, rounded outwards to whole pixels on both sides."""
    height, width = size
    across = (abs(width * cosine) + abs(height * sine)) / 2
    down = (abs(width * sine) + abs(height * cosine)) / 2
    return _reach(height / 2, down), _reach(width / 2, across)


def _reach(middle: float, half: float) -> int:
    low, high = (math.trunc((middle + sign * half) * 1e4) / 1e4 for sign in (-1, 1))
    return math.ceil(high) - math.floor(low)


def _homography(sources: Any, targets: Any) -> NDArray[np.float64]:
    """The eight homography coefficients that map four points to four others."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(sources, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    solved: NDArray[np.float64] = np.linalg.lstsq(np.array(rows, float), np.array(wanted, float), rcond=None)[0]
    return solved


def _half_lower(edges: Sequence[float]) -> Nine:
    """Convert a matrix on edge coordinates to one on pixel indices."""
    shift = Matrix((1.0, 0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 1.0))
    a, b, c, d, e, f, g, h, i = edges
    return Matrix(shift.inverse).times(Matrix((a, b, c, d, e, f, g, h, i))).times(shift).values


def _scaled(size: Size, out: Size) -> Map:
    across, down = out[1] / size[1], out[0] / size[0]
    nine = (across, 0.0, (across - 1) / 2, 0.0, down, (down - 1) / 2, 0.0, 0.0, 1.0)
    return Map(size, (Matrix(nine),), out)


def _shifted(size: Size, right: float, down: float, out: Size) -> Map:
    return Map(size, (Matrix((*_IDENTITY[:2], float(right), *_IDENTITY[3:5], float(down), *_IDENTITY[6:])),), out)


def _middle(has: int, wants: int) -> int:
    return (wants - has) // 2 if wants > has else -round((has - wants) / 2)


def _pair(value: Any) -> Size:
    sides = np.ravel(value).tolist()
    return int(sides[0]), int(sides[-1])
