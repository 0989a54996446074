"""Samples: pictures with targets, taken apart, transformed together, and restored to the form they came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.labels import LabelSwap, swapped_labels
from faceaug.augment.lattice import Size
from faceaug.augment.maps import Map, Points, Sampling
from faceaug.augment.pictures import Picture, Restore, laid_out, open_picture
from faceaug.augment.pixels import render, render_mask
from faceaug.augment.targets import OpenTarget, check_attributes, open_target
from faceaug.augment.trees import SAME, kinds_of, leaves_of, rebuilt
from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError

Swap: TypeAlias = tuple[tuple[int, int], ...]
Sides: TypeAlias = tuple[Swap | None, LabelSwap | None]  # pairs exchanged by a mirror: landmarks, mask labels

# CelebA: lefteye, righteye, nose, leftmouth, rightmouth.
CELEBA_5: Swap = ((0, 1), (3, 4))
# iBUG 300-W (Sagonas et al. 2013): jaw, brows, nose, eyes, outer and inner lips.
IBUG_68: Swap = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)  # fmt: skip
_USUAL: dict[int, Swap] = {0: (), 5: CELEBA_5, 68: IBUG_68}
_BLURRY = ATTRIBUTES.index("Blurry")


class Sample:
    """The working form of a sample: pictures of one size and their targets, all as arrays.

    Geometric changes are queued until the pixels are needed, so that consecutive ones are resampled once.

    Attributes:
        images: uint8, or float32 in 0..1, (height, width) or (height, width, channels) each; a picture that a
            torchvision transform turned into something else stays that until it is needed.
        restores: one function per image that restores its type.
        points: float64 (n, 2) each.
        boxes: float64 (n, 4) each, edges.
        masks: (..., height, width) each, any dtype.
        attributes: (40,) each.
        flags: (n,) each, which landmarks, or else boxes, were given as visible.
        mirrored: whether left and right are exchanged so far; kept where there are points or masks.
    """

    __slots__ = (
        "_pending", "_sampling", "attributes", "boxes", "flags", "images", "masks", "mirrored", "points", "restores"
    )  # fmt: skip

    def __init__(self, images: list[Any], restores: list[Restore]) -> None:
        self.images = images
        self.restores = restores
        self.points: list[Points] = []
        self.boxes: list[NDArray[np.float64]] = []
        self.masks: list[NDArray[Any]] = []
        self.attributes: list[NDArray[Any]] = []
        self.flags: list[NDArray[Any]] = []
        self.mirrored = False
        self._pending: Map | None = None
        self._sampling: Sampling | None = None

    @property
    def size(self) -> Size:
        """Current (height, width) of the pictures."""
        if self._pending is not None:
            return self._pending.out
        image = self.images[0]
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.shape[-2:]
        return int(height), int(width)

    def take(self, step: Any, params: dict[str, Any]) -> None:
        """Apply a transform."""
        step.apply(self, params)

    def warp(self, motion: Map, sampling: Sampling | None) -> None:
        """Queue a move; ``sampling`` None merges with any other (a flip fetches nothing from outside)."""
        if self._sampling is not None and sampling is not None and sampling != self._sampling:
            self.settle()
        self._pending = motion if self._pending is None else self._pending.then(motion)
        self._sampling = sampling or self._sampling

    def filter(self, function: Callable[[Picture], Picture]) -> None:
        """Apply a function to the pixels, moves first."""
        self.settle()
        self.images = [function(self.array(k)) for k in range(len(self.images))]

    def mark_blurry(self) -> None:
        """Set the attribute ``Blurry`` to 1."""
        for row in self.attributes:
            row[_BLURRY] = 1

    def settle(self) -> None:
        """Carry out all queued moves with one resampling."""
        motion = self._pending
        sampling = self._sampling or _PLAIN
        self._pending = self._sampling = None
        if motion is None:
            return
        self.images = [render(motion, self.array(k), sampling) for k in range(len(self.images))]
        if self.masks:
            self.masks = [render_mask(motion, mask, sampling.border) for mask in self.masks]
        if self.points:
            self.points = [motion.move(points) for points in self.points]
        if self.boxes:
            self.boxes = [motion.move_boxes(boxes) for boxes in self.boxes]
        if self.points or self.masks:
            self.mirrored ^= motion.mirrors

    def array(self, k: int) -> Picture:
        """Picture ``k`` as an array; one that a torchvision transform made a float tensor is opened again.

        Raises:
            ArgumentError: its type or values cannot be moved.
        """
        image = self.images[k]
        if isinstance(image, np.ndarray):
            return image
        try:
            self.images[k], self.restores[k] = open_picture(image)
        except ArgumentError as error:
            raise ArgumentError(
                f"a faceaug transform follows one that made the picture {getattr(image, 'dtype', type(image))}: "
                f"put conversions (v2.ToDtype, v2.Normalize) at the end ({error})"
            ) from error
        return self.array(k)

    def exchange(self, sides: Sides) -> None:
        """Exchange left and right landmarks and labels if the sample is mirrored."""
        if not self.mirrored:
            return
        counts = {len(points) for points in self.points}
        self.flags = [_swapped(flags, sides[0]) if len(flags) in counts else flags for flags in self.flags]
        self.points = [_swapped(points, sides[0]) for points in self.points]
        if sides[1]:
            self.masks = [swapped_labels(mask, sides[1]) for mask in self.masks]


_PLAIN = Sampling()


class Opened(Protocol):
    """A sample taken apart, and the way back."""

    sample: Sample

    def close(self, sides: Sides) -> Any:
        """Carry out queued moves, exchange left and right under a mirror, and restore every part's place and type."""


