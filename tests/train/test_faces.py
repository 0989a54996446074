from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceaug.data.crop import crop_face
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.errors import RefusedError
from faceaug.train.faces import ShowingOrder, drop_faces, fingerprint, load_faces, map_faces
from tests.conftest import picture


@pytest.fixture
def folder(tmp_path: Path) -> FaceFolder:
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(encode_png(picture(k)))
    return FaceFolder(tmp_path)


def test_faces_are_cut_and_sized_in_the_order_of_the_rows(folder: FaceFolder) -> None:
    faces, kept, problems = load_faces(folder, crop="center140", size=32, rows=np.array([3, 0]))
    assert kept.tolist() == [3, 0]
    assert problems == []
    assert faces.shape == (2, 3, 32, 32)
    for face, k in zip(faces, (3, 0), strict=True):
        assert np.array_equal(face.transpose(1, 2, 0), crop_face(picture(k), "center140", (32, 32)))


def test_what_is_not_square_is_padded_and_said_where_no_crop_is_wanted(tmp_path: Path) -> None:
    for name, height in (("a", 40), ("b", 30), ("c", 40)):
        (tmp_path / f"{name}.png").write_bytes(encode_png(picture(1, height=height, width=40)))
    folder = FaceFolder(tmp_path)
    with pytest.warns(UserWarning, match=r"1 of 3 pictures are not square, such as b\.png, .*--crop square"):
        faces, _, _ = load_faces(folder, crop="none", size=40, rows=np.arange(3))
    assert np.array_equal(faces[1][:, 5:35].transpose(1, 2, 0), folder.read(1))
    assert not faces[1][:, :5].any()
    load_faces(folder, crop="square", size=40, rows=np.arange(3))


def test_pictures_much_smaller_than_the_faces_are_named(tmp_path: Path) -> None:
    for k, side in enumerate((15, 16, 40)):
        (tmp_path / f"{k}.png").write_bytes(encode_png(picture(k, height=side + 3, width=side)))
    with pytest.warns(
        UserWarning, match=r"1 of 3 pictures are small, such as 0\.png, .* enlarged .* 32 pixels"
    ) as told:
        load_faces(FaceFolder(tmp_path), crop="square", size=32, rows=np.arange(3))
    assert len(told) == 1


def test_unreadable_pictures_are_left_out_and_named(folder: FaceFolder) -> None:
    folder.path(2).write_bytes(b"no picture")
    folder.path(4).write_bytes(encode_png(picture(4))[:300])
    faces, kept, problems = load_faces(folder, crop="square", size=32, rows=np.arange(5))
    assert (len(faces), kept.tolist()) == (3, [0, 1, 3])
    assert ["2.png" in problems[0], "4.png" in problems[1], len(problems)] == [True, True, 2]


def test_a_folder_of_unreadable_pictures_is_refused(folder: FaceFolder) -> None:
    for k in range(5):
        folder.path(k).write_bytes(b"")
    with pytest.raises(RefusedError, match="none of its 5 pictures can be read"):
        load_faces(folder, crop="square", size=32, rows=np.arange(5))


def test_a_fingerprint_changes_with_a_pixel_and_with_the_order() -> None:
    faces = np.arange(4 * 12, dtype=np.uint8).reshape(4, 3, 2, 2)
    changed = faces.copy()
    changed[3, 2, 1, 1] ^= 1
    assert len({fingerprint(x) for x in (faces, changed, faces[::-1])}) == 3
    assert fingerprint(faces.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)) == fingerprint(faces)


def test_every_face_is_shown_once_per_epoch_in_an_order_that_changes() -> None:
    order = ShowingOrder(10, seed=4)
    shown = order(0, 35)
    epochs = [shown[:10].tolist(), shown[10:20].tolist(), shown[20:30].tolist()]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_order_does_not_depend_on_where_one_begins() -> None:
    whole = ShowingOrder(10, seed=4)(0, 50)
    for start, count in ((0, 3), (7, 9), (19, 2), (30, 20), (5, 1)):
        assert np.array_equal(ShowingOrder(10, seed=4)(start, count), whole[start : start + count])


def test_faces_are_decoded_once_and_opened_after(folder: FaceFolder, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    rows = np.arange(5)
    first = map_faces(folder, place, crop="square", size=32, rows=rows)
    expected, _, _ = load_faces(folder, crop="square", size=32, rows=rows)
    assert np.array_equal(first.pixels, expected)
    assert first.fingerprint == fingerprint(expected)
    written = (place / "faces.npy").stat().st_mtime_ns
    again = map_faces(folder, place, crop="square", size=32, rows=rows)
    assert (place / "faces.npy").stat().st_mtime_ns == written
    assert again.fingerprint == first.fingerprint
    drop_faces(place)
    assert list(place.iterdir()) == []


def test_a_changed_picture_another_crop_and_a_torn_file_are_decoded_again(folder: FaceFolder, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    rows = np.arange(5)
    found = [map_faces(folder, place, crop="square", size=32, rows=rows).fingerprint]
    found.append(map_faces(folder, place, crop="center140", size=32, rows=rows).fingerprint)
    folder.path(2).write_bytes(encode_png(picture(77)))
    found.append(map_faces(folder, place, crop="center140", size=32, rows=rows).fingerprint)
    assert len(set(found)) == 3
    (place / "faces.npy").write_bytes(b"torn")
    assert map_faces(folder, place, crop="center140", size=32, rows=rows).fingerprint == found[-1]
    (place / "faces.json").write_text("{")
    assert map_faces(folder, place, crop="center140", size=32, rows=rows).fingerprint == found[-1]


def test_copies_of_one_picture_are_refused(folder: FaceFolder, tmp_path: Path) -> None:
    for k in range(5):
        folder.path(k).write_bytes(encode_png(picture(1)))
    with pytest.raises(RefusedError, match="all 5 faces are the same picture"):
        map_faces(folder, tmp_path, crop="square", size=32, rows=np.arange(5))
