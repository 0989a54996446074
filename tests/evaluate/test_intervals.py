from __future__ import annotations

import numpy as np
import pytest

from faceaug.draws import stream
from faceaug.evaluate.intervals import Estimate, bootstrap_recalls, difference

N = 2000
LABELS = np.where(stream(0, slot="tests/intervals").random((N, 2)) < 0.2, 1, -1).astype(np.int8)


def answers(right: float, seed: int) -> np.ndarray:
    """Three seeds' answers, each right with this probability."""
    hit = stream(seed, slot="tests/answers").random((3, N, 2)) < right
    return np.asarray(np.where(hit, LABELS > 0, LABELS < 0))


def test_the_value_is_that_of_all_faces_and_seeds() -> None:
    given = answers(0.8, 1)
    found = bootstrap_recalls({"a": given}, LABELS, seed=0, rounds=50)["a"]
    for k in range(2):
        for side, sign in enumerate((-1, 1)):
            there = LABELS[:, k] == sign
            expected = np.mean([(given[s, there, k] == (sign > 0)).mean() for s in range(3)])
            assert found.found[side, k] == pytest.approx(expected)
    assert found.balanced().value == pytest.approx(found.found.mean())
    assert found.side(np.array([1, 0])).value == pytest.approx((found.found[1, 0] + found.found[0, 1]) / 2)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(40):
        # One seed's answers: the spread is that of the faces alone.
        found = bootstrap_recalls({"a": answers(0.8, seed)[:1]}, LABELS, seed=seed, rounds=300)["a"].balanced()
        held += found.low <= 0.8 <= found.high
    assert held >= 34


def test_a_difference_on_the_same_faces_is_surer_than_its_parts() -> None:
    one = answers(0.8, 1)
    worse = one.copy()
    worse[:, :100] = LABELS[:100] < 0  # wrong about the first hundred
    found = bootstrap_recalls({"one": one, "worse": worse, "same": one}, LABELS, seed=0, rounds=300)
    gain = difference(found["one"], found["worse"])
    assert gain.low > 0
    assert gain.high - gain.low < found["one"].balanced().high - found["one"].balanced().low
    assert difference(found["one"], found["same"]) == Estimate(0, 0, 0)


def test_rounds_that_draw_no_face_of_a_kind_are_left_out() -> None:
    labels = np.full((30, 1), -1, np.int8)
    labels[0] = 1
    found = bootstrap_recalls({"a": np.repeat(labels[None] > 0, 2, axis=0)}, labels, seed=0, rounds=100)["a"]
    assert found.balanced() == Estimate(1, 1, 1)


def test_figures_read_as_shares_and_as_points() -> None:
    found = Estimate(0.8123, 0.79, 0.83)
    assert found.percent() == "81.2 % (79.0 to 83.0)"
    assert Estimate(0.0131, -0.002, 0.025).points() == "+1.3 points (-0.2 to +2.5)"
    assert found.to_json() == {"value": 0.8123, "low": 0.79, "high": 0.83}
