"""Model cards: what a generator is, what it was trained on, what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faceaug.synthesize.config import ModelConfig

_CELEBA = "LicenseRef-CelebA-NonCommercial"
_CELEBA_TERMS = """
## Data and licence

Learnt from CelebA (Z. Liu, P. Luo, X. Wang, X. Tang: Deep Learning Face Attributes in the Wild, ICCV 2015). Its terms
allow non-commercial research only and extend to what is derived from it. So these weights, and the faces they make,
are for non-commercial research and teaching, whatever the licence of the code beside them.
"""
_OWN_TERMS = """
## Data and licence

Trained with faceaug on the folder named above. What the terms of those pictures allow is for the trainer to say here.
"""
_CELEBA_BIAS = "\nCelebA shows celebrities: mostly young, mostly light-skinned, smiling at a camera."


_OBEYS = """
It obeys forty attributes, those of CelebA, each asked for (1), asked to be absent (-1) or left open (0):
`SyntheticFaceSource("{name}", attributes={{"Eyeglasses": 1, "Male": -1}})`. Beside its weights it holds some thousand
combinations of attributes that occur together in the faces it learnt from, without names or pictures, from which it
takes what was not asked for. Attributes are what annotators saw in pictures; they say nothing about who somebody is.
"""


def model_card(config: ModelConfig, metrics: Mapping[str, Any] | None = None) -> str:
    """Write the card of a generator as Markdown with Hugging Face front matter.

    Args:
        config: config of the model.
        metrics: the JSON of an ``EvaluationReport``, for a section of figures.
    """
    from_celeba = config.license == _CELEBA
    conditional = bool(config.attributes)
    facts = "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in config.training.items())
    return f"""---
license: other
license_name: {config.license}
library_name: faceaug
pipeline_tag: {"other" if conditional else "unconditional-image-generation"}
tags: [faces, gan, {"conditional" if conditional else "dcgan"}, synthetic-data]
---
# {config.name}

Makes {config.size}x{config.size} faces of nobody, for enlarging training sets and for teaching:
`SyntheticFaceSource("{config.name}")`.
{_OBEYS.format(name=config.name) if conditional else ""}
| | |
|---|---|
| architecture | {config.architecture}, {config.z_size} {config.latent} latents, width {_width(config)} |
| crop | {config.crop} of the picture, averaged down to {config.size}x{config.size} |
| licence of the weights | {config.license} |
{facts}
{"" if metrics is None else _figures(metrics)}{terms(config.license)}
## Not for

Identifying or imitating people, nor as evidence that a data set is fair: the faces repeat the biases of the pictures
they were learnt from.{_CELEBA_BIAS if from_celeba else ""}
They are low in detail, and many show the usual faults of a small GAN. Every file faceaug writes from this model is
marked as synthetic.
"""


def _width(config: ModelConfig) -> str:
    return ", ".join(map(str, config.channels)) if config.channels else f"{config.conv_dim}"


def _figures(metrics: Mapping[str, Any]) -> str:
    """The card's section of figures with their controls."""
    measures = ("precision", "recall", "density", "coverage")
    distances = [key for key in metrics["figures"][0] if key.startswith(("frechet", "kernel", "fid", "kid"))][:2]
    head = ("faces", "against", *(key.replace("_", " ") for key in distances), *measures)
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for row in metrics["figures"]:
        numbers = [f"{row[distances[0]]:.2f}", f"{row[distances[1]]:.5f}", *(f"{row[name]:.3f}" for name in measures)]
        of = f"{'control: ' * row['control']}{row['n']:,} {row['of']}"
        lines.append(f"| {of} | {row['reference_n']:,} {row['against']} | {' | '.join(numbers)} |")
    m = metrics["memorisation"]
    return f"""
## Figures

Measured by `faceaug evaluate` with features of {metrics["extractor"]}, crop {metrics["crop"]}, {metrics["size"]} px,
seed {metrics["seed"]}; all numbers are in `metrics.json`. They compare with figures of the same features, crop, size
and number of faces only.

{chr(10).join(lines)}

Memorisation: a generated face is {m["median_distance"]:.3f} from its nearest training face (median; unseen real faces:
{m["unseen_median_distance"]:.3f}); authenticity {m["authenticity"]:.1%} (unseen real faces:
{m["unseen_authenticity"]:.1%}); copies of training faces: {len(m["copies"])} of {metrics["n"]:,}.
"""


def terms(license: str) -> str:
    """The card's section on data and licence."""
    return _CELEBA_TERMS if license == _CELEBA else _OWN_TERMS
