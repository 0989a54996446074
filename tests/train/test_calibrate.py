from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings, strategies as st

from faceaug.draws import stream
from faceaug.train.calibrate import area_under_curve, balanced_accuracy, fit_odds, rates


def test_a_perfect_ranking_has_area_one_a_reversed_one_zero_and_no_ranking_a_half() -> None:
    labels = np.array([-1, -1, 1, 1], np.int8)
    assert area_under_curve(np.array([0.1, 0.2, 0.3, 0.4]), labels) == 1
    assert area_under_curve(np.array([0.4, 0.3, 0.2, 0.1]), labels) == 0
    assert area_under_curve(np.zeros(4), labels) == 0.5


@given(scores=st.lists(st.integers(0, 5), min_size=2, max_size=30), data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_area_is_the_share_of_pairs_in_the_right_order(scores: list[int], data: st.DataObject) -> None:
    labels = np.array(
        data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=len(scores), max_size=len(scores))), "i1"
    )
    values = np.array(scores, float)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in values[labels > 0] for b in values[labels < 0]]
    found = area_under_curve(values, labels)
    assert math.isnan(found) if not pairs else math.isclose(found, sum(pairs) / len(pairs))


def test_rates_are_those_of_both_kinds_and_unknown_faces_do_not_count() -> None:
    labels = np.array([1, 1, -1, -1, -1, -1, 0], np.int8)
    answers = np.array([1, 0, 0, 0, 0, 1, 1], bool)
    assert rates(answers, labels) == (0.5, 0.75)
    assert balanced_accuracy(answers, labels) == 0.625
    assert math.isnan(balanced_accuracy(answers[:2], labels[:2]))


def test_odds_are_found_again() -> None:
    draws = stream(0, slot="tests/odds")
    scores = draws.normal(-1, 2, 40_000)
    labels = np.where(draws.random(40_000) < 1 / (1 + np.exp(-(0.5 * scores - 1))), 1, -1).astype(np.int8)
    scale, shift = fit_odds(scores, labels)
    assert abs(scale - 0.5) < 0.03
    assert abs(shift + 1) < 0.05


def test_with_no_evidence_the_scores_stay_as_they_are() -> None:
    assert fit_odds(np.array([1.0, 2.0]), np.zeros(2, np.int8)) == (1.0, 0.0)


def test_scores_that_separate_completely_do_not_run_away() -> None:
    scale, shift = fit_odds(np.array([-3.0, -2, 2, 3]), np.array([-1, -1, 1, 1], np.int8))
    assert 0.5 < scale < 4
    assert abs(shift) < 1
