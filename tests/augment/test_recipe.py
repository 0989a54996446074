"""Recipes: to JSON and TOML and back, with errors that list what is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from torchvision.transforms import v2

from faceaug import ArgumentError, augment
from faceaug.augment import (
    PRESETS,
    Compose,
    Elastic,
    GaussianBlur,
    HorizontalFlip,
    MotionBlur,
    OneOf,
    Perspective,
    Preset,
    Rotate,
    Stretch,
    Twist,
    VerticalFlip,
    build_preset,
    default_recipe,
    load_recipe,
)
from tests.conftest import picture

EVERYTHING = Compose(
    [
        Rotate(12, border="constant", fill=(1, 2, 3), p=0.5), HorizontalFlip(swap=[(0, 1)]), VerticalFlip(p=0.1),
        Stretch(1.1, 1), Twist((3, 9), radius=40), Elastic(3, grid=4), Perspective(0.05, interpolation="cubic"),
        OneOf([GaussianBlur(2, blurry_from=None), MotionBlur(5, 20)], p=0.3, weights=[1, 2]),
        Compose([Rotate()], p=0.5),
    ],
    seed=7,
    swap=[(0, 4)],
)  # fmt: skip

TOML = """
seed = 3

[[transform]]
name = "Rotate"
degrees = 12
border = "edge"

[[transform]]
name = "OneOf"
p = 0.2

[[transform.transform]]
name = "GaussianBlur"
sigma = [0.5, 1.5]

[[transform.transform]]
name = "MotionBlur"
"""


def test_a_recipe_survives_json() -> None:
    assert Compose.from_json(EVERYTHING.to_json()) == EVERYTHING
    assert Compose.from_json(default_recipe(64).to_json()) == default_recipe(64)
    assert Compose.from_json(Rotate(5).to_json()) == Compose([Rotate(5)])


def test_a_recipe_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(TOML)
    expected = Compose([Rotate(12, border="edge"), OneOf([GaussianBlur((0.5, 1.5)), MotionBlur()], p=0.2)], seed=3)
    assert load_recipe(tmp_path / "recipe.toml") == expected
    (tmp_path / "recipe.json").write_text(expected.to_json())
    assert load_recipe(str(tmp_path / "recipe.json")) == expected


def test_a_torchvision_transform_is_logged_but_not_rebuilt() -> None:
    text = Compose([Rotate(), v2.ColorJitter(0.5)]).to_json()
    assert "ColorJitter(brightness=" in text
    with pytest.raises(ArgumentError, match="ColorJitter is a torchvision transform"):
        Compose.from_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[transform]]\nname = "Rotat"',
            "unknown transform 'Rotat' (did you mean 'Rotate'?); known: ",
        ),
        (
            '[[transform]]\nname = "Rotate"\ndegree = 3',
            "transform 1: Rotate has no option 'degree' (did you mean 'deg",
        ),
        ('[[transform]]\nname = "Rotate"\ndegrees = -3', "a strength is not negative"),
        ('[[transform]]\nname = "Rotate"\ntransforms = 1', "Rotate has no option 'transforms'"),
        ("[[transform]]\ndegrees = 3", 'transform 1: expected a mapping with a name, such as name = "Rotate"'),
        ('[transform]\nname = "Rotate"', "transform: expected a list; in TOML, write "),
        ("transform = [3]", "transform 1: expected a mapping with a name"),
        ("seed = 3", "a recipe lists transforms"),
        ("seed = -1\ntransform = []", "seed -1: expected an integer"),
        ("x =", "the recipe cannot be parsed"),
        ("speed = 3\ntransform = []", "recipe: Compose has no option 'speed' (did you mean 'seed'?); it has"),
    ],
)
def test_a_wrong_recipe_is_refused_by_file_and_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=re.escape(message)) as caught:
        load_recipe(path)
    assert "recipe.toml" in str(caught.value)


def test_a_recipe_that_is_not_there_or_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="the recipe cannot be read"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(ArgumentError, match="is not JSON"):
        Compose.from_json("{")


@pytest.mark.parametrize("side", [16, 32, 64, 178])
def test_the_default_recipe_does_the_same_to_a_face_of_any_size(side: int) -> None:
    recipe = default_recipe((round(side * 1.2), side))
    small = [params for key in range(40) for params in recipe.params(key, (round(side * 1.2), side))]
    for params in small:
        inner = params.get("of") or params
        if "pixels" in inner:
            assert 0 <= inner["pixels"] <= 0.012 * side
    image = picture(1, height=round(side * 1.2), width=side)
    centre = np.array([[side / 2, side * 0.6]] * 5)
    for key in range(10):
        moved = recipe(image, key=key, landmarks=centre)
        assert moved["visible"].all()
        assert np.abs(moved["landmarks"] - centre).max() < 0.11 * side + 1


def test_the_default_recipe_never_makes_a_picture_blurry_by_attribute() -> None:
    attributes = np.full(40, -1, np.int8)
    image = picture(1, height=64, width=64)
    recipe = default_recipe(64)
    assert all((recipe(image, key=k, attributes=attributes)["attributes"] == -1).all() for k in range(60))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_draws_by_key_and_replays_at_any_size(name: str) -> None:
    points = np.array([[16.0, 20.0]] * 5)
    for size in ((40, 32), (218, 178)):
        image = picture(1, height=size[0], width=size[1])
        for key in range(6):
            chosen = Preset(name)
            params = json.loads(json.dumps(chosen.params(key, size)))
            moved = chosen(image, key=key, landmarks=points)
            again = chosen.render(image, params, landmarks=points)
            assert (moved["image"] == again["image"]).all()
            assert (moved["landmarks"] == again["landmarks"]).all()
    assert len({Preset(name)(image, key=key).tobytes() for key in range(8)}) > 4
    assert Compose.from_json(Preset(name).to_json()) == Compose([Preset(name)])


def test_a_preset_is_a_recipe_file_alone_or_among_others(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('preset = "strong"\nseed = 2')
    assert load_recipe(path) == Compose([Preset("strong")], seed=2)
    path.write_text('preset = "light"\n[[transform]]\nname = "Rotate"')
    assert load_recipe(path) == Compose([Preset("light"), Rotate()])
    path.write_text('[[transform]]\nname = "Preset"\npreset = "document"\np = 0.5')
    assert load_recipe(path) == Compose([Preset("document", p=0.5)])
    path.write_text('preset = "stron"')
    with pytest.raises(ArgumentError, match="preset='stron': expected one of 'document', 'light', 'strong'"):
        load_recipe(path)


def test_the_document_preset_has_every_operation() -> None:
    names = {step.name for step in build_preset("document", 178).transforms}
    assert names == {
        "Rotate", "HorizontalFlip", "Stretch", "Twist", "Elastic", "Perspective", "GaussianBlur", "MotionBlur",
    }  # fmt: skip
    assert build_preset("light", (218, 178), seed=3) == default_recipe(178, seed=3)


def test_the_former_name_of_build_preset_works_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match=r"faceaug\.augment\.preset is now build_preset"):
        former = augment.preset
    assert former is build_preset
    with pytest.raises(AttributeError, match="no attribute 'presets'"):
        augment.presets  # noqa: B018


@pytest.mark.parametrize("size", [0, (0, 5), (1, 2, 3), ()])
def test_the_default_recipe_needs_a_size(size: object) -> None:
    with pytest.raises(ArgumentError, match="expected \\(height, width\\) or one side"):
        default_recipe(size)
