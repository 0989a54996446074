"""Landmarks, boxes, masks and labels through every kind of v2 step: targets follow the pixels."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from faceaug import ArgumentError, Compose, HorizontalFlip, Rotate
from faceaug.augment import GaussianBlur, OneOf

HEIGHT, WIDTH = 90, 70
SPOTS = np.array([[22.0, 28.0], [46.0, 30.0], [34.25, 44.5], [25.0, 60.75], [45.0, 61.0]])
SMOOTH = v2.InterpolationMode.BILINEAR
GEOMETRIC = {
    "horizontal flip": v2.RandomHorizontalFlip(1.0),
    "vertical flip": v2.RandomVerticalFlip(1.0),
    "resize up": v2.Resize((200, 160)),
    "resize down": v2.Resize((45, 35)),
    "resize the shorter side": v2.Resize(100),
    "resize up to the longer side": v2.Resize(None, max_size=131),
    "resize with a limit": v2.Resize(100, max_size=110),
    "resize by nearest": v2.Resize((180, 140), interpolation=v2.InterpolationMode.NEAREST),
    "resize at random": v2.RandomResize(60, 120),
    "shortest side at random": v2.RandomShortestSize([64, 110], max_size=150),
    "scale jitter": v2.ScaleJitter((120, 100), scale_range=(0.8, 1.4)),
    "resized crop": v2.RandomResizedCrop((96, 80), scale=(0.8, 1.0)),
    "crop": v2.RandomCrop((80, 62)),
    "crop of what was padded": v2.RandomCrop((100, 64), padding=(3, 5, 8, 13)),
    "crop that pads if needed": v2.RandomCrop((99, 83), pad_if_needed=True),
    "centre crop": v2.CenterCrop((81, 61)),
    "centre crop of a square": v2.CenterCrop(63),
    "centre crop beyond": v2.CenterCrop((97, 77)),
    "centre crop beyond on one side": v2.CenterCrop((97, 61)),
    "pad": v2.Pad(7),
    "pad on two sides": v2.Pad([3, 8]),
    "pad on four sides": v2.Pad((1, 2, 4, 8), padding_mode="reflect"),
    "zoom out": v2.RandomZoomOut(p=1.0, side_range=(1.2, 1.8)),
    "turn": v2.RandomRotation((33, 33), interpolation=SMOOTH),
    "turn by nearest": v2.RandomRotation((-12, -12)),
    "turn by half": v2.RandomRotation((180, 180)),
    "turn by a quarter": v2.RandomRotation((90, 90), expand=True),
    "turn by a quarter in its frame": v2.RandomRotation((90, 90)),
    "turn about a point": v2.RandomRotation((25, 25), center=[30, 40], interpolation=SMOOTH),
    "turn and grow": v2.RandomRotation((31, 31), expand=True, interpolation=SMOOTH),
    "turn about a point and grow": v2.RandomRotation((31, 31), expand=True, center=[30, 45], interpolation=SMOOTH),
    "affine": v2.RandomAffine(20, (0.05, 0.05), (0.9, 1.1), (-8, 8, -8, 8), interpolation=SMOOTH),
    "affine about a point": v2.RandomAffine(20, scale=(0.9, 1.1), center=[30, 40], interpolation=SMOOTH),
    "affine with one shear": v2.RandomAffine(0, shear=(12, 12), interpolation=SMOOTH),
    "perspective": v2.RandomPerspective(0.25, p=1.0),
    "elastic": v2.ElasticTransform(60.0, 5.0),
    "strong elastic": v2.ElasticTransform(150.0, 7.0),
}


def spot(x: float, y: float, sigma: float = 2.5) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    grey = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / sigma**2)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def centre(image: Any) -> NDArray[np.float64]:
    """Where the light is."""
    plane = np.asarray(image)[..., 0].astype(float)
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return np.array([(plane * columns).sum(), (plane * rows).sum()]) / plane.sum()


@pytest.mark.parametrize("kind", ["array", "pil"])
@pytest.mark.parametrize("name", GEOMETRIC)
def test_landmarks_stay_on_the_light_they_mark(name: str, kind: str) -> None:
    compose = Compose([GEOMETRIC[name]], swap=())
    for k, (x, y) in enumerate(SPOTS):
        if "elastic" in name:  # makes the spot lopsided; see the test with ramps
            return
        picture = Image.fromarray(spot(x, y)) if kind == "pil" else spot(x, y)
        moved = compose(picture, key=11, landmarks=SPOTS)
        where = centre(moved["image"])
        assert np.abs(moved["landmarks"][k] - where).max() < 0.3
        assert moved["visible"].all()


@pytest.mark.parametrize("name", [name for name in GEOMETRIC if "nearest" not in name and "down" not in name])
def test_landmarks_follow_the_pixels_under_them(name: str) -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    ramps = np.stack([columns / WIDTH, rows / HEIGHT, rows * 0], axis=2)
    compose = Compose([GEOMETRIC[name]], swap=())
    for key in range(4):
        moved = compose(ramps, key=key, landmarks=SPOTS)
        for (x, y), spot_there in zip(moved["landmarks"], SPOTS, strict=True):
            if not (0 <= x < moved["image"].shape[1] - 1 and 0 <= y < moved["image"].shape[0] - 1):
                continue
            column, row = int(x), int(y)
            four = moved["image"][row : row + 2, column : column + 2, :2].astype(float)
            across = four[:, 0] + (x - column) * (four[:, 1] - four[:, 0])
            shown = (across[0] + (y - row) * (across[1] - across[0])) * (WIDTH, HEIGHT)
            assert np.abs(shown - spot_there).max() < 0.06


@pytest.mark.parametrize("name", GEOMETRIC)
def test_masks_and_boxes_go_where_the_landmarks_go(name: str) -> None:
    x, y = 34, 44
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y - 9 : y + 10, x - 6 : x + 7] = 200
    box = np.array([[x - 6.0, y - 9.0, x + 7.0, y + 10.0]])
    moved = Compose([GEOMETRIC[name]], swap=())(
        np.repeat(mask[..., None], 3, axis=2), key=3, landmarks=np.array([[x, y]]), mask=mask, boxes=box
    )
    assert moved["mask"].shape == moved["image"].shape[:2]
    rows, columns = np.nonzero(moved["mask"])
    middle = np.array([columns.mean(), rows.mean()])
    assert np.abs(moved["landmarks"][0] - middle).max() < (1.5 if "elastic" in name else 0.4)
    hull = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(moved["boxes"][0] - hull).max() < 1.7
    agree = (moved["mask"] > 0) == (moved["image"][..., 0] > 100)
    assert agree.mean() > 0.97


@pytest.mark.parametrize("name", ["horizontal flip", "resize down", "turn", "affine", "perspective", "elastic"])
def test_whole_number_landmarks_are_moved_as_exactly_as_others(name: str) -> None:
    compose, whole = Compose([GEOMETRIC[name]], swap=()), SPOTS.round()
    for given in (whole.astype(np.int64), whole.astype(np.int64).tolist(), torch.from_numpy(whole.astype(np.int32))):
        moved = compose(spot(30, 30), key=2, landmarks=given)
        expected = compose(spot(30, 30), key=2, landmarks=whole)
        assert np.abs(np.asarray(moved["landmarks"]) - expected["landmarks"]).max() < 1e-4
    points = tv_tensors.KeyPoints(whole.astype(np.int64), canvas_size=(HEIGHT, WIDTH))
    _, moved_points = compose((Image.fromarray(spot(30, 30)), points), key=2)
    assert np.abs(moved_points.numpy() - compose(spot(30, 30), key=2, landmarks=whole)["landmarks"]).max() < 1e-4


@pytest.mark.parametrize("name", GEOMETRIC)
def test_unknown_landmarks_stay_unknown(name: str) -> None:
    compose, some = Compose([GEOMETRIC[name]], swap=()), SPOTS.copy()
    some[[1, 3]] = np.nan
    moved = compose(spot(30, 30), key=4, landmarks=some)
    assert np.isnan(moved["landmarks"]).all(axis=1).tolist() == [False, True, False, True, False]
    assert not moved["visible"][[1, 3]].any()
    known = compose(spot(30, 30), key=4, landmarks=SPOTS)["landmarks"]
    assert np.allclose(moved["landmarks"][[0, 2, 4]], known[[0, 2, 4]])
    nobody = compose(spot(30, 30), key=4, landmarks=np.full((5, 2), np.nan))
    assert np.isnan(nobody["landmarks"]).all()
    assert (nobody["image"] == moved["image"]).all()
    assert compose(spot(30, 30), key=4, landmarks=np.zeros((0, 2)))["landmarks"].shape == (0, 2)


def test_no_version_of_an_angle_makes_two_frames() -> None:
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    for angle in range(1, 180, 7):
        compose = Compose([v2.RandomRotation((angle, angle), expand=True), v2.CenterCrop(80)], swap=())
        for picture in (spot(30, 40), Image.fromarray(spot(30, 40))):
            moved = compose(picture, key=0, landmarks=[[30, 40]], mask=mask, boxes=[[20, 30, 40, 50]])
            assert np.abs(moved["landmarks"][0] - centre(moved["image"])).max() < 0.3
            assert moved["mask"].shape == (80, 80)


MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[20:32, 10:20], MASK[20:32, 44:56] = 4, 5
FIVE = np.array([[15, 25], [50, 25], [34, 45], [22, 62], [48, 62]], np.float32)
MIRRORS = {
    "alone": v2.RandomHorizontalFlip(1.0),
    "vertical": v2.RandomVerticalFlip(1.0),
    "in a v2 compose": v2.Compose([v2.RandomHorizontalFlip(1.0)]),
    "among others": v2.Compose([v2.ColorJitter(0.2), v2.RandomHorizontalFlip(1.0), v2.RandomRotation((180, 180))]),
    "applied": v2.RandomApply([v2.RandomHorizontalFlip(1.0)], p=1.0),
    "applied from modules": v2.RandomApply(torch.nn.ModuleList([v2.RandomHorizontalFlip(1.0)]), p=1.0),
    "chosen": v2.RandomChoice([v2.RandomHorizontalFlip(1.0), v2.RandomVerticalFlip(1.0)]),
    "in any order": v2.RandomOrder([v2.RandomHorizontalFlip(1.0), v2.GaussianBlur(3), v2.Resize((HEIGHT, WIDTH))]),
    "deep": v2.Compose([v2.RandomApply([v2.Compose([v2.RandomHorizontalFlip(1.0)])], p=1.0)]),
    "ours inside": v2.Compose([v2.ColorJitter(0.2), HorizontalFlip(p=1)]),
    "ours applied": v2.RandomApply([HorizontalFlip(p=1)], p=1.0),
    "a sequence": v2.Compose([torch.nn.Sequential(v2.RandomHorizontalFlip(1.0), v2.ColorJitter(0.1))]),
}


def light(moved: dict[str, Any], label: int) -> int:
    """How many pixels have a label."""
    return int((np.asarray(moved["mask"]) == label).sum())


@pytest.mark.parametrize("name", MIRRORS)
def test_sides_are_exchanged_under_every_mirror_with_landmarks_or_without(name: str) -> None:
    compose = Compose([MIRRORS[name]], label_swap="celebamask-hq")
    plain = Compose([MIRRORS[name]], swap=())(spot(30, 30), key=1, mask=MASK, landmarks=FIVE)
    alone = compose(spot(30, 30), key=1, mask=MASK)
    both = compose(spot(30, 30), key=1, mask=MASK, landmarks=FIVE)
    assert light(plain, 4) != light(plain, 5)
    assert (light(alone, 4), light(alone, 5)) == (light(plain, 5), light(plain, 4))
    assert np.array_equal(alone["mask"], both["mask"])
    assert np.allclose(both["landmarks"], plain["landmarks"][[1, 0, 2, 4, 3]])


def test_sixty_eight_landmarks_change_sides_and_other_counts_ask_for_pairs() -> None:
    many = np.stack([np.linspace(5, 60, 68), np.linspace(5, 80, 68)], axis=1)
    theirs = Compose([v2.RandomHorizontalFlip(1.0)])(spot(9, 9), landmarks=many)["landmarks"]
    assert np.allclose(theirs, HorizontalFlip(p=1)(spot(9, 9), landmarks=many)["landmarks"])
    with pytest.raises(ArgumentError, match="7 landmarks under a mirror"):
        Compose([v2.RandomHorizontalFlip(1.0)])(spot(9, 9), landmarks=many[:7])
    inner = Compose([v2.RandomApply([HorizontalFlip(p=1, swap=[(0, 6)])], p=1.0)])(spot(9, 9), landmarks=many[:7])
    assert np.allclose(inner["landmarks"][0], [WIDTH - 1 - many[6, 0], many[6, 1]])


def test_two_mirrors_are_none() -> None:
    twice = [v2.RandomHorizontalFlip(1.0), HorizontalFlip(p=1)]
    for steps in (twice, [v2.Compose(twice)]):
        moved = Compose(steps, label_swap="celebamask-hq")(spot(30, 30), mask=MASK, landmarks=FIVE)
        assert np.array_equal(moved["mask"], MASK)
        assert np.allclose(moved["landmarks"], FIVE)


class Corner(v2.Transform):
    """Somebody's own: the upper left quarter."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return functional.crop(inpt, 0, 0, 45, 35)


