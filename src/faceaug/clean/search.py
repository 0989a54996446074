"""Find all pairs of 64-bit hashes within a Hamming distance: exact, with far fewer than n x n comparisons.

Multi-index hashing (Norouzi, Punjani and Fleet 2014): the bits are divided into m bands. Two hashes that differ in at
most r bits differ in at most t[k] bits in some band k, whenever the t[k] add up to r - m + 1. So every band is a hash
table, probed with all changes of up to t[k] bits, and the matches are compared in full. Bits are divided by how often
they differ, which keeps the bands equally selective, and a pair is emitted only by the first band that finds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import RefusedError
from faceaug.executor import processors
from faceaug.progress import SILENT, Progress
from faceaug.progress.phases import Phase

Hashes: TypeAlias = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]
_Found: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]
_FEW = 3_000  # up to this number of hashes, brute force is faster than tables
_CHUNK = 1 << 20  # pairs compared at once
_MASKS = 16  # key changes probed by one task of a thread
_SAMPLE = 25_000  # random pairs used to estimate the cost of a division into bands


class TooManyPairs(RefusedError):  # noqa: N818 - named after the finding, not a fault
    """More candidates than the budget: the hashes do not discriminate between these pictures.

    Attributes:
        found: a lower bound on the number of candidates.
    """

    def __init__(self, found: int, budget: int, radius: int) -> None:
        super().__init__(
            f"more than {budget:,} pairs to compare within distance {radius} (at least {found:,}): the pictures are "
            "too similar, for example blank; search within a smaller distance"
        )
        self.found = found


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Distinct pairs of hashes, sorted by (first, second).

    Attributes:
        first: int64 (n,), indices into the hashes searched.
        second: int64 (n,); > ``first`` where a set was joined with itself.
        distance: uint8 (n,), number of bits that differ.
    """

    first: Places
    second: Places
    distance: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """One table: its bits, and how many of them may differ."""

    bits: tuple[int, ...]
    changes: int


def near_pairs(hashes: Hashes, radius: int, *, budget: int = 2_000_000_000, progress: Progress = SILENT) -> Pairs:
    """Find all pairs i < j of one set within a distance.

    Args:
        hashes: uint64 (n,).
        radius: largest number of bits that differ, 0..64.
        budget: largest number of candidates to compare.
        progress: reports a long search.

    Raises:
        TooManyPairs: the budget is not enough; raised as soon as it is exceeded.
    """
    return _join(hashes, hashes, radius, budget, progress, same=True)


def near_pairs_between(
    one: Hashes, other: Hashes, radius: int, *, budget: int = 2_000_000_000, progress: Progress = SILENT
) -> Pairs:
    """Find all pairs of a hash in one set and a hash in another within a distance; otherwise as ``near_pairs``."""
    return _join(one, other, radius, budget, progress, same=False)


def _join(one: Hashes, other: Hashes, radius: int, budget: int, progress: Progress, *, same: bool) -> Pairs:
    radius = min(radius, 64)
    if not len(one) or not len(other) or radius < 0:
        nothing = np.empty(0, np.int64)
        return Pairs(nothing, nothing, np.empty(0, np.uint8))
    if max(len(one), len(other)) <= _FEW:
        if len(one) * len(other) > 2 * budget:
            raise TooManyPairs(len(one) * len(other), budget, radius)
        found = list(_compare_all(one, other, radius, same=same))
    else:
        bands = _deal(one, other, radius)
        lookups = sum(_changes(band) for band in bands)
        with progress.phase("searching", lookups, "lookups") as phase:
            found = list(_looked_up(one, other, radius, bands, budget, phase, same=same))
    return _sorted(found, len(other))


def _looked_up(
    one: Hashes, other: Hashes, radius: int, bands: Sequence[_Band], budget: int, phase: Phase, *, same: bool
) -> Iterator[_Found]:
    left = budget
    for number, band in enumerate(bands):
        for part, compared in _look_up(one, other, radius, bands[:number], band, same=same):
            left -= compared
            if left < 0:
                raise TooManyPairs(budget - left, budget, radius)
            yield part
            phase.advance(_MASKS)
        phase.reach(sum(_changes(band) for band in bands[: number + 1]))


