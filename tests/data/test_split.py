from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from faceaug import CleanPolicy, FaceFolder, clean_folder, split_folder
from faceaug.cli import cli
from faceaug.data.split import parse_shares
from faceaug.errors import AnnotationError, ArgumentError, RefusedError

TABLE = "faceaug-split.csv"


@pytest.fixture
def celeba(celeba_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(celeba_folder, tmp_path / "celeba"))


@pytest.fixture
def people(tmp_path: Path) -> Path:
    for person in range(10):
        (tmp_path / "people" / f"p{person}").mkdir(parents=True)
        for k in range(4):
            picture = np.random.default_rng(4 * person + k).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(picture).save(tmp_path / "people" / f"p{person}" / f"{k}.png")
    return tmp_path / "people"


def test_nobody_is_in_two_parts_and_the_folder_is_read_with_the_new_parts(celeba: Path) -> None:
    report = split_folder(celeba, (60, 20, 20))
    folder = FaceFolder(celeba)
    known = folder.annotations
    assert {name: int((known.partition == k).sum()) for k, name in enumerate(report.pictures)} == report.pictures
    assert sum(report.pictures.values()) == len(folder)
    for person in np.unique(known.identity):
        assert len(np.unique(known.partition[known.identity == person])) == 1
    assert report.changed > 0
    assert any(note.startswith(f"partitions are those of {TABLE} (60 pictures); ") for note in folder.notes)
    assert not any("not read" in note for note in folder.notes)
    assert report.groups["train"] == 18
    assert "in val" in report.deviates or "in test" in report.deviates or "in train" in report.deviates


def test_class_folders_that_are_people_are_kept_together_if_asked(people: Path) -> None:
    with pytest.raises(RefusedError, match=r"no identity is known; by='class' \(--by class\) keeps each of its 10 cl"):
        split_folder(people)
    assert split_folder(people, by="class").pictures == {"train": 32, "val": 4, "test": 4}
    folder = FaceFolder(people)
    assert folder.layout == "classes"
    assert folder.classes == tuple(f"p{k}" for k in range(10))
    for k in range(10):
        assert len(np.unique(folder.annotations.partition[folder.annotations.label == k])) == 1


def test_single_pictures_give_each_part_its_share_of_every_class(people: Path) -> None:
    report = split_folder(people, (0.5, 0, 0.5), by="picture")
    assert report.pictures == {"train": 20, "val": 0, "test": 20}
    known = FaceFolder(people).annotations
    for k in range(10):
        assert (known.partition[known.label == k] == 0).sum() == 2
    assert report.largest_deviation == 0


def test_a_second_split_replaces_the_first_but_not_a_file_of_the_user(people: Path) -> None:
    split_folder(people, by="class", seed=1)
    first = (people / TABLE).read_bytes()
    assert split_folder(people, by="class", seed=2).changed > 0
    assert (people / TABLE).read_bytes() != first
    (people / TABLE).write_text("file_name,score\np0/0.png,3\n")
    with pytest.raises(AnnotationError, match="partition"):
        FaceFolder(people)
    other = people.parent / "mine.csv"
    other.write_text("mine\n")
    (people / TABLE).unlink()
    with pytest.raises(RefusedError, match=r"mine\.csv"):
        split_folder(people, by="class", out=other)
    split_folder(people, by="class", out=other, overwrite=True)
    assert other.read_text().startswith("file_name,partition,group\n")
    assert not (people / TABLE).exists()


def test_pictures_without_an_identity_are_left_out_and_counted(celeba: Path) -> None:
    table = celeba / "identity_CelebA.txt"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[6:]))
    report = split_folder(celeba)
    assert report.left_out == 6
    assert any(note.startswith("6 pictures are in no part: ") for note in report.notes)
    folder = FaceFolder(celeba)
    assert (folder.annotations.partition == -1).sum() == 6
    assert any(note.startswith(f"6 pictures are not in {TABLE} and in no partition") for note in folder.notes)


def test_pictures_that_are_gone_or_new_are_named(people: Path) -> None:
    split_folder(people, by="class")
    (people / "p0" / "0.png").rename(people / "p0" / "new.png")
    notes = FaceFolder(people).notes
    assert f"1 picture is not in {TABLE} and in no partition (p0/new.png)" in notes
    assert f"{TABLE}: 1 row names no picture here (p0/0.png)" in notes


def test_a_cleaned_copy_has_the_table_in_step(people: Path) -> None:
    shutil.copy(people / "p1" / "0.png", people / "p1" / "9.png")
    split_folder(people, by="class")
    before = FaceFolder(people)
    clean_folder(people, CleanPolicy(), out=people.parent / "copy")
    copy = FaceFolder(people.parent / "copy")
    assert len(copy) == len(before) - 1
    part = dict(zip(before.names, before.annotations.partition.tolist(), strict=True))
    assert [part[name] for name in copy.names] == copy.annotations.partition.tolist()
    assert not any("names no picture" in note for note in copy.notes)


@pytest.mark.parametrize("line", ["p0/0.png,somewhere,p0", "p0/0.png,,p0"])
def test_a_wrong_part_in_the_table_is_an_error(people: Path, line: str) -> None:
    (people / TABLE).write_text(f"file_name,partition,group\n{line}\n")
    with pytest.raises(AnnotationError, match=r"p0/0\.png: partition .*: expected train, val, test"):
        FaceFolder(people)


def test_a_picture_in_two_parts_is_an_error(people: Path) -> None:
    (people / TABLE).write_text("file_name,partition,group\np0/0.png,train,p0\np0/0.png,val,p0\n")
    with pytest.raises(AnnotationError, match=r"p0/0\.png"):
        FaceFolder(people)


@pytest.mark.parametrize("text", ["80/20", "a/b/c", "80/10/-10", "0/0/0", "nan/1/1", "", "1/2/3/4"])
def test_shares_that_are_not_three_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        parse_shares(text)


def test_fewer_groups_than_parts_are_refused(people: Path) -> None:
    for k in range(2, 10):
        shutil.rmtree(people / f"p{k}")
    with pytest.raises(RefusedError, match="2 classes cannot fill 3 parts"):
        split_folder(people, by="class")


def test_three_classes_fill_three_parts(people: Path) -> None:
    for k in range(3, 10):
        shutil.rmtree(people / f"p{k}")
    assert split_folder(people, by="class").groups == {"train": 1, "val": 1, "test": 1}


def test_names_that_are_not_utf8_are_left_out_and_the_table_can_be_read(people: Path) -> None:
    odd = os.fsdecode(b"p0/\xff.png")
    (people / "p0" / "0.png").rename(people / odd)
    report = split_folder(people, by="class")
    assert report.left_out == 1
    assert any(note.startswith("1 name is not in UTF-8 and left out (") for note in report.notes)
    assert not any("in no part" in note for note in report.notes)
    (people / TABLE).read_text(encoding="utf-8")
    folder = FaceFolder(people)
    assert dict(zip(folder.names, folder.annotations.partition.tolist(), strict=True))[odd] == -1
    assert (folder.annotations.partition >= 0).sum() == 39


def test_the_command_prints_parts_and_json(people: Path) -> None:
    found = CliRunner().invoke(cli, ["split", str(people), "--by", "class", "--parts", "60/20/20", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["pictures"] == {"train": 24, "val": 8, "test": 8}
    said = CliRunner().invoke(cli, ["split", str(people), "--by", "class"])
    assert "train: 32 (80.0%), 8 classes" in said.output
