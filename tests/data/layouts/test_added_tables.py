from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from faceaug import CleanPolicy, FaceFolder, clean_folder, split_folder
from faceaug.data.annotations import LANDMARKS, select_rows
from faceaug.data.layouts.landmark_table import landmark_csv
from faceaug.errors import AnnotationError, RefusedError
from tests.data.layouts.made import NAMES, put

PICTURES = "img_align_celeba"


@pytest.fixture
def celeba(celeba_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(celeba_folder, tmp_path / "celeba"))


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return put(tmp_path / "set", *(f"people/p{person}/{name}" for person in range(4) for name in NAMES[:2]))


def test_the_folder_of_the_pictures_has_the_split_of_the_folder_above(celeba: Path) -> None:
    split_folder(celeba, (60, 20, 20))
    whole, inside = FaceFolder(celeba), FaceFolder(celeba / PICTURES)
    assert inside.layout == "celeba"
    assert np.array_equal(whole.annotations.partition, inside.annotations.partition)
    assert any(note.startswith("partitions are those of ../faceaug-split.csv (60 pictures)") for note in inside.notes)


def test_the_split_is_found_from_every_folder_in_every_layout(people: Path) -> None:
    split_folder(people, (50, 25, 25), by="class")
    whole = FaceFolder(people)
    part = dict(zip(whole.names, whole.annotations.partition.tolist(), strict=True))
    for inside in ("people", "people/p1"):
        folder = FaceFolder(people / inside)
        assert [part[f"{inside}/{name}"] for name in folder.names] == folder.annotations.partition.tolist()
    assert not any("split" in note for note in FaceFolder(put(people / "other", *NAMES)).notes)


def test_the_table_in_the_folder_comes_before_the_one_above(people: Path) -> None:
    split_folder(people, (50, 25, 25), by="class")
    split_folder(people / "people", (0, 0, 1), by="class")
    assert set(FaceFolder(people / "people").annotations.partition.tolist()) == {2}


def test_another_split_below_the_folder_is_a_question(celeba: Path) -> None:
    split_folder(celeba / PICTURES, (60, 20, 20))
    folder = FaceFolder(celeba)
    with pytest.raises(RefusedError, match="have another partition in img_align_celeba/faceaug-split.csv"):
        select_rows(folder.annotations, "train")
    assert any("another partition in img_align_celeba/faceaug-split.csv" in note for note in folder.notes)
    split_folder(celeba, (60, 20, 20))
    assert len(select_rows(FaceFolder(celeba).annotations, "train")[0])


def test_another_file_of_that_name_below_is_only_named(people: Path) -> None:
    (people / "people" / "faceaug-split.csv").write_text("file_name,score\np0/000001.jpg,3\n")
    assert any("people/faceaug-split.csv" in note for note in FaceFolder(people).notes)


def test_a_wrong_part_in_the_table_above_is_an_error(people: Path) -> None:
    (people / "faceaug-split.csv").write_text(f"file_name,partition,group\npeople/p0/{NAMES[0]},trian,p0\n")
    with pytest.raises(AnnotationError, match="partition 'trian'"):
        FaceFolder(people / "people" / "p0")


def test_landmarks_of_the_folder_above_are_read(people: Path) -> None:
    points = {f"people/p0/{name}": [float(k) for k in range(len(LANDMARKS))] for name in NAMES[:2]}
    (people / "landmarks.csv").write_bytes(landmark_csv(points))
    folder = FaceFolder(people / "people")
    assert (~np.isnan(folder.annotations.landmarks).any(axis=(1, 2))).sum() == 2
    assert "../landmarks.csv: the landmarks of 2 pictures" in folder.notes
    assert not any("landmarks" in note for note in FaceFolder(people / "people" / "p1").notes)


def test_a_table_above_that_is_not_of_landmarks_is_left_alone(people: Path) -> None:
    (people / "landmarks.csv").write_text("mine\n1\n")
    assert not any("landmarks" in note for note in FaceFolder(people / "people").notes)


@pytest.mark.parametrize("split", ["", PICTURES])
def test_a_cleaned_copy_of_the_pictures_alone_keeps_their_split(celeba: Path, split: str) -> None:
    shutil.copy(celeba / PICTURES / "000002.png", celeba / PICTURES / "000061.png")
    split_folder(celeba / split, (60, 20, 20), by="picture")
    clean_folder(celeba / PICTURES, CleanPolicy(), out=celeba.parent / "copy")
    before, copy = FaceFolder(celeba / PICTURES), FaceFolder(celeba.parent / "copy")
    part = dict(zip(before.names, before.annotations.partition.tolist(), strict=True))
    assert len(copy) == len(before) - 1
    assert [part[Path(name).name] for name in copy.names] == copy.annotations.partition.tolist()
    assert not any("names no picture" in note for note in copy.notes)
