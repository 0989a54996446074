"""Items of an expanded dataset, made in the same way for a DataLoader and for the processes that write files.

Nothing here imports torch, so that these processes start quickly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.augment import Transform
from faceaug.data.annotations import AUGMENTED, PARTITIONS, REAL, SYNTHETIC, unknown
from faceaug.data.crop import Crop, Placement, Size, crop_face, crop_points, in_frame, place, words_of
from faceaug.data.folder import Target, make_target
from faceaug.data.image import Image8
from faceaug.mix.copies import augment


@dataclass(frozen=True, slots=True)
class Frame:
    """Crop and size of real pictures.

    Attributes:
        crop: see ``faceaug.data.crop``.
        size: (width, height) in pixels; pictures of another shape are padded. None keeps the size of each picture.
    """

    crop: Crop
    size: Size | None

    @property
    def words(self) -> str | None:
        """The size as width x height, such as 178x218; None if each picture keeps its own."""
        return None if self.size is None else words_of(self.size)

    def place(self, image: Image8) -> Placement:
        """Placement of a picture in the frame."""
        return place(self.crop, (image.shape[1], image.shape[0]), self.size)


@dataclass(frozen=True, slots=True)
class Item:
    """One item before it becomes a tensor: picture, target, and its operations for the manifest."""

    image: Image8
    target: Target
    operations: str = ""


def real_item(image: Image8, target: Target, frame: Frame, *, index: int, source: int) -> Item:
    """Crop and resize a real picture.

    Args:
        image: uint8 (H, W, 3), as stored on disk.
        target: annotations of the picture.
        frame: crop and size.
        index: index of the item.
        source: index of the picture in its folder or dataset.
    """
    return _framed(image, target, frame, index, source, REAL, "")


def augmented_item(
    image: Image8,
    target: Target,
    frame: Frame,
    recipe: Transform | None,
    *,
    seed: int,
    epoch: int,
    index: int,
    source: int,
) -> Item:
    """Make an augmented copy, whose draws depend only on (seed, epoch, index); otherwise like ``real_item``."""
    # Augmented before crop and size: what a rotation brings into view is real, and the picture is resized once.
    image, target, drawn = augment(image, target, recipe, (seed, epoch, index))
    return _framed(image, target, frame, index, source, AUGMENTED, json.dumps(drawn))


def synthetic_item(
    face: NDArray[np.uint8], frame: Frame, *, index: int, attributes: NDArray[np.int8], label: int, weight: float
) -> Item:
    """Resize a generated face.

    Args:
        face: uint8 (3, H, W).
        frame: size; its crop is not applied because generated faces already have it.
        index: index of the item.
        attributes: int8 (40,), 0 unknown.
        label: class, -1 unknown.
        weight: ``weight`` of its target.
    """
    known = unknown(1)
    known.origin[0] = SYNTHETIC
    known.partition[0] = PARTITIONS["train"]  # never validation or test
    known.attributes[0] = attributes
    known.label[0] = label
    known.weight[0] = weight
    picture = np.ascontiguousarray(face.transpose(1, 2, 0))
    return Item(crop_face(picture, "none", frame.size), make_target(known, 0) | {"index": index})


def _framed(image: Image8, target: Target, frame: Frame, index: int, source: int, origin: int, operations: str) -> Item:
    points = crop_points(target["landmarks"], frame.crop, frame.size, shape=image.shape)
    framed = crop_face(image, frame.crop, frame.size)
    visible = in_frame(points, framed.shape)
    found = target | {"landmarks": points, "visible": visible, "index": index, "source": source, "origin": origin}
    return Item(framed, found, operations)
