"""Steps: torchvision v2 transforms as functions that transform a sample with all its targets.

Containers (``v2.Compose``, ``RandomApply``, ``RandomChoice``, ``RandomOrder``) are copied with their transforms
replaced by steps; they pass the sample on as if it were a picture. Every other transform becomes a step of its own:

* Landmarks and boxes are passed as the classes of ``tracked``, with three more points, the witness, that reveal a
  mirror.
* Transforms that remove rows (``Sanitize...``) set them to NaN instead, because n rows must come back.
* ``RandomErasing`` moves nothing and gets the pictures alone, because it warns about every target it leaves as it is.
* Transforms that move the picture alone (``RandAugment`` and its like) are recorded and replayed on the targets.
* A transform that returns another type, drops rows or disagrees about the size is refused with the reason.

Imports torchvision; only ``torchvision.py`` in this package imports this module, once there is a v2 transform.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from faceaug.augment.pictures import is_pil
from faceaug.augment.tracked import TRACKED, TrackedMask, recorded, replayed
from faceaug.augment.transform import Transform
from faceaug.augment.unkeyed import any_seed
from faceaug.augment.work import Work, refuse
from faceaug.draws import Words
from faceaug.errors import ArgumentError

Step: TypeAlias = Callable[[Work], Work]

# Conversions: their result keeps its type. After any other transform the original type is restored.
_CONVERSIONS = ("ToImage", "ToPILImage", "PILToTensor", "ToPureTensor", "ToTensor")
_CONTAINERS = (v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder)
_PICTURE_ALONE = (v2.AutoAugment, v2.RandAugment, v2.TrivialAugmentWide, v2.AugMix)
_SANITIZERS = tuple(  # SanitizeKeyPoints exists since torchvision 0.24
    getattr(v2, name) for name in ("SanitizeBoundingBoxes", "SanitizeKeyPoints") if hasattr(v2, name)
)
_RANDOM = v2.RandomHorizontalFlip.__bases__[0]  # has a probability of acting, ``p``
_OVERSHOOTING = (v2.InterpolationMode.BICUBIC, v2.InterpolationMode.LANCZOS)
_OF_BATCHES = (v2.MixUp, v2.CutMix)
_OF_MANY = (v2.FiveCrop, v2.TenCrop)


def as_step(transform: Any) -> Step:
    """Turn a v2 transform, or a member of a v2 container, into a step.

    Args:
        transform: a transform of ``torchvision.transforms.v2`` or derived from it, a faceaug transform, or any callable
            on pictures.

    Raises:
        ArgumentError: the transform needs a batch, or makes several pictures of one.
    """
    name = type(transform).__name__
    if isinstance(transform, _OF_BATCHES):
        raise ArgumentError(
            f"{name} mixes the pictures of a batch, but here there is only one picture: apply it to the batches of the "
            "DataLoader"
        )
    if isinstance(transform, _OF_MANY):
        raise ArgumentError(f"{name} makes several pictures of one, with different landmarks: apply it after faceaug")
    if isinstance(transform, Transform):
        return _FaceaugStep(transform)
    if isinstance(transform, torch.nn.Sequential):
        return as_step(v2.Compose(list(transform)))
    if isinstance(transform, _CONTAINERS) and type(transform).forward in {kind.forward for kind in _CONTAINERS}:
        return _container(transform)
    if isinstance(transform, _SANITIZERS) and type(transform).forward in {kind.forward for kind in _SANITIZERS}:
        return _Sanitizer(transform)
    if name in _CONVERSIONS:
        return _Conversion(transform)
    if not isinstance(transform, v2.Transform):
        return _PlainFunction(transform)
    if isinstance(transform, v2.RandomErasing) and type(transform).transform is v2.RandomErasing.transform:
        return _Unmoving(transform)
    return (
        _PictureOnly(_with_tracked_classes(transform))
        if isinstance(transform, _PICTURE_ALONE)
        else _AnyTransform(_with_tracked_classes(transform))
    )


def parts(transform: Any) -> tuple[Any, ...]:
    """Flatten nested containers into their transforms; any other transform is returned alone."""
    inner = getattr(transform, "transforms", None) if isinstance(transform, _CONTAINERS) else None
    return (transform,) if inner is None else tuple(part for each in inner for part in parts(each))


def draws_by_torch_alone(transform: Any) -> bool:
    """Whether a transform and all of its parts are torchvision's or faceaug's, so that random numbers are torch's."""
    if isinstance(transform, Transform):
        return True
    known = type(transform).__module__.startswith("torchvision.transforms.v2.") and not isinstance(transform, v2.Lambda)
    inner = transform.transforms if isinstance(transform, _CONTAINERS) else ()
    return known and all(map(draws_by_torch_alone, inner))


def acting(transform: Any) -> tuple[Any, float]:
    """Split off the probability with which a torchvision transform acts.

    Returns:
        (transform, p): a copy that always acts, or the transform itself where it has no such probability.
    """
    p = getattr(transform, "p", None)
    if not isinstance(transform, (_RANDOM, v2.RandomApply)) or not isinstance(p, float | int):
        return transform, 1.0
    certain = copy.copy(transform)
    certain.p = 1.0
    return certain, float(p)


