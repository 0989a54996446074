"""A sample while torchvision transforms work on it: pictures as tensors, targets as the classes of ``tracked``.

Imports torchvision; only ``torchvision.py`` in this package imports this module, once there is a v2 transform.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from faceaug.augment.lattice import Size
from faceaug.augment.masks import PackedMask, fitted, packed
from faceaug.augment.pictures import as_made, is_pil, is_tensor, open_picture
from faceaug.augment.sample import Sample
from faceaug.augment.tracked import Call, TrackedBoxes, TrackedImage, TrackedMask, TrackedPoints, as_rows, replayed
from faceaug.errors import ArgumentError

_STILL = 0.01  # px
_WITNESS_STILL = 0.001  # px; an affine map that moves the witness less than this moves no corner by ``_STILL``
# A triangle around the centre, clockwise as seen; a mirror makes it counter-clockwise.
_WITNESS = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]])
_TRACKED: dict[str, Any] = {"points": TrackedPoints, "boxes": TrackedBoxes}


class Work:
    """A sample in the form that torchvision transforms take.

    Pictures stay tensors from one transform to the next; ``finish`` restores their types. All landmarks are joined into
    one set, as torchvision wants them, plus three points, the witness, that reveal whether the picture was mirrored;
    all boxes are joined too.

    Attributes:
        sample: current landmarks, boxes and masks; its pictures are current after ``finish``.
        is_known: whether any target must follow the picture; landmarks that are all NaN do not count.
    """

    def __init__(self, sample: Sample) -> None:
        sample.settle()
        self.sample = sample
        self.is_known = (
            bool(sample.masks)
            or any(len(boxes) for boxes in sample.boxes)
            or any(np.isfinite(points).all(axis=1).any() for points in sample.points)
        )
        self._pictures: list[Any] | None = None
        self._size: Size | None = None
        self._known: dict[str, list[Any]] | None = None
        self._rows: dict[str, NDArray[np.float64]] = {}
        self._lent: dict[str, NDArray[np.float64]] = {}  # copies, because a transform may work in place
        self._masks: list[PackedMask] = []

    @property
    def size(self) -> Size:
        """Current (height, width) of the pictures, whatever their type."""
        if self._size is None:
            image = self.sample.images[0] if self._pictures is None else self._pictures[0]
            if is_pil(image):
                self._size = int(image.height), int(image.width)
            else:
                height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.shape[-2:]
                self._size = int(height), int(width)
        return self._size

    def pictures(self) -> list[Any]:
        """The pictures as v2 takes them: PIL or ``tv_tensors.Image``, the first one tracked."""
        if self._pictures is None:
            pairs = zip(self.sample.images, self.sample.restores, strict=True)
            self._pictures = [_as_v2(image, restore) for image, restore in pairs]
            self._pictures[0] = self.watched(self._pictures[0])
        return self._pictures

    def watched(self, picture: Any) -> Any:
        """Make a picture track the functions applied to it, where targets have to follow."""
        watch = self.is_known and isinstance(picture, torch.Tensor) and not isinstance(picture, TrackedImage)
        return picture.as_subclass(TrackedImage) if watch else picture

    def put(self, made: list[Any]) -> None:
        """Store the pictures that a transform returned."""
        self._pictures = [self.watched(made[0]), *made[1:]]
        self._size = None

    def lend_tensors(self) -> list[str] | None:
        """Turn PIL pictures of the usual modes into tensors; their modes, or None for other pictures."""
        given = self.pictures()
        if not all(is_pil(picture) and picture.mode in {"L", "RGB", "RGBA"} for picture in given):
            return None
        self.put([functional.to_image(picture) for picture in given])
        return [picture.mode for picture in given]

    def return_pil(self, modes: list[str]) -> None:
        """Turn the pictures into PIL ones again."""
        pairs = zip(self.pictures(), modes, strict=True)
        self.put([functional.to_pil_image(picture.as_subclass(torch.Tensor), mode) for picture, mode in pairs])

    def are_units(self) -> bool:
        """Whether the pictures are floats in 0..1."""
        return all(
            isinstance(one, torch.Tensor) and one.is_floating_point() and 0 <= float(one.min()) <= float(one.max()) <= 1
            for one in self.pictures()
        )

    def clip(self) -> None:
        """Clip what an interpolation shot beyond 0..1, as it does for bytes."""
        self.put([one.clamp(0, 1).as_subclass(type(one)) for one in self.pictures()])

    def start(self) -> None:
        """Start again from the sample after changes made elsewhere."""
        self.sample.settle()
        self._size = self._known = None

    def finish(self) -> Sample:
        """Return the sample with the original picture types, as far as the transforms allow."""
        sample = self.sample
        made = self._pictures
        self._pictures = None
        for k, picture in enumerate(made or ()):
            before = sample.images[k]
            plain = picture.as_subclass(torch.Tensor) if is_tensor(picture) else picture
            array = _as_array(plain, before)
            if array is None:
                was_tensor = type(before) is torch.Tensor
                sample.images[k] = plain if was_tensor or not is_tensor(picture) else _as_image(plain, picture)
            else:
                flat = isinstance(before, np.ndarray) and before.ndim == 2 and array.ndim == 3
                sample.images[k] = array[..., 0] if flat else array
        return sample

    def convert(self, transform: Callable[[Any], Any]) -> None:
        """Let a transform change the type of the pictures permanently."""
        self.finish()
        sample = self.sample
        self._size = None
        for k, image in enumerate(sample.images):
            made = transform(sample.restores[k](image) if isinstance(image, np.ndarray) else image)
            if isinstance(made, np.ndarray) or is_pil(made) or (is_tensor(made) and made.dtype == torch.uint8):
                sample.images[k], sample.restores[k] = open_picture(made)
            else:
                sample.images[k], sample.restores[k] = made, as_made

    def change_points(self) -> list[NDArray[np.float64]]:
        """The landmarks, to be changed in place."""
        self._known = None
        return self.sample.points

    def change_boxes(self) -> list[NDArray[np.float64]]:
        """The boxes, to be changed in place."""
        self._known = None
        return self.sample.boxes

    def known(self) -> dict[str, list[Any]]:
        """Landmarks, boxes and masks as tv_tensors; the same objects until something moves."""
        if self._known is None:
            sample = self.sample
            size = self.size
            self._rows = {"points": np.concatenate([*sample.points, _WITNESS * (size[1], size[0])])}
            if sample.boxes:
                self._rows["boxes"] = np.concatenate(sample.boxes)
            self._lent = {kind: rows.copy() for kind, rows in self._rows.items()}
            self._known = {kind: [_TRACKED[kind].of(rows, size)] for kind, rows in self._lent.items()}
            if sample.masks:
                self._masks = [packed(mask) for mask in sample.masks]
                self._known["masks"] = [torch.from_numpy(m.codes).as_subclass(TrackedMask) for m in self._masks]
        return self._known

    def take(self, after: dict[str, list[Any]], name: str, *, loosely: bool = False) -> bool:
        """Store the targets that a transform returned; ``put`` stores the pictures.

        Args:
            after: the moved counterpart of ``known``.
            name: of the transform, for errors.
            loosely: accept a frame that is a pixel off: expanded rotations of PIL pictures and of tensors differ by
                that, both about the centre.

        Returns:
            Whether anything was moved.

        Raises:
            ArgumentError: a target was dropped or changed its type, or belongs to a picture of another size.
        """
        given = self.known()
        size = self.size
        sample = self.sample
        if all(after[kind][k] is one for kind, some in given.items() for k, one in enumerate(some)) and all(
            np.array_equal(self._lent[kind], rows, equal_nan=True) for kind, rows in self._rows.items()
        ):
            if given["points"][0].canvas_size != size:
                _refuse_size(name, "its landmarks, boxes and masks are not", size)
            return False
        check = _Check(name, size, loosely)
        points = check.rows(after["points"][0], self._rows["points"], "landmarks")
        still = points.shape == self._rows["points"].shape and _is_still(
            points[-3:], self._rows["points"][-3:], _WITNESS_STILL
        )
        still = still and given["points"][0].canvas_size == size
        turn = _turn(points[-3:])
        if not abs(turn) > 0:
            refuse(name, "collapses all points, so a mirror cannot be detected")
        sample.mirrored ^= turn < 0
        sample.points = _parted(points, sample.points)
        if "boxes" in given:
            sample.boxes = _parted(check.rows(after["boxes"][0], self._rows["boxes"], "boxes"), sample.boxes)
        if "masks" in given:
            sample.masks = [check.mask(moved, mask) for moved, mask in zip(after["masks"], self._masks, strict=True)]
        self._known = None
        return not still

    def check_unmoved(self, name: str, before: Size, calls: list[Call]) -> None:
        """Refuse a transform that moved the picture but not its targets.

        Args:
            name: of the transform, for the error.
            before: (height, width) of the picture before the transform.
            calls: functions that the picture passed through.

        Raises:
            ArgumentError: the picture was moved.
        """
        if self.size != before:
            _refuse_size(name, "its landmarks, boxes and masks are not", self.size)
        if not calls:
            return
        height, width = before
        corners = np.array([[0.0, 0.0], [width - 1.0, 0.0], [width - 1.0, height - 1.0], [0.0, height - 1.0]])
        if not _is_still(as_rows(replayed(TrackedPoints.of(corners, before), calls)), corners, _STILL):
            used = ", ".join(dict.fromkeys(function.__name__ for function, _, _ in calls))
            refuse(name, f"moves the picture ({used}) and leaves landmarks, boxes and masks where they were")


class _Check:
    """Checks what a transform returned against its picture.

    Args:
        name: of the transform.
        size: (height, width) of the picture after the transform.
        loosely: see ``Work.take``.
    """

    def __init__(self, name: str, size: Size, loosely: bool) -> None:
        self._name = name
        self._size = size
        self._loosely = loosely

    def rows(self, moved: Any, before: NDArray[np.float64], what: str) -> NDArray[np.float64]:
        """Check landmarks or boxes; float64."""
        kind = tv_tensors.BoundingBoxes if what == "boxes" else tv_tensors.KeyPoints
        if not isinstance(moved, kind):
            refuse(
                self._name,
                f"gives {what} back as {type(moved).__name__}, not as {kind.__name__}: it is meant for pictures; name "
                "their types, as in v2.Lambda(f, tv_tensors.Image, PIL.Image.Image)",
            )
        if moved.shape != before.shape:
            refuse(self._name, f"removes {what}, and it cannot be told which; set them to NaN instead")
        found = moved.canvas_size
        if kind is tv_tensors.BoundingBoxes and moved.format != tv_tensors.BoundingBoxFormat.XYXY:
            moved = functional.convert_bounding_box_format(moved, new_format="XYXY")
        rows = as_rows(moved)
        if tuple(found) == self._size:
            return rows
        self._check_frame(found, f"its {what} belong to one of {found[1]}x{found[0]}")
        difference = np.array([self._size[1] - found[1], self._size[0] - found[0]], np.float64)
        return rows + np.tile(difference / 2, rows.shape[1] // 2)

    def mask(self, moved: Any, mask: PackedMask) -> NDArray[Any]:
        """Check a mask and unpack its labels."""
        if not is_tensor(moved) or moved.ndim != mask.codes.ndim:
            shape = getattr(moved, "shape", "")
            refuse(self._name, f"gives a mask {mask.codes.shape} back as {type(moved).__name__} {shape}")
        codes = moved.as_subclass(torch.Tensor).detach().cpu().numpy()
        if codes.shape[-2:] != self._size:
            self._check_frame(codes.shape[-2:], f"its mask has {codes.shape[-1]}x{codes.shape[-2]}")
            codes = fitted(codes, self._size)
        return mask.unpacked(codes)

    def _check_frame(self, found: Any, reason: str) -> None:
        if not self._loosely or max(abs(a - b) for a, b in zip(found, self._size, strict=True)) > 2:
            _refuse_size(self._name, reason, self._size)


def refuse(name: str, reason: str) -> NoReturn:
    """Raise ArgumentError about a transform, with advice."""
    raise ArgumentError(
        f"{name} {reason}. A step of your own must treat KeyPoints, BoundingBoxes and Mask as it treats the "
        "picture, as torchvision.transforms.v2.functional does; or apply it to the picture alone, afterwards"
    )


def _refuse_size(name: str, reason: str, size: Size) -> NoReturn:
    refuse(name, f"makes the picture {size[1]}x{size[0]} (width x height), but {reason}")


def _as_v2(image: Any, restore: Callable[[Any], Any]) -> Any:
    if not isinstance(image, np.ndarray):
        # v2 treats only the first of several plain tensors as a picture, and none next to a tv_tensors.Image.
        return image.as_subclass(tv_tensors.Image) if type(image) is torch.Tensor else image
    if is_pil(restore(image[:1, :1])):
        return restore(image)
    channels_first = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.array(channels_first)).as_subclass(tv_tensors.Image)


def _as_image(plain: Any, picture: Any) -> Any:
    """Restore the class that a transform gave a tensor, without tracking."""
    kind = tv_tensors.Image if isinstance(picture, TrackedImage) else type(picture)
    return plain if kind is torch.Tensor else plain.as_subclass(kind)


def _as_array(picture: Any, before: Any) -> NDArray[Any] | None:
    """A picture as an array again, or None for one that must stay as the transform left it, often floats."""
    if isinstance(picture, np.ndarray) or is_pil(picture) or (is_tensor(picture) and picture.dtype == torch.uint8):
        return open_picture(picture)[0]
    if is_tensor(picture) and picture.dtype == torch.float32 and getattr(before, "dtype", None) == np.float32:
        try:
            return open_picture(picture)[0]
        except ArgumentError:  # normalised: a valid result, but no longer a picture that can be moved
            return None
    return None


def _parted(rows: NDArray[np.float64], like: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    ends = [0, *accumulate(map(len, like))]
    return [rows[start:end] for start, end in pairwise(ends)]


def _is_still(moved: NDArray[np.float64], before: NDArray[np.float64], limit: float) -> bool:
    return bool(np.abs(moved - before).max() <= limit)


def _turn(triangle: NDArray[np.float64]) -> float:
    (ax, ay), (bx, by), (cx, cy) = triangle.tolist()
    return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
