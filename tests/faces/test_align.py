from __future__ import annotations

import csv
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceaug.data.annotations import LANDMARKS
from faceaug.data.folder import FaceFolder
from faceaug.data.image import read_image
from faceaug.errors import ArgumentError, ImageError, RefusedError
from faceaug.faces.align import align_folder
from faceaug.faces.align_options import AlignOptions
from faceaug.faces.align_report import AlignReport
from faceaug.storage import ledger as ledgers
from tests.faces.stand_in import GivenFinder, dots_in, face_at, write_photos

PHOTOS = {
    "one.png": [face_at(320, 260, 60)],
    "turned.png": [face_at(320, 260, 50, roll=70)],
    "two.png": [face_at(130, 240, 30), face_at(480, 250, 44)],
    "small.png": [face_at(320, 260, 6)],
    "none.png": [],
    "edge.png": [face_at(20, 30, 40)],
}


def content(folder: Path) -> dict[str, bytes]:
    """The pictures and the table of a folder."""
    kept = {".png", ".jpg", ".csv"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in kept}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, PHOTOS)
    return folder


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> GivenFinder:
    return write_photos(tmp_path_factory.mktemp("again"), PHOTOS)


@pytest.fixture(scope="module")
def aligned(photos: Path, finder: GivenFinder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AlignReport]:
    out = tmp_path_factory.mktemp("aligned") / "out"
    return out, align_folder(photos, out, finder=finder, progress=False)


@pytest.mark.parametrize("template", ["celeba", "celeba-square", "ffhq", "arcface"])
def test_the_landmarks_of_the_table_are_those_of_the_picture(
    photos: Path, finder: GivenFinder, tmp_path: Path, template: Any
) -> None:
    align_folder(photos, tmp_path / "out", template=template, finder=finder, progress=False)
    for name in ("one.png", "turned.png"):
        [row] = [row for row in rows(tmp_path / "out") if row["source_file"] == name]
        image = read_image(tmp_path / "out" / row["file_name"])
        here = np.array([float(row[column]) for column in LANDMARKS]).reshape(5, 2)
        assert np.abs(dots_in(image) - here).max() < 0.004 * image.shape[1] + 0.2
        there = np.array([float(row[f"source_{column}"]) for column in LANDMARKS]).reshape(5, 2)
        assert np.allclose(there, PHOTOS[name][0].landmarks)


def test_the_table_says_where_each_face_came_from(aligned: tuple[Path, AlignReport]) -> None:
    out, _ = aligned
    found = {row["source_file"]: row for row in rows(out)}
    assert sorted(found) == ["edge.png", "one.png", "turned.png", "two.png"]
    row = found["two.png"]
    assert list(row)[:10] == [
        "file_name", "source_file", "face", "score", "roll", "eye_distance", "x0", "y0", "x1", "y1",
    ]  # fmt: skip
    assert (row["file_name"], row["face"], row["eye_distance"]) == ("two.png", "0", "44.00")
    assert [float(row[name]) for name in ("x0", "y0", "x1", "y1")] == pytest.approx((436, 192.8, 524, 307.2))
    assert float(found["turned.png"]["roll"]) == pytest.approx(70, abs=0.01)


def test_the_report_names_what_is_odd(aligned: tuple[Path, AlignReport], photos: Path) -> None:
    out, report = aligned
    assert (report.photos, report.faces, report.aligned) == (6, 6, 4)
    assert report.pictures == {
        "no face": ("none.png",),
        "several": ("two.png",),
        "tiny": ("small.png",),
        "turned": ("turned.png",),
        "cut off": ("edge.png",),
        "enlarged": (),
        "unreadable": (),
    }
    text = report.summary()
    assert "4 of 6 faces found in 6 photos: 178x218, template celeba" in text
    assert "photos without a face: 1 (none.png)" in text
    document = json.loads((out / "align.json").read_text())
    assert document["finished"] is True
    assert document["run"]["template"] == "celeba"
    assert document["pictures"]["no_face"] == ["none.png"]
    assert json.loads(json.dumps(report.to_json()))["options"]["padding"] == "replicate"
    assert report.folder == photos


