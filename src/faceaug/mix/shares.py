"""Measures the shares that balancing reached, and how well the origin of a face predicts its attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TELLING = 0.55  # balanced accuracy above which the origin gives an attribute away


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of one attribute among faces where it is known.

    Attributes:
        attribute: name of the attribute.
        wanted: wanted share.
        before: share among the real faces, unweighted.
        after: share among all faces, by weight.
        among: shares among (real, augmented, synthetic) faces, unweighted; NaN if there are none, or none is known.
        unknown: numbers of (real, augmented, synthetic) faces for which the attribute is unknown.
        origin_accuracy: balanced accuracy, by weight, of the best guess at the attribute from origin alone; 0.5 is
            chance. NaN if all known values are the same.
        origin_accuracy_unweighted: the same, unweighted.
    """

    attribute: str
    wanted: float
    before: float
    after: float
    among: tuple[float, float, float]
    unknown: tuple[int, int, int]
    origin_accuracy: float
    origin_accuracy_unweighted: float

    def __str__(self) -> str:
        """The shares in one line."""
        kinds = zip(("real", "augmented", "synthetic"), self.among, strict=True)
        among = ", ".join(f"{name} {share:.1%}" for name, share in kinds if not math.isnan(share))
        line = f"{self.attribute}: {self.before:.1%} before, {self.after:.1%} now by weight, wanted {self.wanted:.1%}"
        line += f" ({among}; origin alone predicts it with {self.origin_accuracy:.1%}"
        return line + (", MORE THAN 55%: it gives the attribute away)" if self.given_away else ", chance is 50%)")

    @property
    def given_away(self) -> bool:
        """Whether origin alone predicts the attribute better than 0.55."""
        return self.origin_accuracy > TELLING

    def to_json(self) -> dict[str, Any]:
        """Plain values; None instead of NaN."""
        kinds = ("real", "augmented", "synthetic")
        return {
            "wanted": self.wanted,
            "before": _or_none(self.before),
            "after": _or_none(self.after),
            "among": dict(zip(kinds, map(_or_none, self.among), strict=True)),
            "unknown": dict(zip(kinds, self.unknown, strict=True)),
            "origin_accuracy": _or_none(self.origin_accuracy),
            "origin_accuracy_unweighted": _or_none(self.origin_accuracy_unweighted),
            "given_away": self.given_away,
        }


def measure_shares(
    values: NDArray[np.int8],
    origin: NDArray[np.int64],
    weights: NDArray[np.floating],
    wanted: Mapping[str, float],
    before: NDArray[np.int8],
) -> tuple[Share, ...]:
    """Measure the share of each balanced attribute.

    Args:
        values: int8 (n, k), values of the balanced attributes of all items: -1, 0 unknown, 1.
        origin: int64 (n,), 0 real, 1 augmented, 2 synthetic.
        weights: weights of the items, (n,).
        wanted: share by attribute, k of them.
        before: int8 (r, k), values of the real rows.
    """
    heavy = weights.astype(np.float64)
    alike = np.ones(len(weights))
    found = []
    for k, (name, share) in enumerate(wanted.items()):
        column = values[:, k]
        with_weights, counted = (_masses(column, origin, each) for each in (heavy, alike))
        real, augmented, synthetic = (_share(*pair) for pair in counted.T)
        unknown = np.bincount(origin[column == 0], minlength=3).tolist()
        found.append(
            Share(
                attribute=name,
                wanted=share,
                before=_share(*_sides(before[:, k])),
                after=_share(*with_weights.sum(axis=1)),
                among=(real, augmented, synthetic),
                unknown=(unknown[0], unknown[1], unknown[2]),
                origin_accuracy=origin_accuracy(with_weights),
                origin_accuracy_unweighted=origin_accuracy(counted),
            )
        )
    return tuple(found)


def origin_accuracy(masses: NDArray[np.float64]) -> float:
    """Balanced accuracy of the best guess at an attribute from origin alone.

    The best guess is yes for the origins that are more likely among faces with the attribute than among those without.
    It is right with probability sum(max(p, q)) / 2, where p and q are the distributions of origin with and without the
    attribute: one half plus half their total variation distance.

    Args:
        masses: float64 (2, origins), numbers or weights of faces without and with the attribute.
    """
    totals = masses.sum(axis=1, keepdims=True)
    if not totals.all():
        return math.nan
    return float((masses / totals).max(axis=0).sum() / 2)


def _masses(column: NDArray[np.int8], origin: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the faces without and with the attribute, by origin: float64 (2, 3)."""
    return np.stack([np.bincount(origin, weights * (column == sign), minlength=3) for sign in (-1, 1)])


def _sides(column: NDArray[np.int8]) -> tuple[int, int]:
    return int((column < 0).sum()), int((column > 0).sum())


def _share(without: float, having: float) -> float:
    total = without + having
    return float(having / total) if total else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
