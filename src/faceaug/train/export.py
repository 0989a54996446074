"""A run's weights as a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from faceaug.draws import stream
from faceaug.errors import RefusedError, printable
from faceaug.synthesize.networks import Generator
from faceaug.synthesize.weights import ModelConfig, save_model
from faceaug.train.checkpoint import checkpoints, part, read_checkpoint
from faceaug.train.config import TrainConfig

_STATISTICS_BATCHES, _BATCH = 64, 128


def export_model(
    run: Path,
    out: Path,
    *,
    weights: Literal["average", "raw"] = "average",
    name: str | None = None,
    license: str = "unknown",
    data: str = "",
) -> ModelConfig:
    """Write the newest checkpoint of a run as a model folder.

    Args:
        run: the trainer's folder.
        out: the model folder to write.
        weights: the running average, or the weights as the last step left them.
        name: of the model; the run folder's by default.
        data: what the faces were, for the card: name, part and number.
        license: of the weights; for faces from CelebA "LicenseRef-CelebA-NonCommercial".

    Returns:
        The config as written.
    """
    found = checkpoints(run)
    if not found:
        raise RefusedError(f"{printable(run)}: no checkpoint in it yet")
    saved = read_checkpoint(found[-1])
    fields = json.loads((run / "config.json").read_bytes())["run"]
    fields.pop("init", None)
    config = TrainConfig(**fields)
    with torch.device("meta"):  # no random numbers are spent on weights that are replaced at once
        generator = Generator(config.z_size, config.g_conv_dim)
    generator.load_state_dict(part(saved.tensors, "generator" if weights == "raw" else "average"), assign=True)
    if weights == "average":
        renew_statistics(generator, config.seed)
    facts = {
        "data": data or f"{run.resolve().name}, see the run's log",
        "images_shown": saved.images, "weights": weights, "loss": "non-saturating", "batch": config.batch,
        "optimizer": f"Adam {config.learning_rate} ({config.beta1}, {config.beta2})", "mirrored": config.flip,
        "seed": config.seed, "faces_sha256": saved.faces,
    }  # fmt: skip
    model = ModelConfig(
        name=name or run.resolve().name, size=config.size, crop=config.crop, z_size=config.z_size,
        conv_dim=config.g_conv_dim, license=license, training=facts,
    )  # fmt: skip
    return save_model(out, generator, model)


@torch.no_grad()
def renew_statistics(generator: Generator, seed: int) -> None:
    """Measure the batch-norm statistics anew.

    An average of weights has activations that no step of the training had, so the statistics collected on the way
    do not fit it (Izmailov et al. 2018, "Averaging weights leads to wider optima", section 3.2).
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    generator.train()
    for k in range(_STATISTICS_BATCHES):
        numbers = stream(seed, index=k, slot="export/statistics").standard_normal((_BATCH, generator.z_size), "f4")
        generator(torch.from_numpy(numbers))
    for norm in norms:
        norm.momentum = 0.1
    generator.eval()
