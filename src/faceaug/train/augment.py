"""What both networks' faces go through before the discriminator sees them, so that it cannot learn few faces by heart.

The operations are those of Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training"; that each
happens with a probability p, and how p adapts, is Karras et al. 2020, "Training GANs with limited data". Gradients
flow through all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.train.config import TrainConfig

_SHIFT = 0.125  # of the side, either way
_HOLE = 0.5  # of the side
_INTERVAL = 4  # steps over which the discriminator's certainty is averaged; Karras et al. 2020

Draws = dict[str, NDArray[np.float32]]


def draw_operations(rng: np.random.Generator, n: int, operations: tuple[str, ...], p: float) -> Draws:
    """Draw what happens to each of n faces; every number is neutral where an operation does not happen.

    Returns:
        "brightness" (added, 0 is none), "saturation" and "contrast" (factors, 1 is none), "shift" (n, 2: shares of
        the side, down and right), "hole" (n, 2: place of the middle, 0 to 1) and "holed" (0 or 1); of the operations
        asked for.
    """
    found: Draws = {}

    def happens() -> NDArray[np.bool_]:
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
    """Do what was drawn: float (n, 3, size, size) in about -1..1 -> the same shape."""
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
    """Move each face by whole pixels; what comes in from outside is zero, mid grey."""
    n, channels, height, width = x.shape
    reach = round(_SHIFT * height)
    moves = (shift * height).round().long() + reach  # 0 to 2 * reach
    padded = F.pad(x, (reach, reach, reach, reach))
    rows = moves[:, :1] + torch.arange(height, device=x.device)
    columns = moves[:, 1:] + torch.arange(width, device=x.device)
    picked = padded.gather(2, rows[:, None, :, None].expand(n, channels, height, width + 2 * reach))
    return picked.gather(3, columns[:, None, None, :].expand(n, channels, height, width))


def _holes(x: Tensor, middle: Tensor, holed: Tensor) -> Tensor:
    """1 where a face stays and 0 in its hole: float (n, 1, H, W)."""
    side = x.shape[2]
    places = torch.arange(side, device=x.device)
    first = (middle * (side + 1)).floor().long() - round(side * _HOLE) // 2
    inside = (places >= first[..., None]) & (places < first[..., None] + round(side * _HOLE))  # (n, 2, side)
    hole = inside[:, 0, :, None] & inside[:, 1, None, :]
    return 1 - hole[:, None].to(x.dtype) * holed[:, None, None, None]


@dataclass(slots=True)
class AdaptiveProbability:
    """How likely each operation is, and the evidence since it last changed.

    Attributes:
        p: the probability now.
        certainty: sum over steps of the mean sign of D(real); 1 a step means every real face is told apart.
        steps: since the last change.
        last: mean certainty before the last change, for the log.
    """

    p: float
    certainty: float = 0.0
    steps: int = 0
    last: float = 0.0

    def observe(self, config: TrainConfig, mean_sign: float) -> None:
        """Take the mean sign of the logits of the real faces of a step; every fourth changes p a little."""
        self.certainty += mean_sign
        self.steps += 1
        if self.steps < _INTERVAL:
            return
        self.last = self.certainty / self.steps
        if config.augment_target:
            direction = 1 if self.last > config.augment_target else -1
            moved = self.p + direction * config.batch * self.steps / config.augment_images
            self.p = min(max(moved, 0.0), config.augment_limit)
        self.certainty, self.steps = 0.0, 0
