"""Which real rows to copy once more so that rare attributes become less rare."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import attribute_index
from faceaug.draws import permutation
from faceaug.errors import ArgumentError

Balance = Mapping[str, float] | Sequence[str] | str
_EVEN = 0.5
_STEPS = 60  # Newton's; ten are usual, the rest is for shares that can hardly be reached
_EXACT, _NEAR = 1e-7, 1e-3  # votes left over, of the rows: when to stop early, and what will do after the last step
_MISSED = 0.02  # a share this far from the wanted one is worth a warning
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
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ArgumentError(f"balance {name}={share}: expected a share between 0 and 1, without the ends")
    return {name: float(share) for name, share in wanted.items()}


def balancing_copies(
    attributes: NDArray[np.int8], rows: NDArray[np.int64], wanted: Mapping[str, float], *, seed: int
) -> tuple[NDArray[np.int64], list[Share]]:
    """Choose rows to copy until all shares are as wanted, spreading the copies over as many rows as possible.

    A row that has an attribute speaks for its share with 1 - wanted, one that has it not against it with wanted, and
    the share is as wanted when the votes add up to nothing. Of all numbers of copies that bring this about, those
    with the least sum of squares are taken. For one attribute, that every row of the rare side is copied alike.

    Args:
        attributes: int8 (all rows, 40), -1, 0 or +1.
        rows: the rows there are already, int64 (n,), with repetitions where a row has copies.
        wanted: share by attribute; see ``parse_balance``.
        seed: decides which rows get the odd copy where the copies cannot be shared out evenly.

    Returns:
        (copies, shares): rows to copy, int64 (m,), and what was reached. Real rows are never dropped.

    Raises:
        ArgumentError: no row has the rare side at all, or the shares need more than ten times the rows.
    """
    distinct, counts = np.unique(rows, return_counts=True)
    values = attributes[distinct][:, [attribute_index(name) for name in wanted]]
    _check_sides(values, wanted)
    aims = np.array(list(wanted.values()))
    votes = np.where(values > 0, 1 - aims, np.where(values < 0, -aims, 0.0))
    needed = _fewest_copies(votes, counts.astype(np.float64))
    if needed is None or needed.sum() > _LARGEST * len(rows):
        asked = ", ".join(f"{name}={share:g}" for name, share in wanted.items())
        raise ArgumentError(
            f"balance {asked}: that needs more than {_LARGEST} times the {len(rows):,} faces there are, the same few "
            "again and again; ask for fewer attributes, or shares nearer to those of the folder"
        )
    copies = np.repeat(distinct, _whole(needed, values, seed))
    before, after = (_shares(attributes[taken], wanted) for taken in (rows, np.concatenate([rows, copies])))
    shares = [Share(name, share, before[name], after[name]) for name, share in wanted.items()]
    for missed in (share for share in shares if abs(share.after - share.wanted) > _MISSED):
        warnings.warn(
            f"balance {missed.attribute}: {missed.after:.1%} reached, {missed.wanted:.1%} wanted; there are too few "
            "faces to come nearer",
            stacklevel=4,
        )
    return copies, shares


def share_out(
    attributes: NDArray[np.int8], present: NDArray[np.int64], copies: NDArray[np.int64], synthetic: int,
    wanted: Mapping[str, float], *, seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Let synthetic faces do as much of the balancing as there are of them.

    Every synthetic face is asked to have the attributes of one real row, so that they go together as in real faces.
    First come the rows that would be copied; faces beyond these follow the mixture as it is then, combination by
    combination, so that the shares stay.

    Args:
        attributes: int8 (all rows, 40).
        present: rows there are, int64 (n,).
        copies: rows to copy, of ``balancing_copies``; empty where nothing is balanced.
        synthetic: how many synthetic faces.
        wanted: the balanced attributes.
        seed: of the choice.

    Returns:
        (copies, patterns): rows that are still copied, and the row whose attributes each synthetic face is asked for,
        int64 (synthetic,).
    """
    columns = [attribute_index(name) for name in wanted]
    copies = copies[permutation(len(copies), seed, slot="balance/synthetic")]
    if synthetic <= len(copies):
        taken = _evenly(copies, attributes, columns, synthetic)
        mask = np.zeros(len(copies), np.bool_)
        mask[taken] = True
        patterns, rest = copies[mask], np.sort(copies[~mask])
    else:
        mixture = np.concatenate([present, copies])
        mixture = mixture[permutation(len(mixture), seed, slot="balance/mixture")]
        whole, more = divmod(synthetic - len(copies), len(mixture))
        others = mixture[_evenly(mixture, attributes, columns, more)]
        patterns, rest = np.concatenate([copies, np.tile(mixture, whole), others]), copies[:0]
    return rest, patterns[permutation(len(patterns), seed, slot="balance/patterns")]


