"""Recalls of classifiers with confidence intervals over test faces and seeds.

The bootstrap (Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13) resamples unseen faces and
seeds with replacement. All classifiers see the same faces, so differences are computed draw by draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.draws import stream

ROUNDS = 1000
_LOW, _HIGH = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return {"value": round(self.value, 5), "low": round(self.low, 5), "high": round(self.high, 5)}

    def percent(self) -> str:
        """The figure as a share: "81.2 % (79.9 to 82.4)"."""
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"

    def points(self) -> str:
        """The figure as a difference of shares: "+1.3 points (+0.2 to +2.5)"."""
        return f"{100 * self.value:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


@dataclass(frozen=True, slots=True, eq=False)
class Recalls:
    """Recalls of faces without and with each attribute.

    Attributes:
        found: float64 (2, a), recalls of no and yes, mean over the seeds.
        drawn: float64 (rounds, 2, a), the same for every round of the bootstrap.
    """

    found: NDArray[np.float64]
    drawn: NDArray[np.float64]

    def balanced(self, columns: slice = slice(None)) -> Estimate:
        """Balanced accuracy, the mean of both recalls, averaged over the attributes of these columns."""
        return estimate(self.found[:, columns].mean(), self.drawn[:, :, columns].mean(axis=(1, 2)))

    def side(self, sides: NDArray[np.int64], columns: slice = slice(None)) -> Estimate:
        """Recall of one side of each attribute (0 no, 1 yes), averaged over the attributes of these columns."""
        places = np.arange(len(sides))[columns]
        chosen = sides[columns]
        return estimate(self.found[chosen, places].mean(), self.drawn[:, chosen, places].mean(axis=1))


def estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    """A figure with the interval given by bootstrap rounds; rounds without faces of a kind (NaN) are skipped."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, (_LOW, _HIGH)) if len(known) else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))


def bootstrap_recalls(
    answers: Mapping[str, NDArray[np.bool_]], labels: NDArray[np.int8], *, seed: int, rounds: int = ROUNDS
) -> dict[str, Recalls]:
    """Recalls of several classifiers on the same faces.

    Args:
        answers: answers by classifier, bool (seeds, n, a).
        labels: int8 (n, a), -1 no, 1 yes, 0 unknown.
        seed: seed of the draws.
        rounds: number of bootstrap rounds.
    """
    n = len(labels)
    seeds = len(next(iter(answers.values())))
    draws = stream(seed, slot="evaluate/bootstrap")
    weights = draws.multinomial(n, np.full(n, 1 / n), size=rounds).astype(np.float32)
    of_seeds = draws.multinomial(seeds, np.full(seeds, 1 / seeds), size=rounds) / seeds
    found = {}
    for name, given in answers.items():
        once = _recalls(given, labels, np.ones((1, n), np.float32))[0].mean(axis=0)
        found[name] = Recalls(once, np.einsum("rska,rs->rka", _recalls(given, labels, weights), of_seeds))
    return found


def _recalls(given: NDArray[np.bool_], labels: NDArray[np.int8], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weighted recalls: float64 (rounds, seeds, 2, a)."""
    sides = []
    for sign in (-1, 1):
        there = labels == sign
        right = (given == (sign > 0)) & there
        hits = np.stack([weights @ r.astype(np.float32) for r in right], axis=1).astype(np.float64)
        total = (weights @ there.astype(np.float32)).astype(np.float64)[:, None]
        sides.append(np.divide(hits, total, out=np.full_like(hits, np.nan), where=total > 0))
    return np.stack(sides, axis=2)


def difference(one: Recalls, other: Recalls, columns: slice = slice(None)) -> Estimate:
    """Difference in balanced accuracy of two classifiers, ``one`` minus ``other``."""
    value = (one.found - other.found)[:, columns].mean()
    return estimate(value, (one.drawn - other.drawn)[:, :, columns].mean(axis=(1, 2)))
