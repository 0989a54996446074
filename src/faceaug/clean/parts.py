"""Parts of two pictures that disagree: what tells an edit, another person or another drawing from a copy.

Two pictures that agree as a whole may be one layout with two people on it, or one face before and after an edit. So
they are laid over each other pixel by pixel (``grids``), what tones and sharpness explain is taken out, and the rest is
looked at window by window, at several scales and in colour, and once more inside every face. A copy leaves a little
noise. Whatever is more is a difference, unless it is writing in one colour near the edge of a photo that agrees
everywhere else: a logo or a date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from faceaug.clean.alignment import Affine, Grey, common_size, luma_of, resized
from faceaug.clean.grids import SIDE, Overlay, Sample, best_blur, detail_of, lay_over, lay_plainly
from faceaug.clean.ink import Ink, Mask, Rest, find_ink, textured
from faceaug.clean.tones import fit_tones, misread, read_as, toned
from faceaug.data.image import Image8, load_cv2

Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1, pixels
FindFaces: TypeAlias = Callable[[Image8], Sequence[Box]]

# What a copy leaves at most. Windows are the longer side divided by the first number, but not fewer pixels than the
# second. Of detail, the share of it in a window that differs; of luma and colour, grey levels.
_DETAIL_LIMITS = ((48, 3, 0.82), (28, 5, 0.66), (14, 9, 0.44))
_LUMA_LIMIT = (32, 4, 9.3)
_COLOUR_LIMIT = (14, 8, 11.0)
_IN_FACES = 1.1  # how much stricter the limits are inside a face
_IN_DRAWINGS = 1.65  # and in drawings, where noise is less and a feature may be small
_DRAWN = 0.35  # share of a picture with texture below which it is a drawing
_IF_TURNED = 2.6  # how much milder they are where one picture was turned, which mixes its pixels
_NOISE = 3.0  # grey levels of noise tolerated in a window
_ALIKE = 1.5  # levels: tones that differ by less need no edit
_GREY = 4.0  # mean colour, levels, below which a picture has none
_SMALL = 16  # pixels to which pictures are shrunk for the tones
_FINER_SIDE = 448  # pixels of the longer side at which large pictures are compared once more
_FACE_SIDE = 160  # pixels of the longer side at which a face is compared
_NARROW = 16  # pixels below which there is too little to compare
_LEAST_FACE = 8  # pixels
_LARGER = 1.25  # how much more must be seen in a larger view to be worth it
_FACES = 8  # faces of a picture that are looked at


@dataclass(frozen=True, slots=True)
class Parts:
    """What the parts of two pictures say.

    Attributes:
        agreement: of the worst part: 1 identical, 0.5 the most that a copy may differ.
        overlaid: 1 if something is laid over the first picture, 2 over the second, 0 otherwise; the agreement is that
            of all else.
        covers_face: whether it lies on a face.
        misread: see ``tones.misread``.
        cropped: see ``Overlay``.
    """

    agreement: float
    cropped: int
    overlaid: int = 0
    covers_face: bool = False
    misread: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """Where a pair differs at some size, and the ink that is part of it."""

    excess: Grey
    ink: Ink | None

    @property
    def most(self) -> float:
        """The largest excess that no ink explains."""
        return float(self.excess.max() if self.ink is None else self.excess[~self.ink.where].max(initial=0.0))


def examine(one: Sample, other: Sample, affine: Affine, find_faces: FindFaces, *, plainly: bool = False) -> Parts:
    """Look for parts that disagree.

    Args:
        one: a picture.
        other: another, which agrees with it as a whole.
        affine: the map from ``one`` to ``other`` at ``common_size``.
        find_faces: boxes of the faces in a picture; called if the pictures agree so far.
        plainly: whether it is enough that they agree as they are. If they do, nobody need find out how much better they
            would if the compression and softness of one were done to the other.
    """
    if min(common_size(one.image, other.image, SIDE)) < _NARROW:
        return Parts(-1.0, 0)
    one, other, wrong = _in_one_palette(one, other)
    plain = lay_plainly(one, other, affine) if plainly else None
    if plain is not None:
        agreement = _at_once(plain, find_faces)
        if agreement is not None:
            return Parts(agreement, plain.cropped, misread=wrong)
    pair = lay_over(one, other, affine)
    looks = [_look(pair, SIDE)]
    larger = _LARGER * looks[0].excess.shape[0] < pair.shown()[0].shape[0]
    if larger and looks[0].most <= 1:
        looks.append(_look(pair, _FINER_SIDE))  # smaller letters and features are seen there
    most = max(look.most for look in looks)
    inks = [look.ink for look in looks if look.ink is not None]
    if most > 1 or len({ink.on for ink in inks}) > 1:
        return Parts(_agreement(most if most > 1 else 2.0), pair.cropped, misread=wrong)
    covered = False
    if inks or larger or most > 1 / _IN_FACES:
        for place in _places(pair, find_faces(pair.target)[:_FACES]):
            face = _look_into(pair, place, looks)
            covered |= face is None
            most = max(most, face or 0.0)
    if not inks or most > 1:
        return Parts(_agreement(most), pair.cropped, misread=wrong)
    on = inks[0].on if pair.target_is_first else 3 - inks[0].on
    return Parts(_agreement(most), pair.cropped, on, covered, wrong)


def agree_unmoved(one: Sample, other: Sample, find_faces: FindFaces) -> Parts | None:
    """What ``examine`` says of two pictures of one frame that agree in every part as they are; None if they do not."""
    if min(common_size(one.image, other.image, SIDE)) < _NARROW:
        return None
    one, other, wrong = _in_one_palette(one, other)
    plain = lay_plainly(one, other, Affine())
    agreement = None if plain is None else _at_once(plain, find_faces)
    return None if agreement is None else Parts(agreement, 0, misread=wrong)


def _at_once(pair: Overlay, find_faces: FindFaces) -> float | None:
    """The agreement of a pair as it is, with the stricter limits of faces everywhere; None if that is not enough."""
    if min(pair.shown()[0].shape[:2]) < _NARROW:
        return None
    rest = _rest_of(*pair.small(SIDE))
    most = _IN_FACES * float(rest.excess.max())
    if most > 1:
        return None
    if _LARGER * rest.excess.shape[0] < pair.shown()[0].shape[0]:
        finer = _Look(_rest_of(*pair.small(_FINER_SIDE)).excess, None)
        most = max(most, _IN_FACES * finer.most)
        if most <= 1:
            places = _places(pair, find_faces(pair.target)[:_FACES])
            most = max([most, *(_look_into(pair, place, [finer]) or 0.0 for place in places)])
    return _agreement(most) if most <= 1 else None


def _look(pair: Overlay, side: int) -> _Look:
    """What is left of a pair at some size, and whether ink explains it."""
    rest = _rest_of(*pair.small(side))
    if pair.turned:
        np.divide(rest.excess, _IF_TURNED, out=rest.excess)
    return _Look(rest.excess, find_ink(rest))


def _places(pair: Overlay, boxes: Sequence[Box]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of faces, in what both pictures show."""
    height, width = pair.shown()[0].shape[:2]
    for x0, y0, x1, y1 in boxes:
        left, top = max(0, round(x0) - pair.columns.start), max(0, round(y0) - pair.rows.start)
        right, bottom = min(width, round(x1) - pair.columns.start + 1), min(height, round(y1) - pair.rows.start + 1)
        if min(right - left, bottom - top) >= _LEAST_FACE:
            yield slice(top, bottom), slice(left, right)


