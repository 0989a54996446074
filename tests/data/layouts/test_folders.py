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
    assert "each partition has one folder (fake, real), which is read as a wrapper, not as a class" in folder.notes


def test_pieces_of_one_partition_are_a_question(tmp_path: Path) -> None:
    put(tmp_path, "train-00000-of-00002/1.jpg", "train-00001-of-00002/2.jpg")
    with pytest.raises(RefusedError, match=r"layout='classes' or layout='splits' \(--layout\)"):
        select_rows(FaceFolder(tmp_path).annotations)
    assert FaceFolder(tmp_path, "splits").annotations.partition.tolist() == [0, 0]


@pytest.mark.parametrize(
    "names",
    [
        ("trainset", "valset", "testset"), ("TrainImages", "ValImages", "TestImages"),
        ("01_train", "02_val", "03_test"),
        ("Training", "PublicTest", "PrivateTest"), ("train2017", "val2017", "test2017"), ("TRAIN", "VALID", "TEST"),
        ("trn", "dev", "tst"), ("faces-train", "faces-dev", "faces-test"),
    ],
)  # fmt: skip
def test_a_word_of_a_partition_counts_within_a_longer_name(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        put(tmp_path, f"{name}/a/1.png", f"{name}/b/2.png")
    faces = FaceFolder(tmp_path)
    said = {name.split("/")[0]: part for name, part in zip(faces.names, faces.annotations.partition, strict=True)}
    assert [said[name] for name in names] == [0, 1, 2]
    assert faces.classes == ("a", "b")


@pytest.mark.parametrize("own", [("train", "test"), ("train_images", "test_images"), ("x/y", "z")])
def test_a_folder_around_all_of_a_partition_is_a_wrapper_and_the_classes_are_below_it(
    own: tuple[str, str], tmp_path: Path
) -> None:
    put(tmp_path, *(f"train/{own[0]}/{kind}/1.png" for kind in "ab"), *(f"test/{own[1]}/{kind}/1.png" for kind in "ab"))
    faces = FaceFolder(tmp_path)
    assert texts(faces) == ["a", "b", "a", "b"]
    assert faces.annotations.partition.tolist() == [2, 2, 0, 0]
    assert any("read as a wrapper" in note for note in faces.notes)


def test_a_folder_called_training_set_beside_another_one_is_a_question(tmp_path: Path) -> None:
    put(tmp_path, "training_set/1.png", "holdout/2.png")
    with pytest.raises(RefusedError, match="training_set could be a partition"):
        select_rows(FaceFolder(tmp_path).annotations)


def test_people_called_val_and_dev_are_classes(tmp_path: Path) -> None:
    put(tmp_path, "Val_Kilmer/1.png", "Tom_Hanks/2.png", "Dev_Patel/3.png")
    faces = FaceFolder(tmp_path)
    assert (len(faces.classes), faces.annotations.doubts) == (3, ())


@pytest.mark.parametrize(("table", "text"), [
    ("metadata.csv", "file_name,caption\na/1.png,x\nb/2.png,y\n"),
    ("instances.json", '{"images": [{"id": 1, "file_name": "a/1.png"}], "annotations": []}'),
    ("dataset.json", '{"labels": null}'),
])  # fmt: skip
def test_class_folders_beside_a_table_without_labels_are_named(table: str, text: str, tmp_path: Path) -> None:
    write(put(tmp_path, "a/1.png", "b/2.png"), table, text)
    faces = FaceFolder(tmp_path)
    assert (faces.classes, set(faces.annotations.label.tolist())) == ((), {-1})
    assert any("2 folders are not read as classes, because the tables decide (a, b)" in note for note in faces.notes)
    assert FaceFolder(tmp_path, "classes").classes == ("a", "b")


@pytest.mark.parametrize(("names", "note"), [
    (("train/a/1.png", "train/b/2.png"), "1 folder is read as a partition (train/)"),
    (("0.png", "a/1.png"), "1 folder is not read as a class: pictures are next to it (a)"),
])  # fmt: skip
def test_a_note_on_one_thing_is_in_the_singular(names: tuple[str, ...], note: str, tmp_path: Path) -> None:
    assert note in FaceFolder(put(tmp_path, *names)).notes
