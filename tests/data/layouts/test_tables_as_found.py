"""Tables as people have them: other separators, other names of pictures, twice the same, and those that disagree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faceaug.clean import clean_folder
from faceaug.clean.tables import filter_metadata, pictures_of_rows
from faceaug.data.annotations import select_rows, settle
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.data.metadata_files import read_metadata, read_source
from faceaug.errors import AnnotationError, RefusedError
from tests.conftest import picture
from tests.data.layouts.made import NAMES, PARTS, attributes_csv, pairs, put, write

ROWS = (("a.jpg", "x"), ("sub/b.jpg", "y"))


def labelled(root: Path, text: str, name: str = "metadata.csv") -> FaceFolder:
    put(root, *(row[0] for row in ROWS))
    (root / name).write_bytes(text.encode("utf-8"))
    return FaceFolder(root)


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"])
def test_cells_may_be_separated_by_anything(mark: str, end: str, start: str, tmp_path: Path) -> None:
    lines = ("file_name", "label"), *ROWS
    folder = labelled(tmp_path, start + "".join(mark.join(line) + end for line in lines))
    assert [folder.classes[k] for k in folder.annotations.label] == ["x", "y"]


@pytest.mark.parametrize(
    "change", [lambda name: name.replace("/", "\\"), lambda name: name[:-4], lambda n: f"{n[:-3]}PNG"]
)
def test_names_with_another_separator_or_suffix_belong_to_their_picture(change: object, tmp_path: Path) -> None:
    rows = [(change(name), label) for name, label in ROWS]  # type: ignore[operator]
    folder = labelled(tmp_path, "file_name,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    assert [folder.classes[k] for k in folder.annotations.label] == ["x", "y"]
    assert any("with another separator or suffix" in note for note in folder.notes)
    table = tmp_path / "metadata.csv"
    names = [row["file_name"] for row in read_metadata(table)]
    kept = [row == "sub/b.jpg" for row in pictures_of_rows(names, ["sub/b.jpg"], renames={})]
    assert filter_metadata(table, read_source(table), kept).decode() == f"file_name,label\n{rows[1][0]},y\n", (
        "the rows of kept pictures stay in a cleaned copy"
    )


def test_a_column_called_like_one_of_ours_is_kept_in_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    folder = labelled(tmp_path, "file_name,seed,model,requested_by\n" + "".join(f"{name},7,m,me\n" for name, _ in ROWS))
    assert {name: cells[0] for name, cells in folder.annotations.columns.items()} == {
        "seed": 7, "model": "m", "requested_by": "me",
    }  # fmt: skip


def test_two_tables_of_metadata_that_disagree_are_a_question(tmp_path: Path) -> None:
    write(tmp_path, "metadata.jsonl", '{"file_name": "a.jpg", "label": "y", "partition": 2}\n')
    folder = labelled(tmp_path, "file_name,label,partition\na.jpg,x,0\nsub/b.jpg,y,0\n")
    assert any("metadata.csv and metadata.jsonl contradict each other about the label of 1" in n for n in folder.notes)
    with pytest.raises(RefusedError, match="keep the correct one"):
        settle(folder.annotations, ("label",))
    with pytest.raises(RefusedError, match="keep the correct one"):
        select_rows(folder.annotations)
    write(tmp_path, "metadata.jsonl", '{"file_name": "a.jpg", "label": "x", "partition": 0}\n')
    assert "metadata.jsonl: a second table that says the same; not used" in FaceFolder(tmp_path).notes


def test_a_table_in_the_folder_above_is_named(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", "images/b.jpg")
    write(tmp_path, "metadata.csv", "file_name,label\nimages/a.jpg,x\nimages/b.jpg,y\n")
    assert any("metadata.csv in the folder above is not read" in note for note in FaceFolder(tmp_path / "images").notes)
    assert not any("above" in note for note in FaceFolder(tmp_path).notes)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_celebas_tables_with_other_separators_mean_the_same(mark: str, tmp_path: Path) -> None:
    for root, text in ((tmp_path / "a", attributes_csv()), (tmp_path / "b", attributes_csv().replace(",", mark))):
        put(root, *(f"img_align_celeba/{name}" for name in NAMES))
        write(root, "list_attr_celeba.csv", text)
    one, other = FaceFolder(tmp_path / "a"), FaceFolder(tmp_path / "b")
    assert (one.annotations.attributes == other.annotations.attributes).all()
    assert any("its cells are separated by" in note for note in other.notes)


@pytest.mark.parametrize("index", [True, False])
def test_a_cleaned_copy_keeps_the_rows_of_a_table_with_an_index(index: bool, tmp_path: Path) -> None:
    put(tmp_path / "in", *(f"img_align_celeba/{name}" for name in NAMES[:1]))
    for k, name in enumerate(NAMES[1:], start=1):
        put(tmp_path / "in", f"img_align_celeba/{name}", data=encode_png(picture(k, height=40, width=40)))
    write(tmp_path / "in", "list_attr_celeba.csv", attributes_csv(index=index))
    before = FaceFolder(tmp_path / "in").annotations.attributes
    clean_folder(tmp_path / "in", out=tmp_path / "out", progress=False)
    after = FaceFolder(tmp_path / "out")
    rows = [NAMES.index(Path(name).name) for name in after.names]
    assert (after.annotations.attributes == before[rows]).all()


def test_names_without_a_suffix_in_celebas_tables(tmp_path: Path) -> None:
    put(tmp_path, *(f"img_align_celeba/{name}" for name in NAMES))
    write(tmp_path, "list_eval_partition.txt", pairs(PARTS, names=[name[:-4] for name in NAMES]))
    assert FaceFolder(tmp_path).annotations.partition.tolist() == list(PARTS)


@pytest.mark.parametrize(
    ("pictures", "tables", "says"),
    [
        (("train/1.jpg",), {"fairface_label_train.csv": "file,age,gender,race\n" + "train/1.jpg,1,Male,White\n" * 2},
         "has two rows"),
        (("train_00001.jpg",), {"list_patition_label.txt": "train_00001.jpg 5\ntrain_00001.jpg 6\n"}, "has two codes"),
        (("A/A_0001.jpg", "B/B_0001.jpg"), {"peopleDevTrain.txt": "1\nA\t1\n", "peopleDevTest.txt": "2\nA\t1\nB\t1\n"},
         "people of the other list are here too"),
        (("1.jpg",), {f"{part}.json": '{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}'
                      for part in ("train", "val")}, "in another partition too"),
    ],
    ids=["FairFace", "RAF-DB", "LFW", "COCO"],
)  # fmt: skip
def test_rows_that_contradict_each_other_are_an_error(
    pictures: tuple[str, ...], tables: dict[str, str], says: str, tmp_path: Path
) -> None:
    put(tmp_path, *pictures)
    for name, text in tables.items():
        write(tmp_path, name, text)
    with pytest.raises(AnnotationError, match=says):
        FaceFolder(tmp_path)


@pytest.mark.parametrize(
    "words", [("Training", "valid"), ("TRAIN", "Dev"), ("train", "Evaluation"), ("training_set", "test_set")]
)
@pytest.mark.parametrize("wrapper", ["", "data/"])
def test_junk_of_systems_changes_nothing(words: tuple[str, str], wrapper: str, tmp_path: Path) -> None:
    names = [f"{wrapper}{word}/{person}/{k}.jpg" for word in words for person in ("ann", "ben") for k in (1, 2)]
    put(tmp_path / "plain", *names)
    junk = (
        "__MACOSX/x/._1.jpg",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        f"{wrapper}{words[0]}/ann/._1.jpg",
        ".cache/x.jpg",
    )
    put(tmp_path / "junk", *names, *junk)
    plain, found = FaceFolder(tmp_path / "plain"), FaceFolder(tmp_path / "junk")
    assert (found.names, found.classes, found.notes) == (plain.names, plain.classes, plain.notes)
    assert found.classes == ("ann", "ben")
    assert sorted(set(found.annotations.partition.tolist())) in ([0, 1], [0, 2])


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("split", ("train", "test", "holdout")), ("Split", ("train", "val", "test")),
        ("usage", ("Training", "PublicTest", "")),
        ("subset", ("train_set", "test_set", "test_set")), ("split", (0, 1, 2)), ("set", ("trn", "tst", "trn")),
    ],
)  # fmt: skip
def test_a_column_that_may_be_the_partition_is_a_question(
    column: str, cells: tuple[object, ...], tmp_path: Path
) -> None:
    put(tmp_path, "0.png", "1.png", "2.png")
    rows = "".join(f"{k}.png,{cell}\n" for k, cell in enumerate(cells))
    write(tmp_path, "metadata.csv", f"file_name,{column}\n" + rows)
    faces = FaceFolder(tmp_path)
    assert any(f"the column {column} (" in note and "may be the partition" in note for note in faces.notes)
    with pytest.raises(RefusedError, match=rf"{column} .* may be the partition.*partition='all'"):
        select_rows(faces.annotations)
    assert len(select_rows(faces.annotations, "all")[0]) == 3


@pytest.mark.parametrize(
    "cells", [("gold", "silver", "gold"), (3, 1, 2), ("train", "tram", "bus"), (True, False, True)]
)
def test_other_columns_are_no_question(cells: tuple[object, ...], tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png", "2.png")
    write(tmp_path, "metadata.csv", "file_name,kind\n" + "".join(f"{k}.png,{c}\n" for k, c in enumerate(cells)))
    assert FaceFolder(tmp_path).annotations.doubts == ()


def test_an_attribute_that_nobody_has_is_no_in_metadata_without_minus_one(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    write(tmp_path, "metadata.csv", "file_name,Male,Bald\n0.png,1,0\n1.png,0,0\n")
    assert FaceFolder(tmp_path).annotations.attributes[:, [20, 4]].tolist() == [[1, -1], [-1, -1]]
    write(tmp_path, "metadata.csv", "file_name,Male,Bald\n0.png,1,0\n1.png,-1,0\n")
    faces = FaceFolder(tmp_path)
    assert faces.annotations.attributes[:, [20, 4]].tolist() == [[1, 0], [-1, 0]]
    assert "1 column has 0 alone, which is read as unknown (Bald)" in faces.notes


def test_a_table_of_zeros_says_that_they_are_unknown(tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, "list_attr_celeba.csv", attributes_csv(("0", "0")))
    faces = FaceFolder(tmp_path)
    assert not faces.annotations.attributes.any()
    assert any("40 columns have 0 alone, which is read as unknown" in note for note in faces.notes)


@pytest.mark.parametrize("words", [("yes", "no"), ("Yes", "No"), ("TRUE", "False")])
def test_words_for_yes_and_no_are_attributes(words: tuple[str, str], tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    write(tmp_path, "metadata.csv", f"file_name,Male\n0.png,{words[0]}\n1.png,{words[1]}\n")
    assert FaceFolder(tmp_path).annotations.attributes[:, 20].tolist() == [1, -1]


@pytest.mark.parametrize("column", ["identity", "celeb_id"])
def test_identities_may_have_names(column: str, tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png", "2.png", "3.png")
    write(tmp_path, "metadata.csv", f"file_name,{column}\n0.png,n02\n1.png,Ann\n2.png,n02\n3.png,\n")
    faces = FaceFolder(tmp_path)
    assert faces.identities == ("Ann", "n02")
    assert faces.annotations.identity.tolist() == [1, 0, 1, -1]


def test_lists_of_attributes_and_landmarks_are_columns(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png", "2.png")
    rows: list[dict[str, object]] = [
        {"attributes": [1] * 20 + [0] * 20, "landmarks": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]},
        {"attributes": [0] * 40, "landmarks": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]},
        {"attributes": {"Male": True}, "landmarks": [1, 2]},
    ]
    lines = [json.dumps({"file_name": f"{k}.png"} | row) + "\n" for k, row in enumerate(rows)]
    write(tmp_path, "metadata.jsonl", "".join(lines))
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert known.attributes[:, [0, 20]].tolist() == [[1, -1], [-1, -1], [0, 1]]
    assert known.landmarks[0].tolist() == known.landmarks[1].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert known.columns == {"landmarks": (None, None, [1, 2])}, "what is no list of five points is kept"


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_that_counts_the_rows_is_left_out(name: str, tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    write(tmp_path, "metadata.csv", f"{name},file_name,age\n0,0.png,7\n1,1.png,8\n")
    assert FaceFolder(tmp_path).annotations.columns == {"age": (7, 8)}
    write(tmp_path, "metadata.csv", f"{name},file_name,age\n5,0.png,7\n1,1.png,8\n")
    assert FaceFolder(tmp_path).annotations.columns == {"age": (7, 8), name: (5, 1)}


def test_old_macs_line_ends_are_read(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    write(tmp_path, "metadata.csv", "").write_bytes(b"file_name,label\r0.png,x\r1.png,y\r")
    assert FaceFolder(tmp_path).classes == ("x", "y")


def test_a_heading_of_celebas_plain_tables_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    write(tmp_path, "identity_CelebA.txt", "path label\n" + pairs(range(6)))
    assert FaceFolder(tmp_path).annotations.identity.tolist() == list(range(6))
    write(tmp_path, "identity_CelebA.txt", "image_id 9\n" + pairs(range(6)))
    assert any("1 row has no picture" in note for note in FaceFolder(tmp_path).notes), "a row, not a heading"