@pytest.mark.skipif(not hasattr(v2, "SanitizeKeyPoints"), reason="torchvision before 0.24 sanitizes no landmarks")
@pytest.mark.parametrize("together", [True, False])
def test_sanitized_landmarks_become_nan_and_all_rows_return(together: bool) -> None:
    steps = [Corner(), v2.SanitizeKeyPoints(), v2.RandomHorizontalFlip(1.0), v2.Pad(20)]
    compose = Compose([v2.Compose(steps)] if together else steps)
    moved = compose(spot(30, 30), landmarks=FIVE, boxes=[[2, 2, 9, 9], [50, 60, 69, 80]])
    inside = [[20 + 34 - x, 20 + y] for x, y in FIVE]
    # Under the mirror left and right change places: 0 with 1, 3 with 4.
    expected = np.array([[np.nan] * 2, inside[0], inside[2], [np.nan] * 2, [np.nan] * 2])
    expected[2] = np.nan if FIVE[2, 1] > 44.5 else inside[2]
    assert np.array_equal(moved["landmarks"], expected.astype(np.float32), equal_nan=True)
    assert moved["visible"].tolist() == np.isfinite(expected).all(axis=1).tolist()


def test_sanitized_boxes_are_unknown_and_those_cut_by_the_frame_are_whole() -> None:
    steps = v2.Compose([Corner(), v2.SanitizeBoundingBoxes(min_size=5, labels_getter=None)])
    boxes = np.array([[2, 2, 9, 9], [30, 40, 50, 60], [50, 60, 69, 80], [3, 3, 6, 20]])
    moved = Compose([steps])(spot(30, 30), boxes=boxes)
    assert np.isnan(moved["boxes"]).all(axis=1).tolist() == [False, False, True, True]
    assert moved["boxes"][:2].tolist() == boxes[:2].tolist()
    assert moved["visible"].tolist() == [True, True, False, False]
    given = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(HEIGHT, WIDTH))
    _, clipped = Compose([steps])((Image.fromarray(spot(30, 30)), given))
    assert clipped[1].tolist() == [30, 40, 35, 45]
    assert clipped.isnan().all(dim=1).tolist() == [False, False, True, True]


