from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from faceaug.errors import ArgumentError
from faceaug.synthesize import build_network, conv, deconv
from faceaug.synthesize.networks import tone

GOLDEN = Path(__file__).parents[1] / "golden" / "networks.txt"
GENERATOR_KEYS = [
    "fc.weight", "fc.bias",
    "t_conv1.0.weight", "t_conv1.1.weight", "t_conv1.1.bias", "t_conv1.1.running_mean", "t_conv1.1.running_var",
    "t_conv1.1.num_batches_tracked",
    "t_conv2.0.weight", "t_conv2.1.weight", "t_conv2.1.bias", "t_conv2.1.running_mean", "t_conv2.1.running_var",
    "t_conv2.1.num_batches_tracked",
    "t_conv3.0.weight",
]  # fmt: skip


def test_both_networks_print_as_in_the_project_report() -> None:
    discriminator, generator = build_network(64, 64, 100)
    assert f"{discriminator}\n\n{generator}\n" == GOLDEN.read_text()


def test_the_state_dict_has_the_names_of_the_project_report_in_order() -> None:
    discriminator, generator = build_network(64, 64, 100)
    assert list(generator.state_dict()) == GENERATOR_KEYS
    assert [k for k in discriminator.state_dict() if k.endswith("weight")] == [
        "conv1.0.weight", "conv2.0.weight", "conv2.1.weight", "conv3.0.weight", "conv3.1.weight", "fc.weight",
    ]  # fmt: skip


def test_a_state_dict_of_the_project_report_loads_unchanged() -> None:
    """The network of the project report (INSAT 2023) in plain torch modules computes the same with the same weights."""
    original = nn.ModuleDict(
        {
            "fc": nn.Linear(100, 4096),
            "t_conv1": nn.Sequential(nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128)),
            "t_conv2": nn.Sequential(nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64)),
            "t_conv3": nn.Sequential(nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False)),
        }
    )
    _, generator = build_network(64, 64, 100)
    generator.load_state_dict(original.state_dict())
    z = torch.randn(5, 100)
    x = original["fc"](z).view(-1, 256, 4, 4)
    x = F.relu(original["t_conv1"](x))
    x = F.relu(original["t_conv2"](x))
    assert torch.equal(generator(z), torch.tanh(original["t_conv3"](x)))


def test_shapes_are_those_of_a_32_pixel_face() -> None:
    discriminator, generator = build_network(64, 64, 100)
    faces = generator(torch.randn(4, 100))
    assert faces.shape == (4, 3, 32, 32)
    assert faces.abs().max() <= 1
    assert discriminator(faces).shape == (4, 1)


def test_weights_start_as_normal_numbers_of_deviation_002_and_biases_as_zero() -> None:
    for network in build_network(64, 64, 100):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
                assert abs(module.weight.mean().item()) < 0.002
                assert module.bias is None or not module.bias.any()
            elif isinstance(module, nn.BatchNorm2d):
                assert bool((module.weight == 1).all())
                assert bool((module.running_var == 1).all())


def test_the_seed_decides_the_weights_and_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (build_network(8, 8, 10, seed=seed)[1].fc.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_the_helpers_halve_and_double_with_or_without_batch_norm() -> None:
    x = torch.zeros(2, 3, 8, 8)
    assert conv(3, 5, 4)(x).shape == (2, 5, 4, 4)
    assert deconv(3, 5, 4)(x).shape == (2, 5, 16, 16)
    plain, normed = conv(3, 5, 4)
    assert isinstance(plain, nn.Conv2d)
    assert isinstance(normed, nn.BatchNorm2d)
    assert [type(m) for m in deconv(3, 5, 4, batch_norm=False)] == [nn.ConvTranspose2d]


def test_a_width_below_one_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="z_size 0"):
        build_network(64, 64, 0)


@pytest.mark.parametrize("contrast", [False, True])
def test_a_discriminator_with_contrast_distinguishes_faded_faces(contrast: bool) -> None:
    """Batch norm divides the contrast of a batch out: without the option nothing is left of it."""
    discriminator, _ = build_network(16, 4, 4, d_contrast=contrast)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(10)  # so that the 1e-5 in batch norm is nothing beside the activations
        faces = torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
        vivid, faded = discriminator(faces), discriminator(faces / 2)
    assert bool((vivid - faded).abs().max() > 0.05) == contrast


def test_tone_is_the_mean_and_spread_of_each_colour() -> None:
    faces = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    found = tone(faces)
    assert found.shape == (5, 6)
    torch.testing.assert_close(found[:, :3], faces.mean(dim=(2, 3)))
    torch.testing.assert_close(found[:, 3:], faces.std(dim=(2, 3), unbiased=False))
    flat = torch.zeros(1, 3, 8, 8, requires_grad=True)
    tone(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()
