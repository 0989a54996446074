from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug import ArgumentError, Face, FaceFinder
from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8, read_image
from faceaug.draws import stream
from faceaug.executor import ProcessExecutor
from tests.faces.photos import background, paste

FINDER = FaceFinder()


def numbers(faces: Sequence[Face]) -> list[Any]:
    return [(face.box, face.landmarks.tolist(), face.score) for face in faces]


def apart(face: Face, known: NDArray[np.float64]) -> float:
    """Mean distance of landmarks as a share of the eye distance."""
    return float(np.linalg.norm(face.landmarks - known, axis=1).mean() / np.linalg.norm(known[1] - known[0]))


@pytest.fixture(scope="module")
def pair() -> tuple[Image8, NDArray[np.float64], NDArray[np.float64]]:
    """A photo with a large and a small face, and their landmarks."""
    photo = background(640, 480)
    return photo, paste(photo, 60, 90, side=240), paste(photo, 430, 200, face=1, side=96)


def test_faces_are_found_where_they_are_with_their_landmarks_the_largest_first(
    pair: tuple[Image8, NDArray[np.float64], NDArray[np.float64]],
) -> None:
    photo, large, small = pair
    found = FINDER.find(photo)
    assert len(found) == 2
    for face, known in zip(found, (large, small), strict=True):
        assert apart(face, known) < 0.25
        assert abs(face.roll) < 8
        assert face.eye_distance == pytest.approx(np.linalg.norm(known[1] - known[0]), rel=0.2)
        x0, y0, x1, y1 = face.box
        assert (x0 < known[:, 0].min()) & (known[:, 0].max() < x1)
        assert (y0 < known[:, 1].min()) & (known[:, 1].max() < y1)
        assert face.landmarks.dtype == np.float32
        assert 0.5 < face.score <= 1


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_turned_by_quarters_has_the_same_landmarks_turned_with_it(
    pair: tuple[Image8, NDArray[np.float64], NDArray[np.float64]], quarters: int
) -> None:
    photo = pair[0]
    height, width = photo.shape[:2]
    back = {
        1: lambda x, y: (width - 1 - y, x),
        2: lambda x, y: (width - 1 - x, height - 1 - y),
        3: lambda x, y: (y, height - 1 - x),
    }[quarters]
    found = FINDER.find(np.ascontiguousarray(np.rot90(photo, quarters)))
    for face, before in zip(found, FINDER.find(photo), strict=True):
        upright = np.stack(back(*face.landmarks.T), axis=1)
        assert apart(Face(face.box, upright.astype(np.float32), face.score), before.landmarks) < 0.06
        assert (face.roll + 90 * quarters - before.roll + 180) % 360 - 180 == pytest.approx(0, abs=4)


@pytest.mark.parametrize("degrees", [30, 45, 60, 135, 200, 300])
def test_a_face_is_found_however_it_is_turned(degrees: int) -> None:
    photo = background(480, 480)
    paste(photo, 140, 140, side=200, face=2)
    [upright] = FINDER.find(photo)
    turn = cv2.getRotationMatrix2D((239.5, 239.5), -degrees, 1)  # OpenCV counts counterclockwise
    turned = cv2.warpAffine(photo, turn, (480, 480), borderMode=cv2.BORDER_REPLICATE)
    [face] = FINDER.find(turned)
    assert apart(face, upright.landmarks @ turn[:, :2].T + turn[:, 2]) < 0.1
    assert (face.roll - degrees - upright.roll + 180) % 360 - 180 == pytest.approx(0, abs=10)


def test_a_small_picture_that_a_face_fills_is_searched_as_well() -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    known = paste(photo, 0, 0, face=1)
    [face] = FINDER.find(photo)
    assert apart(face, known) < 0.25


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (700, 2), (40, 40), (480, 640)])
def test_a_picture_without_a_face_has_none(shape: tuple[int, int]) -> None:
    assert FINDER.find(stream(1, slot="tests/noise").integers(0, 256, (*shape, 3), dtype=np.uint8)) == ()
    assert FINDER.find(np.full((*shape, 3), 128, np.uint8)) == ()


def test_small_faces_of_a_large_photo_are_found_once_also_on_the_seams_of_tiles() -> None:
    photo = background(2600, 1900)
    places = [(x, y) for y in (60, 770, 860, 1750) for x in (90, 700, 830, 905, 1500, 1660, 1765, 2480)]
    known = [paste(photo, x, y, face=k % 8, side=72) for k, (x, y) in enumerate(places)]
    found = FINDER.find(photo)
    hits = [[face for face in found if apart(face, points) < 0.25] for points in known]
    assert [len(hit) for hit in hits] == [1] * len(places)
    assert len(found) == len(places)


def test_faces_below_min_face_are_left_out(
    pair: tuple[Image8, NDArray[np.float64], NDArray[np.float64]],
) -> None:
    [face] = FaceFinder(min_face=100).find(pair[0])
    assert face.eye_distance > 40