def _look_into(pair: Overlay, place: tuple[slice, slice], looks: Sequence[_Look]) -> float | None:
    """The largest excess in a face, by its stricter limits; None if ink covers it."""
    pictures = pair.shown()
    rows, columns = place
    found = []
    for look in looks:
        down, across = (small / large for small, large in zip(look.excess.shape, pictures[0].shape, strict=False))
        there = (
            slice(int(rows.start * down), int(rows.stop * down) + 1),
            slice(int(columns.start * across), int(columns.stop * across) + 1),
        )
        if look.ink is not None and look.ink.core[there][_oval(look.excess[there].shape)].any():
            return None
        seen = look.excess[there] if look.ink is None else look.excess[there][~look.ink.where[there]]
        found.append(float(seen.max(initial=0.0)))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    factor = min(1.0, _FACE_SIDE / max(height, width))
    if factor > _LARGER * looks[-1].excess.shape[0] / pictures[0].shape[0]:  # the looks showed it smaller than here
        size = max(2, round(width * factor)), max(2, round(height * factor))
        most = float(_rest_of(*(resized(image[place], *size) for image in pictures)).excess.max())
        found.append(most / _IF_TURNED if pair.turned else most)
    return _IN_FACES * max(found)


def _in_one_palette(one: Sample, other: Sample) -> tuple[Sample, Sample, int]:
    """Both without colour if one of them has none, or with the profile that one lacks; and which one lacks it."""
    cv2 = load_cv2()
    small = _shrunk(one.image), _shrunk(other.image)
    if min(float(np.ptp(colours, axis=-1).mean()) for colours in small) < _GREY / 255:
        greys = (cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY) for sample in (one, other))
        first, second = (np.repeat(grey[..., None], 3, axis=-1) for grey in greys)
        return Sample(first, one.compression), Sample(second, other.compression), 0
    wrong, space = misread(*small)
    if not wrong:
        return one, other, 0
    meant = (other, one)[wrong % 2]
    shown = Sample((read_as((meant.image / 255).astype(np.float32), space) * 255).round().astype(np.uint8))
    return (shown, other, wrong) if wrong == 1 else (one, shown, wrong)


