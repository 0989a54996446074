"""The networks of a run: both players, the EMA of the generator, what else is trained, and the optimizers."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from faceaug.errors import ArgumentError
from faceaug.synthesize.conditional import build_conditional
from faceaug.synthesize.networks import build_network
from faceaug.train.arithmetic import Network, compiled_or_not, resolve_precision
from faceaug.train.checkpoint import optimizer_tensors, part, restore_optimizer
from faceaug.train.config import TrainConfig
from faceaug.train.convolution import quicken
from faceaug.train.matching import FeatureMatching
from faceaug.train.processes import Processes, share_batch_norm
from faceaug.train.projected import ProjectedDiscriminator
from faceaug.train.schedule import average_keeps, make_optimizer, rate_share
from faceaug.train.start import Start, generator_layers


class Networks:
    """Everything with weights, as it is before the first step.

    Args:
        config: of the run.
        processes: all processes of the run.
        start: weights to start from; None for fresh ones.

    Attributes:
        generator: maps latents (and attributes) to faces.
        discriminator: maps faces (and attributes) to logits.
        average: EMA of the generator.
        matching: moments of features; None without feature matching.
        projected: the projected discriminator; None without one.
        d_optimizer: of the discriminator.
        g_optimizer: of the generator.
        precision: what "auto" means on this device.

    Raises:
        ArgumentError: ``freeze`` leaves no layer of the generator to train.
    """

    def __init__(self, config: TrainConfig, processes: Processes, *, start: Start | None) -> None:
        self._config = config
        self._processes = processes
        self.precision = resolve_precision(config.precision, processes.device)
        self.discriminator, self.generator = _build(config)
        self.matching = FeatureMatching(config, processes) if config.matching else None
        self.projected = ProjectedDiscriminator(config, processes) if config.projected else None
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        for network in self.named().values():
            network.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if processes.count > 1:
            share_batch_norm(self.discriminator)
            share_batch_norm(self.generator)
        if not config.compile:  # a compiler arranges convolutions its own way
            quicken(self.discriminator)
            quicken(self.generator)
        self._judge = self._compiled(self.discriminator)
        self._make = self._compiled(self.generator)
        self.d_optimizer = make_optimizer(self.discriminator, config, config.d_learning_rate or config.learning_rate)
        self.g_optimizer = make_optimizer(self.generator, config, config.learning_rate)
        trained = set() if start is None else start.put(self.named(), self.optimizers())
        if self.projected is not None:
            self.projected.pretrained = "projected" in trained

    def named(self) -> dict[str, nn.Module]:
        """All modules with state, by their names in a checkpoint."""
        found = {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}
        others = {"matching": self.matching, "projected": self.projected}
        return found | {name: network for name, network in others.items() if network is not None}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimizers, by their names in a checkpoint."""
        found = {"d_optimizer": self.d_optimizer, "g_optimizer": self.g_optimizer}
        return found if self.projected is None else found | {"p_optimizer": self.projected.optimizer}

    def autocast(self) -> torch.autocast:
        """The context in which the losses are computed."""
        return torch.autocast(self._processes.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def make(self, latents: Tensor, asked: Tensor | None) -> Tensor:
        """Generate faces: (n, z) and, conditional, attributes (n, 40) -> (n, 3, H, W) in -1..1."""
        faces: Tensor = self._make(latents) if asked is None else self._make(latents, asked)
        return faces

    def judge(self, faces: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Judge faces (n, 3, H, W), conditional on attributes (n, 40): logits (n, 1), and attribute logits (n, 40)."""
        if told is None:
            return self._judge(faces), None
        logits, names = self._judge(faces, told)
        return logits, names

    def plain_logits(self, faces: Tensor, told: Tensor | None) -> Tensor:
        """The logits (n, 1) alone, never compiled: a gradient penalty differentiates them twice."""
        found: Tensor = self.discriminator(faces) if told is None else self.discriminator(faces, told)[0]
        return found

    def descend(self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Take one optimizer step with gradients averaged over all processes; False, and no step, if not finite."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.average_gradients(network)
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        size = torch.stack(torch._foreach_norm(gradients)).sum() + self._processes.mean(loss.detach())
        if not math.isfinite(float(size)):
            return False
        optimizer.step()
        return True

    def set_rates(self, images: int, rollbacks: int) -> None:
        """Set both learning rates for a step that begins after ``images``; every rollback halved them."""
        config = self._config
        share = rate_share(config, images) * 0.5**rollbacks
        rates = (config.d_learning_rate or config.learning_rate, config.learning_rate)
        for optimizer, rate in zip((self.d_optimizer, self.g_optimizer), rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * share

    @torch.no_grad()
    def move_average(self, images: int) -> None:
        """Update the EMA after a step that ends at ``images``."""
        keep = average_keeps(self._config, images)
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - keep)
        for mean, new in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(new.to(mean.dtype) if not mean.is_floating_point() else torch.lerp(mean, new, 1 - keep))

    def changing_buffers(self) -> list[Tensor]:
        """The buffers that a forward pass changes, such as statistics of batch norm."""
        changing = (self.discriminator, self.generator, self.matching, self.projected)
        return [buffer for network in changing if network is not None for buffer in network.buffers()]

    def tensors(self) -> dict[str, Tensor]:
        """All weights, buffers and moments, by their names in a checkpoint."""
        found: dict[str, Tensor] = {}
        for name, network in self.named().items():
            found |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers().items():
            found |= optimizer_tensors(optimizer, name)
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load what ``tensors`` returned."""
        for name, network in self.named().items():
            network.load_state_dict(part(tensors, name))
        for name, optimizer in self.optimizers().items():
            restore_optimizer(optimizer, tensors, name)

    def _compiled(self, network: nn.Module) -> Network:
        if not self._config.compile:
            return network
        if self._processes.count > 1:
            warnings.warn("compile: not available with several processes; continuing without it", stacklevel=2)
            return network
        return compiled_or_not(network)


def _build(config: TrainConfig) -> tuple[nn.Module, Any]:
    """Discriminator and generator, with the first layers of the generator frozen."""
    build: Callable[..., Any] = build_conditional if config.conditional else build_network
    discriminator, generator = build(
        config.d_conv_dim,
        config.g_conv_dim,
        config.z_size,
        seed=config.seed,
        size=config.size,
        d_norm=config.d_norm,
        minibatch_stddev=config.minibatch_stddev,
        d_contrast=config.d_contrast,
    )
    layers = generator_layers(generator)
    if config.freeze >= len(layers):
        raise ArgumentError(f"freeze {config.freeze}: at least one of the {len(layers)} layers must be trained")
    for layer in layers[: config.freeze]:
        layer.requires_grad_(False)
    return discriminator, generator
