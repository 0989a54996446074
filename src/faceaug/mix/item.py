"""One item of an expanded dataset: the same for the DataLoader and for the processes that write files.

Nothing here imports torch, so that those processes start quickly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, unknown
from faceaug.augment import Transform
from faceaug.data.crop import Crop, crop_face, crop_points, in_frame
from faceaug.data.folder import Target, make_target
from faceaug.data.image import Image8
from faceaug.mix.copies import augment
from faceaug.mix.plan import AUGMENTED, REAL, SYNTHETIC


@dataclass(frozen=True, slots=True)
class Frame:
    """How real pictures are cut and sized: crop, and (height, width) in pixels."""

    crop: Crop
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Item:
    """One item before it becomes a tensor: picture, target, and how it was made (for the manifest)."""

    image: Image8
    target: Target
    operations: str = ""


def real_item(image: Image8, target: Target, frame: Frame, *, index: int, source: int) -> Item:
    """A real picture, cut and sized.

    Args:
        image: uint8 (H, W, 3), as it lies on disk.
        target: what is known of it.
        frame: how to cut.
        index: of the item.
        source: of the item that is this picture itself.
    """
    return _framed(image, target, frame, index, source, REAL, "")


def augmented_item(
    image: Image8, target: Target, frame: Frame, recipe: Transform | None, *, seed: int, epoch: int, index: int,
    source: int,
) -> Item:  # fmt: skip
    """An augmented copy; drawn from (seed, epoch, index) alone. Otherwise as ``real_item``."""
    # As the picture lies on disk, before crop and size: what turns into view is real, and sizing smooths once.
    image, target, drawn = augment(image, target, recipe, (seed, epoch, index))
    return _framed(image, target, frame, index, source, AUGMENTED, json.dumps(drawn))


def synthetic_item(
    face: NDArray[np.uint8], frame: Frame, *, index: int, attributes: NDArray[np.int8], label: int, weight: float
) -> Item:
    """A generated face, sized.

    Args:
        face: uint8 (3, H, W).
        frame: its crop is the model's already and is not applied.
        index: of the item.
        attributes: int8 (40,), 0 where nothing is known.
        label: of its class, -1 unknown.
        weight: in its target.
    """
    nobody = unknown(1)
    nobody.origin[0], nobody.partition[0] = SYNTHETIC, PARTITIONS["train"]  # never validation or test
    nobody.attributes[0], nobody.label[0], nobody.weight[0] = attributes, label, weight
    picture = np.ascontiguousarray(face.transpose(1, 2, 0))
    return Item(crop_face(picture, "none", frame.size), make_target(nobody, 0) | {"index": index})


def _framed(image: Image8, target: Target, frame: Frame, index: int, source: int, origin: int, operations: str) -> Item:
    points = crop_points(target["landmarks"], frame.crop, frame.size, image_size=image.shape[:2])
    visible = in_frame(points, frame.size)
    found = target | {"landmarks": points, "visible": visible, "index": index, "source": source, "origin": origin}
    return Item(crop_face(image, frame.crop, frame.size), found, operations)
