from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from faceaug.mix.report import balance_lines
from faceaug.mix.shares import Share, measure_shares, origin_accuracy

EVEN = Share(
    attribute="Eyeglasses", wanted=0.5, before=0.06, after=0.5, among=(0.06, 0.5, 0.5), unknown=(0, 0, 0),
    origin_accuracy=0.5, origin_accuracy_unweighted=0.5,
)  # fmt: skip


def test_synthetic_faces_that_all_have_the_attribute_give_it_away() -> None:
    # 100 real faces, 10 with glasses, and 80 synthetic ones with: guessing "synthetic" finds 80 of 90, and no other.
    column = np.repeat(np.array([1, -1, 1], np.int8), [10, 90, 80])[:, None]
    origin = np.repeat([0, 2], [100, 80])
    (share,) = measure_shares(column, origin, np.ones(180), {"Eyeglasses": 0.5}, column[:100])
    assert share.before == 0.1
    assert share.after == 0.5
    assert share.among[0] == 0.1
    assert math.isnan(share.among[1])
    assert share.among[2] == 1
    assert share.origin_accuracy == share.origin_accuracy_unweighted == pytest.approx((80 / 90 + 1) / 2)
    assert share.given_away


def test_weights_count_and_faces_of_which_nothing_is_known_do_not() -> None:
    column = np.array([[1], [-1], [-1], [-1], [0], [1], [-1], [0]], np.int8)
    origin = np.array([0, 0, 0, 0, 0, 2, 2, 2])
    weights = np.array([3, 1, 1, 1, 9, 1, 1, 9])
    (share,) = measure_shares(column, origin, weights, {"Eyeglasses": 0.5}, column[:5])
    assert share.before == 0.25
    assert share.after == 0.5
    assert share.among[::2] == (0.25, 0.5)
    assert share.unknown == (1, 0, 1)
    assert share.origin_accuracy == 0.5
    assert share.origin_accuracy_unweighted == pytest.approx((0.5 + 0.75) / 2)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3).filter(
        lambda pairs: all(map(sum, zip(*pairs, strict=True)))
    )
)
def test_no_rule_guesses_better_from_origin_than_the_figure_says(counts: list[tuple[int, int]]) -> None:
    without, having = (np.array(side, float) for side in zip(*counts, strict=True))
    rules = [np.array([rule >> k & 1 for k in range(3)], bool) for rule in range(8)]
    accuracies = [(having[yes].sum() / having.sum() + without[~yes].sum() / without.sum()) / 2 for yes in rules]
    assert origin_accuracy(np.stack([without, having])) == pytest.approx(max(accuracies))


def test_the_accuracy_is_unknown_where_no_face_has_the_attribute() -> None:
    assert math.isnan(origin_accuracy(np.array([[3.0, 2.0, 0.0], [0.0, 0.0, 0.0]])))


def test_a_share_in_words_flags_what_origin_gives_away() -> None:
    assert str(EVEN) == (
        "Eyeglasses: 6.0% before, 50.0% now by weight, wanted 50.0% (real 6.0%, augmented 50.0%, synthetic 50.0%; "
        "origin alone predicts it with 50.0%, chance is 50%)"
    )
    told = str(replace(EVEN, among=(0.06, math.nan, 1.0), origin_accuracy=0.8))
    assert "augmented" not in told
    assert told.endswith("predicts it with 80.0%, MORE THAN 55%: it gives the attribute away)")


def test_the_summary_says_when_shares_hold_by_weight_alone_and_what_is_not_known() -> None:
    assert balance_lines([EVEN]) == [str(EVEN)]
    told = balance_lines([EVEN, replace(EVEN, attribute="Bald", unknown=(4, 0, 7), origin_accuracy_unweighted=0.75)])
    assert told[2] == "Bald: unknown for 7 synthetic faces"
    assert told[3] == "use the weights (in the loss or for sampling): without them origin predicts Bald with 75.0%"


def test_a_share_as_plain_values_has_none_where_there_is_none() -> None:
    document = replace(EVEN, among=(0.06, 0.5, math.nan)).to_json()
    assert document["among"] == {"real": 0.06, "augmented": 0.5, "synthetic": None}
    assert document["given_away"] is False