class OpenPicture:
    """One picture, optionally with targets by name."""

    __slots__ = ("_bare", "_targets", "sample")

    def __init__(self, x: Any, named: dict[str, Any], *, by_name: bool) -> None:
        array, restore = open_picture(x)
        self.sample = Sample([array], [restore])
        self._bare = not (named or by_name)
        self._targets = named and {name: _take(self.sample, name, value) for name, value in named.items()}
        if "visible" in named:
            _check_visible(self.sample)

    def close(self, sides: Sides) -> Any:
        """The picture, or a dict of picture, targets and ``visible``."""
        sample = self.sample
        sample.settle()
        if self._bare:
            return _restored(sample.images[0], sample.restores[0])
        sample.exchange(sides)
        results = _Results(sample)
        changed = {name: results.next(name, target) for name, target in self._targets.items()}
        if "visible" not in changed:
            changed["visible"] = results.visible_of_all(list(self._targets.values()))
        return {"image": results.next("image", None), **changed}


@dataclass(slots=True)
class OpenTree:
    """A dict, list or tuple that contains pictures and targets."""

    sample: Sample
    tree: Any
    roles: list[tuple[str, OpenTarget | None]]

    def close(self, sides: Sides) -> Any:
        """The same structure with the changed values."""
        self.sample.settle()
        self.sample.exchange(sides)
        results = _Results(self.sample)
        return rebuilt(self.tree, iter([results.next(role, target) for role, target in self.roles]))


def open_sample(x: Any, named: dict[str, Any], *, by_name: bool = False) -> Opened:
    """Take a picture or a whole sample apart.

    Args:
        x: a picture, or a dict, list or tuple that contains at least one.
        named: targets by name, see ``Transform``; only with a single picture.
        by_name: whether the result is a dict even without targets.

    Raises:
        ArgumentError: there is no picture, pictures differ in size, a target has the wrong shape.
    """
    if isinstance(x, (dict, list, tuple)):
        if named:
            raise ArgumentError(f"{', '.join(named)}: give targets as arguments or inside the sample, not both")
        return _open_tree(x)
    check_attributes(named.get("attributes"))
    return OpenPicture(x, named, by_name=by_name)


def _open_tree(tree: Any) -> OpenTree:
    leaves = list(leaves_of(tree))
    kinds = kinds_of(leaves)
    sample = Sample([], [])
    for kind, (_, value) in zip(kinds, leaves, strict=True):
        if kind == "image":
            array, restore = open_picture(value)
            if sample.images and array.shape[:2] != sample.images[0].shape[:2]:
                sizes = f"{sample.images[0].shape[:2]} and {array.shape[:2]}"
                raise ArgumentError(f"pictures of different sizes in one sample, {sizes}: one draw cannot move both")
            sample.images.append(array)
            sample.restores.append(restore)
    roles = [(kind, _take(sample, kind, value)) for kind, (_, value) in zip(kinds, leaves, strict=True)]
    return OpenTree(sample, tree, roles)


