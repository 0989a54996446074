"""The config.json of a model: of a generator, and of an attribute classifier."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from faceaug.data.crop import Crop
from faceaug.synthesize.attribute_network import SIDE
from faceaug.synthesize.networks import SIZE

FORMAT = 1
Architecture: TypeAlias = Literal["dcgan", "dcgan-relu", "film-subpixel"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Everything needed to build a generator and to compare its faces with real ones.

    Attributes:
        name: name of the model.
        architecture: "dcgan"; "dcgan-relu", an imported one with a ReLU behind the first layer too and widths of its
            own; or "film-subpixel", which takes attributes.
        size: height and width of a face, pixels.
        crop: crop of the training pictures; see ``faceaug.data.crop``.
        z_size: length of the latent vector.
        conv_dim: width of the network.
        channels: of a "dcgan-relu", channels of the inner maps, from 4x4 on.
        attributes: names of the attributes it takes, in input order; empty if it takes none.
        embedding: size of the attribute embedding.
        latent: distribution of the latent vector: "normal", N(0, 1), or "uniform", U(-1, 1).
        license: licence of the weights.
        training: facts about the training run, for the card.
        sha256: hash of the weights file.
        format: version of the config format.

    Example:
        >>> from faceaug.synthesize import ModelConfig
        >>> ModelConfig(name="mine", size=64, training={}).architecture
        'dcgan'
    """

    name: str
    architecture: Architecture = "dcgan"
    size: int = SIZE
    crop: Crop = "center178"
    z_size: int = 100
    conv_dim: int = 64
    channels: tuple[int, ...] = ()
    attributes: tuple[str, ...] = ()
    embedding: int = 0
    latent: str = "normal"
    license: str = "unknown"
    training: dict[str, Any]
    sha256: str = ""
    format: int = FORMAT

    def digest(self) -> str:
        """SHA-256 over everything that decides the faces and how they compare with real ones, hex.

        Name, licence and training facts are left out: they are only text.
        """
        decides = {key: value for key, value in asdict(self).items() if key not in {"name", "license", "training"}}
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


CLASSIFIER_ARCHITECTURE = "attributes-resnet"
CLASSIFIER_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """Everything needed to build a classifier and to interpret its outputs.

    Attributes:
        name: name of the model.
        architecture: "attributes-resnet".
        size: height and width of the network's input, pixels; other faces are resized.
        crop: crop of the training pictures; see ``faceaug.data.crop``.
        attributes: names of the outputs, in order.
        prevalence: share of training faces that have each attribute, 0 to 1.
        balanced_accuracy: mean recall of faces with and without each attribute, on held-out training faces.
        license: licence of the weights.
        training: facts about the training run, for the card.
        sha256: hash of the weights file.
        format: version of the config format.
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
