"""Transforms of torchvision v2 as functions on a ``Sample``: what they do to the picture is true of the rest too.

Containers (``v2.Compose``, ``RandomApply``, ``RandomChoice``, ``RandomOrder``) are copied with their parts replaced,
and hand the sample on as if it were a picture. Every part is looked after by itself:

* Landmarks and boxes go as the classes of ``tracked``, three more points, the witness, with them: they tell a mirror.
* What removes rows (``Sanitize...``) sets them to NaN instead, as n come back, always.
* What moves the picture alone (``RandAugment`` and its like) is written down and done to the rest.
* What comes back as something else, in part, or for a picture of another size is refused with the reason.

Imports torchvision: only ``torchvision.py`` here imports it, once there is a v2 transform.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from faceaug.augment.lattice import Size
from faceaug.augment.masks import PackedMask, fitted, packed
from faceaug.augment.pictures import is_pil, is_tensor, open_picture
from faceaug.augment.sample import Sample
from faceaug.augment.tracked import TrackedBoxes, TrackedImage, TrackedMask, TrackedPoints, recorded, replayed
from faceaug.augment.transform import Transform, any_seed
from faceaug.draws import Words
from faceaug.errors import ArgumentError

Step: TypeAlias = Callable[[Sample], Sample]

# These are there to change the type of the picture; after any other it goes back to the type it had.
_CONVERSIONS = ("ToImage", "ToPILImage", "PILToTensor", "ToPureTensor", "ToTensor")
_CONTAINERS = (v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder)
_PICTURE_ALONE = (v2.AutoAugment, v2.RandAugment, v2.TrivialAugmentWide, v2.AugMix)
_SANITIZERS = tuple(  # that for landmarks is there since torchvision 0.24
    getattr(v2, name) for name in ("SanitizeBoundingBoxes", "SanitizeKeyPoints") if hasattr(v2, name)
)
_OF_BATCHES = (v2.MixUp, v2.CutMix)
_OF_MANY = (v2.FiveCrop, v2.TenCrop)
_NEVER_MOVED = 0.01  # px


def as_step(transform: Any) -> Step:
    """A v2 transform, or what stands in a v2 container, as a function that changes a sample and returns it.

    Args:
        transform: of ``torchvision.transforms.v2`` or derived from it; a transform of ours; or any callable, which is
            given the pictures.

    Raises:
        ArgumentError: it needs a batch, or makes several pictures of one.
    """
    name = type(transform).__name__
    if isinstance(transform, _OF_BATCHES):
        raise ArgumentError(
            f"{name} mixes the pictures of a batch, and here there is one picture: apply it to the batches of the "
            "DataLoader"
        )
    if isinstance(transform, _OF_MANY):
        raise ArgumentError(f"{name} makes several pictures of one, whose landmarks differ: apply it after this")
    if isinstance(transform, Transform):
        return _Ours(transform)
    if isinstance(transform, torch.nn.Sequential):
        return as_step(v2.Compose(list(transform)))
    if isinstance(transform, _CONTAINERS) and type(transform).forward in {kind.forward for kind in _CONTAINERS}:
        return _container(transform)
    if isinstance(transform, _SANITIZERS) and type(transform).forward in {kind.forward for kind in _SANITIZERS}:
        return _Sanitizer(transform)
    if not isinstance(transform, v2.Transform) or name in _CONVERSIONS:
        return _ForPictures(transform, name in _CONVERSIONS)
    return _Augmenter(_taught(transform)) if isinstance(transform, _PICTURE_ALONE) else _Usual(_taught(transform))


def parts(transform: Any) -> tuple[Any, ...]:
    """The transforms inside a container, those of containers in it included; itself otherwise."""
    inner = getattr(transform, "transforms", None) if isinstance(transform, _CONTAINERS) else None
    return (transform,) if inner is None else tuple(part for each in inner for part in parts(each))


def _container(transform: Any) -> Step:
    inner = copy.copy(transform)
    inner._modules = {name: module for name, module in inner._modules.items() if name != "transforms"}
    inner.transforms = [as_step(part) for part in transform.transforms]
    step: Step = inner
    return step


def _taught(transform: Any) -> Any:
    """A transform whose settings by class (``fill=``, ``dtype=``) hold for our classes too, and spare masks.

    Without a word about masks, torchvision fills them with the colour for pictures, which is a label nobody gave.
    """
    ours = {
        tv_tensors.Image: TrackedImage, tv_tensors.KeyPoints: TrackedPoints,
        tv_tensors.BoundingBoxes: TrackedBoxes, tv_tensors.Mask: TrackedMask,
    }  # fmt: skip
    changed: dict[str, dict[Any, Any]] = {}
    for name, value in vars(transform).items():
        if isinstance(value, dict):
            more = {ours[kind]: value[kind] for kind in ours if kind in value}
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
class _Ours:
    """A transform of ours inside a container of torchvision's."""

    transform: Transform

    def __call__(self, sample: Sample) -> Sample:
        self.transform._act(sample, Words(any_seed))
        sample.settle()
        return sample


