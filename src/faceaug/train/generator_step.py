"""The generator's half of a step."""

from __future__ import annotations

import torch
from torch import Tensor

from faceaug.train.attributes import agreement, attribute_loss
from faceaug.train.batches import RequestTensors, StepBatch
from faceaug.train.config import TrainConfig
from faceaug.train.losses import generator_loss
from faceaug.train.networks import Networks
from faceaug.train.processes import Processes
from faceaug.train.readings import Readings
from faceaug.train.teacher import Teacher


class GeneratorStep:
    """Trains the generator against the discriminators.

    Args:
        config: of the run.
        networks: of the run.
        processes: all processes of the run.
        weights: from ``answer_weights``; None without attributes.
        readings: where the figures of the step go.
        teacher: the bundled classifier as a second judge of attributes; None without one.
    """

    def __init__(
        self,
        config: TrainConfig,
        networks: Networks,
        processes: Processes,
        *,
        weights: Tensor | None,
        readings: Readings,
        teacher: Teacher | None,
    ) -> None:
        self._config, self._networks, self._processes = config, networks, processes
        self._weights, self._readings, self._teacher = weights, readings, teacher

    def take(self, batch: StepBatch, real_logits: Tensor) -> bool:
        """Update the generator once.

        Args:
            batch: of the step.
            real_logits: (n, 1), of the real faces, from the discriminator's half of the step.

        Returns:
            Whether all numbers were finite.
        """
        networks = self._networks
        requests = batch.requests(batch.other_rows(), "generator")
        judges = [judge for judge in (networks.discriminator, networks.projected) if judge is not None]
        for judge in judges:
            judge.requires_grad_(False)
        loss = self._loss(batch, requests, real_logits)
        healthy = networks.descend(loss, networks.generator, networks.g_optimizer)
        for judge in judges:
            judge.requires_grad_(True)
        return healthy

    def _loss(self, batch: StepBatch, requests: RequestTensors | None, real_logits: Tensor) -> Tensor:
        networks, projected = self._networks, self._networks.projected
        asked = None if requests is None else requests.asked
        judged = None if requests is None else requests.judged
        with networks.autocast():
            fake = networks.make(batch.latents("g"), asked)
            shown = batch.augment(fake, "generator")
            logits, names = networks.judge(shown, judged)
            loss = generator_loss(self._config.loss, self._rivals(batch, real_logits), logits)
            self._readings.g_loss = float(self._processes.mean(loss.detach()))
            if projected is not None and (weight := projected.weight(batch.images)):
                loss = loss + weight * projected.generator_loss(shown)
        if networks.matching is not None:
            # Faces with a flipped attribute may look like no real ones, so they are not matched to them.
            counted = None if requests is None else (requests.toggled == 0).all(1)
            loss = loss + self._config.matching * networks.matching(fake, counted)
            self._readings.mismatch = networks.matching.difference()
        if requests is not None and names is not None:
            loss = self._with_attributes(loss, fake, names, requests, batch.step)
        return loss

    def _with_attributes(
        self, loss: Tensor, fake: Tensor, names: Tensor, requests: RequestTensors, step: int
    ) -> Tensor:
        if self._weights is None:
            return loss
        asked, toggled = requests.asked, requests.toggled
        weighty = toggled * self._config.toggle_weight
        loss = loss + self._config.aux_g * attribute_loss(names, asked, self._weights, weighty)
        if self._teacher is not None:
            seen = self._teacher.names(fake, step)
            loss = loss + self._config.teacher * attribute_loss(seen, asked, self._weights, weighty)
        self._readings.obeyed = agreement(names, asked, self._processes)
        self._readings.toggled = agreement(names, asked * toggled, self._processes)
        return loss

    def _rivals(self, batch: StepBatch, real_logits: Tensor) -> Tensor:
        """Logits of real faces for the generator's loss: recomputed where the loss depends on their values."""
        if self._config.loss != "relativistic":
            return real_logits
        requests = batch.requests(batch.rows, "discriminator")
        judged = None if requests is None else requests.judged
        with torch.no_grad():
            return self._networks.judge(batch.augment(batch.real, "rival"), judged)[0]
