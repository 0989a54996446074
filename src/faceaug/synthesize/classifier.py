"""The attribute classifier: a small network trained on real faces, bundled and loaded like the generators."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from faceaug.data.crop import CROPS
from faceaug.errors import ArgumentError, WeightsError, printable
from faceaug.storage.files import write_bytes, write_json
from faceaug.storage.schema import checked_fields, parse_object
from faceaug.synthesize.attribute_network import SIDE, AttributeNetwork, Block
from faceaug.synthesize.classifier_card import classifier_card
from faceaug.synthesize.config import CLASSIFIER_ARCHITECTURE, CLASSIFIER_FORMAT, ClassifierConfig
from faceaug.synthesize.weights import (
    BUNDLED_FOLDER,
    CARD,
    CONFIG,
    MODEL_FILES,
    WEIGHTS,
    check_model_folder,
    check_pin,
    dump_network,
    fill_network,
    find_model,
    read_part,
    read_weights,
)

DEFAULT_CLASSIFIER = "attributes-64"
# SHA-256 of each config.json in the wheel, as for the generators.
BUNDLED_CLASSIFIERS: dict[str, str] = {
    "attributes-64": "2236ad7064b6d4537af6af27db4250da044cd9e1ba3e898e8fbef3c874668eba",
}
METRICS = "metrics.json"
CLASSIFIER_FILES = (*MODEL_FILES, METRICS)
LEAST_SIDE = 16  # pixels: smaller faces are unrecognisable
_BLOCK = 64  # batch size: always the same, so that results do not depend on the batch; see ``render.BLOCK``
_MOST = 4096  # attributes


class AttributeClassifier:
    """Recognises the attributes of faces.

    Args:
        config: config of the model.
        network: the network with its weights; thresholds are part of the last layer.
        device: where to compute; the CPU by default.

    Attributes:
        config: config of the model.
        attributes: names of the output columns.
        balanced_accuracy: float32 (a,), 0.5 is chance; see ``ClassifierConfig``.
        prevalence: float32 (a,), share of training faces that have each attribute.
        network: float32 (n, 3, 64, 64) in -1..1 -> logits (n, a); in evaluation mode.

    Example:
        >>> import numpy as np
        >>> from faceaug.synthesize.classifier import load_classifier
        >>> classifier = load_classifier()
        >>> classifier.logits(np.zeros((2, 3, 64, 64), np.uint8)).shape
        (2, 40)
    """

    def __init__(
        self, config: ClassifierConfig, network: AttributeNetwork, *, device: str | torch.device | None = None
    ) -> None:
        self.config = config
        self.attributes = config.attributes
        self.balanced_accuracy = np.array(config.balanced_accuracy, np.float32)
        self.prevalence = np.array(config.prevalence, np.float32)
        self._device = torch.device(device or "cpu")
        self.network = _folded(network).to(self._device).to(memory_format=torch.channels_last)

    def logits(self, faces: NDArray[np.uint8] | Tensor) -> NDArray[np.float32]:
        """Logits of each attribute, with thresholds that balance both kinds of error.

        Above 0 means yes, below 0 no. They are log odds for attributes that occur in half of the faces. A face's logits
        do not depend on the other faces in the call.

        Args:
            faces: uint8 (n, 3, H, W), at least 16 pixels wide and high; cropped according to ``config.crop``.

        Returns:
            float32 (n, a).

        Raises:
            ArgumentError: another type or shape.
        """
        return self._each(faces, self.network, len(self.attributes))

    def probabilities(self, faces: NDArray[np.uint8] | Tensor) -> NDArray[np.float32]:
        """Probabilities of each attribute at the prevalence of the training faces.

        For a rare attribute a positive logit is wrong more often than not; a probability above 0.5 takes that into
        account.

        Args:
            faces: see ``logits``.

        Returns:
            float32 (n, a), 0 to 1.
        """
        return self.as_probabilities(self.logits(faces))

    def as_probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert logits to probabilities, see ``probabilities``: float32 (n, a)."""
        prior = np.log(self.prevalence) - np.log1p(-self.prevalence)
        return sigmoid(logits + prior)

    def features(self, faces: NDArray[np.uint8] | Tensor) -> NDArray[np.float32]:
        """Input of the last layer: float32 (n, 256). Faces with similar attributes have similar features."""
        return self._each(faces, self.network.features, self.network.fc.in_features)

    @torch.inference_mode()
    def _each(self, faces: NDArray[np.uint8] | Tensor, function: Any, width: int) -> NDArray[np.float32]:
        pixels = _checked(faces)
        found = np.empty((len(pixels), width), np.float32)
        for start in range(0, len(pixels), _BLOCK):
            part = pixels[start : start + _BLOCK]
            block = part.new_zeros(_BLOCK, *part.shape[1:])
            block[: len(part)] = part
            seen = as_input(block.to(self._device)).contiguous(memory_format=torch.channels_last)
            found[start : start + _BLOCK] = function(seen)[: len(part)].float().cpu().numpy()
        return found


def as_input(faces: Tensor) -> Tensor:
    """Convert faces to network input: uint8 (n, 3, H, W) -> float32 (n, 3, 64, 64) in -1..1."""
    return as_wide(faces.float().div_(127.5).sub_(1.0))


