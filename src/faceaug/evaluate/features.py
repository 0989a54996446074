"""Features for comparing faces, from a network trained on another task.

Figures carry the name of their extractor because they are meaningless without it. Features are always computed in
float32, in batches of one size and in evaluation mode, so that the same faces give the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import getclosurevars
from pathlib import Path
from types import FunctionType, MethodType
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
from faceaug.train.processes import open_device

ExtractorName: TypeAlias = Literal["efficientnet-lite0", "inception", "attributes-64"]
Features: TypeAlias = NDArray[np.float32]  # (n, d)
DEFAULT_EXTRACTOR: ExtractorName = "efficientnet-lite0"
BATCH = 100
_SIDE = 128
_INCEPTION_SIDE = 299
_ROUNDING = 1e-5  # relative; a batch of another size changes the last digits
CLASSIFIER: ExtractorName = "attributes-64"
_GREY = 127.5  # the classifier was trained on pixels in -1..1
_INSTALL = "python -m pip install 'faceaug[metrics]'"


@dataclass(frozen=True, slots=True, eq=False)
class Extractor:
    """A network and its preprocessing.

    Attributes:
        name: name in figures.
        network: maps float32 (b, 3, H, W) to floating-point (b, d), or to (b, d, h, w), which is averaged over h and w.
            The modules of a torch module, or of the modules that a function uses, are in evaluation mode meanwhile;
            afterwards each has its own mode again, see ``evaluation_mode``.
        side: height and width to which faces are resized first, bilinear without anti-aliasing; None keeps their size.
        mean: subtracted from pixels of 0 to 255.
        std: divisor after the subtraction.
        device: device of the network.
        is_inception: whether this is the network of the FID, so that figures may be called FID and KID.

    Raises:
        ArgumentError: ``side`` is not a number of pixels.
    """

    name: str
    network: Callable[[Tensor], Tensor]
    side: int | None = None
    mean: float = 0.0
    std: float = 255.0
    device: str | torch.device = "cpu"
    is_inception: bool = False

    def __post_init__(self) -> None:
        if self.side is not None and not (isinstance(self.side, int | np.integer) and self.side >= 1):
            raise ArgumentError(f"extractor {self.name}: side {self.side!r}: expected a number of pixels, or None")

    @property
    def label(self) -> str:
        """Label in the name of a figure: "efficientnet-lite0 at 128 px"."""
        return self.name if self.side is None else f"{self.name} at {self.side} px"

    @property
    def input_side(self) -> int | None:
        """Height and width of the network's input, whoever resizes to it; None if it takes any size."""
        return _INCEPTION_SIDE if self.is_inception else self.side

    @property
    def resizing(self) -> str:
        """How faces get the size of the network's input: "bilinear to 128 px"; "" if they keep their size."""
        if self.is_inception:
            return f"bilinear to {_INCEPTION_SIDE} px as in TensorFlow 1"
        return "" if self.side is None else f"bilinear to {self.side} px"

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
        ArgumentError: an unknown name or device, or a missing package or weights; the message says what to do.
    """
    if isinstance(extractor, Extractor):
        return extractor
    if isinstance(extractor, nn.Module):
        first = next(extractor.parameters(), None)
        place = torch.device("cpu") if first is None else first.device
        return Extractor(type(extractor).__name__, extractor, device=place)
    if not isinstance(extractor, str):
        raise ArgumentError(
            f"extractor {extractor!r}: expected a name, a torch module or an Extractor; for another function of a "
            "batch, Extractor(name, function)"
        )
    place = open_device("cpu" if device is None else device)
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
        faces: uint8 (n, 3, H, W), at least one.
        on_batch: called after every batch with its number of faces.

    Returns:
        float32 (n, d).

    Raises:
        ArgumentError: ``faces`` are something else, or the extractor's device does not exist.
        FaceAugError: the network fails, or its output is not a floating-point tensor (b, d) or (b, d, h, w) with the
            same d for every batch, or not finite.
    """
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1] != 3 or not len(faces):
        raise ArgumentError(f"faces {faces.dtype} {faces.shape}: expected uint8 (n, 3, H, W) with at least one face")
    device = open_device(extractor.device)
    found: list[Features] = []
    with evaluation_mode(extractor.network):
        for start in range(0, len(faces), BATCH):
            found.append(_batch(extractor, faces[start : start + BATCH], device))
            if found[-1].shape[1] != found[0].shape[1]:
                widths = f"{found[0].shape[1]:,} and {found[-1].shape[1]:,}"
                raise FaceAugError(
                    f"extractor {extractor.name}: made {widths} features for two batches; expected the same number"
                )
            if on_batch is not None:
                on_batch(len(found[-1]))
    return np.concatenate(found)


