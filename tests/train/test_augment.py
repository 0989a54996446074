from __future__ import annotations

import numpy as np
import pytest
import torch

from faceaug.draws import stream
from faceaug.train import TrainConfig
from faceaug.train.augment import AdaptiveProbability, apply_operations, draw_operations
from faceaug.train.settings import OPERATIONS


def faces(n: int = 6) -> torch.Tensor:
    return torch.from_numpy(stream(0, slot="tests/faces").uniform(-1, 1, (n, 3, 32, 32)).astype("f4"))


def test_without_probability_nothing_happens() -> None:
    draws = draw_operations(stream(1), 6, OPERATIONS, 0.0)
    torch.testing.assert_close(apply_operations(faces(), draws), faces(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_each_operation_happens_as_often_as_asked(p: float) -> None:
    draws = draw_operations(stream(1), 5000, OPERATIONS, p)
    for name, neutral in (("brightness", 0), ("saturation", 1), ("contrast", 1), ("holed", 0)):
        assert (draws[name] != neutral).mean() == pytest.approx(p, abs=0.02)
    assert (draws["shift"] != 0).any(axis=1).mean() == pytest.approx(p, abs=0.02)


def test_brightness_is_added_and_saturation_and_contrast_are_factors() -> None:
    x = faces(2)
    neutral = {"brightness": np.zeros(2, "f4"), "saturation": np.ones(2, "f4"), "contrast": np.ones(2, "f4")}
    torch.testing.assert_close(
        apply_operations(x, neutral | {"brightness": np.full(2, 0.25, "f4")}), x + 0.25, rtol=0, atol=1e-6
    )
    grey = apply_operations(x, neutral | {"saturation": np.zeros(2, "f4")})
    torch.testing.assert_close(grey, x.mean(1, keepdim=True).expand_as(x), rtol=0, atol=1e-5)
    flat = apply_operations(x, neutral | {"contrast": np.zeros(2, "f4")})
    torch.testing.assert_close(flat, x.mean((1, 2, 3), keepdim=True).expand_as(x), rtol=0, atol=1e-5)


def test_a_shift_moves_whole_pixels_and_brings_in_grey() -> None:
    x = faces(1)
    moved = apply_operations(x, {"shift": np.array([[2 / 32, -3 / 32]], "f4")})
    assert torch.equal(moved[:, :, :30, 3:], x[:, :, 2:, :29])
    assert not moved[:, :, 30:].any()
    assert not moved[:, :, :, :3].any()


def test_a_hole_is_half_as_wide_as_the_face_and_grey() -> None:
    cut = apply_operations(faces(1), {"hole": np.array([[0.5, 0.5]], "f4"), "holed": np.ones(1, "f4")})
    assert int((cut[0, 0] == 0).sum()) == 16 * 16
    corner = apply_operations(faces(1), {"hole": np.zeros((1, 2), "f4"), "holed": np.ones(1, "f4")})
    assert int((corner[0, 0] == 0).sum()) == 8 * 8


def test_gradients_flow_through_everything() -> None:
    x = faces().requires_grad_()
    apply_operations(x, draw_operations(stream(2), 6, OPERATIONS, 1.0)).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_the_same_draw_gives_the_same_faces() -> None:
    one, two = (apply_operations(faces(), draw_operations(stream(7), 6, OPERATIONS, 0.5)) for _ in range(2))
    assert torch.equal(one, two)


def test_probability_grows_while_the_discriminator_is_too_certain_and_shrinks_after() -> None:
    config = TrainConfig(augment="color", augment_target=0.6, augment_images=10_000, augment_limit=0.3, batch=100)
    adaptive = AdaptiveProbability(0.0)
    for _ in range(4):
        adaptive.observe(config, 0.9)
    assert adaptive.p == pytest.approx(0.04)
    assert adaptive.last == pytest.approx(0.9)
    for _ in range(400):
        adaptive.observe(config, 0.9)
    assert adaptive.p == 0.3
    for _ in range(400):
        adaptive.observe(config, 0.1)
    assert adaptive.p == 0.0


def test_a_fixed_probability_stays() -> None:
    config, adaptive = TrainConfig(augment="color", augment_p=0.2), AdaptiveProbability(0.2)
    for _ in range(50):
        adaptive.observe(config, 1.0)
    assert adaptive.p == 0.2
    assert adaptive.last == 1.0
