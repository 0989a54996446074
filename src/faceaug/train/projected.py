"""A second discriminator, which looks at features of a network that has learnt to see, in place of pixels.

The first learns what real faces look like along with the generator, and with few faces it soon knows real batches from
generated ones by their statistics alone, and says little else. Here the features, from edges to shapes, are given and
stay; small heads on maps of four sizes learn which of them are real (after Sauer et al. 2021, "Projected GANs converge
faster"). Weights of the heads are divided by their spectral norm, their loss is the hinge, and their rate does not
decay, as there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceaug.synthesize.networks import divide_by_spectral_norm, initialize
from faceaug.train.backbones import open_backbone
from faceaug.train.config import TrainConfig
from faceaug.train.processes import Processes

WARMUP = 10_000  # images by which the heads learn before the generator hears of them
_WIDTH = 64
_SMALL = 8  # height of a map that a head does not halve
_RATE, _BETAS = 2e-4, (0.0, 0.99)


class ProjectedDiscriminator(nn.Module):
    """Heads on features that stay as they are. Its weights and its optimizer are part of a checkpoint.

    Args:
        config: of the run.
        processes: who takes part.

    Attributes:
        optimizer: of the heads.
        taught: whether its heads come from another run, and so have something to say from the first image on.
    """

    taught = False

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        super().__init__()
        self._config, self._backbone = config, open_backbone(config.projected_on, processes.device)
        with torch.no_grad():
            maps = self._backbone(torch.zeros(1, 3, config.size, config.size, device=processes.device))
        with torch.device("meta"):
            self.heads = nn.ModuleList(_head(m.shape[1], m.shape[2]) for m in maps)
        initialize(self.heads, config.seed, "projected")
        divide_by_spectral_norm(self.heads, config.seed)
        self.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.parameters(), lr=_RATE, betas=_BETAS, fused=True)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """What every head thinks of every place: float (n, 3, H, W) in -1..1 -> logits (n, 1, h, w), high = real."""
        return [head(m) for head, m in zip(self.heads, self._backbone(faces), strict=True)]

    def weight(self, images: int) -> float:
        """Of its objection in the generator's loss after so many images: 0 while heads know nothing, then rising."""
        since = images - (0 if self.taught else WARMUP)
        if since < 0:
            return 0.0
        return self._config.projected * min((since + 1) / max(self._config.projected_ramp, 1), 1.0)

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the heads minimise: a scalar, float32, 2 where they know nothing and 0 where they are sure."""
        pairs = zip(self(real), self(fake), strict=True)
        both = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in pairs]
        return torch.stack(both).mean()

    def objection(self, fake: Tensor) -> Tensor:
        """What the generator minimises: a scalar, float32."""
        return -torch.stack([logits.float().mean() for logits in self(fake)]).mean()


def _head(channels: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, _WIDTH, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, _WIDTH, 3, 2 if side > _SMALL else 1, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, 1, 3, 1, 1),
    )
