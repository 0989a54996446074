"""Something laid over one of two pictures: a logo or a date, which is no difference between the photos below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.alignment import Grey, luma_of
from faceaug.clean.grids import detail_of
from faceaug.data.image import load_cv2

Mask: TypeAlias = NDArray[np.bool_]

_EDGE = 0.19  # share of a side within which an overlay lies
_MOST = 0.10  # share of the picture that it disturbs at most
_PHOTO = 0.5  # share of the picture that has texture: in a drawing, what is added at the edge is part of it
_TEXTURE = 2.0  # grey levels
_STROKE = 0.3  # of the contrast of the ink: what a stroke has against what is around it
_SHARED = 0.3  # of the pixels that differ: so many strokes in both are one text
_LEGIBLE = 4  # pixels of the height of a letter, in a small picture less than can be read
_LETTER = 5  # pixels of a small letter
_INK = 24  # grey levels within which two inks are one
_OTHER_SIGN = 0.05  # of the difference: what compression leaves
_RELATED = 0.7  # excess of what belongs to a difference beside it
_FAINT = 8.0  # grey levels below which nothing is written
_STROKES = 0.5  # share of what differs that may be wider than a stroke
_CONTRAST = 26.0  # grey levels that ink has against the photo, unless
_CALM = 0.8  # the excess everywhere else is less than this
_UNIFORM = 0.15  # of the mean square of the difference: what ink of one colour leaves


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """What is left of two pictures of one size after tones and sharpness.

    Attributes:
        excess: float32 (h, w), how many times more than a copy may they differ at the worst.
        one: float32 (h, w, 3), the first.
        other: the second, with the tones of the first or the other way round.
    """

    excess: Grey
    one: Grey
    other: Grey


@dataclass(frozen=True, slots=True, eq=False)
class Ink:
    """Something laid over a picture.

    Attributes:
        where: what it disturbs.
        core: what it covers.
        on: over which of the two it lies, 1 or 2.
    """

    where: Mask
    core: Mask
    on: int


def find_ink(rest: Rest) -> Ink | None:
    """The logo or date on one of two pictures that explains where they disagree; None if there is none."""
    cv2 = load_cv2()
    bad = rest.excess > 1
    if not bad.any() or float(bad.mean()) > _MOST:
        return None
    height, width = bad.shape
    labels = cv2.connectedComponents((rest.excess > _RELATED).astype(np.uint8))[1]
    bad = np.isin(labels, np.unique(labels[bad]))  # with the fainter parts of a letter
    rows, columns = np.nonzero(bad)
    from_edge = np.minimum(
        np.minimum(rows, height - 1 - rows) / height, np.minimum(columns, width - 1 - columns) / width
    )
    if float(from_edge.max()) > _EDGE:
        return None
    grown = max(5, round(max(height, width) / 16))
    where = cv2.dilate(bad.astype(np.uint8), np.ones((grown, grown), np.uint8)) > 0
    greys = [luma_of(x) for x in (rest.one, rest.other)]
    if textured(greys[0]) < _PHOTO:
        return None
    difference = (greys[0] - greys[1]) * bad
    largest = float(np.abs(difference).max())
    core = np.abs(difference) > 0.5 * largest
    if largest < _FAINT or _solid(core) > _STROKES:
        return None
    power = float(np.mean(difference[core] ** 2))
    if power < _CONTRAST**2 and float(rest.excess[~where].max(initial=0.0)) > _CALM:
        return None
    on = int(np.argmax([float((detail_of(grey)[core] ** 2).mean()) for grey in greys]))  # ink stands out
    left = _scatter(greys[on][core], greys[1 - on][core]) / power
    if left > _UNIFORM or _turned(difference) > _OTHER_SIGN or _in_both(greys, core, on):
        return None
    return Ink(where, core, on + 1)


def _solid(core: Mask) -> float:
    """The share of what differs that is wider than a stroke: a person or thing at the edge is no writing."""
    cv2 = load_cv2()
    kernel = np.ones((max(3, round(max(core.shape) / 40)),) * 2, np.uint8)
    wide = cv2.morphologyEx(
        core.astype(np.uint8), cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return float(wide.sum()) / max(int(core.sum()), 1)


def _turned(difference: Grey) -> float:
    """The share of a difference that has the rarer sign: two captions each lack what the other has."""
    strong = difference[np.abs(difference) > 0.3 * float(np.abs(difference).max())]
    powers = [float((part**2).sum()) for part in (strong[strong > 0], strong[strong < 0])]
    return min(powers) / max(sum(powers), 1e-6)


def _in_both(greys: Sequence[Grey], core: Mask, on: int) -> bool:
    """Whether both pictures have strokes of the ink beside where they differ, as two texts do that begin alike."""
    cv2 = load_cv2()
    rows, columns = np.nonzero(core)
    high = int(np.ptp(rows)) + 1
    if high < _LEGIBLE:
        return False
    top, bottom = max(0, int(rows.min()) - high // 3), int(rows.max()) + high // 3 + 1
    left, right = max(0, int(columns.min()) - 3 * high), int(columns.max()) + 3 * high + 1
    contrast = float(np.median((greys[on] - greys[1 - on])[core]))
    ink = float(np.percentile(greys[on][core], 90 if contrast > 0 else 10))  # edges of letters are mixed
    hat = cv2.MORPH_TOPHAT if contrast > 0 else cv2.MORPH_BLACKHAT  # what is thinner than half a letter is high
    kernel = np.ones((max(3, high // 2),) * 2, np.uint8)
    thin = (cv2.morphologyEx(x, hat, kernel) > _STROKE * abs(contrast) for x in greys)
    strokes = [(np.abs(x - ink) < _INK) & each for x, each in zip(greys, thin, strict=True)]
    both = (strokes[0] & strokes[1])[top:bottom, left:right]
    return int(both.sum()) > max(_LETTER, _SHARED * int(core.sum()))


def _scatter(ink: Grey, photo: Grey) -> float:
    """What is left of the ink's values after the photo that may shine through is taken out, mean square."""
    a, b = ink - ink.mean(), photo - photo.mean()
    share = min(0.9, max(0.0, float(a @ b) / max(float(b @ b), 1e-6)))
    return float(np.mean((a - share * b) ** 2))


def textured(grey: Grey) -> float:
    """The share of a picture that has texture."""
    cv2 = load_cv2()
    window = (max(3, round(max(grey.shape) / 28)),) * 2
    deviation = np.sqrt(np.maximum(cv2.blur(grey * grey, window) - cv2.blur(grey, window) ** 2, 0))
    return float((deviation > _TEXTURE).mean())
