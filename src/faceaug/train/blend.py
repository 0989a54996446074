"""One model out of several that went on from the same one: the mean of their weights.

Runs that part late lie in one valley of the loss, and the mean of their weights lies deeper in it than any of them
(Wortsman et al. 2022, "Model soups"); it costs nothing when faces are made. Models with different first weights lie in
different valleys, and their mean makes no faces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from faceaug.errors import ArgumentError, printable
from faceaug.synthesize.weights import Model, ModelConfig, load_model, save_model
from faceaug.train.config import TrainConfig
from faceaug.train.export import renew_statistics

_SAME = ("architecture", "size", "crop", "z_size", "conv_dim", "attributes", "embedding", "latent")


def blend_models(
    shares: Mapping[str | Path, float], out: Path, *, name: str, license: str = "unknown", data: str = "", seed: int = 0
) -> ModelConfig:
    """Write the weighted mean of models as a model folder. Statistics of batch norm are measured anew.

    Args:
        shares: models, by name or folder, and what each weighs; 2 and 2 are the same as 0.5 and 0.5.
        out: the model folder to write.
        name: of the new model.
        license: of its weights; that of the faces all of them learnt from.
        data: what the faces were, for the card; what the first model says by default.
        seed: of the faces that measure the statistics.

    Returns:
        The config as written. ``training`` says what was blended, and what each of them had been shown.

    Raises:
        ArgumentError: fewer than two models, a share that is not above zero, or models of different layers.
        WeightsError: a model is damaged.
    """
    if len(shares) < 2 or not all(0 < share < math.inf for share in shares.values()):
        raise ArgumentError("a blend takes two models or more, and a share above zero of each")
    models = [load_model(model) for model in shares]
    first, total = models[0], math.fsum(shares.values())
    for model, where in zip(models, shares, strict=True):
        if wrong := [field for field in _SAME if getattr(model.config, field) != getattr(first.config, field)]:
            raise ArgumentError(f"{printable(where)}: its {wrong[0]} is not that of the first model of the blend")
    weights = [share / total for share in shares.values()]
    generator = first.generator
    states = [model.generator.state_dict() for model in models]
    with torch.no_grad():
        for key, tensor in generator.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(sum(w * state[key].double() for w, state in zip(weights, states, strict=True)))
    config = TrainConfig(size=generator.size, z_size=generator.z_size, seed=seed)
    renew_statistics(generator, config, first.rows)
    training = {
        "data": data or first.config.training.get("data", "unknown"),
        "weights": "mean of models: " + "; ".join(_described(m, w) for m, w in zip(models, weights, strict=True)),
        "seed": seed,
    }
    written = replace(first.config, name=name, license=license, training=training)
    return save_model(out, generator, written, first.rows)


def _described(model: Model, weight: float) -> str:
    facts = model.config.training
    found = f"{weight:.2f} of {model.config.name}"
    if "images_shown" in facts:
        found += f", {facts['images_shown']:,} images shown"
    return f"{found}, which began from {facts['began_from']}" if "began_from" in facts else found