def _evenly(rows: NDArray[np.int64], attributes: NDArray[np.int8], columns: list[int], count: int) -> NDArray[np.int64]:
    """Places of ``count`` of the rows, of every combination of attributes as large a part as of the others."""
    order = np.lexsort(attributes[rows][:, columns].T) if columns else np.arange(len(rows))
    steps = ((np.arange(count) + 0.5) * len(rows) / max(count, 1)).astype(np.int64)
    return order[steps]


def reached(
    attributes: NDArray[np.int8], rows: NDArray[np.int64], labels: NDArray[np.int8], wanted: Mapping[str, float],
    before: Mapping[str, float],
) -> tuple[Share, ...]:  # fmt: skip
    """What balancing reached, the labels of synthetic faces counted.

    Args:
        attributes: int8 (all rows, 40).
        rows: of all real and augmented items.
        labels: int8 (s, 40), of the synthetic faces.
        wanted: shares asked for.
        before: shares before.
    """
    after = _shares(np.concatenate([attributes[rows], labels]), wanted)
    return tuple(Share(name, share, before[name], after[name]) for name, share in wanted.items())


def _check_sides(values: NDArray[np.int8], wanted: Mapping[str, float]) -> None:
    for name, column in zip(wanted, values.T, strict=True):
        if not column.any():
            raise ArgumentError(f"balance {name}: no picture has a value for it; is its table in the folder?")
        for sign, kind in ((1, "with"), (-1, "without")):
            if not (column == sign).any():
                raise ArgumentError(f"balance {name}: there is no picture {kind} it to copy")


def _fewest_copies(votes: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Copies of each row, float64 (n,), or None if none bring the votes to zero.

    The least squares solution is counts max(0, votes m), with a multiplier m for each attribute; m minimizes the
    convex function below, whose gradient is the sum of all votes, and Newton's method finds it.
    """
    total = counts.sum()
    multipliers = -votes.T @ counts / total

    def height(at: NDArray[np.float64]) -> float:
        return float(counts @ (votes @ at + np.maximum(votes @ at, 0) ** 2 / 2) / total)

    for _ in range(_STEPS):
        pull = votes @ multipliers
        copies: NDArray[np.float64] = counts * np.maximum(pull, 0)
        slope = votes.T @ (counts + copies) / total
        if np.abs(slope).max() <= _EXACT:
            return copies
        helping = votes[pull > 0]
        bend = (helping * counts[pull > 0, None]).T @ helping / total
        # Far from the solution short steps, near it Newton's own; also invertible where two attributes go together.
        bend += 1e-4 * (np.linalg.norm(slope) + _EXACT) * np.eye(len(slope))
        step, size, here = -np.linalg.solve(bend, slope), 1.0, height(multipliers)
        # A step must go down, but for what rounding adds.
        while height(multipliers + size * step) > here + 1e-4 * size * float(slope @ step) + 1e-12 * (1 + abs(here)):
            size /= 2
        multipliers = multipliers + size * step
    return copies if np.abs(slope).max() <= _NEAR else None


def _whole(needed: NDArray[np.float64], values: NDArray[np.int8], seed: int) -> NDArray[np.int64]:
    """Whole numbers of copies: within a combination of attributes the remainders are dealt out in a random order."""
    order = permutation(len(needed), seed, slot="balance")
    order = order[np.lexsort(values[order].T)]
    sums = np.rint(np.cumsum(needed[order])).astype(np.int64)
    copies = np.empty(len(needed), np.int64)
    copies[order] = np.diff(sums, prepend=0)
    return copies


def _shares(attributes: NDArray[np.int8], wanted: Mapping[str, float]) -> dict[str, float]:
    columns = {name: attributes[:, attribute_index(name)] for name in wanted}
    known = {name: column[column != 0] for name, column in columns.items()}
    return {name: float((column > 0).mean()) if len(column) else math.nan for name, column in known.items()}
