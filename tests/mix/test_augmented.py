from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from faceaug.augment import default_recipe
from faceaug.errors import ArgumentError
from faceaug.folder import FaceFolder
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
