"""A user's own transforms in recipes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from faceaug import ArgumentError, Compose, OneOf, Rotate
from faceaug.augment.lattice import Size
from faceaug.augment.registry import transforms
from faceaug.augment.sample import Sample
from faceaug.augment.transform import Params, Transform
from faceaug.draws import Dice
from tests.conftest import picture


@dataclass(frozen=True)
class Darker(Transform):
    """Takes levels away."""

    levels: int = 10

    def _draw(self, dice: Dice, size: Size) -> Params:
        return {"levels": round(dice.random() * self.levels)}

    def apply(self, sample: Sample, params: Params) -> None:
        sample.filter(lambda image: np.where(image > params["levels"], image - params["levels"], 0).astype(np.uint8))


class Hidden(Darker):
    """Its option is no field."""

    def __init__(self, strength: int) -> None:
        super().__init__(levels=2 * strength)


def test_a_transform_of_ones_own_survives_a_recipe() -> None:
    recipe = Compose([Rotate(5), OneOf([Darker(40), Darker(p=0.5)])], seed=3)
    read = Compose.from_json(recipe.to_json())
    assert read == recipe
    image = picture(1)
    assert np.array_equal(read(image, key=4), recipe(image, key=4))


def test_a_step_that_a_recipe_cannot_hold_is_logged_and_refused_with_the_reason() -> None:
    text = Compose([Hidden(3)]).to_json()
    assert "Hidden" in text
    with pytest.raises(ArgumentError, match="Hidden is in the log only, .* not dataclass fields"):
        Compose.from_json(text)


def test_bases_and_adapters_cannot_be_named() -> None:
    assert {"Darker", "Rotate", "Compose", "Preset"} <= transforms().keys()
    assert not transforms().keys() & {"Warp", "Blur", "_Flip", "Transform", "TorchvisionStep"}


def test_a_class_defined_again_in_its_module_takes_the_place_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = """
@dataclass(frozen=True)
class Again(Darker):
    more: int = 1
"""
    names = {"dataclass": dataclass, "Darker": Darker, "__name__": "__main__"}
    exec(cell, names)
    exec(cell, names)
    monkeypatch.setitem(sys.modules, "__mp_main__", ModuleType("__mp_main__"))
    exec(cell, names | {"__name__": "__mp_main__"})  # the same script, in a worker process
    assert Compose.from_json('{"transform": [{"name": "Again", "more": 2}]}').transforms[0].more == 2


@pytest.mark.parametrize("name", ["Rotate", "Darker"])
def test_the_name_of_a_transform_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"already has a transform named {name}, .* give the class another name"):
        type(name, (Darker,), {"__module__": "somebody.elses"})
    assert transforms()["Rotate"] is Rotate


def test_a_recipe_with_an_unknown_class_names_the_import_as_the_remedy() -> None:
    program = """
from faceaug import ArgumentError, Compose
try:
    Compose.from_json('{"transform": [{"name": "Darker"}]}')
except ArgumentError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "unknown transform 'Darker'" in said
    assert "once the module that defines them is imported" in said
