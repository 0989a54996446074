"""Cards of attribute classifiers: how well they recognise each attribute, and what they are not for."""

from __future__ import annotations

from typing import Any

from faceaug.synthesize.cards import terms
from faceaug.synthesize.config import ClassifierConfig


def classifier_card(config: ClassifierConfig, metrics: dict[str, Any] | None) -> str:
    """Write the card as Markdown with Hugging Face front matter.

    Args:
        config: config of the classifier.
        metrics: from ``faceaug.train.classifier.measure``; None if it was not measured on unseen faces.
    """
    facts = "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in config.training.items())
    return f"""---
license: other
license_name: {config.license}
library_name: faceaug
pipeline_tag: image-classification
tags: [faces, attributes, multi-label-classification]
---
# {config.name}

Says which of {len(config.attributes)} attributes a face shows: `load_classifier("{config.name}").logits(faces)`,
above 0 means yes. It serves filtering and measuring generated faces.

| | |
|---|---|
| architecture | {config.architecture}, looks at {config.size}x{config.size} pixels |
| crop | {config.crop} of the picture |
| licence of the weights | {config.license} |
{facts}

{"It was not measured on unseen faces." if metrics is None else _figures(metrics)}
{terms(config.license)}
## Not for

Deciding anything about people, nor identifying them. It repeats what annotators of celebrity photos thought they saw:
words such as attractive, young or male are their impressions, not facts, and they were unequally careful.
"""


def _figures(metrics: dict[str, Any]) -> str:
    sizes = list(metrics["sizes"])
    head = "".join(f" accuracy, {size} px | balanced, {size} px |" for size in sizes)
    lines = [_line(name, metrics, sizes) for name in metrics["prevalence"]]
    lines.append(f"| **mean** | {_mean(metrics['prevalence']):.1%} |" + _means(metrics, sizes))
    table = "\n".join(lines)
    return f"""## How well it sees

On {metrics["n"]:,} faces of the {metrics["partition"]} partition, which were used for nothing else. Balanced accuracy
is the mean of the shares recognised of faces with and of faces without the attribute: 50 % is guessing. Both are at
the threshold that balances the two kinds of error, so for rare attributes the plain accuracy can be below that of
always saying no. Faces of 32 pixels are the same faces, reduced and enlarged again.

| attribute | has it |{head}
|---|---:|{"---:|" * (2 * len(sizes))}
{table}
"""


def _line(name: str, metrics: dict[str, Any], sizes: list[str]) -> str:
    cells = "".join(
        f" {metrics['sizes'][size]['accuracy'][name]:.1%} | {metrics['sizes'][size]['balanced_accuracy'][name]:.1%} |"
        for size in sizes
    )
    return f"| {name} | {metrics['prevalence'][name]:.1%} |{cells}"


def _means(metrics: dict[str, Any], sizes: list[str]) -> str:
    return "".join(
        f" {_mean(metrics['sizes'][size]['accuracy']):.1%} | {_mean(metrics['sizes'][size]['balanced_accuracy']):.1%} |"
        for size in sizes
    )


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)
