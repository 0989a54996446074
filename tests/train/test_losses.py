from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceaug.train.losses import discriminator_loss, generator_loss, gradient_penalty
from faceaug.train.settings import LOSSES


@pytest.fixture
def logits() -> tuple[Tensor, Tensor]:
    return torch.linspace(-3, 4, 8)[:, None], torch.linspace(-4, 3, 8)[:, None]


def test_minimax_is_the_documents_formula_and_its_negative(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    d = torch.sigmoid(real), torch.sigmoid(fake)
    expected = -torch.log(d[0]).mean() / 2 - torch.log(1 - d[1]).mean() / 2
    assert torch.allclose(discriminator_loss("minimax", real, fake), expected)
    assert torch.allclose(generator_loss("minimax", real, fake), -expected)


def test_the_non_saturating_losses_are_binary_cross_entropies(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    expected = F.binary_cross_entropy_with_logits(real, torch.ones(8, 1))
    expected += F.binary_cross_entropy_with_logits(fake, torch.zeros(8, 1))
    assert torch.allclose(discriminator_loss("non-saturating", real, fake), expected)
    wanted = F.binary_cross_entropy_with_logits(fake, torch.ones(8, 1))
    assert torch.allclose(generator_loss("non-saturating", real, fake), wanted)


def test_hinge_asks_for_a_margin_of_one_and_no_more() -> None:
    real, fake = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0], [0.0]])
    assert discriminator_loss("hinge", real, fake).item() == pytest.approx(0.25 + 0.5)
    assert generator_loss("hinge", real, fake).item() == pytest.approx(1.5)


def test_relativistic_losses_depend_on_differences_of_pairs_only(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    for loss in (discriminator_loss, generator_loss):
        assert torch.allclose(loss("relativistic", real, fake), loss("relativistic", real + 5, fake + 5))
    assert discriminator_loss("relativistic", real, fake) < generator_loss("relativistic", real, fake)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_generator_is_rewarded_for_what_looks_real(loss: str) -> None:
    real, fake = torch.zeros(4, 1), torch.full((4, 1), -1.0, requires_grad=True)
    generator_loss(loss, real, fake).backward()
    assert fake.grad is not None
    assert bool((fake.grad < 0).all())


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_stay_finite_for_logits_of_any_size_and_are_float32(loss: str) -> None:
    for logit in (1e4, -1e4):
        logits = torch.full((4, 1), logit, dtype=torch.bfloat16)
        for found in (discriminator_loss(loss, logits, logits), generator_loss(loss, logits, logits)):
            assert found.dtype == torch.float32
            assert torch.isfinite(found)


def test_the_penalty_is_half_the_squared_slope() -> None:
    weight = torch.linspace(-1, 1, 3 * 4 * 4)
    faces = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    linear = gradient_penalty(lambda x: (x.flatten(1) @ weight)[:, None], faces)
    assert linear.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)
    square = gradient_penalty(lambda x: x.flatten(1).square().sum(1, keepdim=True), faces)
    assert square.item() == pytest.approx(2 * faces.square().sum().item() / 5, rel=1e-5)


def test_the_penalty_teaches_the_discriminator_also_inside_autocast_and_in_full_precision() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(4 * 16, 1))
    faces = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = gradient_penalty(network, faces)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradient_penalty(network, faces.bfloat16().float())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(plain.item(), rel=0.05)
    found.backward()
    assert network[0].weight.grad.abs().sum() > 0
