from __future__ import annotations

import numpy as np
import pytest

from faceaug.faces.landmarks import crop_matrix, cut_crop, read_landmarks, score_upside_down
from faceaug.faces.onet import ONet
from faceaug.faces.views import View, whole_view
from faceaug.faces.weights import ONET, read_tensors
from faceaug.faces.yunet import Candidate, YuNet
from tests.faces.photos import USUAL, background, paste

NETWORK = ONet(read_tensors(ONET))


def test_a_crop_is_a_level_square_of_means_of_areas() -> None:
    gradient = np.repeat(np.repeat(np.arange(0, 240, dtype=np.uint8)[None, :, None], 200, 0), 3, 2)
    points = USUAL * 2 + [56, 36]
    candidate = Candidate((70.0, 50.0, 170.0, 150.0), 100.0, points, 1.0)
    crop = cut_crop(View(gradient, np.eye(2, 3)), crop_matrix(candidate))
    assert crop.shape == (48, 48, 3)
    # From 120 - 46 to 120 + 46 in 48 steps, along a line of eyes that is nearly level.
    assert crop[24, :, 0].astype(int) == pytest.approx(120 + (np.arange(48) - 23.5) * 92 / 48, abs=1.5)


def test_landmarks_hardly_move_against_a_photo_that_is_shifted() -> None:
    photo = background(400, 300)
    known = paste(photo, 120, 80, side=160)
    detector, places = YuNet(0.5), []
    for k in range(6):
        view = View(np.ascontiguousarray(photo[k:, 2 * k :]), np.eye(2, 3))
        [candidate] = detector.candidates(view)
        points, score = read_landmarks(NETWORK, view, candidate)
        assert score > 0.9
        places.append(points + np.array((2 * k, k)))
    eyes = np.linalg.norm(known[1] - known[0])
    assert np.std(places, axis=0).mean() < 0.015 * eyes
    assert np.linalg.norm(np.mean(places, axis=0) - known, axis=1).mean() < 0.25 * eyes


def test_landmarks_are_alike_from_a_smaller_view() -> None:
    photo = background(800, 600)
    paste(photo, 200, 100, side=400)
    small = whole_view(photo, 0.5)
    [candidate] = YuNet(0.5).candidates(small)
    full = read_landmarks(NETWORK, View(photo, np.eye(2, 3)), candidate)[0]
    assert read_landmarks(NETWORK, small, candidate)[0] == pytest.approx(full, abs=1.5)


def test_a_face_that_stands_on_its_head_is_noticed() -> None:
    photo = background(400, 300)
    paste(photo, 120, 80, side=160)
    upright, turned = View(photo, np.eye(2, 3)), View(np.ascontiguousarray(photo[::-1, ::-1]), np.eye(2, 3))
    [candidate] = YuNet(0.5).candidates(upright)
    assert score_upside_down(NETWORK, upright, candidate) < read_landmarks(NETWORK, upright, candidate)[1]
    found = YuNet(0.5).candidates(turned)
    assert found  # which is why it must be noticed
    assert all(score_upside_down(NETWORK, turned, one) > read_landmarks(NETWORK, turned, one)[1] for one in found)
