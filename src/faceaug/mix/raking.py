"""Weights under which attributes have the shares that were asked for: maximum entropy, that is raking.

Survey statisticians rake a sample to known margins: Deming and Stephan 1940 by iterative proportional fitting, Ireland
and Kullback 1968 as the weights nearest to the old ones, Deville and Särndal 1992 (JASA 87, 376-382) as calibration.
Everything here works on combinations of attribute values, of which there are few, not on rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS = 200  # Newton's; ten are usual, the rest is for shares that can hardly be reached
_EXACT = 1e-10  # votes left over, of the mass: a share is then off by less than that over its known part
_KEPT = 1e-4  # of the weight of a face, whatever is asked
_FAR = 4.0  # logarithm of a factor that may change in one step
_SWAPPED, _SWAPS = 300, 1000  # combinations, and faces, that rounding is mended with
_MILDEST, _STRONGEST = 0.25, 4.0  # factors among added faces, which were chosen to need none


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
        # One number for each combination, in base three: a thousand times as fast as np.unique of rows.
        places = np.uint64(3) ** np.arange(values.shape[1], dtype=np.uint64)
        codes = (values + 1).astype(np.uint64) @ places
        _, first, which = np.unique(codes, return_index=True, return_inverse=True)
        return cls(values[first], which.reshape(-1))

    def masses(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Rows of each combination, or the sum of their weights: float64 (c,)."""
        return np.bincount(self.which, weights, minlength=len(self.values)).astype(np.float64)

    def votes(self, wanted: Sequence[float]) -> NDArray[np.float64]:
        """What a row of each combination says about each share: float64 (c, k).

        A row with an attribute votes 1 - t for it, a row without it -t, where t is the share asked for. The share is t
        exactly where the weighted votes add up to nothing; a row whose value is unknown abstains.
        """
        aims = np.asarray(wanted, np.float64)
        return np.where(self.values > 0, 1 - aims, np.where(self.values < 0, -aims, 0.0))


def rake(
    votes: NDArray[np.float64], masses: NDArray[np.float64], rest: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Factors that bring the votes to nothing and change the masses least.

    A part k = 0.0001 of every mass stays whatever is asked, so that no face is as good as dropped: f = k + (1 - k) g.
    Minimises sum(m g log g) over g >= 0, with sum(m f) = sum(m) and sum(m f v) = -rest. The solution is
    g = exp(v l) sum(m) / sum(m exp(v l)) with one multiplier l for each attribute, where l minimises the convex
    log sum(m exp(v l)) - l a, with a the mean of v that g must have; Newton's method finds it.

    Args:
        votes: v, float64 (c, k); see ``Combinations.votes``.
        masses: m, float64 (c,), > 0.
        rest: votes of others that these outweigh, float64 (k,); None is none.

    Returns:
        f, float64 (c,), or None where no such factors exist.
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
        # Also invertible where two attributes go together.
        bend += (1e-6 * np.linalg.norm(slope) + 1e-14) * np.eye(len(slope))
        step = -np.linalg.solve(bend, slope)
        size = min(1.0, _FAR / max(float(np.abs(votes @ step).max()), 1e-300))
        # A step must go down, but for what rounding adds.
        while (tried := _tilted(votes, shares, at + size * step, aim))[0] > height + 1e-4 * size * slope @ step + 1e-14:
            size /= 2
        at = at + size * step
        height, factors = tried
    return None


def _tilted(
    votes: NDArray[np.float64], shares: NDArray[np.float64], at: NDArray[np.float64], aim: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """(height of the convex function, factors) for given multipliers."""
    reach = votes @ at
    top = reach.max()
    raised = np.exp(reach - top)
    total = shares @ raised
    return float(np.log(total) + top - aim @ at), raised / total


def allot(ideal: NDArray[np.float64], votes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers near the ideal ones, with the same sum, whose votes add up to as little as can be.

    Largest remainders first, then one face after another changes its combination while that brings the shares nearer.

    Args:
        ideal: float64 (c,), >= 0, with a whole sum.
        votes: float64 (c, k).
    """
    ideal = np.round(ideal, 6)  # what differs in the last bit between machines must not decide
    counts = np.floor(ideal).astype(np.int64)
    counts[np.argsort(counts - ideal, kind="stable")[: round(ideal.sum()) - counts.sum()]] += 1
    # The commonest few hundred combinations are enough to mend what rounding of all of them did.
    some = np.argsort(-ideal, kind="stable")[:_SWAPPED]
    part = votes[some]
    apart = part[None] - part[:, None]  # what changes when a face of the first becomes one of the second
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
    """A weight for each item, with which every attribute has its share within real, augmented and synthetic faces.

    So it has it in all, however many there are of each kind and whatever their base weights, and where a face comes
    from says nothing about its attributes. Within each kind the weights keep the sum of the base weights. Added faces
    that cannot have the share (one synthetic face has glasses or it has none) keep their base weights; real faces then
    make up for them.

    Args:
        values: int8 (n, k), of the balanced attributes: -1, 0 unknown, 1.
        kinds: numbers of real, augmented and synthetic items, which follow each other.
        base: float64 (n,), weights to start from.
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
        votes, masses = combinations.votes(wanted), combinations.masses(weights[mine])
        factors = _factors(votes, masses, None if kind else rest)
        weights[mine] *= factors[combinations.which]
        rest = rest + combinations.masses(weights[mine]) @ votes
    return _short(weights)


def _factors(
    votes: NDArray[np.float64], masses: NDArray[np.float64], rest: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Of each combination, 1 where no factors do it: added faces where ``rest`` is None, else real ones."""
    factors, here = np.ones(len(masses)), masses > 0
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


def _short(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rounded, so that a table is short and the same on machines whose last bits differ."""
    distinct, which = np.unique(weights, return_inverse=True)
    rounded = np.array([float(f"{weight:.7g}") for weight in distinct.tolist()], np.float32)
    return rounded[which.reshape(-1)]
