from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, event, given, settings, strategies as st
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, Annotations, attribute_index, unknown
from faceaug.data.folder import FaceFolder
from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.mix.balance import BalancedRows, balanced_columns, parse_balance
from faceaug.mix.plan import Plan, make_plan

GLASSES, MALE, HAT = (attribute_index(name) for name in ("Eyeglasses", "Male", "Wearing_Hat"))
NAMES = ("Eyeglasses", "Male", "Wearing_Hat")


def table(shares: dict[int, float], n: int = 1000, *, known: float = 1.0) -> NDArray[np.int8]:
    """Attributes of n rows where some have given shares, independently, and are known of a part of the rows."""
    values = np.zeros((n, len(ATTRIBUTES)), np.int8)
    for column, share in shares.items():
        draws = stream(column, slot="tests/table").random((2, n))
        values[:, column] = np.where(draws[0] < share, 1, -1) * (draws[1] < known)
    return values


def of_faces(values: NDArray[np.int8]) -> Annotations:
    """Real training faces with these attributes."""
    known = unknown(len(values))
    known.partition[:] = 0
    return replace(known, attributes=values)


def planned(
    values: NDArray[np.int8], wanted: Mapping[str, float], *, copies: int = 1, synthetic: int = 0, seed: int = 0,
    asked: bool = True, synthetic_weight: float = 1.0,
) -> Plan:  # fmt: skip
    return make_plan(
        of_faces(values), partition=None, copies=copies, synthetic=synthetic, wanted=dict(wanted), seed=seed,
        asked=asked, synthetic_weight=synthetic_weight,
    )  # fmt: skip


def share(values: NDArray[np.int8], rows: NDArray[np.int64], column: int) -> float:
    known = values[rows, column][values[rows, column] != 0]
    return float((known > 0).mean())


def weighted_share(plan: Plan, values: NDArray[np.int8], column: int) -> float:
    """Of all items, synthetic ones as they are asked to be."""
    labels = values[np.concatenate([plan.rows, plan.patterns]), column]
    weights = plan.weights.astype(np.float64)
    return float(weights[labels > 0].sum() / weights[labels != 0].sum())


def drawn(values: NDArray[np.int8], wanted: Mapping[str, float], count: int, seed: int = 0) -> NDArray[np.int64]:
    return BalancedRows(values, np.arange(len(values)), wanted).draw(count, seed=seed, slot="tests")


def test_a_bare_name_means_a_half() -> None:
    assert parse_balance("Male") == {"Male": 0.5}
    assert parse_balance(["Male", "Young"]) == {"Male": 0.5, "Young": 0.5}
    assert parse_balance({"Male": 0.3}) == {"Male": 0.3}
    assert parse_balance(None) == {}


def test_an_unknown_attribute_lists_the_forty() -> None:
    with pytest.raises(ArgumentError, match=r"unknown attribute 'Glasses'.*5_o_Clock_Shadow.*Young"):
        parse_balance("Glasses")


@pytest.mark.parametrize("wanted", [0, 1, -0.1, 1.5, float("nan"), True, "0.5"])
def test_a_share_outside_0_to_1_is_refused(wanted: float) -> None:
    with pytest.raises(ArgumentError, match="expected a share between 0 and 1"):
        parse_balance({"Male": wanted})


