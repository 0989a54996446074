"""Blurs: out of focus (Gaussian) and in motion (along a line). Nothing moves, so targets keep their places."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Size
from faceaug.augment.pictures import Picture
from faceaug.augment.ranges import Amount, set_field, symmetric, uniform, upto
from faceaug.augment.sample import Sample
from faceaug.augment.transform import Params, Transform, any_size
from faceaug.data.image import load_cv2
from faceaug.draws import Dice

_SNAP = 0.2  # px; a line this close to a pixel's centre gets one weight instead of two
_DIRECT = 121  # kernel weights up to which OpenCV filters directly
_BLOCK = 11
_LARGEST = 256.0  # px; on face pictures a wider kernel only costs time


@dataclass(frozen=True, kw_only=True)
class Blur(Transform):
    """A transform that softens pixels.

    Attributes:
        blurry_from: set CelebA's attribute ``Blurry`` to +1 from this width on: the blur's standard deviation as a
            share of the shorter side. 0.0125 is 2.2 pixels in a picture 178 pixels wide. None never sets it.
    """

    blurry_from: float | None = 0.0125

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blurry_from is not None:
            set_field(self, "blurry_from", upto("blurry_from", self.blurry_from, unit="share of the side")[1])

    @abstractmethod
    def blur(self, image: Picture, params: Params) -> Picture:
        """Blur one picture with the drawn parameters."""

    @abstractmethod
    def width(self, params: Params) -> float:
        """Standard deviation of the drawn blur along its longest direction, pixels."""

    def resized(self, params: Params, size: Size) -> Size | None:  # noqa: ARG002
        """The same size."""
        return size

    def apply(self, sample: Sample, params: Params) -> None:
        """Blur the pictures and set ``Blurry`` where the blur is wide enough."""
        sample.filter(lambda image: self.blur(image, params))
        width = self.width(params)
        if self.blurry_from is not None and width > 0 and width >= self.blurry_from * min(sample.size):
            sample.mark_blurry()


@dataclass(frozen=True)
class GaussianBlur(Blur):
    """Convolve with a Gaussian, weight(d) ~ exp(-d**2 / (2 sigma**2)) out to 3 sigma, on a mirrored border.

    Attributes:
        sigma: pixels, up to 256; a number a means the range (0, a). 0 changes nothing.

    Example:
        >>> import numpy as np
        >>> from faceaug import GaussianBlur
        >>> face = np.zeros((64, 64, 3), np.uint8)
        >>> GaussianBlur(1.5)(face, key=0).shape
        (64, 64, 3)
    """

    sigma: Amount = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "sigma", upto("sigma", self.sigma, unit="pixels", limit=_LARGEST))

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {"sigma": uniform(dice, self.sigma)}

    def width(self, params: Params) -> float:
        """Sigma."""
        return float(params["sigma"])

    def blur(self, image: Picture, params: Params) -> Picture:
        """Separable: a kernel of 2 ceil(3 sigma - 1/2) + 1 pixels a side, at least 3."""
        sigma = params["sigma"]
        if sigma <= 0:
            return image
        cv2 = load_cv2()
        # A float kernel: cv2.GaussianBlur takes half as long again on bytes.
        kernel = gauss_kernel(sigma)
        blurred: Picture = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        return blurred if blurred.ndim == image.ndim else blurred[..., None]


@dataclass(frozen=True)
class MotionBlur(Blur):
    """Average along a line, as if the camera moved evenly while the shutter was open.

    Attributes:
        length: length of the movement, pixels, up to 256, fractions allowed; a number a means the range (0, a). 0
            changes nothing.
        angle: direction of the line, degrees, 0 is horizontal, positive counter-clockwise; a number a means the range
            (-a, a); 90 covers every direction.

    Example:
        >>> import numpy as np
        >>> from faceaug import MotionBlur
        >>> face = np.zeros((64, 64, 3), np.uint8)
        >>> MotionBlur(9, angle=20)(face, key=0).shape
        (64, 64, 3)
    """

    length: Amount = 9.0
    angle: Amount = 90.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "length", upto("length", self.length, unit="pixels", limit=_LARGEST))
        set_field(self, "angle", symmetric("angle", self.angle, unit="degrees"))

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {"length": uniform(dice, self.length), "angle": uniform(dice, self.angle)}

    def width(self, params: Params) -> float:
        """Standard deviation of a line of length L: L / sqrt(12)."""
        return float(params["length"]) / math.sqrt(12)

    def blur(self, image: Picture, params: Params) -> Picture:
        """Convolve with the line, on a mirrored border."""
        if params["length"] <= 0:
            return image
        return convolved(image, line_kernel(params["length"], params["angle"]))


def gauss_kernel(sigma: float) -> NDArray[np.float32]:
    """Gaussian weights exp(-d**2 / (2 sigma**2)) at integer distances: float32 (side,), side odd, sum 1."""
    reach = max(1, math.ceil(3 * sigma - 0.5))
    scale = -0.5 / max(sigma, 1e-3) ** 2
    half = [math.exp(d * d * scale) for d in range(reach + 1)]
    total = 2 * sum(half) - 1
    return np.array([half[abs(d)] / total for d in range(-reach, reach + 1)], np.float32)


def line_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """Kernel of an anti-aliased line through its centre.

    Along the main direction each column (or row) holds the share of the line that crosses it; across, that share is
    split linearly between the two nearest pixels. The kernel is symmetric about its centre, so nothing shifts.

    Args:
        length: pixels, >= 0.
        angle: degrees, positive counter-clockwise.

    Returns:
        float32 (rows, columns), both odd and no larger than needed, sum 1.
    """
    x, y = math.cos(math.radians(angle)), -math.sin(math.radians(angle))
    steep = abs(y) > abs(x)
    along, across = (abs(y), x * math.copysign(1, y)) if steep else (abs(x), y * math.copysign(1, x))
    half = max(length * along / 2, 1e-6)
    slope = across / along
    reach = math.ceil(half - 0.5)
    side = math.ceil(abs(slope) * half - 1e-3)
    kernel = np.zeros((2 * reach + 1, 2 * side + 1))
    for step in range(-reach, reach + 1):
        low, high = max(step - 0.5, -half), min(step + 0.5, half)
        place = slope * (low + high) / 2 + side
        first = min(math.floor(place), 2 * side)
        share = place - first
        share = 0.0 if share < _SNAP else 1.0 if share > 1 - _SNAP else share
        kernel[step + reach, first] += (high - low) * (1 - share)
        if share > 0:
            kernel[step + reach, min(first + 1, 2 * side)] += (high - low) * share
    kernel = kernel + kernel[::-1, ::-1]
    line: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return line if steep else np.ascontiguousarray(line.T)


def convolved(image: Picture, kernel: NDArray[np.float32]) -> Picture:
    """Filter a picture with a mostly empty kernel, on a mirrored border.

    Args:
        image: uint8 or float32, (height, width) or (height, width, channels).
        kernel: float32, both sides odd.

    Returns:
        A new array, same shape and dtype.
    """
    cv2 = load_cv2()
    if kernel.size <= _DIRECT:
        out: Picture = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        return out if out.ndim == image.ndim else out[..., None]
    # OpenCV filters larger kernels by Fourier transform, ten times as slow as the few weights of a line: use pieces.
    rows, columns = kernel.shape
    down, across = rows // 2, columns // 2
    framed = cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_REFLECT_101)
    total = np.zeros(image.shape, np.float32)
    height, width = image.shape[:2]
    for top, left, piece in _pieces(kernel):
        part = framed[top : top + height + len(piece) - 1, left : left + width + piece.shape[1] - 1]
        summed = cv2.filter2D(part, cv2.CV_32F, piece, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
        total += summed[:height, :width].reshape(image.shape)
    return np.rint(total).astype(np.uint8) if image.dtype == np.uint8 else total


def _pieces(kernel: NDArray[np.float32]) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Cut a kernel into small blocks that cover all its non-zero weights: (top, left, block)."""
    for top in range(0, kernel.shape[0], _BLOCK):
        for left in range(0, kernel.shape[1], _BLOCK):
            block = kernel[top : top + _BLOCK, left : left + _BLOCK]
            if block.any():
                yield top, left, np.ascontiguousarray(block)
