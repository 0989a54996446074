"""The projected discriminator: a second discriminator on features of a frozen, pretrained network.

The pixel discriminator learns its features along with the generator. With few faces it soon separates real from
generated batches by their statistics alone, and its gradient says little else. The features of the projected
discriminator, from edges to shapes, are fixed; only small heads on maps of four sizes are trained (after Sauer et al.
2021, "Projected GANs converge faster"). As in that paper the heads have spectral norm, the hinge loss, and a constant
learning rate.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceaug.synthesize.networks import divide_by_spectral_norm, initialize
from faceaug.train.backbones import open_backbone
from faceaug.train.config import TrainConfig
from faceaug.train.processes import Processes

WARMUP = 10_000  # images for which the heads train before they enter the generator's loss
_WIDTH = 64
_SMALL = 8  # side of a map that a head does not downsample
_RATE = 2e-4
_BETAS = (0.0, 0.99)


class ProjectedDiscriminator(nn.Module):
    """Trainable heads on frozen features. Weights and optimizer are part of a checkpoint.

    Args:
        config: of the run.
        processes: all processes of the run.

    Attributes:
        optimizer: of the heads.
        pretrained: whether the heads come from another run and need no warm-up.
    """

    pretrained = False

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        super().__init__()
        self._config = config
        self._backbone = open_backbone(config.projected_on, processes.device)
        with torch.no_grad():
            maps = self._backbone(torch.zeros(1, 3, config.size, config.size, device=processes.device))
        with torch.device("meta"):
            self.heads = nn.ModuleList(_head(m.shape[1], m.shape[2]) for m in maps)
        initialize(self.heads, config.seed, "projected")
        divide_by_spectral_norm(self.heads, config.seed)
        self.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.parameters(), lr=_RATE, betas=_BETAS, fused=True)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Judge faces, float (n, 3, H, W) in -1..1: logits (n, 1, h, w) of each head, high = real."""
        return [head(m) for head, m in zip(self.heads, self._backbone(faces), strict=True)]

    def weight(self, images: int) -> float:
        """Weight of this loss in the generator's after ``images``: 0 in the warm-up, then a ramp."""
        since = images - (0 if self.pretrained else WARMUP)
        if since < 0:
            return 0.0
        return self._config.projected * min((since + 1) / max(self._config.projected_ramp, 1), 1.0)

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The heads' hinge loss: a scalar, float32, 2 at chance and 0 at perfect separation."""
        pairs = zip(self(real), self(fake), strict=True)
        both = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in pairs]
        return torch.stack(both).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        """The generator's loss: a scalar, float32."""
        return -torch.stack([logits.float().mean() for logits in self(fake)]).mean()


def _head(channels: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, _WIDTH, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, _WIDTH, 3, 2 if side > _SMALL else 1, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, 1, 3, 1, 1),
    )
