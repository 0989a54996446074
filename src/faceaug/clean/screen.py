"""Screen candidate pairs by their thumbnails, before files are opened: a million pairs in seconds.

The score is the share of one thumbnail's variance that the other explains, with free gain, offset, small shift and
small change of scale: a linear regression on the thumbnail, a constant, its two gradients, and each gradient times its
coordinate. The regressors depend on one picture only and are orthonormalised once, so a pair costs six inner products.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from faceaug.executor import processors
from faceaug.progress import SILENT, Progress

Floats = NDArray[np.float32]
Thumbnails = NDArray[np.uint8]  # (n, 32, 32), grey
Places = NDArray[np.int64]
_SIDE = 16  # pixels compared; at this size small shifts are fractions of a pixel, as the linearisation requires
_CUT = 0.05  # share cut off to compare with the middle, which cropped copies resemble more
_HOPELESS = 0.6  # score of the whole below which the middle is not tried
_BLOCK = 2_048  # pictures whose regressors are held at once


def likeness(one: Thumbnails, other: Thumbnails, first: Places, second: Places, progress: Progress = SILENT) -> Floats:
    """Score pairs of thumbnails: explained variance 0..1, the best of whole/whole, whole/middle and middle/whole.

    Args:
        one: uint8 (n, 32, 32).
        other: uint8 (m, 32, 32).
        first: int64 (p,), indices into ``one``.
        second: int64 (p,), indices into ``other``.
        progress: counts the thumbnails.

    Returns:
        float32 (p,).
    """
    best = _explained(one, _units(other, 0.0), first, second, progress)
    open_ = np.flatnonzero((best >= _HOPELESS) & (best < 0.99))
    a, b = first[open_], second[open_]
    for whole, middle, at_whole, at_middle in ((one, other, a, b), (other, one, b, a)):
        found = _explained(whole, _units(middle, _CUT), at_whole, at_middle, progress)
        best[open_] = np.maximum(best[open_], found)
    return best


def _explained(one: Thumbnails, units: Floats, first: Places, second: Places, progress: Progress) -> Floats:
    """The share of ``units[second]`` that ``one[first]`` explains, float32 (p,)."""
    order = np.argsort(first, kind="stable")
    pictures, starts = np.unique(first[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    out = np.zeros(len(first), np.float32)

    def work(begin: int) -> None:
        """The shares of the pairs of one block of pictures."""
        part = slice(begin, begin + _BLOCK)
        for columns, start, end in zip(_columns(one[pictures[part]]), starts[part], ends[part], strict=True):
            pairs = order[start:end]
            out[pairs] = ((units[second[pairs]] @ columns.T) ** 2).sum(axis=1)

    blocks = range(0, len(pictures), _BLOCK)
    with (
        ThreadPoolExecutor(min(processors(), 8)) as threads,
        progress.phase("screening", len(pictures), "thumbnails") as phase,
    ):
        for _ in threads.map(work, blocks):
            phase.reach(min(phase.done + _BLOCK, phase.total))
    return out


def _units(thumbnails: Thumbnails, cut: float) -> Floats:
    """Inner pixels of downscaled thumbnails, zero-mean, unit norm: float32 (n, 196); about 0 for flat ones."""
    out = np.empty((len(thumbnails), (_SIDE - 2) ** 2), np.float32)
    for begin in range(0, len(thumbnails), 4 * _BLOCK):
        part = slice(begin, begin + 4 * _BLOCK)
        inner = _shrunk(thumbnails[part], cut)[:, 1:-1, 1:-1].reshape(len(out[part]), -1)
        inner = inner - inner.mean(axis=1, keepdims=True)
        out[part] = inner / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1.0)
    return out


def _columns(thumbnails: Thumbnails) -> Floats:
    """The orthonormal regressors, without the constant: float32 (n, 5, 196)."""
    small = _shrunk(thumbnails, 0.0)
    along_x, along_y = np.zeros_like(small), np.zeros_like(small)
    along_x[:, :, 1:-1] = (small[:, :, 2:] - small[:, :, :-2]) / 2
    along_y[:, 1:-1] = (small[:, 2:] - small[:, :-2]) / 2
    place = ((np.arange(_SIDE, dtype=np.float32) - (_SIDE - 1) / 2) / _SIDE).astype(np.float32)
    parts = (small, along_x, along_y, along_x * place, along_y * place[:, None])
    basis = np.stack(parts, axis=1)[:, :, 1:-1, 1:-1].reshape(len(small), len(parts), -1)
    basis = basis - basis.mean(axis=2, keepdims=True)
    normal = (basis @ basis.transpose(0, 2, 1)).astype(np.float64)
    normal += (1e-5 * np.trace(normal, axis1=1, axis2=2) + 1e-2)[:, None, None] * np.eye(len(parts))
    inverse = np.linalg.inv(np.linalg.cholesky(normal)).astype(np.float32)
    columns: Floats = inverse @ basis
    return columns


def _shrunk(thumbnails: Thumbnails, cut: float) -> Floats:
    matrix = _areas(thumbnails.shape[1], cut)
    shrunk: Floats = matrix @ thumbnails.astype(np.float32) @ matrix.T
    return shrunk


@lru_cache(maxsize=4)
def _areas(side: int, cut: float) -> Floats:
    """The matrix that area-averages ``side`` pixels, minus a share ``cut`` in total, to ``_SIDE``."""
    edges = np.linspace(cut * side / 2, side - cut * side / 2, _SIDE + 1)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    matrix: Floats = (np.maximum(overlap, 0) / (edges[1] - edges[0])).astype(np.float32)
    return matrix