def _sorted(found: list[_Found], width: int) -> Pairs:
    """Merge and sort the parts. Frees memory early: there may be ten million pairs."""
    first, second, distance = _stacked(found)
    found.clear()
    keys = first.astype(np.int64) * width + second
    del first, second
    order = np.argsort(keys)
    keys = keys[order]
    return Pairs(keys // width, keys % width, distance[order])


def _compare_all(one: Hashes, other: Hashes, radius: int, *, same: bool) -> Iterator[_Found]:
    rows = max(1, _CHUNK // len(other))
    for start in range(0, len(one), rows):
        distance = np.bitwise_count(one[start : start + rows, None] ^ other[None])
        i, j = np.nonzero(distance <= radius)
        keep = (i + start < j) if same else slice(None)
        yield (i + start)[keep].astype(np.int32), j[keep].astype(np.int32), distance[i, j][keep]


def _deal(one: Hashes, other: Hashes, radius: int) -> list[_Band]:
    """Choose the cheapest division into bands, estimated from a sample of pairs."""
    draw = np.random.Generator(np.random.PCG64(0))  # affects only the speed, not the result
    i, j = draw.integers(0, len(one), _SAMPLE), draw.integers(0, len(other), _SAMPLE)
    differ = ((one[i] ^ other[j])[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    often = np.argsort(-differ.mean(axis=0), kind="stable")
    plans = [_bands(often, count, radius) for count in range(1, 9)]
    return min(plans, key=lambda bands: _cost(bands, differ, len(one), len(other)))


def _bands(often: NDArray[np.intp], count: int, radius: int) -> list[_Band]:
    """Distribute the bits over the bands in alternating order, and the allowed changes evenly."""
    hands: list[list[int]] = [[] for _ in range(count)]
    for place, bit in enumerate(often.tolist()):
        turn = place % (2 * count)
        hands[turn if turn < count else 2 * count - 1 - turn].append(bit)
    total = radius - count + 1
    changes = [total // count + (k < total % count) for k in range(count)]
    return [_Band(tuple(hand), c) for hand, c in zip(hands, changes, strict=True) if c >= 0]


def _changes(band: _Band) -> int:
    """The number of ways to change a key of a band."""
    return sum(comb(len(band.bits), k) for k in range(band.changes + 1))


def _cost(bands: Sequence[_Band], differ: NDArray[np.uint64], n: int, m: int) -> float:
    cost = 0.0
    for band in bands:
        if len(band.bits) > 26:
            return float("inf")
        masks = _changes(band)
        near = float((differ[:, band.bits].sum(axis=1) <= band.changes).mean())
        cost += 20e-9 * masks * min(n, 2.0 ** len(band.bits)) + 12e-9 * near * n * m + 1e-8 * 2.0 ** len(band.bits)
    return cost


def _look_up(
    one: Hashes, other: Hashes, radius: int, earlier: Sequence[_Band], band: _Band, *, same: bool
) -> Iterator[tuple[_Found, int]]:
    """The pairs found by this band and no earlier one, in parts, with the number of pairs compared."""
    a = _table(one, band.bits)
    b = a if same else _table(other, band.bits)
    starts = np.searchsorted(b.sorted_keys, np.arange((1 << len(band.bits)) + 1, dtype=np.int64)).astype(np.int32)
    filled = starts[1:] > starts[:-1]
    known = [(np.bitwise_or.reduce(np.uint64(1) << np.array(e.bits, np.uint64)), e.changes) for e in earlier]

    def compare(masks: list[int]) -> tuple[list[_Found], int]:
        """The pairs found in some buckets, and the number of comparisons."""
        parts = []
        compared = 0
        for i, j, own in _expanded(a, b, starts, *_meeting(a, filled, masks, same=same)):
            compared += len(i)
            parts.append(_checked(one, other, i, j, own, radius, known, same=same))
        return parts, compared

    with ThreadPoolExecutor(min(processors(), 8)) as threads:
        waiting: deque[Future[tuple[list[_Found], int]]] = deque()
        for masks in _mask_parts(len(band.bits), band.changes):
            waiting.append(threads.submit(compare, masks))
            if len(waiting) > 2 * processors():
                parts, compared = waiting.popleft().result()
                yield _stacked(parts), compared
        while waiting:
            parts, compared = waiting.popleft().result()
            yield _stacked(parts), compared


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Hashes sorted by their key in one band.

    Attributes:
        order: indices of the hashes in order of key.
        sorted_keys: their keys.
        unique: distinct keys.
        first: start of each distinct key in ``order``.
        count: number of hashes with each distinct key.
    """

    order: Places
    sorted_keys: NDArray[np.uint32]
    unique: NDArray[np.uint32]
    first: Places
    count: Places


def _table(hashes: Hashes, bits: Sequence[int]) -> _Table:
    keys = _gather(hashes, bits)
    order = np.argsort(keys, kind="stable")
    unique, first = np.unique(keys[order], return_index=True)
    return _Table(order, keys[order], unique, first, np.diff(np.append(first, len(keys))))


def _mask_parts(bits: int, changes: int) -> Iterator[list[int]]:
    """XOR masks of all ways to change up to ``changes`` of ``bits`` bits, a few at a time."""
    masks = (
        sum(1 << bit for bit in chosen) for size in range(changes + 1) for chosen in combinations(range(bits), size)
    )
    while part := list(islice(masks, _MASKS)):
        yield part


def _meeting(
    table: _Table, filled: NDArray[np.bool_], masks: list[int], *, same: bool
) -> tuple[Places, NDArray[np.uint32]]:
    """Indices into ``table.unique``, and the keys of the non-empty buckets they reach under the masks."""
    places = []
    keys = []
    for mask in masks:
        other = table.unique ^ np.uint32(mask)
        meets = filled[other]
        if same:
            meets &= other >= table.unique
        at = np.flatnonzero(meets)
        places.append(at)
        keys.append(other[at])
    return np.concatenate(places), np.concatenate(keys)


def _expanded(
    a: _Table, b: _Table, starts: NDArray[np.int32], left: Places, right: NDArray[np.uint32]
) -> Iterator[tuple[Places, Places, NDArray[np.bool_]]]:
    """All pairs of a hash in a bucket of one table and a hash in the bucket it reaches, in parts.

    Yields:
        Indices into both sets, and whether the two buckets have the same key.
    """
    low = starts[right].astype(np.int64)
    wide = starts[right + 1] - low
    sizes = a.count[left] * wide
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    for begin in range(0, total, _CHUNK):
        end = min(begin + _CHUNK, total)
        some = slice(int(np.searchsorted(ends, begin, "right")), int(np.searchsorted(ends, end, "left")) + 1)
        before = ends[some] - sizes[some]
        taken = np.minimum(ends[some], end) - np.maximum(before, begin)
        bucket = np.repeat(np.arange(some.start, some.stop), taken)
        row, column = np.divmod(np.arange(begin, end) - np.repeat(before, taken), wide[bucket])
        at = left[bucket]
        yield a.order[a.first[at] + row], b.order[low[bucket] + column], a.unique[at] == right[bucket]


def _checked(
    one: Hashes,
    other: Hashes,
    i: Places,
    j: Places,
    own: NDArray[np.bool_],
    radius: int,
    known: Sequence[tuple[np.uint64, int]],
    *,
    same: bool,
) -> _Found:
    """The pairs within the radius that no earlier band found; each once if a set is joined with itself."""
    apart = one[i] ^ other[j]
    distance = np.bitwise_count(apart)
    keep = np.flatnonzero(distance <= radius)
    i, j, own, apart, distance = i[keep], j[keep], own[keep], apart[keep], distance[keep]
    # A bucket joined with itself gives every pair in both orders, and every hash with itself.
    fresh = ~own | (i < j) if same else np.ones(len(i), bool)
    for mask, changes in known:
        fresh &= np.bitwise_count(apart & mask) > changes
    i, j = i[fresh], j[fresh]
    small = (np.minimum(i, j), np.maximum(i, j)) if same else (i, j)
    return small[0].astype(np.int32), small[1].astype(np.int32), distance[fresh]


def _stacked(parts: list[_Found]) -> _Found:
    if not parts:
        return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.uint8)
    first, second, distance = zip(*parts, strict=True)
    return np.concatenate(first), np.concatenate(second), np.concatenate(distance)


def _gather(hashes: Hashes, bits: Sequence[int]) -> NDArray[np.uint32]:
    """The chosen bits of every hash, packed into a key."""
    keys = np.zeros(len(hashes), np.uint32)
    for place, bit in enumerate(bits):
        keys |= ((hashes >> np.uint64(bit)) & np.uint64(1)).astype(np.uint32) << np.uint32(place)
    return keys