def test_the_page_shows_what_is_odd(aligned: tuple[Path, AlignReport]) -> None:
    page = (aligned[0] / "report.html").read_text()
    assert '"tags":["cut off","no face","several","tiny","turned"]' in page
    assert "photos without a face" in page
    assert "This page shows faces of the folder" in page


def test_all_faces_of_a_photo_get_names_of_their_own(photos: Path, finder: GivenFinder, tmp_path: Path) -> None:
    report = align_folder(photos, tmp_path / "out", faces="all", finder=finder, progress=False)
    assert report.aligned == 5
    found = [(row["file_name"], row["face"], row["eye_distance"]) for row in rows(tmp_path / "out")]
    assert ("two-0.png", "0", "44.00") in found
    assert ("two-1.png", "1", "30.00") in found
    assert len(FaceFolder(tmp_path / "out")) == 5


def test_the_face_in_the_middle_can_be_chosen(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {"a.png": [face_at(120, 260, 50), face_at(330, 260, 30)]})
    align_folder(tmp_path / "photos", tmp_path / "out", faces="center", finder=finder, progress=False)
    assert [(row["face"], row["file_name"]) for row in rows(tmp_path / "out")] == [("1", "a.png")]


def test_faces_whose_eyes_are_too_close_together_are_left_out(
    photos: Path, finder: GivenFinder, tmp_path: Path
) -> None:
    report = align_folder(photos, tmp_path / "out", min_eyes=5, finder=finder, progress=False)
    assert report.pictures["tiny"] == ()
    assert report.pictures["enlarged"] == ("small.png",)
    with pytest.raises(RefusedError, match="no face was found in 6 photos; try a smaller --min-eyes"):
        align_folder(photos, tmp_path / "more", min_eyes=500, finder=finder, progress=False)
    again = align_folder(photos, tmp_path / "more", finder=finder, progress=False)
    assert again.aligned == 4, "nothing is left of the run that was refused"


