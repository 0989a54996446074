"""Convolutions taught the quick way are the convolutions they were."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.synthesize import build_network
from faceaug.train.convolution import Conv2d, ConvTranspose2d, quicken


def _numbers(*shape: int, slot: str = "x") -> Tensor:
    return torch.from_numpy(stream(0, slot=f"test/{slot}").standard_normal(shape, "f4"))


def _taught(layer: nn.Module, x: Tensor, *, bf16: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        made = layer(x)
    (made.float() * _numbers(*made.shape, slot="slope")).sum().backward()
    assert x.grad is not None
    return made.detach().float(), x.grad, [p.grad for p in layer.parameters() if p.grad is not None]


def _off(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("layer", "side"),
    [
        (nn.Conv2d(6, 10, 4, 2, 1), 8),
        (nn.Conv2d(6, 10, 3, 1, 1), 4),
        (nn.Conv2d(6, 10, 4, 1, 0), 4),
        (nn.ConvTranspose2d(10, 6, 4, 2, 1), 4),
        (nn.ConvTranspose2d(10, 6, 4, 1, 0), 1),
    ],
)
def test_slopes_are_those_of_float32_to_the_precision_of_bfloat16(layer: nn.Module, side: int, bias: bool) -> None:
    layer = copy.deepcopy(layer)
    if not bias:
        layer.bias = None
    quick = copy.deepcopy(layer)
    quicken(nn.Sequential(quick))
    assert isinstance(quick, Conv2d | ConvTranspose2d)
    x = _numbers(16, 6 if isinstance(layer, nn.Conv2d) else 10, side, side)
    expected_made, expected_back, expected = _taught(layer, x, bf16=False)
    made, back, found = _taught(quick, x, bf16=True)
    assert _off(made, expected_made) < 0.01
    assert _off(back, expected_back) < 0.01
    assert len(found) == len(expected) == 1 + bias
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert one.shape == other.shape
        assert _off(one, other) < 0.01


def test_in_float32_nothing_changes_at_all() -> None:
    discriminator, _ = build_network(8, 8, 10)
    quick = copy.deepcopy(discriminator)
    quicken(quick)
    x = _numbers(8, 3, 32, 32)
    expected, found = _taught(discriminator, x, bf16=False), _taught(quick, x, bf16=False)
    assert torch.equal(expected[1], found[1])
    assert all(torch.equal(a, b) for a, b in zip(expected[2], found[2], strict=True))


def test_the_weights_keep_their_names() -> None:
    for network in build_network(8, 8, 10):
        names = list(network.state_dict())
        quicken(network)
        assert list(network.state_dict()) == names


def test_a_slope_of_slopes_goes_the_usual_way() -> None:
    layer = nn.Conv2d(3, 4, 4, 2, 1)
    quicken(nn.Sequential(layer))
    x = _numbers(2, 3, 8, 8).requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_layers_it_does_not_know_are_left_alone() -> None:
    strange = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, (3, 1)), nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2), nn.ConvTranspose2d(4, 4, 3, 2, output_padding=1),
    )  # fmt: skip
    quicken(strange)
    assert {type(layer) for layer in strange} == {nn.Conv2d, nn.ConvTranspose2d}