def test_clamped_landmarks_and_boxes_are_clamped() -> None:
    steps = [v2.Compose([Corner(), v2.ClampKeyPoints(), v2.ClampBoundingBoxes()]), v2.RandomHorizontalFlip(1.0)]
    moved = Compose(steps, swap=())(spot(30, 30), landmarks=FIVE, boxes=[[20, 30, 60, 80]])
    assert moved["landmarks"].tolist() == [[34 - min(x, 34), min(y, 44)] for x, y in FIVE]
    assert moved["boxes"].tolist() == [[0, 30, 15, 45]]


def test_a_step_that_drops_rows_by_itself_is_refused() -> None:
    class Drop(v2.Transform):
        def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
            return tv_tensors.wrap(inpt[:2], like=inpt) if isinstance(inpt, tv_tensors.KeyPoints) else inpt

    with pytest.raises(ArgumentError, match="Drop removes landmarks, and it cannot be told which"):
        Compose([Drop()])(spot(30, 30), landmarks=FIVE)


def test_boxes_in_another_format_are_read_as_that() -> None:
    steps = v2.Compose([v2.ConvertBoundingBoxFormat("CXCYWH"), v2.RandomHorizontalFlip(1.0), v2.Resize((180, 140))])
    assert Compose([steps])(spot(30, 30), boxes=[[10, 20, 30, 50]])["boxes"].tolist() == [[80, 40, 120, 100]]


