"""Random chains of faceaug's and torchvision's steps, on random pictures, in threads: what holds for all of them."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from faceaug.augment import (
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
)

BICUBIC = v2.InterpolationMode.BICUBIC


class Own(v2.Transform):
    """Somebody's own, which draws from everything there is."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(3)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, (Image.Image, tv_tensors.Image)):
            share = random.random() + np.random.rand() + self.rng.random() + float(torch.rand(()))
            return v2.functional.adjust_brightness(inpt, 0.5 + share / 4)
        return inpt


OURS = st.sampled_from(
    [
        Rotate(25), Rotate(25, expand=True), Stretch(1.2), Perspective(0.1), HorizontalFlip(), VerticalFlip(p=0.3),
        Twist(40), Elastic(5), Elastic(400, p=0.7), GaussianBlur(2), MotionBlur(9), Preset("light"), Preset("strong"),
        Rotate(9, border="constant", fill=7), Stretch(1.1, interpolation="cubic"),
    ]
)  # fmt: skip
THEIRS = st.sampled_from(
    [
        v2.Resize((40, 30)), v2.Resize((50, 44), interpolation=BICUBIC), v2.RandomResizedCrop((33, 47)), v2.Pad(3),
        v2.RandomHorizontalFlip(), v2.RandomRotation(30, expand=True), v2.RandomAffine(20, (0.1, 0.1)),
        v2.RandomPerspective(0.3), v2.ElasticTransform(30.0, sigma=2.0), v2.ColorJitter(0.3, 0.3), v2.GaussianBlur(3),
        v2.RandomZoomOut(side_range=(1.0, 1.5)), v2.RandomInvert(), v2.RandomAutocontrast(), v2.RandomErasing(),
        v2.RandomShortestSize([30, 40]), v2.RandomApply([v2.Pad(2), v2.RandomVerticalFlip()], p=0.6),
        v2.RandomChoice([v2.CenterCrop(28), Twist(30)]), v2.Compose([v2.Resize(36), Preset("strong")]), Own(),
    ]
)  # fmt: skip
STEPS = st.recursive(
    OURS | THEIRS,
    lambda inner: (
        st.builds(
            lambda steps, p: OneOf(steps, p=p), st.lists(inner, min_size=1, max_size=3), st.sampled_from([0.6, 1.0])
        )
        | st.builds(lambda steps, p: Compose(steps, p=p), st.lists(inner, max_size=3), st.sampled_from([0.6, 1.0]))
    ),
    max_leaves=4,
)
CHAINS = st.builds(lambda steps, seed: Compose(steps, seed=seed), st.lists(STEPS, max_size=5), st.integers(0, 9))
FORMS = ("array", "flat array", "floats", "flat floats", "PIL", "grey PIL", "tensor", "float tensor", "tv_tensor")
SIDES = st.integers(20, 90)
KEYS = st.integers(0, 2**40)


def picture(form: str, height: int, width: int, seed: int) -> Any:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if "flat" in form or "grey" in form:
        levels = levels[..., 0]
    if "PIL" in form:
        return Image.fromarray(levels)
    if form == "tv_tensor":
        return tv_tensors.Image(torch.from_numpy(levels).permute(2, 0, 1).contiguous())
    if "tensor" in form:
        whole = torch.from_numpy(levels).permute(2, 0, 1).contiguous()
        return whole / 255 if "float" in form else whole
    return levels.astype(np.float32) / 255 if "floats" in form else levels


def kind_of(image: Any) -> tuple[Any, ...]:
    """Class, dtype or mode, and where the channels are."""
    if isinstance(image, Image.Image):
        return Image.Image, image.mode
    if isinstance(image, torch.Tensor):
        return type(image), image.dtype, image.ndim, image.shape[0]
    return type(image), image.dtype, image.ndim, image.shape[2:]


def bytes_of(image: Any) -> tuple[Any, ...]:
    if isinstance(image, Image.Image):
        return image.size, image.tobytes()
    array = image.as_subclass(torch.Tensor).numpy() if isinstance(image, torch.Tensor) else image
    return array.shape, array.tobytes()


