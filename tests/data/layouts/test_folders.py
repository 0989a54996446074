from __future__ import annotations

from pathlib import Path

import pytest

from faceaug.data.annotations import select_rows
from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, RefusedError
from faceaug.mix import expand_dataset
from tests.data.layouts.made import put, write


def texts(faces: FaceFolder) -> list[str]:
    return [faces.classes[k] if k >= 0 else "" for k in faces.annotations.label.tolist()]


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("training", "validation", "testing"), ("Train", "dev", "eval")]
)
def test_split_folders_are_parts_of_the_data_with_classes_below(tmp_path: Path, words: tuple[str, ...]) -> None:
    for word in words:
        put(tmp_path, f"{word}/rose/1.png", f"{word}/tulip/2.png")
    faces = FaceFolder(tmp_path)
    assert faces.layout == "splits"
    assert faces.classes == ("rose", "tulip")
    said = {
        name.split("/")[0]: part for name, part in zip(faces.names, faces.annotations.partition.tolist(), strict=True)
    }
    assert [said[word] for word in words] == [0, 1, 2]
    assert texts(faces) == ["rose", "tulip"] * 3
    assert faces.notes[0].startswith("3 folders are read as partitions (")
    assert select_rows(faces.annotations)[0].tolist() == [
        k for k, n in enumerate(faces.names) if n.startswith(words[0])
    ]


@pytest.mark.parametrize("below", ["", "images/", "rose/"])
def test_split_folders_without_classes_have_none(tmp_path: Path, below: str) -> None:
    put(tmp_path, f"train/{below}1.png", f"train/{below}2.png", f"test/{below}3.png")
    faces = FaceFolder(tmp_path)
    assert (faces.classes, faces.annotations.partition.tolist()) == ((), [2, 0, 0])


def test_parts_may_lie_below_the_classes_and_below_a_wrapper(tmp_path: Path) -> None:
    put(tmp_path, "data/cat/train/1.png", "data/cat/test/2.png", "data/dog/train/3.png")
    faces = FaceFolder(tmp_path)
    assert faces.layout == "splits"
    assert texts(faces) == ["cat", "cat", "dog"]
    assert faces.annotations.partition.tolist() == [2, 0, 0]


def test_parts_below_classes_of_which_one_is_called_test_are_the_complete_level(tmp_path: Path) -> None:
    put(tmp_path, "test/train/1.png", "test/val/2.png", "happy/train/3.png", "happy/val/4.png")
    faces = FaceFolder(tmp_path)
    assert (faces.classes, faces.annotations.partition.tolist()) == (("happy", "test"), [0, 1, 0, 1])


def test_one_folder_called_train_is_a_part_and_no_class(tmp_path: Path) -> None:
    faces = FaceFolder(put(tmp_path, "train/1.png", "train/2.png"))
    assert (faces.classes, faces.annotations.partition.tolist()) == ((), [0, 0])


def test_words_within_names_count_where_every_folder_has_one(tmp_path: Path) -> None:
    put(tmp_path, "seg_train/a/1.png", "seg_train/b/2.png", "seg_test/a/3.png", "seg_test/b/4.png")
    faces = FaceFolder(tmp_path)
    assert (faces.classes, faces.annotations.partition.tolist()) == (("a", "b"), [2, 2, 0, 0])
    assert "by a word in their names" in faces.notes[0]
    people = FaceFolder(put(tmp_path / "people", "Dev_P/1.png", "Val_K/2.png", "Ann_T/3.png"))
    assert people.classes == ("Ann_T", "Dev_P", "Val_K")


def test_pictures_of_the_test_part_are_not_trained_on(tmp_path: Path) -> None:
    put(tmp_path, *(f"{part}/{kind}/{k}.png" for part in ("train", "test") for kind in "ab" for k in range(3)))
    more = expand_dataset(tmp_path, copies=1, synthetic=0)
    used = FaceFolder(tmp_path)
    assert len(more) == 12
    assert {used.names[row].split("/")[0] for row in more.plan.used.tolist()} == {"train"}


