"""Geometric transforms: each is one map, and consecutive ones in a Compose are merged into one."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from faceaug.augment.corners import homography, horizon
from faceaug.augment.fields import RandomField, Swirl
from faceaug.augment.labels import LabelSwap, checked_label_swap
from faceaug.augment.lattice import Size
from faceaug.augment.maps import BORDERS, INTERPOLATIONS, Border, Interpolation, Map, Matrix, Sampling
from faceaug.augment.ranges import Amount, ends, factor, one_of, set_field, symmetric, uniform, upto
from faceaug.augment.sample import Sample, Sides, Swap, checked_swap
from faceaug.augment.transform import Key, Params, Transform, any_size, slot_name
from faceaug.augment.unkeyed import any_seed
from faceaug.data.image import load_cv2
from faceaug.draws import MAX_SEED, Dice
from faceaug.errors import ArgumentError

_NEAREST_HORIZON = 0.2  # least depth of the frame's corners relative to its centre; at 0 the picture turns inside out


@dataclass(frozen=True, kw_only=True)
class Warp(Transform):
    """Base of the transforms that move pixels.

    Attributes:
        border: how positions outside the picture are filled: "reflect" (the picture mirrored), "edge", "constant" or
            "wrap".
        fill: colour for "constant", 0..255: a number or one per channel. Masks are filled with 0.
        interpolation: "linear", "cubic" or "nearest".
    """

    border: Border = "reflect"
    fill: int | Sequence[int] = 0
    interpolation: Interpolation = "linear"
    _sampling: ClassVar[Sampling]  # the three options above; set on each instance

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("border", self.border, BORDERS)
        one_of("interpolation", self.interpolation, INTERPOLATIONS)
        channels = [self.fill] if isinstance(self.fill, (int, np.integer)) else list(self.fill)
        if not all(isinstance(c, (int, np.integer)) and 0 <= c <= 255 for c in channels) or not 1 <= len(channels) <= 4:
            raise ArgumentError(f"fill={self.fill!r}: expected integers from 0 to 255, one or one per channel")
        fill = tuple(map(int, channels)) if len(channels) > 1 else int(channels[0])
        set_field(self, "fill", fill)
        set_field(self, "_sampling", Sampling(self.border, fill, self.interpolation))

    @abstractmethod
    def motion(self, params: Params, size: Size) -> Map:
        """The map of the drawn parameters for pictures of (height, width)."""

    def resized(self, params: Params, size: Size) -> Size | None:
        """Size of the map's output."""
        return self.motion(params, size).out

    def apply(self, sample: Sample, params: Params) -> None:
        """Move the sample; consecutive moves are resampled once."""
        sample.warp(self.motion(params, sample.size), self._sampling)


@dataclass(frozen=True)
class Rotate(Warp):
    """Rotate about the centre; the frame stays, so corners leave it, or grows with ``expand``.

    A source position at offset (dx, dy) from the centre ((width - 1) / 2, (height - 1) / 2) goes to
    (dx cos a + dy sin a, dy cos a - dx sin a). Half turns, and quarter turns of square or expanded pictures, copy
    pixels exactly.

    Attributes:
        degrees: positive is counter-clockwise; a number a means the range (-a, a).
        expand: enlarge the frame to hold the whole rotated picture: ``ceil(width |cos a| + height |sin a|)`` across,
            ``ceil(width |sin a| + height |cos a|)`` down. The output size then varies.

    Example:
        >>> import numpy as np
        >>> from faceaug import Rotate
        >>> face, landmarks = np.zeros((64, 64, 3), np.uint8), np.array([[20.0, 30.0]])
        >>> turned = Rotate((90, 90))(face, landmarks=landmarks)
        >>> turned["landmarks"].round(3)
        array([[30., 43.]])
    """

    degrees: Amount = 20.0
    expand: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.expand, bool):
            raise ArgumentError(f"expand={self.expand!r}: expected True or False")
        set_field(self, "degrees", symmetric("degrees", self.degrees, unit="degrees"))

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {"degrees": uniform(dice, self.degrees)}

    def motion(self, params: Params, size: Size) -> Map:
        """A rotation about the centre."""
        cosine, sine = _cos_sin(params["degrees"])
        return _about_centre(
            cosine, sine, -sine, cosine, size, _turned_size(cosine, sine, size) if self.expand else size
        )


