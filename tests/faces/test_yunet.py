from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceaug.faces.views import View, quarter_turned, whole_view
from faceaug.faces.yunet import YuNet, same_face
from tests.faces.photos import background, paste

LOG = getattr(cv2.utils, "logging", cv2)  # moved after OpenCV 4.12


def test_opencv_prints_nothing_when_the_detector_is_made_and_logs_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    before = LOG.getLogLevel()
    YuNet(0.5).candidates(View(background(90, 60), np.eye(2, 3)))
    assert capfd.readouterr() == ("", "")
    assert LOG.getLogLevel() == before


def test_the_first_point_is_the_eye_at_the_viewers_left() -> None:
    photo = background(400, 300)
    known = paste(photo, 100, 80, side=160)
    [found] = YuNet(0.5).candidates(View(photo, np.eye(2, 3)))
    assert found.points[0] == pytest.approx(known[0], abs=12)
    assert found.points[3] == pytest.approx(known[3], abs=12)


def test_a_candidate_of_a_turned_and_smaller_view_has_its_place_in_the_photo() -> None:
    photo = background(800, 600)
    known = paste(photo, 150, 120, side=320)
    view = quarter_turned(whole_view(np.ascontiguousarray(np.rot90(photo, 3)), 0.5), 1)
    [found] = YuNet(0.5).candidates(view)
    back = np.array([[0, 1.0, 0], [-1.0, 0, 599]])  # from the turned photo to the upright one
    [upright] = YuNet(0.5).candidates(whole_view(photo, 0.5))
    assert found.points @ back[:, :2].T + back[:, 2] == pytest.approx(upright.points, abs=4)
    assert found.points @ back[:, :2].T + back[:, 2] == pytest.approx(known, abs=30)
    x0, y0, x1, y1 = found.box
    assert (y0, 599 - x1, y1, 599 - x0) == pytest.approx(upright.box, abs=8)


def test_a_face_that_a_tile_cuts_off_is_left_to_the_next_tile() -> None:
    photo = background(400, 300)
    paste(photo, 240, 80, side=160)
    cut = np.ascontiguousarray(photo[:, :352])
    assert len(YuNet(0.5).candidates(View(cut, np.eye(2, 3)))) == 1
    assert YuNet(0.5).candidates(View(cut, np.eye(2, 3), open=(False, False, True, False))) == []


def test_boxes_are_of_one_face_if_they_overlap_much_or_one_holds_the_other() -> None:
    box = (0.0, 0.0, 100.0, 100.0)
    assert same_face(box, (20, 20, 120, 120))
    assert same_face(box, (30, 30, 70, 70))
    assert not same_face(box, (60, 60, 160, 160))
    assert not same_face(box, (100, 0, 200, 100))