@pytest.mark.parametrize(("other", "default"), [("extra", "splits"), ("holdout", "splits")])
def test_parts_beside_other_folders_are_a_question_for_what_depends_on_it(
    tmp_path: Path, other: str, default: str
) -> None:
    put(tmp_path, "train/1.png", "test/2.png", f"{other}/3.png")
    faces = FaceFolder(tmp_path)
    assert faces.layout == default
    assert any("may be read as splits" in note and "or classes" in note for note in faces.notes)
    with pytest.raises(RefusedError, match=r"layout='splits' or layout='classes' \(--layout\), or partition='all'"):
        expand_dataset(tmp_path, copies=0, synthetic=0)
    assert len(expand_dataset(tmp_path, copies=0, synthetic=0, partition="all")) == 3
    parts, classes = FaceFolder(tmp_path, layout="splits"), FaceFolder(tmp_path, layout="classes")
    assert select_rows(parts.annotations)[0].tolist() == [2]
    assert classes.classes == tuple(sorted(["train", "test", other]))
    assert select_rows(classes.annotations)[1]


def test_a_class_called_test_is_a_question(tmp_path: Path) -> None:
    put(tmp_path, "test/1.png", "happy/2.png", "sad/3.png")
    faces = FaceFolder(tmp_path)
    assert faces.classes == ("happy", "sad", "test")
    with pytest.raises(RefusedError, match="splits"):
        select_rows(faces.annotations)


@pytest.mark.parametrize("wrapper", ["images", "data/images", "lfw/lfw"])
def test_a_lone_wrapper_is_no_class(tmp_path: Path, wrapper: str) -> None:
    faces = FaceFolder(put(tmp_path, f"{wrapper}/1.png", f"{wrapper}/2.png"))
    assert (faces.layout, faces.classes, faces.annotations.label.tolist()) == ("flat", (), [-1, -1])
    assert faces.notes == (f"all pictures are in {wrapper}/, which is read as a wrapper, not as a class",)
    assert FaceFolder(tmp_path, layout="classes").classes == (wrapper.split("/", maxsplit=1)[0],)


def test_classes_below_a_wrapper_are_classes(tmp_path: Path) -> None:
    faces = FaceFolder(put(tmp_path, "set/set/a/1.png", "set/set/b/2.png"))
    assert texts(faces) == ["a", "b"]
    assert faces.notes == (
        "2 folders are read as classes (a, b)", "set/set/ is read as a wrapper: all pictures are in it"
    )  # fmt: skip


def test_a_table_and_the_folders_that_disagree_about_parts_are_a_question(tmp_path: Path) -> None:
    put(tmp_path, "train/000001.jpg", "test/000002.jpg")
    write(tmp_path, "list_eval_partition.txt", "000001.jpg 2\n000002.jpg 2\n")
    faces = FaceFolder(tmp_path)
    assert faces.annotations.partition.tolist() == [2, 2]
    with pytest.raises(RefusedError, match="1 picture is in another partition by folder"):
        select_rows(faces.annotations)
    assert FaceFolder(tmp_path, layout="splits").annotations.partition.tolist() == [2, 0]


def test_a_layout_that_is_none_or_does_not_fit_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    with pytest.raises(ArgumentError, match="layout 'lfv': expected one of imagefolder, "):
        FaceFolder(tmp_path, layout="lfv")
    from faceaug.data.layouts import LAYOUTS

    for layout in LAYOUTS:
        if layout not in {"flat", "utkface", "rafdb"}:
            with pytest.raises(ArgumentError, match=r"layout=|for each person"):
                FaceFolder(tmp_path, layout=layout)


def test_one_folder_in_each_partition_is_no_class_and_is_named(tmp_path: Path) -> None:
    put(tmp_path, "train/real/1.jpg", "test/fake/2.jpg")
    folder = FaceFolder(tmp_path)
    assert folder.classes == ()
    assert "each partition has one folder (fake, real), which is no class" in folder.notes


def test_pieces_of_one_partition_are_a_question(tmp_path: Path) -> None:
    put(tmp_path, "train-00000-of-00002/1.jpg", "train-00001-of-00002/2.jpg")
    with pytest.raises(RefusedError, match=r"layout='classes' or layout='splits' \(--layout\)"):
        select_rows(FaceFolder(tmp_path).annotations)
    assert FaceFolder(tmp_path, "splits").annotations.partition.tolist() == [0, 0]
