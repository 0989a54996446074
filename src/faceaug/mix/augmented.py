"""AugmentedDataset: any map-style dataset, with augmented copies of its pictures, nothing resized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from faceaug.augment.pictures import planar
from faceaug.data.crop import in_frame
from faceaug.errors import ArgumentError
from faceaug.data.folder import Target
from faceaug.mix.copies import Recipe, as_recipe, augment
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.sampler import EpochDataset


class AugmentedDataset(EpochDataset):
    """Every picture of a dataset, augmented; fresh in each epoch, the same for any number of workers.

    Args:
        faces: a folder, a ``FaceFolder``, or any map-style dataset of (image, label or target).
        recipe: what a picture goes through with what is known of it; a transform, one of ``torchvision.transforms.v2``,
            a preset's name ("light", "document", "strong") or the path of a recipe.toml. By default "light".
        copies: augmented copies of every picture, at least 1.
        originals: also give the pictures themselves, first.
        transform: applied to each uint8 (3, H, W) tensor at the end: any callable. What it draws from torch's, NumPy's
            or Python's global generators depends on (seed, epoch, i) alone too, and theirs go on as if untouched.
        target_transform: applied to each target dict, likewise.
        seed: item i depends on (seed, epoch, i) alone.

    Items are (uint8 (3, H, W) tensor, target dict), H and W those of the picture unless the recipe changes them;
    ``target["source"]`` is the number of the picture in ``faces``.
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
        self._recipe, self._copies, self._originals = as_recipe(recipe), copies, originals
        self._transform, self._target_transform = transform, target_transform

    def __len__(self) -> int:
        return len(self.real) * (self._copies + self._originals)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        i = self._position(index)
        row = i % len(self.real)
        image, target = self.real.read(row), self.real.target(row)
        target |= {"index": i, "source": row, "visible": in_frame(target["landmarks"], image.shape[:2])}
        if not (self._originals and i < len(self.real)):
            image, target, _ = augment(image, target, self._recipe, (self.seed, self.epoch, i))
        return self._finished(torch.from_numpy(planar(image)), target, i)
