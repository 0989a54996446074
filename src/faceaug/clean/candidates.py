"""Find candidate pairs: by hash, scored by thumbnail, and reused from the last search.

The result of a search is cached with the digests of its pictures. A later run reuses it if no picture is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cache import Cache
from faceaug.clean.screen import likeness
from faceaug.clean.search import Pairs, TooManyPairs, near_pairs, near_pairs_between
from faceaug.progress import SILENT, Progress

RADIUS = 10  # bits of 64: finds 99 % of copies cropped by 5 %, by the hash of the whole or of the middle
MIRROR_RADIUS = 8
AGAINST = "against"  # first word of the facts of searches among references
_BUDGET = 3_000_000_000  # hashes compared: about a minute
_PAIRS = 25_000_000  # pairs kept in memory: about 1 GB
_KEPT = 4_000_000  # pairs kept in the cache: about 50 MB
_OWNER = f"search 1, {RADIUS}, {MIRROR_RADIUS}"  # cache key: increase the number when search or likeness change
_COLUMNS = {"first": "<i4", "second": "<i4", "distance": "u1", "like": "<f4"}


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pairs of pictures, sorted by (first, second).

    Attributes:
        first: int64 (n,), index of a picture.
        second: int64 (n,), index of the other picture, > ``first``.
        distance: uint8 (n,), Hamming distance of the 64-bit pHashes.
        like: float32 (n,), share of one thumbnail's variance that the other explains.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.uint8]
    like: NDArray[np.float32]

    def some(self, places: NDArray[np.int64]) -> Candidates:
        """The pairs at some positions."""
        return Candidates(self.first[places], self.second[places], self.distance[places], self.like[places])

    def among(self, new: NDArray[np.int64]) -> Candidates:
        """The pairs whose pictures both still exist; ``new`` maps old index -> new index or -1, ascending."""
        first, second = new[self.first], new[self.second]
        keep = np.flatnonzero((first >= 0) & (second >= 0))
        return Candidates(first[keep], second[keep], self.distance[keep], self.like[keep])


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """The candidates among all pictures of a folder.

    Attributes:
        plain: pairs whose wholes or middles are within the radius, with the distance of the wholes.
        mirrored: pairs of a picture and the mirror image of another within ``MIRROR_RADIUS``.
        radius: search radius, bits; -1 if there was no search.
    """

    plain: Candidates
    mirrored: Candidates
    radius: int

    def notes(self) -> Iterator[str]:
        """Limits of the search that the user should know."""
        if self.radius < 0:
            yield "too many pictures have the same hash; near duplicates were not searched for"
        elif self.radius < RADIUS:
            yield (
                "too many pictures look alike; near duplicates were searched for within distance "
                f"{self.radius} instead of {RADIUS}"
            )


def find_candidates(
    looks: NDArray[np.void],
    digests: Sequence[str],
    cache: Cache,
    progress: Progress = SILENT,
    *,
    fixed: NDArray[np.bool_] | None = None,
) -> Search:
    """Find all pairs of pictures that may show one photo.

    Args:
        looks: ``LOOKS`` (n,).
        digests: pixel digests of the pictures, distinct, ascending.
        cache: holds the last search; this one is stored there.
        progress: reports the phases.
        fixed: bool (n,), pictures among which no pairs are sought; such a search is not kept in the cache.
    """
    if fixed is not None and fixed.any():
        return _search(looks, fixed, cache, progress)
    present = np.array(digests, "S32")
    known = _known(present, cache)
    if known is not None:
        return known
    search = _search(looks, np.zeros(len(looks), np.bool_), cache, progress)
    if len(search.plain.first) + len(search.mirrored.first) <= _KEPT:
        cache.set_arrays(_OWNER, _arrays(search) | {"digests": present.tobytes()})
    return search


def _search(looks: NDArray[np.void], fixed: NDArray[np.bool_], cache: Cache, progress: Progress) -> Search:
    fact = f"{AGAINST} radius" if fixed.any() else "radius"
    pairs, radius = _within(looks, fixed, int(cache.fact(fact, RADIUS)), progress)
    cache.set_fact(fact, radius)
    plain = _judged(looks, pairs, progress, turned=False)
    return Search(plain, _judged(looks, _mirrored(looks, fixed, progress), progress, turned=True), radius)


def _arrays(search: Search) -> dict[str, bytes]:
    parts = {"plain": search.plain, "mirrored": search.mirrored}
    columns = {
        f"{part}/{name}": getattr(found, name).astype(kind).tobytes()
        for part, found in parts.items()
        for name, kind in _COLUMNS.items()
    }
    return columns | {"radius": str(search.radius).encode()}


def _known(present: NDArray[np.bytes_], cache: Cache) -> Search | None:
    """The cached search, if it covered all pictures."""
    arrays = cache.arrays(_OWNER)
    try:
        before = np.frombuffer(arrays["digests"], "S32")
        place = np.searchsorted(before, present)
        if not len(before) or place.max() >= len(before) or not np.array_equal(before[place], present):
            return None
        new = np.full(len(before), -1, np.int64)
        new[place] = np.arange(len(present))
        plain, mirrored = (_read(arrays, part).among(new) for part in ("plain", "mirrored"))
        return Search(plain, mirrored, int(arrays["radius"]))
    except (KeyError, ValueError, IndexError):  # missing or damaged
        return None


def _read(arrays: Mapping[str, bytes], part: str) -> Candidates:
    first, second, distance, like = (np.frombuffer(arrays[f"{part}/{name}"], kind) for name, kind in _COLUMNS.items())
    return Candidates(first.astype(np.int64), second.astype(np.int64), distance, like)


def _judged(looks: NDArray[np.void], pairs: Pairs, progress: Progress, *, turned: bool) -> Candidates:
    used, at = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    thumbnails = looks["thumbnail"][used]
    first, second = np.split(at, 2)
    like = likeness(thumbnails[:, :, ::-1] if turned else thumbnails, thumbnails, first, second, progress)
    return Candidates(pairs.first, pairs.second, pairs.distance, like)


def _within(looks: NDArray[np.void], fixed: NDArray[np.bool_], radius: int, progress: Progress) -> tuple[Pairs, int]:
    """Pairs whose wholes or middles are within the radius, each once, with the distance of the wholes."""
    n = len(looks)
    own, other = np.flatnonzero(~fixed), np.flatnonzero(fixed)
    mine, theirs = (np.concatenate([looks["whole"][at], looks["middle"][at]]) for at in (own, other))
    among, radius = _affordable(lambda r: near_pairs(mine, r, budget=_BUDGET, progress=progress), radius)
    one, two = own[among.first % len(own)], own[among.second % len(own)]
    if len(other):
        between, radius = _affordable(
            lambda r: near_pairs_between(mine, theirs, r, budget=_BUDGET, progress=progress), radius
        )
        one = np.concatenate([one, own[between.first % len(own)]])
        two = np.concatenate([two, other[between.second % len(other)]])
    keys = np.unique((np.minimum(one, two) * n + np.maximum(one, two))[one != two])
    first, second = keys // n, keys % n
    distance = np.bitwise_count(looks["whole"][first] ^ looks["whole"][second])
    return Pairs(first, second, distance), radius


def _mirrored(looks: NDArray[np.void], fixed: NDArray[np.bool_], progress: Progress) -> Pairs:
    """Pairs i < j of a picture and the mirror image of another within the radius."""
    own = np.flatnonzero(~fixed)
    whole, mirrored = looks["whole"], looks["mirrored_whole"]
    # The mirror image of i is as far from j as the mirror image of j from i, but for rounding; i is the smaller index.
    ahead, _ = _affordable(
        lambda r: near_pairs_between(mirrored[own], whole, r, budget=_BUDGET, progress=progress), MIRROR_RADIUS
    )
    first, second = own[ahead.first], ahead.second
    keep = first < second
    if fixed.any():
        back, _ = _affordable(
            lambda r: near_pairs_between(mirrored[fixed], whole[own], r, budget=_BUDGET, progress=progress),
            MIRROR_RADIUS,
        )
        behind, mine = np.flatnonzero(fixed)[back.first], own[back.second]
        later = behind < mine
        found = np.concatenate([first[keep], behind[later]]), np.concatenate([second[keep], mine[later]])
        distance = np.concatenate([ahead.distance[keep], back.distance[later]])
        order = np.lexsort((found[1], found[0]))
        return Pairs(found[0][order], found[1][order], distance[order])
    return Pairs(first[keep], second[keep], ahead.distance[keep])


def _affordable(search: Callable[[int], Pairs], radius: int) -> tuple[Pairs, int]:
    """The pairs within the largest radius that the budget allows."""
    for smaller in range(radius, -1, -2):
        try:
            pairs = search(smaller)
        except TooManyPairs:
            continue
        if len(pairs.first) <= _PAIRS:
            return pairs, smaller
    nothing = np.empty(0, np.int64)
    return Pairs(nothing, nothing, np.empty(0, np.uint8)), -1
