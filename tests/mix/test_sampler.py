from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from faceaug.data.annotations import attribute_index
from faceaug.errors import ArgumentError
from faceaug.mix import ExpandedDataset, expand_dataset
from faceaug.synthesize import SyntheticFaceSource


@pytest.fixture
def dataset(celeba_folder: Path) -> ExpandedDataset:
    return expand_dataset(celeba_folder, synthetic=5, balance={"Eyeglasses": 0.3}, seed=3)


def test_a_pass_yields_every_index_once_and_the_next_pass_another_order(dataset: ExpandedDataset) -> None:
    sampler = dataset.sampler()
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(len(dataset)))
    assert first != second
    assert len(sampler) == len(dataset)  # type: ignore[arg-type]


def test_without_shuffle_the_order_is_ascending(dataset: ExpandedDataset) -> None:
    assert list(dataset.sampler(shuffle=False)) == list(range(len(dataset)))


def test_each_pass_after_the_first_moves_to_the_next_epoch_and_nothing_else_does(dataset: ExpandedDataset) -> None:
    sampler = dataset.sampler()
    epochs = []
    for _ in range(3):
        list(sampler)
        epochs.append(dataset.epoch)
    assert epochs == [0, 1, 2]
    for _ in DataLoader(dataset, batch_size=16, shuffle=True):
        pass
    assert dataset[0] is not None
    assert dataset.epoch == 2


def test_an_epoch_set_by_hand_is_the_one_the_next_pass_uses(dataset: ExpandedDataset) -> None:
    sampler = dataset.sampler()
    passes = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        passes.append(list(sampler))
        assert dataset.epoch == epoch
    resumed = dataset.sampler()
    dataset.set_epoch(2)
    assert list(resumed) == passes[2]


def test_two_samplers_of_one_dataset_do_not_race(dataset: ExpandedDataset) -> None:
    training, looking = dataset.sampler(), dataset.sampler(shuffle=False)
    epochs = []
    for _ in range(3):
        list(training)
        list(looking)
        epochs.append(dataset.epoch)
    assert epochs == [0, 1, 2]


def test_the_epoch_is_never_negative(dataset: ExpandedDataset) -> None:
    with pytest.raises(ArgumentError, match="epoch -1: expected 0 or more"):
        dataset.set_epoch(-1)


def test_a_balanced_pass_shows_every_combination_equally_often(celeba_folder: Path) -> None:
    dataset = expand_dataset(celeba_folder, synthetic=0, partition="all", balance={"Eyeglasses": 0.2, "Male": 0.4})
    sampler = dataset.sampler(balanced=True)
    drawn = np.concatenate([list(sampler) for _ in range(40)])
    assert len(drawn) == 40 * len(dataset)
    columns = [attribute_index("Eyeglasses"), attribute_index("Male")]
    values = dataset.real.annotations.attributes[dataset.plan.rows[drawn]][:, columns]
    _, counts = np.unique(values, axis=0, return_counts=True)
    assert counts / len(drawn) == pytest.approx([1 / len(counts)] * len(counts), abs=0.025)
    assert list(sampler) != list(sampler)


def test_faces_of_which_nothing_is_known_are_a_group_of_their_own_in_a_balanced_pass(celeba_folder: Path) -> None:
    source = SyntheticFaceSource(choose=False)
    dataset = expand_dataset(celeba_folder, synthetic=5, balance={"Eyeglasses": 0.3}, source=source, seed=3)
    drawn = np.concatenate([list(s) for s in [dataset.sampler(balanced=True)] for _ in range(40)])
    assert (drawn >= len(dataset.plan.rows)).mean() == pytest.approx(1 / 3, abs=0.04)


def test_a_balanced_pass_needs_to_know_what_to_balance(celeba_folder: Path) -> None:
    with pytest.raises(ArgumentError, match="without balance="):
        expand_dataset(celeba_folder, synthetic=0).sampler(balanced=True)
