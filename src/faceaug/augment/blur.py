"""The blurs: out of focus (Gaussian) and in motion (a line). Nothing moves, so targets stay where they are."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.maps import Size
from faceaug.augment.ranges import Amount, set_field, symmetric, uniform, upto
from faceaug.augment.sample import Sample
from faceaug.augment.transform import Params, Transform
from faceaug.image import Image8, load_cv2

_SPLATS_PER_PIXEL = 16
_LARGEST = 256.0  # px; wider than any face picture the kernel would only cost time


@dataclass(frozen=True, kw_only=True)
class Blur(Transform):
    """A transform that softens pixels.

    Attributes:
        blurry_from: sets CelebA's attribute ``Blurry`` to +1 when the blur is at least this wide: its standard
            deviation as a share of the shorter side. 0.0125 is 2.2 pixels in a photo 178 wide. None never sets it.
    """

    blurry_from: float | None = 0.0125

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blurry_from is not None:
            set_field(self, "blurry_from", upto("blurry_from", self.blurry_from, unit="share of the side")[1])

    @abstractmethod
    def blur(self, image: Image8, params: Params) -> Image8:
        """The blur that was drawn, of one picture."""

    @abstractmethod
    def width(self, params: Params) -> float:
        """The standard deviation of what was drawn, pixels, along its longest direction."""

    def apply(self, sample: Sample, params: Params) -> None:
        """Blur the pictures, and say so in the attributes."""
        sample.filter(lambda image: self.blur(image, params))
        width = self.width(params)
        if self.blurry_from is not None and width > 0 and width >= self.blurry_from * min(sample.size):
            sample.mark_blurry()


@dataclass(frozen=True)
class GaussianBlur(Blur):
    """Convolve with a Gaussian: weight(d) ~ exp(-d**2 / (2 sigma**2)) out to 3 sigma; outside, the picture mirrored.

    Attributes:
        sigma: pixels, up to 256; a number a draws from (0, a). 0 changes nothing.
    """

    sigma: Amount = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "sigma", upto("sigma", self.sigma, unit="pixels", limit=_LARGEST))

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        return {"sigma": uniform(rng, self.sigma)}

    def width(self, params: Params) -> float:
        """Sigma itself."""
        return float(params["sigma"])

    def blur(self, image: Image8, params: Params) -> Image8:
        """A kernel of 2 ceil(3 sigma) + 1 pixels a side."""
        sigma = params["sigma"]
        if sigma <= 0:
            return image
        cv2 = load_cv2()
        side = 2 * math.ceil(3 * sigma) + 1
        blurred: Image8 = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)
        return blurred.reshape(image.shape)


@dataclass(frozen=True)
class MotionBlur(Blur):
    """Average along a line, as if the camera moved evenly while the shutter was open.

    Attributes:
        length: the way it moved, pixels, up to 256, fractions allowed; a number a draws from (0, a). 0 changes nothing.
        angle: direction of the line, degrees, 0 is horizontal, positive counter-clockwise; a number a draws from
            (-a, a); 90 is every direction.
    """

    length: Amount = 9.0
    angle: Amount = 90.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "length", upto("length", self.length, unit="pixels", limit=_LARGEST))
        set_field(self, "angle", symmetric("angle", self.angle, unit="degrees"))

    def _draw(self, rng: np.random.Generator, size: Size) -> Params:  # noqa: ARG002
        return {"length": uniform(rng, self.length), "angle": uniform(rng, self.angle)}

    def width(self, params: Params) -> float:
        """A line of length L has a standard deviation of L / sqrt(12)."""
        return float(params["length"]) / math.sqrt(12)

    def blur(self, image: Image8, params: Params) -> Image8:
        """Convolve with the line; outside, the picture mirrored."""
        if params["length"] <= 0:
            return image
        cv2 = load_cv2()
        kernel = line_kernel(params["length"], params["angle"])
        blurred: Image8 = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        return blurred.reshape(image.shape)


@lru_cache(maxsize=32)
def line_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """An anti-aliased line through the centre of a square kernel.

    The line is cut into short pieces; each gives its weight to the four pixels around it, by bilinear shares. The
    kernel is symmetric about its centre, so nothing shifts.

    Args:
        length: pixels, >= 0.
        angle: degrees, positive counter-clockwise.

    Returns:
        float32 (side, side), side odd, sum 1; read-only.
    """
    half = length / 2
    pieces = max(1, math.ceil(length * _SPLATS_PER_PIXEL))
    along = (np.arange(pieces) + 0.5) / pieces * length - half
    reach = math.ceil(half) + 1
    x = along * math.cos(math.radians(angle)) + reach
    y = -along * math.sin(math.radians(angle)) + reach
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, below = x - column, y - row
    np.add.at(kernel, (row, column), (1 - right) * (1 - below))
    np.add.at(kernel, (row, column + 1), right * (1 - below))
    np.add.at(kernel, (row + 1, column), (1 - right) * below)
    np.add.at(kernel, (row + 1, column + 1), right * below)
    result = ((kernel + kernel[::-1, ::-1]) / (2 * pieces)).astype(np.float32)
    result.flags.writeable = False
    return result
