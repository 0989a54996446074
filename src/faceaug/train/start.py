"""What a run starts from when it does not start from fresh weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from faceaug.errors import ArgumentError, printable
from faceaug.synthesize.weights import AnyGenerator, load_model
from faceaug.train.checkpoint import checkpoints, part, read_checkpoint
from faceaug.train.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin with.

    Attributes:
        generator: of a model.
        discriminator: state dict of the one that taught it; None for a model without its run.
    """

    generator: AnyGenerator
    discriminator: dict[str, Tensor] | None = None

    def put(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Give them these weights; a discriminator of another shape begins anew."""
        generator.load_state_dict(self.generator.state_dict())
        wanted = {name: tensor.shape for name, tensor in discriminator.state_dict().items()}
        if self.discriminator and {name: tensor.shape for name, tensor in self.discriminator.items()} == wanted:
            discriminator.load_state_dict(self.discriminator)


def load_start(init: str | Path, config: TrainConfig) -> Start:
    """Read a model, and the discriminator beside it if ``init`` is a run folder.

    Raises:
        ArgumentError: no such model, or its layers have other sizes than the config's.
        WeightsError: model or checkpoint is damaged.
    """
    model = load_model(init)
    found = (model.config.architecture, model.config.z_size, model.config.conv_dim, model.config.size)
    if found != (config.architecture, config.z_size, config.g_conv_dim, config.size):
        raise ArgumentError(f"init {printable(init)}: its layers have other sizes than this config's")
    kept = checkpoints(Path(init))
    return Start(model.generator, part(read_checkpoint(kept[-1]).tensors, "discriminator") if kept else None)


def generator_layers(network: nn.Module) -> list[nn.ModuleList]:
    """A generator's layers from the latent vector on: the linear ones before the first map, then map by map."""
    found: dict[str, nn.ModuleList] = {}
    for name, module in network.named_children():
        number = name.lstrip("abcdefghijklmnopqrstuvwxyz_")
        place = number or ("first" if isinstance(module, nn.Linear) else "last")
        found.setdefault(place, nn.ModuleList()).append(module)
    return list(found.values())
