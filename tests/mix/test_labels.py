"""Labels of a saved set are the same to whoever reads it."""

from __future__ import annotations

import csv
import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceaug import FaceFolder, expand_dataset
from faceaug.data.image import encode_png
from faceaug.data.manifest import is_plain_text
from tests.conftest import picture

ODD = ("001", "0000045", "None", "NA", "null", "true", "rose")


def put(folder: Path, *names: str) -> Path:
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_png(picture(k, height=24, width=24)))
    return folder


def by_hugging_face(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    files = {"data_files": str(folder / "*.tar")} if kind == "webdataset" else {"data_dir": str(folder)}
    return datasets.load_dataset(kind, split="train", cache_dir=str(folder.parent / "cache"), **files)


@pytest.mark.parametrize("format", ["png", "webdataset"])
@pytest.mark.parametrize("names", [ODD, ("rose", "tulip"), ("1", "2", "10")])
def test_class_names_and_numbers_come_back(names: tuple[str, ...], format: Any, tmp_path: Path) -> None:
    before = FaceFolder(put(tmp_path / "in", *(f"{name}/{k}.png" for name in names for k in range(2))))
    report = expand_dataset(before, copies=1, synthetic=0, partition="all").save(tmp_path / "out", format=format)
    again = FaceFolder(report.out)
    assert again.classes == before.classes == tuple(sorted(names))
    assert sorted(again.annotations.label.tolist()) == sorted(2 * before.annotations.label.tolist())
    if format == "png":
        for name, label in zip(again.names, again.annotations.label.tolist(), strict=True):
            assert name.split("/")[0] == again.classes[label]


def test_a_class_without_pictures_keeps_its_number(tmp_path: Path) -> None:
    before = FaceFolder(put(tmp_path / "in", "train/b/1.png", "train/c/2.png", "test/a/3.png"))
    assert before.classes == ("a", "b", "c")
    for kind in ("png", "webdataset"):
        report = expand_dataset(before, copies=0, synthetic=0).save(tmp_path / kind, format=kind)
        again = FaceFolder(report.out)
        assert (again.classes, again.annotations.label.tolist()) == (("a", "b", "c"), [1, 2])


def test_an_order_that_is_not_that_of_the_names_is_kept(tmp_path: Path) -> None:
    class Listed(list[tuple[np.ndarray, int]]):
        classes = ("tulip", "rose")

    faces = Listed([(picture(k, height=24, width=24), k % 2) for k in range(4)])
    expand_dataset(faces, copies=0, synthetic=0, partition="all").save(tmp_path / "out")  # type: ignore[arg-type]
    again = FaceFolder(tmp_path / "out")
    assert again.classes == ("tulip", "rose")
    (tmp_path / "out" / "dataset.json").unlink()
    assert FaceFolder(tmp_path / "out").classes == ("tulip", "rose")  # from the column of names


def test_a_table_with_names_as_labels_is_still_read(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\na.png,tulip\nb.png,rose\nc.png,\n")
    folder = FaceFolder(tmp_path)
    assert (folder.classes, folder.annotations.label.tolist()) == (("rose", "tulip"), [1, 0, -1])
    (tmp_path / "metadata.csv").write_text("file_name,label,class\na.png,7,x\nb.png,7,y\nc.png,8,z\n")
    folder = FaceFolder(tmp_path)  # not one to one: another thing
    assert (folder.classes, folder.annotations.label.tolist()) == ((), [7, 7, 8])
    assert folder.annotations.columns["class"] == ("x", "y", "z")


def test_every_column_has_one_type_in_every_row(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.png", "b.png")
    points = ",".join(f"{name}_{axis}" for name in ("lefteye", "righteye", "nose") for axis in "xy")
    (tmp_path / "in" / "metadata.csv").write_text(f"file_name,{points}\na.png,1,2,3,4,5,6\nb.png,1.5,2,3,4,5,6\n")
    report = expand_dataset(tmp_path / "in", copies=1, synthetic=0, partition="all").save(tmp_path / "out")
    with (report.out / "metadata.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        assert row["model"] == "none"
        assert isinstance(json.loads(row["operations"]), list)
        assert "." in row["lefteye_x"]
        assert "." in row["weight"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("names", [ODD, ("rose", "tulip")])
def test_hugging_face_reads_the_same_labels(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = FaceFolder(put(tmp_path / "in", *(f"{name}/{k}.png" for name in names for k in range(2))))
    dataset = expand_dataset(before, copies=0, synthetic=0, partition="all")
    dataset.save(tmp_path / "files")
    dataset.save(tmp_path / "shards", format="webdataset")
    wanted = before.annotations.label.tolist()
    table = by_hugging_face(tmp_path / "files", "imagefolder", monkeypatch)
    assert sorted(table["label"]) == wanted
    assert ("class" in table.column_names) == (names != ODD)
    samples = [row["json"] for row in by_hugging_face(tmp_path / "shards", "webdataset", monkeypatch)]
    assert [(row["label"], row["class"]) for row in samples] == [(k, before.classes[k]) for k in wanted]
    gc.collect()  # datasets leaves its files open


@pytest.mark.parametrize("name", ["", "1", "1e5", "nan", "-inf", "NA", "None", "TRUE"])
def test_a_name_that_a_reader_of_csv_takes_for_something_else_is_no_plain_text(name: str) -> None:
    assert not is_plain_text(name)
    assert is_plain_text(f"{name}x")