def as_wide(faces: Tensor) -> Tensor:
    """Resize faces to the network's input: float (n, 3, H, W) -> (n, 3, 64, 64), float32 if resized."""
    if faces.shape[2:] == (SIDE, SIDE):
        return faces
    return F.interpolate(faces.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(np.float32(0), -values))


def load_classifier(
    classifier: str | Path | None = None, *, device: str | torch.device | None = None
) -> AttributeClassifier:
    """Load an attribute classifier.

    Args:
        classifier: a bundled name, a model folder or a trainer's run folder; None is ``attributes-64``.
        device: where to compute; the CPU by default.

    Raises:
        ArgumentError: no such model; the message lists the bundled names.
        WeightsError: the model is damaged, altered or does not match its config.
    """
    folder = find_model(DEFAULT_CLASSIFIER if classifier is None else classifier, bundled=BUNDLED_CLASSIFIERS)
    if folder.parent == BUNDLED_FOLDER and folder.name in BUNDLED_CLASSIFIERS:
        check_pin(folder, BUNDLED_CLASSIFIERS[folder.name])
    config = read_classifier_config(folder)
    with torch.device("meta"):
        network = AttributeNetwork(len(config.attributes))
    fill_network(network, read_weights(folder, config.sha256), where=folder / WEIGHTS)
    return AttributeClassifier(config, network, device=device)


def read_classifier_config(folder: Path) -> ClassifierConfig:
    """Read and check a classifier's config.json; unknown keys are ignored."""
    path = folder / CONFIG
    try:
        found = parse_object(read_part(path.resolve()))
        if found.get("architecture") != CLASSIFIER_ARCHITECTURE or found.get("format") != CLASSIFIER_FORMAT:
            raise WeightsError(
                f"{printable(path)}: format {found.get('format')}, architecture {found.get('architecture')!r}: "
                f"expected format {CLASSIFIER_FORMAT}, architecture {CLASSIFIER_ARCHITECTURE!r}; this is not an "
                "attribute classifier, or a newer faceaug is needed to read it"
            )
        config = ClassifierConfig(**checked_fields(ClassifierConfig, found))
    except ValueError as error:
        raise WeightsError(f"{printable(path)}: not the config of an attribute classifier ({error})") from error
    _check(config, path)
    return config


def _check(config: ClassifierConfig, path: Path) -> None:
    count = len(config.attributes)
    shares = (*config.prevalence, *config.balanced_accuracy)
    numbers = all(isinstance(v, int | float) and 0 < v <= 1 for v in shares) and all(v < 1 for v in config.prevalence)
    names = all(isinstance(name, str) for name in config.attributes) and len(set(config.attributes)) == count
    if not 1 <= count <= _MOST or len(shares) != 2 * count or not numbers or not names:
        raise WeightsError(f"{printable(path)}: attributes, prevalence or balanced_accuracy are out of range")
    if config.size != SIDE or config.crop not in CROPS:
        raise WeightsError(f"{printable(path)}: size or crop is out of range")


def save_classifier(
    folder: Path,
    network: AttributeNetwork,
    config: ClassifierConfig,
    metrics: dict[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> ClassifierConfig:
    """Write a classifier folder: fp16 weights, config with their hash, card. Returns the written config.

    Args:
        folder: created if missing.
        network: the network; thresholds must be part of its last layer.
        config: config of the model.
        metrics: figures on unseen faces for the card, also written as metrics.json.
        overwrite: replace any files of these names.

    Raises:
        RefusedError: the folder holds files of these names that are no model.
    """
    if not overwrite:
        check_model_folder(folder, METRICS)
    folder.mkdir(parents=True, exist_ok=True)
    data = dump_network(network)
    written = ClassifierConfig(**(asdict(config) | {"sha256": hashlib.sha256(data).hexdigest()}))
    write_bytes(folder / WEIGHTS, data)
    write_json(folder / CONFIG, asdict(written))
    if metrics is not None:
        write_json(folder / METRICS, metrics)
    write_bytes(folder / CARD, classifier_card(written, metrics).encode())
    return written


def bundled_classifiers() -> list[ClassifierConfig]:
    """Configs of the bundled classifiers."""
    return [read_classifier_config(BUNDLED_FOLDER / name) for name in BUNDLED_CLASSIFIERS]


def _checked(faces: NDArray[np.uint8] | Tensor) -> Tensor:
    pixels = faces if isinstance(faces, Tensor) else torch.from_numpy(np.ascontiguousarray(faces))
    shape = tuple(pixels.shape)
    if pixels.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < LEAST_SIDE:
        raise ArgumentError(
            f"faces {pixels.dtype} {shape}: expected uint8 (n, 3, H, W), at least {LEAST_SIDE} pixels high and wide"
        )
    return pixels


def _folded(network: AttributeNetwork) -> AttributeNetwork:
    """Fold every norm into the convolution before it: the same function with fewer operations."""
    _fold(network.stem, "0", "1")
    for block in network.blocks:
        _fold(block, "conv1", "norm1")
        _fold(block, "conv2", "norm2")
        if isinstance(block, Block) and len(block.shortcut):
            _fold(block.shortcut, "1", "2")
    _fold(network, "places", "norm")
    return network.eval().requires_grad_(False)


def _fold(part: nn.Module, conv: str, norm: str) -> None:
    fused = fuse_conv_bn_eval(part.get_submodule(conv), part.get_submodule(norm))  # type: ignore[type-var, arg-type]
    part.add_module(conv, fused)
    part.add_module(norm, nn.Identity())