def checked_swap(swap: Any) -> Swap | None:
    """Normalise pairs of landmarks to tuples; ArgumentError for anything else."""
    if swap is None:
        return None
    try:
        pairs = tuple((int(a), int(b)) for a, b in swap)
    except (TypeError, ValueError):
        raise ArgumentError(f"swap={swap!r}: expected pairs of landmark numbers, [(0, 1), (3, 4)]") from None
    flat = [number for pair in pairs for number in pair]
    if len(set(flat)) != len(flat) or min(flat, default=0) < 0:
        raise ArgumentError(f"swap={swap!r}: each landmark number may occur once, counted from 0")
    return pairs


class _Results:
    """Returns the changed values of a sample in the order in which they were taken."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._left = {
            "image": iter([_restored(*pair) for pair in zip(sample.images, sample.restores, strict=True)]),
            "landmarks": iter(sample.points),
            "boxes": iter(sample.boxes),
            "mask": iter(sample.masks),
            "attributes": iter(sample.attributes),
            "visible": iter(sample.flags),
        }

    def next(self, role: str, target: OpenTarget | None) -> Any:
        """The value for the next place of this role."""
        if role == "other":
            return SAME
        value = next(self._left[role])
        if role == "visible":
            inside = self._inside(len(value))
            value = value if inside is None else np.where(inside, value, 0)
        return value if target is None else target.close(value, self._canvas)

    def visible_of_all(self, targets: list[OpenTarget | None]) -> Any:
        """Visibility of a single picture's landmarks, else of its boxes, in the same kind of array."""
        like = next(
            (target for target in targets if target is not None and target.role in {"landmarks", "boxes"}), None
        )
        visible = None if like is None else self._inside(len(like.array))
        return np.zeros(0, np.bool_) if like is None or visible is None else like.like_source(visible)

    @property
    def _canvas(self) -> Size | None:
        image = self._sample.images[0]
        return image.shape[:2] if isinstance(image, np.ndarray) else None

    def _inside(self, count: int) -> NDArray[np.bool_] | None:
        """Which landmarks, or else boxes, are known and inside the frame; None if there are not so many."""
        canvas = self._canvas or tuple(self._sample.images[0].shape[-2:])
        for points in self._sample.points:
            if len(points) == count:
                limit = np.array([canvas[1], canvas[0]]) - 0.5
                inside = (points >= -0.5) & (points <= limit)  # false for NaN too
                return np.asarray(inside.all(axis=1))
        for boxes in self._sample.boxes:
            if len(boxes) == count:
                inside = (boxes[:, :2] < [canvas[1], canvas[0]]) & (boxes[:, 2:] > 0)
                return np.asarray(inside.all(axis=1))
        return None


def _take(sample: Sample, kind: str, value: Any) -> OpenTarget | None:
    if kind in {"image", "other"}:
        return None
    target = open_target(kind, value, sample.size)
    store = {
        "landmarks": sample.points,
        "boxes": sample.boxes,
        "mask": sample.masks,
        "attributes": sample.attributes,
        "visible": sample.flags,
    }
    store[kind].append(target.array)
    return target


def _check_visible(sample: Sample) -> None:
    counts = [len(rows) for rows in (*sample.points, *sample.boxes)]
    flags = sample.flags[0]
    if len(flags) not in (counts or [0]):
        found = " and ".join(map(str, counts)) or "no"
        raise ArgumentError(f"visible of {len(flags)} with {found} landmarks or boxes: expected a flag for each")


def _restored(image: Any, restore: Restore) -> Any:
    """A picture in its own form; one that a torchvision transform made something else at least in the layout."""
    return restore(image) if isinstance(image, np.ndarray) else laid_out(image, restore)


def _swapped(points: Points, swap: Swap | None) -> Points:
    count = len(points)
    pairs = swap if swap is not None else _USUAL.get(count)
    if pairs is None:
        raise ArgumentError(
            f"{count} landmarks under a mirror: left and right are known for 5 (CelebA) and 68 (iBUG) landmarks "
            "only; give swap=[(0, 1), ...] to the flip or the Compose, or swap=() where no landmark has a side"
        )
    order = np.arange(count)
    for a, b in pairs:
        if max(a, b) >= count:
            raise ArgumentError(f"swap names landmark {max(a, b)}, but there are {count}, counted from 0")
        order[[a, b]] = b, a
    return points[order]