@dataclass(frozen=True, slots=True)
class _Sanitizer:
    """What removes boxes or landmarks: sets them to NaN."""

    transform: Any

    def __call__(self, sample: Sample) -> Sample:
        sample.settle()
        height, width = canvas(sample)
        if not isinstance(self.transform, v2.SanitizeBoundingBoxes):
            limit = np.array([width, height]) - 0.5
            for points in sample.points:
                points[~((points >= -0.5) & (points <= limit)).all(axis=1)] = np.nan
            return sample
        for boxes in sample.boxes:
            framed = np.clip(boxes, 0, [width, height, width, height])
            _, valid = functional.sanitize_bounding_boxes(
                torch.from_numpy(framed),
                format=tv_tensors.BoundingBoxFormat.XYXY,
                canvas_size=(height, width),
                min_size=self.transform.min_size,
                min_area=self.transform.min_area,
            )
            boxes[~valid.numpy()] = np.nan
        return sample


@dataclass(frozen=True, slots=True)
class _ForPictures:
    """What changes the type of pictures, or a plain function: it is given the pictures one by one."""

    transform: Any
    converts: bool

    def __call__(self, sample: Sample) -> Sample:
        sample.settle()
        before, known = canvas(sample), _is_known(sample)
        given = _pictures(sample, converts=self.converts, watched=known)
        with recorded() as calls:
            made = [self.transform(picture) for picture in given]
        _take_pictures(sample, made, converts=self.converts)
        if known and not self.converts:
            name = getattr(self.transform, "__name__", type(self.transform).__name__)
            _check_unmoved(name, before, canvas(sample), calls)
        return sample


@dataclass(frozen=True, slots=True)
class _Augmenter:
    """What moves the picture alone, by torchvision's functions: they are done to the rest too."""

    transform: Any

    def __call__(self, sample: Sample) -> Sample:
        sample.settle()
        if not _is_known(sample):
            return _apply_to_pictures(sample, self.transform)
        name = type(self.transform).__name__
        if isinstance(self.transform, v2.AugMix):
            _refuse(
                name, "lays copies of the picture, moved in different ways, over one another: nothing is at one place"
            )
        known = _Known(sample)
        was_pil = is_pil(sample.restores[0](sample.images[0])) if isinstance(sample.images[0], np.ndarray) else False
        given = _pictures(sample, converts=False, watched=True, as_tensors=True)
        with recorded() as calls:
            made = self.transform({"images": given})["images"]
        if was_pil:
            made = [functional.to_pil_image(picture.as_subclass(tv_tensors.Image)) for picture in made]
        _take_pictures(sample, made, converts=False)
        known.take(sample, {name: [replayed(one, calls) for one in some] for name, some in known.tree().items()}, name)
        return sample


@dataclass(frozen=True, slots=True)
class _Usual:
    """Any other v2 transform, torchvision's or somebody's own."""

    transform: Any

    def __call__(self, sample: Sample) -> Sample:
        sample.settle()
        if not _is_known(sample):
            return _apply_to_pictures(sample, self.transform)
        name, known = type(self.transform).__name__, _Known(sample)
        tree = {"images": _pictures(sample, converts=False, watched=True), **known.tree()}
        with recorded() as calls:
            after = self.transform(tree)
        if not isinstance(after, dict) or after.keys() != tree.keys():
            _refuse(name, f"made a {type(after).__name__} of the dict of pictures, landmarks, boxes and masks")
        _take_pictures(sample, after["images"], converts=False)
        known.take(sample, after, name, loosely=bool(getattr(self.transform, "expand", False)))
        if known.unmoved(after["witness"][0]):
            _check_unmoved(name, known.before, canvas(sample), calls)
        return sample


