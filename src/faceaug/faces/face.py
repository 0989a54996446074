"""A face found in a photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face found in a photo. Places are pixel indices: the middle of the first pixel is (0, 0).

    Attributes:
        box: x0, y0, x1, y1 of an upright rectangle around forehead, chin and cheeks; parts of it may lie outside the
            photo.
        landmarks: float32 (5, 2), x and y in the order of ``faceaug.data.annotations.LANDMARKS``: left eye, right eye,
            nose, left and right corner of the mouth, left as a viewer sees them when the face is upright.
        score: 0..1, how sure the detector is that this is a face.

    Example:
        >>> import numpy as np
        >>> from faceaug import Face
        >>> points = np.float32([[10, 12], [30, 12], [20, 24], [13, 34], [27, 34]])
        >>> Face((4.0, 0.0, 36.0, 42.0), points, 0.9).eye_distance
        20.0
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float

    @property
    def roll(self) -> float:
        """Degrees by which the line from the left eye to the right one is turned, -180..180; clockwise is positive."""
        x, y = (self.landmarks[1] - self.landmarks[0]).tolist()
        return math.degrees(math.atan2(y, x))

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes, pixels."""
        return math.dist(self.landmarks[0].tolist(), self.landmarks[1].tolist())

    @property
    def size(self) -> float:
        """Longer side of the box, pixels."""
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, y1 - y0)
