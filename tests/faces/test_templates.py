from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from faceaug.errors import ArgumentError
from faceaug.faces.templates import (
    MEAN_FACE,
    TEMPLATES,
    expected_landmarks,
    inverse,
    least_squares_similarity,
    move_points,
    place_face,
    scale_of,
    template_size,
)
from tests.faces.stand_in import face_at

POINTS = np.array([[212.0, 180.5], [301.25, 171.0], [262.0, 232.0], [227.5, 281.0], [299.0, 274.5]])


def umeyama(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Umeyama (1991), equations 38 to 43, by a singular value decomposition."""
    middle, aim = source.mean(axis=0), target.mean(axis=0)
    covariance = (target - aim).T @ (source - middle) / len(source)
    u, d, v = np.linalg.svd(covariance)
    sign = np.array([1.0, math.copysign(1.0, np.linalg.det(u) * np.linalg.det(v))])
    rotation = u @ np.diag(sign) @ v
    scale = (d * sign).sum() / ((source - middle) ** 2).sum() * len(source)
    return np.column_stack([scale * rotation, aim - scale * rotation @ middle])


def test_least_squares_agree_with_the_singular_value_decomposition() -> None:
    target = POINTS @ np.array([[0.3, 0.1], [-0.1, 0.3]]) + np.random.default_rng(0).normal(0, 2, (5, 2))
    assert np.allclose(least_squares_similarity(POINTS, target), umeyama(POINTS, target), atol=1e-9)


def test_celeba_is_fitted_from_the_template_to_the_photo() -> None:
    template = np.array([[69.745, 111], [107.237, 111], [88.432, 152.514]])
    points = POINTS * (1, 1.3)  # a long face: the fit leaves something
    three = np.stack([points[0], points[1], (points[3] + points[4]) / 2])
    back = umeyama(template, three)
    found = move_points(place_face("celeba", points), points)
    expected = np.linalg.solve(back[:, :2], (points - back[:, 2]).T).T
    assert np.abs(found - expected).max() < 1e-9
    other_way = move_points(umeyama(three, template), points)
    assert np.abs(found - other_way).max() > 0.05  # the order matters


def test_the_nose_takes_no_part_in_celeba_and_ffhq() -> None:
    moved = POINTS.copy()
    moved[2] += (9, -7)
    for template in ("celeba", "celeba-square", "ffhq"):
        assert np.array_equal(place_face(template, POINTS), place_face(template, moved))
    assert not np.allclose(place_face("arcface", POINTS), place_face("arcface", moved))


def test_arcface_is_the_least_squares_fit_of_five_points() -> None:
    template = np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    assert np.allclose(place_face("arcface", POINTS), umeyama(POINTS, template), atol=1e-9)


def test_the_narrow_arcface_is_the_wide_one_eight_pixels_to_the_left() -> None:
    wide, narrow = place_face("arcface", POINTS), place_face("arcface", POINTS, size=(96, 112))
    assert np.allclose(narrow[:, :2], wide[:, :2])
    assert np.allclose(narrow[:, 2] - wide[:, 2], (-8, 0))


def ffhq_quad(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of FFHQ's square, written anew after ``recreate_aligned_images`` of NVlabs/ffhq-dataset."""
    eye_left, eye_right, _, mouth_left, mouth_right = points
    eye_avg = (eye_left + eye_right) * 0.5
    eye_to_eye = eye_right - eye_left
    eye_to_mouth = (mouth_left + mouth_right) * 0.5 - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


@pytest.mark.parametrize("side", [1024, 256])
@pytest.mark.parametrize("stretch", [1.0, 1.6])  # the eyes decide the side, or the way to the mouth
def test_ffhq_cuts_the_published_square(side: int, stretch: float) -> None:
    points = POINTS * (1, stretch)
    found = move_points(place_face("ffhq", points, size=(side, side)), ffhq_quad(points))
    # Corners of the picture in pixel indices: half a pixel outside the outermost centres.
    expected = np.array([[0, 0], [0, side], [side, side], [side, 0]]) - 0.5
    assert np.abs(found - expected).max() < 0.1


def test_numbers_worked_out_by_hand() -> None:
    """A level face: eyes 60 apart at y 100, mouth 66 below, between x 120 and 180."""
    level = np.array([[120.0, 100], [180, 100], [150, 130], [130, 166], [170, 166]])
    # FFHQ: half a side is max(2 * 60, 1.8 * 66) = 120, about (150, 106.6): from (30, -13.4), 240 pixels for 1024.
    ffhq = place_face("ffhq", level)
    assert scale_of(ffhq) == pytest.approx(1024 / 240)
    assert move_points(ffhq, np.array([30.0, -13.4])) == pytest.approx([-0.5, -0.5], abs=1e-9)
    # CelebA: the regression of (-30, -22), (30, -22), (0, 44) on the centred template (-18.726, -13.838),
    # (18.766, -13.838), (-0.039, 27.676) has the slope 2951.38 / 1851.77 = 1.5938, from the template to the photo.
    celeba = move_points(place_face("celeba", level), level[:2])
    assert celeba[1, 0] - celeba[0, 0] == pytest.approx(60 / 1.5938, abs=0.01)


def test_the_square_of_celeba_is_the_centre_of_the_whole() -> None:
    whole = place_face("celeba", POINTS)
    assert np.allclose(place_face("celeba-square", POINTS)[:, 2], whole[:, 2] - (0, 20))
    assert np.allclose(place_face("celeba", POINTS, size=(178, 178)), place_face("celeba-square", POINTS))
    half = move_points(place_face("celeba", POINTS, size=(89, 109)), POINTS)
    assert np.allclose(half, (move_points(whole, POINTS) + 0.5) / 2 - 0.5)


@pytest.mark.parametrize("template", TEMPLATES)
@given(st.floats(-180, 180), st.floats(0.2, 9), st.floats(-500, 500))
def test_a_face_lands_in_the_same_place_however_it_lay_in_the_photo(
    template: str, roll: float, scale: float, shift: float
) -> None:
    turn = math.radians(roll)
    rotation = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moved = POINTS @ rotation.T + shift
    here = move_points(place_face(template, POINTS), POINTS)  # type: ignore[arg-type]
    there = move_points(place_face(template, moved), moved)  # type: ignore[arg-type]
    assert np.abs(here - there).max() < 1e-6 * max(template_size(template))  # type: ignore[arg-type]


def test_a_map_and_its_inverse_cancel() -> None:
    matrix = place_face("celeba", POINTS)
    assert np.allclose(move_points(inverse(matrix), move_points(matrix, POINTS)), POINTS)


def test_the_mean_face_lies_where_celeba_says() -> None:
    assert np.abs(expected_landmarks("celeba") - MEAN_FACE).max() < 1.0
    assert np.allclose(expected_landmarks("celeba-square"), expected_landmarks("celeba") - (0, 20))


@pytest.mark.parametrize(
    "points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2)), face_at(5, 5, 0).landmarks]
)
@pytest.mark.parametrize("template", TEMPLATES)
def test_points_that_are_no_face_are_refused(points: NDArray[np.float64], template: str) -> None:
    with pytest.raises(ArgumentError, match="points"):
        place_face(template, points)  # type: ignore[arg-type]


def test_an_unknown_template_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match="template 'dlib': expected one of celeba, celeba-square, ffhq, arcface"):
        template_size("dlib")  # type: ignore[arg-type]
