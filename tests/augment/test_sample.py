"""A picture and its targets change together."""

from __future__ import annotations

import re
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from faceaug import ArgumentError
from faceaug.augment import Compose, GaussianBlur, HorizontalFlip, Rotate
from tests.conftest import picture

FLIP = HorizontalFlip(p=1)
FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)
FLIPPED = [[69, 111], [108, 111], [89, 135], [72, 152], [104, 152]]


def target() -> dict[str, object]:
    """As FaceFolder gives it."""
    return {
        "attributes": np.full(40, -1, np.int8),
        "identity": 7,
        "landmarks": FIVE.copy(),
        "visible": np.ones(5, np.bool_),
        "index": 3,
    }


def test_without_targets_the_picture_comes_back_and_with_any_a_dict() -> None:
    image = picture(1)
    assert isinstance(FLIP(image), np.ndarray)
    assert set(FLIP(image, landmarks=FIVE)) == {"image", "landmarks", "visible"}
    assert set(FLIP(image, attributes=np.zeros(40, np.int8))) == {"image", "attributes", "visible"}
    whole = FLIP(image, landmarks=FIVE, boxes=np.zeros((2, 4)), mask=image[..., 0], attributes=np.zeros(40))
    assert set(whole) == {"image", "landmarks", "boxes", "mask", "attributes", "visible"}
    assert whole["visible"].tolist() == [True] * 5


def test_visible_speaks_of_the_boxes_where_there_are_no_landmarks() -> None:
    boxes = np.array([[10, 10, 20, 20], [-9, 0, -1, 5], [170, 200, 190, 230], [np.nan] * 4])
    assert FLIP(picture(1), boxes=boxes)["visible"].tolist() == [True, False, True, False]
    assert FLIP(picture(1), mask=picture(1)[..., 0])["visible"].shape == (0,)


def test_landmarks_keep_their_kind_and_whole_numbers_become_float() -> None:
    for given, dtype in ((FIVE, np.float32), (FIVE.astype(np.float64), np.float64), (FIVE.astype(int), np.float32)):
        moved = FLIP(picture(1), landmarks=given)["landmarks"]
        assert moved.dtype == dtype
        assert moved.tolist() == FLIPPED
    assert FLIP(picture(1), landmarks=FIVE.tolist())["landmarks"].tolist() == FLIPPED
    tensors = FLIP(picture(1), landmarks=torch.from_numpy(FIVE))
    assert tensors["landmarks"].dtype == torch.float32
    assert tensors["visible"].dtype == torch.bool
    keypoints = FLIP(picture(1), landmarks=tv_tensors.KeyPoints(FIVE, canvas_size=(218, 178)))["landmarks"]
    assert type(keypoints) is tv_tensors.KeyPoints
    assert keypoints.tolist() == FLIPPED
    assert tuple(keypoints.canvas_size) == (218, 178)


def test_the_given_targets_are_never_changed() -> None:
    known = target()
    before = {name: np.copy(value) for name, value in known.items()}
    GaussianBlur((4, 4))((picture(1), known))
    FLIP((picture(1), known))
    for name, value in known.items():
        assert np.array_equal(value, before[name])


def test_a_pair_of_picture_and_target_moves_together() -> None:
    image, moved = Compose([FLIP, GaussianBlur((5, 5))])((picture(1), target()))
    assert isinstance(image, np.ndarray)
    assert moved["landmarks"].tolist() == FLIPPED
    assert moved["visible"].tolist() == [True] * 5
    assert (moved["attributes"] == 1).sum() == 1
    assert (moved["identity"], moved["index"]) == (7, 3)
    assert FLIP(picture(1), target())[1]["landmarks"].tolist() == FLIPPED


def test_landmarks_that_leave_the_frame_lose_their_visibility_in_a_sample_too() -> None:
    known = target() | {"landmarks": np.array([[0, 0], [88, 108]], np.float32), "visible": np.ones(2, np.bool_)}
    _, moved = Rotate((30, 30))((picture(1), known))
    assert moved["visible"].tolist() == [False, True]


def test_any_nesting_is_preserved() -> None:
    pair = namedtuple("pair", "image label")
    sample = OrderedDict(a=[pair(picture(1), "x"), (1, None)], landmarks=None, attributes=["free", "words"])
    moved = FLIP(sample)
    assert type(moved) is OrderedDict
    assert type(moved["a"][0]) is pair
    assert (moved["a"][0].image == picture(1)[:, ::-1]).all()
    assert moved["a"][1] == (1, None)
    assert (moved["landmarks"], moved["attributes"]) == (None, ["free", "words"])


