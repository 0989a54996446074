"""The geometric transforms: each is one map, and neighbours in a Compose become one map together."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.fields import RandomField, Swirl
from faceaug.augment.maps import (
    BORDERS,
    INTERPOLATIONS,
    Border,
    Interpolation,
    Map,
    Matrix,
    Sampling,
    Size,
)
from faceaug.augment.ranges import (
    Amount,
    ends,
    factor,
    one_of,
    set_field,
    symmetric,
    uniform,
    upto,
)
from faceaug.augment.sample import Sample, Swap, checked_swap
from faceaug.augment.transform import Params, Transform
from faceaug.errors import ArgumentError

_NEAREST_HORIZON = 0.2  # depth of the frame's corners relative to its centre; at 0 the picture turns inside out


@dataclass(frozen=True, kw_only=True)
class Warp(Transform):
    """A transform that moves pixels.

    Attributes:
        border: what fills the places that come from outside: "reflect" (the picture mirrored), "edge", "constant" or
            "wrap".
        fill: colour of "constant", 0..255: a number or one per channel. Masks take 0.
        interpolation: "linear", "cubic" or "nearest".
    """

    border: Border = "reflect"
    fill: int | Sequence[int] = 0
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("border", self.border, BORDERS)
        one_of("interpolation", self.interpolation, INTERPOLATIONS)
        channels = [self.fill] if isinstance(self.fill, (int, np.integer)) else list(self.fill)
        if not all(isinstance(c, (int, np.integer)) and 0 <= c <= 255 for c in channels) or not 1 <= len(channels) <= 4:
            raise ArgumentError(f"fill={self.fill!r}: expected whole numbers from 0 to 255, one or one per channel")
        set_field(self, "fill", tuple(map(int, channels)) if len(channels) > 1 else int(channels[0]))

    @abstractmethod
    def motion(self, params: Params, size: Size) -> Map:
        """The map of what was drawn, for pictures of (height, width)."""

    def apply(self, sample: Sample, params: Params) -> None:
        """Move the sample; neighbouring moves are resampled once."""
        fill = self.fill if isinstance(self.fill, int) else tuple(self.fill)
        sample.warp(self.motion(params, sample.size), Sampling(self.border, fill, self.interpolation))


@dataclass(frozen=True)
class Rotate(Warp):
    """Turn the picture about its centre; the frame stays, so corners leave it.

    A source position at offset (dx, dy) from the centre ((width - 1) / 2, (height - 1) / 2) goes to
    (dx cos a + dy sin a, dy cos a - dx sin a). Half turns, and quarter turns of square pictures, copy pixels exactly.

    Attributes:
        degrees: positive is counter-clockwise; a number a draws from (-a, a).
    """

    degrees: Amount = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "degrees", symmetric("degrees", self.degrees, unit="degrees"))

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        return {"degrees": uniform(rng, self.degrees)}

    def motion(self, params: Params, size: Size) -> Map:
        """A turn about the centre."""
        cosine, sine = _cos_sin(params["degrees"])
        return _about_centre(np.array([[cosine, sine], [-sine, cosine]]), size)


@dataclass(frozen=True)
class Stretch(Warp):
    """Stretch or squeeze about the centre: (dx, dy) goes to (x dx, y dy).

    Attributes:
        x: factor across; a number f draws from (1/f, f), evenly on a logarithmic scale, so that a squeeze is as
            likely as the stretch that undoes it.
        y: factor down; None for the range of x, drawn apart from it.
    """

    x: Amount = 1.15
    y: Amount | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "x", factor("x", self.x))
        set_field(self, "y", self.x if self.y is None else factor("y", self.y))

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        down = self.x if self.y is None else self.y
        return {"x": _log_uniform(rng, self.x), "y": _log_uniform(rng, down)}

    def motion(self, params: Params, size: Size) -> Map:
        """A scaling about the centre."""
        return _about_centre(np.diag([params["x"], params["y"]]), size)


@dataclass(frozen=True)
class Perspective(Warp):
    """See the picture at a slant: each corner moves on its own, and the homography through the four is applied.

    Attributes:
        amount: how far a corner moves at most, in either direction, as a share of the width and height, below 0.25
            (at which three corners could be in line); a number a draws from (0, a). Drawn corners that would bring
            the horizon near the frame are moved less.
    """

    amount: Amount = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "amount", upto("amount", self.amount, unit="share of the size", limit=0.2499))

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        moves = uniform(rng, self.amount) * (rng.random((4, 2)) * 2 - 1)
        while _horizon(_homography(moves, (2, 2))) < _NEAREST_HORIZON:
            moves = moves * 0.8
        return {"corners": moves.tolist()}

    def motion(self, params: Params, size: Size) -> Map:
        """The homography of the drawn corners: top left, top right, bottom right, bottom left."""
        return Map(size, (Matrix(_homography(np.array(params["corners"]), size)),))


@dataclass(frozen=True)
class Twist(Warp):
    """Swirl about the centre: the turn is greatest there and fades to nothing at the radius.

    angle(r) = degrees * (1 - (r / radius)**2)**2. Nothing beyond the radius moves.

    Attributes:
        degrees: at the centre, positive counter-clockwise, up to 180; a number a draws from (-a, a).
        radius: pixels; None for half the shorter side.
    """

    degrees: Amount = 20.0
    radius: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "degrees", symmetric("degrees", self.degrees, unit="degrees", limit=180))
        if self.radius is not None:
            low, high = upto("radius", self.radius, unit="pixels")
            if low == high or low > 0:
                raise ArgumentError(f"radius={self.radius!r}: expected one number of pixels above 0, or None")
            set_field(self, "radius", high)

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        return {"degrees": uniform(rng, self.degrees)}

    def motion(self, params: Params, size: Size) -> Map:
        """A swirl about the centre."""
        radius = self.radius if self.radius is not None else min(size) / 2
        return Map(size, (Swirl(math.radians(params["degrees"]), radius, _centre(size)),))


@dataclass(frozen=True)
class Elastic(Warp):
    """Bend the picture like rubber: a smooth random displacement (cubic B-splines over a coarse grid).

    The strength is capped so that the map cannot fold; see ``faceaug.augment.fields.RandomField``.

    Attributes:
        pixels: how far the farthest moved pixel moves; a number a draws from (0, a).
        grid: cells per axis: few make broad bends, many make ripples; 1..32.
    """

    pixels: Amount = 6.0
    grid: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "pixels", upto("pixels", self.pixels, unit="pixels"))
        if not isinstance(self.grid, int) or isinstance(self.grid, bool) or not 1 <= self.grid <= 32:
            raise ArgumentError(f"grid={self.grid!r}: expected a whole number of cells from 1 to 32")

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:
        wanted, field = uniform(rng, self.pixels), int(rng.integers(2**53))
        return {"pixels": RandomField(size, wanted, self.grid, field).limit, "grid": self.grid, "field": field}

    def motion(self, params: Params, size: Size) -> Map:
        """The displacement field that the drawn key stands for."""
        return Map(size, (RandomField(size, params["pixels"], params["grid"], params["field"]),))


@dataclass(frozen=True, kw_only=True)
class _Flip(Transform):
    p: float = 0.5
    swap: Swap | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "swap", checked_swap(self.swap))

    @property
    def pairs(self) -> Swap | None:
        """The pairs given as ``swap``."""
        return self.swap

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        return {}

    @abstractmethod
    def motion(self, params: Params, size: Size) -> Map:
        """The mirror, for pictures of (height, width)."""

    def apply(self, sample: Sample, params: Params) -> None:
        """Mirror the sample; fits between any neighbours, because it fetches nothing from outside."""
        sample.warp(self.motion(params, sample.size), None)


@dataclass(frozen=True, kw_only=True)
class HorizontalFlip(_Flip):
    """Mirror left and right, exactly: pixel x goes to width - 1 - x.

    Attributes:
        p: how often, 0..1; 0.5 by default, unlike the other transforms.
        swap: pairs of landmarks that change places, for other counts than 5 and 68; () where none has a side.
    """

    def motion(self, params: Params, size: Size) -> Map:  # noqa: ARG002
        """Pixel x -> width - 1 - x."""
        return _about_centre(np.diag([-1.0, 1.0]), size)


@dataclass(frozen=True, kw_only=True)
class VerticalFlip(_Flip):
    """Mirror top and bottom, exactly: pixel y goes to height - 1 - y. A mirror too: left and right landmarks swap.

    Attributes:
        p: how often, 0..1; 0.5 by default, unlike the other transforms.
        swap: pairs of landmarks that change places, for other counts than 5 and 68; () where none has a side.
    """

    def motion(self, params: Params, size: Size) -> Map:  # noqa: ARG002
        """Pixel y -> height - 1 - y."""
        return _about_centre(np.diag([1.0, -1.0]), size)


def _centre(size: Size) -> tuple[float, float]:
    return (size[1] - 1) / 2, (size[0] - 1) / 2


def _about_centre(linear: NDArray[np.float64], size: Size) -> Map:
    """An affine map that keeps the centre of the picture."""
    centre = np.array(_centre(size))
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre
    return Map(size, (Matrix(matrix),))


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact for quarter turns, which then copy pixels instead of resampling them."""
    if degrees % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(degrees // 90) % 4]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _log_uniform(rng: np.random.Generator, value: Amount) -> float:
    low, high = ends(value)
    share = rng.random()
    return low if low == high else low * (high / low) ** share


def _homography(moves: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """The matrix that takes the outermost pixels to where ``moves`` (4, 2; shares of the size) put them."""
    height, width = size
    right, bottom = max(width - 1, 1), max(height - 1, 1)
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, corners + moves * (right, bottom), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


def _horizon(matrix: NDArray[np.float64]) -> float:
    """The least depth at the frame's corners, seen backwards, relative to its centre: 0 is the horizon."""
    low, high = -0.05, 1.05
    corners = np.array([[x, y, 1] for x in (low, high) for y in (low, high)])
    inverse = np.linalg.inv(matrix)
    return float((corners @ inverse[2]).min() / (np.array([0.5, 0.5, 1]) @ inverse[2]))
