"""The kernel distance: unbiased squared maximum mean discrepancy, which does not grow with fewer faces.

Binkowski et al. 2018, "Demystifying MMD GANs": polynomial kernel (x.y / d + 1)^3, averaged over subsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.draws import stream
from faceaug.errors import ArgumentError

SUBSETS, SUBSET_SIZE = 100, 1000


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """Mean and standard deviation over subsets of ``size`` faces; may be slightly negative for similar sets."""

    mean: float
    std: float
    size: int


def kernel_distance(
    a: NDArray[np.floating], b: NDArray[np.floating], *, seed: int = 0, subsets: int = SUBSETS, size: int | None = None
) -> KernelDistance:
    """Kernel distance of two sets of features.

    Args:
        a: features, (n, d).
        b: features, (m, d).
        seed: decides the subsets.
        subsets: number of subsets.
        size: faces per subset; by default 1,000, but at most half of the smaller set, because subsets that share most
            faces would have a meaningless spread.

    Raises:
        ArgumentError: no subsets, or subsets of fewer than 2 faces or more than a set has.
    """
    smaller = min(len(a), len(b))
    count = min(SUBSET_SIZE, smaller // 2) if size is None else size
    if not 2 <= count <= smaller or subsets < 1:
        raise ArgumentError(f"size {count}, subsets {subsets}: expected subsets of 2 to {smaller}, and at least one")
    found = np.empty(subsets)
    for k in range(subsets):
        draw = stream(seed, index=k, slot="evaluate/kernel")
        found[k] = _discrepancy(*(x[draw.choice(len(x), count, replace=False)].astype(np.float64) for x in (a, b)))
    return KernelDistance(float(found.mean()), float(found.std()), count)


def _discrepancy(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Unbiased estimate: no face is compared with itself."""
    n = len(x)
    within = sum(float(k.sum() - np.trace(k)) for k in (_kernel(x, x), _kernel(y, y))) / (n * (n - 1))
    return within - 2 * float(_kernel(x, y).mean())


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    once: NDArray[np.float64] = x @ y.T / x.shape[1] + 1
    once *= once * once  # np.power takes ten times as long
    return once
