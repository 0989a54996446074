"""AugmentedDataset: any map-style dataset, with augmented copies of its pictures, nothing resized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from faceaug.augment import Transform, default_recipe
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.folder import Target
from faceaug.image import load_cv2
from faceaug.mix.expand import as_recipe
from faceaug.mix.plan import AUGMENTED
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.sampler import Epoch, EpochSampler


class AugmentedDataset(Dataset[tuple[Tensor, Target]]):
    """Every picture of a dataset, augmented; fresh in each epoch, the same for any number of workers.

    Args:
        faces: a folder, a ``FaceFolder``, or any map-style dataset of (image, label or target).
        recipe: what a picture goes through; a transform, one of torchvision's, or the path of a recipe.toml. By
            default a gentle mix of all of them.
        copies: augmented copies of every picture, at least 1.
        originals: also give the pictures themselves, first.
        seed: item i depends on (seed, epoch, i) alone.

    Items are (uint8 (3, H, W) tensor, target dict), H and W those of the picture.
    """

    def __init__(
        self,
        faces: Faces,
        recipe: Transform | Callable[[Any], Any] | str | Path | None = None,
        *,
        copies: int = 1,
        originals: bool = False,
        seed: int = 0,
    ) -> None:
        if copies < 1:
            raise ArgumentError(f"copies {copies}: expected at least 1")
        self.real, self.seed = RealFaces(faces), check_seed(seed)
        self._recipe, self._copies, self._originals = as_recipe(recipe), copies, originals
        self._epoch = Epoch()

    def __len__(self) -> int:
        return len(self.real) * (self._copies + self._originals)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        if get_worker_info() is not None:
            load_cv2().setNumThreads(0)  # OpenCV's own threads and a forked worker can deadlock
        i = range(len(self))[index]
        row = i % len(self.real)
        image, target = self.real.read(row), self.real.target(row) | {"index": i, "source": row}
        if not (self._originals and i < len(self.real)):
            recipe = self._recipe or default_recipe(min(image.shape[:2]))
            key = (self.seed, self.epoch, i)
            result = recipe(image, key=key, landmarks=target["landmarks"], attributes=target["attributes"])
            image = result["image"]
            target |= {name: result[name] for name in ("landmarks", "visible", "attributes")} | {"origin": AUGMENTED}
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), target

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """Change the epoch, also in workers that are already running."""
        self._epoch.set(epoch)

    def sampler(self, *, shuffle: bool = True) -> Sampler[int]:
        """A sampler for ``DataLoader(..., sampler=...)`` that moves on to the next epoch with each pass."""
        return EpochSampler(self, seed=self.seed, shuffle=shuffle)