def test_boxes_are_not_clipped_and_turn_as_our_own() -> None:
    given = {"boxes": np.array([[-5.0, 3.0, 40.0, 95.0]])}
    theirs = Compose([v2.RandomRotation((30, 30))])(spot(30, 30), **given)["boxes"]
    assert np.abs(theirs - Rotate((30, 30))(spot(30, 30), **given)["boxes"]).max() < 1e-3


@pytest.mark.parametrize("kind", [v2.RandAugment, v2.TrivialAugmentWide, v2.AutoAugment])
@pytest.mark.parametrize("pil", [True, False])
def test_a_transform_of_the_picture_alone_moves_the_targets_too(kind: Any, pil: bool) -> None:
    compose, places = Compose([kind()], swap=()), 0
    for key in range(30):
        x, y = SPOTS[key % 5]
        picture = Image.fromarray(spot(x, y)) if pil else spot(x, y)
        mask = (spot(x, y)[..., 0] > 100).astype(np.uint8)
        moved = compose(picture, key=key, landmarks=[[x, y]], mask=mask)
        assert type(moved["image"]) is type(picture)
        rows, columns = np.nonzero(moved["mask"])
        if len(rows) > 15:  # it did not leave the frame
            assert np.abs(moved["landmarks"][0] - [columns.mean(), rows.mean()]).max() < 1
        bright = np.asarray(moved["image"])[..., 0].astype(int)
        background = int(np.median(bright))
        rows, columns = np.nonzero(np.abs(bright - background) > 100)
        if 15 < len(rows) < 60:  # neither faded nor filled
            assert np.abs(moved["landmarks"][0] - [columns.mean(), rows.mean()]).max() < 1.2
            places += moved["landmarks"][0].round().tolist() != [round(x), round(y)]
    assert places > 3
    before = compose(spot(30, 30), key=1)
    unknown = compose(spot(30, 30), key=1, landmarks=np.full((5, 2), np.nan))
    assert (unknown["image"] == before).all()


