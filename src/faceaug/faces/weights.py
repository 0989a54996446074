"""The two bundled networks: the only code that reads their files.

A file is used only if it has the SHA-256 in ``PINNED``. README.md in the folder says where each comes from.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors

from faceaug.data.image import Limits, read_bytes
from faceaug.errors import ImageError, WeightsError, printable

FOLDER = Path(__file__).with_name("models")
YUNET = "yunet.onnx"
ONET = "onet.safetensors"
PINNED = {
    YUNET: "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    ONET: "d40516d24ee2692b53f44a003c4e21bf575b0fb105694f2ce2bdcd7cb561734a",
}
_LIMITS = Limits(max_bytes=2**24)


def read_weights(name: str) -> bytes:
    """Read a bundled file, ``YUNET`` or ``ONET``.

    Raises:
        WeightsError: it is missing, or is not the pinned one.
    """
    path = FOLDER / name
    try:
        data = read_bytes(path, _LIMITS)
    except ImageError as error:
        raise WeightsError(f"{error}; install faceaug again") from error
    found = hashlib.sha256(data).hexdigest()
    if found != PINNED[name]:
        raise WeightsError(
            f"{printable(path)}: damaged or altered: SHA-256 is {found}, expected {PINNED[name]}; install faceaug again"
        )
    return data


def read_tensors(name: str) -> dict[str, NDArray[np.float32]]:
    """Read the arrays of a bundled safetensors file; WeightsError as in ``read_weights``."""
    try:
        return dict(parse_safetensors(read_weights(name)))
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{printable(FOLDER / name)}: not a readable safetensors file ({error})") from error
