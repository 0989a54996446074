"""The epoch that every worker can see, datasets that draw by it, and the order of one pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from faceaug.augment.torchvision import globally_seeded
from faceaug.draws import Dice, Words, check_seed, permutation, stream
from faceaug.errors import ArgumentError
from faceaug.data.image import load_cv2


class EpochDataset(Dataset[tuple[Any, Any]]):
    """A map-style dataset whose item i depends on (seed, epoch, i) alone.

    Attributes:
        seed: of all draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed = check_seed(seed)
        self._transform: Callable[[Tensor], Any] | None = None
        self._target_transform: Callable[[Any], Any] | None = None
        # In shared memory: setting it in the main process reaches workers that are already running.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @abstractmethod
    def __len__(self) -> int:
        """Number of items."""

    @property
    def epoch(self) -> int:
        """The current epoch; augmented items are drawn anew in each."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Change the epoch, also in workers that are already running."""
        if epoch < 0:
            raise ArgumentError(f"epoch {epoch}: expected 0 or more")
        self._epoch.fill_(epoch)

    def sampler(self, *, shuffle: bool = True) -> Sampler[int]:
        """A sampler for ``DataLoader(..., sampler=...)`` that moves on to the next epoch with each pass."""
        return EpochSampler(self, shuffle=shuffle)

    def _finished(self, image: Tensor, target: Any, i: int) -> tuple[Any, Any]:
        """Item i after the user's own functions, whose global randomness is tied to the item."""
        if self._transform is None and self._target_transform is None:
            return image, target
        # Python's, NumPy's and torch's global generators: what torchvision and most others draw from.
        with globally_seeded(Dice(Words(self.seed, self.epoch, i), b"dataset/transform").integer(2**63)):
            made = image if self._transform is None else self._transform(image)
            return made, target if self._target_transform is None else self._target_transform(target)

    def _position(self, index: int) -> int:
        """An index as 0..n-1, IndexError beyond; also the moment when a worker learns to use one thread."""
        if get_worker_info() is not None:
            # OpenCV's own threads and a forked worker can deadlock; one thread per worker is also the fastest.
            load_cv2().setNumThreads(0)
        return range(len(self))[index]


class EpochSampler(Sampler[int]):
    """Yields every index once per pass; each pass after the first moves the dataset on to the next epoch.

    An epoch set by hand between two passes is the one the next pass uses, so a resumed run can say where it is.

    Args:
        dataset: whose epoch is advanced; the order depends on its seed and epoch only.
        shuffle: a new permutation each pass, or ascending order.
        weights: float64 (n,); if given, each pass draws n indices with replacement in proportion to them.
    """

    def __init__(self, dataset: EpochDataset, *, shuffle: bool, weights: NDArray[np.float64] | None = None) -> None:
        self._dataset, self._shuffle = dataset, shuffle
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
        n, seed = len(self._dataset), self._dataset.seed
        if self._cumulated is not None:
            points = stream(seed, epoch=epoch, slot="sampler/balanced").random(n)
            return np.minimum(np.searchsorted(self._cumulated, points, side="right"), n - 1)
        return permutation(n, seed, epoch=epoch, slot="sampler") if self._shuffle else np.arange(n)
