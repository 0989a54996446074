"""Raking: maximum-entropy weights that give attributes their wanted shares.

Survey statisticians rake a sample to known margins: Deming and Stephan 1940 by iterative proportional fitting, Ireland
and Kullback 1968 as the weights nearest to the old ones, Deville and Särndal 1992 (JASA 87, 376-382) as calibration.
Everything here works on the combinations of attribute values, which are far fewer than the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS = 200  # Newton steps; ten are usual, the others help with shares that are hard to reach
_EXACT = 1e-10  # residual votes, relative to the mass; a share is off by less than this over its known part
_KEPT = 1e-4  # part of each weight that raking never removes
_FAR = 4.0  # largest change of the logarithm of a factor in one step
_SWAPPED = 300  # commonest combinations among which rounding errors are corrected
_SWAPS = 1000  # faces moved between them at most
_MILDEST, _STRONGEST = 0.25, 4.0  # range of factors of added faces, which were chosen to need none


@dataclass(frozen=True, slots=True, eq=False)
class Combinations:
    """Rows grouped by their values of the balanced attributes.

    Attributes:
        values: int8 (c, k), each combination once: -1, 0 unknown, 1.
        which: int64 (n,), the combination of each row.
    """

    values: NDArray[np.int8]
    which: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.int8]) -> Combinations:
        """Group rows of values, int8 (n, k)."""
        # Encoding combinations in base three is a thousand times as fast as np.unique of rows.
        places = np.uint64(3) ** np.arange(values.shape[1], dtype=np.uint64)
        codes = (values + 1).astype(np.uint64) @ places
        _, first, which = np.unique(codes, return_index=True, return_inverse=True)
        return cls(values[first], which.reshape(-1))

    def masses(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Rows of each combination, or the sum of their weights: float64 (c,)."""
        return np.bincount(self.which, weights, minlength=len(self.values)).astype(np.float64)

    def votes(self, wanted: Sequence[float]) -> NDArray[np.float64]:
        """Votes of a row of each combination on each share: float64 (c, k).

        A row with an attribute votes 1 - t, a row without it -t, where t is the wanted share; a row with an unknown
        value abstains. The share is t exactly if the weighted votes sum to zero.
        """
        aims = np.asarray(wanted, np.float64)
        return np.where(self.values > 0, 1 - aims, np.where(self.values < 0, -aims, 0.0))


