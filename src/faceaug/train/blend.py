"""The mean of the weights of several models that were trained from the same one.

Runs that branch late stay in one basin of the loss, and the mean of their weights is often better than any of them, at
the same cost of generation (Wortsman et al. 2022, "Model soups"). Models with different initial weights lie in
different basins, and their mean generates no faces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from faceaug.errors import ArgumentError, printable
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.weights import load_model, save_model
from faceaug.train.config import TrainConfig
from faceaug.train.export import renew_statistics
from faceaug.train.record import lineage

_SAME = ("architecture", "size", "crop", "z_size", "conv_dim", "channels", "attributes", "embedding", "latent")
_OWN = ("data", "weights", "seed", "images_shown", "began_from")  # facts of one run alone
_UNKNOWN = "unknown"  # the licence that a run gives its model


def blend_models(
    shares: Mapping[str | Path, float], out: Path, *, name: str, data: str = "", seed: int = 0
) -> ModelConfig:
    """Write the weighted mean of models as a model folder, with new batch-norm statistics.

    The licence is that of the models; models with an unknown licence take that of the others.

    Args:
        shares: weight of each model, by name or folder; 2 and 2 mean the same as 0.5 and 0.5.
        out: the model folder to write.
        name: name of the new model.
        data: description of the training faces for the model card; by default that of the first model.
        seed: seed of the latents that measure the statistics.

    Returns:
        The config as written. ``training`` lists the models and the images each was shown.

    Raises:
        ArgumentError: there are fewer than two models, a share is not positive, or layers or licences differ.
        RefusedError: ``out`` holds something else.
        WeightsError: a model is damaged.

    Example:
        >>> from pathlib import Path
        >>> from faceaug.train import blend_models
        >>> blend_models({"dcgan-32": 0.6, "mine": 0.4}, Path("blend"), name="blend").name  # doctest: +SKIP
        'blend'
    """
    if len(shares) < 2 or not all(0 < share < math.inf for share in shares.values()):
        raise ArgumentError("a blend takes two models or more, each with a share above zero")
    models = [load_model(model) for model in shares]
    first = models[0]
    for model, where in zip(models, shares, strict=True):
        if wrong := [field for field in _SAME if getattr(model.config, field) != getattr(first.config, field)]:
            raise ArgumentError(f"{printable(where)}: its {wrong[0]} is not that of the first model of the blend")
    terms = {model.config.license for model in models} - {_UNKNOWN}
    if len(terms) > 1:
        raise ArgumentError(f"the models have different licences, {' and '.join(sorted(terms))}; blend those of one")
    total = math.fsum(shares.values())
    weights = [share / total for share in shares.values()]
    generator = first.generator
    states = [model.generator.state_dict() for model in models]
    with torch.no_grad():
        for key, tensor in generator.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(sum(w * state[key].double() for w, state in zip(weights, states, strict=True)))
    config = TrainConfig(size=generator.size, z_size=generator.z_size, seed=seed)
    renew_statistics(generator, config, first.rows)
    parts = [f"{weight:.2f} of {lineage(model.config)}" for model, weight in zip(models, weights, strict=True)]
    training = {
        "data": data or first.config.training.get("data", "unknown"),
        "weights": "mean of models: " + "; ".join(parts),
        **_shared([model.config.training for model in models]),
        "seed": seed,
    }
    written = replace(first.config, name=name, license=terms.pop() if terms else _UNKNOWN, training=training)
    return save_model(out, generator, written, first.rows)


def _shared(trainings: list[dict[str, Any]]) -> dict[str, Any]:
    """The training facts that all models share."""
    first, *others = trainings
    return {
        fact: value
        for fact, value in first.items()
        if fact not in _OWN and all(other.get(fact) == value for other in others)
    }
