"""The discriminator's half of a step: one update of it, and one of the projected discriminator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from faceaug.train.attributes import agreement, attribute_loss
from faceaug.train.augment import AdaptiveProbability
from faceaug.train.batches import StepBatch
from faceaug.train.half_step import HalfStep
from faceaug.train.losses import discriminator_loss, gradient_penalty


@dataclass(frozen=True, slots=True, eq=False)
class DiscriminatorStep(HalfStep):
    """Trains the discriminators on real and generated faces.

    Attributes:
        augmenting: adapts to how sure the discriminator is of real faces.
    """

    augmenting: AdaptiveProbability

    def take(self, batch: StepBatch) -> tuple[bool, Tensor]:
        """Update the discriminators once.

        Returns:
            Whether all numbers were finite, and the logits of the real faces, (n, 1), without gradient.
        """
        networks = self.networks
        requests = batch.requests(batch.rows, "discriminator")
        asked = None if requests is None else requests.asked
        judged = None if requests is None else requests.judged
        with networks.autocast():
            with torch.no_grad():
                fake = networks.make(batch.latents("d"), asked)
            real, fake = batch.augment(batch.real, "real"), batch.augment(fake, "fake")
            real_logits, names = networks.judge(real, judged)
            fake_logits, _ = networks.judge(fake, judged)
            loss = discriminator_loss(self.config.loss, real_logits, fake_logits)
        total = loss + self._penalties(real, fake, judged, batch.step)
        total = total + self._attribute_loss(names, batch.known())
        self._read(loss, real_logits, fake_logits)
        healthy = networks.descend(total, networks.discriminator, networks.d_optimizer)
        return healthy and self._train_projected(real, fake), real_logits.detach()

    def _attribute_loss(self, names: Tensor | None, known: Tensor | None) -> Tensor | float:
        """The loss on real faces only: from generated ones the head would learn their faults."""
        if names is None or known is None or self.weights is None:
            return 0.0
        self.readings.named = agreement(names, known, self.processes)
        return self.config.aux_d * attribute_loss(names, known, self.weights)

    def _read(self, loss: Tensor, real_logits: Tensor, fake_logits: Tensor) -> None:
        facts = [loss, real_logits.float().mean(), fake_logits.float().mean(), real_logits.sign().float().mean()]
        found = self.processes.mean(torch.stack([fact.detach() for fact in facts])).tolist()
        readings = self.readings
        readings.d_loss, readings.real_logit, readings.fake_logit, sign = found
        self.augmenting.observe(self.config, sign if math.isfinite(sign) else 0.0)

    def _penalties(self, real: Tensor, fake: Tensor, told: Tensor | None, step: int) -> Tensor:
        """R1 and R2, computed every ``penalty_every`` steps and scaled by this interval (lazy regularisation)."""
        config = self.config
        total = torch.zeros((), device=self.processes.device)

        def logits(faces: Tensor) -> Tensor:
            """The logits that a gradient is taken of."""
            return self.networks.plain_logits(faces, told)

        if (config.r1 or config.r2) and step % config.penalty_every == 0:
            for weight, faces in ((config.r1, real), (config.r2, fake)):
                if weight:
                    total = total + weight * gradient_penalty(logits, faces)
            self.readings.penalty = float(total.detach())
        return total * config.penalty_every

    def _train_projected(self, real: Tensor, fake: Tensor) -> bool:
        projected = self.networks.projected
        if projected is None:
            return True
        with self.networks.autocast():
            loss = projected.loss(real, fake)
        self.readings.projected_loss = float(self.processes.mean(loss.detach()))
        return self.networks.descend(loss, projected, projected.optimizer)