class _Known:
    """What is known about a picture, on its way through a transform.

    Attributes:
        before: (height, width) of the picture before it.
    """

    def __init__(self, sample: Sample) -> None:
        self.before = canvas(sample)
        self._points, self._boxes = sample.points, sample.boxes
        self._masks: list[PackedMask] = [packed(mask) for mask in sample.masks]
        # Around the centre, clockwise as seen; a mirror makes them counter-clockwise.
        height, width = self.before
        self._witness = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]]) * (width, height)

    def tree(self) -> dict[str, list[Any]]:
        """All of it as tv_tensors."""
        size = self.before
        return {
            "points": [TrackedPoints(torch.from_numpy(points), canvas_size=size) for points in self._points],
            "witness": [TrackedPoints(torch.from_numpy(self._witness), canvas_size=size)],
            "boxes": [TrackedBoxes(torch.from_numpy(b), format="XYXY", canvas_size=size) for b in self._boxes],
            "masks": [TrackedMask(torch.from_numpy(mask.codes)) for mask in self._masks],
        }

    def unmoved(self, witness: Any) -> bool:
        """Whether a witness is where it was, in the frame that it was in."""
        return tuple(witness.canvas_size) == self.before and _is_still(_array(witness), self._witness)

    def take(self, sample: Sample, after: dict[str, list[Any]], name: str, *, loosely: bool = False) -> None:
        """Put what came back into the sample.

        Args:
            sample: with the pictures as they are now.
            after: as ``tree``, moved.
            name: of the transform, for errors.
            loosely: whether the frame may be a pixel off: PIL and tensors grow differently when turned, both about
                the middle.
        """
        size = canvas(sample)
        witness = _rows(after["witness"][0], self._witness, size, name, "landmarks", loosely=loosely)
        sample.points = [
            _rows(moved, points, size, name, "landmarks", loosely=loosely)
            for moved, points in zip(after["points"], self._points, strict=True)
        ]
        sample.boxes = [
            _rows(moved, boxes, size, name, "boxes", loosely=loosely)
            for moved, boxes in zip(after["boxes"], self._boxes, strict=True)
        ]
        sample.masks = [
            _mask(moved, mask, size, name, loosely=loosely)
            for moved, mask in zip(after["masks"], self._masks, strict=True)
        ]
        turn = _turn(witness)
        if not abs(turn) > 0:
            _refuse(name, "leaves nothing by which to tell whether the picture was mirrored")
        sample.mirrored ^= turn < 0


def canvas(sample: Sample) -> Size:
    """(height, width) of the pictures now, whatever they are."""
    image = sample.images[0]
    if is_pil(image):
        return int(image.height), int(image.width)
    height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.shape[-2:]
    return int(height), int(width)


def _is_known(sample: Sample) -> bool:
    """Whether there is anything that has to go with the picture; landmarks nobody knows have not."""
    return (
        bool(sample.masks)
        or any(len(boxes) for boxes in sample.boxes)
        or any(np.isfinite(points).all(axis=1).any() for points in sample.points)
    )


def _apply_to_pictures(sample: Sample, transform: Any) -> Sample:
    after = transform({"images": _pictures(sample, converts=False, watched=False)})
    _take_pictures(sample, after["images"], converts=False)
    return sample


def _pictures(sample: Sample, *, converts: bool, watched: bool, as_tensors: bool = False) -> list[Any]:
    pairs = zip(sample.images, sample.restores, strict=True)
    made = [_picture(image, restore, converts=converts, as_tensor=as_tensors) for image, restore in pairs]
    if watched and isinstance(made[0], torch.Tensor):
        made[0] = made[0].as_subclass(TrackedImage)
    return made


def _picture(image: Any, restore: Any, *, converts: bool, as_tensor: bool) -> Any:
    if not isinstance(image, np.ndarray):
        # v2 takes only the first of several plain tensors for a picture, and none beside a tv_tensors.Image.
        return image.as_subclass(tv_tensors.Image) if is_tensor(image) and not converts else image
    if converts:
        return restore(image)
    if not as_tensor and is_pil(given := restore(image)):
        return given
    channels_first = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return tv_tensors.Image(torch.from_numpy(np.array(channels_first)))


def _take_pictures(sample: Sample, made: list[Any], *, converts: bool) -> None:
    for k, given in enumerate(made):
        before = sample.images[k]
        picture = given.as_subclass(tv_tensors.Image) if isinstance(given, TrackedImage) else given
        opened = _opened(picture, before)
        if opened is None:
            plain = type(before) is torch.Tensor and isinstance(picture, tv_tensors.Image) and not converts
            sample.images[k] = picture.as_subclass(torch.Tensor) if plain else picture
            continue
        sample.images[k], restore = opened
        if converts:
            sample.restores[k] = restore
        elif isinstance(before, np.ndarray) and before.ndim == 2 and sample.images[k].ndim == 3:
            sample.images[k] = sample.images[k][..., 0]


