from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceaug.data.image import Image8
from faceaug.deidentify.hidden_photo import hide_all
from faceaug.deidentify.options import KEEP, DeidentifyOptions
from faceaug.deidentify.replacing import Replacer, is_plausible, misfit, number_of
from faceaug.faces.finder import FaceFinder
from faceaug.faces.templates import MEAN_FACE
from tests.faces.photos import background, paste
from tests.test_imports import run


@pytest.fixture(scope="module")
def photo() -> Image8:
    image = background(420, 360)
    paste(image, 60, 90, face=0, side=160)
    paste(image, 270, 120, face=1, side=110)
    return image


def test_a_lying_face_next_to_an_upright_one_is_hidden_too() -> None:
    image = background(380, 300)
    paste(image, 20, 40, side=150)
    other = background(96, 96)
    paste(other, 0, 0, face=1, side=96)
    image[100:196, 260:356] = np.rot90(other, 2)
    hidden, faces = hide_all(image, DeidentifyOptions(how="fill"))
    assert len(faces) >= 2
    assert (hidden[130:160, 295:320] == 128).all()


def test_faces_are_replaced_by_others_with_the_requested_attributes(photo: Image8) -> None:
    asked = {"Smiling": 1, "Eyeglasses": 1}
    options = DeidentifyOptions(how="synthetic", attributes=asked, seed=5)
    hidden, faces = hide_all(photo, options)
    assert [face.replaced for face in faces] == [True, True]
    for face in faces:
        wanted = dict(face.attributes)
        assert {name: wanted[name] for name in asked} == asked
        assert set(wanted) == set(KEEP)
    found = FaceFinder().find(hidden)
    assert len(found) == 2
    before = FaceFinder().find(photo)
    for new, old in zip(found, before, strict=True):
        apart = np.linalg.norm(new.landmarks - old.landmarks, axis=1).mean()
        assert apart < 0.2 * old.eye_distance, "the new face looks the same way, from the same place"
        x0, y0, x1, y1 = (round(v) for v in old.box)
        middle = hidden[y0:y1, x0:x1].astype(int) - photo[y0:y1, x0:x1]
        assert np.abs(middle).mean() > 5
    assert (hidden[:60] == photo[:60]).all()


def test_a_face_depends_on_the_seed_and_the_photo_alone(photo: Image8) -> None:
    one, again = (hide_all(photo, DeidentifyOptions(how="synthetic", seed=1))[0] for _ in range(2))
    other = hide_all(photo, DeidentifyOptions(how="synthetic", seed=2))[0]
    assert (one == again).all()
    assert (one != other).any()
    assert number_of(photo, 0) == number_of(photo.copy(), 0)
    assert len({number_of(photo, 0), number_of(photo, 1), number_of(photo[1:], 0)}) == 3


def test_a_table_says_more_than_a_look_at_the_face(photo: Image8) -> None:
    replacer = Replacer({}, KEEP, 0)
    face = FaceFinder().find(photo)[0]
    read = replacer.attributes_for(photo, face, ())
    assert set(read) == set(KEEP)
    known = [0] * 40
    known[20] = -read["Male"]  # Male
    assert replacer.attributes_for(photo, face, known) == read | {"Male": -read["Male"]}
    assert Replacer({"Male": 1}, ("Male",), 0).attributes_for(photo, face, known) == {"Male": 1}


def test_points_that_are_no_face_are_not_replaced() -> None:
    assert is_plausible(MEAN_FACE)
    assert is_plausible(MEAN_FACE[:, ::-1] * [1, -1])
    assert not is_plausible(MEAN_FACE[[2, 3, 0, 1, 4]])
    assert not is_plausible(MEAN_FACE / 20), "eyes two pixels apart"
    assert not is_plausible(np.full((5, 2), np.nan))
    assert misfit(MEAN_FACE, 3 * MEAN_FACE + 7) == pytest.approx(0, abs=1e-9)


def test_only_synthetic_loads_torch(tmp_path: Path) -> None:
    program = """
    import numpy as np, sys
    from pathlib import Path
    from PIL import Image
    from faceaug import deidentify_folder
    Path(sys.argv[1], "photos").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(Path(sys.argv[1], "photos", "a.png"))
    deidentify_folder(Path(sys.argv[1], "photos"), Path(sys.argv[1], "out"), progress=False)
    """
    found = run(program, str(tmp_path))
    assert {"torch", "torchvision"} & set(found["modules"]) == set()
    assert found["sockets"] == []
