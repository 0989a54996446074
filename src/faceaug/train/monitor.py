"""Fidelity and diversity during a run, measured cheaply and without a trained network.

The features of a face are 64 grey levels of an 8x8 thumbnail, and mean and standard deviation of the responses of 64
random filters: untrained convolutions distinguish textures and shapes well enough to compare a generator with itself.
The proxy is the Frechet distance (Heusel et al. 2017) in these features, to be compared within one run only. Features
keep their own scales, so the thumbnail dominates: with equal weights, filters that respond to noise would penalise the
smooth faces of the EMA, which trained judges prefer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.draws import permutation, stream
from faceaug.synthesize.frechet import feature_statistics, frechet_distance

REFERENCE, FAKES = 2048, 512
_SIDE = 32  # larger faces are reduced to it, so that the proxy means the same at every size
_SAMENESS = 0.4  # diversity below it means collapse; healthy runs stay above 0.7
_CERTAIN = 0.995  # mean sign of the real logits; above it, the discriminator is never wrong
_FEW = 20_000  # images; before, every run looks collapsed


@dataclass(frozen=True, slots=True)
class Health:
    """The result of one look at generated faces.

    Attributes:
        proxy: Frechet distance between faces of the EMA and real faces in random features; 0 is best.
        proxy_raw: the same for the raw weights.
        diversity: mean distance between two faces of the raw generator, divided by that between two real faces.
        alarms: problems that the user should know of; empty if there are none.
    """

    proxy: float
    proxy_raw: float
    diversity: float
    alarms: tuple[str, ...] = ()


class Monitor:
    """Compares generated faces with the real faces of a run.

    Args:
        faces: uint8 (n, 3, size, size), all real faces; at most 2,048 are used.
        seed: of the run; decides which faces are used.
    """

    def __init__(self, faces: NDArray[np.uint8], seed: int) -> None:
        some = np.sort(permutation(len(faces), seed, slot="train/monitor")[:REFERENCE])
        self._filters = [_filters((32, 3, 5, 5)), _filters((64, 32, 3, 3))]
        real = self._describe(torch.from_numpy(np.ascontiguousarray(faces[some])))
        self._real = feature_statistics(real)
        self._spread = _mean_distance(real)

    def look(self, raw: Tensor, averaged: Tensor, *, certainty: float, images: int) -> Health:
        """Compare generated faces with real ones.

        Args:
            raw: uint8 (n, 3, size, size), faces of the raw weights.
            averaged: uint8 (n, 3, size, size), faces of the EMA from the same latents.
            certainty: mean sign of the real logits, -1 to 1.
            images: images shown so far.
        """
        found = self._describe(raw)
        diversity = _mean_distance(found) / max(self._spread, 1e-9)
        alarms = []
        if images >= _FEW and diversity < _SAMENESS:
            alarms.append(
                f"the generated faces are {1 - diversity:.0%} less diverse than real ones: the generator has collapsed "
                "or is about to; go back to an earlier checkpoint, with r1, augment or a lower learning rate"
            )
        if images >= _FEW and certainty > _CERTAIN:
            alarms.append(
                "the discriminator is never wrong about real faces, so the generator learns little from it; try "
                "augment, r1, or a lower d_learning_rate"
            )
        proxy, proxy_raw = (
            frechet_distance(feature_statistics(x), self._real) for x in (self._describe(averaged), found)
        )
        return Health(round(proxy, 5), round(proxy_raw, 5), round(diversity, 4), tuple(alarms))

    @torch.inference_mode()
    def _describe(self, faces: Tensor) -> NDArray[np.float64]:
        """uint8 (n, 3, size, size) -> float64 (n, 192)."""
        x = F.adaptive_avg_pool2d(faces.float() / 127.5 - 1, _SIDE)
        low = F.adaptive_avg_pool2d(x.mean(dim=1, keepdim=True), 8).flatten(1)
        for filters in self._filters:
            x = F.leaky_relu(F.conv2d(x, filters, stride=2, padding=1), 0.2)
        return torch.cat([low, x.mean(dim=(2, 3)), x.std(dim=(2, 3))], 1).double().numpy()


def _filters(shape: tuple[int, int, int, int]) -> Tensor:
    numbers = torch.from_numpy(stream(0, index=shape[1], slot="train/monitor/filters").standard_normal(shape, "f4"))
    scaled: Tensor = numbers / (shape[1] * shape[2] * shape[3]) ** 0.5
    return scaled


def _mean_distance(values: NDArray[np.float64]) -> float:
    """Mean distance between consecutive rows, which are unrelated faces: n pairs are enough."""
    return float(np.linalg.norm(values - np.roll(values, 1, axis=0), axis=1).mean())
