"""Feature matching: mean and covariance of features of generated faces follow those of real faces.

The discriminator judges faces one at a time, so it hardly notices faults of the distribution: faces too smooth, too
alike, or too rarely dark. Feature matching compares the distributions. The features are those of the bundled attribute
classifier, from its first maps to its last layer (after dos Santos et al. 2019, "Learning implicit generative models by
matching perceptual features", with features from ImageNet). A batch is far too small to measure a covariance, so the
moments of generated faces are moving averages over thousands of them, and the batch only provides the gradient.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.progress import SILENT, Progress
from faceaug.synthesize.classifier import as_wide, load_classifier
from faceaug.train.arithmetic import resolve_precision
from faceaug.train.config import TrainConfig
from faceaug.train.processes import Processes

DIRECTIONS = 192  # principal directions of the real features
MEMORY = 6_400  # generated faces in the moving averages; the loss is 0 until they have been seen
_REAL = 24_576  # real faces to measure at most
_BLOCK = 256
_FLOOR = 0.25  # share of the mean variance added to each variance, which limits the weight of minor directions


class FeatureMatching(nn.Module):
    """The feature-matching loss. Its whole state is in its buffers, which are part of a checkpoint.

    Args:
        config: of the run.
        processes: all processes of the run.
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
        self._network = (network.requires_grad_(False),)  # a tuple, so that its weights stay out of checkpoints
        self._config = config
        self._processes = processes
        self._bf16 = resolve_precision(config.precision, processes.device) == "bf16"
        features = self._look(torch.zeros(1, 3, config.size, config.size, device=processes.device)).shape[1]
        shapes = {
            "mean": (features,),
            "spread": (features,),
            "directions": (features, DIRECTIONS),
            "target": (DIRECTIONS, DIRECTIONS),
            "first": (DIRECTIONS,),
            "second": (DIRECTIONS, DIRECTIONS),
            "seen": (),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, device=processes.device))

    @property
    def measured(self) -> bool:
        """Whether the moments of the real faces are known."""
        return bool(self.spread.any())

    @torch.no_grad()
    def measure(self, pixels: NDArray[np.uint8], progress: Progress = SILENT) -> None:
        """Measure the moments of real faces, uint8 (n, 3, H, W), and reset those of generated faces."""
        chosen = stream(self._config.seed, slot="train/matching").permutation(len(pixels))[:_REAL]
        found = []
        with progress.phase("measuring real faces", len(chosen), "pictures", at_once=True) as phase:
            for start in range(0, len(chosen), _BLOCK):
                block = np.asarray(pixels[np.sort(chosen[start : start + _BLOCK])])
                faces = torch.from_numpy(block).to(self.mean.device).float().div_(127.5).sub_(1.0)
                found.append(self._look(faces))
                if self._config.flip:
                    found.append(self._look(faces.flip(3)))
                phase.advance(len(block))
        features = torch.cat(found)
        self.mean.copy_(features.mean(0))
        spread = features.std(0, correction=0)
        self.spread.copy_(spread.clamp_min(max(0.01 * float(spread.max()), 1e-6)))
        scaled = ((features - self.mean) / self.spread).double()
        variances, vectors = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
        variances = variances.flip(0)[:DIRECTIONS].clamp_min(0)
        vectors = vectors.flip(1)[:, :DIRECTIONS]
        scales = (variances + _FLOOR * variances.mean() + 1e-9).rsqrt()
        self.directions.copy_(vectors * scales)
        self.target.copy_(torch.diag(variances * scales**2))
        self.first.zero_()
        self.second.zero_()
        self.seen.zero_()

    def forward(self, faces: Tensor, counted: Tensor | None = None) -> Tensor:
        """Return a scalar, float32, whose gradient is that of the squared difference of the moments.

        Its value has no meaning; ``difference`` is the loss itself.

        Args:
            faces: float (n, 3, H, W) in -1..1, this process's generated faces of a step.
            counted: bool (n,), the faces to match; None for all.
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
        """The squared difference of the moments; part of it is sampling noise."""
        return float(self.first.square().sum() + (self.second - self.target).square().sum())

    def _remember(self, first: Tensor, second: Tensor, counted: Tensor) -> None:
        new = self._config.batch * self._processes.mean(counted)
        self.seen += new
        share = float(new / self.seen.clamp(max=MEMORY).clamp_min(1))
        self.first.lerp_(self._processes.mean(first), share)
        self.second.lerp_(self._processes.mean(second), share)

    def _look(self, faces: Tensor) -> Tensor:
        """Features of faces: mean and RMS of each channel of each map, and the last layer's input: float32 (n, f)."""
        network = self._network[0]
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._bf16):
            maps = network.maps(as_wide(faces.float()).contiguous(memory_format=torch.channels_last))
            last = network.described(maps[-1]).float()
        pooled = [m.float() for m in maps]
        means = [m.mean((2, 3)) for m in pooled]
        sizes = [m.square().mean((2, 3)).add(1e-6).sqrt() for m in pooled]
        return torch.cat([*means, *sizes, last], dim=1)
