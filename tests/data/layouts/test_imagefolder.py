from __future__ import annotations

from pathlib import Path

import pytest

from faceaug.data.annotations import select_rows
from faceaug.data.folder import FaceFolder
from faceaug.errors import RefusedError
from faceaug.mix import expand_dataset
from tests.data.layouts.made import NAMES, PARTS, pairs, put, write

MALE, YOUNG = 20, 39


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_bools_numbers_and_nothing_are_read_in_every_form(tmp_path: Path, form: str) -> None:
    rows = [
        {"file_name": "1.png", "Male": True, "Young": 1, "age": 30, "caption": "one", "celeb_id": 2880},
        {"file_name": "2.png", "Male": False, "Young": 0, "age": 41, "caption": "two", "celeb_id": 7},
        {"file_name": "3.png", "Male": None, "Young": 1, "age": None, "caption": None, "celeb_id": None},
    ]
    put(tmp_path, "1.png", "2.png", "3.png")
    if form == "csv":
        lines = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
        write(tmp_path, "metadata.csv", "\n".join([",".join(rows[0]), *lines]) + "\n")
    elif form == "jsonl":
        import json

        write(tmp_path, "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert known.attributes[:, MALE].tolist() == [1, -1, 0]
    assert known.attributes[:, YOUNG].tolist() == [1, -1, 1]
    assert known.identity.tolist() == [2880, 7, -1]
    assert known.columns["caption"] == ("one", "two", None)
    assert known.columns["age"] == (30, 41, None)
    assert "2 further columns are kept as they are (age, caption)" in faces.notes


def test_zero_stays_unknown_in_a_folder_that_faceaug_wrote(tmp_path: Path) -> None:
    put(tmp_path / "in", "1.png", "2.png")
    write(tmp_path / "in", "metadata.jsonl", '{"file_name": "1.png", "Male": 1}\n{"file_name": "2.png"}\n')
    expand_dataset(tmp_path / "in", copies=0, synthetic=0, partition="all").save(tmp_path / "out")
    faces = FaceFolder(tmp_path / "out")
    assert sorted(faces.annotations.attributes[:, MALE].tolist()) == [0, 1]
    assert faces.notes == ()


def test_other_columns_that_name_pictures_name_no_faces(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/2.png", "m/1.png")
    write(tmp_path, "metadata.csv", "image_file_name,mask_file_name\na/1.png,m/1.png\na/2.png,\n")
    faces = FaceFolder(tmp_path)
    assert faces.names == ("a/1.png", "a/2.png")
    assert any("1 picture in another column is no face (m/1.png)" in note for note in faces.notes)


def test_lists_of_further_pictures_name_no_faces(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", "train/m/1.png", "train/m/2.png")
    write(tmp_path, "train/metadata.jsonl", '{"file_name": "1.png", "mask_file_names": ["m/1.png", "m/2.png"]}')
    faces = FaceFolder(tmp_path)
    assert faces.names == ("train/1.png",)
    assert any("2 pictures in other columns are no faces (train/m/1.png, train/m/2.png)" in n for n in faces.notes)


@pytest.mark.parametrize("column", ["mask_file_name", "mask_file_names"])
@pytest.mark.parametrize("cell", ["[[]]", "3", "{}", "[3, null]"])
def test_a_column_of_files_with_something_else_in_it_names_none(column: str, cell: str, tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    write(tmp_path, "metadata.jsonl", f'{{"file_name": "1.png", "{column}": {cell}}}')
    assert FaceFolder(tmp_path).names == ("1.png",)


def test_classes_with_words_in_their_names_are_no_parts(tmp_path: Path) -> None:
    put(tmp_path, "Dev_Patel/1.png", "Val_Kilmer/2.png")
    write(tmp_path, "metadata.csv", "file_name,label\nDev_Patel/1.png,Dev_Patel\nVal_Kilmer/2.png,Val_Kilmer\n")
    assert FaceFolder(tmp_path).annotations.partition.tolist() == [-1, -1]


def test_a_column_split_of_words_is_the_partition(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    write(tmp_path, "metadata.csv", "file_name,split\n1.png,train\n2.png,evaluation\n")
    assert FaceFolder(tmp_path).annotations.partition.tolist() == [0, 2]


@pytest.mark.parametrize(
    "classes", [("001", "002", "010"), ("0000045", "0000099"), ("1", "10", "2"), ("None", "null", "true")]
)
def test_names_of_classes_survive_a_save(tmp_path: Path, classes: tuple[str, ...]) -> None:
    put(tmp_path / "in", *(f"{name}/{k}.png" for k, name in enumerate(classes)))
    before = FaceFolder(tmp_path / "in", layout="classes")
    expand_dataset(before, copies=0, synthetic=0, partition="all").save(tmp_path / "out")
    after = FaceFolder(tmp_path / "out")
    assert after.classes == before.classes
    assert after.annotations.label.tolist() == before.annotations.label.tolist()


def test_metadata_and_celebas_tables_that_differ_are_a_question(tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, "metadata.csv", "file_name,partition\n" + pairs(PARTS[::-1], separator=","))
    write(tmp_path, "list_eval_partition.txt", pairs(PARTS))
    faces = FaceFolder(tmp_path)
    with pytest.raises(RefusedError, match=r"layout='imagefolder' or layout='celeba' \(--layout\)"):
        select_rows(faces.annotations)
    assert select_rows(FaceFolder(tmp_path, layout="celeba").annotations)[0].tolist() == [0, 1, 2]
    assert select_rows(FaceFolder(tmp_path, layout="imagefolder").annotations)[0].tolist() == [3, 4, 5]
    write(tmp_path, "metadata.csv", "file_name,partition\n" + pairs(PARTS, separator=","))
    assert select_rows(FaceFolder(tmp_path).annotations)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("number", ["1e300", "-1e39", "9" * 400])
def test_numbers_beyond_float32_are_errors(tmp_path: Path, number: str) -> None:
    from faceaug.errors import AnnotationError

    put(tmp_path, "1.png")
    write(tmp_path, "metadata.csv", f"file_name,nose_x\n1.png,{number}\n")
    with pytest.raises(AnnotationError, match="nose_x is"):
        FaceFolder(tmp_path)


def test_a_column_that_only_sounds_like_one_of_files_stays_as_it_is(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png")
    row = '{"file_name": "1.png", "profile_names": ["ann", "bo"], "mask_file_names": ["m.png"], "profile_name": "x"}'
    write(tmp_path, "train/metadata.jsonl", row)
    columns = FaceFolder(tmp_path).annotations.columns
    assert columns["profile_names"] == (["ann", "bo"],)
    assert columns["mask_file_names"] == (["train/m.png"],)
    assert columns["profile_name"] == ("x",)


def test_minus_one_among_names_of_labels_is_unknown(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png")
    write(tmp_path, "metadata.csv", "file_name,label\n1.png,ann\n2.png,-1\n3.png,bo\n")
    faces = FaceFolder(tmp_path)
    assert faces.classes == ("ann", "bo")
    assert faces.annotations.label.tolist() == [0, -1, 1]


def test_a_class_folder_called_minus_one_is_a_class(tmp_path: Path) -> None:
    put(tmp_path, "-1/1.png", "1/1.png")
    write(tmp_path, "metadata.csv", "file_name,label\n-1/1.png,-1\n1/1.png,1\n")
    faces = FaceFolder(tmp_path)
    assert faces.classes == ("-1", "1")
    assert faces.annotations.label.tolist() == [0, 1]