def test_a_folder_of_people_keeps_labels_partitions_identities_and_columns(tmp_path: Path) -> None:
    faces = {f"{part}/{name}": [face_at(320, 260, 60)] for part in ("a", "b") for name in ("1.png", "2.png")}
    finder = write_photos(tmp_path / "photos", faces)
    lines = [
        {
            "file_name": "a/1.png",
            "label": "ann",
            "partition": 0,
            "identity": 7,
            "Smiling": 1,
            "age": 31,
            "note": "x,y",
        },
        {"file_name": "a/2.png", "label": "ann", "partition": 1, "identity": 7, "Smiling": -1, "age": 32, "note": "z"},
        {"file_name": "b/1.png", "label": "ben", "partition": 2, "identity": 9, "Smiling": 1, "age": None},
        {"file_name": "b/2.png", "partition": 0, "age": 5},
    ]
    (tmp_path / "photos" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    before, after = FaceFolder(tmp_path / "photos"), FaceFolder(tmp_path / "out")
    assert after.names == before.names
    assert after.classes == before.classes == ("ann", "ben")
    for name in ("label", "partition", "identity", "attributes", "weight", "origin"):
        assert np.array_equal(getattr(after.annotations, name), getattr(before.annotations, name)), name
    assert after.annotations.columns["age"] == (31, 32, None, 5)
    assert after.annotations.columns["note"] == ("x,y", "z", None, None)
    assert after.annotations.columns["face"] == (0, 0, 0, 0)
    assert "source_lefteye_x" in after.annotations.columns
    assert after.annotations.source.tolist() == [0, 1, 2, 3]


def test_a_celeba_folder_gives_its_tables_back(celeba_folder: Path, tmp_path: Path) -> None:
    class Middle:
        """Finds one face in the middle of every picture."""

        def find(self, image: NDArray[np.uint8]) -> Sequence[Any]:
            return [face_at(image.shape[1] / 2, image.shape[0] / 2, 12)]

    report = align_folder(celeba_folder, tmp_path / "out", size=32, workers=1, finder=Middle(), progress=False)
    before, after = FaceFolder(celeba_folder), FaceFolder(tmp_path / "out")
    assert [Path(name).name for name in before.names] == list(after.names)
    for name in ("partition", "identity", "attributes"):
        assert np.array_equal(getattr(after.annotations, name), getattr(before.annotations, name)), name
    assert any("landmarks of the photos are not carried along" in note for note in report.notes)
    image, target = after[3]
    assert image.shape == (32, 32, 3)
    assert target["visible"].all()


def test_names_of_class_folders_survive(tmp_path: Path) -> None:
    faces = {f"{person}/1.png": [face_at(320, 260, 60)] for person in ("001", "none", "ben")}
    finder = write_photos(tmp_path / "photos", faces)
    align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    before, after = FaceFolder(tmp_path / "photos"), FaceFolder(tmp_path / "out")
    assert after.classes == before.classes
    assert after.annotations.label.tolist() == before.annotations.label.tolist()
    assert after.names == before.names


def test_pictures_of_one_name_in_two_partitions_stay_apart(tmp_path: Path) -> None:
    faces = {f"{part}/1.png": [face_at(320, 260, 60)] for part in ("train", "test")}
    finder = write_photos(tmp_path / "photos", faces)
    align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    after = FaceFolder(tmp_path / "out")
    assert after.names == ("test/1.png", "train/1.png")
    assert after.annotations.partition.tolist() == [2, 0]


def test_columns_with_the_names_of_this_tables_are_left_out_and_named(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {"a.png": [face_at(320, 260, 60)]})
    (tmp_path / "photos" / "metadata.csv").write_text("file_name,score,hair\na.png,12,red\n")
    report = align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    assert "1 further columns are left out: this table has its own (score)" in report.notes
    columns = FaceFolder(tmp_path / "out").annotations.columns
    assert columns["score"] == (0.9,)
    assert columns["hair"] == ("red",)


def test_names_of_identities_survive_a_second_alignment(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {f"{k}.png": [face_at(320, 260, 60)] for k in range(2)})
    (tmp_path / "photos" / "metadata.csv").write_text("file_name,identity\n0.png,ben\n1.png,ann\n")
    align_folder(tmp_path / "photos", tmp_path / "once", finder=finder, progress=False)
    again = write_photos(tmp_path / "once", {f"{k}.png": [face_at(320, 260, 60)] for k in range(2)})
    report = align_folder(tmp_path / "once", tmp_path / "twice", finder=again, progress=False)
    assert not any("identity_name" in note for note in report.notes if "left out" in note), report.notes
    once, twice = FaceFolder(tmp_path / "once").annotations, FaceFolder(tmp_path / "twice").annotations
    assert once.columns["identity_name"] == twice.columns["identity_name"] == ("ben", "ann")
    assert once.identity.tolist() == twice.identity.tolist() == [1, 0]


def test_the_folder_of_photos_does_not_change(photos: Path, finder: GivenFinder, tmp_path: Path) -> None:
    def facts() -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in photos.iterdir()}

    before = facts()
    align_folder(photos, tmp_path / "out", finder=finder, progress=False)
    assert facts() == before
    with pytest.raises(RefusedError, match="lies inside"):
        align_folder(photos, photos / "out", finder=finder, progress=False)


def test_the_bytes_are_the_same_for_any_number_of_processes(
    photos: Path, finder: GivenFinder, aligned: tuple[Path, AlignReport], tmp_path: Path
) -> None:
    align_folder(photos, tmp_path / "out", workers=2, finder=finder, progress=False)
    assert content(tmp_path / "out") == content(aligned[0])


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align_folder(photos, tmp_path / "whole", faces="all", finder=finder, progress=False)
    add = ledgers.Ledger.add
    seen: list[str] = []

    def stop(self: Any, entries: Any) -> None:
        add(self, entries)
        seen.extend(entry.file for entry in entries)
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(ledgers.Ledger, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        align_folder(photos, tmp_path / "out", faces="all", finder=finder, progress=False)
    assert len(rows(tmp_path / "out")) == 0
    monkeypatch.setattr(ledgers.Ledger, "add", add)
    (tmp_path / "out" / "edge-0.png").write_bytes(b"damaged since")
    with pytest.raises(RefusedError, match='holds another run, which was stopped \\(faces was "all"\\)'):
        align_folder(photos, tmp_path / "out", finder=finder, progress=False)
    calls: list[tuple[str, int, int]] = []
    align_folder(
        photos,
        tmp_path / "out",
        faces="all",
        finder=finder,
        progress=lambda name, done, total, _: calls.append((name, done, total)),
    )
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert ("aligning", 3, 6) in calls
    assert ("aligning again", 1, 1) in calls


def test_a_photo_whose_faces_were_not_all_counted_is_aligned_again(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align_folder(photos, tmp_path / "whole", faces="all", finder=finder, progress=False)
    add = ledgers.Ledger.add

    def stop(self: Any, entries: Any) -> None:
        add(self, entries[:1])
        if len(entries) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ledgers.Ledger, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        align_folder(photos, tmp_path / "out", faces="all", finder=finder, progress=False)
    monkeypatch.setattr(ledgers.Ledger, "add", add)
    align_folder(photos, tmp_path / "out", faces="all", finder=finder, progress=False)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_stopped_run_is_not_continued_with_other_photos_or_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = write_photos(tmp_path / "photos", {f"{k}.png": [face_at(320, 260, 60)] for k in range(3)})
    table = tmp_path / "photos" / "metadata.csv"
    table.write_text("file_name,hair\n0.png,red\n1.png,red\n2.png,red\n")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ledgers.Ledger, "add", stop)
        align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    table.write_text(table.read_text().replace("red", "fair"))
    with pytest.raises(RefusedError, match="its tables changed since"):
        align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    table.write_text(table.read_text().replace("fair", "red"))
    (tmp_path / "photos" / "1.png").touch()
    with pytest.raises(RefusedError, match="its pictures changed since"):
        align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)


