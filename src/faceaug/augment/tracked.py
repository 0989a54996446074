"""Landmark and box classes that torchvision's functions move exactly as they move the picture.

``torchvision.transforms.v2.functional`` dispatches on the class of its input and lets others register kernels for
their own classes (``register_kernel``). The classes here are ``KeyPoints`` and ``BoundingBoxes`` to every transform
that checks, but are moved by the maps of ``motions``, whatever the installed torchvision does to plain ``KeyPoints``.

Imports torchvision; only ``torchvision.py`` in this package imports this module, once there is a v2 transform.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from faceaug.augment.lattice import Size
from faceaug.augment.maps import Map
from faceaug.augment.motions import MOTIONS, Arguments

# Function, arguments after the first, keyword arguments.
Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class TrackedPoints(tv_tensors.KeyPoints):  # type: ignore[misc]
    """``KeyPoints`` in pixel indices, float64, NaN where unknown.

    Attributes:
        rows: the tensor's memory as an array, set by ``of``; converting through torch is slow.
    """

    rows: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, rows: NDArray[np.float64], size: Size) -> TrackedPoints:
        """Wrap rows without a copy, ten times as fast as the constructor of ``KeyPoints``."""
        made: TrackedPoints = torch.from_numpy(rows).as_subclass(cls)
        made.canvas_size = size
        made.rows = rows
        return made


class TrackedBoxes(tv_tensors.BoundingBoxes):  # type: ignore[misc]
    """``BoundingBoxes`` that become the bounding box of their moved outline and are never clipped.

    Attributes:
        rows: see ``TrackedPoints``.
    """

    rows: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, rows: NDArray[np.float64], size: Size) -> TrackedBoxes:
        """Wrap edges x1, y1, x2, y2 without a copy."""
        made: TrackedBoxes = cls(torch.from_numpy(rows), format="XYXY", canvas_size=size)
        made.rows = rows
        return made


class TrackedMask(tv_tensors.Mask):  # type: ignore[misc]
    """A ``Mask`` that is resized exactly as the picture; torchvision's own is off by up to half a pixel."""


class TrackedImage(tv_tensors.Image):  # type: ignore[misc]
    """An ``Image`` that records the geometric functions it passes through inside ``recorded``."""


TRACKED = {
    tv_tensors.Image: TrackedImage,
    tv_tensors.KeyPoints: TrackedPoints,
    tv_tensors.BoundingBoxes: TrackedBoxes,
    tv_tensors.Mask: TrackedMask,
}


class _Record(threading.local):
    calls: list[Call] | None = None


_RECORD = _Record()


class recorded:  # noqa: N801  # a context manager; a generator-based one takes three times as long
    """Record, in order, the geometric functions that ``TrackedImage``s of this thread pass through."""

    __slots__ = ("_before",)

    def __enter__(self) -> list[Call]:
        """Start recording."""
        calls: list[Call] = []
        self._before, _RECORD.calls = _RECORD.calls, calls
        return calls

    def __exit__(self, *_: object) -> None:
        """Resume the enclosing recording."""
        _RECORD.calls = self._before


def as_rows(rows: Any) -> NDArray[np.float64]:
    """Landmarks or boxes as a float64 array, which may share their memory."""
    found: NDArray[np.float64] | None = getattr(rows, "rows", None)
    if found is None:
        found = rows.as_subclass(torch.Tensor).detach().cpu().numpy().astype(np.float64, copy=False)
    return found


def replayed(target: Any, calls: list[Call]) -> Any:
    """A target after the functions that a picture went through; masks are filled with 0."""
    for function, args, named in calls:
        given = {**named, "fill": None} if "fill" in named else named
        target = function(target, *args, **given)
    return target


def _points(points: TrackedPoints, motion: Map) -> TrackedPoints:
    flat = as_rows(points)
    return TrackedPoints.of(motion.move(flat.reshape(-1, 2)).reshape(flat.shape), motion.out)


def _boxes(boxes: TrackedBoxes, motion: Map) -> TrackedBoxes:
    edges = functional.convert_bounding_box_format(boxes, new_format="XYXY")
    found = TrackedBoxes.of(motion.move_boxes(as_rows(edges)), motion.out)
    if boxes.format == found.format:
        return found
    changed = functional.convert_bounding_box_format(found, new_format=boxes.format).as_subclass(torch.Tensor)
    return TrackedBoxes(changed, format=boxes.format, canvas_size=motion.out)


def _image(function: Callable[..., Any], image: TrackedImage, *args: Any, **named: Any) -> Any:
    if _RECORD.calls is not None:
        _RECORD.calls.append((function, args, named))
    return function(image.as_subclass(torch.Tensor), *args, **named).as_subclass(TrackedImage)


def _resized_mask(mask: TrackedMask, size: Any, max_size: int | None = None, **_: Any) -> TrackedMask:
    """Resize by the pixel nearest to the centre; torchvision's ``nearest`` takes the upper left one."""
    stack = tv_tensors.Image(mask.as_subclass(torch.Tensor).reshape(-1, *mask.shape[-2:]))
    exact = functional.InterpolationMode.NEAREST_EXACT
    made = functional.resize(stack, size, interpolation=exact, max_size=max_size)
    return TrackedMask(made.as_subclass(torch.Tensor).reshape(*mask.shape[:-2], *made.shape[-2:]))


def _resized_part(mask: TrackedMask, top: int, left: int, height: int, width: int, size: Any, **_: Any) -> TrackedMask:
    return _resized_mask(functional.crop(mask, top, left, height, width), size)


def _register(name: str) -> None:
    """Register our kernels for one function; others, such as ``gaussian_blur``, rightly leave targets as they are."""
    function = getattr(functional, name)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    defaults = {parameter.name: parameter.default for parameter in parameters}
    functional.register_kernel(function, TrackedPoints)(partial(_moved, _points, MOTIONS[name], names, defaults))
    functional.register_kernel(function, TrackedBoxes)(partial(_moved, _boxes, MOTIONS[name], names, defaults))
    functional.register_kernel(function, TrackedImage)(partial(_image, function))


def _moved(
    move: Callable[[Any, Map], Any],
    motion: Callable[[Size, Arguments], Map],
    names: list[str],
    defaults: Arguments,
    target: Any,
    *args: Any,
    **named: Any,
) -> Any:
    given = {**defaults, **dict(zip(names, args, strict=False)), **named}
    height, width = target.canvas_size
    return move(target, motion((int(height), int(width)), given))


for _name in MOTIONS:
    _register(_name)

functional.register_kernel(functional.resize, TrackedMask)(_resized_mask)
functional.register_kernel(functional.resized_crop, TrackedMask)(_resized_part)
