"""The way to torchvision.transforms.v2: its transforms as steps of a Compose, by one key.

The other direction needs no adapter: a faceaug transform is a callable that takes what ``v2.Compose`` hands on.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from faceaug.augment.lattice import Size
from faceaug.augment.maps import Points
from faceaug.augment.pictures import is_pil, is_tensor, open_picture
from faceaug.augment.sample import Sample
from faceaug.augment.transform import Params, Transform
from faceaug.draws import MAX_SEED, Dice

# These are there to change the type of the picture; after any other it goes back to the type it had.
_CONVERSIONS = ("ToImage", "ToPILImage", "PILToTensor", "ToPureTensor")


def is_v2(transform: object) -> bool:
    """Whether it is a torchvision v2 transform; never imports torchvision."""
    v2 = sys.modules.get("torchvision.transforms.v2")
    return v2 is not None and isinstance(transform, v2.Transform)


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Run a block with torch's global (CPU) generator at a given seed, and put its state back after.

    Args:
        seed: 0..2**63-1.
    """
    import torch

    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """Run a block with torch's (CPU), NumPy's and Python's global generators at a given seed, and put them back after.

    Args:
        seed: 0..2**63-1.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002, TID251
    try:
        with torch_seeded(seed):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


@dataclass(frozen=True, eq=False)
class TorchvisionStep(Transform):
    """A torchvision v2 transform inside a faceaug Compose.

    It sees tv_tensors (PIL pictures stay PIL), draws by the key, and may change the size of the picture, or make it
    float at the end of the Compose. Landmarks swap when it mirrors, which torchvision itself does not do.

    Attributes:
        transform: the torchvision transform.
    """

    transform: Any = None

    @property
    def name(self) -> str:
        """The class of the torchvision transform."""
        return type(self.transform).__name__

    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {"torch_seed": dice.integer(MAX_SEED)}

    def apply(self, sample: Sample, params: Params) -> None:
        """Run it on the pixels and targets as they are now."""
        sample.settle()
        before = _as_tv(sample, converts=_converts(self.transform))
        with torch_seeded(params["torch_seed"]):
            after = self.transform(before)
        _take_back(sample, after, converts=_converts(self.transform))


def _converts(transform: Any) -> bool:
    inner = getattr(transform, "transforms", ())
    return type(transform).__name__ in _CONVERSIONS or any(map(_converts, inner))


def _as_tv(sample: Sample, *, converts: bool) -> dict[str, list[Any]]:
    import torch
    from torchvision import tv_tensors

    size = sample.images[0].shape[:2] if isinstance(sample.images[0], np.ndarray) else sample.images[0].shape[-2:]
    canvas = (int(size[0]), int(size[1]))
    return {
        "images": [_picture(*pair, converts=converts) for pair in zip(sample.images, sample.restores, strict=True)],
        "points": [
            tv_tensors.KeyPoints(torch.from_numpy(np.concatenate([points, _probe(canvas)])), canvas_size=canvas)
            for points in sample.points
        ],
        "boxes": [
            tv_tensors.BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=canvas)
            for boxes in sample.boxes
        ],
        "masks": [tv_tensors.Mask(torch.from_numpy(np.ascontiguousarray(mask))) for mask in sample.masks],
    }


def _picture(image: Any, restore: Any, *, converts: bool) -> Any:
    if not isinstance(image, np.ndarray):
        return image
    given = restore(image)
    if converts or is_pil(given):
        return given
    import torch
    from torchvision import tv_tensors

    channels_first = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return tv_tensors.Image(torch.from_numpy(np.array(channels_first)))


def _take_back(sample: Sample, after: dict[str, list[Any]], *, converts: bool) -> None:
    for k, picture in enumerate(after["images"]):
        if (
            isinstance(picture, np.ndarray)
            or is_pil(picture)
            or (is_tensor(picture) and str(picture.dtype) == "torch.uint8")
        ):
            flat = isinstance(sample.images[k], np.ndarray) and sample.images[k].ndim == 2
            sample.images[k], restore = open_picture(picture)
            if converts:
                sample.restores[k] = restore
            elif flat and sample.images[k].ndim == 3:
                sample.images[k] = sample.images[k][..., 0]
        else:
            sample.images[k] = picture
    moved = [points.detach().numpy().astype(np.float64) for points in after["points"]]
    sample.points = [points[:-3] for points in moved]
    sample.boxes = [boxes.detach().numpy().astype(np.float64) for boxes in after["boxes"]]
    sample.masks = [mask.detach().numpy() for mask in after["masks"]]
    sample.mirrored ^= bool(moved) and _turn(moved[0][-3:]) < 0


def _probe(canvas: Size) -> Points:
    """Three points around the centre, clockwise as seen; a mirror makes them counter-clockwise."""
    height, width = canvas
    return np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]]) * (width, height)


def _turn(triangle: Points) -> float:
    (ax, ay), (bx, by), (cx, cy) = triangle
    return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
