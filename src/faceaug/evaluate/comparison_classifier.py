"""A small classifier that every arm of a comparison trains in the same way on different faces.

Network, number of steps, learning rates and loss are the same. Batches show faces with and without each attribute
equally often, whatever the training faces are; held-back real faces set the thresholds afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.annotations import SYNTHETIC
from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.synthesize.attribute_network import AttributeNetwork, build_attribute_network
from faceaug.train.arithmetic import resolve_precision
from faceaug.train.calibrate import fit_odds

SIDE = 64  # pixels; larger faces are reduced
STEM, WIDTHS, BLOCKS = 16, (32, 64, 128), (1, 1, 1)  # a fifth of the bundled classifier
_HEAVIEST = 10.0  # largest weight of a rare answer in the loss, relative to the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Schooling:
    """Training settings of a classifier, the same for all arms.

    Attributes:
        images: number of faces shown.
        batch: batch size.
        learning_rate: peak learning rate, with linear warm-up and cosine decay to zero.
        warmup: share of the run spent on the warm-up.
        weight_decay: weight decay of AdamW (Loshchilov and Hutter 2019).
        smoothing: label smoothing.
        synthetic_share: share of synthetic faces among the faces shown for one side of an attribute, if it has both
            real and synthetic ones.
    """

    images: int = 40_000
    batch: int = 64
    learning_rate: float = 2e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    smoothing: float = 0.05
    synthetic_share: float = 0.5

    def __post_init__(self) -> None:
        if self.images < 1 or self.batch < 2:
            raise ArgumentError(f"images {self.images}, batch {self.batch}: expected at least 1 and 2")
        if not 0 < self.synthetic_share < 1:
            raise ArgumentError(f"synthetic_share {self.synthetic_share}: expected a number between 0 and 1")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Faces for training or testing.

    Attributes:
        pixels: uint8 (n, 3, side, side).
        labels: int8 (n, a), -1 no, 1 yes, 0 unknown.
        origin: int8 (n,), 0 real, 1 augmented, 2 synthetic.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int8]
    origin: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice) -> Pool:
        return Pool(self.pixels[part], self.labels[part], self.origin[part])


def joined(*pools: Pool) -> Pool:
    """Concatenate pools in this order."""
    return Pool(
        np.concatenate([pool.pixels for pool in pools]),
        np.concatenate([pool.labels for pool in pools]),
        np.concatenate([pool.origin for pool in pools]),
    )


def draw_weights(pool: Pool, synthetic_share: float) -> NDArray[np.float64]:
    """Probability of each face to be shown next: float64 (n,), summing to 1.

    One draw picks an attribute, then a side (with or without it), then a face of that side: a synthetic one with
    probability ``synthetic_share`` if there are both kinds. A side without faces is never drawn.

    Raises:
        ArgumentError: no face has a known label.
    """
    weights = np.zeros(len(pool))
    made = pool.origin == SYNTHETIC
    for labels in pool.labels.T:
        for sign in (1, -1):
            fitting = labels == sign
            kinds = [fitting & ~made, fitting & made]
            shares = [1 - synthetic_share, synthetic_share] if all(k.any() for k in kinds) else [1.0, 1.0]
            for kind, share in zip(kinds, shares, strict=True):
                weights[kind] += share / max(int(kind.sum()), 1)
    if not weights.sum():
        raise ArgumentError("no face has a known attribute, so there is nothing to teach")
    found: NDArray[np.float64] = weights / weights.sum()
    return found


def side_weights(pool: Pool, drawn: NDArray[np.float64]) -> NDArray[np.float32]:
    """Loss weights of answers: float32 (2, a), no and yes, which balance both sides as they are shown."""
    shown = np.stack([(drawn[:, None] * (pool.labels == sign)).sum(axis=0) for sign in (-1, 1)])
    shares = shown / np.maximum(shown.sum(axis=0), 1e-12)
    found: NDArray[np.float32] = np.minimum(0.5 / np.maximum(shares, 1e-12), _HEAVIEST).astype(np.float32)
    return found


def teach(
    pool: Pool,
    schooling: Schooling,
    *,
    seed: int,
    device: torch.device,
    on_step: Callable[[int], None] = lambda _: None,
) -> AttributeNetwork:
    """Train a network on a pool.

    Args:
        pool: training faces.
        schooling: training settings.
        seed: seed of weights and draws.
        device: device of the computation.
        on_step: called after each step with the number of faces shown in it.

    Returns:
        The network in evaluation mode.
    """
    network = build_attribute_network(
        pool.labels.shape[1], seed=seed, side=pool.pixels.shape[2], stem=STEM, widths=WIDTHS, blocks=BLOCKS
    )
    network.to(device).to(memory_format=torch.channels_last)
    optimizer = _optimizer(network, schooling)
    drawn = draw_weights(pool, schooling.synthetic_share)
    ends = np.cumsum(drawn)
    counts = torch.from_numpy(side_weights(pool, drawn)).to(device)
    fast = resolve_precision("auto", device) == "bf16"
    steps = math.ceil(schooling.images / schooling.batch)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = schooling.learning_rate * _rate(step / steps, schooling.warmup)
        numbers = stream(seed, index=step, slot="usefulness/batch").random(schooling.batch)
        chosen = np.minimum(np.searchsorted(ends, numbers * ends[-1], side="right"), len(pool) - 1)
        faces = _input(pool.pixels[chosen], device)
        labels = torch.from_numpy(pool.labels[chosen]).to(device).float()
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            logits = network(faces)
        loss = _loss(logits.float(), labels, counts, schooling.smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_step(schooling.batch)
    return network.eval()


def _optimizer(network: AttributeNetwork, schooling: Schooling) -> torch.optim.Optimizer:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": schooling.weight_decay}, {"params": others, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=schooling.learning_rate, betas=(0.9, 0.99), fused=True)


def _rate(done: float, warmup: float) -> float:
    falling = (1 + math.cos(math.pi * max(done - warmup, 0) / (1 - warmup))) / 2
    return min(done / warmup + 0.02, 1.0) * falling


def _loss(logits: Tensor, labels: Tensor, counts: Tensor, smoothing: float) -> Tensor:
    wanted = 0.5 + labels * (0.5 - smoothing)
    counted = torch.where(labels > 0, counts[1], counts[0]) * labels.abs()
    errors = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (errors * counted).sum() / labels.numel()


@torch.inference_mode()
def scores(network: AttributeNetwork, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scores of faces: float64 (n, a), high for yes."""
    device = next(network.parameters()).device
    fast = resolve_precision("auto", device) == "bf16"
    found = []
    for start in range(0, len(pixels), 256):
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            found.append(network(_input(pixels[start : start + 256], device)).float().cpu())
    return torch.cat(found).double().numpy()


def _input(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    faces = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).float()
    return faces.div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, slots=True, eq=False)
class Cutoffs:
    """Decision thresholds: an answer is yes if scale * score + shift > 0.

    Attributes:
        scale: float64 (a,).
        shift: float64 (a,).
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def answers(self, given: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Turn scores, float64 (n, a), into answers, bool (n, a)."""
        found: NDArray[np.bool_] = given * self.scale + self.shift > 0
        return found


def set_cutoffs(given: NDArray[np.float64], held: Pool) -> Cutoffs:
    """Fit thresholds that balance both kinds of error on held-back faces (Platt 1999).

    Args:
        given: scores of the held-back faces, float64 (n, a).
        held: held-back faces.
    """
    odds = []
    for score, labels in zip(given.T, held.labels.T, strict=True):
        yes = int((labels > 0).sum()) + 1
        no = int((labels < 0).sum()) + 1
        prior = math.log(yes / no)  # the classifier saw both sides equally often
        scale, shift = fit_odds(score + prior, labels)
        odds.append((scale, shift + (scale - 1) * prior))
    scale, shift = np.array(odds).T
    return Cutoffs(scale, shift)
