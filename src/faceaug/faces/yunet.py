"""YuNet by OpenCV: a view -> candidates in the photo.

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; OpenCV's ``FaceDetectorYN``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import load_cv2
from faceaug.faces.views import View, places
from faceaug.faces.weights import FOLDER, YUNET, read_weights

_ERRORS_ONLY = 2  # OpenCV's LOG_LEVEL_ERROR, in every version
_SAME = 0.3  # intersection over union from which two candidates are one face
_INSIDE = 0.7  # share of the smaller of two boxes within the other, likewise
_EDGE = 0.05  # of a box: nearer to an edge beyond which the photo goes on, it is probably cut off
_quiet = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What may be a face.

    Attributes:
        box: x0, y0, x1, y1, pixel indices of the photo.
        side: longer side of the box when the face is upright, pixels.
        points: float64 (5, 2), pixel indices of the photo, the viewer's left eye first.
        score: 0..1.
    """

    box: tuple[float, float, float, float]
    side: float
    points: NDArray[np.float64]
    score: float


class YuNet:
    """The detector. It keeps state between calls, so every thread needs its own.

    Args:
        threshold: least score of a candidate, 0..1.

    Raises:
        WeightsError: the bundled file is damaged.
    """

    def __init__(self, threshold: float) -> None:
        self._cv2 = load_cv2()
        data = read_weights(YUNET)
        with _without_warnings(self._cv2):
            self._network = _create(self._cv2, data, threshold)

    def candidates(self, view: View) -> list[Candidate]:
        """Find candidates in a view, without those that are cut off where the photo goes on."""
        bgr = self._cv2.cvtColor(view.picture, self._cv2.COLOR_RGB2BGR)
        self._network.setInputSize((bgr.shape[1], bgr.shape[0]))
        rows = self._network.detect(bgr)[1]
        if rows is None:  # no face
            return []
        # YuNet's "right eye" is the one at the viewer's left, so its order is ours.
        return [_candidate(row, view) for row in rows.astype(np.float64) if not _cut_off(row[:4], view)]


def _create(cv2: ModuleType, data: bytes, threshold: float) -> Any:
    size, most = (320, 320), 5000
    try:
        model = np.frombuffer(data, np.uint8)
        return cv2.FaceDetectorYN.create("onnx", model, np.zeros(0, np.uint8), size, threshold, _SAME, most)
    except TypeError:  # OpenCV 4.8 takes names only
        return cv2.FaceDetectorYN.create(str(FOLDER / YUNET), "", size, threshold, _SAME, most)


@contextmanager
def _without_warnings(cv2: ModuleType) -> Iterator[None]:
    """Keep OpenCV's warnings from the terminal: OpenCV 5 prints one for every detector, about a target nobody set."""
    log = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # moved after 4.12
    with _quiet:
        before = log.getLogLevel()
        log.setLogLevel(min(before, _ERRORS_ONLY))
        try:
            yield
        finally:
            log.setLogLevel(before)


def _cut_off(box: NDArray[np.float64], view: View) -> bool:
    x, y, width, height = box.tolist()
    margin = _EDGE * max(width, height)
    room = (x, y, view.picture.shape[1] - x - width, view.picture.shape[0] - y - height)
    return any(beyond and space < margin for beyond, space in zip(view.open, room, strict=True))


def _candidate(row: NDArray[np.float64], view: View) -> Candidate:
    x, y, width, height = row[:4].tolist()
    middle = places(view.matrix, np.array([x + width / 2 - 0.5, y + height / 2 - 0.5]))
    # The box around the ellipse in the view's box: for quarter turns this is the box itself.
    c, s = math.cos(view.turn), math.sin(view.turn)
    half_x, half_y = (view.scale / 2 * math.hypot(a * width, b * height) for a, b in ((c, s), (s, c)))
    left, top = float(middle[0]), float(middle[1])
    box = (left - half_x, top - half_y, left + half_x, top + half_y)
    points = places(view.matrix, row[4:14].reshape(5, 2))
    return Candidate(box, view.scale * max(width, height), points, float(row[14]))


def same_face(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    """Whether two boxes are of one face: they overlap much, or one is nearly inside the other."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    common = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common > _SAME * (sum(areas) - common) or common > _INSIDE * min(areas)
