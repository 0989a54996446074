"""Five landmarks from 68: eyes, nose and corners of the mouth, left and right as seen in the picture."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

# In iBUG's (and dlib's) 68 points, 36..41 are the eye on the left of the picture, 42..47 the other eye, 30 is the tip
# of the nose, 48 and 54 are the corners of the mouth. CelebA's "left" also means the left of the picture.
_EYES = (slice(36, 42), slice(42, 48))
_SINGLE = (30, 48, 54)
_FARTHEST = 1e9  # pixels; no picture is as large, and float32 holds its square


def five_of_68(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute CelebA's five landmarks.

    Args:
        points: float32 (n, 68, 2), in iBUG's order.

    Returns:
        float32 (n, 5, 2): left eye, right eye, nose, left and right corner of the mouth.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN eyes give NaN, as intended
        eyes = [points[:, eye].mean(axis=1) for eye in _EYES]
    found: NDArray[np.float32] = np.stack([*eyes, *(points[:, k] for k in _SINGLE)], axis=1).astype(np.float32)
    return found


def check_pixels(positions: ArrayLike) -> None:
    """Refuse positions that lie in no picture, before they overflow float32; NaN means unknown.

    Args:
        positions: coordinates or sides in pixels, of any shape.

    Raises:
        ValueError: a number is beyond 1e9 pixels.
    """
    far = np.abs(np.asarray(positions, np.float64)) > _FARTHEST
    if far.any():
        raise ValueError(f"{np.asarray(positions, np.float64)[far][0]:g} is not a position in a picture")
