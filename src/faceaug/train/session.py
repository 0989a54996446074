"""A training run between two of its steps: what it consists of, one step, and its state as a checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from faceaug.progress import SILENT, Progress
from faceaug.train.attributes import Attributes, answer_weights, sample_rows, typical_rows
from faceaug.train.augment import AdaptiveProbability
from faceaug.train.batches import Batches, StepBatch
from faceaug.train.checkpoint import Checkpoint
from faceaug.train.config import TrainConfig
from faceaug.train.discriminator_step import DiscriminatorStep
from faceaug.train.faces import Faces
from faceaug.train.generator_step import GeneratorStep
from faceaug.train.networks import Networks
from faceaug.train.processes import Processes
from faceaug.train.readings import Guard, Readings
from faceaug.train.start import Start
from faceaug.train.teacher import Teacher


class Session:
    """A training run between two of its steps.

    Args:
        config: of the run.
        faces: the real ones.
        processes: all processes of the run.
        start: weights to start from; None for fresh ones.

    Attributes:
        networks: everything with weights.
        augmenting: adaptive probability of augmentation.
        guard: protection against divergence.
        readings: figures of the last step.
        steps: steps taken.
        images: real images shown.
        typical: rows of the attribute table that go with a checkpoint; None without attributes.
        health: what the watch saw last, and after how many images; empty before its first look.
    """

    def __init__(self, config: TrainConfig, faces: Faces, processes: Processes, *, start: Start | None) -> None:
        self.config = config
        self.faces = faces
        self.processes = processes
        self._start = start
        self._batches = Batches(config, faces, processes)
        self.typical: Attributes | None = None
        self.health: dict[str, Any] = {}
        self._weights: Tensor | None = None
        if faces.attributes is not None:
            self.typical = typical_rows(faces.attributes, config.seed)
            self._weights = answer_weights(faces.attributes).to(processes.device)
        self._teacher = Teacher(config, processes) if config.conditional and config.teacher else None
        self.begin()

    def begin(self) -> None:
        """Return to the state before the first step."""
        self.networks = Networks(self.config, self.processes, start=self._start)
        self.health = {}
        self._set_state(AdaptiveProbability(self.config.augment_p), Guard(), Readings(), steps=0, images=0)

    def _set_state(
        self, augmenting: AdaptiveProbability, guard: Guard, readings: Readings, *, steps: int, images: int
    ) -> None:
        self.augmenting = augmenting
        self.guard = guard
        self.readings = readings
        self.steps = steps
        self.images = images
        shared = (self.config, self.networks, self.processes, self._weights, readings)
        self._discriminator_step = DiscriminatorStep(*shared, augmenting)
        self._generator_step = GeneratorStep(*shared, self._teacher)

    def measure(self, progress: Progress = SILENT) -> None:
        """Measure what the losses compare with: the feature moments of the real faces, unless that has been done."""
        matching = self.networks.matching
        if matching is not None and not matching.measured:
            matching.measure(self.faces.pixels, progress)

    def step(self) -> bool:
        """Show one batch to the discriminator, then train the generator, then move the EMA.

        Returns:
            False if a number was not finite: the step counts, but nothing that was not finite is kept.
        """
        self.measure()
        networks = self.networks
        networks.set_rates(self.images, self.guard.rollbacks)
        buffers = networks.changing_buffers()
        before = [buffer.clone() for buffer in buffers]  # a NaN in a forward pass would stay in batch norm
        batch = StepBatch(self._batches, self.steps, self.images, self.augmenting)
        healthy, real_logits = self._discriminator_step.take(batch)
        if healthy and self.images >= self.config.warmup:
            healthy = self._generator_step.take(batch, real_logits)
        self.steps += 1
        self.images += self.config.batch
        if healthy:
            networks.move_average(self.images)
            self.guard.skipped = 0
        else:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            self.guard.skipped += 1
        return healthy

    def sampled_attributes(self, n: int) -> Tensor | None:
        """Attributes requested for the fixed latents, float32 (n, 40); None without attributes."""
        return None if self.typical is None else sample_rows(self.typical, n, self.config.seed)

    def checkpoint(self) -> Checkpoint:
        """Everything the next step depends on."""
        tensors = self.networks.tensors()
        if self.typical is not None:  # the requests with which an exported EMA gets its batch-norm statistics
            tensors["attributes/rows"] = torch.from_numpy(self.typical)
        numbers = {
            "augmenting": asdict(self.augmenting),
            "guard": asdict(self.guard),
            "penalty": self.readings.penalty,  # several steps old, and shown in the log until the next one
            "faces": len(self.faces.pixels),
        }
        if self.health:
            numbers["health"] = self.health
        return Checkpoint(self.steps, self.images, self.faces.fingerprint, tensors, numbers)

    def restore(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint."""
        self.networks.restore(saved.tensors)
        self.health = dict(saved.numbers.get("health", {}))
        self._set_state(
            AdaptiveProbability(**saved.numbers.get("augmenting", {"p": self.config.augment_p})),
            Guard(**saved.numbers.get("guard", {})),
            Readings(penalty=saved.numbers.get("penalty", 0.0)),
            steps=saved.step,
            images=saved.images,
        )
