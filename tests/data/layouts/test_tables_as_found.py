"""Tables as people have them: other separators, other names of pictures, twice the same, and those that disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceaug.clean import clean_folder
from faceaug.clean.tables import filter_metadata, kept_rows
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
    assert any("rows belong to pictures with another separator or suffix" in note for note in folder.notes)
    table = tmp_path / "metadata.csv"
    kept = kept_rows([row["file_name"] for row in read_metadata(table)], {"sub/b.jpg"})
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
