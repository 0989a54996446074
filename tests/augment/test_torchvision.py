"""Both ways: faceaug inside torchvision.transforms.v2.Compose, and v2 transforms inside faceaug's."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from faceaug import ArgumentError
from faceaug.augment import (
    Compose,
    Elastic,
    GaussianBlur,
    HorizontalFlip,
    OneOf,
    Rotate,
    default_recipe,
    torch_seeded,
)
from tests.conftest import picture

FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)
FLIPPED = [[69, 111], [108, 111], [89, 135], [72, 152], [104, 152]]


def tensor(seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(picture(seed).transpose(2, 0, 1).copy())


@pytest.mark.parametrize("make", [tensor, lambda: tv_tensors.Image(tensor()), lambda: Image.fromarray(picture(1))])
def test_our_transforms_work_inside_a_v2_compose(make: object) -> None:
    pipeline = v2.Compose(
        [
            v2.RandomApply([Rotate(15)], p=0.9), Elastic(4), v2.RandomChoice([GaussianBlur(), HorizontalFlip()]),
            default_recipe(178), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        ]
    )  # fmt: skip
    result = pipeline(make())
    assert result.dtype == torch.float32
    assert tuple(result.shape) == (3, 218, 178)
    assert 0 <= float(result.min()) < float(result.max()) <= 1


def test_a_whole_sample_shares_one_draw_inside_a_v2_compose() -> None:
    pipeline = v2.Compose([HorizontalFlip(p=1), v2.RandomVerticalFlip(p=1)])
    sample = {
        "image": tv_tensors.Image(tensor()),
        "points": tv_tensors.KeyPoints(FIVE, canvas_size=(218, 178)),
        "boxes": tv_tensors.BoundingBoxes([[10, 20, 30, 50]], format="XYXY", canvas_size=(218, 178)),
        "masks": tv_tensors.Mask(tensor()[0]),
        "label": 4,
    }
    moved = pipeline(sample)
    turned = torch.rot90(tensor(), 2, (1, 2))
    assert torch.equal(moved["image"].as_subclass(torch.Tensor), turned)
    assert torch.equal(moved["masks"].as_subclass(torch.Tensor), turned[0])
    assert moved["boxes"].tolist() == [[148, 168, 168, 198]]
    assert moved["points"][:, 0].tolist() == [x for x, _ in FLIPPED]
    assert moved["label"] == 4


def test_a_pair_of_picture_and_label_passes_through_a_v2_compose() -> None:
    image, label = v2.Compose([Rotate(), HorizontalFlip()])(Image.fromarray(picture(1)), 3)
    assert isinstance(image, Image.Image)
    assert label == 3


def test_v2_transforms_work_inside_our_compose_by_key() -> None:
    compose = Compose([Rotate(), v2.ColorJitter(0.5, 0.5, 0.5), v2.RandomErasing(p=1), Elastic()])
    image = picture(1)
    result = compose(image, key=5)
    assert type(result) is np.ndarray
    assert (compose(image, key=5) == result).all()
    assert (compose(image, key=6) != result).any()
    params = json.loads(json.dumps(compose.params(5, (218, 178))))
    assert (compose.render(image, params) == result).all()
    copy = pickle.loads(pickle.dumps(compose))
    assert (copy(image, key=5) == result).all()


@pytest.mark.parametrize("make", [np.asarray, Image.fromarray])
def test_erasing_takes_targets_without_a_warning_and_leaves_them_where_they_are(make: Any) -> None:
    given = {"landmarks": FIVE, "boxes": np.array([[10.0, 20, 60, 80]]), "mask": picture(1)[..., 0]}
    compose = Compose([v2.RandomErasing(p=1, value="random" if make is np.asarray else 7)])
    erased = compose(make(picture(1)), key=1, **given)
    assert (np.asarray(erased["image"]) != picture(1)).any()
    assert np.array_equal(erased["image"], compose(make(picture(1)), key=1))
    for name, value in given.items():
        assert np.array_equal(erased[name], value), name


def test_a_keyed_call_leaves_torch_s_generator_unchanged() -> None:
    before = torch.get_rng_state()
    Compose([v2.ColorJitter(0.5), v2.RandomHorizontalFlip()])(picture(1), key=5)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="shape"), torch_seeded(3):
        torch.rand(2).reshape(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_torch_seeded_makes_any_torch_pipeline_repeat() -> None:
    pipeline = v2.Compose([Rotate(), v2.RandomResizedCrop(64), HorizontalFlip()])
    with torch_seeded(11):
        first = pipeline(tensor())
    with torch_seeded(11):
        assert torch.equal(pipeline(tensor()), first)


def test_targets_go_through_v2_transforms_and_landmarks_swap_under_their_mirrors() -> None:
    given = {"landmarks": FIVE, "boxes": np.array([[10.0, 20, 60, 80]]), "mask": picture(1)[..., 0]}
    theirs = Compose([v2.RandomHorizontalFlip(p=1)])(picture(1), key=1, **given)
    ours = HorizontalFlip(p=1)(picture(1), **given)
    for name, value in ours.items():
        assert np.array_equal(theirs[name], value), name
    assert theirs["landmarks"].tolist() == FLIPPED
    twice = Compose([v2.RandomHorizontalFlip(p=1), HorizontalFlip(p=1)])(picture(1), **given)
    assert (twice["landmarks"] == FIVE).all()


def test_a_v2_transform_may_change_the_size() -> None:
    compose = Compose([Rotate((0, 0)), v2.Resize((109, 89)), HorizontalFlip(p=1)])
    moved = compose(picture(1), key=1, landmarks=FIVE, mask=picture(1)[..., 0])
    assert moved["image"].shape == (109, 89, 3)
    assert moved["mask"].shape == (109, 89)
    assert np.abs(moved["landmarks"] - np.array(FLIPPED) / 2).max() < 1
    assert moved["visible"].all()


def test_conversions_at_the_end_decide_the_type() -> None:
    image = picture(1)
    assert type(Compose([Rotate(), v2.ToImage()])(image)) is tv_tensors.Image
    assert isinstance(Compose([Rotate(), v2.ToPILImage()])(image), Image.Image)
    floats = Compose([Rotate(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])(image)
    assert floats.dtype == torch.float32
    assert tuple(floats.shape) == (3, 218, 178)
    pil = Compose([v2.PILToTensor(), Rotate()])(Image.fromarray(image))
    assert type(pil) is torch.Tensor
    named = Compose([HorizontalFlip(p=1), v2.ToImage(), v2.ToDtype(torch.float32)])(image, landmarks=FIVE)
    assert named["landmarks"].tolist() == FLIPPED
    assert named["visible"].all()


def test_types_stay_through_a_v2_transform_that_converts_nothing() -> None:
    compose = Compose([v2.ColorJitter(0.3), v2.GaussianBlur(3)])
    assert type(compose(picture(1))) is np.ndarray
    assert isinstance(compose(Image.fromarray(picture(1))), Image.Image)
    assert type(compose(tensor())) is torch.Tensor
    assert type(compose(tv_tensors.Image(tensor()))) is tv_tensors.Image
    assert compose(picture(1)[..., 0]).shape == (218, 178)


def test_our_transforms_go_on_after_a_conversion_to_unit_floats() -> None:
    convert = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    floats = Compose([*convert, Rotate((30, 30)), GaussianBlur((1, 1))])(picture(1))
    assert type(floats) is tv_tensors.Image
    bytes_first = Compose([Rotate((30, 30)), GaussianBlur((1, 1)), *convert])(picture(1))
    assert (floats - bytes_first).abs().max() < 2 / 255


def test_our_transforms_after_a_normalisation_are_refused() -> None:
    compose = Compose([v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([0.5] * 3, [0.2] * 3), Rotate()])
    with pytest.raises(ArgumentError, match=r"follows one that made the picture torch.float32: put conversions"):
        compose(picture(1))


def test_v2_transforms_are_taken_by_one_of() -> None:
    result = OneOf([v2.RandomHorizontalFlip(p=1)])(picture(1), key=1)
    assert (result == picture(1)[:, ::-1]).all()


@pytest.mark.parametrize("shape", [(24, 20, 3), (24, 20, 1), (24, 20)])
def test_an_array_of_floats_stays_one_through_every_step_until_one_converts_it(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).random(shape, np.float32)
    cubic = v2.InterpolationMode.BICUBIC
    steps = [
        v2.ColorJitter(0.4), v2.Resize((15, 10), interpolation=cubic), v2.RandomInvert(1.0), v2.GaussianBlur(3),
        v2.RandomResizedCrop((15, 10), interpolation=cubic), v2.RandomRotation(40, expand=True),
        v2.Compose([v2.Pad(2), HorizontalFlip()]),
    ]  # fmt: skip
    for step in steps:
        for chain in (Compose([step]), Compose([step, Rotate(5), GaussianBlur((1, 1))])):
            made = chain(image, key=1)
            assert (type(made), made.dtype, made.ndim) == (np.ndarray, np.float32, image.ndim)
            assert made.shape[2:] == shape[2:]
            assert 0 <= made.min() <= made.max() <= 1
    beyond = Compose([Rotate(5), v2.Normalize([0.5], [0.1])])(image, key=1)
    assert (type(beyond), beyond.dtype, beyond.shape) == (np.ndarray, np.float32, shape)
    assert np.allclose(beyond, (Rotate(5)(image, key=1) - 0.5) / 0.1, atol=1e-4)
    assert Compose([v2.ToDtype(torch.float16)])(image).dtype == np.float16
    assert type(Compose([v2.Normalize([0.5], [0.1]), v2.ToImage()])(image)) is tv_tensors.Image
    assert type(Compose([v2.ToImage(), v2.Normalize([0.5], [0.1])])(image)) is tv_tensors.Image


def test_a_frame_that_grows_has_one_size_for_pictures_of_any_kind() -> None:
    step = Compose([v2.RandomRotation(60, expand=True)])
    for key in range(40):
        size = step(picture(1), key=key).shape[:2]
        assert step(Image.fromarray(picture(1)), key=key).size == size[::-1]
