"""Recipes: a Compose as JSON or TOML and back, and ready ones by name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from faceaug.augment.blur import GaussianBlur, MotionBlur
from faceaug.augment.compose import Compose, OneOf, build
from faceaug.augment.lattice import Size
from faceaug.augment.ranges import one_of
from faceaug.augment.sample import Sample
from faceaug.augment.transform import Params, Transform
from faceaug.augment.warps import Elastic, HorizontalFlip, Perspective, Rotate, Stretch, Twist
from faceaug.draws import Dice, check_seed
from faceaug.errors import ArgumentError, printable
from faceaug.storage.schema import parse_json


@dataclass(frozen=True)
class Preset(Transform):
    """A ready recipe whose pixel strengths follow the picture: alike for faces of 32 and of 512 pixels.

    * "light": every face stays a natural one; what expanded datasets use. Flip, turn, stretch and slant always (the
      flip for every second face), one gentle warp for three in ten, one slight blur for two in ten.
    * "document": each operation once, by the flip of a coin, at its usual strength: what augmentation usually means.
    * "strong": more of all of it, warps for six in ten and blurs for four in ten; for few faces and long training.

    Attributes:
        preset: one of ``PRESETS``.
    """

    preset: str = "light"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("preset", self.preset, PRESETS)

    def compose(self, size: Size) -> Compose:
        """The Compose that it is for pictures of (height, width)."""
        return _preset(self.preset, min(size))

    def _draw(self, dice: Dice, size: Size) -> Params:
        return self.compose(size).draw(dice, size) or {}

    def draw(self, dice: Dice, size: Size) -> Params | None:
        """Decide everything random; the steps are those of ``compose``."""
        drawn = super().draw(dice, size)
        return drawn and {**drawn, "name": self.name, "side": min(size)}

    def apply(self, sample: Sample, params: Params) -> None:
        """Apply what was drawn."""
        _preset(self.preset, params["side"]).apply(sample, params)


def default_recipe(size: int | Size, *, seed: int = 0) -> Compose:
    """The Compose that makes the augmented copies of an expanded dataset: the preset "light" for one size.

    Args:
        size: of the pictures: (height, width), or the side of square ones; pixels.
        seed: goes with integer keys, see ``Compose``.
    """
    return preset("light", size, seed=seed)


def preset(name: str, size: int | Size, *, seed: int = 0) -> Compose:
    """A preset for pictures of one size, as a Compose to look into or to change; see ``Preset``.

    Args:
        name: one of ``PRESETS``.
        size: of the pictures: (height, width), or the side of square ones; pixels.
        seed: goes with integer keys, see ``Compose``.
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

    A preset takes one line, ``preset = "strong"``, or stands among others as the transform "Preset".

    Raises:
        ArgumentError: no such file, not TOML, or an unknown name or option; the message lists the valid ones.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
        recipe = parse_json(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ArgumentError(f"{printable(path)}: the recipe cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError and TOMLDecodeError alike
        raise ArgumentError(f"{printable(path)}: the recipe cannot be parsed ({error})") from error
    try:
        return build(recipe)
    except ArgumentError as error:
        raise ArgumentError(f"{printable(path)}: {error}") from error
