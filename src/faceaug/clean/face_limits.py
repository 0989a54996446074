"""Where each fault begins in a folder, and which pictures have it. Pure: looks in, faults out.

What is blurred, dark or tiny depends on the folder, so most limits are taken from its median, which a few bad pictures
do not move. Absolute bounds keep them sensible: in a folder of blurred pictures they are all blurred, and in one of
excellent pictures the good ones are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.face_looks import Looks
from faceaug.clean.faults import FAULTS, Fault, Limit

_FEWEST = 20  # good pictures from which a folder says what is usual
_ROUNDS = 10  # at most; three are usual
_SIDEWAYS, _UPSIDE_DOWN = 45.0, 135.0  # degrees
_EYES = 10.0  # pixels: with fewer between the eyes, nobody can tell whether a face is blurred
_FACE = 2.4  # size of a face over the distance of its eyes
_SPREAD = 2.563  # from the 10th to the 90th percentile of a normal distribution, standard deviations
_DEVIATIONS = 3.0
_LARGER, _WIDER = np.log(2.0), np.log(1.15)  # least deviation that is odd: a factor of size, of width over height
_LONG = 3.0  # longer over shorter side from which a picture is odd in any folder

Which = NDArray[np.bool_]
Limits = Mapping[Fault, Limit]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a limit follows from the folder: factor x median + step, within bounds.

    Attributes:
        fault: the fault.
        field: of ``FACE_LOOKS``.
        figure: what it measures, in words.
        below: whether low values are faulty, or else high ones.
        factor: of the median.
        step: added to it.
        bounds: least and greatest limit.
        default: limit for folders with few good pictures.
    """

    fault: Fault
    field: str
    figure: str
    below: bool
    factor: float
    step: float
    bounds: tuple[float, float]
    default: float

    def limit(self, usual: float | None) -> Limit:
        """The limit in a folder with this median; None if it has too few pictures."""
        value = self.default if usual is None else float(np.clip(self.factor * usual + self.step, *self.bounds))
        value, usual = round(value, 4), None if usual is None else round(usual, 4)
        if self.below:
            return Limit(self.fault, self.figure, least=value, usual=usual)
        return Limit(self.fault, self.figure, most=value, usual=usual)


# Chosen on CelebA's partition "test", photos 182650 to 202598 of celeba200 (see benchmarks/face_checks.py).
_RULES = (
    _Rule("tiny", "eyes", "distance of the eyes, pixels", True, 0.4, 0.0, (5.0, 20.0), 10.0),
    _Rule("cut-off", "outside", "share of the face outside the picture", False, 1.0, 0.1, (0.12, 0.3), 0.12),
    _Rule("blurred", "fine", "contrast of fine detail over the next coarser", True, 0.71, 0.0, (0.55, 0.66), 0.64),
    _Rule("dark", "light", "grey level of the brighter parts, 0 to 255", True, 0.5, 0.0, (70.0, 92.0), 90.0),
    _Rule("bright", "clipped", "share of white pixels", False, 1.0, 0.2, (0.25, 0.5), 0.25),
    _Rule("washed-out", "spread", "grey levels from dark to bright parts", True, 0.5, 0.0, (70.0, 95.0), 90.0),
    _Rule("low-information", "entropy", "information of the grey levels, bits", True, 1.0, -3.0, (2.0, 4.0), 3.5),
)
_FIXED: dict[Fault, Limit] = {
    "several-faces": Limit("several-faces", "faces of similar size", most=1),
    "sideways": Limit("sideways", "turn of the face, degrees", most=_SIDEWAYS),
    "upside-down": Limit("upside-down", "turn of the face, degrees", most=_UPSIDE_DOWN),
}
_BLURRED_WHOLE = 0.45  # finest detail over the next, below which a picture without a face is blurred


def find_limits(looks: Looks) -> tuple[dict[Fault, Limit], bool]:
    """The limits of a folder, calibrated on its pictures without a fault.

    Which pictures these are depends on the limits, so both are computed again until they agree. Then the folder
    without its faulty pictures has the same limits, and a second clean finds nothing new.

    Args:
        looks: ``FACE_LOOKS`` (n,).

    Returns:
        The limits by fault, and whether they come from the folder.
    """
    good: Which = np.ones(len(looks), bool)
    limits, calibrated = _limits(looks)
    for _ in range(_ROUNDS):
        found = find_faults(looks, limits)
        better = good & ~np.any(list(found.values()), axis=0)
        if np.array_equal(better, good):
            break
        good = better
        limits, calibrated = _limits(looks[good])
    return limits, calibrated