def test_blended_copies_of_a_picture_are_refused_where_anything_is_known() -> None:
    compose = Compose([v2.AugMix()])
    assert compose(spot(30, 30), key=1).shape == (HEIGHT, WIDTH, 3)
    for known in ({"landmarks": FIVE}, {"mask": MASK}, {"boxes": [[1, 2, 3, 4]]}):
        with pytest.raises(ArgumentError, match="AugMix blends copies of the picture"):
            compose(spot(30, 30), key=1, **known)
    assert np.isnan(compose(spot(30, 30), landmarks=np.full((5, 2), np.nan))["landmarks"]).all()


@pytest.mark.parametrize("step", [v2.MixUp(num_classes=2), v2.CutMix(num_classes=2)])
def test_transforms_of_batches_are_refused(step: Any) -> None:
    for steps in ([step], [v2.Compose([step])], [v2.RandomChoice([step, step])]):
        with pytest.raises(ArgumentError, match=r"(MixUp|CutMix) mixes the pictures of a batch"):
            Compose(steps)


@pytest.mark.parametrize("step", [v2.FiveCrop(20), v2.TenCrop(20)])
def test_transforms_that_make_many_pictures_are_refused(step: Any) -> None:
    with pytest.raises(ArgumentError, match=r"(FiveCrop|TenCrop) makes several pictures of one"):
        OneOf([v2.Compose([v2.Resize(40), step])])


