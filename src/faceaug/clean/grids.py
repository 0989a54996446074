"""Bring one of two aligned pictures onto the pixels of the other, and make it as coarse as that one is.

Which of the two was made from which is not known. So each may be laid on the other's pixels, by the map that was found
and, where that nearly is the identity, by the identity; the result is compressed with the settings of the picture it
lies on, and the closest pair is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.alignment import Affine, Grey, common_size, inside, luma_of, resized, step
from faceaug.clean.compression import NOT_SAVED, Compression
from faceaug.clean.tones import NEUTRAL, fit_tones, toned
from faceaug.data.image import Image8, load_cv2

Matrix: TypeAlias = NDArray[np.float64]  # (3, 3)
SIDE = 224  # pixels of the longer side at which whole pictures are compared
_LARGEST = 1024  # pixels of the longer side kept for the faces in a picture
_SMALL = 16  # pixels to which pictures are shrunk for the tones
_STEPS = 3  # of the alignment at this size
_NEARLY = 1.0  # pixels by which a map may be wrong; the identity is tried first within twice as many
_CLOSE = 3.0  # mean square of the difference, grey levels, at which no other way is tried
_CHANGED = 0.015  # change of the tones that is worth undoing
_BLURS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0)  # sigmas tried, pixels
_TURNED = 0.008  # about a quarter of a degree
_SHARP = 1.0  # mean square of the difference of detail, grey levels, from which sharpness is matched
COARSE = 9  # what is smoother than a window of the longer side divided by this is no detail


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A decoded picture.

    Attributes:
        image: uint8 (h, w, 3).
        compression: how its file was compressed.
        grounds: the picture on white and on black if it is transparent, else nothing.
    """

    image: Image8
    compression: Compression = NOT_SAVED
    grounds: tuple[Image8, ...] = ()

    def mirrored(self) -> Sample:
        """Left and right exchanged."""
        image, *grounds = (np.ascontiguousarray(each[:, ::-1]) for each in (self.image, *self.grounds))
        return Sample(image, self.compression, tuple(grounds))


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Two pictures on the pixels of one of them.

    Attributes:
        target: uint8 (h, w, 3), one of the two.
        source: the other, of the same shape.
        target_is_first: whether ``target`` is the first picture of the pair.
        cropped: 1 if the first picture of the pair shows only a part of the second, 2 the other way round, else 0.
        turned: whether one is turned against the other, so that all of its pixels were mixed anew.
        rows: rows that both show.
        columns: columns that both show.
    """

    target: Image8
    source: Image8
    target_is_first: bool
    cropped: int
    turned: bool
    rows: slice
    columns: slice

    def small(self, side: int = SIDE) -> tuple[Image8, Image8]:
        """Both at ``side`` pixels or less, without what only one of them shows."""
        target, source = self.shown()
        height, width = common_size(target, source, side)
        return resized(target, width, height), resized(source, width, height)

    def shown(self) -> tuple[Image8, Image8]:
        """Both, without what only one of them shows."""
        return self.target[self.rows, self.columns], self.source[self.rows, self.columns]


def lay_plainly(one: Sample, other: Sample, affine: Affine) -> Overlay | None:
    """The larger picture on the pixels of the smaller, as they are; None if one is turned, which mixes its pixels.

    Args:
        one: a picture.
        other: another.
        affine: the map from ``one`` to ``other`` at ``common_size``.
    """
    size = common_size(one.image, other.image, SIDE)
    affine = affine.at_scale(size[1] / common_size(one.image, other.image)[1])
    first = one.image.size <= other.image.size
    target, source = (one.image, other.image) if first else (other.image, one.image)
    if _apart(affine, size) <= 2 * _NEARLY:
        affine = Affine()
    else:
        affine = _refined(one.image, other.image, affine, size)
        affine = affine if first else affine.inverse()
    if abs(affine.xy - affine.yx) > _TURNED:
        return None
    height, width = target.shape[:2]
    factor = min(1.0, _LARGEST / max(height, width))
    height, width = max(2, round(height * factor)), max(2, round(width * factor))
    on_grid = _placed(source, affine, (height, width), size)
    rows, columns = inside(affine.stretched(width / size[1], height / size[0]), height, width)
    cropped = affine.contained(*size)
    cropped = cropped if first or not cropped else 3 - cropped
    return Overlay(resized(target, width, height), on_grid, first, cropped, False, rows, columns)


def lay_over(one: Sample, other: Sample, affine: Affine) -> Overlay:
    """The closest of the ways to lay one picture over the other.

    Args:
        one: a picture.
        other: another.
        affine: the map from ``one`` to ``other`` at ``common_size``.
    """
    size = common_size(one.image, other.image, SIDE)
    start = affine.at_scale(size[1] / common_size(one.image, other.image)[1])
    tried: list[tuple[float, Overlay]] = []
    for way in _ways(one, other, start, size):
        tried.append((_distance(way), way))
        if tried[-1][0] < _CLOSE:
            break
    return min(tried, key=lambda each: each[0])[1]


def _refined(one: Image8, other: Image8, affine: Affine, size: tuple[int, int]) -> Affine:
    """The map after some steps at a larger size."""
    height, width = size
    first, second = (luma_of(resized(image, width, height).astype(np.float32)) for image in (one, other))
    for _ in range(_STEPS):
        affine, moved = step(first, second, affine)
        if moved < 1:
            break
    return affine


def _ways(one: Sample, other: Sample, affine: Affine, size: tuple[int, int]) -> Iterator[Overlay]:
    if _apart(affine, size) <= 2 * _NEARLY:
        yield from _both(one, other, Affine(), size)
    refined = _refined(one.image, other.image, affine, size)
    if _apart(refined, size) > _NEARLY / 4 or _apart(affine, size) > 2 * _NEARLY:
        yield from _both(one, other, refined, size)


def _apart(affine: Affine, size: tuple[int, int]) -> float:
    """How far a map takes the corners, pixels."""
    height, width = size
    corners = np.array([[-width, -height], [width, -height], [-width, height], [width, height]]) / 2
    return float(np.abs(affine.at(corners) - corners).max())


def _both(one: Sample, other: Sample, affine: Affine, size: tuple[int, int]) -> Iterator[Overlay]:
    """Each on the other's pixels; the one that was compressed more is the likelier copy."""
    first = one.compression.quality < other.compression.quality
    for forward in (first, not first):
        if forward:
            yield from _laid(one, other, affine, size, first=True)
        else:
            yield from _laid(other, one, affine.inverse(), size, first=False)


