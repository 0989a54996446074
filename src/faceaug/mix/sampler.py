"""The order of one pass, and the epoch that every worker can see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from faceaug.draws import permutation, stream


class Epoch:
    """A number in shared memory: setting it in the main process reaches workers that are already running."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def get(self) -> int:
        """The current epoch."""
        return int(self._value)

    def set(self, epoch: int) -> None:
        """Change it everywhere."""
        self._value.fill_(epoch)


class HasEpoch(Protocol):
    """A dataset whose draws depend on an epoch."""

    def __len__(self) -> int:
        """Number of items."""

    @property
    def epoch(self) -> int:
        """The current epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Change it."""


class EpochSampler(Sampler[int]):
    """Yields every index once per pass and moves the dataset's epoch on at the start of each pass but the first.

    Args:
        dataset: whose epoch is advanced.
        seed: the order depends on (seed, epoch) only.
        shuffle: a new permutation each pass, or ascending order.
        weights: float64 (n,); if given, each pass draws n indices with replacement in proportion to them.
    """

    def __init__(
        self, dataset: HasEpoch, *, seed: int, shuffle: bool, weights: NDArray[np.float64] | None = None
    ) -> None:
        self._dataset, self._seed, self._shuffle = dataset, seed, shuffle
        self._cumulated = None if weights is None else np.cumsum(weights) / weights.sum()
        self._passes = 0

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[int]:
        if self._passes:
            self._dataset.set_epoch(self._dataset.epoch + 1)
        self._passes += 1
        return iter(self._order(self._dataset.epoch).tolist())

    def _order(self, epoch: int) -> NDArray[np.int64]:
        n = len(self._dataset)
        if self._cumulated is not None:
            points = stream(self._seed, epoch=epoch, slot="sampler/balanced").random(n)
            return np.minimum(np.searchsorted(self._cumulated, points, side="right"), n - 1)
        return permutation(n, self._seed, epoch=epoch, slot="sampler") if self._shuffle else np.arange(n)
