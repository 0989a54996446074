"""What config.json says of a model: of a generator, and of a classifier of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from faceaug.data.crop import Crop
from faceaug.synthesize.attribute_network import SIDE
from faceaug.synthesize.networks import SIZE

FORMAT = 1
Architecture: TypeAlias = Literal["dcgan", "film-subpixel"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is needed to build a generator and to put its faces beside real ones.

    Attributes:
        name: of the model.
        architecture: "dcgan", or "film-subpixel", which obeys attributes.
        size: height and width of a face, pixels.
        crop: how real pictures were cut before training; see ``faceaug.data.crop``.
        z_size: length of the latent vector.
        conv_dim: width of the network.
        attributes: names of those it obeys, in the order of its input; empty where it knows none.
        embedding: numbers that stand for the attributes in the network.
        latent: distribution of the latent vector: "normal", N(0, 1), or "uniform", U(-1, 1).
        license: licence of the weights.
        training: facts about the run that made them, for the card.
        sha256: of the weights file.
        format: version of this layout.
    """

    name: str
    architecture: Architecture = "dcgan"
    size: int = SIZE
    crop: Crop = "center178"
    z_size: int = 100
    conv_dim: int = 64
    attributes: tuple[str, ...] = ()
    embedding: int = 0
    latent: str = "normal"
    license: str = "unknown"
    training: dict[str, Any]
    sha256: str = ""
    format: int = FORMAT


CLASSIFIER_ARCHITECTURE = "attributes-resnet"
CLASSIFIER_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """What is needed to build a classifier and to read its answers.

    Attributes:
        name: of the model.
        architecture: "attributes-resnet".
        size: height and width of what it looks at, pixels; other faces are resized.
        crop: how pictures were cut before training; see ``faceaug.data.crop``.
        attributes: what its outputs mean, in order.
        prevalence: share of the training faces that have each attribute, 0 to 1.
        balanced_accuracy: mean of the shares of faces with and without each attribute that are recognised, on training
            faces that were held back.
        license: licence of the weights.
        training: facts about the run that made them, for the card.
        sha256: of the weights file.
        format: version of this layout.
    """

    name: str
    architecture: str = CLASSIFIER_ARCHITECTURE
    size: int = SIDE
    crop: Crop = "center178"
    attributes: tuple[str, ...]
    prevalence: tuple[float, ...]
    balanced_accuracy: tuple[float, ...]
    license: str = "unknown"
    training: dict[str, Any]
    sha256: str = ""
    format: int = CLASSIFIER_FORMAT