def test_pictures_of_one_sample_share_one_draw() -> None:
    a, b = Rotate()((picture(1), picture(1)))
    assert (a == b).all()


def test_a_sample_of_tv_tensors_moves_together() -> None:
    sample = {
        "image": tv_tensors.Image(torch.from_numpy(picture(1).transpose(2, 0, 1).copy())),
        "points": tv_tensors.KeyPoints(FIVE, canvas_size=(218, 178)),
        "boxes_": tv_tensors.BoundingBoxes([[10, 20, 50, 60]], format="XYWH", canvas_size=(218, 178)),
        "mask_": tv_tensors.Mask(torch.arange(178).expand(2, 218, 178)),
        "label": torch.tensor(5),
    }
    moved = FLIP(sample)
    assert [type(value) for value in moved.values()] == [type(value) for value in sample.values()]
    assert moved["points"].tolist() == FLIPPED
    assert moved["boxes_"].tolist() == [[118, 20, 50, 60]]
    assert str(moved["boxes_"].format) == str(sample["boxes_"].format)
    assert moved["mask_"][1, 7].tolist() == list(range(177, -1, -1))
    assert moved["label"] is sample["label"]


def test_a_plain_tensor_is_the_picture_only_where_nothing_else_is() -> None:
    tensor = torch.zeros(3, 9, 8, dtype=torch.uint8)
    tensor[:, :, 0] = 9
    moved, label = FLIP(tensor, 3)
    assert (moved[:, :, -1] == 9).all()
    assert label == 3
    _, untouched = FLIP(Image.new("RGB", (8, 9)), tensor)
    assert untouched is tensor


