"""Functions of other people, with generators of their own."""

from __future__ import annotations

import functools
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from faceaug.augment import HorizontalFlip
from faceaug.augment.own_draws import own_generators, tied
from faceaug.draws import Words
from faceaug.errors import ArgumentError
from faceaug.mix import AugmentedDataset
from tests.mix.sources import labelled_pil


class Keeper:
    """As albumentations does it: generators as attributes, of parts too."""

    def __init__(self, *parts: Any) -> None:
        self.random_generator = np.random.default_rng(137)
        self.py_random = random.Random(137)
        self.transforms = list(parts)

    def __call__(self, image: Any) -> float:
        own = float(self.random_generator.random()) + self.py_random.random()
        return own + sum(part(image) for part in self.transforms)


class Slotted:
    """Somebody's own with slots, and the generators that NumPy and torch had before and beside."""

    __slots__ = ("legacy", "torch")

    def __init__(self) -> None:
        self.legacy, self.torch = np.random.RandomState(3), torch.Generator().manual_seed(3)

    def __call__(self, image: Any) -> float:
        return float(self.legacy.rand()) + float(torch.rand((), generator=self.torch))


MODULE = Keeper()


def by_closure() -> Any:
    inner = Keeper(Slotted())
    return lambda image: inner(image) + 1


FUNCTIONS: dict[str, Any] = {
    "attribute": Keeper(),
    "parts": Keeper(Keeper(), Slotted()),
    "slots": Slotted(),
    "closure": by_closure(),
    "global": lambda image: MODULE(image) + 1,
    "partial": functools.partial(lambda keeper, image: keeper(image), Keeper()),
    "method": Keeper().__call__,
    "default": lambda image, keeper=Keeper(): keeper(image),  # noqa: B008
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_items_depend_on_nothing_but_themselves(name: str) -> None:
    dataset = AugmentedDataset(labelled_pil(), HorizontalFlip(), transform=FUNCTIONS[name], seed=0)
    alone = [dataset[i][0] for i in range(6)]
    assert len(set(alone)) == 6
    assert [dataset[i][0] for i in (5, 0, 3)] == [alone[5], alone[0], alone[3]]
    for workers in (1, 2):
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        assert [float(value) for value, _ in loader] == alone
    dataset.set_epoch(1)
    assert not set(alone) & {dataset[i][0] for i in range(6)}


def test_a_target_function_is_tied_too() -> None:
    keeper = Keeper()
    dataset = AugmentedDataset(labelled_pil(), target_transform=keeper)
    assert [dataset[i][1] for i in (1, 2, 1)] == [dataset[i][1] for i in (1, 2, 1)]
    assert dataset[1][1] != dataset[2][1]


def test_generators_go_on_as_if_untouched() -> None:
    keeper = Keeper(Slotted())
    expected = [Keeper(Slotted())(None)]
    AugmentedDataset(labelled_pil(), transform=keeper)[0]
    assert [keeper(None)] == expected


def test_generators_in_parts_draw_differently_from_one_another() -> None:
    parts = [Keeper(), Keeper(), Slotted()]
    found = own_generators(parts)
    assert len(found) == 6
    with tied(found, Words(1, 2, 3)):
        first = [part(None) for part in parts]
    with tied(found, Words(1, 2, 3)):
        assert [part(None) for part in parts] == first
    assert len(set(first)) == 3


def test_the_global_generators_are_nobody_s_own() -> None:
    assert own_generators([random._inst, torch.default_generator, lambda: random.random() + 1]) == []


def test_a_function_that_cannot_be_tied_is_refused_at_the_first_item() -> None:
    def fresh(image: torch.Tensor) -> float:
        return float(np.random.default_rng().random())

    with pytest.raises(
        ArgumentError, match=r"transform= \(fresh\) gives two results for item 2: it draws from a random"
    ):
        AugmentedDataset(labelled_pil(), transform=fresh)[2]
    dataset = AugmentedDataset(labelled_pil(), target_transform=lambda target: object())
    dataset[0]  # what cannot be compared is believed


def test_functions_that_change_their_argument_see_it_fresh_each_time() -> None:
    def darker(image: torch.Tensor) -> torch.Tensor:
        return image.sub_(image // 2)

    plain = AugmentedDataset(labelled_pil(), HorizontalFlip(p=0))
    changed = AugmentedDataset(labelled_pil(), HorizontalFlip(p=0), transform=darker)
    assert torch.equal(changed[0][0], plain[0][0] - plain[0][0] // 2)
