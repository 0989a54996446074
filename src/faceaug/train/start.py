"""What a run starts from when it does not start from fresh weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from faceaug.errors import ArgumentError, printable
from faceaug.synthesize.weights import AnyGenerator, load_model
from faceaug.train.checkpoint import checkpoints, named, read_checkpoint, restore_optimizer
from faceaug.train.config import TrainConfig, fine_tuning
from faceaug.train.record import read_config

_LAYERS = ("architecture", "size", "z_size", "g_conv_dim")  # fields that decide a generator's layers
_TEACHERS = {"discriminator": "d_optimizer", "projected": "p_optimizer"}  # each with what moves its weights


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin with.

    Attributes:
        generator: of a model.
        taught: tensors of the run's checkpoint, by the names they have there; none for a model without its run.
    """

    generator: AnyGenerator
    taught: dict[str, Tensor] = field(default_factory=dict)

    def put(self, networks: dict[str, nn.Module], optimizers: dict[str, Optimizer]) -> set[str]:
        """Give them these weights and moments; a discriminator of another shape begins anew.

        Returns:
            The discriminators that have been taught before.
        """
        for name in ("generator", "average"):
            networks[name].load_state_dict(self.generator.state_dict())
        if self.taught:
            restore_optimizer(optimizers["g_optimizer"], self.taught, "g_optimizer")
        known = set()
        for name, optimizer in _TEACHERS.items():
            weights = named(self.taught, name)
            if weights and name in networks and _shapes(weights) == _shapes(networks[name].state_dict()):
                networks[name].load_state_dict(weights)
                restore_optimizer(optimizers[optimizer], self.taught, optimizer)
                known.add(name)
        return known


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def load_start(init: str | Path, config: TrainConfig) -> Start:
    """Read a model, and what taught it if ``init`` is a run folder: discriminators, and the moments of all optimizers.

    With another kind of optimizer the moments mean nothing and stay behind.

    Raises:
        ArgumentError: no such model, or its layers have other sizes than the config's.
        RefusedError: the run was written by a newer faceaug.
        WeightsError: model or checkpoint is damaged.
    """
    model = load_model(init)
    layers = {name: getattr(fine_tuning(model.config), name) for name in _LAYERS}
    if other := {name: value for name, value in layers.items() if value != getattr(config, name)}:
        listed = ", ".join(f"{name}={value}" for name, value in other.items())
        raise ArgumentError(
            f"init {printable(init)}: its layers have other sizes than this config's; expected {listed} "
            "(choose_config, or --init without --preset, takes what fits)"
        )
    kept = checkpoints(Path(init))
    if not kept:
        return Start(model.generator)
    taught = read_checkpoint(kept[-1]).tensors
    if read_config(Path(init)).optimizer != config.optimizer:
        taught = {name: tensor for name, tensor in taught.items() if "_optimizer/" not in name}
    return Start(model.generator, taught)


def generator_layers(network: nn.Module) -> list[nn.ModuleList]:
    """A generator's layers from the latent vector on: the linear ones before the first map, then map by map."""
    found: dict[str, nn.ModuleList] = {}
    for name, module in network.named_children():
        number = name.lstrip("abcdefghijklmnopqrstuvwxyz_")
        place = number or ("first" if isinstance(module, nn.Linear) else "last")
        found.setdefault(place, nn.ModuleList()).append(module)
    return list(found.values())