@contextmanager
def untouched_generators() -> Iterator[None]:
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    after = torch.get_rng_state(), np.random.get_state(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert all(np.array_equal(one, other) for one, other in zip(before[1], after[1], strict=True))
    assert before[2] == after[2]


@contextmanager
def hasty_threads() -> Iterator[None]:
    """Threads that change places all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@settings(max_examples=60, deadline=None)
@given(
    chain=CHAINS, form=st.sampled_from(FORMS), height=SIDES, width=SIDES, key=KEYS, seed=st.integers(0, 9)
)  # fmt: skip
def test_any_chain_keeps_type_layout_and_generators_and_repeats_by_key_and_by_parameters(
    chain: Compose, form: str, height: int, width: int, key: int, seed: int
) -> None:
    image = picture(form, height, width, seed)
    with untouched_generators():
        first = chain(image, key=key)
        with ThreadPoolExecutor(3) as pool:
            others = list(pool.map(lambda _: chain(image, key=key), range(3)))
        drawn = chain.params(key, (height, width))
        replayed = chain.render(image, json.loads(json.dumps(drawn)))
        answer, traced = chain.traced(image, key=key)
    assert kind_of(first) == kind_of(image)
    assert {bytes_of(other) for other in (*others, replayed, answer)} == {bytes_of(first)}
    assert traced == drawn


@settings(max_examples=20, deadline=None)
@given(chain=CHAINS, form=st.sampled_from(FORMS), height=SIDES, width=SIDES, key=KEYS)
def test_any_chain_gives_its_answer_a_form_that_it_takes_again(
    chain: Compose, form: str, height: int, width: int, key: int
) -> None:
    flags = np.array([True, False, True, True, True])
    points = np.array([[5, 5], [14, 6], [10, 10], [6, 15], [13, 16]], np.float32)
    answer = chain(image=picture(form, height, width, 1), landmarks=points, visible=flags, key=key)
    again = chain(**answer, key=key)
    assert again.keys() == answer.keys() == {"image", "landmarks", "visible"}
    assert kind_of(again["image"]) == kind_of(answer["image"])
    assert answer["visible"].sum() <= 4
    assert again["visible"].dtype == np.bool_


def test_threads_draw_by_the_key_alone_while_another_one_draws_from_torch() -> None:
    image = picture("array", 48, 40, 1)
    jitter, chosen = v2.ColorJitter(0.5, 0.5), v2.RandomChoice([v2.RandomInvert(), v2.Pad(1)])
    chain = Compose([Rotate(20), jitter, chosen, v2.ElasticTransform(30.0), v2.GaussianNoise(), Twist(30)])
    points = np.array([[5, 5], [14, 6], [10, 10], [6, 15], [13, 16]], np.float32)

    def made(key: int) -> dict[str, Any]:
        return dict(chain(image, key=key, landmarks=points))

    alone = [made(key) for key in range(40)]
    torch.manual_seed(5)
    expected = [float(torch.rand(())) for _ in range(300)]
    torch.manual_seed(5)
    seen: list[float] = []
    other = threading.Thread(target=lambda: seen.extend(float(torch.rand(())) for _ in range(300)))
    with hasty_threads(), ThreadPoolExecutor(6) as pool:
        other.start()
        together = list(pool.map(made, range(40)))
        other.join()
    for one, two in zip(alone, together, strict=True):
        assert all(np.array_equal(one[name], two[name]) for name in one)
    assert seen == expected


def test_a_step_of_one_s_own_draws_by_the_key_from_every_generator_in_threads_too() -> None:
    image = picture("array", 24, 24, 1)
    chain = Compose([Own(), v2.Lambda(lambda x: x), v2.RandomApply([Own()])])
    alone = [chain(image, key=k) for k in range(40)]
    assert len({one.tobytes() for one in alone}) > 20
    with untouched_generators(), hasty_threads(), ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda k: chain(image, key=k), range(40)))
    assert all(np.array_equal(one, two) for one, two in zip(alone, together, strict=True))


@pytest.mark.parametrize("shown", [64, 256, 1024])
def test_steps_behind_a_resize_are_drawn_for_the_picture_they_get(shown: int) -> None:
    small = picture("array", 64, 64, 1)
    large = small.repeat(shown // 64, 0).repeat(shown // 64, 1)
    inner = [Preset("strong"), Elastic(3000), Twist(170)]
    for chain in (
        Compose([v2.Resize((64, 64), interpolation=v2.InterpolationMode.NEAREST), *inner]),
        Compose([Compose([v2.Resize((64, 64), interpolation=v2.InterpolationMode.NEAREST)]), OneOf([Compose(inner)])]),
        Compose([v2.Compose([v2.Resize((64, 64), interpolation=v2.InterpolationMode.NEAREST)]), *inner]),
    ):
        for key in range(4):
            assert np.array_equal(chain(large, key=key), chain(small, key=key))
            drawn = chain.params(key, (shown, shown))
            assert drawn == chain.params(key, (64, 64))
            assert np.array_equal(chain.render(large, drawn), chain(large, key=key))


def test_parameters_behind_a_size_that_only_boxes_decide_come_with_the_result() -> None:
    image, boxes = picture("array", 60, 50, 1), np.array([[5.0, 5, 25, 30]])
    chain = Compose([v2.RandomIoUCrop(), v2.SanitizeBoundingBoxes(labels_getter=None), Rotate(5), Elastic(90)])
    with pytest.raises(Exception, match=r"the size behind RandomIoUCrop .* call traced\(picture\)"):
        chain.params(1, (60, 50))
    answer, drawn = chain.traced(image, key=1, boxes=boxes)
    replayed = chain.render(image, drawn, boxes=boxes)
    assert np.array_equal(answer["image"], replayed["image"])
    assert np.array_equal(answer["image"], chain(image, key=1, boxes=boxes)["image"])
    assert len(Compose([v2.RandomIoUCrop(), Rotate(5)]).params(1, (60, 50))) == 2  # nothing asks for the size
