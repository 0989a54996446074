"""Datasets of every kind a user may bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from faceaug.mix import ExpandedDataset
from tests.conftest import picture


class Listed:
    """A map-style dataset of items that are there already."""

    def __init__(self, items: list[tuple[Any, Any]]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.items[index]


def pictures(n: int, *, side: int = 40) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return [picture(k, height=side, width=side) for k in range(n)]


def labelled_pil(n: int = 6) -> Listed:
    return Listed([(Image.fromarray(image), k % 3) for k, image in enumerate(pictures(n))])


def celeba_like(n: int = 6) -> Listed:
    """As torchvision's CelebA gives them: PIL and 40 numbers of 0 or 1."""
    attributes = [torch.tensor([(k + a) % 2 for a in range(40)]) for k in range(n)]
    return Listed([(Image.fromarray(image), attributes[k]) for k, image in enumerate(pictures(n))])


def as_float_tensor(image: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy()).float() / 255


def digest(dataset: ExpandedDataset, index: int) -> tuple[bytes, str]:
    """An item as something that can be compared."""
    image, target = dataset[index]
    return image.numpy().tobytes(), repr({k: np.asarray(v).tolist() for k, v in target.items()})
