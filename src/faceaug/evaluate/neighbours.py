"""Nearest neighbours among features: precision, recall, density, coverage, realism and nearest reference faces.

A ball around every face of a set reaches to its k-th neighbour in that set; the balls together cover the set's region.
Kynkaanniemi et al. 2019, "Improved precision and recall metric for assessing generative models" (precision, recall,
realism); Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models" (density, coverage).
Distances are computed in blocks of rows, never all at once: 10,000 faces against 25,000 need 64 MiB per block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceaug.evaluate.features import Features

NEIGHBOURS = 5
_BLOCK = 2**24  # distances per block
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Balls:
    """A set of features with the ball around each.

    Attributes:
        points: float32 (n, d).
        radii: float64 (n,), distance to the k-th neighbour in the set, not counting the face itself.
        nearest: float64 (n,), distance to the nearest neighbour.
        k: number of the neighbour that the balls reach.
    """

    points: Features
    radii: NDArray[np.float64]
    nearest: NDArray[np.float64]
    k: int


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Comparison of a set of samples with reference faces.

    Attributes:
        precision: share of samples in the ball of a reference face: do they look real?
        recall: share of reference faces in the ball of a sample: is everything covered?
        density: mean number of reference balls around a sample, divided by k; 1 for samples of the same kind, may be
            higher.
        coverage: share of reference faces with a sample in their ball.
        nearest: int64 (n,), nearest reference face of each sample.
        distance: float64 (n,), distance to it.
        realism: float64 (n,), largest ratio of radius to distance among the reference faces whose ball is not larger
            than the median; below 1, the sample is in none of these balls.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]
    realism: NDArray[np.float64]

    def authenticity(self, reference: Balls) -> float:
        """Share of samples farther from their nearest reference face than that is from its own nearest neighbour.

        Alaa et al. 2022, "How faithful is your synthetic data?".
        """
        return float((self.distance > reference.nearest[self.nearest]).mean())


def surround(points: Features, k: int = NEIGHBOURS) -> Balls:
    """Compute the ball around every face of a set of more than k faces."""
    found = np.empty((len(points), k), np.int64)
    start = 0
    for squares in _blocks(points, points):
        rows = torch.arange(len(squares))
        squares[rows, rows + start] = torch.inf
        found[start : start + len(squares)] = squares.topk(k, largest=False).indices.numpy()
        start += len(squares)
    nearest = _distances(points, points[found[:, 0]])
    return Balls(points, np.maximum(_distances(points, points[found[:, -1]]), nearest), nearest, k)


def meet(samples: Balls, reference: Balls) -> Meeting:
    """Compare two sets in one pass over their distances."""
    n = len(samples.points)
    radii = torch.from_numpy((reference.radii**2).astype(np.float32))
    small = radii.masked_fill(torch.from_numpy(reference.radii > np.median(reference.radii)), 0.0)
    own = torch.from_numpy((samples.radii**2).astype(np.float32))
    inside = np.empty(n, np.int64)
    realism = np.empty(n)
    nearest = np.empty(n, np.int64)
    covered = torch.zeros(len(radii), dtype=torch.bool)
    recalled = torch.zeros_like(covered)
    start = 0
    for squares in _blocks(samples.points, reference.points):
        place = slice(start, start + len(squares))
        hit = squares <= radii
        inside[place] = hit.sum(1).numpy()
        covered |= hit.any(0)
        recalled |= (squares <= own[place, None]).any(0)
        nearest[place] = squares.argmin(1).numpy()
        realism[place] = (small / squares.clamp_min_(_TINY)).amax(1).sqrt().numpy()
        start += len(squares)
    return Meeting(
        precision=float((inside > 0).mean()),
        recall=float(recalled.double().mean()),
        density=float(inside.mean() / reference.k),
        coverage=float(covered.double().mean()),
        nearest=nearest,
        distance=_distances(samples.points, reference.points[nearest]),
        realism=realism,
    )


def _blocks(rows: Features, columns: Features) -> Iterator[Tensor]:
    """Squared distances, float32 (b, m), block by block of the rows."""
    centre = columns.mean(axis=0, dtype=np.float64).astype(np.float32)  # centring reduces cancellation
    x, y = torch.from_numpy(rows - centre), torch.from_numpy(columns - centre)
    of_x, of_y = (z.double().square().sum(1).float() for z in (x, y))
    size = max(1, _BLOCK // len(columns))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        yield torch.addmm(of_y[None] + of_x[part, None], x[part], y.T, alpha=-2).clamp_min_(0)


def _distances(a: Features, b: Features) -> NDArray[np.float64]:
    """Distances between corresponding rows, in float64 because those of the blocks are rounded."""
    found = np.empty(len(a))
    for start in range(0, len(a), 4096):
        part = slice(start, start + 4096)
        found[part] = np.linalg.norm(a[part].astype(np.float64) - b[part], axis=1)
    return found
