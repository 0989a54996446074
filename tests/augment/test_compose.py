"""Compose and OneOf: independent draws, one resampling, replay."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torchvision.transforms import v2

from faceaug import ArgumentError
from faceaug.augment import (
    Compose,
    Elastic,
    GaussianBlur,
    HorizontalFlip,
    OneOf,
    Perspective,
    Rotate,
    Stretch,
    Twist,
    VerticalFlip,
    sample,
)
from faceaug.augment.pixels import render
from tests.conftest import picture

FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)
SIZE = (218, 178)


def drawn(compose: Compose, name: str, key: int) -> dict:
    params = next(params for params in compose.params(key, SIZE) if params["name"] == name)
    return {option: value for option, value in params.items() if option != "step"}


def test_adding_a_transform_anywhere_never_changes_what_another_draws() -> None:
    alone = Compose([Rotate(), Elastic()])
    among = Compose([Stretch(), GaussianBlur(), Rotate(), Twist(), Elastic(), Rotate((5, 5))])
    for key in range(5):
        for name in ("Rotate", "Elastic"):
            assert drawn(alone, name, key) == drawn(among, name, key)
        assert Rotate().params(key, SIZE) == [drawn(alone, "Rotate", key)]


def test_two_transforms_of_one_class_draw_apart() -> None:
    first, second = Compose([Rotate(), Rotate()]).params(1, SIZE)
    assert first["degrees"] != second["degrees"]


def test_the_seed_completes_integer_keys() -> None:
    image = picture(1)
    a, b = Compose([Rotate()], seed=1), Compose([Rotate()], seed=2)
    assert (a(image, key=3) != b(image, key=3)).any()
    assert (a(image, key=3) == b(image, key=(1, 0, 3))).all()


def test_replaying_the_parameters_through_json_gives_the_same() -> None:
    compose = Compose(
        [
            HorizontalFlip(), Rotate(), OneOf([Elastic(), Twist(), GaussianBlur()], p=0.8), Perspective(),
            Compose([Stretch(), GaussianBlur(p=0.5)], p=0.7), Rotate(border="constant"),
        ],
        seed=4,
    )  # fmt: skip
    image = picture(1)
    for key in range(12):
        params = json.loads(json.dumps(compose.params(key, SIZE)))
        replayed = compose.render(image, params, landmarks=FIVE)
        directly = compose(image, key=key, landmarks=FIVE)
        assert (replayed["image"] == directly["image"]).all()
        assert (replayed["landmarks"] == directly["landmarks"]).all()


def test_a_chain_is_resampled_once_up_to_a_blur_or_another_border(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []
    monkeypatch.setattr(sample, "render", lambda *args: (rendered.append(1), render(*args))[1])

    def count(*transforms: object) -> int:
        rendered.clear()
        Compose(list(transforms))(picture(1))
        return len(rendered)

    flip = HorizontalFlip(p=1)
    assert count(Rotate(), flip, Perspective(), Elastic(), Stretch(), Twist(), flip) == 1
    assert count(Rotate(), Compose([flip, OneOf([Twist()])]), Elastic()) == 1
    assert count(flip, Rotate(border="edge"), flip, Stretch(border="edge")) == 1
    assert count(Rotate(), GaussianBlur(), Stretch()) == 2
    assert count(Rotate(border="edge"), Stretch()) == 2
    assert count(Rotate(), Stretch(interpolation="cubic")) == 2


def test_one_of_acts_as_often_as_p_says_and_chooses_by_weight() -> None:
    transform = OneOf([Rotate(), Twist(), Elastic()], p=0.5, weights=[3, 1, 0])
    choices = [params[0]["choice"] for key in range(1500) if (params := transform.params(key, SIZE))]
    assert 650 < len(choices) < 850
    assert 0.69 < choices.count(0) / len(choices) < 0.81
    assert choices.count(2) == 0


def test_the_chosen_of_one_of_acts_for_certain_and_its_p_is_its_weight() -> None:
    image = picture(1)
    flips = OneOf([HorizontalFlip(), VerticalFlip(p=0.25), v2.RandomVerticalFlip(0.25)])
    assert all((flips(image, key=key) != image).any() for key in range(60))
    choices = [flips.params(key, SIZE)[0]["choice"] for key in range(1500)]
    assert 0.45 < choices.count(0) / len(choices) < 0.55
    assert 0.2 < choices.count(2) / len(choices) < 0.3
    equal = OneOf([HorizontalFlip(), VerticalFlip(p=0.1), Rotate(p=0)], weights=[1, 1, 1])
    choices = [equal.params(key, SIZE)[0]["choice"] for key in range(1500)]
    assert all(0.29 < choices.count(k) / len(choices) < 0.38 for k in range(3))
    assert all(params["of"] for params in (equal.params(key, SIZE)[0] for key in range(20)))
    inner = OneOf([Compose([HorizontalFlip()]), Compose([HorizontalFlip()])])
    kept = [params[0]["of"]["steps"] for params in (inner.params(key, SIZE) for key in range(60))]
    assert 0 < sum(map(bool, kept)) < 60  # what stands inside a nested Compose keeps its own p


def test_an_empty_compose_changes_nothing() -> None:
    image = picture(1)
    assert Compose([])(image) is image
    assert (Compose([])(image, landmarks=FIVE)["landmarks"] == FIVE).all()


def test_a_compose_may_act_seldom() -> None:
    acted = [bool(Compose([Rotate()], p=0.25).params(key, SIZE)) for key in range(800)]
    assert 0.19 < np.mean(acted) < 0.31


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Compose(Rotate()), "Compose of a Rotate: expected a list of transforms"),
        (lambda: Compose([Rotate]), r"Compose with a Rotate: .*write Rotate\(...\) with parentheses"),
        (lambda: Compose([str.upper]), "expected faceaug or torchvision.transforms.v2 transforms"),
        (lambda: Compose([], seed=-1), "seed -1: expected an integer"),
        (lambda: OneOf([]), "OneOf of nothing"),
        (lambda: OneOf([Rotate(p=0), HorizontalFlip(p=0)]), "p=0: none could be chosen"),
        (lambda: OneOf([Rotate()], weights=[1, 2]), r"weights=\[1, 2\]: expected 1 numbers"),
        (lambda: OneOf([Rotate()], weights=[0]), "not all 0"),
        (lambda: OneOf([Rotate()], weights="x"), "expected 1 numbers"),
    ],
)
def test_wrong_combinations_are_refused(make: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_parameters_of_another_compose_are_refused() -> None:
    params = Compose([Stretch(), Rotate()]).params(1, SIZE)
    with pytest.raises(ArgumentError, match=r"step 1 \('Rotate'\) is not in this Compose of Stretch"):
        Compose([Stretch()]).render(picture(1), params)
    params = OneOf([Stretch(), Rotate()], weights=[0, 1]).params(1, SIZE)
    with pytest.raises(ArgumentError, match=r"choice 1 \('Rotate'\) is not in this OneOf"):
        OneOf([Rotate()]).render(picture(1), params)