class TestDraws:
    """Which rows are copied, and which ones synthetic faces are asked to resemble."""

    def test_both_sides_are_drawn_and_every_row_of_a_side_alike(self) -> None:
        values = table({GLASSES: 0.1})
        rows = drawn(values, {"Eyeglasses": 0.5}, 1000)
        assert share(values, rows, GLASSES) == 0.5
        for sign in (-1, 1):
            side = np.flatnonzero(values[:, GLASSES] == sign)
            times = np.bincount(rows, minlength=1000)[side]
            assert times.max() - times.min() <= 1

    def test_a_share_below_the_present_one_draws_rows_with_it_less_often(self) -> None:
        values = table({MALE: 0.6})
        assert share(values, drawn(values, {"Male": 0.4}, 1000), MALE) == pytest.approx(0.4, abs=0.001)

    def test_what_is_not_balanced_stays_as_it_is_within_each_side(self) -> None:
        values = table({GLASSES: 0.2}, 20_000)
        values[:, MALE] = np.where(stream(5).random(20_000) < np.where(values[:, GLASSES] > 0, 0.8, 0.3), 1, -1)
        rows = drawn(values, {"Eyeglasses": 0.5}, 20_000)
        for sign, expected in ((1, 0.8), (-1, 0.3)):
            assert share(values, rows[values[rows, GLASSES] == sign], MALE) == pytest.approx(expected, abs=0.015)

    def test_rows_of_which_nothing_is_known_are_drawn_and_do_not_count(self) -> None:
        values = table({GLASSES: 0.2})
        values[::3, GLASSES] = 0
        rows = drawn(values, {"Eyeglasses": 0.5}, 1000)
        assert share(values, rows, GLASSES) == pytest.approx(0.5, abs=0.002)
        assert (values[rows, GLASSES] == 0).any()

    def test_few_draws_of_many_combinations_still_have_every_share(self) -> None:
        values = table({column: 0.2 + 0.1 * k for k, column in enumerate(range(6))}, 4000)
        wanted = dict.fromkeys(ATTRIBUTES[:6], 0.5)
        rows = drawn(values, wanted, 60)
        assert [share(values, rows, column) for column in range(6)] == pytest.approx([0.5] * 6, abs=0.02)

    def test_the_same_seed_gives_the_same_rows_and_another_one_others(self) -> None:
        values = table({GLASSES: 0.3})
        first, again, other = (drawn(values, {"Eyeglasses": 0.5}, 1000, seed) for seed in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_attributes_that_exclude_each_other_are_balanced(self) -> None:
        values = table({MALE: 0.42}, n=5000)
        lipstick = attribute_index("Wearing_Lipstick")
        values[:, lipstick] = np.where(values[:, MALE] > 0, -1, np.where(stream(9).random(5000) < 0.8, 1, -1))
        rows = drawn(values, {"Male": 0.5, "Wearing_Lipstick": 0.4}, 5000)
        assert share(values, rows, MALE) == pytest.approx(0.5, abs=0.001)
        assert share(values, rows, lipstick) == pytest.approx(0.4, abs=0.001)
        assert not ((values[rows, MALE] > 0) & (values[rows, lipstick] > 0)).any()

    def test_shares_that_contradict_each_other_are_refused(self) -> None:
        values = table({MALE: 0.5}, n=500)
        values[:, HAT] = -values[:, MALE]
        with pytest.raises(ArgumentError, match=r"Male=0.9, Wearing_Hat=0.9: these shares contradict.*\(Male 4[0-9]"):
            drawn(values, {"Male": 0.9, "Wearing_Hat": 0.9}, 500)

    def test_shares_that_leave_no_room_for_other_faces_are_refused(self) -> None:
        values = table({MALE: 0.3}, n=500)
        values[:, HAT] = np.where(values[:, MALE] > 0, -1, np.where(stream(3).random(500) < 0.3, 1, -1))
        with pytest.raises(ArgumentError, match="these shares contradict each other"):
            drawn(values, {"Male": 0.5, "Wearing_Hat": 0.5}, 500)  # women without a hat would be dropped
        assert len(drawn(values, {"Male": 0.5, "Wearing_Hat": 0.45}, 500)) == 500

    def test_the_same_few_faces_again_and_again_are_a_warning(self) -> None:
        values = table({GLASSES: 0.0})
        values[:3, GLASSES] = 1
        with pytest.warns(UserWarning, match=r"balance Eyeglasses=0.5: 3 of the 1,000 faces count .* up to 167 times"):
            drawn(values, {"Eyeglasses": 0.5}, 1000)

    def test_an_attribute_that_nobody_has_or_no_table_knows_is_refused(self) -> None:
        values = table({GLASSES: 0.0})
        with pytest.raises(ArgumentError, match="there is no picture with it to copy"):
            drawn(values, {"Eyeglasses": 0.5}, 10)
        with pytest.raises(ArgumentError, match="no picture has a value for it"):
            drawn(values, {"Male": 0.5}, 10)


class TestPlan:
    """Shares, weights and what origin tells."""

    def test_as_many_copies_as_were_asked_for_and_no_real_row_is_dropped(self) -> None:
        values = table({GLASSES: 0.1})
        plan = planned(values, {"Eyeglasses": 0.5}, copies=2, synthetic=200)
        assert plan.kinds == (1000, 2000, 200)
        assert np.array_equal(plan.rows[:1000], np.arange(1000))

    def test_synthetic_faces_are_asked_for_both_sides(self) -> None:
        values = table({GLASSES: 0.06}, 10_000)
        plan = planned(values, {"Eyeglasses": 0.3}, synthetic=650)
        assert share(values, plan.patterns, GLASSES) == 0.3
        assert len(set(plan.patterns.tolist())) > 600
        assert plan.shares[0].among == pytest.approx((0.06, 0.3, 0.3), abs=0.005)

    def test_weights_make_the_share_over_all_faces_and_origin_says_nothing(self) -> None:
        values = table({GLASSES: 0.06}, 10_000)
        plan = planned(values, {"Eyeglasses": 0.5}, synthetic=2500)
        assert weighted_share(plan, values, GLASSES) == pytest.approx(0.5, abs=1e-6)
        found = plan.shares[0]
        assert found.origin_accuracy == pytest.approx(0.5, abs=1e-5)
        assert found.origin_accuracy_unweighted == pytest.approx(0.755, abs=0.01)
        assert not found.given_away
        real = plan.weights[: plan.real]
        assert len(np.unique(real)) == 2
        assert real.mean() == pytest.approx(1, abs=1e-5)

    def test_the_weight_of_synthetic_faces_leaves_shares_alone(self) -> None:
        values = table({GLASSES: 0.06})
        for weight in (0.0, 0.25, 3.0):
            plan = planned(values, {"Eyeglasses": 0.5}, synthetic=101, synthetic_weight=weight)
            assert plan.weights[-101:].mean() == pytest.approx(weight)
            assert weighted_share(plan, values, GLASSES) == pytest.approx(0.5, abs=1e-6)
            assert plan.shares[0].origin_accuracy == pytest.approx(0.5, abs=1e-5)

    def test_weights_of_a_table_are_what_they_start_from(self) -> None:
        values = table({GLASSES: 0.2})
        known = of_faces(values)
        known.weight[::2] = 3
        plan = make_plan(known, partition=None, copies=0, synthetic=0, wanted={"Eyeglasses": 0.5}, seed=0)
        assert plan.weights.mean() == pytest.approx(2, abs=1e-5)
        for sign in (-1, 1):
            light, heavy = (plan.weights[k::2][values[k::2, GLASSES] == sign] for k in (1, 0))
            assert heavy == pytest.approx(3 * light[0], rel=1e-5)
        assert weighted_share(plan, values, GLASSES) == pytest.approx(0.5, abs=1e-6)

    def test_without_balance_weights_are_those_of_the_table(self) -> None:
        known = of_faces(table({GLASSES: 0.2}, 10))
        known.weight[3] = 5
        plan = make_plan(
            known, partition=None, copies=1, synthetic=4, wanted={}, seed=0, asked=True, synthetic_weight=0.5
        )
        assert plan.weights.tolist() == [1, 1, 1, 5, 1, 1, 1, 1, 1, 1] * 2 + [0.5] * 4
        assert plan.shares == ()

    def test_real_faces_make_up_for_one_synthetic_face_which_cannot_have_a_share(self) -> None:
        values = table({GLASSES: 0.1})
        plan = planned(values, {"Eyeglasses": 0.3}, copies=0, synthetic=1)
        assert plan.weights[-1] == 1
        assert weighted_share(plan, values, GLASSES) == pytest.approx(0.3, abs=1e-6)
        assert 0.5 < plan.shares[0].origin_accuracy < 0.505

    def test_synthetic_faces_of_which_nothing_is_known_are_counted_and_change_no_share(self) -> None:
        values = table({GLASSES: 0.1})
        plan = planned(values, {"Eyeglasses": 0.3}, synthetic=50, asked=False)
        assert plan.shares[0].unknown == (0, 0, 50)
        assert np.isnan(plan.shares[0].among[2])
        assert plan.shares[0].after == pytest.approx(0.3, abs=1e-6)
        assert (plan.weights[-50:] == 1).all()

    @pytest.mark.filterwarnings("ignore:balance Eyeglasses. 13.0% reached")
    def test_an_origin_that_gives_the_attribute_away_is_a_warning(self) -> None:
        known = of_faces(table({GLASSES: 0.5}, 40))
        known.weight[known.attributes[:, GLASSES] > 0] = 0  # real faces with glasses count nothing
        with pytest.warns(UserWarning, match=r"balance Eyeglasses: origin .* alone predicts it with .* 100.0%"):
            plan = make_plan(
                known, partition=None, copies=0, synthetic=3, wanted={"Eyeglasses": 0.999}, seed=0, asked=True
            )
        assert plan.shares[0].given_away
        assert "MORE THAN 55%" in str(plan.shares[0])

    def test_a_share_that_weights_cannot_reach_is_named(self) -> None:
        known = of_faces(table({GLASSES: 0.5}, 40))
        known.weight[known.attributes[:, GLASSES] > 0] = 0
        with pytest.warns(UserWarning, match=r"balance Eyeglasses: 0.0% reached, 45.0% wanted"):
            make_plan(known, partition=None, copies=1, synthetic=0, wanted={"Eyeglasses": 0.45}, seed=0)


@given(
    shares=st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3),
    wanted=st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3),
    known=st.sampled_from([1.0, 0.8]),
    copies=st.integers(0, 2),
    synthetic=st.integers(100, 800),
    weight=st.sampled_from([0.3, 1.0, 2.0]),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore:balance .* so the same few faces repeat")
