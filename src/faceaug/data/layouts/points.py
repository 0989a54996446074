"""Five landmarks out of more: eyes, nose and corners of the mouth, left and right as seen in the picture."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

# iBUG's 68 (dlib's too): 36..41 the eye on the picture's left, 42..47 the other, 30 the tip of the nose, 48 and 54 the
# corners of the mouth. CelebA's "left" is the picture's left as well.
_EYES = (slice(36, 42), slice(42, 48))
_SINGLE = (30, 48, 54)


def five_of_68(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """CelebA's five landmarks.

    Args:
        points: float32 (n, 68, 2), iBUG's order.

    Returns:
        float32 (n, 5, 2): left eye, right eye, nose, left and right corner of the mouth.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        eyes = [points[:, eye].mean(axis=1) for eye in _EYES]
    found: NDArray[np.float32] = np.stack([*eyes, *(points[:, k] for k in _SINGLE)], axis=1).astype(np.float32)
    return found