STILL = [
    v2.GaussianBlur(5), v2.JPEG((20, 50)), v2.ColorJitter(0.4, 0.4, 0.4, 0.1), v2.RandomInvert(1.0),
    v2.RandomPosterize(3, 1.0), v2.RandomSolarize(100, 1.0), v2.RandomEqualize(1.0), v2.RandomAutocontrast(1.0),
    v2.RandomAdjustSharpness(2, 1.0), v2.RandomGrayscale(1.0), v2.Grayscale(3), v2.RandomChannelPermutation(),
    v2.RandomPhotometricDistort(), v2.Identity(), v2.RGB(),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning")
@pytest.mark.parametrize("step", STILL, ids=lambda step: type(step).__name__)
def test_steps_that_move_nothing_leave_everything_where_it_is(step: Any) -> None:
    given = {"landmarks": FIVE, "mask": MASK, "boxes": np.array([[1.0, 2, 3, 4]])}
    moved = Compose([step])(spot(30, 30), key=1, **given)
    assert moved["image"].dtype == np.uint8
    for name, value in given.items():
        assert np.array_equal(moved[name], value), name


def test_conversions_and_normalisation_leave_everything_where_it_is() -> None:
    given = {"landmarks": FIVE, "mask": MASK, "boxes": np.array([[1.0, 2, 3, 4]])}
    kinds = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    steps = [
        v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.ToDtype(kinds, scale=True), v2.GaussianNoise(),
        v2.Normalize([0.5], [0.5]),
        v2.ToPureTensor(),
    ]  # fmt: skip
    for compose in (Compose(steps), Compose([v2.Compose(steps)])):
        moved = compose(spot(30, 30), key=1, **given)
        assert type(moved["image"]) is torch.Tensor
        assert moved["image"].dtype == torch.float32
        for name, value in given.items():
            assert np.array_equal(moved[name], value), name


def test_settings_by_class_hold_and_masks_are_filled_with_nothing() -> None:
    mask = np.full((HEIGHT, WIDTH), 3, np.uint8)
    for fill in (128, (255, 0, 0), {tv_tensors.Image: 128, "others": 0}):
        for step in (v2.Pad(4, fill=fill), v2.RandomRotation((40, 40), fill=fill), v2.RandomAffine(40, fill=fill)):
            moved = Compose([step])(np.full((HEIGHT, WIDTH, 3), 60, np.uint8), key=1, mask=mask, landmarks=FIVE)
            assert moved["image"][0, 0, 0] == (fill[0] if isinstance(fill, tuple) else 128)
            assert set(np.unique(moved["mask"])) == {0, 3}
    asked = v2.Pad(4, fill={tv_tensors.Image: 128, tv_tensors.Mask: 7, "others": 0})
    assert set(np.unique(Compose([asked])(spot(30, 30), mask=mask)["mask"])) == {3, 7}
    assert asked.fill.keys() == {tv_tensors.Image, tv_tensors.Mask, "others"}


def test_a_step_of_one_s_own_by_torchvision_s_functions_is_followed() -> None:
    class Slant(v2.Transform):
        def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
            return {"angle": float(torch.empty(()).uniform_(-30, 30))}

        def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
            turned = functional.rotate(inpt, params["angle"], interpolation=SMOOTH)
            return functional.hflip(functional.resize(turned, [180, 140]))

    for x, y in SPOTS:
        moved = Compose([Slant()])(spot(x, y), key=5, landmarks=np.array([[x, y]] * 5))
        assert np.abs(moved["landmarks"][0] - centre(moved["image"])).max() < 0.3


def test_a_step_of_one_s_own_by_hand_is_taken_at_its_word() -> None:
    class Mirror(v2.Transform):
        def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
            if isinstance(inpt, tv_tensors.KeyPoints):
                width = inpt.canvas_size[1]
                return tv_tensors.KeyPoints(
                    torch.stack([width - 1 - inpt[:, 0], inpt[:, 1]], 1), canvas_size=inpt.canvas_size
                )
            return tv_tensors.wrap(inpt.flip(-1), like=inpt)

    moved = Compose([Mirror()], label_swap="celebamask-hq")(spot(30, 30), key=1, landmarks=FIVE, mask=MASK)
    ours = HorizontalFlip(p=1, label_swap="celebamask-hq")(spot(30, 30), landmarks=FIVE, mask=MASK)
    for name, value in ours.items():
        assert np.array_equal(moved[name], value), name


class Alone(v2.Transform):
    """Somebody's own that forgets everything but the picture."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.function(inpt) if isinstance(inpt, (tv_tensors.Image, Image.Image)) else inpt


@pytest.mark.parametrize("known", [{"landmarks": FIVE}, {"mask": MASK}, {"boxes": [[1, 2, 3, 4]]}])
def test_a_step_that_moves_the_picture_alone_is_refused_where_anything_is_known(known: dict[str, Any]) -> None:
    for step in (
        Alone(functional.hflip),
        v2.Lambda(functional.hflip, tv_tensors.Image),
        v2.Compose([functional.hflip]),
    ):
        compose = Compose([step])
        assert compose(spot(30, 30)).shape == (HEIGHT, WIDTH, 3)
        with pytest.raises(ArgumentError, match=r"moves the picture \(horizontal_flip\) and leaves landmarks"):
            compose(spot(30, 30), **known)
        assert Compose([step])(spot(30, 30), landmarks=np.full((5, 2), np.nan))["image"].shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ArgumentError, match="makes the picture 35x45"):
        Compose([Alone(lambda image: functional.resize(image, [45, 35]))])(Image.fromarray(spot(30, 30)), **known)


@pytest.mark.parametrize("degrees", [0.02, 0.06, 0.09, 0.3])
def test_a_rotation_by_a_fraction_of_a_degree_moves_landmarks_and_is_not_refused(degrees: float) -> None:
    moved = Compose([v2.RandomRotation((degrees, degrees))])(spot(30, 30), landmarks=FIVE)
    expected = Compose([Rotate((degrees, degrees))])(spot(30, 30), landmarks=FIVE)
    assert np.allclose(moved["landmarks"], expected["landmarks"], atol=1e-4)


def test_a_step_that_shrinks_and_enlarges_again_moves_nothing() -> None:
    coarse = Alone(lambda image: functional.resize(functional.resize(image, [45, 35]), [HEIGHT, WIDTH]))
    moved = Compose([coarse])(spot(30, 30), landmarks=FIVE)
    assert np.array_equal(moved["landmarks"], FIVE)


def test_a_function_made_for_pictures_is_refused_where_it_would_change_landmarks() -> None:
    halved = v2.Lambda(lambda x: x / 2)
    assert Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), halved])(spot(30, 30)).max() <= 0.5
    with pytest.raises(ArgumentError, match="Lambda gives landmarks back as Tensor, not as KeyPoints: it is meant for"):
        Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), halved])(spot(30, 30), landmarks=FIVE)
    named = v2.Lambda(lambda x: 255 - x, tv_tensors.Image)
    assert np.array_equal(Compose([named])(spot(30, 30), landmarks=FIVE)["landmarks"], FIVE)
    everything = v2.Lambda(functional.hflip)
    moved = Compose([everything])(spot(30, 30), landmarks=FIVE)
    assert np.array_equal(moved["landmarks"], HorizontalFlip(p=1)(spot(30, 30), landmarks=FIVE)["landmarks"])


def test_a_plain_function_in_a_v2_compose_is_given_the_pictures() -> None:
    compose = Compose([v2.Compose([lambda image: 255 - image, v2.RandomHorizontalFlip(1.0)])])
    moved = compose(spot(30, 30), landmarks=FIVE)
    assert np.array_equal(moved["image"], 255 - spot(30, 30)[:, ::-1])
    assert np.array_equal(moved["landmarks"], HorizontalFlip(p=1)(spot(30, 30), landmarks=FIVE)["landmarks"])


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
@pytest.mark.parametrize("name", ["horizontal flip", "resize up", "turn", "perspective", "elastic", "pad"])
def test_masks_of_any_dtype_and_shape_keep_their_labels(name: str, dtype: str) -> None:
    biggest = 1 if dtype == "bool" else 2**20 if "float" in dtype else np.iinfo(dtype).max
    mask = np.zeros((2, 3, HEIGHT, WIDTH), dtype)
    mask[:, :, 20:60, 20:50] = biggest
    small = (mask[0, 0] > 0).astype(np.uint8)
    compose = Compose([GEOMETRIC[name]])
    moved = compose(spot(30, 30), key=1, mask=mask)["mask"]
    expected = compose(spot(30, 30), key=1, mask=small)["mask"]
    assert moved.dtype == mask.dtype
    assert moved.shape == (2, 3, *expected.shape)
    assert set(np.unique(moved)) == {mask.dtype.type(0), mask.dtype.type(biggest)}
    assert ((moved > 0) == (expected > 0)).all()


def test_types_are_kept_and_several_pictures_move_together() -> None:
    floats = spot(30, 30).astype(np.float32) / 255
    step = Compose([v2.RandomHorizontalFlip(1.0), v2.ColorJitter(0.1)])
    assert type(step(floats)) is np.ndarray
    assert step(floats, landmarks=FIVE)["image"].dtype == np.float32
    grey = step(spot(30, 30)[..., 0], landmarks=FIVE)["image"]
    assert grey.shape == (HEIGHT, WIDTH)
    pair = (torch.from_numpy(spot(30, 30).transpose(2, 0, 1).copy()), FIVE)
    assert type(step(pair)[0]) is torch.Tensor
    tree = {"a": tv_tensors.Image(pair[0]), "b": tv_tensors.Image(pair[0]), "landmarks": FIVE}
    for made in (
        Compose([v2.RandomRotation(40)])(tree, key=2),
        Compose([v2.ToPureTensor(), v2.RandomRotation(40)])(tree, key=2),
    ):
        assert torch.equal(made["a"], made["b"])
        assert not torch.equal(made["a"].as_subclass(torch.Tensor), pair[0])
    assert type(Compose([v2.RandomRotation(40)])(tree, key=2)["a"]) is tv_tensors.Image


def test_crops_by_the_overlap_of_boxes_keep_every_row() -> None:
    boxes = np.array([[5.0, 5, 20, 20], [40, 60, 60, 80]])
    compose = Compose([v2.RandomIoUCrop(), v2.SanitizeBoundingBoxes(labels_getter=None)], swap=())
    for key in range(20):
        moved = compose(spot(30, 30), key=key, boxes=boxes, landmarks=FIVE)
        assert moved["boxes"].shape == (2, 4)
        assert moved["landmarks"].shape == (5, 2)


def test_a_compose_with_v2_steps_draws_the_same_after_pickling_and_in_parts() -> None:
    steps = [
        v2.RandomApply([v2.RandomRotation(30)], p=0.7),
        GaussianBlur(),
        v2.RandomChoice([v2.RandomHorizontalFlip(1.0), v2.Pad(3)]),
    ]
    compose = Compose(steps)
    copy = pickle.loads(pickle.dumps(compose))
    for key in range(5):
        one, two = (each(spot(30, 30), key=key, landmarks=FIVE, mask=MASK) for each in (compose, copy))
        assert all(np.array_equal(one[name], two[name]) for name in one)
        assert np.array_equal(one["image"], compose(spot(30, 30), key=key))
