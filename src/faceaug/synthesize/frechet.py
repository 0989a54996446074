"""Frechet distance between two sets of features, each modelled as a normal distribution.

Heusel et al. 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium". It is called
FID only on the features of one particular Inception network; on others we use another name.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Statistics: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


def feature_statistics(values: NDArray[np.floating]) -> Statistics:
    """Mean, float64 (d,), and unbiased covariance, float64 (d, d), of features (n, d), n >= 2."""
    return values.mean(axis=0, dtype=np.float64), np.cov(values, rowvar=False).reshape(values.shape[1], -1)


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Frechet distance: |difference of means|^2 + trace(A + B - 2 (A B)^1/2).

    The trace of the root equals that of (A^1/2 B A^1/2)^1/2, a symmetric matrix: its eigenvalues are real and, up to
    rounding, non-negative, even for singular covariances. The root of A B itself need not exist then.
    """
    values, vectors = np.linalg.eigh(a[1])
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b[1] @ root), 0, None)).sum()
    return float(((a[0] - b[0]) ** 2).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * cross)
