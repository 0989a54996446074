"""Attributes that go together in a folder, and those that are spread unevenly over its partitions. Pure.

A network that learns one attribute may learn another one that goes with it instead. Which of the pairs is a matter of
course (Goatee and No_Beard) and which an accident of the collection, only a person can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, PARTITIONS

STRONG = 0.3  # correlation from which a pair is named
_FEWEST = 20  # pictures with both labels, and pictures of a partition, from which a figure is given
_SURE = 3.0  # standard errors beyond which a difference between partitions is no accident


@dataclass(frozen=True, slots=True)
class CorrelatedPair:
    """Two attributes.

    Attributes:
        one: name of the first.
        other: name of the second.
        correlation: Pearson's correlation of their labels (phi), -1 to 1.
        with_one: share of pictures with the second among those with the first.
        without_one: share of pictures with the second among those without the first.
    """

    one: str
    other: str
    correlation: float
    with_one: float
    without_one: float

    def words(self) -> str:
        """The pair in a sentence."""
        shares = f"{self.with_one:.0%} of pictures with {self.one}, {self.without_one:.0%} of those without"
        return f"{self.other} is on {shares} (correlation {self.correlation:+.2f})"


@dataclass(frozen=True, slots=True)
class PartitionShares:
    """How often an attribute occurs in each partition.

    Attributes:
        attribute: its name.
        share: share of all pictures that have it.
        shares: partition -> share of its pictures that have it, without partitions of too few labels.
        errors: partition -> how far it is from the other partitions, in standard errors.
    """

    attribute: str
    share: float
    shares: dict[str, float]
    errors: dict[str, float]

    @property
    def uneven(self) -> str:
        """The partition that differs most, if that is no accident; else ""."""
        worst = max(self.errors, key=lambda name: abs(self.errors[name]), default="")
        return worst if worst and abs(self.errors[worst]) > _SURE else ""


@dataclass(frozen=True, slots=True, eq=False)
class Correlations:
    """Correlations of attributes with each other, and with partitions.

    Attributes:
        attributes: names of the attributes that vary.
        matrix: float64 (a, a), NaN where too few pictures have both labels.
        pairs: the pairs of ``STRONG`` and stronger correlation, the strongest first.
        partitions: shares by partition; empty with fewer than two partitions.
    """

    attributes: tuple[str, ...]
    matrix: NDArray[np.float64]
    pairs: tuple[CorrelatedPair, ...]
    partitions: tuple[PartitionShares, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "pairs": [
                {
                    "one": pair.one,
                    "other": pair.other,
                    "correlation": round(pair.correlation, 4),
                    "with_one": round(pair.with_one, 4),
                    "without_one": round(pair.without_one, 4),
                }
                for pair in self.pairs
            ],
            "partitions": {
                one.attribute: {
                    "all": round(one.share, 4),
                    **{name: round(share, 4) for name, share in one.shares.items()},
                    "uneven": one.uneven or None,
                }
                for one in self.partitions
            },
        }


def correlate(labels: NDArray[np.int8], partition: NDArray[np.int8]) -> Correlations:
    """Find attributes that go together, or differ between partitions.

    Args:
        labels: int8 (n, 40), -1 no, 1 yes, 0 unknown.
        partition: int8 (n,), 0 train, 1 val, 2 test, -1 unknown.
    """
    columns = [k for k in range(labels.shape[1]) if (labels[:, k] > 0).any() and (labels[:, k] < 0).any()]
    names = tuple(ATTRIBUTES[k] for k in columns)
    yes = (labels[:, columns] > 0).astype(np.float64)
    known = (labels[:, columns] != 0).astype(np.float64)
    matrix = _phi(yes, known)
    upper = np.triu(np.nan_to_num(np.abs(matrix)) >= STRONG, 1)
    places = sorted(np.argwhere(upper).tolist(), key=lambda at: (-abs(matrix[at[0], at[1]]), at))
    pairs = tuple(_pair(names, yes, known, matrix, i, j) for i, j in places)
    return Correlations(names, matrix, pairs, tuple(_by_partition(names, yes, known, partition)))


def _phi(yes: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of each pair of columns over the rows in which both are known."""
    both = known.T @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        one = (yes.T @ known) / both  # share of the first column where both are known
        joint = (yes.T @ yes) / both
        matrix = (joint - one * one.T) / np.sqrt(one * (1 - one) * (one * (1 - one)).T)
    matrix[both < _FEWEST] = np.nan
    return np.clip(matrix, -1, 1)


def _pair(
    names: tuple[str, ...],
    yes: NDArray[np.float64],
    known: NDArray[np.float64],
    matrix: NDArray[np.float64],
    i: int,
    j: int,
) -> CorrelatedPair:
    # The rarer one is named first: "Goatee: 3 % with No_Beard" says more than the reverse.
    if yes[:, i].sum() > yes[:, j].sum():
        i, j = j, i
    both = (known[:, i] * known[:, j]) > 0
    first, second = yes[both, i] > 0, yes[both, j]
    return CorrelatedPair(
        names[i], names[j], float(matrix[i, j]), float(second[first].mean()), float(second[~first].mean())
    )


def _by_partition(
    names: tuple[str, ...], yes: NDArray[np.float64], known: NDArray[np.float64], partition: NDArray[np.int8]
) -> list[PartitionShares]:
    found = []
    for k, name in enumerate(names):
        rows = (known[:, k] > 0) & (partition >= 0)
        parts = {part: rows & (partition == number) for part, number in PARTITIONS.items()}
        parts = {part: which for part, which in parts.items() if which.sum() >= _FEWEST}
        if len(parts) < 2:
            continue
        share = float(yes[rows, k].mean())
        shares = {part: float(yes[which, k].mean()) for part, which in parts.items()}
        errors = {part: _errors(yes[:, k], which, rows & ~which) for part, which in parts.items()}
        found.append(PartitionShares(name, share, shares, errors))
    return found


def _errors(yes: NDArray[np.float64], here: NDArray[np.bool_], there: NDArray[np.bool_]) -> float:
    """Difference of two shares over its standard error, pooled."""
    n, m = int(here.sum()), int(there.sum())
    pooled = float(yes[here | there].mean())
    error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) if n and m else 0.0
    return float(yes[here].mean() - yes[there].mean()) / error if error else 0.0
