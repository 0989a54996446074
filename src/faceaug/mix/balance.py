"""Balancing: the rows to copy, and to request synthetic faces like, so that attributes reach the wanted shares."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import attribute_index
from faceaug.draws import permutation
from faceaug.errors import ArgumentError
from faceaug.mix.raking import Combinations, allot, rake
from faceaug.mix.shares import Share

Balance = Mapping[str, float] | Sequence[str] | str
_EVEN = 0.5
_MISSED = 0.001  # difference from the wanted share that is worth a warning
_OFTEN = 50  # largest weight of a face before a warning: above it the same few faces only repeat


def parse_balance(balance: Balance | None) -> dict[str, float]:
    """Parse wanted shares by attribute; a bare name means a half.

    Raises:
        ArgumentError: an unknown attribute, or a share that is not between 0 and 1.
    """
    if balance is None:
        return {}
    names = [balance] if isinstance(balance, str) else balance
    wanted = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, _EVEN)
    for name, share in wanted.items():
        attribute_index(name)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ArgumentError(f"balance {name}={share}: expected a share between 0 and 1, both excluded")
    return {name: float(share) for name, share in wanted.items()}


def balanced_columns(attributes: NDArray[np.int8], wanted: Mapping[str, float]) -> NDArray[np.int8]:
    """Select the balanced attributes: int8 (n, 40) -> int8 (n, k)."""
    return attributes[:, [attribute_index(name) for name in wanted]]


class BalancedRows:
    """Draws rows so that every balanced attribute has its wanted share among them.

    Each combination of the balanced attributes gets a part of the draws: its share of the rows times the factor of
    ``rake``. Attributes therefore keep their correlations as far as the shares allow. Within a combination the numbers
    of draws per row differ by one at most.

    Args:
        attributes: int8 (all rows, 40), -1, 0 or +1.
        rows: rows to draw from, int64 (n,), each once.
        wanted: share by attribute; see ``parse_balance``. If empty, all rows are equally likely.

    Raises:
        ArgumentError: all known values of an attribute are the same, or the shares contradict each other.
    """

    def __init__(self, attributes: NDArray[np.int8], rows: NDArray[np.int64], wanted: Mapping[str, float]) -> None:
        values = balanced_columns(attributes[rows], wanted)
        _check_sides(values, wanted)
        self._rows = rows
        self._combinations = Combinations.of(values)
        self._votes = self._combinations.votes(list(wanted.values()))
        self._sizes = self._combinations.masses()
        factors = rake(self._votes, self._sizes)
        if factors is None:
            raise ArgumentError(_contradiction(values, wanted))
        self._factors = factors
        if factors.max() > _OFTEN:
            few = int(self._sizes[factors > _OFTEN].sum())
            warnings.warn(
                f"balance {_as_text(wanted)}: {few:,} of the {len(rows):,} faces count more than {_OFTEN} times as "
                f"much as before, up to {factors.max():,.0f} times, so the same few faces repeat; balance fewer "
                "attributes, or choose shares closer to those of the folder",
                stacklevel=4,
            )

    def draw(self, count: int, *, seed: int, slot: str) -> NDArray[np.int64]:
        """Draw rows, in ascending order: int64 (count,).

        Args:
            count: number of draws.
            seed: decides which rows of a combination are drawn once more than others.
            slot: name of the random stream; see ``faceaug.draws``.
        """
        sizes = self._sizes.astype(np.int64)
        which = self._combinations.which
        parts = allot(self._sizes * self._factors * (count / len(self._rows)), self._votes)
        order = permutation(len(self._rows), seed, slot=slot)
        order = order[np.argsort(which[order], kind="stable")]
        place = np.empty(len(order), np.int64)  # position of each row in its combination
        place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        times = (parts // sizes)[which] + (place < (parts % sizes)[which])
        return np.repeat(self._rows, times)


def warn_of(shares: Sequence[Share]) -> None:
    """Warn of shares that were not reached and of attributes that the origin of a face gives away."""
    for share in shares:
        if abs(share.after - share.wanted) > _MISSED:
            warnings.warn(
                f"balance {share.attribute}: {share.after:.1%} reached, {share.wanted:.1%} wanted; there are too few "
                "faces to come closer",
                stacklevel=4,
            )
        if share.given_away:
            warnings.warn(
                f"balance {share.attribute}: origin (real, augmented, synthetic) alone predicts it with a balanced "
                f"accuracy of {share.origin_accuracy:.1%}, where 50% is chance: a classifier can learn that instead; "
                "add synthetic faces or copies of both kinds",
                stacklevel=4,
            )


def _check_sides(values: NDArray[np.int8], wanted: Mapping[str, float]) -> None:
    for name, column in zip(wanted, values.T, strict=True):
        if not column.any():
            raise ArgumentError(f"balance {name}: no picture has a value for it; is its table in the folder?")
        for sign, kind in ((1, "with"), (-1, "without")):
            if not (column == sign).any():
                raise ArgumentError(f"balance {name}: there is no picture {kind} it to copy")


def _contradiction(values: NDArray[np.int8], wanted: Mapping[str, float]) -> str:
    present = ", ".join(
        f"{name} {(column > 0).sum() / (column != 0).sum():.1%}" for name, column in zip(wanted, values.T, strict=True)
    )
    return (
        f"balance {_as_text(wanted)}: these shares contradict each other: no weighting of the {len(values):,} faces "
        f"reaches them all; balance fewer attributes, or choose shares closer to those of the folder ({present})"
    )


def _as_text(wanted: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={share:g}" for name, share in wanted.items())
