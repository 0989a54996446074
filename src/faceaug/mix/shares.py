"""Which shares balancing reached, and how far the origin of a face gives its attributes away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TELLING = 0.55  # balanced accuracy from which on the origin gives an attribute away


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of one attribute among faces where it is known.

    Attributes:
        attribute: its name.
        wanted: what was asked for.
        before: among the real faces, each counted once.
        after: among all faces, by weight.
        among: (real, augmented, synthetic), each face counted once; NaN where there is none, or nothing is known.
        unknown: (real, augmented, synthetic) faces of which the attribute is not known.
        origin_accuracy: balanced accuracy, by weight, of the best guess at the attribute from origin alone. 0.5 is
            chance. NaN where one side is missing.
        origin_accuracy_unweighted: the same if weights are ignored.
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
        """One line for people."""
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
        """Plain values; None where there is none."""
        kinds = ("real", "augmented", "synthetic")
        return {
            "wanted": self.wanted,
            "before": _plain(self.before),
            "after": _plain(self.after),
            "among": dict(zip(kinds, map(_plain, self.among), strict=True)),
            "unknown": dict(zip(kinds, self.unknown, strict=True)),
            "origin_accuracy": _plain(self.origin_accuracy),
            "origin_accuracy_unweighted": _plain(self.origin_accuracy_unweighted),
            "given_away": self.given_away,
        }


def measure_shares(
    values: NDArray[np.int8],
    origin: NDArray[np.int64],
    weights: NDArray[np.floating],
    wanted: Mapping[str, float],
    before: NDArray[np.int8],
) -> tuple[Share, ...]:
    """What was reached.

    Args:
        values: int8 (n, k), of the balanced attributes of all items: -1, 0 unknown, 1.
        origin: int64 (n,), 0 real, 1 augmented, 2 synthetic.
        weights: (n,).
        wanted: share by attribute, k of them.
        before: int8 (r, k), of the real rows.
    """
    heavy, alike = weights.astype(np.float64), np.ones(len(weights))
    found = []
    for k, (name, share) in enumerate(wanted.items()):
        column = values[:, k]
        with_weights, counted = (_masses(column, origin, each) for each in (heavy, alike))
        real, augmented, synthetic = (_part(*pair) for pair in counted.T)
        unknown = np.bincount(origin[column == 0], minlength=3).tolist()
        found.append(
            Share(
                attribute=name,
                wanted=share,
                before=_part(*_sides(before[:, k])),
                after=_part(*with_weights.sum(axis=1)),
                among=(real, augmented, synthetic),
                unknown=(unknown[0], unknown[1], unknown[2]),
                origin_accuracy=origin_accuracy(with_weights),
                origin_accuracy_unweighted=origin_accuracy(counted),
            )
        )
    return tuple(found)


def origin_accuracy(masses: NDArray[np.float64]) -> float:
    """Balanced accuracy of the best guess at an attribute from origin alone.

    The best guess answers yes for the origins that are likelier among faces with the attribute than among those
    without: it is right with probability sum(max(p, q)) / 2, where p and q are the distributions of origin with and
    without, that is one half plus half their total variation distance.

    Args:
        masses: float64 (2, origins), faces without and with, counted or by weight.
    """
    totals = masses.sum(axis=1, keepdims=True)
    if not totals.all():
        return math.nan
    return float((masses / totals).max(axis=0).sum() / 2)


def _masses(column: NDArray[np.int8], origin: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mass of the faces without and with the attribute, by origin: float64 (2, 3)."""
    return np.stack([np.bincount(origin, weights * (column == sign), minlength=3) for sign in (-1, 1)])


def _sides(column: NDArray[np.int8]) -> tuple[int, int]:
    return int((column < 0).sum()), int((column > 0).sum())


def _part(without: float, having: float) -> float:
    total = without + having
    return float(having / total) if total else math.nan


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
