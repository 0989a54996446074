"""Keys: the same key gives the same result everywhere; a call without a key draws from torch once."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from faceaug import ArgumentError
from faceaug.augment import (
    Elastic,
    GaussianBlur,
    HorizontalFlip,
    MotionBlur,
    OneOf,
    Perspective,
    Rotate,
    Stretch,
    Twist,
    VerticalFlip,
    default_recipe,
)
from tests.conftest import picture

ALL = [
    Rotate(), HorizontalFlip(), VerticalFlip(), Stretch(), Twist(), Elastic(), Perspective(),
    GaussianBlur(), MotionBlur(),
    OneOf([Rotate(), GaussianBlur()], p=0.7, weights=[1, 3]), default_recipe(64),
]  # fmt: skip


class Augmented(Dataset):
    """Sixteen pictures, augmented by key or by torch's generator."""

    def __init__(self, *, keyed: bool) -> None:
        self.keyed = keyed

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> np.ndarray:
        transform = default_recipe(48)
        image = picture(index, height=48, width=48)
        return transform(image, key=(3, 1, index)) if self.keyed else transform(image)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.name)
def test_the_same_key_gives_the_same_result_and_another_key_another(transform: object) -> None:
    image = picture(1, height=64, width=64)
    assert (transform(image, key=(5, 2, 9)) == transform(image, key=(5, 2, 9))).all()
    assert len({transform(image, key=(5, 2, k)).tobytes() for k in range(12)}) > 1


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.name)
def test_transforms_survive_pickling(transform: object) -> None:
    copy = pickle.loads(pickle.dumps(transform))
    assert copy == transform
    image = picture(1, height=64, width=64)
    assert (copy(image, key=4) == transform(image, key=4)).all()


def test_draws_are_the_same_in_every_release() -> None:
    assert Rotate(20).params((1, 2, 3), (218, 178))[0]["degrees"] == pytest.approx(1.8707537389516844, abs=1e-12)


def test_without_a_key_torch_s_generator_decides() -> None:
    image = picture(1)
    torch.manual_seed(5)
    first, second = Rotate()(image), Rotate()(image)
    torch.manual_seed(5)
    assert (Rotate()(image) == first).all()
    assert (first != second).any()


def test_without_a_key_one_number_is_taken_whatever_the_transform() -> None:
    states = []
    for transform in ALL:
        torch.manual_seed(5)
        transform(picture(1, height=32, width=32))
        states.append(torch.get_rng_state())
    assert all(torch.equal(states[0], state) for state in states)


@pytest.mark.parametrize("key", [-1, "a", 1.5, (1, 2), (1, 2, -3), (1, 2, 2**63), True])
def test_a_wrong_key_is_refused(key: object) -> None:
    with pytest.raises(ArgumentError, match=r"expected an index, \(seed, epoch, index\) or"):
        Rotate()(picture(1), key=key)


def test_params_needs_a_valid_size() -> None:
    with pytest.raises(ArgumentError, match="expected \\(height, width\\)"):
        Rotate().params(1, (0, 4))


def test_parameters_of_another_transform_are_refused() -> None:
    with pytest.raises(ArgumentError, match="belong to 'Rotate', not to Twist"):
        Twist().render(picture(1), Rotate().params(1, (218, 178)))


def batches(loader: DataLoader) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in loader])


def test_keyed_results_do_not_depend_on_the_workers() -> None:
    alone = batches(DataLoader(Augmented(keyed=True), batch_size=4))
    together = batches(DataLoader(Augmented(keyed=True), batch_size=3, num_workers=2))
    assert (alone == together).all()


def test_keyed_results_are_the_same_in_spawned_workers() -> None:
    alone = batches(DataLoader(Augmented(keyed=True), batch_size=8))
    context = multiprocessing.get_context("spawn")
    spawned = batches(DataLoader(Augmented(keyed=True), batch_size=8, num_workers=1, multiprocessing_context=context))
    assert (alone == spawned).all()


def test_without_keys_worker_seeding_acts_and_epochs_differ() -> None:
    loader = DataLoader(Augmented(keyed=False), batch_size=4, num_workers=2)
    torch.manual_seed(1)
    first, second = batches(loader), batches(loader)
    torch.manual_seed(1)
    assert (batches(loader) == first).all()
    assert (first != second).any()
