"""Every picture type is restored."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from faceaug import ArgumentError
from faceaug.augment import Compose, GaussianBlur, HorizontalFlip, Rotate
from tests.conftest import picture

TRANSFORM = Compose([Rotate((10, 10)), HorizontalFlip(p=1), GaussianBlur((1, 1))])


def test_an_array_gives_an_array() -> None:
    for image in (picture(1), picture(1)[..., 0], picture(1)[..., :1]):
        result = TRANSFORM(image)
        assert type(result) is np.ndarray
        assert (result.shape, result.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_pil_picture_gives_a_pil_picture_of_its_mode(mode: str) -> None:
    result = TRANSFORM(Image.fromarray(picture(1)).convert(mode))
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (mode, (178, 218))


def test_a_tensor_gives_a_contiguous_tensor_and_a_tv_image_a_tv_image() -> None:
    tensor = torch.from_numpy(picture(1).transpose(2, 0, 1).copy())
    plain, tv = TRANSFORM(tensor), TRANSFORM(tv_tensors.Image(tensor))
    assert type(plain) is torch.Tensor
    assert type(tv) is tv_tensors.Image
    for result in (plain, tv):
        assert (result.shape, result.dtype) == (tensor.shape, torch.uint8)
        assert result.is_contiguous()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_unit_floats_keep_their_type_and_range(channels: int) -> None:
    array = np.random.default_rng(0).random((30, 20, channels), np.float32)
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    expected = TRANSFORM(array, key=5)
    assert (expected.shape, expected.dtype) == (array.shape, np.float32)
    for given in (tensor, tv_tensors.Image(tensor)):
        result = TRANSFORM(given, key=5)
        assert type(result) is type(given)
        assert result.dtype == torch.float32
        assert result.is_contiguous()
        assert np.array_equal(result.permute(1, 2, 0).numpy(), expected)
    assert np.array_equal(v2.Compose([HorizontalFlip(p=1)])(tensor), tensor.flip(2))


def test_floats_a_little_beyond_their_range_are_taken() -> None:
    image = np.linspace(-5e-4, 1 + 5e-4, 300, dtype=np.float32).reshape(10, 10, 3)
    assert TRANSFORM(image).dtype == np.float32


def test_all_types_hold_the_same_pixels() -> None:
    image = picture(1)
    expected = TRANSFORM(image, key=5)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    assert (np.asarray(TRANSFORM(Image.fromarray(image), key=5)) == expected).all()
    assert (TRANSFORM(tensor, key=5).permute(1, 2, 0).numpy() == expected).all()
    assert (TRANSFORM(tv_tensors.Image(tensor), key=5).permute(1, 2, 0).numpy() == expected).all()


def test_the_input_is_never_changed_and_may_be_read_only_or_a_view() -> None:
    image = picture(1)
    before = image.copy()
    image.flags.writeable = False
    for view in (image, image[::-1, ::-1], image[10:, 5:-5], np.asfortranarray(image)):
        assert (TRANSFORM(view, key=1) == TRANSFORM(view.copy(), key=1)).all()
    assert (image == before).all()


CASES = [
    (
        picture(1).astype(np.float32),
        "from 0 to 255: expected float32 in 0..1; divide by 255, or pass uint8",
    ),
    (picture(1).astype(np.float32) / 127 - 1, "augment first and normalise afterwards (v2.Normalize at the end)"),
    (np.full((9, 9, 3), np.nan, np.float32), "243 values are NaN or infinite and would spread; repair them first (np"),
    (np.full((9, 9), np.inf, np.float32), "81 values are NaN or infinite"),
    (
        picture(1).astype(np.int32),
        "an array (218, 178, 3) of dtype int32: expected uint8, or float32 in 0..1; use x.astype(",
    ),
    (
        picture(1) / 255,
        "an array (218, 178, 3) of dtype float64: expected uint8, or float32 in 0..1; use x.astype(np.float32)",
    ),
    (np.zeros((9, 9), np.bool_), "use x.astype(np.uint8), if in 0..255"),
    (picture(1).transpose(2, 0, 1), "it looks like (channels, height, width): use x.transpose(1, 2, 0)"),
    (np.zeros((0, 5, 3), np.uint8), "an empty array, (0, 5, 3)"),
    (np.zeros((2, 2, 5, 5, 3), np.uint8), "an array with 5 axes, (2, 2, 5, 5, 3): expected one picture"),
    (np.zeros((5, 5, 2), np.uint8), "1, 3 or 4 channels"),
    (
        torch.full((3, 8, 9), 9.0),
        "a tensor (3, 8, 9) of dtype torch.float32 with values from 9 to 9: expected float32",
    ),
    (torch.full((3, 8, 9), torch.nan), "216 values are NaN or infinite"),
    (
        torch.zeros(3, 8, 9, dtype=torch.int32),
        "float32 in 0..1; use x.to(torch.uint8), if in 0..255",
    ),
    (torch.zeros(3, 8, 9, dtype=torch.bfloat16), "use x.to(torch.float32) of values in 0..1"),
    (torch.zeros(1, 2, 3, 8, 9, dtype=torch.uint8), "a tensor with 5 axes, (1, 2, 3, 8, 9): expected one picture"),
    (torch.zeros(8, 9, 3, dtype=torch.uint8), "use x.permute(2, 0, 1)"),
    (torch.zeros(3, 0, 9, dtype=torch.uint8), "an empty tensor"),
    (Image.new("P", (4, 4)), "a PIL picture of mode P: expected RGB, RGBA, L, 1, LA"),
    ("face.jpg", "a picture of type str"),
    (None, "no picture: give one as the first argument or as image="),
]


@pytest.mark.parametrize(("wrong", "message"), CASES, ids=[message[:40] for _, message in CASES])
def test_a_wrong_picture_is_refused_with_the_remedy(wrong: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        Rotate()(wrong)


def test_augmenting_arrays_imports_neither_torch_nor_torchvision() -> None:
    code = (
        "import sys, numpy as np\n"
        "from faceaug.augment import Compose, Rotate\n"
        "assert 'cv2' not in sys.modules\n"
        "Compose([Rotate(9)])(np.zeros((8, 8, 3), np.uint8))\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(picture(1)[..., 0].astype(np.uint16) * 257 // 3 + 77)
    if mode == "F":
        return Image.fromarray(picture(1)[..., 0].astype(np.float32) / 255)
    made = Image.fromarray(picture(1))
    if mode in {"LA", "RGBA"}:
        made.putalpha(Image.fromarray(picture(2)[..., 0]))
    return made.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_pil_pictures_keep_their_mode(mode: str) -> None:
    given = in_mode(mode)
    for steps in ([HorizontalFlip(p=1)], [v2.RandomHorizontalFlip(1.0)], [HorizontalFlip(p=1), v2.Identity()]):
        mirrored = Compose(steps)(given)
        assert mirrored.mode == mode
        assert np.array_equal(np.asarray(mirrored), np.asarray(given)[:, ::-1])
    turned = Rotate((30, 30))(given)
    assert (turned.mode, turned.size) == (mode, given.size)
    middle = np.asarray(turned.convert("L") if mode not in {"I;16", "F"} else turned)[60:160, 40:140].astype(float)
    whole = np.asarray(given.convert("L") if mode not in {"I;16", "F"} else given).astype(float)
    assert whole.min() - 1 <= middle.mean() <= whole.max() + 1
    assert middle.std() > whole.std() / 5  # not cut to black or white


def test_sixteen_bit_pictures_keep_levels_that_eight_bits_would_lose() -> None:
    levels = np.arange(218 * 178, dtype=np.uint16).reshape(218, 178)
    turned = Rotate((180, 180))(Image.fromarray(levels))
    assert np.array_equal(np.asarray(turned), levels[::-1, ::-1])
    swapped = Image.frombytes("I;16B", (178, 218), levels.astype(">u2").tobytes())
    assert np.array_equal(np.asarray(HorizontalFlip(p=1)(swapped)), levels[:, ::-1])


@pytest.mark.parametrize(
    ("mode", "advice"),
    [
        (
            "P",
            "palette indices cannot be interpolated; use .convert('RGB')",
        ),
        ("I", "its range is unknown"),
        ("HSV", "hues cannot be interpolated; use .convert('RGB')"),
        ("RGBX", "use .convert('RGB')"),
    ],
)
def test_pil_pictures_of_other_modes_are_refused_with_the_remedy(mode: str, advice: str) -> None:
    message = f"a PIL picture of mode {mode}: expected RGB, RGBA, L, 1, LA, CMYK, YCbCr, I;16, F; {advice}"
    with pytest.raises(ArgumentError, match=re.escape(message)):
        Rotate()(Image.fromarray(picture(1)).convert(mode))
    with pytest.raises(ArgumentError, match="divide by 255"):
        Rotate()(Image.fromarray(picture(1)[..., 0].astype(np.float32)))
