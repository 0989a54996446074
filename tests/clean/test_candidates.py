from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.clean import candidates
from faceaug.clean.cache import Cache, open_cache
from faceaug.clean.candidates import Search, find_candidates
from faceaug.clean.signatures import LOOKS
from faceaug.draws import stream


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with open_cache(tmp_path / "cache.sqlite", write=True) as opened:
        yield opened


def looks(count: int, seed: int = 0) -> NDArray[np.void]:
    """Hashes of which every second is near the one before it, and thumbnails alike in pairs too."""
    draw = stream(seed, slot="test/candidates")
    table = np.zeros(count, LOOKS)
    for name in ("whole", "middle"):
        table[name] = draw.integers(0, 1 << 64, count, np.uint64)
        table[name][1::2] = table[name][: count - 1 : 2] ^ np.uint64(0b1011)
    table["mirrored_whole"] = np.roll(table["whole"], -3) ^ np.uint64(0b101)
    table["thumbnail"] = draw.integers(0, 256, (count, 32, 32), np.uint8)
    table["thumbnail"][1::2] = table["thumbnail"][: count - 1 : 2] // 2 + 20
    return table


def digests(count: int) -> list[str]:
    return [f"{7 * k:032x}" for k in range(count)]


def same(one: Search, other: Search) -> bool:
    pairs = [
        (getattr(a, name), getattr(b, name))
        for a, b in ((one.plain, other.plain), (one.mirrored, other.mirrored))
        for name in ("first", "second", "distance", "like")
    ]
    return one.radius == other.radius and all(
        a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-5) for a, b in pairs
    )


def test_the_last_search_serves_again_for_the_same_pictures_and_for_some_of_them(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, names = looks(400), digests(400)
    fresh = find_candidates(table, names, cache)
    assert len(fresh.plain.first) >= 200
    assert len(fresh.mirrored.first) > 100
    staying = np.flatnonzero(np.arange(400) % 5 != 1)
    expected = find_candidates(table[staying], [names[k] for k in staying], Cache(None))
    monkeypatch.setattr(candidates, "near_pairs", lambda *_, **__: pytest.fail("searched again"))
    assert same(find_candidates(table, names, cache), fresh)
    assert same(find_candidates(table[staying], [names[k] for k in staying], cache), expected)
    assert len(expected.plain.first) < len(fresh.plain.first)


def test_a_new_picture_makes_the_search_run_again(cache: Cache) -> None:
    table, names = looks(401), digests(401)
    find_candidates(table[:400], names[:400], cache)
    assert same(find_candidates(table, names, cache), find_candidates(table, names, Cache(None)))
    between = [*names[:3], f"{7 * 3 + 1:032x}", *names[4:]]
    assert same(find_candidates(table, between, cache), find_candidates(table, between, Cache(None)))


@pytest.mark.parametrize("harm", ["plain/first", "digests", "radius"])
def test_a_damaged_search_is_made_anew(cache: Cache, harm: str) -> None:
    table, names = looks(100), digests(100)
    fresh = find_candidates(table, names, cache)
    cache.set_arrays(candidates._OWNER, {harm: b"x y"})
    assert same(find_candidates(table, names, cache), fresh)


def test_another_kind_of_search_does_not_use_what_this_one_kept(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    table, names = looks(100), digests(100)
    fresh = find_candidates(table, names, cache)
    cache.set_arrays(candidates._OWNER, {"radius": b"4"})
    assert find_candidates(table, names, cache).radius == 4
    monkeypatch.setattr(candidates, "_OWNER", "search of tomorrow")
    assert same(find_candidates(table, names, cache), fresh)


def test_a_search_that_found_very_much_is_not_kept(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_KEPT", 10)
    find_candidates(looks(100), digests(100), cache)
    assert cache.arrays(candidates._OWNER) == {}
