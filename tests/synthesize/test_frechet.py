from __future__ import annotations

import numpy as np
import pytest

from faceaug.draws import stream
from faceaug.synthesize.frechet import Statistics, feature_statistics, frechet_distance


def statistics(n: int, seed: int, shift: float = 0.0, d: int = 12) -> Statistics:
    draw = stream(seed, slot="tests/frechet")
    return feature_statistics(draw.standard_normal((n, d)) @ draw.standard_normal((d, d)) + shift)


def test_normal_distributions_on_axes_have_the_distance_one_computes_by_hand() -> None:
    a = (np.zeros(2), np.diag([1.0, 4.0]))
    b = (np.array([3.0, 0.0]), np.diag([9.0, 4.0]))
    assert frechet_distance(a, b) == pytest.approx(9 + (3 - 1) ** 2)


def test_it_is_that_of_the_matrix_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a, b = statistics(200, 1), statistics(300, 2, shift=0.5)
    root = linalg.sqrtm(a[1] @ b[1]).real
    expected = ((a[0] - b[0]) ** 2).sum() + np.trace(a[1] + b[1] - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_it_is_symmetric_and_zero_for_the_same() -> None:
    a, b = statistics(100, 3), statistics(100, 4)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_covariances_without_full_rank_give_a_finite_distance() -> None:
    a, b = statistics(5, 5), statistics(6, 6)
    assert np.isfinite(frechet_distance(a, b))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)


def test_the_peer_agrees() -> None:
    metric = pytest.importorskip("torch_fidelity.metric_fid")
    a, b = statistics(200, 7), statistics(150, 8, shift=0.2)
    theirs = metric.fid_statistics_to_metric(*({"mu": m, "sigma": s} for m, s in (a, b)), False)
    assert frechet_distance(a, b) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-8)
