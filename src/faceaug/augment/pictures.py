"""The types a picture may have: taken as a uint8 HWC array, given back as they came."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.errors import ArgumentError
from faceaug.image import Image8

Restore: TypeAlias = Callable[[Image8], Any]
_MODES = ("RGB", "RGBA", "L")
_CHANNELS = (1, 3, 4)
_FLOATS = "augment before the conversion to float (v2.ToDtype, division by 255)"


def is_tensor(value: object) -> bool:
    """Whether it is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_tv(value: object, name: str) -> bool:
    """Whether it is that class of ``torchvision.tv_tensors``; never imports torchvision."""
    tv_tensors = sys.modules.get("torchvision.tv_tensors")
    return tv_tensors is not None and hasattr(tv_tensors, name) and isinstance(value, getattr(tv_tensors, name))


def is_pil(value: object) -> bool:
    """Whether it is a PIL picture."""
    return isinstance(value, Image.Image)


def open_picture(x: Any) -> tuple[Image8, Restore]:
    """Take a picture as an array.

    Args:
        x: a uint8 array (height, width) or (height, width, 1|3|4), a PIL picture (L, RGB, RGBA), a uint8 tensor
            (1|3|4, height, width), plain or ``tv_tensors.Image``.

    Returns:
        (array, restore): uint8 (height, width) or (height, width, channels), and the function that makes such an
        array what ``x`` was: type, device, tv_tensor class.

    Raises:
        ArgumentError: anything else; the message says what to do.
    """
    if is_pil(x):
        return _open_pil(x)
    if is_tensor(x):
        return _open_tensor(x)
    if isinstance(x, np.ndarray):
        return _checked_array(x), _same
    raise ArgumentError(
        f"a picture of type {type(x).__name__}: expected a uint8 array (height, width, 3), a PIL picture, a uint8 "
        "tensor (3, height, width) or a tv_tensors.Image"
    )


def _same(array: Image8) -> Image8:
    return array


def _open_pil(x: Image.Image) -> tuple[Image8, Restore]:
    if x.mode not in _MODES:
        raise ArgumentError(f"a PIL picture of mode {x.mode}: expected {', '.join(_MODES)}; use .convert('RGB')")
    if min(x.size) < 1:
        raise ArgumentError(f"an empty PIL picture, {x.width}x{x.height}")
    return np.asarray(x), Image.fromarray


def _checked_array(x: NDArray[Any]) -> Image8:
    if x.dtype != np.uint8:
        raise ArgumentError(f"a {x.dtype} array {x.shape}: expected uint8, 0..255; {_FLOATS}")
    if x.ndim not in {2, 3} or x.size == 0:
        what = "an empty array" if x.size == 0 else f"an array with {x.ndim} axes"
        raise ArgumentError(f"{what}, {x.shape}: expected one picture (height, width, 3)")
    if x.ndim == 3 and x.shape[2] not in _CHANNELS:
        looks_chw = x.shape[0] in _CHANNELS
        advice = (
            "it looks like (channels, height, width): use x.transpose(1, 2, 0)" if looks_chw else "1, 3 or 4 channels"
        )
        raise ArgumentError(f"an array {x.shape}: expected (height, width, channels); {advice}")
    return x


def _open_tensor(x: Any) -> tuple[Image8, Restore]:
    import torch

    shape = tuple(x.shape)
    if x.dtype != torch.uint8:
        raise ArgumentError(f"a {x.dtype} tensor {shape}: expected torch.uint8, 0..255; {_FLOATS}")
    if x.ndim == 4:
        raise ArgumentError(f"a batch of pictures, {shape}: give one at a time, in the Dataset")
    if x.ndim != 3 or x.numel() == 0:
        what = "an empty tensor" if x.numel() == 0 else f"a tensor with {x.ndim} axes"
        raise ArgumentError(f"{what}, {shape}: expected one picture (3, height, width)")
    if shape[0] not in _CHANNELS:
        looks_hwc = shape[2] in _CHANNELS
        advice = (
            "it looks like (height, width, channels): use x.permute(2, 0, 1)" if looks_hwc else "1, 3 or 4 channels"
        )
        raise ArgumentError(f"a tensor {shape}: expected (channels, height, width); {advice}")
    tv_class = type(x) if is_tv(x, "Image") else None

    def restore(array: Image8) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).to(x.device)
        return tensor if tv_class is None else tv_class(tensor)

    plain = x.detach().as_subclass(torch.Tensor).cpu()
    return np.ascontiguousarray(plain.permute(1, 2, 0).numpy()), restore