@dataclass(frozen=True)
class Stretch(Warp):
    """Stretch or squeeze about the centre: offset (dx, dy) goes to (x dx, y dy).

    Attributes:
        x: horizontal factor; a number f means the range (1/f, f), uniform in the logarithm, so that a squeeze is as
            likely as the stretch that undoes it.
        y: vertical factor; None draws another factor from the range of x.

    Example:
        >>> import numpy as np
        >>> from faceaug import Stretch
        >>> Stretch(x=1.15, y=1)(np.zeros((64, 64, 3), np.uint8), key=0).shape
        (64, 64, 3)
    """

    x: Amount = 1.15
    y: Amount | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "x", factor("x", self.x))
        set_field(self, "y", self.x if self.y is None else factor("y", self.y))

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        down = self.x if self.y is None else self.y
        return {"x": _log_uniform(dice, self.x), "y": _log_uniform(dice, down)}

    def motion(self, params: Params, size: Size) -> Map:
        """A scaling about the centre."""
        return _about_centre(params["x"], 0.0, 0.0, params["y"], size, size)


@dataclass(frozen=True)
class Perspective(Warp):
    """Change the perspective: move each corner at random and apply the homography of the four.

    Attributes:
        amount: largest movement of a corner along each axis, as a share of width and height, below 0.25 (where three
            corners could be collinear); a number a means the range (0, a). Corners that would bring the horizon near
            the frame are moved less.

    Example:
        >>> import numpy as np
        >>> from faceaug import Perspective
        >>> Perspective(0.08)(np.zeros((64, 64, 3), np.uint8), key=0).shape
        (64, 64, 3)
    """

    amount: Amount = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "amount", upto("amount", self.amount, unit="share of the size", limit=0.2499))

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        amount = uniform(dice, self.amount)
        moves = [[amount * (dice.random() * 2 - 1), amount * (dice.random() * 2 - 1)] for _ in range(4)]
        while horizon(homography(moves, (2, 2))) < _NEAREST_HORIZON:
            moves = [[0.8 * x, 0.8 * y] for x, y in moves]
        return {"corners": moves}

    def motion(self, params: Params, size: Size) -> Map:
        """The homography of the drawn corners."""
        return Map(size, (Matrix(homography(params["corners"], size)),))


