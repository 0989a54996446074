from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from faceaug.train.losses import discriminator_loss, generator_loss


@pytest.fixture
def logits() -> tuple[Tensor, Tensor]:
    return torch.linspace(-3, 4, 8)[:, None], torch.linspace(-4, 3, 8)[:, None]


def test_the_discriminator_loss_is_binary_cross_entropy(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    expected = F.binary_cross_entropy_with_logits(real, torch.ones(8, 1))
    expected += F.binary_cross_entropy_with_logits(fake, torch.zeros(8, 1))
    assert torch.allclose(discriminator_loss(real, fake), expected)


def test_the_generator_loss_is_the_non_saturating_one(logits: tuple[Tensor, Tensor]) -> None:
    _, fake = logits
    assert torch.allclose(generator_loss(fake), F.binary_cross_entropy_with_logits(fake, torch.ones(8, 1)))


def test_an_undecided_discriminator_has_the_known_loss() -> None:
    nothing = torch.zeros(4, 1)
    assert discriminator_loss(nothing, nothing).item() == pytest.approx(2 * 0.6931472)
    assert generator_loss(nothing).item() == pytest.approx(0.6931472)


def test_far_wrong_logits_stay_finite_and_teach() -> None:
    fake = torch.full((4, 1), -500.0, requires_grad=True)
    loss = generator_loss(fake)
    loss.backward()
    assert loss.item() == pytest.approx(500)
    assert fake.grad is not None
    assert fake.grad.sum().item() == pytest.approx(-1)


def test_losses_of_half_precision_logits_are_float32(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = (x.bfloat16() for x in logits)
    assert discriminator_loss(real, fake).dtype == generator_loss(fake).dtype == torch.float32
