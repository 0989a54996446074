"""Picture types: opened as HWC arrays of uint8 or unit floats, and restored to the type they came in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.data.image import load_cv2
from faceaug.errors import ArgumentError

Picture: TypeAlias = NDArray[Any]  # uint8, or float32 in 0..1; (height, width) or (height, width, channels)
Restore: TypeAlias = Callable[[Picture], Any]
_MODES = ("RGB", "RGBA", "L")
_REWRITTEN = {"1": "L", "LA": "RGBA"}
_OTHERS = "1, LA, CMYK, YCbCr, I;16, F"
_SIXTEEN = 65535  # levels of I;16; float32 represents each exactly
_CONVERT = "use .convert('RGB')"
_ADVICE = {
    "P": "palette indices cannot be interpolated; use .convert('RGB'), or .convert('RGBA') with a transparent colour",
    "PA": "palette indices cannot be interpolated; use .convert('RGBA')",
    "I": "its range is unknown; use np.asarray(x).astype(np.float32) divided by its largest value",
    "HSV": "hues cannot be interpolated; use .convert('RGB')",
}
_CHANNELS = (1, 3, 4)
_BEYOND = 1e-3  # resized or decoded floats leave 0..1 slightly


def is_tensor(value: object) -> bool:
    """Whether a value is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_tv(value: object, name: str) -> bool:
    """Whether a value is of a class of ``torchvision.tv_tensors``; never imports torchvision."""
    tv_tensors = sys.modules.get("torchvision.tv_tensors")
    return tv_tensors is not None and hasattr(tv_tensors, name) and isinstance(value, getattr(tv_tensors, name))


def is_pil(value: object) -> bool:
    """Whether a value is a PIL picture."""
    return isinstance(value, Image.Image)


def open_picture(x: Any) -> tuple[Picture, Restore]:
    """Open a picture as an array.

    Args:
        x: an array (height, width) or (height, width, 1|3|4), a tensor (1|3|4, height, width), plain or
            ``tv_tensors.Image``, of uint8 or of float32 in 0..1; a PIL picture (L, RGB, RGBA; also 1, LA, CMYK,
            YCbCr, I;16, and F in 0..1).

    Returns:
        (array, restore): uint8 or float32 (height, width) or (height, width, channels), and the function that restores
        the type of ``x``: class, device, tv_tensor class.

    Raises:
        ArgumentError: anything else; the message says what to do.
    """
    if isinstance(x, np.ndarray):
        return _checked_array(x), _same if x.ndim == 3 else _same_flat
    if is_pil(x):
        return _open_pil(x)
    if is_tensor(x):
        return _open_tensor(x)
    raise ArgumentError(
        f"a picture of type {type(x).__name__}: expected an array (height, width, 3), a PIL picture, a tensor "
        "(3, height, width) or a tv_tensors.Image"
    )


def _same(array: Picture) -> Picture:
    return array


def _same_flat(array: Picture) -> Picture:
    """As ``_same``; tells that the picture had no axis for channels."""
    return array


def laid_out(made: Any, restore: Restore) -> Any:
    """Give a tensor that is no picture any more, such as a normalised one, the layout of the array it was made from.

    Args:
        made: tensor (channels, height, width) of any dtype.
        restore: from ``open_picture``.

    Returns:
        An array (height, width, channels), without channels if it had none and has one; the tensor, if ``restore``
        does not lead to an array.
    """
    if restore not in {_same, _same_flat} or not is_tensor(made) or made.ndim != 3:
        return made
    import torch

    plain = made.detach().as_subclass(torch.Tensor).cpu()
    array = np.ascontiguousarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy().transpose(1, 2, 0))
    return array[..., 0] if restore is _same_flat and array.shape[2] == 1 else array


def as_made(made: Picture) -> Picture:
    """The restore of a picture that was converted for good."""
    return made


def _open_pil(x: Image.Image) -> tuple[Picture, Restore]:
    if min(x.size) < 1:
        raise ArgumentError(f"an empty PIL picture, {x.width}x{x.height}")
    mode = x.mode
    if mode in _MODES:
        return np.asarray(x), Image.fromarray
    if mode in _REWRITTEN:  # PIL makes no array of these, or one without colour channels
        return np.asarray(x.convert(_REWRITTEN[mode])), partial(_rewritten, mode)
    if mode in {"CMYK", "YCbCr"}:  # channels can be interpolated separately
        return np.asarray(x), partial(_of_mode, mode)
    if mode.startswith("I;16"):
        return np.asarray(x).astype(np.float32) / _SIXTEEN, _sixteen_bits
    if mode == "F":
        return _checked_array(np.asarray(x)), Image.fromarray
    advice = _ADVICE.get(mode, _CONVERT)
    raise ArgumentError(f"a PIL picture of mode {mode}: expected {', '.join(_MODES)}, {_OTHERS}; {advice}")


