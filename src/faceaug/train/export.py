"""Export a run's newest checkpoint as a model folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from faceaug.data.tables import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import RefusedError, printable
from faceaug.synthesize.conditional import EMBEDDING
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.networks import SIZE
from faceaug.synthesize.weights import AnyGenerator, empty_generator, save_model
from faceaug.train.attributes import Attributes, drop_some
from faceaug.train.checkpoint import Checkpoint, checkpoints, part, read_checkpoint
from faceaug.train.config import TrainConfig
from faceaug.train.record import began_from, read_config

_STATISTICS_BATCHES, _BATCH = 64, 128  # at 32 pixels


def export_model(
    run: Path,
    out: Path,
    *,
    weights: Literal["average", "raw"] | None = None,
    name: str | None = None,
    license: str = "unknown",
    data: str = "",
    overwrite: bool = False,
) -> ModelConfig:
    """Export the newest checkpoint of a run as a model folder.

    Args:
        run: the run folder.
        out: the model folder to write.
        weights: "average" for the EMA, "raw" for the weights after the last step; None for the EMA if the run has one.
        name: name of the model; by default that of the run folder.
        license: license of the weights; for faces from CelebA "LicenseRef-CelebA-NonCommercial".
        data: description of the training faces for the model card: name, part and number.
        overwrite: replace files of a model's names in ``out`` that belong to something else.

    Returns:
        The config as written.

    Raises:
        RefusedError: the run has no checkpoint yet, or was written by a newer faceaug; or ``out`` holds something else.
        WeightsError: the checkpoint is damaged.

    Example:
        >>> from pathlib import Path
        >>> from faceaug.train import export_model
        >>> export_model(Path("run"), Path("my-faces"), name="my-faces").name  # doctest: +SKIP
        'my-faces'
    """
    found = checkpoints(run)
    if not found:
        raise RefusedError(f"{printable(run)}: no checkpoint in it yet")
    saved = read_checkpoint(found[-1])
    config = read_config(run)
    chosen = weights or ("average" if config.average_half_life else "raw")
    model = _model_config(config, name or run.resolve().name, license)
    generator = empty_generator(model)
    generator.load_state_dict(part(saved.tensors, "generator" if chosen == "raw" else "average"), assign=True)
    stored = saved.tensors.get("attributes/rows")
    rows = None if stored is None else stored.numpy()
    if chosen == "average":
        renew_statistics(generator, config, rows)
    facts = _facts(run, saved, config, data=data, weights=chosen)
    return save_model(out, generator, replace(model, training=facts), rows, overwrite=overwrite)


def _model_config(config: TrainConfig, name: str, license: str) -> ModelConfig:
    return ModelConfig(
        name=name,
        architecture=config.architecture,
        size=config.size,
        crop=config.crop,
        z_size=config.z_size,
        conv_dim=config.g_conv_dim,
        license=license,
        training={},
        attributes=ATTRIBUTES if config.conditional else (),
        embedding=EMBEDDING if config.conditional else 0,
    )


def _facts(run: Path, saved: Checkpoint, config: TrainConfig, *, data: str, weights: str) -> dict[str, Any]:
    """What the model card says of the training."""
    facts = {"data": data or f"{run.resolve().name}, see the run's log", "images_shown": saved.images}
    if (start := began_from(run)) is not None:
        facts["began_from"] = start
    if "faces" in saved.numbers:  # not in checkpoints of 0.1.0
        facts["faces"] = saved.numbers["faces"]
    facts |= _watched(saved.numbers.get("health", {}))
    return facts | {"weights": weights} | _recipe(config) | {"seed": config.seed, "faces_sha256": saved.faces}


def _watched(health: dict[str, Any]) -> dict[str, Any]:
    """What the watch saw last; of a run that went wrong, what."""
    if "diversity" not in health:  # of an older release, or before the first look
        return {}
    found = {"diversity": f"{health['diversity']:.2f} of that of real faces, at {health['images']:,} images"}
    return found | ({"warning": "; ".join(health["alarms"])} if health.get("alarms") else {})


def _recipe(config: TrainConfig) -> dict[str, Any]:
    """The training facts of the model card; features that were off are left out."""
    rates = f"{config.learning_rate}"
    if config.d_learning_rate:
        rates += f" (discriminator {config.d_learning_rate})"
    if config.decay != "none":
        rates += f", {config.decay} to {config.end_rate} of it"
    betas = f" ({config.beta1}, {config.beta2})" if config.optimizer == "adam" else ""
    found: dict[str, Any] = {
        "loss": config.loss,
        "batch": config.batch,
        "optimizer": f"{config.optimizer} {rates}{betas}",
        "discriminator": f"width {config.d_conv_dim}, {config.d_norm} norm",
        "mirrored": config.flip,
    }
    if config.r1 or config.r2:
        found["penalties"] = f"R1 {config.r1}, R2 {config.r2}, every {config.penalty_every} steps"
    if config.matching:
        found["features"] = f"of attributes-64, moments matched with weight {config.matching}"
    if config.projected:
        found["second discriminator"] = f"on features of {config.projected_on}, weight {config.projected}"
    if config.conditional:
        found["attributes"] = (
            f"named {config.aux_d}, obeyed {config.aux_g}, taught {config.teacher}, toggled {config.toggle}, "
            f"left out {config.drop_all} wholly, {config.drop_some} in part"
        )
    if config.operations:
        adapts = f", adapting to {config.augment_target}" if config.augment_target else ""
        found["augmentation"] = f"{config.augment} with probability {config.augment_p}{adapts}"
    return found


def statistics_batches(size: int) -> tuple[int, int]:
    """Number and size of the batches that measure batch-norm statistics: fewer where maps are larger."""
    larger = max(size // SIZE, 1)  # larger maps have more pixels to measure, and cost more
    return max(_STATISTICS_BATCHES // larger**2, 1), max(_BATCH // larger, 16)


@torch.no_grad()
def renew_statistics(generator: AnyGenerator, config: TrainConfig, rows: Attributes | None) -> None:
    """Recompute the batch-norm statistics of averaged weights.

    Averaged weights have activations that no training step had, so the running statistics do not fit them (Izmailov et
    al. 2018, "Averaging weights leads to wider optima", section 3.2).

    Args:
        generator: gets new statistics.
        config: seed, and shares of incomplete requests.
        rows: int8 (n, 40), attributes to request; None for an unconditional generator.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    generator.train()
    batches, batch = statistics_batches(generator.size)
    for k in range(batches):
        draws = stream(config.seed, index=k, slot="export/statistics")
        z = torch.from_numpy(draws.standard_normal((batch, generator.z_size), "f4"))
        if rows is None:
            generator(z)
        else:  # complete and incomplete requests, as in training
            asked = drop_some(rows[draws.integers(len(rows), size=len(z))], config, draws)
            generator(z, torch.from_numpy(asked.astype(np.float32)))
    for norm in norms:
        norm.momentum = 0.1
    generator.eval()
