"""Which real rows to copy once more so that rare attributes become less rare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.annotations import attribute_index
from faceaug.draws import permutation
from faceaug.errors import ArgumentError

Balance = Mapping[str, float] | Sequence[str] | str
_EVEN = 0.5
_ROUNDS = 20  # attributes pull at each other: Male and Wearing_Lipstick need a few rounds to settle
_TOLERANCE = 0.005
_LARGEST = 10  # times the rows there were: beyond that the same few faces only repeat


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one attribute among rows where it is known: wanted, before and after balancing."""

    attribute: str
    wanted: float
    before: float
    after: float


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
        if not 0 < share < 1:
            raise ArgumentError(f"balance {name}={share}: expected a share between 0 and 1, without the ends")
    return {name: float(share) for name, share in wanted.items()}


def balancing_copies(
    attributes: NDArray[np.int8], rows: NDArray[np.int64], wanted: Mapping[str, float], *, seed: int
) -> tuple[NDArray[np.int64], list[Share]]:
    """Choose rows to copy, the rare side of each attribute in turn, until the shares are as wanted.

    If p of n known rows are positive, m more positive copies make the share (p + m) / (n + m), so
    m = (wanted n - p) / (1 - wanted); for a share above the wanted one, negatives are copied likewise.

    Args:
        attributes: int8 (all rows, 40), -1, 0 or +1.
        rows: the rows there are already, int64 (n,), with repetitions where a row has copies.
        wanted: share by attribute; see ``parse_balance``.
        seed: of the order in which rows of the rare side are taken; each is taken once before any is taken again.

    Returns:
        (copies, shares): rows to copy, int64 (m,), and what was reached. Real rows are never dropped.

    Raises:
        ArgumentError: no row has the rare side at all.
    """
    distinct = np.unique(rows)
    present = rows
    pools = {name: _Pool(attributes, distinct, name, seed) for name in wanted}
    for _ in range(_ROUNDS):
        settled = True
        for name, share in wanted.items():
            extra = pools[name].needed(attributes[present, attribute_index(name)], share)
            if len(extra):
                settled = False
                present = np.concatenate([present, extra])
        if settled or len(present) > _LARGEST * len(rows):
            break
    shares = [
        Share(
            name,
            share,
            _share(attributes[rows, attribute_index(name)]),
            _share(attributes[present, attribute_index(name)]),
        )
        for name, share in wanted.items()
    ]
    return present[len(rows) :], shares


class _Pool:
    """The rows of each side of one attribute, handed out in a fixed random order, round after round."""

    def __init__(self, attributes: NDArray[np.int8], rows: NDArray[np.int64], name: str, seed: int) -> None:
        self._name = name
        values = attributes[rows, attribute_index(name)]
        self._sides = {sign: rows[values == sign] for sign in (1, -1)}
        for sign, side in self._sides.items():
            self._sides[sign] = side[permutation(len(side), seed, slot=f"balance/{name}/{sign}")]
        self._taken = {1: 0, -1: 0}

    def needed(self, values: NDArray[np.int8], wanted: float) -> NDArray[np.int64]:
        known = values[values != 0]
        if not len(known):
            raise ArgumentError(f"balance {self._name}: no picture has a value for it; is its table in the folder?")
        n, positive = len(known), int((known > 0).sum())
        if abs(positive / n - wanted) <= _TOLERANCE:
            return np.empty(0, np.int64)
        sign = 1 if positive / n < wanted else -1
        count, aim = (positive, wanted) if sign > 0 else (n - positive, 1 - wanted)
        return self._take(sign, math.ceil((aim * n - count) / (1 - aim)))

    def _take(self, sign: int, count: int) -> NDArray[np.int64]:
        side = self._sides[sign]
        if not len(side):
            kind = "with" if sign > 0 else "without"
            raise ArgumentError(f"balance {self._name}: there is no picture {kind} it to copy")
        places = (self._taken[sign] + np.arange(count)) % len(side)
        self._taken[sign] += count
        chosen: NDArray[np.int64] = side[places]
        return chosen


def _share(values: NDArray[np.int8]) -> float:
    known = values[values != 0]
    return float((known > 0).mean()) if len(known) else math.nan
