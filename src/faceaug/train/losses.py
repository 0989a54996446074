"""What the two networks are taught: Goodfellow et al. 2014 with the non-saturating generator loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), averaged: a scalar, float32. Logits (n, 1), high = real."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """-log D(G(z)), averaged: a scalar, float32. Logits (n, 1), high = real."""
    return F.softplus(-fake_logits.float()).mean()
