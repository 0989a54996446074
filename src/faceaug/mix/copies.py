"""Augmented copies of real pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.augment import PRESETS, Compose, Preset, Transform, load_recipe
from faceaug.data.annotations import AUGMENTED
from faceaug.data.folder import Target
from faceaug.data.image import Image8
from faceaug.errors import ArgumentError

Recipe = Transform | Callable[[Any], Any] | str | Path
_DEFAULT = Preset("light")
_CHANGED = ("landmarks", "visible", "attributes")


def as_recipe(recipe: Recipe | None) -> Transform | None:
    """Turn a faceaug or torchvision transform, the name of a preset or the path of a recipe.toml into a transform."""
    if recipe is None or isinstance(recipe, Transform):
        return recipe
    if isinstance(recipe, str | Path) and str(recipe) in PRESETS and not Path(recipe).exists():
        return Preset(str(recipe))
    if isinstance(recipe, str | Path):
        return load_recipe(Path(recipe))
    return Compose([recipe])


def augment(
    image: Image8, target: Target, recipe: Transform | None, key: tuple[int, int, int]
) -> tuple[Image8, Target, list[dict[str, Any]]]:
    """Augment a picture and its annotations.

    Args:
        image: uint8 (H, W, 3), as stored on disk.
        target: see ``faceaug.data.folder.make_target``.
        recipe: transform; None is the preset "light" for the size of the picture.
        key: (seed, epoch, index), which decides every draw.

    Returns:
        (image, target, operations); ``recipe.render`` repeats the augmentation from ``operations``.

    Raises:
        ArgumentError: the result is not a uint8 (H, W, 3) array.
    """
    recipe = recipe or _DEFAULT.compose(image.shape[:2])
    result, operations = recipe.traced(image, key=key, landmarks=target["landmarks"], attributes=target["attributes"])
    made = result["image"]
    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3:
        raise ArgumentError(
            f"the recipe turned a uint8 (H, W, 3) picture into a {type(made).__name__} {getattr(made, 'dtype', '')} "
            f"{getattr(made, 'shape', '')}; leave conversions (ToDtype, Normalize, Grayscale) to transform="
        )
    return made, target | {name: result[name] for name in _CHANGED} | {"origin": AUGMENTED}, operations
