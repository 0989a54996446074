"""AugmentedDataset: augmented copies of the pictures of any map-style dataset, at their original sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from faceaug.augment.pictures import planar
from faceaug.data.crop import in_frame
from faceaug.data.folder import Target
from faceaug.errors import ArgumentError
from faceaug.mix.copies import Recipe, as_recipe, augment
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.sampler import EpochDataset


class AugmentedDataset(EpochDataset):
    """Augmented copies of every picture of a dataset, drawn anew in each epoch and the same for any number of workers.

    Items are (uint8 (3, H, W) tensor, target dict), H and W those of the picture unless the recipe changes them;
    ``target["source"]`` is the index of the picture in ``faces``.

    Augmentations change with the epoch. ``DataLoader(dataset, sampler=dataset.sampler())`` advances it with each pass;
    with ``shuffle=True`` call ``set_epoch`` before each pass. A second pass in the same epoch warns.

    Args:
        faces: a folder, a ``FaceFolder``, or any map-style dataset of (image, label or target).
        recipe: augments a picture and its annotations: a transform, one of ``torchvision.transforms.v2``, the name of
            a preset ("light", "document", "strong") or the path of a recipe.toml. By default "light".
        copies: augmented copies of every picture, at least 1.
        originals: whether the unchanged pictures come first.
        transform: any callable, applied last to each uint8 (3, H, W) tensor. Its draws from the global generators of
            torch, NumPy and Python, and from generators it owns (as albumentations' transforms do), depend only on
            (seed, epoch, i); the state of these generators is restored afterwards.
        target_transform: applied to each target dict in the same way.
        seed: item i depends only on (seed, epoch, i).

    Raises:
        ArgumentError: fewer than one copy; at the first item, ``transform`` or ``target_transform`` gives two results
            for one item.

    Example:
        >>> import numpy as np
        >>> from faceaug import AugmentedDataset
        >>> faces = np.zeros((4, 64, 48, 3), np.uint8)  # or a folder, or a dataset
        >>> dataset = AugmentedDataset(faces, "light", copies=2, originals=True, seed=1)
        >>> len(dataset)
        12
        >>> image, target = dataset[5]  # the first copy of picture 1
        >>> image.shape, int(target["source"])
        (torch.Size([3, 64, 48]), 1)
    """

    def __init__(
        self,
        faces: Faces,
        recipe: Recipe | None = None,
        *,
        copies: int = 1,
        originals: bool = False,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Target], Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if copies < 1:
            raise ArgumentError(f"copies {copies}: expected at least 1")
        self.real = RealFaces(faces)
        self._recipe = as_recipe(recipe)
        self._copies = copies
        self._originals = originals
        self._transform = transform
        self._target_transform = target_transform

    def __len__(self) -> int:
        return len(self.real) * (self._copies + self._originals)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        i = self._position(index)
        row = i % len(self.real)
        image = self.real.read(row)
        target = self.real.target(row)
        target |= {"index": i, "source": row, "visible": in_frame(target["landmarks"], image.shape[:2])}
        if not (self._originals and i < len(self.real)):
            image, target, _ = augment(image, target, self._recipe, (self.seed, self.epoch, i))
        return self._finished(torch.from_numpy(planar(image)), target, i)