@contextmanager
def evaluation_mode(network: object) -> Iterator[None]:
    """Put every module of a network into evaluation mode; afterwards, also on an error, each has its own mode again.

    Only the attribute ``training`` is set: ``train`` and ``eval`` may be overridden, to keep a layer frozen or to merge
    weights, and could change more than can be undone.

    Args:
        network: a torch module, or a function that uses modules: a method of one, a ``functools.partial``, a function
            with modules among its variables, or an object with modules among its attributes.
    """
    modes = [(module, module.training) for module in _modules(network)]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()  # not inference_mode: tensors that a network keeps from a call must stay usable in training
def _batch(extractor: Extractor, faces: NDArray[np.uint8], device: torch.device) -> Features:
    pixels = torch.from_numpy(np.ascontiguousarray(faces)).to(device)
    made = _output(extractor, pixels)
    if not made.is_floating_point():
        raise FaceAugError(f"extractor {extractor.name}: made {made.dtype} numbers; expected floating-point features")
    if made.ndim == 4:
        made = made.mean(dim=(2, 3))
    if made.ndim != 2 or len(made) != len(faces) or not made.shape[1]:
        raise FaceAugError(
            f"extractor {extractor.name}: made {tuple(made.shape)} of {len(faces)} faces; expected (n, d) or "
            "(n, d, h, w)"
        )
    values: Features = made.float().cpu().numpy()
    if not np.isfinite(values).all():
        raise FaceAugError(
            f"extractor {extractor.name}: made features that are not finite; check its weights, mean and std"
        )
    return values


def _output(extractor: Extractor, pixels: Tensor) -> Tensor:
    """What the network makes of a batch, uint8 (b, 3, H, W): a tensor, or an error that says what is wrong."""
    x = pixels.float()
    try:
        if extractor.side is not None:
            x = F.interpolate(x, size=(extractor.side, extractor.side), mode="bilinear", align_corners=False)
        x = ((x - extractor.mean) / extractor.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, enabled=False):
            made: object = extractor.network(x)
    except FaceAugError:
        raise
    except Exception as error:  # a network of the user's may raise anything
        reason = (str(error).strip().splitlines() or [""])[0]
        raise FaceAugError(
            f"extractor {extractor.name}: failed on float32 {tuple(x.shape)} with {type(error).__name__}: {reason}"
            f"{_precision_advice(extractor.network)}"
        ) from error
    if isinstance(made, Tensor):
        return made
    raise FaceAugError(
        f"extractor {extractor.name}: returned a {type(made).__name__}; expected a tensor (n, d) or (n, d, h, w); "
        "choose one part of the output, such as Extractor(name, lambda x: network(x)[0])"
    )


def _modules(network: object, depth: int = 3) -> dict[nn.Module, None]:
    """All modules of a network, as far as its function shows them."""
    if isinstance(network, nn.Module):
        return dict.fromkeys(network.modules())
    if isinstance(network, partial):
        parts = [network.func, *network.args, *network.keywords.values()]
    elif isinstance(network, MethodType):
        return _modules(network.__self__, depth)
    elif isinstance(network, FunctionType):
        known = getclosurevars(network)
        parts = [*known.nonlocals.values(), *known.globals.values()]
    else:
        parts = list(getattr(network, "__dict__", {}).values())
    found: dict[nn.Module, None] = {}
    for part in parts if depth else ():
        if isinstance(part, nn.Module | partial | FunctionType | MethodType):
            found |= _modules(part, depth - 1)
    return found


def _precision_advice(network: object) -> str:
    """Advice for a network whose weights are not float32."""
    weights = [p for module in _modules(network) for p in module.parameters(recurse=False)]
    other = {str(p.dtype).removeprefix("torch.") for p in weights if p.is_floating_point()} - {"float32"}
    if not other:
        return ""
    return f". Its weights are {' and '.join(sorted(other))}, and faces are float32: convert it with .float()"


def unvaried(sets: Sequence[Features]) -> NDArray[np.bool_]:
    """Which features are the same, up to rounding, for all faces of these sets: bool (d,)."""
    low = np.min([values.min(axis=0) for values in sets], axis=0)
    high = np.max([values.max(axis=0) for values in sets], axis=0)
    found: NDArray[np.bool_] = high - low <= _ROUNDING * np.maximum(np.abs(low), np.abs(high))
    return found


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
        """The 2,048 features of a batch."""
        made: Tensor = network(x.to(torch.uint8))[0]  # the network resizes to 299 pixels itself, like TensorFlow
        return made

    return Extractor("inception", pooled, mean=0.0, std=1.0, device=device, is_inception=True)
