"""Realism of a face: the distance to its fifth nearest neighbour among real faces, by edges and colours.

The features need no network: histograms of edge directions in 8 x 8 cells (Dalal and Triggs 2005), mean colours and
roughness, at 32 x 32 pixels. The edge directions of noise resemble the mean of all faces, so roughness detects noise by
its uncorrelated neighbouring pixels. Real faces that are not among the neighbours calibrate the limit.
On the bundled model this measure agreed best with realism on features of an ImageNet network (rank correlation 0.41; a
Gaussian on principal components 0.35, a linear discriminator trained on the spot 0.05).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import load_cv2

_SIDE = 32
_CELLS, _BINS = 8, 8
_NEIGHBOUR = 5
_FEWEST = 300  # real faces; with fewer the limit would be chance, and nothing is rejected
_STEP = 3  # every third face calibrates the limit
QUANTILE = 0.9  # share of real faces within the limit; generated faces stay where real ones are dense
_STRENGTH = 16.0  # weight of the logarithm of the total edge strength, which is high for noise
_ROUGH = 4.0  # weight of the roughness; more detects weaker noise, but agrees less with the network
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Realism:
    """Real faces and the largest accepted distance from them.

    Attributes:
        points: float32 (n, d), features of the real faces.
        squares: float32 (n,), squared lengths of the features.
        limit: largest accepted distance.
    """

    points: NDArray[np.float32]
    squares: NDArray[np.float32]
    limit: float

    @classmethod
    def fit(cls, sample: NDArray[np.uint8]) -> Realism | None:
        """Fit to real faces; None if there are too few.

        Args:
            sample: uint8 (n, H, W, 3).
        """
        if len(sample) < _FEWEST:
            return None
        values = describe_faces(sample)
        calibrates = np.arange(len(values)) % _STEP == 0
        learnt = np.ascontiguousarray(values[~calibrates])
        open_ = cls(learnt, np.einsum("nd,nd->n", learnt, learnt), np.inf)
        return cls(open_.points, open_.squares, float(np.quantile(open_.distances(values[calibrates]), QUANTILE)))

    def accepts(self, faces: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Whether faces are within the limit: uint8 (n, H, W, 3) -> bool (n,)."""
        return self.distances(describe_faces(faces)) <= self.limit

    def distances(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance to the fifth nearest neighbour: float32 (n, d) -> (n,)."""
        squares = self.squares + np.einsum("nd,nd->n", values, values)[:, None] - 2 * (values @ self.points.T)
        fifth = np.partition(squares, _NEIGHBOUR - 1, axis=1)[:, _NEIGHBOUR - 1]
        distances: NDArray[np.float32] = np.sqrt(np.maximum(fifth, 0))
        return distances


def describe_faces(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features from edges, roughness and colours: uint8 (n, H, W, 3) -> float32 (n, 706)."""
    small = faces
    if faces.shape[1:3] != (_SIDE, _SIDE):
        cv2 = load_cv2()
        small = np.stack([cv2.resize(face, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for face in faces])
    colours = _means((small / 255).astype(np.float32)).reshape(len(faces), -1)
    grey = (small @ _LUMA).astype(np.float32)
    return np.concatenate([_edges(grey), _ROUGH * _roughness(grey), colours], axis=1)


def _roughness(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithm of squared second over squared first differences, float32 (n, 1); high for isolated pixels."""
    middle = grey[:, 1:-1, 1:-1]
    steps = (grey[:, :-2, 1:-1], grey[:, 2:, 1:-1], grey[:, 1:-1, :-2], grey[:, 1:-1, 2:])
    second = (4 * middle - sum(steps)) ** 2
    first = (steps[1] - steps[0]) ** 2 + (steps[3] - steps[2]) ** 2
    flat = 4.0  # squared grey levels, so that a flat face is neither rough nor smooth
    ratio: NDArray[np.float32] = (second.mean(axis=(1, 2)) + flat) / (first.mean(axis=(1, 2)) + flat)
    return np.log(ratio)[:, None].astype(np.float32)


def _edges(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edge strength by cell and direction; each edge is split between the two nearest directions."""
    across = np.zeros_like(grey)
    down = np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = np.hypot(across, down)
    turn = np.arctan2(down, across) % np.pi / np.pi * _BINS
    low = np.floor(turn)
    part = turn - low
    low = low.astype(np.int8) % _BINS
    maps: NDArray[np.float32] = np.zeros((*grey.shape, _BINS), np.float32)
    np.put_along_axis(maps, low[..., None], (strength * (1 - part))[..., None], axis=-1)
    np.put_along_axis(maps, ((low + 1) % _BINS)[..., None], (strength * part)[..., None], axis=-1)
    cells = _means(maps) * (_SIDE // _CELLS) ** 2
    lengths = np.sqrt((cells**2).sum(axis=(1, 2, 3))) / _CELLS + 1.0
    edges = (cells / lengths[:, None, None, None]).reshape(len(grey), -1)
    return np.concatenate([edges, _STRENGTH * np.log(lengths)[:, None]], axis=1).astype(np.float32)


def _means(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of the cells: float32 (n, 32, 32, c) -> (n, 8, 8, c)."""
    n, side, _, count = maps.shape
    means: NDArray[np.float32] = maps.reshape(n, _CELLS, side // _CELLS, _CELLS, side // _CELLS, count).mean(
        axis=(2, 4)
    )
    return means