@dataclass(frozen=True)
class Twist(Warp):
    """Swirl about the centre: the rotation is strongest there and fades to nothing at the radius.

    angle(r) = degrees * (1 - (r / radius)**2)**2. Nothing beyond the radius moves. For a radius of a few pixels the
    angle is capped so that the map cannot fold between pixels; see ``faceaug.augment.fields.Swirl``.

    Attributes:
        degrees: angle at the centre, positive is counter-clockwise, up to 180; a number a means the range (-a, a).
        radius: pixels; None means half the shorter side.

    Example:
        >>> import numpy as np
        >>> from faceaug import Twist
        >>> Twist((20, 20)).params(0, (64, 64))
        [{'name': 'Twist', 'degrees': 20.0}]
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

    def _draw(self, dice: Dice, size: Size) -> Params:
        limit = math.degrees(Swirl.steepest(self._radius(size)))
        return {"degrees": min(max(uniform(dice, self.degrees), -limit), limit)}

    def motion(self, params: Params, size: Size) -> Map:
        """A swirl about the centre."""
        radius = self._radius(size)
        limit = Swirl.steepest(radius)  # again, because an earlier transform may have changed the size
        angle = min(max(math.radians(params["degrees"]), -limit), limit)
        return Map(size, (Swirl(angle, radius, _centre(size)),))

    def _radius(self, size: Size) -> float:
        return self.radius if self.radius is not None else min(size) / 2


@dataclass(frozen=True)
class Elastic(Warp):
    """Bend the picture elastically: a smooth random displacement (cubic B-splines on a coarse grid).

    The strength is capped so that the map cannot fold; see ``faceaug.augment.fields.RandomField``.

    Attributes:
        pixels: largest displacement; a number a means the range (0, a).
        grid: cells per axis, 1..32: few make broad bends, many make ripples.

    Example:
        >>> import numpy as np
        >>> from faceaug import Elastic
        >>> Elastic(6, grid=4)(np.zeros((64, 64, 3), np.uint8), key=0).shape
        (64, 64, 3)
    """

    pixels: Amount = 6.0
    grid: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "pixels", upto("pixels", self.pixels, unit="pixels"))
        if not isinstance(self.grid, int) or isinstance(self.grid, bool) or not 1 <= self.grid <= 32:
            raise ArgumentError(f"grid={self.grid!r}: expected a whole number of cells from 1 to 32")

    def _draw(self, dice: Dice, size: Size) -> Params:
        wanted, key = uniform(dice, self.pixels), dice.integer(2**53)
        return {"pixels": RandomField(size, wanted, self.grid, key).limit, "grid": self.grid, "field": key}

    def motion(self, params: Params, size: Size) -> Map:
        """The displacement field of the drawn key."""
        return Map(size, (RandomField(size, params["pixels"], params["grid"], params["field"]),))


@dataclass(frozen=True, kw_only=True)
class _Flip(Transform):
    """Mirror along one axis."""

    _axis: ClassVar[int]  # flip code of cv2.flip: 1 mirrors left and right, 0 top and bottom

    p: float = 0.5
    swap: Swap | None = None
    label_swap: LabelSwap | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "swap", checked_swap(self.swap))
        set_field(self, "label_swap", checked_label_swap(self.label_swap))

    @property
    def sides(self) -> Sides:
        """``swap`` and ``label_swap`` as given."""
        return self.swap, checked_label_swap(self.label_swap)

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {}

    def _bare(self, x: Any, key: Key | None) -> Any:
        # A mirror takes a few microseconds, less than opening a sample: a plain RGB array takes this shortcut.
        if type(x) is not np.ndarray or x.dtype != np.uint8 or x.ndim != 3 or x.shape[2] != 3 or not x.size:
            return None
        if self.p < 1:
            # A random seed is as good a number as one hashed from it.
            drawn = any_seed() / MAX_SEED if key is None else Dice(self._words(key), slot_name(self, 0)).random()
            if drawn >= self.p:
                return x
        return load_cv2().flip(x, self._axis)

    def motion(self, params: Params, size: Size) -> Map:  # noqa: ARG002
        """The mirror, for pictures of (height, width)."""
        return _mirrored(size, self._axis)

    def resized(self, params: Params, size: Size) -> Size | None:  # noqa: ARG002
        """The same size."""
        return size

    def apply(self, sample: Sample, params: Params) -> None:
        """Mirror the sample; merges with any other move, because it fetches nothing from outside."""
        sample.warp(self.motion(params, sample.size), None)


@dataclass(frozen=True, kw_only=True)
class HorizontalFlip(_Flip):
    """Mirror left and right, exactly: pixel x goes to width - 1 - x.

    Attributes:
        p: probability of acting, 0..1; 0.5 by default, unlike the other transforms.
        swap: pairs of landmarks to exchange, for other numbers than 5 and 68; () where no landmark has a side.
        label_swap: pairs of mask labels to exchange: "celebamask-hq" (its own label order), "face-parsing" (the order
            of face-parsing.PyTorch) or [(a, b), ...]; None leaves labels unchanged.

    Example:
        >>> import numpy as np
        >>> from faceaug import HorizontalFlip
        >>> HorizontalFlip(p=1)(np.array([[1, 2, 3]], np.uint8))
        array([[3, 2, 1]], dtype=uint8)
    """

    _axis = 1


@dataclass(frozen=True, kw_only=True)
class VerticalFlip(_Flip):
    """Mirror top and bottom, exactly: pixel y goes to height - 1 - y. It exchanges left and right landmarks too.

    Takes the options of ``HorizontalFlip``.

    Example:
        >>> import numpy as np
        >>> from faceaug import VerticalFlip
        >>> VerticalFlip(p=1)(np.array([[1], [2]], np.uint8))
        array([[2],
               [1]], dtype=uint8)
    """

    _axis = 0


def _centre(size: Size) -> tuple[float, float]:
    return (size[1] - 1) / 2, (size[0] - 1) / 2


@lru_cache(maxsize=64)
def _mirrored(size: Size, axis: int) -> Map:
    if axis == 1:
        return Map(size, (Matrix((-1.0, 0.0, size[1] - 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)),))
    return Map(size, (Matrix((1.0, 0.0, 0.0, 0.0, -1.0, size[0] - 1.0, 0.0, 0.0, 1.0)),))


def _about_centre(a: float, b: float, c: float, d: float, size: Size, out: Size) -> Map:
    """The affine map [[a, b], [c, d]] that maps the centre of the picture to the centre of the output."""
    (x, y), (u, v) = _centre(size), _centre(out)
    return Map(size, (Matrix((a, b, u - a * x - b * y, c, d, v - c * x - d * y, 0.0, 0.0, 1.0)),), out)


def _turned_size(cosine: float, sine: float, size: Size) -> Size:
    height, width = size
    across, down = width * abs(cosine) + height * abs(sine), width * abs(sine) + height * abs(cosine)
    return math.ceil(down - 1e-6), math.ceil(across - 1e-6)  # ignore rounding errors of exact turns


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Cosine and sine; exact for quarter turns, which then copy pixels instead of resampling."""
    if degrees % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(degrees // 90) % 4]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _log_uniform(dice: Dice, value: Amount) -> float:
    low, high = ends(value)
    share = dice.random()
    return low if low == high else low * (high / low) ** share