def _laid(target: Sample, source: Sample, affine: Affine, size: tuple[int, int], *, first: bool) -> Iterator[Overlay]:
    """The source on the target's pixels, with and without an edit of its tones, compressed like the target."""
    height, width = target.image.shape[:2]
    factor = min(1.0, _LARGEST / max(height, width))
    height, width = max(2, round(height * factor)), max(2, round(width * factor))
    shown = resized(target.image, width, height)
    on_grid = _placed(source.image, affine, (height, width), size)
    rows, columns = inside(affine.stretched(width / size[1], height / size[0]), height, width)
    cropped = affine.contained(*size)
    edit = fit_tones(*(_shrunk(image[rows, columns]) for image in (shown, on_grid)))
    edited = float(np.abs(edit - NEUTRAL).max()) > _CHANGED
    saves = factor == 1.0 and target.compression.quality <= 100
    variants = [on_grid] if not edited or saves else []
    if edited:
        variants.append((toned(on_grid.astype(np.float32) / np.float32(255), edit) * 255).round().astype(np.uint8))
    turned = abs(affine.xy - affine.yx) > _TURNED
    cropped = cropped if first or not cropped else 3 - cropped
    for variant in _with_softened(variants, shown):
        saved = target.compression.applied(variant) if saves else variant
        yield Overlay(shown, saved, first, cropped, turned, rows, columns)