def _rewritten(mode: str, array: Picture) -> Image.Image:
    picture = Image.fromarray(array)
    # Threshold, because PIL dithers grey levels into dots by default.
    return picture.convert(mode, dither=Image.Dither.NONE) if mode == "1" else picture.convert(mode)


def _of_mode(mode: str, array: Picture) -> Image.Image:
    return Image.frombytes(mode, (array.shape[1], array.shape[0]), np.ascontiguousarray(array).tobytes())


def _sixteen_bits(array: Picture) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(array, 0, 1) * _SIXTEEN).astype(np.uint16))


def _checked_array(x: Picture) -> Picture:
    if x.ndim not in {2, 3} or x.size == 0:
        what = "an empty array" if x.size == 0 else f"an array with {x.ndim} axes"
        raise ArgumentError(f"{what}, {x.shape}: expected one picture (height, width, 3)")
    if x.ndim == 3 and x.shape[2] not in _CHANNELS:
        looks_chw = x.shape[0] in _CHANNELS
        advice = (
            "it looks like (channels, height, width): use x.transpose(1, 2, 0)" if looks_chw else "1, 3 or 4 channels"
        )
        raise ArgumentError(f"an array {x.shape}: expected (height, width, channels); {advice}")
    if x.dtype != np.uint8:
        _check_values(x, x.dtype.name, f"an array {x.shape} of dtype {x.dtype}", cast="x.astype(np.{})")
    return x


def _check_values(x: Picture, dtype: str, found: str, *, cast: str) -> None:
    """Raise ArgumentError unless float32 in 0..1; other libraries silently destroy values in another range."""
    if dtype != "float32":
        kind = np.dtype(dtype).kind if dtype != "bfloat16" else "f"
        fix = f"{cast.format('float32')} of values in 0..1" if kind == "f" else f"{cast.format('uint8')}, if in 0..255"
        raise ArgumentError(f"{found}: expected uint8, or float32 in 0..1; use {fix}")
    low, high = float(x.min()), float(x.max())
    if low >= -_BEYOND and high <= 1 + _BEYOND:
        return
    if not np.isfinite(x).all():
        count = int(x.size - np.isfinite(x).sum())
        fix = f"{count} values are NaN or infinite and would spread; repair them first (np.nan_to_num)"
    elif low >= -_BEYOND and high <= 255:
        fix = "divide by 255, or pass uint8"
    else:
        fix = "augment first and normalise afterwards (v2.Normalize at the end)"
    raise ArgumentError(f"{found} with values from {low:.4g} to {high:.4g}: expected float32 in 0..1; {fix}")


def _open_tensor(x: Any) -> tuple[Picture, Restore]:
    import torch

    shape = tuple(x.shape)
    if x.ndim == 4:
        raise ArgumentError(f"a batch of pictures {shape}: expected one picture (3, height, width)")
    if x.ndim != 3 or x.numel() == 0:
        what = "an empty tensor" if x.numel() == 0 else f"a tensor with {x.ndim} axes"
        raise ArgumentError(f"{what}, {shape}: expected one picture (3, height, width)")
    if shape[0] not in _CHANNELS:
        looks_hwc = shape[2] in _CHANNELS
        advice = (
            "it looks like (height, width, channels): use x.permute(2, 0, 1)" if looks_hwc else "1, 3 or 4 channels"
        )
        raise ArgumentError(f"a tensor {shape}: expected (channels, height, width); {advice}")
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype not in {"uint8", "float32"}:
        _check_values(np.empty(0), dtype, f"a tensor {shape} of dtype {x.dtype}", cast="x.to(torch.{})")
    planes = x.detach().as_subclass(torch.Tensor).cpu().contiguous().numpy()
    if dtype == "float32":
        _check_values(planes, dtype, f"a tensor {shape} of dtype {x.dtype}", cast="x.to(torch.{})")
    tv_class = type(x) if is_tv(x, "Image") else None

    def restore(array: Picture) -> Any:
        """Give an array the type, the device and the layout of the tensor."""
        tensor = torch.from_numpy(planar(array)).to(x.device)
        return tensor if tv_class is None else tv_class(tensor)

    return interleaved(planes), restore


def interleaved(planes: Picture) -> Picture:
    """Convert (channels, height, width) to contiguous (height, width, channels)."""
    merged: Picture = load_cv2().merge(list(planes))  # several times faster than copying a transposed view
    return merged if merged.ndim == 3 else merged[..., None]


def planar(image: Picture) -> Picture:
    """Convert (height, width, channels) to contiguous (channels, height, width)."""
    out = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    if image.shape[2] == 1:
        out[0] = image[..., 0]
    else:
        load_cv2().split(np.ascontiguousarray(image), list(out))
    return out
