"""How likely a face is among real ones: a Gaussian in the main directions in which real faces differ.

Probabilistic principal components (Tipping and Bishop 1999): whitened coordinates in the leading directions, and what
is left over beside them, each as a squared length that real faces have a distribution of. No network is needed, and
what is blurred, torn, or of impossible colours or light lies far out. The limit is calibrated on real faces that the
directions were not learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.image import load_cv2

_SIDE = 16  # pixels of what is looked at: finer detail separates real from generated, not good from bad
_DIRECTIONS = 96
_FEWEST = 300  # real faces: with fewer the directions are noise, and nothing is rejected
_STEP = 3  # every third face calibrates
QUANTILE = 0.99  # of real faces are accepted


@dataclass(frozen=True, slots=True, eq=False)
class Realism:
    """A density of faces and its limit.

    Attributes:
        mean: float32 (d,).
        directions: float32 (k, d), whitening.
        plain: float32 (k, d), the same with unit length.
        noise: variance beside the directions.
        limit: largest score that is accepted.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    plain: NDArray[np.float32]
    noise: float
    limit: float

    @classmethod
    def fit(cls, sample: NDArray[np.uint8]) -> Realism | None:
        """Learn what real faces look like; None if there are too few.

        Args:
            sample: uint8 (n, H, W, 3).
        """
        if len(sample) < _FEWEST:
            return None
        values = _values(sample)
        calibrates = np.arange(len(values)) % _STEP == 0
        learnt, held = values[~calibrates], values[calibrates]
        mean = learnt.mean(axis=0)
        _, spread, rows = np.linalg.svd(learnt - mean, full_matrices=False)
        variance = spread**2 / (len(learnt) - 1)
        noise = float(variance[_DIRECTIONS:].sum()) / max(values.shape[1] - _DIRECTIONS, 1)
        plain = rows[:_DIRECTIONS]
        whitening = (plain / np.sqrt(variance[:_DIRECTIONS, None])).astype(np.float32)
        rough = cls(mean, whitening, plain, max(noise, 1e-3), np.inf)
        limit = float(np.quantile(rough.scores_of(held), QUANTILE))
        return cls(mean, whitening, plain, max(noise, 1e-3), limit)

    def accepts(self, faces: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Whether faces are as likely as real ones: uint8 (n, H, W, 3) -> bool (n,)."""
        return self.scores_of(_values(faces)) <= self.limit

    def scores_of(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Squared distance from the middle, in units of its spread: float32 (n, d) -> float64 (n,)."""
        away = values - self.mean
        inside = away @ self.directions.T
        beside = (away**2).sum(axis=1) - ((away @ self.plain.T) ** 2).sum(axis=1)
        scores: NDArray[np.float64] = (inside.astype(np.float64) ** 2).sum(axis=1) + beside / self.noise
        return scores


def _values(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    cv2 = load_cv2()
    small = [cv2.resize(face, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for face in faces]
    return np.stack(small).reshape(len(faces), -1).astype(np.float32)
