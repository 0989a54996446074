from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from faceaug.clean import search
from faceaug.clean.search import TooManyPairs, near_pairs, near_pairs_between

Hashes = NDArray[np.uint64]


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def every_pair(one: Hashes, other: Hashes, radius: int) -> set[tuple[int, int, int]]:
    distance = np.bitwise_count(one[:, None] ^ other[None])
    return {(i, j, int(distance[i, j])) for i, j in zip(*np.nonzero(distance <= radius), strict=True)}


def found(one: Hashes, radius: int, other: Hashes | None = None) -> set[tuple[int, int, int]]:
    pairs = near_pairs(one, radius) if other is None else near_pairs_between(one, other, radius)
    triples = list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distance.tolist(), strict=True))
    assert triples == sorted(triples)
    assert len(set(triples)) == len(triples)
    return set(triples)


def clustered(n: int, seed: int, flips: int) -> Hashes:
    """A few centres with up to ``flips`` bits changed, and some bits that never differ, as in hashes of faces."""
    source = draw(seed)
    centres = source.integers(0, 1 << 63, max(1, n // 20), dtype=np.uint64) & np.uint64(0x0FFF_FFFF_FFFF_FF0F)
    hashes = centres[source.integers(0, len(centres), n)]
    for _ in range(flips):
        hashes = hashes ^ np.where(
            source.random(n) < 0.5, np.uint64(1) << source.integers(0, 64, n, dtype=np.uint64), 0
        )
    return hashes.astype(np.uint64)


@pytest.fixture
def always_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_FEW", 0)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 8, 10, 13])
def test_tables_find_what_comparing_all_finds(radius: int, always_tables: None) -> None:
    hashes = clustered(600, 1, 12)
    assert found(hashes, radius) == {(i, j, d) for i, j, d in every_pair(hashes, hashes, radius) if i < j}


@pytest.mark.parametrize("radius", [0, 3, 8, 10])
def test_two_sets_are_joined_like_comparing_all(radius: int, always_tables: None) -> None:
    one, other = clustered(400, 2, 10), clustered(300, 2, 9)
    assert found(one, radius, other) == every_pair(one, other, radius)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**64 - 1, 2**63]), min_size=0, max_size=60),
    st.integers(0, 12),
)
def test_any_hashes_are_joined_like_comparing_all(values: list[int], radius: int) -> None:
    hashes = np.array(values, np.uint64)
    expected = {(i, j, d) for i, j, d in every_pair(hashes, hashes, radius) if i < j}
    before, search._FEW = search._FEW, 0
    try:
        assert found(hashes, radius) == expected
    finally:
        search._FEW = before
    assert found(hashes, radius) == expected


def test_equal_hashes_are_all_pairs_of_each_other(always_tables: None) -> None:
    assert len(near_pairs(np.full(300, 7, np.uint64), 10).first) == 300 * 299 // 2


def test_nothing_is_near_nothing() -> None:
    nothing = np.empty(0, np.uint64)
    assert len(near_pairs(nothing, 10).first) == len(near_pairs_between(nothing, nothing, 3).first) == 0


def test_too_many_candidates_are_refused_with_their_number() -> None:
    hashes = np.zeros(20_000, np.uint64)
    with pytest.raises(TooManyPairs, match="more than 1,000,000 pairs"):
        near_pairs(hashes, 8, budget=1_000_000)


def test_the_division_into_bands_misses_nothing_for_any_number_of_bands() -> None:
    often = np.arange(64)
    for radius in range(14):
        for count in range(1, 9):
            bands = search._bands(often, count, radius)
            assert sum(band.changes + 1 for band in bands) == radius + 1
            assert len({bit for band in bands for bit in band.bits}) == sum(len(band.bits) for band in bands)


@pytest.mark.slow
def test_fifty_thousand_hashes_are_searched_without_comparing_all() -> None:
    hashes = clustered(50_000, 3, 14)
    sample = draw(4).integers(0, len(hashes), 200)
    pairs = near_pairs(hashes, 8)
    together = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    for i in sample.tolist():
        near = np.flatnonzero(np.bitwise_count(hashes ^ hashes[i]) <= 8).tolist()
        assert all((min(i, j), max(i, j)) in together for j in near if i != j)
