"""Targets of a picture: opened as plain arrays, restored to the type they came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Size
from faceaug.augment.pictures import is_tensor, is_tv
from faceaug.errors import ArgumentError

_SHAPES = {"landmarks": "(n, 2)", "boxes": "(n, 4)", "mask": "(..., height, width)", "attributes": "(40,)"}


@dataclass
class OpenTarget:
    """One target of a picture.

    Attributes:
        role: "landmarks", "boxes", "mask", "attributes" or "visible".
        array: working copy; landmarks and boxes as float64.
        source: the value that was given.
    """

    role: str
    array: NDArray[Any]
    source: Any

    def close(self, array: NDArray[Any], canvas: Size | None) -> Any:
        """Restore a changed array to the type, dtype, device and tv_tensor class of the source."""
        source = self.source
        if not is_tensor(source):
            return np.asarray(array).astype(_result_dtype(self.role, source), copy=False)
        if is_tv(source, "BoundingBoxes"):
            return _close_boxes(array, source, canvas)
        tensor = self.like_source(array)
        wanted = source.dtype
        if self.role in {"landmarks", "boxes"} and not wanted.is_floating_point:
            tensor = tensor.float()  # integers would round the positions
        else:
            tensor = tensor.to(wanted)
        if is_tv(source, "KeyPoints"):
            from torchvision import tv_tensors

            return tv_tensors.KeyPoints(tensor, canvas_size=canvas or source.canvas_size)
        return type(source)(tensor) if is_tv(source, "Mask") else tensor

    def like_source(self, array: NDArray[Any]) -> Any:
        """Convert another array to the source's kind: a tensor on its device where the source is a tensor."""
        if not is_tensor(self.source):
            return array
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self.source.device)


def known_target(role: str, value: Any) -> bool:
    """Whether a value under a target's name is that target; other label formats under "attributes" pass unchanged."""
    if role == "visible":
        return value.ndim == 1 if is_tensor(value) else np.ndim(value) == 1 and np.asarray(value).dtype.kind in "iufb"
    if role == "attributes":
        shape = getattr(value, "shape", None)
        return (shape is not None and tuple(shape) == (40,)) or (isinstance(value, (list, tuple)) and len(value) == 40)
    return True


def open_target(role: str, value: Any, size: Size) -> OpenTarget:
    """Copy a target into a plain array.

    Args:
        role: see ``OpenTarget``.
        value: array-like, tensor or tv_tensor.
        size: (height, width) of the picture, for masks.

    Raises:
        ArgumentError: the shape does not fit the role.
    """
    if is_tv(value, "BoundingBoxes"):
        return OpenTarget(role, _open_boxes(value), value)
    array = np.array(value.detach().cpu().numpy() if is_tensor(value) else value)
    if role in {"landmarks", "boxes"}:
        width = 2 if role == "landmarks" else 4
        if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "iuf":
            raise ArgumentError(
                f"{role} of shape {array.shape} and dtype {array.dtype}: expected numbers {_SHAPES[role]}"
            )
        array = array.astype(np.float64)
    elif role == "mask" and (array.ndim < 2 or array.shape[-2:] != size):
        raise ArgumentError(f"mask of shape {array.shape}: expected {_SHAPES[role]} with the picture's {size}")
    elif role == "visible" and (array.ndim != 1 or array.dtype.kind not in "iufb"):
        raise ArgumentError(f"visible of shape {array.shape} and dtype {array.dtype}: expected flags (n,)")
    elif role == "attributes" and array.dtype.kind not in "iufb":
        raise ArgumentError(f"attributes of dtype {array.dtype}: expected 40 numbers, -1 or +1")
    return OpenTarget(role, array, value)


def check_attributes(value: Any) -> None:
    """Raise ArgumentError unless None or one row of CelebA's forty attributes."""
    if value is not None and not known_target("attributes", value):
        shape = getattr(value, "shape", None)
        found = f"shape {tuple(shape)}" if shape is not None else type(value).__name__
        raise ArgumentError(f"attributes of {found}: expected {_SHAPES['attributes']}, in CelebA's order")


def _result_dtype(role: str, source: Any) -> Any:
    dtype = np.asarray(source).dtype
    if role in {"landmarks", "boxes"} and dtype.kind != "f":
        return np.float32
    return np.float32 if role in {"landmarks", "boxes"} and not isinstance(source, np.ndarray) else dtype


def _open_boxes(boxes: Any) -> NDArray[np.float64]:
    import torch
    from torchvision.transforms.v2 import functional
    from torchvision.tv_tensors import BoundingBoxFormat

    if boxes.format not in {BoundingBoxFormat.XYXY, BoundingBoxFormat.XYWH, BoundingBoxFormat.CXCYWH}:
        raise ArgumentError(f"boxes of format {boxes.format}: rotated boxes are not moved; convert them to XYXY first")
    edges = functional.convert_bounding_box_format(
        boxes.as_subclass(torch.Tensor).double(), old_format=boxes.format, new_format=BoundingBoxFormat.XYXY
    )
    return np.array(edges.detach().cpu().numpy(), np.float64).reshape(-1, 4)


def _close_boxes(array: NDArray[Any], source: Any, canvas: Size | None) -> Any:
    import torch
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional

    edges = tv_tensors.BoundingBoxes(
        torch.from_numpy(np.ascontiguousarray(array)),
        format="XYXY",
        canvas_size=canvas or source.canvas_size,
    )
    if hasattr(source, "clamping_mode"):  # since torchvision 0.24: "soft", "hard" or None
        edges.clamping_mode = source.clamping_mode
    boxes = functional.convert_bounding_box_format(functional.clamp_bounding_boxes(edges), new_format=source.format)
    wanted = source.dtype if source.dtype.is_floating_point else torch.float32
    plain = boxes.as_subclass(torch.Tensor).to(source.device, wanted)
    return tv_tensors.wrap(plain, like=source, canvas_size=canvas or source.canvas_size)
