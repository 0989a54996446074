"""The kernel distance: squared maximum mean discrepancy, unbiased, so that few faces give no larger figure.

Binkowski et al. 2018, "Demystifying MMD GANs": the polynomial kernel (x.y / d + 1)^3, over subsets.
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
    """Mean and standard deviation over subsets of ``size`` faces; may be a little below 0 where sets are alike."""

    mean: float
    std: float
    size: int


def kernel_distance(
    a: NDArray[np.floating], b: NDArray[np.floating], *, seed: int = 0, subsets: int = SUBSETS, size: int | None = None
) -> KernelDistance:
    """The kernel distance of two sets of features, (n, d) and (m, d).

    Args:
        a: one set.
        b: the other.
        seed: decides the subsets.
        subsets: how many.
        size: faces in a subset; by default 1,000, but at most half of the smaller set: subsets that share most faces
            would agree, and their spread say nothing.
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
    """Unbiased: a face is not compared with itself."""
    n = len(x)
    within = sum(float(k.sum() - np.trace(k)) for k in (_kernel(x, x), _kernel(y, y))) / (n * (n - 1))
    return within - 2 * float(_kernel(x, y).mean())


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    once: NDArray[np.float64] = x @ y.T / x.shape[1] + 1
    once *= once * once  # numpy's power of 3 takes ten times as long
    return once
