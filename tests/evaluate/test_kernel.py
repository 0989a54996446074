from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.evaluate import kernel_distance


def cloud(n: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    return stream(seed, slot="tests/kernel").standard_normal((n, 8)) + shift


def by_hand(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pair by pair."""

    def k(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n = range(len(x))
    within = [k(z[i], z[j]) for z in (x, y) for i in n for j in n if i != j]
    between = [k(x[i], y[j]) for i in n for j in n]
    return sum(within) / (len(x) * (len(x) - 1)) - 2 * sum(between) / len(x) ** 2


def test_one_subset_of_everything_is_the_sum_over_pairs() -> None:
    x, y = cloud(20, 1), cloud(20, 2, shift=0.5)
    assert kernel_distance(x, y, subsets=1, size=20).mean == pytest.approx(by_hand(x, y))


def test_the_mean_does_not_depend_on_the_number_of_faces_and_sets_of_one_kind_are_at_zero() -> None:
    few, many = (kernel_distance(cloud(n, 3), cloud(n, 4)) for n in (200, 2000))
    assert abs(few.mean) < 0.05
    assert abs(many.mean) < 0.01
    far = [kernel_distance(cloud(n, 3), cloud(n, 4, shift=0.5)).mean for n in (200, 2000)]
    assert far[0] == pytest.approx(far[1], rel=0.15)


def test_subsets_have_a_spread_and_repeat_with_the_seed() -> None:
    x, y = cloud(100, 5), cloud(300, 6)
    found = kernel_distance(x, y, seed=1)
    assert found.size == 50
    assert found.std > 0
    assert found == kernel_distance(x, y, seed=1)
    assert found != kernel_distance(x, y, seed=2)


@pytest.mark.parametrize(("size", "subsets"), [(1, 10), (21, 10), (5, 0)])
def test_subsets_that_cannot_be_are_refused(size: int, subsets: int) -> None:
    with pytest.raises(ArgumentError, match="expected subsets of 2 to 20"):
        kernel_distance(cloud(20, 1), cloud(30, 2), size=size, subsets=subsets)


def test_the_peer_agrees() -> None:
    metric = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = cloud(40, 1), cloud(40, 2, shift=0.3)
    assert kernel_distance(x, y, subsets=1, size=40).mean == pytest.approx(metric.kernel_mmd(x, y), rel=1e-9)
