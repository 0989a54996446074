from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.draws import stream
from faceaug.evaluate import Balls, meet, neighbours, surround
from faceaug.evaluate.features import Features


def cloud(n: int, seed: int, *, shift: float = 0.0, d: int = 6) -> Features:
    return (stream(seed, slot="tests/cloud").standard_normal((n, d), "f4") + shift).astype(np.float32)


def all_distances(a: Features, b: Features) -> NDArray[np.float64]:
    return np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1))


def by_hand(samples: Features, reference: Features, k: int) -> dict[str, float]:
    """The definitions of the papers, with every distance in memory."""
    own, among = (np.sort(all_distances(x, x), axis=1)[:, k] for x in (samples, reference))
    between = all_distances(samples, reference)
    return {
        "precision": (between <= among).any(1).mean(),
        "recall": (between <= own[:, None]).any(0).mean(),
        "density": (between <= among).sum() / (k * len(samples)),
        "coverage": (between <= among).any(0).mean(),
    }


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 70, 0.0), (90, 50, 0.8), (30, 30, 4.0)])
@pytest.mark.parametrize("k", [1, 5])
def test_the_four_shares_are_those_of_the_papers(n: int, m: int, shift: float, k: int) -> None:
    samples, reference = cloud(n, 1, shift=shift), cloud(m, 2)
    found = meet(surround(samples, k), surround(reference, k))
    expected = by_hand(samples, reference, k)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)


def test_small_blocks_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, reference = cloud(50, 1), cloud(64, 2)

    def everything() -> tuple[Balls, object]:
        balls = surround(samples)
        met = meet(balls, surround(reference))
        return balls, (met.precision, met.recall, met.density, met.coverage, met.nearest.tolist())

    whole, met = everything()
    monkeypatch.setattr(neighbours, "_BLOCK", 200)
    parts, met_again = everything()
    np.testing.assert_array_equal(whole.radii, parts.radii)
    assert met == met_again


def test_neighbours_and_distances_are_exact_far_from_the_origin() -> None:
    reference = cloud(80, 3) + np.float32(1000)
    samples = reference[:20] + np.float32(1 / 512)
    found = meet(surround(samples), surround(reference))
    between = all_distances(samples, reference)
    assert found.nearest.tolist() == between.argmin(1).tolist() == list(range(20))
    np.testing.assert_allclose(found.distance, between.min(1), rtol=1e-12)


def test_a_copy_has_distance_zero_and_a_face_is_not_its_own_neighbour() -> None:
    reference = cloud(30, 4)
    twice = np.concatenate([reference, reference[:1]])
    balls = surround(twice)
    assert balls.nearest[0] == balls.nearest[30] == 0
    assert (balls.nearest[1:30] > 0).all()
    assert meet(surround(reference), balls).distance.max() == 0


def test_realism_is_lowest_for_what_lies_outside_of_everything() -> None:
    samples = cloud(40, 5)
    samples[7] += 30
    found = meet(surround(samples), surround(cloud(200, 6)))
    assert found.realism.argmin() == 7
    assert found.realism[7] < 1


def test_the_peer_agrees() -> None:
    prdc = pytest.importorskip("prdc")
    samples, reference = cloud(120, 7, shift=0.3), cloud(150, 8)
    found = meet(surround(samples), surround(reference))
    theirs = prdc.compute_prdc(reference, samples, nearest_k=5)
    assert {name: getattr(found, name) for name in theirs} == pytest.approx(theirs)