def test_a_blurred_face_is_believed_in_the_company_of_a_certain_one_only() -> None:
    photo = background(640, 480)
    known = paste(photo, 430, 200, face=1, side=96)
    alone = cv2.GaussianBlur(photo, (0, 0), 6)
    company = alone.copy()
    paste(company, 60, 90, side=240)
    assert FINDER.find(alone) == ()
    [_, blurred] = FINDER.find(company)
    assert apart(blurred, known) < 0.4


@pytest.mark.parametrize(("width", "quarters"), [(640, 1), (380, 2), (1300, 3)])
def test_a_thorough_finder_finds_a_turned_face_next_to_an_upright_one(width: int, quarters: int) -> None:
    photo = background(width, 480 if width > 400 else 300)
    upright = paste(photo, 20, 40, side=200 if width > 400 else 150)
    other = background(96, 96)
    paste(other, 0, 0, face=1, side=96)
    photo[100:196, width - 120 : width - 24] = np.rot90(other, quarters)
    found = FaceFinder(min_face=16, threshold=0.3, thorough=True).find(photo)
    middles = [np.add(face.box[:2], face.box[2:]) / 2 for face in found]
    assert apart(found[0], upright) < 0.25
    assert any(np.linalg.norm(middle - (width - 72, 148)) < 24 for middle in middles)


def test_a_thorough_finder_takes_faces_without_company_from_its_threshold_on() -> None:
    photo = background(640, 480)
    known = paste(photo, 430, 200, face=1, side=96)
    blurred = cv2.GaussianBlur(photo, (0, 0), 6)
    assert FINDER.find(blurred) == ()
    faces = FaceFinder(thorough=True).find(blurred)
    assert any(apart(face, known) < 0.4 for face in faces)
    assert all(face.score >= 0.5 for face in faces)


def test_the_same_photo_gives_the_same_faces_after_others_in_other_threads_and_in_a_copy_of_the_finder(
    pair: tuple[Image8, NDArray[np.float64], NDArray[np.float64]],
) -> None:
    photos = [pair[0], background(300, 200), np.ascontiguousarray(pair[0][:, :400]), pair[0]]
    alone = [numbers(FaceFinder().find(photo)) for photo in photos]
    assert alone[0] == alone[3]
    assert len(alone[0]) == 2
    with ThreadPoolExecutor(3) as threads:
        assert [numbers(found) for found in threads.map(FINDER.find, photos * 2)] == alone * 2
    copy = pickle.loads(pickle.dumps(FaceFinder(min_face=100)))
    assert repr(copy) == "FaceFinder(min_face=100, threshold=0.5)"
    assert numbers(copy.find(pair[0])) == alone[0][:1]
    thorough = pickle.loads(pickle.dumps(FaceFinder(thorough=True)))
    assert repr(thorough) == "FaceFinder(min_face=24, threshold=0.5, thorough=True)"


def test_worker_processes_find_the_same_faces(
    pair: tuple[Image8, NDArray[np.float64], NDArray[np.float64]],
) -> None:
    with ProcessExecutor(1) as executor:
        [there] = executor.map(FINDER.find, [pair[0]])
    assert numbers(there) == numbers(FINDER.find(pair[0]))


def test_finding_faces_loads_no_torch() -> None:
    program = (
        "import sys, numpy as np; from faceaug import FaceFinder;"
        "print(FaceFinder().find(np.zeros((90, 90, 3), np.uint8)), {'torch', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("() set()\n", "")


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((9, 9), np.uint8), r"uint8 \(9, 9\)"),
        (np.zeros((9, 9, 4), np.uint8), r"uint8 \(9, 9, 4\)"),
        (np.zeros((9, 9, 3), np.float32), "float32"),
        (np.zeros((0, 9, 3), np.uint8), r"\(0, 9, 3\)"),
        ("photo.jpg", "str"),
    ],
)
def test_what_is_no_rgb_picture_is_refused_with_what_was_expected(image: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=f"{says}.*expected a uint8 array .height, width, 3., RGB.*read_image"):
        FINDER.find(image)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match="min_face=4: expected 8 pixels or more"):
        FaceFinder(min_face=4)
    with pytest.raises(ArgumentError, match=r"threshold=2: expected 0\.1\.\.1"):
        FaceFinder(threshold=2)


def test_landmarks_of_real_faces_are_where_people_marked_them(align_truth: Path) -> None:
    marked = json.loads((align_truth / "mtfl-lfw_5590" / "truth.json").read_text())["images"][:50]
    errors = []
    for entry in marked:
        known = np.array(entry["faces"][0]["points"])
        found = FINDER.find(read_image(align_truth / "mtfl-lfw_5590" / entry["file"]))
        errors.append(min(apart(face, known) for face in found))
    assert np.mean(errors) < 0.05
    assert np.percentile(errors, 90) < 0.07


def test_real_faces_are_found_upright(celeba200: Path) -> None:
    folder = FaceFolder(celeba200)
    found = [FINDER.find(folder[k][0]) for k in range(0, 200, 5)]
    assert sum(len(faces) > 0 for faces in found) >= 39
    assert all(abs(faces[0].roll) < 45 for faces in found if faces)