def test_whatever_is_asked_both_kinds_have_it_weights_reach_it_and_origin_tells_nothing(
    shares: list[float], wanted: list[float], known: float, copies: int, synthetic: int, weight: float, seed: int
) -> None:
    values = table(dict(zip((GLASSES, MALE, HAT), shares, strict=True)), n=800, known=known)
    asked = dict(zip(NAMES, wanted, strict=False))
    complete = balanced_columns(values, asked)
    complete = np.unique(complete[(complete != 0).all(axis=1)], axis=0)
    assume(len(complete) == 2 ** len(asked))  # else shares may contradict each other
    plan = planned(values, asked, copies=copies, synthetic=synthetic, seed=seed, synthetic_weight=weight)
    assert np.array_equal(plan.rows[:800], np.arange(800))
    assert plan.kinds == (800, 800 * copies, synthetic)
    assert (plan.weights > 0).all()
    assert plan.weights[:800].mean() == pytest.approx(1, abs=1e-5)
    assert plan.weights[-synthetic:].mean() == pytest.approx(weight, rel=1e-5)
    for found in plan.shares:
        column = attribute_index(found.attribute)
        for part in (plan.rows[800:], plan.patterns):
            assert not len(part) or share(values, part, column) == pytest.approx(found.wanted, abs=0.02)
        assert weighted_share(plan, values, column) == pytest.approx(found.wanted, abs=1e-6)
        assert found.after == pytest.approx(weighted_share(plan, values, column), abs=1e-12)
        assert found.origin_accuracy <= 0.55
    again = planned(values, asked, copies=copies, synthetic=synthetic, seed=seed, synthetic_weight=weight)
    assert np.array_equal(plan.rows, again.rows)
    assert np.array_equal(plan.patterns, again.patterns)
    assert np.array_equal(plan.weights, again.weights)


