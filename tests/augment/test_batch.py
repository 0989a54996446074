"""Batches: every picture has its own draw and keeps its type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from faceaug import ArgumentError
from faceaug.augment import Compose, Elastic, GaussianBlur, HorizontalFlip, Preset, Rotate
from tests.conftest import picture

COMPOSE = Compose([HorizontalFlip(), Rotate(20), Elastic(3), v2.ColorJitter(0.3), GaussianBlur(p=0.5)], seed=5)
FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)


def batch(count: int = 4) -> torch.Tensor:
    return torch.stack([torch.from_numpy(picture(k).transpose(2, 0, 1).copy()) for k in range(count)])


def test_every_picture_is_drawn_by_the_key_and_its_position() -> None:
    given = batch()
    moved = COMPOSE(given, key=3)
    assert type(moved) is torch.Tensor
    assert moved.shape == given.shape
    for k in range(4):
        assert torch.equal(moved[k], COMPOSE(given[k], key=(5, 0, 3, k)))
    same = given[:1].repeat(4, 1, 1, 1)
    assert len({one.numpy().tobytes() for one in COMPOSE(same, key=3)}) == 4
    assert torch.equal(COMPOSE(given, key=(5, 0, 3)), moved)
    assert torch.equal(COMPOSE(given[:2], key=3), moved[:2])
    assert not torch.equal(COMPOSE(given, key=4), moved)


def test_a_batch_without_a_key_takes_one_number_from_torch() -> None:
    torch.manual_seed(3)
    first = COMPOSE(batch())
    after = torch.rand(())
    torch.manual_seed(3)
    assert torch.equal(COMPOSE(batch()), first)
    assert torch.rand(()) == after
    torch.manual_seed(3)
    COMPOSE(batch(1)[0])
    assert torch.rand(()) == after


def test_arrays_tv_tensors_and_floats_keep_their_type_in_a_batch() -> None:
    arrays = batch().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(COMPOSE(arrays, key=3), COMPOSE(batch(), key=3).permute(0, 2, 3, 1))
    assert type(COMPOSE(tv_tensors.Image(batch()), key=3)) is tv_tensors.Image
    floats = batch().float() / 255
    assert Rotate()(floats, key=1).dtype == torch.float32
    assert Preset("light")(batch()).shape == batch().shape
    assert COMPOSE(batch()[:0]).shape == (0, 3, 218, 178)


def test_targets_by_name_go_with_their_pictures() -> None:
    given = batch()
    landmarks = torch.from_numpy(np.stack([FIVE + k for k in range(4)]))
    masks, boxes = given[:, 0], torch.tensor([[[20.0, 30, 60, 90]]]).repeat(4, 1, 1)
    attributes = torch.ones(4, 40, dtype=torch.int8)
    moved = COMPOSE(given, key=2, landmarks=landmarks, mask=masks, boxes=boxes, attributes=attributes)
    for k in range(4):
        alone = COMPOSE(
            given[k], key=(5, 0, 2, k), landmarks=landmarks[k], mask=masks[k], boxes=boxes[k], attributes=attributes[k]
        )
        for name, value in alone.items():
            assert torch.equal(moved[name][k], value), name
    assert moved["visible"].shape == (4, 5)


def test_a_collated_batch_of_a_loader_is_one_sample() -> None:
    targets = {"landmarks": torch.from_numpy(FIVE).repeat(4, 1, 1), "label": torch.arange(4), "names": list("abcd")}
    images, moved = COMPOSE((batch(), targets), key=2)
    for k in range(4):
        alone, target = COMPOSE((batch()[k], {"landmarks": torch.from_numpy(FIVE)}), key=(5, 0, 2, k))
        assert torch.equal(images[k], alone)
        assert torch.equal(moved["landmarks"][k], target["landmarks"])
    assert moved["label"].tolist() == [0, 1, 2, 3]
    assert moved["names"] == list("abcd")
    tree = {"image": tv_tensors.Image(batch()), "mask": tv_tensors.Mask(batch()[:, 0])}
    made = v2.Compose([HorizontalFlip(p=1), Rotate((180, 180))])(tree)
    assert torch.equal(made["image"].as_subclass(torch.Tensor), batch().flip(-2))
    assert type(made["mask"]) is tv_tensors.Mask


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"landmarks": FIVE}, "landmarks: 5 for a batch of 4 pictures; expected one per picture"),
        ({"mask": np.zeros((3, 218, 178))}, "mask: 3 for a batch of 4"),
        ({"landmarks": np.zeros((4, 7, 2))}, "picture 0 of the batch: 7 landmarks under a mirror"),
        ({"boxes": np.zeros((4, 4))}, r"picture 0 of the batch: boxes of shape \(4,\)"),
    ],
)
def test_targets_that_do_not_fit_a_batch_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        HorizontalFlip(p=1)(batch(), **given)
    if "landmarks" in given and len(given["landmarks"]) == 4:
        return
    with pytest.raises(ArgumentError, match=message):
        HorizontalFlip(p=1)({"image": batch(), **given})


def test_pictures_of_a_batch_that_come_out_in_different_sizes_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"pictures of a batch come out in different sizes, .*: end with v2.Resize"):
        Rotate(40, expand=True)(batch(), key=1)
    fitted = Compose([Rotate(40, expand=True), v2.Resize((64, 64))])(batch(), key=1)
    assert fitted.shape == (4, 3, 64, 64)


def test_a_four_dimensional_mask_with_one_picture_is_not_a_batch() -> None:
    moved = HorizontalFlip(p=1)({"image": picture(1), "mask": np.zeros((1, 2, 218, 178), np.uint8)})
    assert moved["image"].shape == (218, 178, 3)


def test_parameters_of_one_picture_are_not_replayed_on_a_batch() -> None:
    with pytest.raises(ArgumentError, match="a batch of pictures"):
        Rotate().render(batch(), Rotate().params(1, (218, 178)))


def test_attributes_and_flags_in_a_sample_of_a_batch_change_with_their_pictures() -> None:
    flags = np.array([[False, True, True, True, True], [True] * 5])
    sample = {
        "image": np.stack([picture(1), picture(2)]),
        "landmarks": np.stack([FIVE, FIVE]),
        "visible": flags,
        "attributes": np.full((2, 40), -1, np.int8),
    }
    moved = Compose([HorizontalFlip(p=1), GaussianBlur((9, 9))])(sample, key=1)
    assert moved["visible"].tolist() == [[True, False, True, True, True], [True] * 5]
    assert (moved["attributes"] == 1).sum() == 2  # Blurry of both
    assert (sample["attributes"] == -1).all()
