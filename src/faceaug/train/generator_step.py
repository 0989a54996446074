"""The generator's half of a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from faceaug.train.attributes import agreement, attribute_loss
from faceaug.train.batches import RequestTensors, StepBatch
from faceaug.train.half_step import HalfStep
from faceaug.train.losses import generator_loss
from faceaug.train.teacher import Teacher


@dataclass(frozen=True, slots=True, eq=False)
class GeneratorStep(HalfStep):
    """Trains the generator against the discriminators.

    Attributes:
        teacher: the bundled classifier as a second judge of attributes; None without one.
    """

    teacher: Teacher | None

    def take(self, batch: StepBatch, real_logits: Tensor) -> bool:
        """Update the generator once.

        Args:
            batch: of the step.
            real_logits: (n, 1), of the real faces, from the discriminator's half of the step.

        Returns:
            Whether all numbers were finite.
        """
        networks = self.networks
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
        networks = self.networks
        projected = networks.projected
        asked = None if requests is None else requests.asked
        judged = None if requests is None else requests.judged
        with networks.autocast():
            fake = networks.make(batch.latents("g"), asked)
            shown = batch.augment(fake, "generator")
            logits, names = networks.judge(shown, judged)
            loss = generator_loss(self.config.loss, self._rivals(batch, real_logits), logits)
            self.readings.g_loss = float(self.processes.mean(loss.detach()))
            if projected is not None and (weight := projected.weight(batch.images)):
                loss = loss + weight * projected.generator_loss(shown)
        if networks.matching is not None:
            # Faces with a flipped attribute may look like no real ones, so they are not matched to them.
            counted = None if requests is None else (requests.toggled == 0).all(1)
            loss = loss + self.config.matching * networks.matching(fake, counted)
            self.readings.mismatch = networks.matching.difference()
        if requests is not None and names is not None:
            loss = self._with_attributes(loss, fake, names, requests, batch.step)
        return loss

    def _with_attributes(
        self, loss: Tensor, fake: Tensor, names: Tensor, requests: RequestTensors, step: int
    ) -> Tensor:
        if self.weights is None:
            return loss
        asked, toggled = requests.asked, requests.toggled
        weighty = toggled * self.config.toggle_weight
        loss = loss + self.config.aux_g * attribute_loss(names, asked, self.weights, weighty)
        if self.teacher is not None:
            seen = self.teacher.names(fake, step)
            loss = loss + self.config.teacher * attribute_loss(seen, asked, self.weights, weighty)
        self.readings.obeyed = agreement(names, asked, self.processes)
        self.readings.toggled = agreement(names, asked * toggled, self.processes)
        return loss

    def _rivals(self, batch: StepBatch, real_logits: Tensor) -> Tensor:
        """Logits of real faces for the generator's loss: recomputed where the loss depends on their values."""
        if self.config.loss != "relativistic":
            return real_logits
        requests = batch.requests(batch.rows, "discriminator")
        judged = None if requests is None else requests.judged
        with torch.no_grad():
            return self.networks.judge(batch.augment(batch.real, "rival"), judged)[0]
