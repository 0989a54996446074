"""Features for comparing faces, from a network trained on another task.

Figures carry the name of their extractor because they are meaningless without it. Features are always computed in
float32, in batches of one size and in evaluation mode, so that the same faces give the same features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceaug.errors import ArgumentError, FaceAugError, printable
from faceaug.synthesize.attribute_network import SIDE
from faceaug.synthesize.classifier import load_classifier
from faceaug.synthesize.efficientnet import MEAN, STD, load_efficientnet_lite
from faceaug.synthesize.foreign import read_tensors

ExtractorName: TypeAlias = Literal["efficientnet-lite0", "inception", "attributes-64"]
Features: TypeAlias = NDArray[np.float32]  # (n, d)
DEFAULT_EXTRACTOR: ExtractorName = "efficientnet-lite0"
BATCH = 100
_SIDE = 128
CLASSIFIER: ExtractorName = "attributes-64"
_GREY = 127.5  # the classifier was trained on pixels in -1..1
_INSTALL = "python -m pip install 'faceaug[metrics]'"


@dataclass(frozen=True, slots=True, eq=False)
class Extractor:
    """A network and its preprocessing.

    Attributes:
        name: name in figures.
        network: maps float32 (b, 3, H, W) to (b, d), or to (b, d, h, w), which is averaged over h and w. A torch module
            is used in evaluation mode; its mode is restored afterwards.
        side: height and width to which faces are resized first, bilinear; None keeps their size.
        mean: subtracted from pixels of 0 to 255.
        std: divisor after the subtraction.
        device: device of the network.
        is_inception: whether this is the network of the FID, so that figures may be called FID and KID.
    """

    name: str
    network: Callable[[Tensor], Tensor]
    side: int | None = None
    mean: float = 0.0
    std: float = 255.0
    device: str | torch.device = "cpu"
    is_inception: bool = False

    @property
    def label(self) -> str:
        """Label in the name of a figure: "efficientnet-lite0 at 128 px"."""
        return self.name if self.side is None else f"{self.name} at {self.side} px"

    @property
    def frechet_name(self) -> str:
        """Name of the Frechet distance on these features."""
        return "FID" if self.is_inception else "Frechet distance"

    @property
    def kernel_name(self) -> str:
        """Name of the kernel distance on these features."""
        return "KID" if self.is_inception else "kernel distance"


def open_extractor(
    extractor: str | Extractor | nn.Module = DEFAULT_EXTRACTOR,
    *,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
) -> Extractor:
    """Open an extractor by name, or make one from a torch module.

    Args:
        extractor: "efficientnet-lite0", whose ImageNet weights come with its package; "inception", the network of the
            FID; "attributes-64", the bundled attribute classifier; an ``Extractor``; or a torch module that takes
            float32 (b, 3, H, W) in 0 to 1 at the size of the faces.
        weights: local file with the weights of "inception" (``weights-inception-2015-12-05-6726825d.pth``).
        download: whether these weights may be downloaded if there is no file and torch has not cached them.
        device: device of the named extractors; the CPU by default.

    Raises:
        ArgumentError: an unknown name, or a missing package or weights; the message says what to do.
    """
    if isinstance(extractor, Extractor):
        return extractor
    if isinstance(extractor, nn.Module):
        first = next(extractor.parameters(), None)
        place = torch.device("cpu") if first is None else first.device
        return Extractor(type(extractor).__name__, extractor, device=place)
    place = torch.device("cpu" if device is None else device)
    if extractor == "efficientnet-lite0":
        if weights is not None:
            raise ArgumentError("weights: those of efficientnet-lite0 come with its package; omit the file")
        return _efficientnet(place)
    if extractor == "inception":
        return _inception(place, weights, download=download)
    if extractor == CLASSIFIER:
        if weights is not None:
            raise ArgumentError(f"weights: those of {CLASSIFIER} come with faceaug; omit the file")
        network = load_classifier(CLASSIFIER, device=place).network
        return Extractor(CLASSIFIER, network.features, SIDE, _GREY, _GREY, place)
    raise ArgumentError(f"unknown extractor {extractor!r}; the extractors are {', '.join(get_args(ExtractorName))}")


def describe(extractor: Extractor, faces: NDArray[np.uint8], on_batch: Callable[[int], None] | None = None) -> Features:
    """Compute the features of faces.

    Args:
        extractor: see ``open_extractor``.
        faces: uint8 (n, 3, H, W).
        on_batch: called after every batch with its number of faces.

    Returns:
        float32 (n, d).

    Raises:
        FaceAugError: the output of the network is not (b, d) or (b, d, h, w), or not finite.
    """
    network = extractor.network
    found = []
    was_training = isinstance(network, nn.Module) and network.training
    if isinstance(network, nn.Module):
        network.eval()
    try:
        for start in range(0, len(faces), BATCH):
            found.append(_batch(extractor, faces[start : start + BATCH]))
            if on_batch is not None:
                on_batch(len(found[-1]))
    finally:
        if was_training and isinstance(network, nn.Module):
            network.train()
    return np.concatenate(found)


@torch.inference_mode()
def _batch(extractor: Extractor, faces: NDArray[np.uint8]) -> Features:
    device = torch.device(extractor.device)
    x = torch.from_numpy(np.ascontiguousarray(faces)).to(device).float()
    if extractor.side is not None:
        x = F.interpolate(x, size=(extractor.side, extractor.side), mode="bilinear", align_corners=False)
    with torch.autocast(device.type, enabled=False):
        made = extractor.network(((x - extractor.mean) / extractor.std).contiguous(memory_format=torch.channels_last))
    if made.ndim == 4:
        made = made.mean(dim=(2, 3))
    if made.ndim != 2 or len(made) != len(faces):
        raise FaceAugError(
            f"extractor {extractor.name}: made {tuple(made.shape)} of {len(faces)} faces; expected (n, d) or "
            "(n, d, h, w)"
        )
    values: Features = made.float().cpu().numpy()
    if not np.isfinite(values).all():
        raise FaceAugError(f"extractor {extractor.name}: made features that are not finite; check its weights")
    return values


def _efficientnet(device: torch.device) -> Extractor:
    network = load_efficientnet_lite(0, what="extractor", cure=_INSTALL)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Extractor("efficientnet-lite0", network.extract_features, _SIDE, MEAN, STD, device)


def _inception(device: torch.device, weights: str | Path | None, *, download: bool) -> Extractor:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
    except ImportError as error:
        raise ArgumentError(f"extractor inception: not installed; {_INSTALL}") from error
    name = URL_INCEPTION_V3.rpartition("/")[2]
    fetched = Path(torch.hub.get_dir()) / "checkpoints" / name
    path = Path(weights) if weights is not None else fetched if fetched.is_file() else None
    if path is None and not download:
        raise ArgumentError(
            f"extractor inception: its weights ({name}, 91 MB) are not here; give the file (weights=, --weights) or "
            "let torch-fidelity download it (download=True, --download)"
        )
    if path is not None:
        read_tensors(path)  # torch-fidelity would run code in the file; this reader rejects files with code
    try:
        network = FeatureExtractorInceptionV3("inception", ["2048"], None if path is None else str(path), verbose=False)
    except (OSError, RuntimeError) as error:  # no connection, or weights of another network
        reason = str(error).strip().splitlines()[0]
        raise FaceAugError(f"extractor inception: {printable(path or URL_INCEPTION_V3)}: {reason}") from error
    network = network.eval().to(device)

    def pooled(x: Tensor) -> Tensor:
        made: Tensor = network(x.to(torch.uint8))[0]  # the network resizes to 299 pixels itself, like TensorFlow
        return made

    return Extractor("inception", pooled, mean=0.0, std=1.0, device=device, is_inception=True)
