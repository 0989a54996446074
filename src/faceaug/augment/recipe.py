"""Recipes: a Compose as JSON or TOML and back, and the one that expanded datasets use."""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from faceaug.augment.blur import GaussianBlur, MotionBlur
from faceaug.augment.compose import Compose, OneOf
from faceaug.augment.lattice import Size
from faceaug.augment.transform import Transform
from faceaug.augment.warps import Elastic, HorizontalFlip, Perspective, Rotate, Stretch, Twist, VerticalFlip
from faceaug.errors import ArgumentError, printable

TRANSFORMS: dict[str, type[Transform]] = {
    kind.__name__: kind
    for kind in (
        Rotate, HorizontalFlip, VerticalFlip, Stretch, Twist, Elastic, Perspective,
        GaussianBlur, MotionBlur,
        OneOf, Compose,
    )
}  # fmt: skip
_NESTED = ("Compose", "OneOf")


def default_recipe(size: int | Size, *, seed: int = 0) -> Compose:
    """The Compose that makes the augmented copies of an expanded dataset: every face stays a natural one.

    Strengths that are pixels follow the shorter side, so a face looks alike at 32 and at 218 pixels.

    Args:
        size: of the pictures: (height, width), or the side of square ones; pixels.
        seed: goes with integer keys, see ``Compose``.

    Returns:
        Flip, turn, stretch and slant always (the flip for every second face), one gentle warp for three in ten, one
        slight blur for two in ten.
    """
    sides = (size,) if isinstance(size, int) else tuple(size)
    if len(sides) > 2 or min(sides, default=0) < 1:
        raise ArgumentError(f"size {size!r}: expected (height, width) or one side, in pixels")
    side = min(sides)
    return Compose(
        [
            HorizontalFlip(p=0.5),
            Rotate(12),
            Stretch(1.08),
            Perspective(0.04),
            OneOf([Elastic(0.012 * side, grid=4), Twist(10)], p=0.3),
            OneOf([GaussianBlur(0.006 * side), MotionBlur(0.025 * side)], p=0.2),
        ],
        seed=seed,
    )


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

    Raises:
        ArgumentError: no such file, not TOML, or an unknown name or option; the message lists the valid ones.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
        recipe = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ArgumentError(f"{printable(path)}: the recipe cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError and TOMLDecodeError alike
        raise ArgumentError(f"{printable(path)}: the recipe cannot be parsed ({error})") from error
    try:
        return build(recipe)
    except ArgumentError as error:
        raise ArgumentError(f"{printable(path)}: {error}") from error


def describe(transform: Transform) -> dict[str, Any]:
    """A transform as JSON data: its name and every option; of a torchvision transform its text, for logs."""
    if type(transform) is not TRANSFORMS.get(transform.name):
        return {"name": transform.name, "torchvision": repr(getattr(transform, "transform", transform))}
    known: dict[str, Any] = {"name": transform.name}
    for option in fields(transform):
        value = getattr(transform, option.name)
        if option.name == "transforms":
            known["transform"] = [describe(inner) for inner in value]
        elif value is not None or option.default is not None:
            known[option.name] = value
    return known


def build(recipe: Any) -> Compose:
    """The Compose that a recipe describes: a mapping with ``transform``, a list of mappings, and optionally ``seed``.

    Raises:
        ArgumentError: an unknown name or option; the message lists the valid ones.
    """
    if not isinstance(recipe, dict) or not recipe.keys() & {"transform", "name"}:
        raise ArgumentError('a recipe lists transforms: in TOML a [[transform]] with name = "Rotate" for each')
    made = _build({"name": "Compose", **recipe}, "recipe")
    return made if isinstance(made, Compose) else Compose([made])


def _build(entry: Any, where: str) -> Transform:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ArgumentError(f'{where}: expected a mapping with a name, such as name = "Rotate"')
    name = entry["name"]
    if "torchvision" in entry:
        raise ArgumentError(f"{where}: {name} is torchvision's; a recipe file holds faceaug's own transforms only")
    if name not in TRANSFORMS:
        raise ArgumentError(
            f"{where}: unknown transform {name!r}{_meant(name, TRANSFORMS)}; known: {', '.join(TRANSFORMS)}"
        )
    valid = [option.name for option in fields(TRANSFORMS[name]) if option.name != "transforms"]
    valid += ["transform"] if name in _NESTED else []
    options = {key: value for key, value in entry.items() if key != "name"}
    for key in options:
        if key not in valid:
            raise ArgumentError(f"{where}: {name} has no option {key!r}{_meant(key, valid)}; it has {', '.join(valid)}")
    if name in _NESTED:
        inner = options.pop("transform", [])
        if not isinstance(inner, list):
            raise ArgumentError(f"{where}: transform: expected a list; in TOML write it in double brackets")
        options["transforms"] = [_build(each, f"transform {k + 1}") for k, each in enumerate(inner)]
    return TRANSFORMS[name](**options)


def _meant(word: str, valid: Any) -> str:
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