def test_attributes_are_safe_under_flips_and_say_so_when_blurred() -> None:
    attributes = np.full(40, -1, np.int8)
    assert (FLIP(picture(1), attributes=attributes)["attributes"] == -1).all()
    assert GaussianBlur((3, 3))(picture(1), attributes=attributes)["attributes"][10] == 1
    assert GaussianBlur((3, 3))(picture(1), attributes=attributes)["attributes"].dtype == np.int8
    assert GaussianBlur((3, 3), blurry_from=None)(picture(1), attributes=attributes)["attributes"][10] == -1
    assert GaussianBlur((1, 1))(picture(1), attributes=attributes)["attributes"][10] == -1
    zeros = torch.zeros(40, dtype=torch.int64)  # torchvision.datasets.CelebA says 0 and 1
    assert GaussianBlur((3, 3))(picture(1), attributes=zeros)["attributes"].tolist() == [0] * 10 + [1] + [0] * 29


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"landmarks": np.zeros(10)}, "landmarks of shape (10,) and dtype float64: expected numbers (n, 2)"),
        ({"landmarks": np.zeros((5, 3))}, "landmarks of shape (5, 3)"),
        ({"landmarks": np.array([["a", "b"]])}, "expected numbers (n, 2)"),
        ({"boxes": np.zeros((5, 2))}, "boxes of shape (5, 2) and dtype float64: expected numbers (n, 4)"),
        (
            {"mask": np.zeros((9, 9))},
            "mask of shape (9, 9): expected (..., height, width) with the picture's (218, 178)",
        ),
        ({"attributes": np.zeros(39)}, "attributes of shape (39,): expected (40,), in CelebA's order"),
        ({"attributes": "Smiling"}, "attributes of str: expected (40,)"),
    ],
)
def test_a_target_of_the_wrong_shape_is_refused(named: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        FLIP(picture(1), **named)


def test_a_sample_that_cannot_be_moved_together_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no picture in the sample"):
        FLIP({"landmarks": FIVE})
    with pytest.raises(ArgumentError, match=r"different sizes in one sample, \(218, 178\) and \(9, 8\)"):
        FLIP((picture(1), np.zeros((9, 8, 3), np.uint8)))
    with pytest.raises(ArgumentError, match="give targets as arguments or inside the sample"):
        FLIP((picture(1), 3), landmarks=FIVE)
    with pytest.raises(ArgumentError, match="landmarks of shape"):
        FLIP((picture(1), {"landmarks": np.zeros(10)}))
    with pytest.raises(ArgumentError, match=r"of dtype torch.float32"):
        FLIP((torch.full((3, 8, 8), 2.0), 1))
    with pytest.raises(ArgumentError, match="rotated boxes are not moved"):
        FLIP(picture(1), boxes=tv_tensors.BoundingBoxes([[5, 5, 2, 2, 30.0]], format="XYWHR", canvas_size=(218, 178)))


FLAGS = np.array([False, True, True, True, True])


def test_a_landmark_given_as_hidden_stays_hidden_and_changes_sides_with_its_landmark() -> None:
    image = picture(1)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    for sample in (
        lambda step: step({"image": image, "landmarks": FIVE, "visible": FLAGS}, key=0),
        lambda step: step(image, key=0, landmarks=FIVE, visible=FLAGS),
        lambda step: step(image=tensor, landmarks=FIVE, visible=FLAGS, key=0),
    ):
        assert sample(Rotate((5, 5)))["visible"].tolist() == [False, True, True, True, True]
        assert sample(FLIP)["visible"].tolist() == [True, False, True, True, True]
        assert sample(Compose([v2.RandomHorizontalFlip(1.0)]))["visible"].tolist() == [True, False, True, True, True]
        assert sample(Compose([FLIP, FLIP]))["visible"].tolist() == FLAGS.tolist()
        cut = sample(Compose([v2.RandomCrop((218, 100), pad_if_needed=False), FLIP]))
        inside = (cut["landmarks"][:, 0] > -0.5) & (cut["landmarks"][:, 0] < 99.5)
        assert cut["visible"].tolist() == (inside & [True, False, True, True, True]).tolist()
    assert FLIP(image, landmarks=FIVE, visible=torch.from_numpy(FLAGS))["visible"].tolist()[1] is False


def test_flags_of_other_kinds_keep_their_numbers_where_they_are_seen() -> None:
    levels = [2, 1, 0, 2, 2]  # as COCO has them: 0 not labelled, 1 hidden, 2 seen
    moved = FLIP({"image": picture(1), "landmarks": FIVE, "visible": np.array(levels, np.int8)})
    assert moved["visible"].tolist() == [1, 2, 0, 2, 2]
    assert moved["visible"].dtype == np.int8
    boxes = np.array([[10, 10, 20, 20], [-9, 0, -1, 5], [20, 20, 30, 30.0]])
    assert FLIP(picture(1), boxes=boxes, visible=[True, True, False])["visible"].tolist() == [True, False, False]
    other = FLIP({"image": picture(1), "visible": np.array([True, False])})
    assert other["visible"].tolist() == [True, False]  # of nothing that is here


def test_a_picture_by_name_gives_a_dict_that_goes_on() -> None:
    image = picture(1)
    step = Compose([Rotate(10), FLIP])
    answer = step(image=image, landmarks=FIVE, key=1)
    for name, value in step(image, landmarks=FIVE, key=1).items():
        assert np.array_equal(answer[name], value)
    again = step(**answer, key=2)
    assert again.keys() == answer.keys()
    assert np.array_equal(step(image=image, key=3)["image"], step(image, key=3))
    assert np.array_equal(FLIP(image=image)["image"], image[:, ::-1])
    traced, drawn = step.traced(image=image, landmarks=FIVE, key=1)
    replayed = step.render(image=image, landmarks=FIVE, params=drawn)
    for name, value in answer.items():
        assert np.array_equal(traced[name], value)
        assert np.array_equal(replayed[name], value)
    assert step.render(**answer, params=drawn).keys() == answer.keys()
    alone = step(**step(image=image, key=3), key=4)
    assert alone["visible"].shape == (0,)
    stack = np.stack([image, image])
    assert np.array_equal(step(image=stack, key=3)["image"], step(stack, key=3))
    masked = step(image, mask=image[..., 0], key=1)
    assert np.array_equal(step(**masked, key=2)["mask"], step(masked["image"], mask=masked["mask"], key=2)["mask"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (FLIP, "no picture: give one as the first argument or as image="),
        (lambda: FLIP(landmarks=FIVE), "no picture"),
        (lambda: FLIP.traced(key=1), "no picture"),
        (lambda: FLIP.render(params=[]), "no picture"),
        (lambda: FLIP.render(image=picture(1)), "render without params: give what params or traced returned"),
        (lambda: FLIP(picture(1), image=picture(1)), "another as image=: give one of them"),
        (lambda: FLIP(image={"image": picture(1)}), "give a whole sample as the first argument"),
        (lambda: FLIP(picture(1), landmarks=FIVE, visible=FLAGS[:3]), "visible of 3 with 5 landmarks or boxes"),
        (lambda: FLIP(picture(1), visible=FLAGS), "visible of 5 with no landmarks or boxes"),
        (lambda: FLIP(picture(1), landmarks=FIVE, visible=FLAGS[None]), r"visible of shape \(1, 5\)"),
    ],
)
def test_calls_without_one_picture_or_a_flag_for_each_landmark_are_refused(call: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
