"""Datasets whose draws depend on an epoch shared with all workers, and samplers that advance it."""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from faceaug.augment.own_draws import Generator, check_repeats, own_generators, tied
from faceaug.augment.torchvision import seeded
from faceaug.data.image import load_cv2
from faceaug.draws import Dice, Words, check_seed, permutation, stream
from faceaug.errors import ArgumentError


class EpochDataset(Dataset[tuple[Any, Any]]):
    """A map-style dataset whose item i depends only on (seed, epoch, i).

    Attributes:
        seed: seed of all draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed = check_seed(seed)
        self._transform: Callable[[Tensor], Any] | None = None
        self._target_transform: Callable[[Any], Any] | None = None
        self._own: list[Generator] | None = None
        self._varies = True  # whether epochs differ
        # In shared memory, so that changes in the main process reach running workers.
        self._epoch = _shared()
        self._served = _shared()
        self._warned = _shared()
        self._checked = _shared()

    @abstractmethod
    def __len__(self) -> int:
        """Number of items."""

    @property
    def epoch(self) -> int:
        """The current epoch; augmented items differ between epochs."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, also in running workers.

        Raises:
            ArgumentError: a negative epoch.
        """
        if epoch < 0:
            raise ArgumentError(f"epoch {epoch}: expected 0 or more")
        self._epoch.fill_(epoch)
        self._served.zero_()

    def sampler(self, *, shuffle: bool = True) -> Sampler[int]:
        """A sampler for ``DataLoader(..., sampler=...)`` that advances the epoch with each pass."""
        return EpochSampler(self, shuffle=shuffle)

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        """Several items; a ``DataLoader`` calls this for a batch.

        Warns once if more items are read in one epoch than there are, because some of them repeat.
        """
        self._served += len(indices)
        if self._varies and int(self._served) > len(self) and not int(self._warned):
            self._warned.fill_(1)
            warnings.warn(
                f"another pass over the {type(self).__name__} in the same epoch ({self.epoch}): its items, "
                "augmentations included, are the same as before. For new ones use DataLoader(dataset, "
                "sampler=dataset.sampler()) instead of shuffle=True, or call dataset.set_epoch(...) before each pass",
                stacklevel=2,
            )
        return [self[index] for index in indices]

    def _finished(self, image: Tensor, target: Any, i: int) -> tuple[Any, Any]:
        """Item i after the user's functions, whose random draws are seeded from the item."""
        if self._transform is None and self._target_transform is None:
            return image, target
        if self._own is None:
            self._own = own_generators((self._transform, self._target_transform))
        if not int(self._checked):
            self._check_functions(image, target, i)
            self._checked.fill_(1)
        return self._applied(image, target, i)

    def _applied(self, image: Tensor, target: Any, i: int) -> tuple[Any, Any]:
        words = Words(self.seed, self.epoch, i)
        seed = Dice(words, b"dataset/transform").integer(2**63)
        # Most libraries draw from the global generators of Python, NumPy and torch.
        with seeded(seed, self._transform, self._target_transform), tied(self._own or [], words):
            made = image if self._transform is None else self._transform(image)
            return made, target if self._target_transform is None else self._target_transform(target)

    def _check_functions(self, image: Tensor, target: Any, i: int) -> None:
        """Raise ArgumentError if a user function draws from a generator that cannot be seeded from the item."""
        names = [
            f"{role}= ({getattr(function, '__name__', type(function).__name__)})"
            for role, function in (("transform", self._transform), ("target_transform", self._target_transform))
            if function is not None
        ]
        check_repeats(
            lambda k: self._applied(image.clone(), copy.deepcopy(target), k), i, len(self), " with ".join(names)
        )

    def _position(self, index: int) -> int:
        """Normalise an index to 0..n-1, or raise IndexError; limits OpenCV to one thread in a worker."""
        if get_worker_info() is not None:
            # OpenCV's own threads and a forked worker can deadlock; one thread per worker is also the fastest.
            load_cv2().setNumThreads(0)
        return range(len(self))[index]


def _shared() -> Tensor:
    made: Tensor = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
    return made


class EpochSampler(Sampler[int]):
    """Yields every index once per pass; each pass after the first advances the epoch of the dataset.

    If the epoch is set by hand between two passes, the next pass uses it, so that a run can be resumed.

    Args:
        dataset: dataset whose epoch is advanced; the order depends only on its seed and epoch.
        shuffle: whether each pass has a new order; ascending order otherwise.
        weights: float64 (n,); if given, each pass draws n indices with replacement in proportion to them.
    """

    def __init__(self, dataset: EpochDataset, *, shuffle: bool, weights: NDArray[np.float64] | None = None) -> None:
        self._dataset = dataset
        self._shuffle = shuffle
        self._cumulated = None if weights is None else np.cumsum(weights) / weights.sum()
        self._last: int | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[int]:
        if self._dataset.epoch == self._last:
            self._dataset.set_epoch(self._last + 1)
        self._last = self._dataset.epoch
        return iter(self._order(self._last).tolist())

    def _order(self, epoch: int) -> NDArray[np.int64]:
        n = len(self._dataset)
        seed = self._dataset.seed
        if self._cumulated is not None:
            points = stream(seed, epoch=epoch, slot="sampler/balanced").random(n)
            return np.minimum(np.searchsorted(self._cumulated, points, side="right"), n - 1)
        return permutation(n, seed, epoch=epoch, slot="sampler") if self._shuffle else np.arange(n)
