from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from faceaug.data.annotations import select_rows
from faceaug.data.folder import FaceFolder
from faceaug.errors import AnnotationError, RefusedError
from tests.data.layouts.made import (
    NAMES,
    PARTS,
    attribute,
    attributes_csv,
    attributes_txt,
    boxes_txt,
    pairs,
    points_txt,
    put,
    write,
)

TRUTH = np.array([[attribute(k, c) for c in range(40)] for k in range(len(NAMES))])


def published(root: Path, anno: str = "Anno", evaluation: str = "Eval") -> Path:
    write(root, f"{anno}/list_attr_celeba.txt", attributes_txt())
    write(root, f"{anno}/identity_CelebA.txt", pairs(range(10, 16)))
    write(root, f"{evaluation}/list_eval_partition.txt", pairs(PARTS))
    write(root, f"{anno}/list_landmarks_align_celeba.txt", points_txt())
    return root


def check(faces: FaceFolder) -> None:
    known = faces.annotations
    assert faces.layout == "celeba"
    assert np.array_equal(known.attributes, TRUTH)
    assert known.identity.tolist() == list(range(10, 16))
    assert known.partition.tolist() == list(PARTS)
    assert known.landmarks[3, 0].tolist() == [30, 31]


@pytest.mark.parametrize("opened", ["", "Img", "Img/img_align_celeba", "up"])
def test_the_published_folders_are_read_at_every_level(tmp_path: Path, opened: str) -> None:
    root = published(tmp_path / "CelebA")
    put(root, *(f"Img/img_align_celeba/{name}" for name in NAMES))
    faces = FaceFolder(tmp_path if opened == "up" else root / opened)
    check(faces)
    assert faces.notes == ()


@pytest.mark.parametrize("folder", ["img_align_celeba_png", "img_align_celeba"])
def test_tables_that_say_jpg_are_about_the_png_edition(tmp_path: Path, folder: str) -> None:
    root = published(tmp_path, ".", ".")
    put(root, *(f"{folder}/{name.replace('.jpg', '.png')}" for name in NAMES))
    for where in (root, root / folder):
        faces = FaceFolder(where)
        check(faces)
        assert "6 rows belong to pictures with another suffix (000001.jpg is 000001.png here)" in faces.notes[0]


def test_a_row_goes_to_the_picture_of_its_own_ending_first(tmp_path: Path) -> None:
    put(tmp_path, "000001.jpg", "000001.png", "000002.png")
    write(tmp_path, "identity_CelebA.txt", pairs([7, 8], NAMES[:2]))
    assert FaceFolder(tmp_path).annotations.identity.tolist() == [7, -1, 8]


def test_photos_in_the_wild_get_their_own_points_and_boxes(tmp_path: Path) -> None:
    root = published(tmp_path)
    write(root, "Anno/list_landmarks_celeba.txt", points_txt(add=100))
    write(root, "Anno/list_bbox_celeba.txt", boxes_txt())
    put(root, *(f"Img/img_celeba/{name}" for name in NAMES))
    for where in (root, root / "Img/img_celeba"):
        faces = FaceFolder(where)
        assert faces.annotations.landmarks[3, 0].tolist() == [130, 131]
        assert faces.annotations.boxes is not None
        assert faces.annotations.boxes[3].tolist() == [3, 4, 23, 33]
        assert faces.annotations.partition.tolist() == list(PARTS)


def test_boxes_of_the_photos_are_not_put_on_aligned_pictures(tmp_path: Path) -> None:
    root = published(tmp_path)
    write(root, "Anno/list_bbox_celeba.txt", boxes_txt())
    put(root, *(f"Img/img_align_celeba/{name}" for name in NAMES))
    faces = FaceFolder(root)
    assert faces.annotations.boxes is None
    assert faces.notes == (
        "list_bbox_celeba.txt: its boxes are for the original photos, not for aligned pictures; not used",
    )


def test_every_edition_gets_its_rows(tmp_path: Path) -> None:
    root = published(tmp_path)
    write(root, "Anno/list_landmarks_celeba.txt", points_txt(add=100))
    for edition in ("img_align_celeba", "img_celeba"):
        put(root, *(f"Img/{edition}/{name}" for name in NAMES))
    known = FaceFolder(root).annotations
    assert known.partition.tolist() == list(PARTS) * 2
    assert known.landmarks[:, 0, 0].tolist() == [0, 10, 20, 30, 40, 50, 100, 110, 120, 130, 140, 150]