def find_faults(looks: Looks, limits: Limits) -> dict[Fault, Which]:
    """Which pictures have each fault: bool (n,).

    Args:
        looks: ``FACE_LOOKS`` (n,).
        limits: see ``find_limits``.
    """
    face = looks["faces"] > 0
    roll = np.abs(looks["roll"])
    found: dict[Fault, Which] = {
        "no-face": ~face,
        "several-faces": looks["alike"] > 1,
        "upside-down": face & (roll > _UPSIDE_DOWN),
        "sideways": face & (roll > _SIDEWAYS) & (roll <= _UPSIDE_DOWN),
    }
    for rule in _RULES:
        found[rule.fault] = _beyond(looks[rule.field], limits[rule.fault])
    found["cut-off"] &= face
    found["tiny"] &= face | (np.maximum(looks["width"], looks["height"]) < _FACE * (limits["tiny"].least or 0))
    found["blurred"] = np.where(face, found["blurred"] & (looks["eyes"] >= _EYES), looks["fine"] < _BLURRED_WHOLE)
    found["blurred"] &= ~found["low-information"]
    found["washed-out"] &= ~(found["dark"] | found["bright"] | found["low-information"])
    size, shape = _size(looks), _shape(looks)
    found["odd-size"] = _beyond(size, limits.get("odd-size"))
    found["odd-shape"] = _beyond(shape, limits.get("odd-shape")) | (np.abs(np.log(shape)) > np.log(_LONG))
    return {fault: found[fault] for fault in FAULTS}


def doubts(looks: Looks, limits: Limits) -> dict[Fault, NDArray[np.float64]]:
    """How close each picture is to the limit of a fault, 0 (far beyond) to 1; float64 (n,)."""
    close: dict[Fault, NDArray[np.float64]] = {}
    for rule in _RULES:
        values, limit = looks[rule.field].astype(np.float64), limits[rule.fault]
        border = limit.least if limit.least is not None else limit.most or 0.0  # a rule gives one of the two
        ratio = values / border if rule.below else border / np.maximum(values, 1e-9)
        close[rule.fault] = np.clip(ratio, 0, 1)
    return close


def figures_of(look: np.void) -> dict[Fault, float]:
    """The figure of a picture by fault, in the unit of the limit."""
    every = {rule.fault: float(look[rule.field]) for rule in _RULES}
    turn = abs(float(look["roll"]))
    return every | {"several-faces": float(look["alike"]), "sideways": turn, "upside-down": turn}


def _limits(good: Looks) -> tuple[dict[Fault, Limit], bool]:
    """The limits that follow from the good pictures of a folder."""
    faces = good[good["faces"] > 0]
    calibrated = len(faces) >= _FEWEST
    limits = dict(_FIXED)
    for rule in _RULES:
        limits[rule.fault] = rule.limit(float(np.median(faces[rule.field])) if calibrated else None)
    if calibrated:
        limits["odd-size"] = _around("odd-size", "square root of width times height, pixels", _size(good), _LARGER)
        limits["odd-shape"] = _around("odd-shape", "width over height", _shape(good), _WIDER)
    return {fault: limits[fault] for fault in FAULTS if fault in limits}, calibrated


def _around(fault: Fault, figure: str, values: NDArray[np.float64], least: float) -> Limit:
    """Limits on both sides of the median, as factors."""
    low, middle, high = np.quantile(np.log(values), (0.1, 0.5, 0.9))
    away = max(least, _DEVIATIONS * (high - low) / _SPREAD)
    bounds = [round(float(np.exp(at)), 4) for at in (middle - away, middle + away, middle)]
    return Limit(fault, figure, *bounds)


def _beyond(values: NDArray[np.floating], limit: Limit | None) -> Which:
    beyond: Which = np.zeros(len(values), bool)
    if limit is not None and limit.least is not None:
        beyond |= values < limit.least
    if limit is not None and limit.most is not None:
        beyond |= values > limit.most
    return beyond


def _size(looks: Looks) -> NDArray[np.float64]:
    size: NDArray[np.float64] = np.sqrt(looks["width"].astype(np.float64) * looks["height"])
    return size


def _shape(looks: Looks) -> NDArray[np.float64]:
    return looks["width"] / looks["height"].astype(np.float64)
