"""Recipes: a Compose written to and read from JSON or TOML, and presets by name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from faceaug.augment.blur import GaussianBlur, MotionBlur
from faceaug.augment.compose import Compose, OneOf, build
from faceaug.augment.lattice import Size
from faceaug.augment.outline import Outline
from faceaug.augment.ranges import one_of
from faceaug.augment.sample import Sample
from faceaug.augment.transform import Params, Stage, Transform
from faceaug.augment.warps import Elastic, HorizontalFlip, Perspective, Rotate, Stretch, Twist
from faceaug.draws import Dice, check_seed
from faceaug.errors import ArgumentError, printable
from faceaug.storage.schema import parse_json


@dataclass(frozen=True)
class Preset(Transform):
    """A ready recipe whose pixel strengths scale with the picture, so that it fits faces of 32 and of 512 pixels alike.

    * "light": keeps every face natural; the default for expanded datasets. Always flip (with probability 0.5), rotate,
      stretch and perspective; a gentle warp with probability 0.3, a slight blur with probability 0.2.
    * "document": each operation with probability 0.5 at its usual strength, as in the project report (INSAT 2023; see
      docs/train.md): what augmentation usually means.
    * "strong": stronger versions, warps with probability 0.6 and blurs with 0.4; for few faces and long training.

    Attributes:
        preset: one of ``PRESETS``.

    Example:
        >>> import numpy as np
        >>> from faceaug.augment import Preset
        >>> Preset("strong")(np.zeros((64, 64, 3), np.uint8), key=0).shape
        (64, 64, 3)
    """

    preset: str = "light"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("preset", self.preset, PRESETS)

    def compose(self, size: Size) -> Compose:
        """The preset as a Compose for pictures of (height, width)."""
        return _preset(self.preset, min(size))

    def _act(self, stage: Stage, dice: Dice) -> Params:
        size = stage.size
        return {**self.compose(size)._act(stage, dice), "name": self.name, "side": min(size)}

    def _draw(self, dice: Dice, size: Size) -> Params:
        return self._act(Outline(size), dice)

    def apply(self, sample: Sample, params: Params) -> None:
        """Apply the drawn steps."""
        _preset(self.preset, params["side"]).apply(sample, params)


def default_recipe(size: int | Size, *, seed: int = 0) -> Compose:
    """The default recipe for augmented copies in an expanded dataset: the preset "light" for one picture size.

    Args:
        size: picture size: (height, width), or the side of square pictures; pixels.
        seed: completes integer keys, see ``Compose``.

    Example:
        >>> from faceaug.augment import default_recipe
        >>> [transform.name for transform in default_recipe(64).transforms][:2]
        ['HorizontalFlip', 'Rotate']
    """
    return build_preset("light", size, seed=seed)


def build_preset(name: str, size: int | Size, *, seed: int = 0) -> Compose:
    """Build a preset for one picture size as a Compose, to inspect or change it; see ``Preset``.

    Args:
        name: one of ``PRESETS``.
        size: picture size: (height, width), or the side of square pictures; pixels.
        seed: completes integer keys, see ``Compose``.

    Example:
        >>> from faceaug.augment import build_preset
        >>> len(build_preset("document", (218, 178)).transforms)
        8
    """
    sides = (size,) if isinstance(size, int) else tuple(size)
    if len(sides) > 2 or min(sides, default=0) < 1:
        raise ArgumentError(f"size {size!r}: expected (height, width) or one side, in pixels")
    return replace(_preset(one_of("preset", name, PRESETS), min(sides)), seed=check_seed(seed))


@lru_cache(maxsize=64)
def _preset(name: str, side: int) -> Compose:
    return Compose(_STEPS[name](side))


def _light(side: int) -> list[Transform]:
    return [
        HorizontalFlip(p=0.5),
        Rotate(12),
        Stretch(1.08),
        Perspective(0.04),
        OneOf([Elastic(0.012 * side, grid=4), Twist(10)], p=0.3),
        OneOf([GaussianBlur(0.006 * side), MotionBlur(0.025 * side)], p=0.2),
    ]


def _document(side: int) -> list[Transform]:
    return [
        Rotate(20, p=0.5),
        HorizontalFlip(p=0.5),
        Stretch(1.15, p=0.5),
        Twist(20, p=0.5),
        Elastic(0.03 * side, p=0.5),
        Perspective(0.08, p=0.5),
        GaussianBlur(0.008 * side, p=0.5),
        MotionBlur(0.04 * side, p=0.5),
    ]


def _strong(side: int) -> list[Transform]:
    return [
        HorizontalFlip(p=0.5),
        Rotate(25),
        Stretch(1.2),
        Perspective(0.1),
        OneOf([Elastic(0.035 * side, grid=4), Elastic(0.02 * side, grid=8), Twist(30)], p=0.6),
        OneOf([GaussianBlur(0.012 * side), MotionBlur(0.05 * side)], p=0.4),
    ]


_STEPS: dict[str, Callable[[int], list[Transform]]] = {"document": _document, "light": _light, "strong": _strong}
PRESETS: tuple[str, ...] = tuple(_STEPS)


def load_recipe(path: Path | str) -> Compose:
    """Read a recipe file: TOML, or JSON when its name ends in ``.json``.

    ::

        seed = 0

        [[transform]]
        name = "Rotate"
        degrees = 12

        [[transform]]
        name = "OneOf"
        p = 0.2
        [[transform.transform]]
        name = "GaussianBlur"
        sigma = [0.5, 1.5]

    A preset takes one line, ``preset = "strong"``, or is a step among others named "Preset".

    Raises:
        ArgumentError: no such file, not TOML or JSON, or an unknown name or option; the message lists the valid ones.

    Example:
        >>> from pathlib import Path
        >>> from faceaug.augment import load_recipe
        >>> _ = Path("recipe.toml").write_text('preset = "strong"')
        >>> load_recipe("recipe.toml").to_json()
        '{"name": "Compose", "p": 1.0, "transform": [{"name": "Preset", "p": 1.0, "preset": "strong"}], "seed": 0}'
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
        recipe = parse_json(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ArgumentError(f"{printable(path)}: the recipe cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError or TOMLDecodeError
        raise ArgumentError(f"{printable(path)}: the recipe cannot be parsed ({error})") from error
    try:
        return build(recipe)
    except ArgumentError as error:
        raise ArgumentError(f"{printable(path)}: {error}") from error
