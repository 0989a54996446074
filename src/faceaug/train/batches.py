"""What each step draws: real faces, latents, attribute requests and augmentation, all from (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceaug.draws import stream
from faceaug.train.attributes import Attributes, draw_requests, draw_rows, toggleable
from faceaug.train.augment import AdaptiveProbability, apply_operations, draw_operations
from faceaug.train.config import TrainConfig
from faceaug.train.faces import Faces, ShowingOrder
from faceaug.train.processes import Processes


@dataclass(frozen=True, slots=True, eq=False)
class RequestTensors:
    """This process's share of ``attributes.Requests``, float32 (n, 40) each."""

    asked: Tensor
    judged: Tensor
    toggled: Tensor


class Batches:
    """Where the steps of a run take their batches from.

    Args:
        config: of the run.
        faces: the real ones.
        processes: each process gets its share of every batch.
    """

    def __init__(self, config: TrainConfig, faces: Faces, processes: Processes) -> None:
        self.config = config
        self.faces = faces
        self.processes = processes
        self.order = ShowingOrder(len(faces.pixels), config.seed)
        self.columns = None if faces.attributes is None else toggleable(faces.attributes)

    def share(self, rows: NDArray[Any]) -> Tensor:
        """This process's share of a batch's attributes, float32 (n, 40)."""
        return self.here(rows[self.processes.share(self.config.batch)].astype(np.float32))

    def here(self, numbers: NDArray[Any]) -> Tensor:
        """An array as a tensor on this process's device."""
        return torch.from_numpy(np.ascontiguousarray(numbers)).to(self.processes.device)


class StepBatch:
    """The batch of one step.

    Args:
        source: of the run.
        step: number of the step; decides every draw.
        images: real images shown before it; decides which faces are shown.
        augmenting: probability of augmentation, which may change within a step.

    Attributes:
        step: number of the step.
        images: real images shown before it.
        real: float32 (n, 3, H, W) in -1..1, this process's share of the real faces, some of them mirrored.
        rows: int8 (batch, 40), attributes of all real faces of the step; None without attributes.
    """

    def __init__(self, source: Batches, step: int, images: int, augmenting: AdaptiveProbability) -> None:
        self._source = source
        self._config = source.config
        self._augmenting = augmenting
        self._mine = source.processes.share(source.config.batch)
        self.step = step
        self.images = images
        shown = source.order(images, source.config.batch)
        self.real = self._real(shown[self._mine])
        self.rows: Attributes | None = None if source.faces.attributes is None else source.faces.attributes[shown]

    def known(self) -> Tensor | None:
        """Attributes of this process's real faces, float32 (n, 40); None without attributes."""
        return None if self.rows is None else self._source.share(self.rows)

    def other_rows(self) -> Attributes | None:
        """Attributes of other real faces, which the generator's requests are made from; None without attributes."""
        table = self._source.faces.attributes
        return None if table is None else draw_rows(table, self._config, self.step)

    def latents(self, network: str) -> Tensor:
        """Latents for training the discriminator, "d", or the generator, "g": float32 (n, z)."""
        numbers = self._stream(f"latent/{network}").standard_normal((self._config.batch, self._config.z_size), "f4")
        return self._source.here(numbers[self._mine])

    def requests(self, rows: Attributes | None, network: str) -> RequestTensors | None:
        """Requests made from rows for training "discriminator" or "generator"; None without attributes."""
        columns = self._source.columns
        if rows is None or columns is None:
            return None
        drawn = draw_requests(rows, self._config, self._stream(f"attributes/{network}"), columns=columns)
        share = self._source.share
        return RequestTensors(share(drawn.asked), share(drawn.judged), share(drawn.toggled.astype(np.int8)))

    def augment(self, faces: Tensor, slot: str) -> Tensor:
        """Augment this process's faces, float (n, 3, H, W), as drawn for ``slot``."""
        config = self._config
        if not config.operations or not self._augmenting.p:
            return faces
        rng = self._stream(f"augment/{slot}")
        draws = draw_operations(rng, config.batch, config.operations, self._augmenting.p)
        changed = apply_operations(faces.float(), {name: values[self._mine] for name, values in draws.items()})
        return changed.contiguous(memory_format=torch.channels_last)

    def _real(self, shown: NDArray[np.int64]) -> Tensor:
        source = self._source
        real = torch.from_numpy(source.faces.pixels[shown]).to(source.processes.device).float().div_(127.5).sub_(1.0)
        if self._config.flip:
            mirrored = (self._stream("flip").random(self._config.batch) < 0.5)[self._mine]
            real = torch.where(source.here(mirrored)[:, None, None, None], real.flip(3), real)
        return real.contiguous(memory_format=torch.channels_last)

    def _stream(self, slot: str) -> np.random.Generator:
        return stream(self._config.seed, index=self.step, slot=f"train/{slot}")
