from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from faceaug.augment import Compose, Elastic, GaussianBlur, Rotate, default_recipe
from faceaug.errors import ArgumentError
from faceaug.data.folder import FaceFolder
from faceaug.mix import AugmentedDataset
from tests.mix.sources import labelled_pil, pictures


def test_every_picture_is_augmented_at_its_own_size(celeba_folder: Path) -> None:
    dataset, folder = AugmentedDataset(celeba_folder, seed=3), FaceFolder(celeba_folder)
    assert len(dataset) == 60
    image, target = dataset[7]
    made = default_recipe((48, 40))(folder.read(7), key=(3, 0, 7), landmarks=folder.target(7)["landmarks"])
    assert np.array_equal(image.permute(1, 2, 0), made["image"])
    assert np.array_equal(target["landmarks"], made["landmarks"])
    assert (target["origin"], target["source"], target["index"]) == (1, 7, 7)
    assert target["identity"] == folder.target(7)["identity"]


def test_originals_come_first_and_copies_after_them() -> None:
    dataset = AugmentedDataset(labelled_pil(), copies=2, originals=True)
    assert len(dataset) == 18
    assert [dataset[i][1]["origin"] for i in range(18)] == [0] * 6 + [1] * 12
    assert [dataset[i][1]["source"] for i in range(18)] == list(range(6)) * 3
    assert np.array_equal(dataset[4][0].permute(1, 2, 0), pictures(6)[4])
    assert not torch.equal(dataset[10][0], dataset[16][0])


def test_items_depend_on_seed_epoch_and_index_alone() -> None:
    dataset = AugmentedDataset(labelled_pil(), seed=1)
    first = [image for image, _ in (dataset[i] for i in range(6))]
    batches = [images for images, _ in DataLoader(dataset, batch_size=2, num_workers=2)]
    assert torch.equal(torch.cat(batches), torch.stack(first))
    dataset.set_epoch(1)
    assert not torch.equal(dataset[3][0], first[3])
    copy = pickle.loads(pickle.dumps(AugmentedDataset(labelled_pil(), seed=1)))
    assert torch.equal(copy[3][0], first[3])


class Jitter:
    """Somebody's transform that draws from every global generator there is."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        drawn = torch.rand(()).item(), np.random.rand(), random.random()
        return v2.functional.adjust_brightness(image, 0.5 + sum(drawn) / 3)


def foreign(**options: Any) -> AugmentedDataset:
    recipe = Compose([Rotate(), v2.RandomPerspective(p=0.8), v2.ColorJitter(0.4), Elastic(3), GaussianBlur(p=0.5)])
    steps = [torchvision.transforms.RandomRotation(15), v2.RandomHorizontalFlip(), Jitter()]
    return AugmentedDataset(labelled_pil(), recipe, transform=v2.Compose(steps), seed=4, **options)


def passes(dataset: AugmentedDataset, **options: Any) -> list[torch.Tensor]:
    loader = DataLoader(dataset, batch_size=4, sampler=dataset.sampler(), **options)
    return [torch.cat([images for images, _ in loader]) for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 1},
        {"num_workers": 2, "persistent_workers": True},
        {"num_workers": 4},
        {"num_workers": 2, "multiprocessing_context": "spawn", "persistent_workers": True},
    ],
    ids=["1", "2 persistent", "4", "2 spawned"],
)
def test_even_foreign_transforms_give_the_same_epochs_for_any_workers(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    alone = passes(foreign())
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(alone, passes(foreign(), **options), strict=True))
    assert not torch.equal(alone[0], alone[1])


def test_a_resumed_epoch_goes_on_with_the_same_items() -> None:
    whole, resumed = foreign(), foreign()
    items = [whole[i][0] for i in range(6)]
    assert all(torch.equal(resumed[i][0], items[i]) for i in (5, 3, 4))


def test_the_global_generators_go_on_as_if_untouched() -> None:
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    foreign()[0]
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_a_preset_is_a_recipe_by_name() -> None:
    assert AugmentedDataset(labelled_pil(), "strong")[0][0].shape == AugmentedDataset(labelled_pil())[0][0].shape
    assert not torch.equal(AugmentedDataset(labelled_pil(), "strong")[0][0], AugmentedDataset(labelled_pil())[0][0])
    assert torch.equal(AugmentedDataset(labelled_pil())[0][0], AugmentedDataset(labelled_pil(), seed=0)[0][0])


def test_its_sampler_moves_the_epoch() -> None:
    dataset = AugmentedDataset(labelled_pil())
    loader = DataLoader(
        dataset, batch_size=6, sampler=dataset.sampler(shuffle=False), num_workers=1, persistent_workers=True
    )
    first, second = (next(iter([images for images, _ in loader])) for _ in range(2))
    assert dataset.epoch == 1
    assert not torch.equal(first, second)


def test_torchvisions_transforms_are_recipes() -> None:
    dataset = AugmentedDataset(labelled_pil(), v2.RandomHorizontalFlip(1.0))
    assert np.array_equal(dataset[2][0].permute(1, 2, 0), pictures(3)[2][:, ::-1])


def test_no_copies_are_refused() -> None:
    with pytest.raises(ArgumentError, match="copies 0: expected at least 1"):
        AugmentedDataset(labelled_pil(), copies=0)
