"""Weights that a run starts from instead of fresh ones."""

from __future__ import annotations

import warnings
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

_LAYERS = ("architecture", "size", "z_size", "g_conv_dim")  # fields that determine a generator's layers
_DISCRIMINATORS = {"discriminator": "d_optimizer", "projected": "p_optimizer"}  # each with its optimizer


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Attributes:
        generator: of a model.
        trained: tensors of the run's checkpoint, by their names there; empty for a model without its run.
    """

    generator: AnyGenerator
    trained: dict[str, Tensor] = field(default_factory=dict)

    def put(self, networks: dict[str, nn.Module], optimizers: dict[str, Optimizer]) -> set[str]:
        """Load these weights and moments; a discriminator with other layers keeps its fresh weights.

        Returns:
            The names of the discriminators that were loaded.
        """
        for name in ("generator", "average"):
            networks[name].load_state_dict(self.generator.state_dict())
        if self.trained:
            restore_optimizer(optimizers["g_optimizer"], self.trained, "g_optimizer")
        loaded = set()
        for name, optimizer in _DISCRIMINATORS.items():
            weights = named(self.trained, name)
            if weights and name in networks and _shapes(weights) == _shapes(networks[name].state_dict()):
                networks[name].load_state_dict(weights)
                restore_optimizer(optimizers[optimizer], self.trained, optimizer)
                loaded.add(name)
        return loaded


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def load_start(init: str | Path, config: TrainConfig) -> Start:
    """Read a model; from a run folder also the discriminators and the moments of all optimizers.

    The moments are left out if the config has another kind of optimizer.

    Raises:
        ArgumentError: there is no such model, or its layers have other sizes than the config's.
        RefusedError: the run was written by a newer faceaug.
        WeightsError: the model or the checkpoint is damaged.
    """
    model = load_model(init)
    layers = {name: getattr(fine_tuning(model.config), name) for name in _LAYERS}
    if other := {name: value for name, value in layers.items() if value != getattr(config, name)}:
        listed = ", ".join(f"{name}={value}" for name, value in other.items())
        raise ArgumentError(
            f"init {printable(init)}: its layers have other sizes than this config's; expected {listed} "
            "(choose_config, or --init without --preset, chooses a config that fits)"
        )
    if model.config.latent != "normal":
        warnings.warn(
            f"init {printable(init)}: was trained with {model.config.latent} latents and goes on with normal ones, so "
            "its faces are worse at first",
            stacklevel=2,
        )
    kept = checkpoints(Path(init))
    if not kept:
        return Start(model.generator)
    trained = read_checkpoint(kept[-1]).tensors
    if read_config(Path(init)).optimizer != config.optimizer:
        trained = {name: tensor for name, tensor in trained.items() if "_optimizer/" not in name}
    return Start(model.generator, trained)


def generator_layers(network: nn.Module) -> list[nn.ModuleList]:
    """List a generator's layers from the latents on: the linear ones before the first map, then one per map."""
    found: dict[str, nn.ModuleList] = {}
    for name, module in network.named_children():
        number = name.lstrip("abcdefghijklmnopqrstuvwxyz_")
        place = number or ("first" if isinstance(module, nn.Linear) else "last")
        found.setdefault(place, nn.ModuleList()).append(module)
    return list(found.values())
