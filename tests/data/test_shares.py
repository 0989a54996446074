from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from faceaug.data.shares import assign_groups


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=80),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0), (0.3, 0.3, 0.4)]),
    seed=st.integers(0, 2**63 - 1),
)
def test_each_group_has_one_part_and_parts_without_a_share_stay_empty(
    sizes: list[int], shares: tuple[float, ...], seed: int
) -> None:
    group = np.repeat(np.arange(len(sizes)), sizes)
    features = (np.arange(len(group)) % 3 == 0).astype(np.int8)[:, None]
    part = assign_groups(group, features, np.array(shares), seed)
    assert part.shape == (len(sizes),)
    assert set(part.tolist()) <= {k for k, share in enumerate(shares) if share}
    assert np.array_equal(part, assign_groups(group, features, np.array(shares), seed))


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=12),
    shares=st.sampled_from(
        [(0.8, 0.1, 0.1), (0.9, 0.05, 0.05), (0.98, 0.01, 0.01), (0.7, 0.0, 0.3), (0.0, 0.01, 0.99)]
    ),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_part_with_a_share_gets_a_group_however_few_and_unequal_they_are(
    sizes: list[int], shares: tuple[float, ...], seed: int
) -> None:
    group = np.repeat(np.arange(len(sizes)), sizes)
    part = assign_groups(group, np.empty((len(group), 0), np.int8), np.array(shares), seed)
    assert set(part.tolist()) == {k for k, share in enumerate(shares) if share}


def test_small_parts_get_one_group_each_and_the_large_part_keeps_the_rest() -> None:
    for groups, shares, counts in (
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),
        (4, (0.8, 0.1, 0.1), [2, 1, 1]),
        (10, (0.9, 0.05, 0.05), [8, 1, 1]),
    ):
        group = np.repeat(np.arange(groups), 3)
        part = assign_groups(group, np.empty((len(group), 0), np.int8), np.array(shares), 0)
        assert np.bincount(part, minlength=3).tolist() == counts


def test_the_smallest_group_fills_an_empty_part() -> None:
    group = np.repeat(np.arange(3), [20, 1, 9])
    part = assign_groups(group, np.empty((30, 0), np.int8), np.array([0.98, 0.02]), 0)
    assert part.tolist() == [0, 1, 0]


def test_fewer_groups_than_parts_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 groups cannot fill 3 parts"):
        assign_groups(np.array([0, 0, 1]), np.empty((3, 0), np.int8), np.array([0.8, 0.1, 0.1]), 0)


def test_parts_have_their_share_of_pictures_groups_and_features() -> None:
    draw = np.random.default_rng(3)
    group = np.repeat(np.arange(1000), draw.integers(1, 31, 1000))
    rare = np.isin(group, draw.choice(1000, 60, replace=False))
    features = np.stack([rare, draw.random(len(group)) < 0.3], axis=1).astype(np.int8)
    part = assign_groups(group, features, np.array([0.8, 0.1, 0.1]), 0)
    of_picture = part[group]
    for number, share in enumerate((0.8, 0.1, 0.1)):
        mine = of_picture == number
        assert abs(mine.mean() - share) < 0.005
        assert abs((part == number).mean() - share) < 0.02
        assert np.abs(features[mine].mean(axis=0) - features.mean(axis=0)).max() < 0.01


def test_another_seed_gives_another_split() -> None:
    group = np.arange(60)
    features = np.empty((60, 0), np.int8)
    shares = np.array([0.5, 0.25, 0.25])
    assert not np.array_equal(assign_groups(group, features, shares, 0), assign_groups(group, features, shares, 1))