def _container(transform: Any) -> Step:
    inner = copy.copy(transform)
    inner._modules = {name: module for name, module in inner._modules.items() if name != "transforms"}
    inner.transforms = [as_step(part) for part in transform.transforms]
    step: Step = inner
    return step


def _with_tracked_classes(transform: Any) -> Any:
    """Extend settings by class (``fill=``, ``dtype=``) to our classes, and leave masks unfilled.

    Unless told otherwise, torchvision fills masks with the colour for pictures, a label nobody chose.
    """
    changed: dict[str, dict[Any, Any]] = {}
    for name, value in vars(transform).items():
        if isinstance(value, dict):
            more = {ours: value[kind] for kind, ours in TRACKED.items() if kind in value}
            if name == "_fill" and value.keys() == {"others"}:
                more[TrackedMask] = None
            if more:
                changed[name] = copy.copy(value)
                changed[name].update(more)
    if changed:
        transform = copy.copy(transform)
        vars(transform).update(changed)
    return transform


@dataclass(frozen=True, slots=True)
class _FaceaugStep:
    """A faceaug transform inside a torchvision container."""

    transform: Transform

    def __call__(self, work: Work) -> Work:
        self.transform._run(work.finish(), Words(any_seed))
        work.start()
        return work


@dataclass(frozen=True, slots=True)
class _Sanitizer:
    """A transform that removes boxes or landmarks; here they become NaN."""

    transform: Any

    def __call__(self, work: Work) -> Work:
        height, width = work.size
        if not isinstance(self.transform, v2.SanitizeBoundingBoxes):
            limit = np.array([width, height]) - 0.5
            for points in work.change_points():
                points[~((points >= -0.5) & (points <= limit)).all(axis=1)] = np.nan
            return work
        for boxes in work.change_boxes():
            framed = np.clip(boxes, 0, [width, height, width, height])
            _, valid = functional.sanitize_bounding_boxes(
                torch.from_numpy(framed),
                format=tv_tensors.BoundingBoxFormat.XYXY,
                canvas_size=(height, width),
                min_size=self.transform.min_size,
                min_area=self.transform.min_area,
            )
            boxes[~valid.numpy()] = np.nan
        return work


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A transform that changes the type of pictures; it gets them in their original type."""

    transform: Any

    def __call__(self, work: Work) -> Work:
        work.convert(self.transform)
        return work


@dataclass(frozen=True, slots=True)
class _PlainFunction:
    """A plain function; it gets the pictures one by one."""

    transform: Any

    def __call__(self, work: Work) -> Work:
        before = work.size
        with recorded() as calls:
            work.put([self.transform(picture) for picture in work.pictures()])
        if work.is_known:
            work.check_unmoved(getattr(self.transform, "__name__", type(self.transform).__name__), before, calls)
        return work


@dataclass(frozen=True, slots=True)
class _V2Step(ABC):
    """A v2 transform; without targets it simply gets the pictures."""

    transform: Any

    def __call__(self, work: Work) -> Work:
        # Frames that grow are a pixel apart for PIL and tensors, and what is drawn next depends on the size.
        modes = work.lend_tensors() if getattr(self.transform, "expand", False) else None
        units = getattr(self.transform, "interpolation", None) in _OVERSHOOTING and work.are_units()
        if work.is_known:
            self._move_all(work)
        else:
            work.put(self.transform({"images": work.pictures()})["images"])
        if units:
            work.clip()
        if modes:
            work.return_pil(modes)
        return work

    @abstractmethod
    def _move_all(self, work: Work) -> None:
        """Transform pictures and targets alike."""


@dataclass(frozen=True, slots=True)
class _Unmoving(_V2Step):
    """A transform that changes pixels and leaves every target where it is."""

    def _move_all(self, work: Work) -> None:
        work.put(self.transform({"images": work.pictures()})["images"])


@dataclass(frozen=True, slots=True)
class _PictureOnly(_V2Step):
    """A transform that moves the picture alone through torchvision functions; they are replayed on the targets."""

    def _move_all(self, work: Work) -> None:
        name = type(self.transform).__name__
        if isinstance(self.transform, v2.AugMix):
            refuse(name, "blends copies of the picture that were moved differently")
        known = work.known()
        given = work.pictures()
        pil = is_pil(given[0])
        with recorded() as calls:
            made = self.transform({"images": [work.watched(functional.to_image(given[0])) if pil else given[0]]})
        work.put([functional.to_pil_image(made["images"][0]) if pil else made["images"][0]])
        work.take({kind: [replayed(one, calls) for one in some] for kind, some in known.items()}, name)


@dataclass(frozen=True, slots=True)
class _AnyTransform(_V2Step):
    """Any other v2 transform, torchvision's or the user's."""

    def _move_all(self, work: Work) -> None:
        name = type(self.transform).__name__
        before = work.size
        tree = {"images": work.pictures(), **work.known()}
        with recorded() as calls:
            after = self.transform(tree)
        if not isinstance(after, dict) or after.keys() != tree.keys():
            refuse(
                name, f"returned a {type(after).__name__} instead of the dict of pictures, landmarks, boxes and masks"
            )
        work.put(after["images"])
        moved = work.take(after, name, loosely=bool(getattr(self.transform, "expand", False)))
        if calls and not moved:
            work.check_unmoved(name, before, calls)