@pytest.mark.parametrize("words", [("0", "1"), ("0.0", "1.0"), ("-1.0", "1.0"), ("FALSE", "TRUE"), ("False", "True")])
@pytest.mark.parametrize("index", [False, True])
def test_rewritten_tables_of_attributes_mean_the_same(tmp_path: Path, words: tuple[str, str], index: bool) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, "list_attr_celeba.csv", attributes_csv(words, index=index))
    faces = FaceFolder(tmp_path)
    assert np.array_equal(faces.annotations.attributes, TRUTH)
    assert any("0 is read as no" in note for note in faces.notes) == (words[0] in {"0", "0.0"})


def test_an_attribute_that_nobody_has_is_no_in_a_table_without_minus_one(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    write(tmp_path, "list_attr_celeba.csv", "image_id,Male,Bald\n1.jpg,1,0\n2.jpg,0,0\n")
    assert FaceFolder(tmp_path).annotations.attributes[:, [20, 4]].tolist() == [[1, -1], [-1, -1]]
    write(tmp_path, "list_attr_celeba.csv", "image_id,Male,Bald\n1.jpg,1,0\n2.jpg,-1,0\n")
    assert FaceFolder(tmp_path).annotations.attributes[:, [20, 4]].tolist() == [[1, 0], [-1, 0]]


def test_a_table_of_another_name_is_read_by_its_columns_and_said_so(tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, "list_attr_celeba01.csv", attributes_csv(("0", "1")))
    faces = FaceFolder(tmp_path)
    assert np.array_equal(faces.annotations.attributes, TRUTH)
    assert faces.notes[0] == "list_attr_celeba01.csv: read as a table of attributes, by its columns"


def test_two_tables_that_contradict_each_other_are_noted_and_end_what_needs_them(tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, "list_eval_partition.txt", pairs(PARTS))
    write(tmp_path, "list_eval_partition.csv", "image_id,partition\n" + pairs(PARTS, separator=","))
    faces = FaceFolder(tmp_path)
    assert faces.notes == ("list_eval_partition.txt and list_eval_partition.csv agree; the first is read",)
    assert select_rows(faces.annotations)[0].tolist() == [0, 1, 2]
    write(tmp_path, "list_eval_partition.csv", "image_id,partition\n" + pairs(PARTS[::-1], separator=","))
    faces = FaceFolder(tmp_path)
    assert "contradict each other about 6 pictures" in faces.notes[0]
    with pytest.raises(RefusedError, match=r"list_eval_partition.txt and list_eval_partition.csv contradict"):
        select_rows(faces.annotations)
    assert len(select_rows(faces.annotations, "all")[0]) == 6


def test_an_archive_of_the_pictures_is_read_without_unpacking(tmp_path: Path) -> None:
    root = published(tmp_path, ".", ".")
    put(tmp_path / "un", *(f"img_align_celeba/{name}" for name in NAMES))
    with zipfile.ZipFile(root / "img_align_celeba.zip", "w") as archive:
        for name in NAMES:
            archive.write(tmp_path / "un" / "img_align_celeba" / name, f"img_align_celeba/{name}")
            (tmp_path / "un" / "img_align_celeba" / name).unlink()
    faces = FaceFolder(root)
    check(faces)
    assert faces.names[0] == "img_align_celeba.zip/img_align_celeba/000001.jpg"
    assert faces[0][0].shape == (10, 8, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list_eval_partition.txt", "000001.jpg -9223372036854775808\n"),
        ("list_eval_partition.txt", "000001.jpg -99999999999999999999999\n"),
        ("identity_CelebA.txt", "000001.jpg -9223372036854775808\n000003.jpg 1\n"),
        ("identity_CelebA.txt", "000001.jpg " + "9" * 5000 + "\n"),
        ("list_eval_partition.csv", "image_id,partition\n000001.jpg,-9223372036854775808\n"),
        ("list_attr_celeba.csv", "image_id,Male\n000001.jpg,-9223372036854775808\n"),
        ("list_landmarks_align_celeba.txt", "9" * 5000 + "\n" + points_txt().split("\n", 1)[1]),
    ],
)
def test_numbers_beyond_what_a_column_can_hold_are_errors_and_never_zero(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, name, text)
    with pytest.raises(AnnotationError, match=name):
        FaceFolder(tmp_path)
