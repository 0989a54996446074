"""The options of an evaluation, checked once and passed on as one object."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from faceaug.data.crop import CROPS, Crop
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.evaluate.comparison_classifier import Schooling
from faceaug.evaluate.features import Extractor
from faceaug.mix.copies import Recipe
from faceaug.train.processes import open_device

LEAST_FACES = 10  # faces of a kind; with fewer, five neighbours are most of the others
SMALLEST_SIDE = 8  # pixels
MOST_REAL = 25_000
N_FACES = 5000
REQUESTS = 50
SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """The faces that the arms add to the real ones.

    Attributes:
        copies: augmented copies per real face.
        synthetic: number of synthetic faces: a float is a share of the real ones, an int a count.
        recipe: recipe of the copies; see ``expand_dataset``.
        filter: whether to filter synthetic faces by comparison with real ones and by the classifier.
    """

    copies: int = 4
    synthetic: float | int = 1.0
    recipe: Recipe | None = None
    filter: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UsefulnessOptions:
    """The options of ``evaluate_usefulness`` that other evaluations do not have.

    Attributes:
        attributes: attributes to learn; None is the ten rarest learnable ones.
        fraction: training rows to use: a float is a share, an int a count.
        seeds: number of trainings per arm.
        recipes: faces that the arms add.
        schooling: training settings of the classifiers.
    """

    attributes: tuple[str, ...] | None = None
    fraction: float | int = 1.0
    seeds: int = SEEDS
    recipes: Recipes = field(default_factory=Recipes)
    schooling: Schooling = field(default_factory=Schooling)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ArgumentError(f"seeds {self.seeds}: expected at least 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationOptions:
    """The options of an evaluation; ``evaluate_source`` describes them.

    Attributes:
        n: number of faces to evaluate.
        extractor: extractor of the features; None is the default of each part.
        partition: rows the model may have been trained on.
        against: unseen rows.
        real: largest number of real faces of each kind.
        seed: seed of all draws.
        weights: file with the extractor's weights.
        download: whether models and weights may be downloaded.
        device: device of the computation; None is the CPU.
        requests: number of faces requested with each attribute, and without it.
        crop: crop of the real pictures where the evaluated faces are those of a folder.
        size: height and width to which pictures are resized there, pixels.
        usefulness: the options of ``evaluate_usefulness``.

    Raises:
        ArgumentError: an option is out of its range.
    """

    n: int = N_FACES
    extractor: str | Extractor | nn.Module | None = None
    partition: str | None = None
    against: str | None = None
    real: int = MOST_REAL
    seed: int = 0
    weights: str | Path | None = None
    download: bool = False
    device: str | torch.device | None = None
    requests: int = REQUESTS
    crop: Crop | None = None
    size: int | None = None
    usefulness: UsefulnessOptions = field(default_factory=UsefulnessOptions)

    def __post_init__(self) -> None:
        if self.n < LEAST_FACES or self.real < LEAST_FACES:
            raise ArgumentError(f"n {self.n}, real {self.real}: expected at least {LEAST_FACES} faces of each")
        check_seed(self.seed)
        if self.crop is not None and self.crop not in CROPS:
            raise ArgumentError(f"crop {self.crop!r}: expected one of {', '.join(CROPS)}")
        if self.size is not None and self.size < SMALLEST_SIDE:
            raise ArgumentError(f"size {self.size}: expected at least {SMALLEST_SIDE} pixels")
        if self.device is not None:
            open_device(self.device)
