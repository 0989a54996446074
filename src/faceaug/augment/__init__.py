"""Picture augmentation that moves landmarks, boxes, masks and attributes together with the pixels.

::

    Rotate HorizontalFlip VerticalFlip Stretch Twist Elastic Perspective    one map, one resample
    GaussianBlur MotionBlur                                                 in place
    Compose OneOf                                                           and torchvision.transforms.v2, both ways

Nothing here imports torch before it is given a tensor or a torchvision transform.
"""

import warnings

from faceaug.augment.blur import GaussianBlur, MotionBlur
from faceaug.augment.compose import Compose, OneOf
from faceaug.augment.preview import preview_sheet, write_preview
from faceaug.augment.recipe import PRESETS, Preset, build_preset, default_recipe, load_recipe
from faceaug.augment.seeding import torch_seeded
from faceaug.augment.transform import Transform
from faceaug.augment.warps import (
    Elastic,
    HorizontalFlip,
    Perspective,
    Rotate,
    Stretch,
    Twist,
    VerticalFlip,
)

__all__ = [
    "Rotate",
    "HorizontalFlip",
    "VerticalFlip",
    "Stretch",
    "Twist",
    "Elastic",
    "Perspective",
    "GaussianBlur",
    "MotionBlur",
    "Compose",
    "OneOf",
    "Transform",
    "Preset",
    "PRESETS",
    "build_preset",
    "default_recipe",
    "load_recipe",
    "preview_sheet",
    "write_preview",
    "torch_seeded",
]


def __getattr__(name: str) -> object:
    if name != "preset":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        "faceaug.augment.preset is now build_preset; the old name will be removed in 0.3",
        DeprecationWarning,
        stacklevel=2,
    )
    return build_preset
