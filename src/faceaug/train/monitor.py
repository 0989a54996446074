"""Is it getting better, and is it still alive? Cheap answers while a run goes on, without any trained network.

Faces are described by 64 grey levels of an 8x8 thumbnail and by how strongly 64 random filters answer, mean and spread:
untrained convolutions tell textures and shapes apart well enough to compare one generator with itself. The distance is
that of Heusel et al. 2017 in these features; it is a proxy, only ever compared within one run. Features keep their own
scales, by which the thumbnail weighs most: with equal weights, filters that answer to noise would punish the smoothness
of averaged weights, which trained judges prefer.
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
_SIDE = 32  # larger faces are averaged down: the proxy looks at what every size has
_SAMENESS = 0.4  # a batch this much less diverse than real faces is a collapse; healthy runs stay above 0.7
_CERTAIN = 0.995  # mean sign of the logits of real faces: above, the discriminator is never wrong
_FEW = 20_000  # images before which every run looks collapsed


@dataclass(frozen=True, slots=True)
class Health:
    """What was seen.

    Attributes:
        proxy: distance of the averaged generator's faces to the real ones in random features, 0 is alike.
        proxy_raw: the same of the weights as they are.
        diversity: mean distance between two faces of the raw generator over that between two real ones; 1 is alike.
        alarms: what the user should know; empty if all is well.
    """

    proxy: float
    proxy_raw: float
    diversity: float
    alarms: tuple[str, ...] = ()


class Monitor:
    """Knows the real faces of a run.

    Args:
        faces: uint8 (n, 3, size, size), all of them; at most 2,048 are looked at.
        seed: of the run; decides which.
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
            raw: uint8 (n, 3, size, size) of the generator as it is.
            averaged: uint8, the same latents through the averaged weights.
            certainty: mean sign of the discriminator's logits of real faces, -1 to 1.
            images: shown so far.
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
                "the discriminator is never wrong about real faces: the generator learns little from it; try augment, "
                "r1, or a lower d_learning_rate"
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
    """Mean distance between neighbours in the list, which are strangers: n pairs say enough."""
    return float(np.linalg.norm(values - np.roll(values, 1, axis=0), axis=1).mean())
