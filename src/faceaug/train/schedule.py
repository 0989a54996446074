"""Optimizers, and schedules as pure functions of the images shown."""

from __future__ import annotations

import math

import torch
from torch import nn

from faceaug.train.settings import OptimisationSettings


def rate_share(config: OptimisationSettings, images: int) -> float:
    """Factor of both learning rates after ``images``, from 1 down to ``end_rate``."""
    if config.decay == "none":
        return 1.0
    end = config.images if config.decay_images is None else config.decay_images
    progress = min(max((images - config.decay_from) / max(end - config.decay_from, 1), 0.0), 1.0)
    left = (1 + math.cos(math.pi * progress)) / 2 if config.decay == "cosine" else 1 - progress
    return config.end_rate + (1 - config.end_rate) * left


def average_keeps(config: OptimisationSettings, images: int) -> float:
    """Decay of the EMA in a step that ends at ``images``, 0 to 1."""
    half_life = min(config.average_half_life, images * config.average_rampup)
    return float(0.5 ** (config.batch / max(half_life, 1e-8)))


def passed(images: int, batch: int, every: int) -> bool:
    """Whether the last step passed a multiple of ``every`` images."""
    return images // every != (images - batch) // every


def make_optimizer(network: nn.Module, config: OptimisationSettings, rate: float) -> torch.optim.Optimizer:
    """Make the optimizer of one network."""
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=rate, alpha=config.beta2)
    if config.optimizer == "adagrad":
        return torch.optim.Adagrad(network.parameters(), lr=rate)
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(config.beta1, config.beta2), fused=True)