def _agreement(excess: float) -> float:
    return max(-1.0, 1 - excess / 2)


def _shrunk(image: Image8) -> Grey:
    return resized(image, _SMALL, _SMALL).reshape(-1, 3).astype(np.float32) / np.float32(255)


def _oval(shape: tuple[int, ...]) -> Mask:
    """The ellipse in a box: a face has no corners."""
    y, x = (np.linspace(-1, 1, side) for side in shape)
    return y[:, None] ** 2 + x[None] ** 2 <= 1


# What is left of a pair.


def _rest_of(target: Image8, source: Image8) -> Rest:
    """What two pictures of one size differ in after tones and sharpness."""
    cv2 = load_cv2()
    one, other = _toned(target, source)
    one, other = _equally_sharp(one, other)
    side = max(one.shape)
    difference = one - other
    grey = luma_of(difference)
    luma = luma_of(one)
    first, second = (detail_of(cv2.GaussianBlur(x, (0, 0), max(0.5, side / 160))) for x in (luma, luma - grey))
    apart, power = (first - second) ** 2, first * first + second * second
    excess = np.zeros(grey.shape, np.float32)
    for count, least, limit in _DETAIL_LIMITS:
        window = (max(least, round(side / count)),) * 2
        share = cv2.blur(apart, window) / (cv2.blur(power, window) + 2 * _NOISE**2)
        np.maximum(excess, share / limit, out=excess)
    count, least, most = _LUMA_LIMIT
    window = (max(least, round(side / count)),) * 2
    np.maximum(excess, np.abs(cv2.blur(grey, window)) / most, out=excess)
    count, least, most = _COLOUR_LIMIT
    window = (max(least, round(side / count)),) * 2
    colour = np.abs(cv2.blur(difference - grey[..., None], window))
    for channel in range(3):
        np.maximum(excess, colour[..., channel] / most, out=excess)
    if textured(luma) < _DRAWN:
        excess *= _IN_DRAWINGS
    return Rest(excess, one, other)


def _toned(target: Image8, source: Image8) -> tuple[Grey, Grey]:
    """Both in grey levels with the same tones; the one with less clipped tones is edited."""
    one, other = (image.astype(np.float32) / np.float32(255) for image in (target, source))
    small = [resized(x, _SMALL, _SMALL).reshape(-1, 3) for x in (one, other)]
    if float(np.abs(small[0] - small[1]).max()) < _ALIKE / 255:
        return one * 255, other * 255
    clipped = [float(((x < 0.01) | (x > 0.99)).mean()) for x in (one[::3, ::3], other[::3, ::3])]
    if clipped[1] > clipped[0]:
        one = toned(one, fit_tones(small[1], small[0]))
    else:
        other = toned(other, fit_tones(small[0], small[1]))
    return one * 255, other * 255


def _equally_sharp(one: Grey, other: Grey) -> tuple[Grey, Grey]:
    """Both, the sharper one blurred like the other."""
    cv2 = load_cv2()
    details = [detail_of(luma_of(x)) for x in (one, other)]
    sharper = int(details[1].std() > details[0].std())
    best = best_blur(details[sharper], details[1 - sharper])
    if not best:
        return one, other
    blurred = cv2.GaussianBlur((one, other)[sharper], (0, 0), best)
    return (one, blurred) if sharper else (blurred, other)
