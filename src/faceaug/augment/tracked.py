"""Landmarks and boxes that torchvision's functions move exactly as they move the picture.

``torchvision.transforms.v2.functional`` looks up what to do by the class of what it is given, and lets others register
functions for classes of their own (``register_kernel``). The classes here are ``KeyPoints`` and ``BoundingBoxes`` to
every transform that asks, torchvision's and anybody's, but go by the maps of ``motions``. Whatever the version of
torchvision does to plain ``KeyPoints`` does not matter then.

Imports torchvision: only ``torchvision.py`` here imports it, once there is a v2 transform.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # function, arguments without the first


class TrackedPoints(tv_tensors.KeyPoints):  # type: ignore[misc]
    """``KeyPoints`` in pixel indices, float64, NaN where unknown."""

    @classmethod
    def of(cls, rows: NDArray[np.float64], size: Size) -> TrackedPoints:
        """Without a copy; the constructor of ``KeyPoints`` takes ten times as long."""
        made: TrackedPoints = torch.from_numpy(rows).as_subclass(cls)
        made.canvas_size = size
        return made


class TrackedBoxes(tv_tensors.BoundingBoxes):  # type: ignore[misc]
    """``BoundingBoxes`` that become the hull of what was moved and are never clipped."""

    @classmethod
    def of(cls, rows: NDArray[np.float64], size: Size) -> TrackedBoxes:
        """From edges x1, y1, x2, y2."""
        made: TrackedBoxes = cls(torch.from_numpy(rows), format="XYXY", canvas_size=size)
        return made


class TrackedMask(tv_tensors.Mask):  # type: ignore[misc]
    """A ``Mask`` that is resized as the picture is: torchvision lets it lag behind by up to half a pixel."""


class TrackedImage(tv_tensors.Image):  # type: ignore[misc]
    """An ``Image`` that writes down which geometric functions it goes through, while ``recorded`` says so."""


OURS = {
    tv_tensors.Image: TrackedImage,
    tv_tensors.KeyPoints: TrackedPoints,
    tv_tensors.BoundingBoxes: TrackedBoxes,
    tv_tensors.Mask: TrackedMask,
}


class _Record(threading.local):
    calls: list[Call] | None = None


_RECORD = _Record()


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """The geometric functions that ``TrackedImage``s of this thread go through in the block, in order."""
    calls: list[Call] = []
    before, _RECORD.calls = _RECORD.calls, calls
    try:
        yield calls
    finally:
        _RECORD.calls = before


def replayed(target: Any, calls: list[Call]) -> Any:
    """A target after the functions that a picture went through; masks are filled with 0."""
    for function, args, named in calls:
        given = {**named, "fill": None} if "fill" in named else named
        target = function(target, *args, **given)
    return target


def _points(points: TrackedPoints, motion: Map) -> TrackedPoints:
    flat = _array(points)
    return TrackedPoints.of(motion.move(flat.reshape(-1, 2)).reshape(flat.shape), motion.out)


def _boxes(boxes: TrackedBoxes, motion: Map) -> TrackedBoxes:
    edges = functional.convert_bounding_box_format(boxes, new_format="XYXY")
    found = TrackedBoxes.of(motion.move_boxes(_array(edges)), motion.out)
    if boxes.format == found.format:
        return found
    changed = functional.convert_bounding_box_format(found, new_format=boxes.format).as_subclass(torch.Tensor)
    return TrackedBoxes(changed, format=boxes.format, canvas_size=motion.out)


def _array(rows: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rows.as_subclass(torch.Tensor).detach().cpu().numpy().astype(np.float64, copy=False)
    return found


def _image(function: Callable[..., Any], image: TrackedImage, *args: Any, **named: Any) -> Any:
    if _RECORD.calls is not None:
        _RECORD.calls.append((function, args, named))
    changed = function(image.as_subclass(tv_tensors.Image), *args, **named)
    return changed.as_subclass(TrackedImage)


def _resized_mask(mask: TrackedMask, size: Any, max_size: int | None = None, **_: Any) -> TrackedMask:
    """By the pixel nearest to the centre; plain ``nearest`` takes the one nearest to the upper left corner."""
    stack = tv_tensors.Image(mask.as_subclass(torch.Tensor).reshape(-1, *mask.shape[-2:]))
    exact = functional.InterpolationMode.NEAREST_EXACT
    made = functional.resize(stack, size, interpolation=exact, max_size=max_size)
    return TrackedMask(made.as_subclass(torch.Tensor).reshape(*mask.shape[:-2], *made.shape[-2:]))


def _resized_part(mask: TrackedMask, top: int, left: int, height: int, width: int, size: Any, **_: Any) -> TrackedMask:
    return _resized_mask(functional.crop(mask, top, left, height, width), size)


def _register(name: str) -> None:
    """What is not registered, ``gaussian_blur`` and the like, passes landmarks through, and rightly so."""
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