def _with_softened(variants: Sequence[Image8], target: Image8) -> Iterator[Image8]:
    """The variants, and the last one as soft as the target if that is less sharp."""
    yield from variants
    soft = _softened(variants[-1], target)
    if soft is not variants[-1]:
        yield soft


def _placed(source: Image8, affine: Affine, shape: tuple[int, int], size: tuple[int, int]) -> Image8:
    """A picture on a grid; the map takes places of the grid to places of the picture, both scaled to ``size``."""
    cv2 = load_cv2()
    height, width = shape
    shrink = min(source.shape[0] / height, source.shape[1] / width)
    if affine == Affine():
        how = cv2.INTER_AREA if shrink >= 1 else cv2.INTER_CUBIC
        whole: Image8 = source if source.shape[:2] == shape else cv2.resize(source, (width, height), interpolation=how)
        return whole
    if shrink > 1.3:
        source = resized(source, round(source.shape[1] / shrink), round(source.shape[0] / shrink))
    matrix = np.linalg.inv(_centred(source.shape[:2], size)) @ affine.square() @ _centred(shape, size)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    placed: Image8 = cv2.warpAffine(source, matrix[:2], (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return placed


def _centred(shape: tuple[int, ...], size: tuple[int, int]) -> Matrix:
    """From pixel indices of a picture of one shape to places about its middle, scaled to ``size``."""
    down, across = size[0] / shape[0], size[1] / shape[1]
    return np.array([[across, 0, -across * (shape[1] - 1) / 2], [0, down, -down * (shape[0] - 1) / 2], [0, 0, 1]])


def _softened(source: Image8, target: Image8) -> Image8:
    """A picture, blurred like another one that is less sharp."""
    cv2 = load_cv2()
    height, width = common_size(source, target, SIDE)
    details = [
        detail_of(cv2.cvtColor(resized(x, width, height), cv2.COLOR_RGB2GRAY).astype(np.float32))
        for x in (source, target)
    ]
    sigma = best_blur(*details) * source.shape[1] / width
    return cv2.GaussianBlur(source, (0, 0), sigma) if sigma else source


def best_blur(sharp: Grey, soft: Grey) -> float:
    """The sigma in pixels of the blur that takes the first detail closest to the second; 0 for none."""
    cv2 = load_cv2()
    sigmas = (0.0, *_BLURS)
    apart: list[float] = []
    for sigma in sigmas:
        blurred = cv2.GaussianBlur(sharp, (0, 0), sigma) if sigma else sharp
        apart.append(float(np.mean((blurred - soft) ** 2)))
        if apart[0] < _SHARP or (len(apart) > 1 and apart[-1] > apart[-2]):
            break
    at = int(np.argmin(apart))
    if at in {0, len(apart) - 1}:
        return sigmas[at]
    # Between its neighbours the distance is nearly a parabola of the sigma.
    low, middle, high = sigmas[at - 1 : at + 2]
    curve = np.polyfit([low, middle, high], apart[at - 1 : at + 2], 2)
    return float(np.clip(-curve[1] / (2 * curve[0]), low, high))


def _shrunk(image: Image8) -> NDArray[np.float32]:
    """Colours of a small copy: float32 (n, 3), 0..1."""
    return resized(image, _SMALL, _SMALL).reshape(-1, 3).astype(np.float32) / np.float32(255)


def _distance(pair: Overlay) -> float:
    """Mean square of the difference, grey levels."""
    cv2 = load_cv2()
    target, source = pair.small()
    return float(np.mean(cv2.subtract(target, source, dtype=cv2.CV_32F) ** 2))


def detail_of(grey: Grey) -> Grey:
    """What is finer than a window of a ninth of the longer side."""
    cv2 = load_cv2()
    window = max(5, max(grey.shape[:2]) // COARSE)
    detail: Grey = grey - cv2.blur(grey, (window, window))
    return detail
