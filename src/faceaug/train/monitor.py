"""Fidelity and diversity during a run, measured cheaply and without a trained network.

The features of a face are 64 grey levels of an 8x8 thumbnail, and mean and standard deviation of the responses of 64
random filters: untrained convolutions distinguish textures and shapes well enough to compare a generator with itself.
The proxy is the Frechet distance (Heusel et al. 2017) in these features, to be compared within one run only. Features
keep their own scales, so the thumbnail dominates: with equal weights, filters that respond to noise would penalise the
smooth faces of the EMA, which trained judges prefer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.draws import permutation, stream
from faceaug.synthesize.frechet import feature_statistics, frechet_distance

REFERENCE = 2048  # real faces compared with
FAKES = 512
_SIDE = 32  # larger faces are reduced to it, so that the proxy means the same at every size
_SAMENESS = 0.4  # diversity below it means collapse; healthy runs stay above 0.7
_CERTAIN = 0.995  # mean sign of the real logits; above it, the discriminator is never wrong
FEW = 20_000  # images; before, every run from fresh weights looks collapsed
_FLAT = 1.0  # grey levels by which faces differ; below it, they are one face
_SATURATED = 0.95  # share of pixels at black or full colour; above it, the last layer is beyond tanh's range
_LOUD = 1e4  # logits of healthy runs stay below 100


State: TypeAlias = Literal["healthy", "early", "one-sided", "collapsed", "dead"]
_CURE = "begin a new run with a lower learning_rate, with r1, or with the fields of the preset"
_COLLAPSE = (
    "the generator has collapsed or is about to; go back to an earlier checkpoint, with r1, augment or a lower "
    "learning rate"
)
_ONE_SIDED = (
    "the discriminator is never wrong about real faces, so the generator learns little from it; try augment, r1, or a "
    "lower d_learning_rate"
)


@dataclass(frozen=True, slots=True)
class Health:
    """The result of one look at generated faces.

    Attributes:
        proxy: Frechet distance between faces of the EMA and real faces in random features; 0 is best.
        proxy_raw: the same for the raw weights.
        diversity: mean distance between two faces of the raw generator, divided by that between two real faces.
        state: "healthy"; "early", if too few images were shown to judge; "one-sided", if the discriminator is never
            wrong; "collapsed"; or "dead".
        alarms: problems that the user should know of; empty if there are none.
        notes: the same of a run that is too short to judge.
    """

    proxy: float
    proxy_raw: float
    diversity: float
    state: State = "healthy"
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Monitor:
    """Compares generated faces with the real faces of a run.

    Args:
        faces: uint8 (n, 3, size, size), all real faces; at most 2,048 are used.
        seed: of the run; decides which faces are used.
    """

    def __init__(self, faces: NDArray[np.uint8], seed: int) -> None:
        some = np.sort(permutation(len(faces), seed, slot="train/monitor")[:REFERENCE])
        self._filters = [_filters((32, 3, 5, 5)), _filters((64, 32, 3, 3))]
        pixels = torch.from_numpy(np.ascontiguousarray(faces[some]))
        real = self._describe(pixels)
        self._differ = _differ(pixels)
        self._is_drawn = _saturation(pixels) > _SATURATED / 2  # line drawings are black and white themselves
        self._real = feature_statistics(real)
        self._spread = _mean_distance(real)

    def look(
        self, raw: Tensor, averaged: Tensor, *, certainty: float, images: int, logit: float = 0.0, before: int = 0
    ) -> Health:
        """Compare generated faces with real ones.

        Args:
            raw: uint8 (n, 3, size, size), faces of the raw weights.
            averaged: uint8 (n, 3, size, size), faces of the EMA from the same latents.
            certainty: mean sign of the real logits, -1 to 1.
            images: images shown so far.
            logit: the larger magnitude of the mean logits of real and generated faces.
            before: images that the model which the run began from had been shown.
        """
        found = self._describe(raw)
        diversity = _mean_distance(found) / max(self._spread, 1e-9)
        proxy, proxy_raw = (
            frechet_distance(feature_statistics(x), self._real) for x in (self._describe(averaged), found)
        )
        figures = (round(proxy, 5), round(proxy_raw, 5), round(diversity, 4))
        ripe = before + images >= FEW
        if fault := self._death(averaged, logit, ripe=ripe):
            return Health(*figures, "dead", (f"the generator is dead: {fault}, diversity {diversity:.2f}; {_CURE}",))
        state: State = "healthy"
        alarms: tuple[str, ...] = ()
        if diversity < _SAMENESS:
            if not ripe:
                low = f"the diversity of generated faces is {diversity:.0%} of that of real ones"
                note = f"after {images:,} images {low}; this says little before {FEW:,} images"
                return Health(*figures, "early", notes=(note,))
            less = f"the generated faces are {1 - diversity:.0%} less diverse than real ones"
            state, alarms = "collapsed", (f"{less}: {_COLLAPSE}",)
        if images >= FEW and certainty > _CERTAIN:
            state, alarms = ("one-sided" if state == "healthy" else state), (*alarms, _ONE_SIDED)
        return Health(*figures, state, alarms)

    def _death(self, averaged: Tensor, logit: float, *, ripe: bool) -> str:
        """Why the generator cannot recover; empty if it may. ``ripe``: faces that are all alike are no beginning."""
        saturated, differ = _saturation(averaged), _differ(averaged)
        if not abs(logit) < _LOUD:
            return f"the run has diverged, with logits of {logit:.2g}"
        if saturated > _SATURATED and not self._is_drawn:
            return f"{saturated:.0%} of the numbers of its pixels are 0 or 255"
        if ripe and differ < _FLAT <= self._differ:
            return f"it has collapsed to one face, with copies that differ by {differ:.2f} grey levels"
        return ""

    @torch.inference_mode()
    def _describe(self, faces: Tensor) -> NDArray[np.float64]:
        """uint8 (n, 3, size, size) -> float64 (n, 192)."""
        x = F.adaptive_avg_pool2d(faces.float() / 127.5 - 1, _SIDE)
        low = F.adaptive_avg_pool2d(x.mean(dim=1, keepdim=True), 8).flatten(1)
        for filters in self._filters:
            x = F.leaky_relu(F.conv2d(x, filters, stride=2, padding=1), 0.2)
        return torch.cat([low, x.mean(dim=(2, 3)), x.std(dim=(2, 3))], 1).double().numpy()


def _differ(faces: Tensor) -> float:
    """Mean standard deviation of a pixel over faces, uint8 (n, 3, size, size), in grey levels."""
    return float(faces.float().std(dim=0, unbiased=False).mean())


def _saturation(faces: Tensor) -> float:
    """Share of the numbers of uint8 faces that are 0 or 255."""
    return float(((faces == 0) | (faces == 255)).float().mean())


def _filters(shape: tuple[int, int, int, int]) -> Tensor:
    numbers = torch.from_numpy(stream(0, index=shape[1], slot="train/monitor/filters").standard_normal(shape, "f4"))
    scaled: Tensor = numbers / (shape[1] * shape[2] * shape[3]) ** 0.5
    return scaled


def _mean_distance(values: NDArray[np.float64]) -> float:
    """Mean distance between consecutive rows, which are unrelated faces: n pairs are enough."""
    return float(np.linalg.norm(values - np.roll(values, 1, axis=0), axis=1).mean())
