"""Landmarks of a candidate, by O-Net on its levelled crop and on the mirror image of that, averaged.

YuNet's own landmarks scatter by 4 % of the eye distance when a photo is shifted by a few pixels. They are good enough
to level a crop.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8, load_cv2
from faceaug.faces.onet import SIDE, ONet
from faceaug.faces.views import Matrix, View, joined, places
from faceaug.faces.yunet import Candidate

_CROP = 0.92  # side of the crop, of the longer side of the detector's box
_MIRRORED = [1, 0, 2, 4, 3]  # landmarks of a mirror image in the order of the face
_FINEST = 8  # samples per pixel of the crop and direction, at most


def read_landmarks(network: ONet, view: View, candidate: Candidate) -> tuple[NDArray[np.float64], float]:
    """The landmarks of a candidate and the score that O-Net gives it.

    Args:
        network: O-Net.
        view: a view of the photo in which the candidate is large enough.
        candidate: in the photo.

    Returns:
        float64 (5, 2), pixel indices of the photo; 0..1.
    """
    matrix = crop_matrix(candidate)
    shares, score = _read_crop(network, cut_crop(view, matrix))
    return places(matrix, shares * SIDE - 0.5), score


def score_upside_down(network: ONet, view: View, candidate: Candidate) -> float:
    """The score that O-Net gives the crop of a candidate turned by half a circle.

    It is the higher one where a face stands on its head. YuNet finds half of those, with their mouths for eyes.
    """
    crop = cut_crop(view, crop_matrix(candidate))
    # The mirror image would tell nothing more, at twice the time.
    return float(network.read(crop[None, ::-1, ::-1]).scores[0])


def _read_crop(network: ONet, crop: Image8) -> tuple[NDArray[np.float64], float]:
    """Landmarks as shares of the side, and the score: means over the crop and its mirror image."""
    # Always two at a time: other batches are rounded otherwise, and faces must not depend on each other.
    read = network.read(np.stack([crop, crop[:, ::-1]]))
    ahead, mirrored = read.landmarks.astype(np.float64)
    mirrored[:, 0] = 1 - mirrored[:, 0]
    return (ahead + mirrored[_MIRRORED]) / 2, float(read.scores.mean())


def crop_matrix(candidate: Candidate) -> Matrix:
    """From pixel indices of the crop to those of the photo: a square around the box, turned so that eyes are level."""
    x0, y0, x1, y1 = candidate.box
    x, y = candidate.points[1] - candidate.points[0]
    angle, pixel = math.atan2(y, x), _CROP * candidate.side / SIDE
    c, s = math.cos(angle) * pixel, math.sin(angle) * pixel
    turn = np.array([[c, -s], [s, c]])
    return np.column_stack([turn, np.array([(x0 + x1) / 2, (y0 + y1) / 2]) - turn @ [(SIDE - 1) / 2, (SIDE - 1) / 2]])


def cut_crop(view: View, matrix: Matrix) -> Image8:
    """Cut a crop out of a view, each of its pixels the mean of the area it covers; edges are replicated.

    Args:
        view: of the photo.
        matrix: from pixel indices of the crop to those of the photo.
    """
    cv2 = load_cv2()
    pixel = math.hypot(matrix[0, 0], matrix[1, 0]) / view.scale  # pixels of the view
    samples = min(_FINEST, max(1, math.ceil(pixel)))
    finer = np.array([[1.0, 0, 0.5 - samples / 2], [0, 1.0, 0.5 - samples / 2]]) / samples
    to_view = joined(cv2.invertAffineTransform(view.matrix), joined(matrix, finer))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    side = SIDE * samples
    crop = cv2.warpAffine(view.picture, to_view, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    small: Image8 = crop if samples == 1 else cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small
