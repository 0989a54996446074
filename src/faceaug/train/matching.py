"""Generated faces with the features of real ones: on average, and in how they vary together.

A discriminator of 32-pixel faces finds what is wrong with one face, and says little about what is wrong with all of
them: too smooth, too alike, too few dark ones. Here the features that the bundled classifier of attributes sees, from
edges to what the last layer sees, are compared in mean and covariance, and the generator learns to lessen the
difference (after dos Santos et al. 2019, "Learning implicit generative models by matching perceptual features", whose
features came from ImageNet). Batches are far too small for a covariance, so the moments of generated faces are means
over the last thousands of them; a batch then says in which direction they should move.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.synthesize.classifier import as_wide, load_classifier
from faceaug.train.arithmetic import resolve_precision
from faceaug.train.config import TrainConfig
from faceaug.train.processes import Processes

DIRECTIONS = 192  # of the most variance among real faces
MEMORY = 6_400  # generated faces that the moments are means over, and that come before anything is taught
_REAL = 24_576  # faces at most that real moments are measured on
_BLOCK = 256
_FLOOR = 0.25  # of the mean variance: directions of less count less


class FeatureMatching(nn.Module):
    """Compares moments of features. Its buffers are all it knows, and part of a checkpoint.

    Args:
        config: of the run.
        processes: who takes part.
    """

    mean: Tensor
    spread: Tensor
    directions: Tensor
    target: Tensor
    first: Tensor
    second: Tensor
    seen: Tensor

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        super().__init__()
        network = load_classifier(device=processes.device).network
        self._network = (network.requires_grad_(False),)  # in a tuple: its weights are no part of a checkpoint
        self._config, self._processes, k = config, processes, DIRECTIONS
        self._bf16 = resolve_precision(config.precision, processes.device) == "bf16"
        features = self._look(torch.zeros(1, 3, config.size, config.size, device=processes.device)).shape[1]
        shapes = {
            "mean": (features,), "spread": (features,), "directions": (features, k), "target": (k, k), "first": (k,),
            "second": (k, k), "seen": (),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, device=processes.device))

    @torch.no_grad()
    def measure(self, pixels: NDArray[np.uint8]) -> None:
        """Take the moments of real faces, uint8 (n, 3, H, W), and begin anew with those of generated ones."""
        chosen = stream(self._config.seed, slot="train/matching").permutation(len(pixels))[:_REAL]
        found = []
        for start in range(0, len(chosen), _BLOCK):
            block = np.asarray(pixels[np.sort(chosen[start : start + _BLOCK])])
            faces = torch.from_numpy(block).to(self.mean.device).float().div_(127.5).sub_(1.0)
            found += [self._look(faces)] + ([self._look(faces.flip(3))] if self._config.flip else [])
        features = torch.cat(found)
        self.mean.copy_(features.mean(0))
        spread = features.std(0, correction=0)
        self.spread.copy_(spread.clamp_min(max(0.01 * float(spread.max()), 1e-6)))
        scaled = ((features - self.mean) / self.spread).double()
        variances, vectors = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
        variances, vectors = variances.flip(0)[:DIRECTIONS].clamp_min(0), vectors.flip(1)[:, :DIRECTIONS]
        scales = (variances + _FLOOR * variances.mean() + 1e-9).rsqrt()
        self.directions.copy_(vectors * scales)
        self.target.copy_(torch.diag(variances * scales**2))
        self.first.zero_()
        self.second.zero_()
        self.seen.zero_()

    def forward(self, faces: Tensor, counted: Tensor | None = None) -> Tensor:
        """What has the gradient of the squared difference of the moments: a scalar, float32, of no meaning in itself.

        Args:
            faces: float (n, 3, H, W) in -1..1, this process's generated faces of a step.
            counted: bool (n,), which of them should be like real ones; None is all.
        """
        weights = torch.ones(len(faces), device=faces.device) if counted is None else counted.float()
        with torch.autocast(faces.device.type, enabled=False):
            y = (self._look(faces) - self.mean) / self.spread @ self.directions
            count = self._processes.mean(weights.sum()).clamp_min(1)
            first, second = weights @ y / count, (weights * y.T) @ y / count
            self._remember(first.detach(), second.detach(), weights.mean())
            towards: Tensor = 2 * (self.first * first).sum() + 2 * ((self.second - self.target) * second).sum()
        return towards * (self.seen > MEMORY)

    def difference(self) -> float:
        """The squared difference itself; sampling alone makes some of it."""
        return float(self.first.square().sum() + (self.second - self.target).square().sum())

    def _remember(self, first: Tensor, second: Tensor, counted: Tensor) -> None:
        new = self._config.batch * self._processes.mean(counted)
        self.seen += new
        share = float(new / self.seen.clamp(max=MEMORY).clamp_min(1))
        self.first.lerp_(self._processes.mean(first), share)
        self.second.lerp_(self._processes.mean(second), share)

    def _look(self, faces: Tensor) -> Tensor:
        """Mean and root mean square of every channel of every map, and what the last layer sees: float32 (n, f)."""
        network = self._network[0]
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._bf16):
            maps = network.maps(as_wide(faces.float()).contiguous(memory_format=torch.channels_last))
            last = network.described(maps[-1]).float()
        pooled = [m.float() for m in maps]
        means = [m.mean((2, 3)) for m in pooled]
        sizes = [m.square().mean((2, 3)).add(1e-6).sqrt() for m in pooled]
        return torch.cat([*means, *sizes, last], dim=1)