def rake(
    votes: NDArray[np.float64], masses: NDArray[np.float64], rest: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Find the factors that bring the sum of the votes to zero and change the masses least.

    A part k = 0.0001 of every mass always stays, so that no face is practically dropped: f = k + (1 - k) g.
    Minimises sum(m g log g) over g >= 0, with sum(m f) = sum(m) and sum(m f v) = -rest. The solution is
    g = exp(v l) sum(m) / sum(m exp(v l)) with one multiplier l for each attribute, where l minimises the convex
    log sum(m exp(v l)) - l a, with a the mean of v that g must have; Newton's method finds it.

    Args:
        votes: v, float64 (c, k); see ``Combinations.votes``.
        masses: m, float64 (c,), > 0.
        rest: votes of other faces that these must outweigh, float64 (k,); None is zero.

    Returns:
        f, float64 (c,), or None if no such factors exist.
    """
    shares = masses / masses.sum()
    wanted = np.zeros(votes.shape[1]) if rest is None else -rest / masses.sum()
    aim = (wanted - _KEPT * (shares @ votes)) / (1 - _KEPT)
    at = np.zeros(votes.shape[1])
    height, factors = _tilted(votes, shares, at, aim)
    for _ in range(_STEPS):
        now = shares * factors
        slope = now @ votes - aim
        if np.abs(slope).max(initial=0.0) <= _EXACT:
            return _KEPT + (1 - _KEPT) * factors
        centred = votes - now @ votes
        bend = (centred * now[:, None]).T @ centred
        # The small diagonal keeps it invertible when two attributes are perfectly correlated.
        bend += (1e-6 * np.linalg.norm(slope) + 1e-14) * np.eye(len(slope))
        step = -np.linalg.solve(bend, slope)
        size = min(1.0, _FAR / max(float(np.abs(votes @ step).max()), 1e-300))
        # A step must decrease the function, up to rounding.
        while (tried := _tilted(votes, shares, at + size * step, aim))[0] > height + 1e-4 * size * slope @ step + 1e-14:
            size /= 2
        at = at + size * step
        height, factors = tried
    return None


def _tilted(
    votes: NDArray[np.float64], shares: NDArray[np.float64], at: NDArray[np.float64], aim: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Value of the convex function, and the factors, for given multipliers."""
    reach = votes @ at
    top = reach.max()
    raised = np.exp(reach - top)
    total = shares @ raised
    return float(np.log(total) + top - aim @ at), raised / total


def allot(ideal: NDArray[np.float64], votes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round ideal counts to whole numbers of the same sum, keeping the shares as close as possible.

    Largest remainders first; then single faces change their combination as long as that brings the shares closer.

    Args:
        ideal: float64 (c,), >= 0, with a whole sum.
        votes: float64 (c, k).
    """
    ideal = np.round(ideal, 6)  # differences in the last bit between machines must not matter
    counts = np.floor(ideal).astype(np.int64)
    counts[np.argsort(counts - ideal, kind="stable")[: round(ideal.sum()) - counts.sum()]] += 1
    # The few hundred commonest combinations suffice to correct the rounding of all.
    some = np.argsort(-ideal, kind="stable")[:_SWAPPED]
    part = votes[some]
    apart = part[None] - part[:, None]  # change of the votes when a face of the first becomes one of the second
    lengths = (apart**2).sum(axis=2)
    left = counts @ votes
    for _ in range(_SWAPS):
        change = 2 * apart @ left + lengths
        change[counts[some] == 0] = np.inf
        best = int(change.argmin())
        one, other = divmod(best, len(some))
        if change[one, other] >= -1e-9:
            break
        counts[some[one]] -= 1
        counts[some[other]] += 1
        left = left + apart[one, other]
    return counts


def item_weights(
    values: NDArray[np.int8], kinds: Sequence[int], base: NDArray[np.float64], wanted: Sequence[float]
) -> NDArray[np.float32]:
    """Weights of items that give every attribute its share within real, augmented and synthetic faces.

    The share then also holds in the whole dataset, whatever the sizes and base weights of the kinds, and the origin of
    a face says nothing about its attributes. Within each kind the weights keep the sum of the base weights. Added faces
    that cannot reach the share (a single synthetic face either has glasses or not) keep their base weights, and real
    faces compensate for them.

    Args:
        values: int8 (n, k), values of the balanced attributes: -1, 0 unknown, 1.
        kinds: numbers of real, augmented and synthetic items, in this order.
        base: float64 (n,), base weights.
        wanted: shares, 0..1, (k,).

    Returns:
        float32 (n,), seven significant digits.
    """
    weights = np.array(base, np.float64)
    ends = np.cumsum(kinds)
    rest = np.zeros(len(wanted))
    for kind in reversed(range(len(kinds))):
        mine = slice(int(ends[kind] - kinds[kind]), int(ends[kind]))
        if not kinds[kind]:
            continue
        combinations = Combinations.of(values[mine])
        votes = combinations.votes(wanted)
        masses = combinations.masses(weights[mine])
        factors = _factors(votes, masses, None if kind else rest)
        weights[mine] *= factors[combinations.which]
        rest = rest + combinations.masses(weights[mine]) @ votes
    return _rounded(weights)


def _factors(
    votes: NDArray[np.float64], masses: NDArray[np.float64], rest: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Factors of each combination, 1 if none solve the problem; for added faces ``rest`` is None."""
    factors = np.ones(len(masses))
    here = masses > 0
    if not here.any():
        return factors
    found: NDArray[np.float64] | None
    if rest is None:
        both = (votes[here] > 0).any(axis=0) & (votes[here] < 0).any(axis=0)
        found = rake(votes[np.ix_(here, both)], masses[here])
        mild = found is not None and found.min() >= _MILDEST and found.max() <= _STRONGEST
        found = found if mild else None
    else:
        found = rake(votes[here], masses[here], rest)
        found = rake(votes[here], masses[here]) if found is None else found
    if found is not None:
        factors[here] = found
    return factors


def _rounded(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round weights, so that tables are short and equal on machines whose last bits differ."""
    distinct, which = np.unique(weights, return_inverse=True)
    rounded = np.array([float(f"{weight:.7g}") for weight in distinct.tolist()], np.float32)
    return rounded[which.reshape(-1)]
