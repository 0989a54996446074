from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.data.folder import FaceFolder
from faceaug.mix.balance import balancing_copies, parse_balance

GLASSES, MALE, HAT = (attribute_index(name) for name in ("Eyeglasses", "Male", "Wearing_Hat"))


def table(shares: dict[int, float], n: int = 1000) -> NDArray[np.int8]:
    """Attributes of n rows where some have given shares, independently."""
    values = np.zeros((n, len(ATTRIBUTES)), np.int8)
    for column, share in shares.items():
        values[:, column] = np.where(stream(column, slot="tests/table").random(n) < share, 1, -1)
    return values


def share(values: NDArray[np.int8], rows: NDArray[np.int64], column: int) -> float:
    known = values[rows, column][values[rows, column] != 0]
    return float((known > 0).mean())


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


def test_one_attribute_takes_exactly_the_copies_it_needs_and_takes_every_rare_row_alike() -> None:
    values = table({GLASSES: 0.1})
    rows = np.arange(1000)
    rare = np.flatnonzero(values[:, GLASSES] > 0)
    copies, shares = balancing_copies(values, rows, {"Eyeglasses": 0.5}, seed=0)
    assert len(copies) == 1000 - 2 * len(rare)
    assert set(copies) == set(rare)
    counts = np.unique(copies, return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    assert shares[0].attribute == "Eyeglasses"
    assert shares[0].before == pytest.approx(len(rare) / 1000)
    assert shares[0].after == pytest.approx(0.5, abs=0.001)


def test_a_share_below_the_present_one_copies_the_rows_without_it() -> None:
    values = table({MALE: 0.6})
    copies, shares = balancing_copies(values, np.arange(1000), {"Male": 0.4}, seed=0)
    assert (values[copies, MALE] < 0).all()
    assert shares[0].after == pytest.approx(0.4, abs=0.001)


def test_a_share_that_is_reached_already_needs_no_copies() -> None:
    values = table({MALE: 0.5})
    values[:, MALE] = np.where(np.arange(1000) % 2, 1, -1)
    assert len(balancing_copies(values, np.arange(1000), {"Male": 0.5}, seed=0)[0]) == 0


def test_rows_of_which_nothing_is_known_are_never_copied_and_do_not_count() -> None:
    values = table({GLASSES: 0.2})
    values[::3, GLASSES] = 0
    copies, shares = balancing_copies(values, np.arange(1000), {"Eyeglasses": 0.5}, seed=0)
    assert (values[copies, GLASSES] > 0).all()
    assert shares[0].after == pytest.approx(0.5, abs=0.002)


@given(
    shares=st.lists(st.floats(0.1, 0.9), min_size=3, max_size=3),
    wanted=st.lists(st.floats(0.2, 0.8), min_size=3, max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=40, deadline=None)
def test_several_attributes_are_reached_at_once(shares: list[float], wanted: list[float], seed: int) -> None:
    values = table(dict(zip((GLASSES, MALE, HAT), shares, strict=True)), n=2000)
    asked = dict(zip(("Eyeglasses", "Male", "Wearing_Hat"), wanted, strict=True))
    rows = np.arange(2000)
    copies, reached = balancing_copies(values, rows, asked, seed=seed)
    present = np.concatenate([rows, copies])
    for found, column in zip(reached, (GLASSES, MALE, HAT), strict=True):
        assert found.after == pytest.approx(found.wanted, abs=0.01)
        assert share(values, present, column) == pytest.approx(found.after)


def test_attributes_that_exclude_each_other_are_balanced_with_few_copies() -> None:
    values = table({MALE: 0.42}, n=5000)
    lipstick = attribute_index("Wearing_Lipstick")
    values[:, lipstick] = np.where(values[:, MALE] > 0, -1, np.where(stream(9).random(5000) < 0.8, 1, -1))
    copies, reached = balancing_copies(values, np.arange(5000), {"Male": 0.5, "Wearing_Lipstick": 0.4}, seed=0)
    assert [r.after for r in reached] == pytest.approx([0.5, 0.4], abs=0.005)
    assert len(copies) < 1500


def test_shares_that_contradict_each_other_are_refused() -> None:
    values = table({MALE: 0.5}, n=500)
    values[:, HAT] = -values[:, MALE]
    with pytest.raises(ArgumentError, match=r"balance Male=0.9, Wearing_Hat=0.9: that needs more than 10 times"):
        balancing_copies(values, np.arange(500), {"Male": 0.9, "Wearing_Hat": 0.9}, seed=0)


def test_a_share_that_needs_the_same_few_faces_again_and_again_is_refused() -> None:
    with pytest.raises(ArgumentError, match="more than 10 times the 1,000 faces"):
        balancing_copies(table({GLASSES: 0.1}), np.arange(1000), {"Eyeglasses": 0.999}, seed=0)


def test_an_attribute_that_nobody_has_or_no_table_knows_is_refused() -> None:
    values = table({GLASSES: 0.0})
    with pytest.raises(ArgumentError, match="there is no picture with it to copy"):
        balancing_copies(values, np.arange(1000), {"Eyeglasses": 0.5}, seed=0)
    with pytest.raises(ArgumentError, match="no picture has a value for it"):
        balancing_copies(values, np.arange(1000), {"Male": 0.5}, seed=0)


def test_too_few_faces_to_come_near_the_share_are_named() -> None:
    values = table({GLASSES: 0.5}, n=3)
    values[:, GLASSES] = [1, -1, -1]
    with pytest.warns(UserWarning, match=r"balance Eyeglasses: .* reached, 45.0% wanted"):
        balancing_copies(values, np.arange(3), {"Eyeglasses": 0.45}, seed=0)


def test_the_same_seed_gives_the_same_copies_and_another_one_others() -> None:
    values, rows = table({GLASSES: 0.3}), np.arange(1000)
    first, again, other = (balancing_copies(values, rows, {"Eyeglasses": 0.5}, seed=s)[0] for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_real_celeba_attributes_are_balanced(celeba64: Path) -> None:
    known = FaceFolder(celeba64).annotations
    rows = np.flatnonzero(known.partition == 0)
    asked = parse_balance(["Male", "Wearing_Lipstick", "Eyeglasses", "Bald", "Smiling"])
    copies, shares = balancing_copies(known.attributes, rows, asked, seed=0)
    assert [s.after for s in shares] == pytest.approx([0.5] * 5, abs=0.005)
    assert len(copies) < 4 * len(rows)
