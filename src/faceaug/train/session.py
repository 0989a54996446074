"""The moving parts of a run: networks, optimizers, the average, and one step."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.synthesize.conditional import build_conditional
from faceaug.synthesize.networks import build_network
from faceaug.train.arithmetic import Network, compiled_or_not, resolve_precision
from faceaug.train.attributes import (
    Attributes,
    answer_weights,
    attribute_loss,
    draw_requests,
    draw_rows,
    sample_rows,
    toggleable,
    typical_rows,
)
from faceaug.train.augment import AdaptiveProbability, apply_operations, draw_operations
from faceaug.train.checkpoint import Checkpoint, optimizer_tensors, part, restore_optimizer
from faceaug.train.config import TrainConfig
from faceaug.train.convolution import quicken
from faceaug.train.faces import Faces, ShowingOrder
from faceaug.train.losses import discriminator_loss, generator_loss, slope_penalty
from faceaug.train.matching import FeatureMatching
from faceaug.train.processes import Processes, share_batch_norm
from faceaug.train.projected import ProjectedDiscriminator
from faceaug.train.schedule import average_keeps, make_optimizer, rate_share
from faceaug.train.start import Start, generator_layers
from faceaug.train.teacher import Teacher


@dataclass(slots=True)
class Guard:
    """What went wrong so far.

    Attributes:
        skipped: steps in a row that were skipped because a number was not finite.
        rollbacks: how often the run went back to a checkpoint; each halves the rates.
    """

    skipped: int = 0
    rollbacks: int = 0


@dataclass(slots=True)
class Readings:
    """Of the last step.

    Attributes:
        d_loss: of the discriminator, without penalties.
        g_loss: of the generator.
        real_logit: mean logit of the real faces.
        fake_logit: mean logit of the generated ones.
        penalty: the last R1 and R2 together, weighted.
        named: share of the known attributes of real faces that the discriminator names right; NaN without attributes.
        obeyed: share of the attributes asked for that it finds in the generated ones.
        toggled: the same of the attributes that are not those of the real row.
        mismatch: squared difference of the moments of features; NaN where they are not matched.
        projected_loss: of the second discriminator, 2 where it knows nothing; NaN where there is none.
    """

    d_loss: float = math.nan
    g_loss: float = math.nan
    real_logit: float = math.nan
    fake_logit: float = math.nan
    penalty: float = 0.0
    named: float = math.nan
    obeyed: float = math.nan
    toggled: float = math.nan
    mismatch: float = math.nan
    projected_loss: float = math.nan


class Session:
    """One run between two of its steps.

    Args:
        config: of the run.
        faces: real ones.
        processes: who takes part.
        start: what to start from instead of fresh weights.
    """

    def __init__(self, config: TrainConfig, faces: Faces, processes: Processes, *, start: Start | None) -> None:
        self.config, self.faces, self.processes, self._start = config, faces, processes, start
        self.device = processes.device
        self.order = ShowingOrder(len(faces.pixels), config.seed)
        self.precision = resolve_precision(config.precision, self.device)
        self.typical: Attributes | None = None
        if faces.attributes is not None:
            self.typical = typical_rows(faces.attributes, config.seed)
            self._weights = answer_weights(faces.attributes).to(self.device)
            self._columns = toggleable(faces.attributes)
        self._teacher = Teacher(config, processes) if config.conditional and config.teacher else None
        self.begin()

    def begin(self) -> None:
        """Fresh weights, as before the first step."""
        config = self.config
        build: Callable[..., Any] = build_conditional if config.conditional else build_network
        self.discriminator, self.generator = build(
            config.d_conv_dim, config.g_conv_dim, config.z_size, seed=config.seed, size=config.size,
            d_norm=config.d_norm, minibatch_stddev=config.minibatch_stddev, d_contrast=config.d_contrast,
        )  # fmt: skip
        layers = generator_layers(self.generator)
        if config.freeze >= len(layers):
            raise ArgumentError(f"freeze {config.freeze}: one of the {len(layers)} layers at least must move")
        for layer in layers[: config.freeze]:
            layer.requires_grad_(False)
        self._matching = FeatureMatching(config, self.processes) if config.matching else None
        self._projected = ProjectedDiscriminator(config, self.processes) if config.projected else None
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        for network in self.networks().values():
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.processes.count > 1:
            share_batch_norm(self.discriminator)
            share_batch_norm(self.generator)
        if not config.compile:  # a compiler arranges convolutions its own way
            quicken(self.discriminator)
            quicken(self.generator)
        self._compiled = tuple(self._compile(network) for network in (self.discriminator, self.generator))
        self.d_optimizer = make_optimizer(self.discriminator, config, config.d_learning_rate or config.learning_rate)
        self.g_optimizer = make_optimizer(self.generator, config, config.learning_rate)
        known = set() if self._start is None else self._start.put(self.networks(), self._optimizers())
        if self._projected is not None:
            self._projected.taught = "projected" in known
        self.augmenting = AdaptiveProbability(config.augment_p)
        self.guard, self.readings = Guard(), Readings()
        self.steps = self.images = 0

    def step(self) -> bool:
        """Show one batch to the discriminator, then teach the generator, then move the average.

        Returns:
            False if a number was not finite: the step counts, but what was not finite changed nothing.
        """
        self._set_rates()
        changing = (self.discriminator, self.generator, self._matching, self._projected)
        buffers = [buffer for network in changing if network is not None for buffer in network.buffers()]
        before = [buffer.clone() for buffer in buffers]  # a poisoned forward pass would stay in batch norm
        real = self._real_batch()
        healthy = self._teach_discriminator(real)
        if healthy and self.images >= self.config.warmup:
            healthy = self._teach_generator(real)
        self.steps += 1
        self.images += self.config.batch
        if healthy:
            self._move_average()
            self.guard.skipped = 0
        else:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            self.guard.skipped += 1
        return healthy

    def _teach_discriminator(self, real: Tensor) -> bool:
        config = self.config
        rows = self._rows()
        asked, judged, _ = self._requests(rows, "discriminator")
        with self._autocast():
            with torch.no_grad():
                fake = self._make(self._latents("train/latent/d"), asked)
            shown, made = self._augment(real, "real"), self._augment(fake, "fake")
            real_logits, names = self._judge(shown, judged)
            fake_logits, _ = self._judge(made, judged)
            loss = discriminator_loss(config.loss, real_logits, fake_logits)
        total = loss + self._penalties(shown, made, judged)
        if rows is not None and names is not None:  # of real faces only: of generated ones it would learn their faults
            known = self._share(rows)
            total = total + config.aux_d * attribute_loss(names, known, self._weights)
            self.readings.named = self._agreement(names, known)
        self._real_logits = real_logits.detach()
        facts = [loss, real_logits.float().mean(), fake_logits.float().mean(), real_logits.sign().float().mean()]
        found = self.processes.mean(torch.stack([fact.detach() for fact in facts])).tolist()
        self.readings.d_loss, self.readings.real_logit, self.readings.fake_logit, sign = found
        self.augmenting.observe(config, sign if math.isfinite(sign) else 0.0)
        return self._descend(total, self.discriminator, self.d_optimizer) and self._teach_projected(shown, made)

    def _teach_projected(self, shown: Tensor, made: Tensor) -> bool:
        if self._projected is None:
            return True
        with self._autocast():
            loss = self._projected.loss(shown, made)
        self.readings.projected_loss = float(self.processes.mean(loss.detach()))
        return self._descend(loss, self._projected, self._projected.optimizer)

    def _teach_generator(self, real: Tensor) -> bool:
        table = self.faces.attributes
        rows = None if table is None else draw_rows(table, self.config, self.steps)
        asked, judged, toggled = self._requests(rows, "generator")
        judges = [judge for judge in (self.discriminator, self._projected) if judge is not None]
        for judge in judges:
            judge.requires_grad_(False)
        with self._autocast():
            fake = self._make(self._latents("train/latent/g"), asked)
            made = self._augment(fake, "generator")
            logits, names = self._judge(made, judged)
            loss = generator_loss(self.config.loss, self._rivals(real), logits)
            self.readings.g_loss = float(self.processes.mean(loss.detach()))
            if self._projected is not None and (weight := self._projected.weight(self.images)):
                loss = loss + weight * self._projected.objection(made)
        if self._matching is not None:
            loss = loss + self.config.matching * self._match(fake, self._matching, toggled)
        if asked is not None and toggled is not None and names is not None:
            weighty = toggled * self.config.toggle_weight
            loss = loss + self.config.aux_g * attribute_loss(names, asked, self._weights, weighty)
            if self._teacher is not None:
                seen = self._teacher.names(fake, self.steps)
                loss = loss + self.config.teacher * attribute_loss(seen, asked, self._weights, weighty)
            self.readings.obeyed = self._agreement(names, asked)
            self.readings.toggled = self._agreement(names, asked * toggled)
        healthy = self._descend(loss, self.generator, self.g_optimizer)
        for judge in judges:
            judge.requires_grad_(True)
        return healthy

    def _match(self, fake: Tensor, matching: FeatureMatching, toggled: Tensor | None) -> Tensor:
        if not matching.seen:
            matching.measure(self.faces.pixels)
        towards: Tensor = matching(fake, None if toggled is None else (toggled == 0).all(1))  # as tables have them
        self.readings.mismatch = matching.difference()
        return towards

    def _rivals(self, real: Tensor) -> Tensor:
        """Logits of real faces for the generator's loss: anew where their value steers it, else those at hand."""
        if self.config.loss != "relativistic":
            return self._real_logits
        with torch.no_grad():
            return self._judge(self._augment(real, "rival"), self._requests(self._rows(), "discriminator")[1])[0]

    def _rows(self) -> Attributes | None:
        """The attributes of the real faces of this step."""
        table = self.faces.attributes
        return None if table is None else table[self.order(self.images, self.config.batch)]

    def _requests(self, rows: Attributes | None, network: str) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """``Requests`` of such rows for this step of a network, float (n, 40) each: asked, judged, toggled."""
        if rows is None:
            return None, None, None
        rng = stream(self.config.seed, index=self.steps, slot=f"train/attributes/{network}")
        drawn = draw_requests(rows, self.config, rng, columns=self._columns)
        return self._share(drawn.asked), self._share(drawn.judged), self._share(drawn.toggled.astype(np.int8))

    def _agreement(self, names: Tensor, wanted: Tensor) -> float:
        with torch.no_grad():
            right = ((names * wanted) > 0).sum() / (wanted != 0).sum()  # NaN where nothing is wanted
            return float(self.processes.mean(right))

    def _descend(self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(network)
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        size = torch.stack(torch._foreach_norm(gradients)).sum() + self.processes.mean(loss.detach())
        if not math.isfinite(float(size)):
            return False
        optimizer.step()
        return True

    def _penalties(self, real: Tensor, fake: Tensor, asked: Tensor | None) -> Tensor:
        config = self.config
        total = torch.zeros((), device=self.device)
        if (config.r1 or config.r2) and self.steps % config.penalty_every == 0:
            for weight, faces in ((config.r1, real), (config.r2, fake)):
                if weight:
                    total = total + weight * slope_penalty(lambda x: self._verdict(x, asked), faces)
            self.readings.penalty = float(total.detach())
        return total * config.penalty_every

    def _set_rates(self) -> None:
        config = self.config
        share = rate_share(config, self.images) * 0.5**self.guard.rollbacks
        rates = (config.d_learning_rate or config.learning_rate, config.learning_rate)
        for optimizer, rate in zip((self.d_optimizer, self.g_optimizer), rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * share

    def _real_batch(self) -> Tensor:
        config, mine = self.config, self.processes.share(self.config.batch)
        shown = self.order(self.images, config.batch)[mine]
        real = torch.from_numpy(self.faces.pixels[shown]).to(self.device).float().div_(127.5).sub_(1.0)
        if config.flip:
            mirrored = (stream(config.seed, index=self.steps, slot="train/flip").random(config.batch) < 0.5)[mine]
            real = torch.where(self._here(mirrored)[:, None, None, None], real.flip(3), real)
        return real.contiguous(memory_format=torch.channels_last)

    def _latents(self, slot: str) -> Tensor:
        config = self.config
        numbers = stream(config.seed, index=self.steps, slot=slot).standard_normal((config.batch, config.z_size), "f4")
        return self._here(numbers[self.processes.share(config.batch)])

    def _augment(self, faces: Tensor, slot: str) -> Tensor:
        config = self.config
        if not config.operations or not self.augmenting.p:
            return faces
        rng = stream(config.seed, index=self.steps, slot=f"train/augment/{slot}")
        draws = draw_operations(rng, config.batch, config.operations, self.augmenting.p)
        mine = self.processes.share(config.batch)
        changed = apply_operations(faces.float(), {name: values[mine] for name, values in draws.items()})
        return changed.contiguous(memory_format=torch.channels_last)

    def _judge(self, faces: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if told is None:
            return self._compiled[0](faces), None
        logits, names = self._compiled[0](faces, told)
        return logits, names

    def _verdict(self, faces: Tensor, told: Tensor | None) -> Tensor:
        found: Tensor = self.discriminator(faces) if told is None else self.discriminator(faces, told)[0]
        return found

    def _make(self, latents: Tensor, asked: Tensor | None) -> Tensor:
        faces: Tensor = self._compiled[1](latents) if asked is None else self._compiled[1](latents, asked)
        return faces

    def sampled_attributes(self, n: int) -> Tensor | None:
        """What the run's fixed faces are asked to have, float32 (n, 40); None without attributes."""
        return None if self.typical is None else sample_rows(self.typical, n, self.config.seed)

    def _share(self, rows: Attributes) -> Tensor:
        """This process's part of a batch's attributes as float32."""
        return self._here(rows[self.processes.share(self.config.batch)].astype(np.float32))

    def _here(self, numbers: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(numbers)).to(self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _compile(self, network: nn.Module) -> Network:
        if not self.config.compile:
            return network
        if self.processes.count > 1:
            warnings.warn("compile: not with several processes; the networks run as they are", stacklevel=2)
            return network
        return compiled_or_not(network)

    @torch.no_grad()
    def _move_average(self) -> None:
        keep = average_keeps(self.config, self.images)
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - keep)
        for mean, new in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(new.to(mean.dtype) if not mean.is_floating_point() else torch.lerp(mean, new, 1 - keep))

    def networks(self) -> dict[str, nn.Module]:
        """The networks, and what else has state, by the names they have in a checkpoint."""
        found = {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}
        others = {"matching": self._matching, "projected": self._projected}
        return found | {name: network for name, network in others.items() if network is not None}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        found = {"d_optimizer": self.d_optimizer, "g_optimizer": self.g_optimizer}
        return found if self._projected is None else found | {"p_optimizer": self._projected.optimizer}

    def checkpoint(self) -> Checkpoint:
        """Everything the next step depends on."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.networks().items():
            tensors |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self._optimizers().items():
            tensors |= optimizer_tensors(optimizer, name)
        if self.typical is not None:  # by which the average's statistics are measured when it becomes a model
            tensors["attributes/rows"] = torch.from_numpy(self.typical)
        # The last penalty is several steps old, and the log goes on showing it.
        numbers = {
            "augmenting": asdict(self.augmenting), "guard": asdict(self.guard), "penalty": self.readings.penalty,
            "faces": len(self.faces.pixels),
        }  # fmt: skip
        return Checkpoint(self.steps, self.images, self.faces.fingerprint, tensors, numbers)

    def restore(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint."""
        for name, network in self.networks().items():
            network.load_state_dict(part(saved.tensors, name))
        for name, optimizer in self._optimizers().items():
            restore_optimizer(optimizer, saved.tensors, name)
        self.steps, self.images = saved.step, saved.images
        self.augmenting = AdaptiveProbability(**saved.numbers.get("augmenting", {"p": self.config.augment_p}))
        self.guard = Guard(**saved.numbers.get("guard", {}))
        self.readings = Readings(penalty=saved.numbers.get("penalty", 0.0))
