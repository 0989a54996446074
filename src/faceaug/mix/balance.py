"""Which rows copies are made of, and synthetic faces are asked to resemble, so that attributes have wanted shares."""

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
_MISSED = 0.001  # a share this far from the wanted one is worth a warning
_OFTEN = 50  # times as often as it was: beyond that the same few faces only repeat


def parse_balance(balance: Balance | None) -> dict[str, float]:
    """Wanted shares by attribute; a bare name means a half.

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
            raise ArgumentError(f"balance {name}={share}: expected a share between 0 and 1, without the ends")
    return {name: float(share) for name, share in wanted.items()}


def balanced_columns(attributes: NDArray[np.int8], wanted: Mapping[str, float]) -> NDArray[np.int8]:
    """The balanced attributes alone: int8 (n, 40) -> int8 (n, k)."""
    return attributes[:, [attribute_index(name) for name in wanted]]


class BalancedRows:
    """Rows drawn so that every balanced attribute has the share asked for among what is drawn.

    Each combination of the balanced attributes gets a part of the draws: its share of the rows times the factor of
    ``rake``, so that attributes go together as they do in the rows, as far as the shares allow. Within a combination
    every row is drawn equally often, give or take one.

    Args:
        attributes: int8 (all rows, 40), -1, 0 or +1.
        rows: those to draw from, int64 (n,), each once.
        wanted: share by attribute; see ``parse_balance``. Where it is empty all rows are drawn alike.

    Raises:
        ArgumentError: no row has one side of an attribute, or the shares contradict each other.
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
                f"balance {_asked(wanted)}: {few:,} of the {len(rows):,} faces count more than {_OFTEN} times as much "
                f"as others do, up to {factors.max():,.0f} times: the same few faces again and again; ask for fewer "
                "attributes, or shares nearer to those of the folder",
                stacklevel=4,
            )

    def draw(self, count: int, *, seed: int, slot: str) -> NDArray[np.int64]:
        """Draw rows, in ascending order: int64 (count,).

        Args:
            count: how many.
            seed: decides which rows of a combination are drawn once more than others.
            slot: what they are for; see ``faceaug.draws``.
        """
        sizes, which = self._sizes.astype(np.int64), self._combinations.which
        parts = allot(self._sizes * self._factors * (count / len(self._rows)), self._votes)
        order = permutation(len(self._rows), seed, slot=slot)
        order = order[np.argsort(which[order], kind="stable")]
        place = np.empty(len(order), np.int64)  # of each row in its combination
        place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        times = (parts // sizes)[which] + (place < (parts % sizes)[which])
        return np.repeat(self._rows, times)


def warn_of(shares: Sequence[Share]) -> None:
    """Say which shares could not be reached, and which attributes are given away by where a face comes from."""
    for share in shares:
        if abs(share.after - share.wanted) > _MISSED:
            warnings.warn(
                f"balance {share.attribute}: {share.after:.1%} reached, {share.wanted:.1%} wanted; there are too few "
                "faces to come nearer",
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
        f"balance {_asked(wanted)}: these shares contradict each other, no weighting of the {len(values):,} faces has "
        f"them all; ask for fewer attributes, or shares nearer to those of the folder ({present})"
    )


def _asked(wanted: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={share:g}" for name, share in wanted.items())
