"""The adversarial losses and the gradient penalty.

With real faces x, latents z, logits D and s = softplus, so that -log D = s(-D) and -log(1 - D) = s(D):

================  ===============================================  =================================
loss              discriminator minimises the mean of              generator minimises the mean of
================  ===============================================  =================================
minimax           1/2 s(-D(x)) + 1/2 s(D(G(z)))                    its negative
non-saturating    s(-D(x)) + s(D(G(z)))                            s(-D(G(z)))
hinge             max(0, 1 - D(x)) + max(0, 1 + D(G(z)))           -D(G(z))
relativistic      s(D(G(z)) - D(x))                                s(D(x) - D(G(z)))
================  ===============================================  =================================

Sources: Goodfellow et al. 2014 (the first two); Miyato et al. 2018 (hinge); Jolicoeur-Martineau 2019 and Huang et al.
2024, "The GAN is dead; long live the GAN!" (relativistic pairs). R1 and R2: Mescheder et al. 2018.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from faceaug.train.settings import Loss


def discriminator_loss(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The discriminator's loss: a scalar, float32. Logits (n, 1), high = real."""
    real, fake = real_logits.float(), fake_logits.float()
    if loss == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if loss == "relativistic":
        return F.softplus(fake - real).mean()
    both = F.softplus(-real).mean() + F.softplus(fake).mean()
    return both / 2 if loss == "minimax" else both


def generator_loss(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The generator's loss: a scalar, float32. Logits (n, 1), high = real; the real ones carry no gradient."""
    real, fake = real_logits.float(), fake_logits.float()
    if loss == "minimax":
        return -discriminator_loss(loss, real, fake)
    if loss == "hinge":
        return -fake.mean()
    if loss == "relativistic":
        return F.softplus(real - fake).mean()
    return F.softplus(-fake).mean()


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], faces: Tensor) -> Tensor:
    """Half the squared norm of the discriminator's gradient at given faces, averaged: a scalar, float32.

    R1 at real faces, R2 at generated faces. Always in float32: the three digits of bfloat16 are too few for second
    derivatives.

    Args:
        discriminator: float (n, 3, H, W) -> logits (n, 1).
        faces: float (n, 3, H, W); detached, so no gradient flows back into the generator.
    """
    with torch.autocast(faces.device.type, enabled=False):
        faces = faces.detach().float().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(faces).sum(), faces, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean() / 2