@pytest.mark.parametrize("name", ["two.png", "metadata.csv", "report.html"])
def test_a_file_that_somebody_put_into_a_stopped_run_stays(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ledgers.Ledger, "add", stop)
        align_folder(photos, tmp_path / "out", finder=finder, progress=False)
    (tmp_path / "out" / name).unlink(missing_ok=True)
    (tmp_path / "out" / name).write_bytes(b"mine, and no one else's")
    with pytest.raises(RefusedError, match=name):
        align_folder(photos, tmp_path / "out", finder=finder, progress=False)
    assert (tmp_path / "out" / name).read_bytes() == b"mine, and no one else's"
    (tmp_path / "out" / name).unlink()
    assert align_folder(photos, tmp_path / "out", finder=finder, progress=False).aligned == 4


def test_a_continued_run_tries_photos_again_that_could_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [face_at(130, 240, 40), face_at(480, 250, 44)]
    finder = write_photos(tmp_path / "photos", {f"{k}.png": two for k in range(5)})
    align_folder(tmp_path / "photos", tmp_path / "whole", faces="all", finder=finder, workers=1, progress=False)

    def fail(path: Any, **options: Any) -> Any:
        if Path(path).name in {"0.png", "2.png"}:
            raise ImageError(Path(path).name, "the disk was away")
        return read_image(path, **options)

    add, count = ledgers.Ledger.add, []

    def stop(self: Any, entries: Any) -> None:
        count.append(1)
        if len(count) == 5:
            raise KeyboardInterrupt
        add(self, entries)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("faceaug.faces.aligned_face.read_image", fail)
        patched.setattr(ledgers.Ledger, "add", stop)
        align_folder(tmp_path / "photos", tmp_path / "out", faces="all", finder=finder, workers=1, progress=False)
    gc.collect()
    assert not (tmp_path / "out" / "2-0.png").exists()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):  # and stopped once more, after those
        patched.setattr(ledgers.Ledger, "add", stop)
        count[:] = [1] * 4
        align_folder(tmp_path / "photos", tmp_path / "out", faces="all", finder=finder, workers=1, progress=False)
    gc.collect()
    report = align_folder(tmp_path / "photos", tmp_path / "out", faces="all", finder=finder, workers=1, progress=False)
    assert report.unreadable == ()
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_names_that_the_disk_takes_for_one_are_refused_before_anything_is_written(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("faceaug.storage.locks.check_names", lambda _, names: asked.extend(names))
    align_folder(photos, tmp_path / "one", finder=finder, progress=False)
    align_folder(photos, tmp_path / "all", faces="all", format="jpg", finder=finder, progress=False)
    assert {"two.png", "none.png", "two-0.jpg"} <= set(asked)


def test_a_stopped_run_needs_only_the_space_for_the_rest(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("faceaug.storage.files.check_free_space", lambda _, needed: asked.append(needed))

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ledgers.Ledger, "add", stop)
        align_folder(photos, tmp_path / "out", finder=finder, progress=False)
    align_folder(photos, tmp_path / "out", finder=finder, progress=False)
    assert asked[1] < asked[0]


@dataclass(frozen=True)
class Tuned:
    """A finder whose ``repr`` says how it is configured."""

    given: GivenFinder = field(repr=False)
    least: float = 0.5

    def find(self, image: NDArray[np.uint8]) -> Sequence[Any]:
        return self.given.find(image)


class Silent:
    """A finder whose ``repr`` says nothing."""

    def __init__(self, given: GivenFinder) -> None:
        self.find = given.find


def test_a_stopped_run_is_not_continued_with_a_finder_of_another_configuration(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    for name, given in (("tuned", Tuned(finder)), ("silent", Silent(finder))):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(ledgers.Ledger, "add", stop)
            align_folder(photos, tmp_path / name, finder=given, progress=False)
    with pytest.raises(RefusedError, match="its finder changed since"):
        align_folder(photos, tmp_path / "tuned", finder=Tuned(finder, 0.9), progress=False)
    assert align_folder(photos, tmp_path / "tuned", finder=Tuned(finder), progress=False).aligned == 4
    with pytest.raises(RefusedError, match="its finder changed since"):
        align_folder(photos, tmp_path / "silent", finder=Silent(finder), progress=False)


def test_an_unreadable_photo_is_named_and_stops_nothing(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {"a.png": [face_at(320, 260, 60)]})
    (tmp_path / "photos" / "b.png").write_bytes(b"torn")
    report = align_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    assert report.aligned == 1
    assert report.pictures["unreadable"] == ("b.png",)
    assert "b.png" in report.unreadable[0]
    (tmp_path / "photos" / "a.png").write_bytes(b"torn too")
    with pytest.raises(RefusedError, match="no face was found in 2 photos; .*a.png"):
        align_folder(tmp_path / "photos", tmp_path / "more", finder=finder, progress=False)


def test_a_photo_that_lies_on_its_side_by_exif_is_turned_first(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "upright", {"a.png": [face_at(320, 260, 60)]})
    align_folder(tmp_path / "upright", tmp_path / "one", finder=finder, progress=False)
    photo = Image.open(tmp_path / "upright" / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it clockwise
    (tmp_path / "lying").mkdir()
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying" / "a.png", exif=exif)
    align_folder(tmp_path / "lying", tmp_path / "other", finder=finder, progress=False)
    assert (tmp_path / "one" / "a.png").read_bytes() == (tmp_path / "other" / "a.png").read_bytes()


def test_jpg_is_written_on_request(photos: Path, finder: GivenFinder, tmp_path: Path) -> None:
    align_folder(photos, tmp_path / "out", format="jpg", finder=finder, progress=False)
    assert read_image(tmp_path / "out" / "one.jpg").shape == (218, 178, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_hugging_face_datasets_reads_it(
    aligned: tuple[Path, AlignReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    found = datasets.load_dataset("imagefolder", data_dir=str(aligned[0]), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(found) == 4
    assert {"source_file", "score", "lefteye_x", "source_nose_x"} <= set(found.column_names)
    assert found[0]["face"] == 0
    gc.collect()  # datasets leaves the table open; a later test would be told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "dlib"}, "template 'dlib'"),
        ({"faces": "some"}, "faces 'some': expected one of largest, all, center"),
        ({"padding": "black"}, "padding 'black': expected one of replicate, reflect, blur"),
        ({"format": "gif"}, "format 'gif': expected one of png, jpg"),
        ({"min_eyes": -1}, "min_eyes -1"),
        ({"min_eyes": float("nan")}, "min_eyes nan"),
        ({"size": 3}, "size 3: expected a side from 8 to 8192 pixels"),
        ({"size": (64, 1.5)}, "size \\(64, 1.5\\)"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        AlignOptions(**options)


def test_options_know_the_frame_and_padding_of_their_template() -> None:
    assert AlignOptions().frame == (178, 218)
    assert AlignOptions(template="ffhq").border == "blur"
    assert replace(AlignOptions(template="ffhq"), padding="reflect").border == "reflect"
    assert AlignOptions(size=64).frame == (64, 64)