@given(
    seed=st.integers(0, 1000),
    wanted=st.lists(st.floats(0.1, 0.9), min_size=4, max_size=4),
    together=st.floats(0, 1),
    synthetic=st.integers(1, 40),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore:balance .* so the same few faces repeat")
def test_attributes_that_go_together_and_few_faces_are_balanced_or_refused(
    seed: int, wanted: list[float], together: float, synthetic: int
) -> None:
    draws = stream(seed, slot="tests/together")
    first = draws.random(300) < 0.3
    values = np.zeros((300, 40), np.int8)
    for column in range(4):
        values[:, column] = np.where(np.where(draws.random(300) < together, first, draws.random(300) < 0.2), 1, -1)
    assume(all(0 < (values[:, column] > 0).sum() < 300 for column in range(4)))
    asked = dict(zip(ATTRIBUTES[:4], wanted, strict=True))
    try:
        plan = planned(values, asked, synthetic=synthetic, seed=seed)
    except ArgumentError:
        event("refused")
        with pytest.raises(ArgumentError, match="contradict each other"):
            planned(values, asked, synthetic=synthetic, seed=seed)
        return
    assert (plan.weights > 0).all()
    for found in plan.shares:
        assert found.after == pytest.approx(found.wanted, abs=1e-6)
        assert found.among[1] == pytest.approx(found.wanted, abs=0.02)
        assert found.origin_accuracy <= 0.55


def test_real_celeba_attributes_are_balanced(celeba64: Path) -> None:
    known = FaceFolder(celeba64).annotations
    asked = parse_balance(["Male", "Wearing_Lipstick", "Eyeglasses", "Bald", "Smiling"])
    with pytest.warns(UserWarning, match="so the same few faces repeat"):
        plan = make_plan(known, partition=None, copies=1, synthetic=650, wanted=asked, seed=0, asked=True)
    rows = np.flatnonzero(known.partition == 0)
    assert np.array_equal(plan.rows[: plan.real], rows)
    for part in (plan.rows[plan.real :], plan.patterns):
        values = balanced_columns(known.attributes[part], asked)
        assert (values > 0).mean(axis=0) == pytest.approx([0.5] * 5, abs=0.005)
    assert [found.after for found in plan.shares] == pytest.approx([0.5] * 5, abs=1e-6)
    assert max(found.origin_accuracy for found in plan.shares) < 0.501