def _opened(picture: Any, before: Any) -> tuple[NDArray[Any], Any] | None:
    """A picture as an array again, or None for one that stays what the transform made of it, as floats often do."""
    if isinstance(picture, np.ndarray) or is_pil(picture) or (is_tensor(picture) and picture.dtype == torch.uint8):
        return open_picture(picture)
    if is_tensor(picture) and picture.dtype == torch.float32 and getattr(before, "dtype", None) == np.float32:
        try:
            return open_picture(picture)
        except ArgumentError:  # normalised: no longer a picture to go on with, but the result that was asked for
            return None
    return None


def _rows(
    moved: Any, before: NDArray[np.float64], size: Size, name: str, what: str, *, loosely: bool
) -> NDArray[np.float64]:
    """Landmarks or boxes that came back, float64."""
    kind = tv_tensors.BoundingBoxes if what == "boxes" else tv_tensors.KeyPoints
    if not isinstance(moved, kind):
        _refuse(
            name,
            f"gives {what} back as {type(moved).__name__}, not as {kind.__name__}: it was made for pictures; name what "
            "it is for, as in v2.Lambda(f, tv_tensors.Image, PIL.Image.Image)",
        )
    if moved.shape != before.shape:
        _refuse(
            name,
            f"gives {len(moved)} of {len(before)} {what} back, and which ones is not known; let it set what it removes "
            "to NaN",
        )
    found = tuple(map(int, moved.canvas_size))
    if kind is tv_tensors.BoundingBoxes:
        moved = functional.convert_bounding_box_format(moved, new_format="XYXY")
    rows = _array(moved)
    if found != size:
        difference = np.array([size[1] - found[1], size[0] - found[0]], np.float64)
        if not loosely or np.abs(difference).max() > 2:
            _refuse_size(name, f"its {what} are those of {found[1]}x{found[0]}", size)
        rows = rows + np.tile(difference / 2, rows.shape[1] // 2)
    return rows


def _mask(moved: Any, mask: PackedMask, size: Size, name: str, *, loosely: bool) -> NDArray[Any]:
    if not is_tensor(moved) or moved.ndim != mask.codes.ndim:
        _refuse(name, f"gives a mask {mask.codes.shape} back as {type(moved).__name__} {getattr(moved, 'shape', '')}")
    found = tuple(map(int, moved.shape[-2:]))
    codes = moved.as_subclass(torch.Tensor).detach().cpu().numpy()
    if found != size:
        if not loosely or max(abs(a - b) for a, b in zip(found, size, strict=True)) > 2:
            _refuse_size(name, f"its mask has {found[1]}x{found[0]}", size)
        codes = fitted(codes, size)
    return mask.unpacked(codes)


def _check_unmoved(name: str, before: Size, after: Size, calls: list[Any]) -> None:
    """Refuse what has moved the picture, but nothing else."""
    if after != before:
        _refuse_size(name, f"what is known is still that of {before[1]}x{before[0]}", after)
    if not calls:
        return
    height, width = before
    corners = np.array([[0.0, 0.0], [width - 1.0, 0.0], [width - 1.0, height - 1.0], [0.0, height - 1.0]])
    moved = replayed(TrackedPoints(torch.from_numpy(corners), canvas_size=before), calls)
    if not _is_still(_array(moved), corners):
        used = ", ".join(dict.fromkeys(function.__name__ for function, _, _ in calls))
        _refuse(name, f"moves the picture ({used}) and leaves landmarks, boxes and masks where they were")


def _refuse_size(name: str, found: str, size: Size) -> NoReturn:
    _refuse(name, f"makes the picture {size[1]}x{size[0]} (width x height), but {found}")


def _refuse(name: str, reason: str) -> NoReturn:
    raise ArgumentError(
        f"{name} {reason}. A step of your own has to do to KeyPoints, BoundingBoxes and Mask what it does to the "
        "picture, as torchvision.transforms.v2.functional does; or let it be applied to the picture alone, afterwards"
    )


def _is_still(moved: NDArray[np.float64], before: NDArray[np.float64]) -> bool:
    return bool(np.abs(moved - before).max() <= _NEVER_MOVED)


def _array(rows: Any) -> NDArray[np.float64]:
    return np.array(rows.as_subclass(torch.Tensor).detach().cpu().numpy(), np.float64)


def _turn(triangle: NDArray[np.float64]) -> float:
    (ax, ay), (bx, by), (cx, cy) = triangle
    return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
