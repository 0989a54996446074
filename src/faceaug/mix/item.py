"""One item of an expanded dataset: the same for the DataLoader and for the processes that write files.

Nothing here imports torch, so that those processes start quickly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.augment import Transform
from faceaug.data.annotations import PARTITIONS, unknown
from faceaug.data.crop import Crop, Placement, Size, crop_face, crop_points, in_frame, place, words_of
from faceaug.data.folder import Target, make_target
from faceaug.data.image import Image8
from faceaug.mix.copies import augment
from faceaug.mix.plan import AUGMENTED, REAL, SYNTHETIC


@dataclass(frozen=True, slots=True)
class Frame:
    """How real pictures are cut and sized.

    Attributes:
        crop: see ``faceaug.data.crop``.
        size: (width, height) in pixels; None: every picture keeps its own. What has another shape is fitted and padded.
    """

    crop: Crop
    size: Size | None

    @property
    def words(self) -> str | None:
        """The size as 178x218, width x height; None where each picture has its own."""
        return None if self.size is None else words_of(self.size)

    def place(self, image: Image8) -> Placement:
        """Where a picture goes in it."""
        return place(self.crop, (image.shape[1], image.shape[0]), self.size)


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
        source: index of the picture in the folder or dataset it comes from.
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
    points = crop_points(target["landmarks"], frame.crop, frame.size, shape=image.shape)
    framed = crop_face(image, frame.crop, frame.size)
    visible = in_frame(points, framed.shape)
    found = target | {"landmarks": points, "visible": visible, "index": index, "source": source, "origin": origin}
    return Item(framed, found, operations)
