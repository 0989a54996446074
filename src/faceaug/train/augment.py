"""Augmentation of real and generated faces in front of the discriminator, against memorising a small dataset.

The differentiable operations are those of Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN
training". Each is applied with a probability p, which adapts as in Karras et al. 2020, "Training GANs with limited
data".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.train.config import TrainConfig

_SHIFT = 0.125  # of the side, in each direction
_HOLE = 0.5  # of the side
_INTERVAL = 4  # steps between changes of p; Karras et al. 2020

Draws = dict[str, NDArray[np.float32]]


def draw_operations(rng: np.random.Generator, n: int, operations: tuple[str, ...], p: float) -> Draws:
    """Draw the parameters of n faces; they are neutral where an operation is not applied.

    Returns:
        For the given operations: "brightness" (added), "saturation" and "contrast" (factors), "shift" (n, 2: shares of
        the side, down and right), "hole" (n, 2: centre, 0 to 1) and "holed" (0 or 1).
    """
    found: Draws = {}

    def happens() -> NDArray[np.bool_]:
        """Which faces an operation is applied to."""
        return rng.random(n) < p

    if "color" in operations:
        found["brightness"] = np.where(happens(), rng.random(n) - 0.5, 0).astype("f4")
        found["saturation"] = np.where(happens(), rng.random(n) * 2, 1).astype("f4")
        found["contrast"] = np.where(happens(), rng.random(n) + 0.5, 1).astype("f4")
    if "translation" in operations:
        found["shift"] = np.where(happens()[:, None], rng.uniform(-_SHIFT, _SHIFT, (n, 2)), 0).astype("f4")
    if "cutout" in operations:
        found["holed"] = happens().astype("f4")
        found["hole"] = rng.random((n, 2)).astype("f4")
    return found


def apply_operations(x: Tensor, draws: Draws) -> Tensor:
    """Apply drawn parameters to faces: float (n, 3, size, size) in about -1..1 -> the same shape."""
    numbers = {name: torch.from_numpy(value).to(x.device) for name, value in draws.items()}
    if "brightness" in numbers:
        x = x + numbers["brightness"][:, None, None, None]
        grey = x.mean(dim=1, keepdim=True)
        x = (x - grey) * numbers["saturation"][:, None, None, None] + grey
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - mean) * numbers["contrast"][:, None, None, None] + mean
    if "shift" in numbers:
        x = _shift(x, numbers["shift"])
    if "hole" in numbers:
        x = x * _holes(x, numbers["hole"], numbers["holed"])
    return x


def _shift(x: Tensor, shift: Tensor) -> Tensor:
    """Shift each face by whole pixels; the area that becomes free is zero, mid grey."""
    n, channels, height, width = x.shape
    reach = round(_SHIFT * height)
    moves = (shift * height).round().long() + reach  # 0 to 2 * reach
    padded = F.pad(x, (reach, reach, reach, reach))
    rows = moves[:, :1] + torch.arange(height, device=x.device)
    columns = moves[:, 1:] + torch.arange(width, device=x.device)
    picked = padded.gather(2, rows[:, None, :, None].expand(n, channels, height, width + 2 * reach))
    return picked.gather(3, columns[:, None, None, :].expand(n, channels, height, width))


def _holes(x: Tensor, middle: Tensor, holed: Tensor) -> Tensor:
    """0 inside the hole of a face, 1 elsewhere: float (n, 1, H, W)."""
    side = x.shape[2]
    places = torch.arange(side, device=x.device)
    first = (middle * (side + 1)).floor().long() - round(side * _HOLE) // 2
    inside = (places >= first[..., None]) & (places < first[..., None] + round(side * _HOLE))  # (n, 2, side)
    hole = inside[:, 0, :, None] & inside[:, 1, None, :]
    return 1 - hole[:, None].to(x.dtype) * holed[:, None, None, None]


@dataclass(slots=True)
class AdaptiveProbability:
    """The probability of each operation, and the statistics since its last change.

    Attributes:
        p: current probability.
        certainty: sum over steps of the mean sign of D(real); 1 per step means that D is right about all real faces.
        steps: steps since the last change.
        last: mean certainty at the last change, for the log.
    """

    p: float
    certainty: float = 0.0
    steps: int = 0
    last: float = 0.0

    def observe(self, config: TrainConfig, mean_sign: float) -> None:
        """Record the mean sign of the real logits of a step; every fourth step moves p."""
        self.certainty += mean_sign
        self.steps += 1
        if self.steps < _INTERVAL:
            return
        self.last = self.certainty / self.steps
        if config.augment_target:
            direction = 1 if self.last > config.augment_target else -1
            moved = self.p + direction * config.batch * self.steps / config.augment_images
            self.p = min(max(moved, 0.0), config.augment_limit)
        self.certainty = 0.0
        self.steps = 0
