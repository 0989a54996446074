from __future__ import annotations

import csv
import gc
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_jpeg, encode_png, read_image
from faceaug.deidentify.deidentify_report import DeidentifyReport
from faceaug.deidentify.folder import deidentify_folder, new_names
from faceaug.errors import ArgumentError, ImageError, RefusedError
from faceaug.storage import ledger as ledgers
from tests.faces.stand_in import GivenFinder, digest, face_at, paint, write_photos

PHOTOS = {
    "one.png": [face_at(320, 260, 60)],
    "turned.png": [face_at(320, 260, 50, roll=70)],
    "ann/two.png": [face_at(130, 240, 30), replace(face_at(480, 250, 44), score=0.4)],
    "ann/none.png": [],
    "edge.png": [face_at(20, 30, 40)],
}


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder but the page and the record, which tell the time or paths."""
    kept = {".png", ".jpg", ".webp", ".csv"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in kept}


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as handle:
        return {row["file_name"]: row for row in csv.DictReader(handle)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, PHOTOS)
    return folder


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> GivenFinder:
    return write_photos(tmp_path_factory.mktemp("again"), PHOTOS)


@pytest.fixture(scope="module")
def hidden(photos: Path, finder: GivenFinder) -> tuple[Path, DeidentifyReport]:
    out = photos.with_name("hidden")
    return out, deidentify_folder(photos, out, finder=finder, progress=False)


def test_every_face_is_hidden_under_the_name_of_its_photo(hidden: tuple[Path, DeidentifyReport], photos: Path) -> None:
    out, report = hidden
    assert (report.photos, report.written, report.faces, report.replaced) == (5, 5, 5, 0)
    assert FaceFolder(out).names == FaceFolder(photos).names
    for name, faces in PHOTOS.items():
        before, after = read_image(photos / name), read_image(out / name)
        assert before.shape == after.shape
        for face in faces:
            for x, y in face.landmarks.round().astype(int).tolist():
                if 0 <= y < 520 and 0 <= x < 640:
                    assert (before[y, x] != after[y, x]).any(), (name, x, y)
        assert (before[-5:] == after[-5:]).all()
    assert (read_image(photos / "ann/none.png") == read_image(out / "ann/none.png")).all()


def test_the_report_names_pictures_without_a_face_and_doubtful_ones(hidden: tuple[Path, DeidentifyReport]) -> None:
    out, report = hidden
    assert report.pictures == {
        "nothing hidden": ("ann/none.png",),
        "not sure": ("ann/two.png",),
        "not replaced": (),
        "unreadable": (),
    }
    assert [(one["file"], one["score"]) for one in report.doubtful] == [("ann/two.png", 0.4)]
    text = report.summary()
    assert "5 faces hidden in 5 photos, by blur" in text
    assert "nothing hidden: look at these: 1 (ann/none.png)" in text
    document = json.loads((out / "deidentify.json").read_text())
    assert document["finished"] is True
    assert document["pictures"]["nothing_hidden"] == ["ann/none.png"]
    assert document["doubtful"][0]["box"] == [436.0, 192.8, 524.0, 307.2]
    table = rows(out)
    assert (table["ann/two.png"]["faces_hidden"], table["ann/two.png"]["faces_not_sure"]) == ("2", "1")
    assert table["one.png"]["hidden_by"] == "blur"
    assert table["ann/none.png"]["hidden_by"] == ""


def test_the_page_says_what_it_shows_and_what_to_do_and_no_place_of_the_photos(
    hidden: tuple[Path, DeidentifyReport], photos: Path
) -> None:
    page = (hidden[0] / "report.html").read_text()
    assert '"tags":["not sure","nothing hidden"]' in page
    assert "Look through these before you pass the pictures on" in page
    assert "where nothing was hidden, that is the photo as it was" in page
    assert "do not pass them on" in page
    assert "lower --threshold" in page
    for text in (page, (hidden[0] / "deidentify.json").read_text()):
        assert str(photos) not in text
        assert photos.name not in text


@pytest.mark.parametrize("how", ["mosaic", "fill"])
def test_workers_do_not_change_a_byte(photos: Path, finder: GivenFinder, tmp_path: Path, how: Any) -> None:
    for workers, name in ((1, "one"), (2, "two")):
        deidentify_folder(photos, tmp_path / name, how=how, workers=workers, finder=finder, progress=False)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_stopped_run_is_continued_and_damaged_files_are_made_again(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    deidentify_folder(photos, whole, finder=finder, workers=1, progress=False)
    add, count = ledgers.Ledger.add, []

    def stop(self: Any, entries: Any) -> None:
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        add(self, entries)

    monkeypatch.setattr(ledgers.Ledger, "add", stop)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        deidentify_folder(photos, out, finder=finder, workers=1, progress=False)
    gc.collect()
    monkeypatch.undo()
    assert not (out / "report.html").exists()
    (out / "ann" / "none.png").write_bytes(b"torn")
    with pytest.raises(RefusedError, match="how was"):
        deidentify_folder(photos, out, how="fill", finder=finder, progress=False)
    deidentify_folder(photos, out, finder=finder, workers=1, progress=False)
    assert content(out) == content(whole)
    assert not list(out.rglob("*.partial"))
    with pytest.raises(RefusedError, match="finished run"):
        deidentify_folder(photos, out, finder=finder, progress=False)


def stopped(photos: Path, out: Path, finder: Any) -> None:
    """Begin a run that is stopped after its first photos were written."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ledgers.Ledger, "add", stop)
        deidentify_folder(photos, out, finder=finder, workers=1, progress=False)
    gc.collect()


@pytest.mark.parametrize("name", ["ann/none.png", "metadata.csv", "report.html"])
def test_a_file_that_somebody_put_into_a_stopped_run_stays(
    photos: Path, finder: GivenFinder, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    stopped(photos, out, finder)
    (out / name).unlink(missing_ok=True)
    (out / name).write_bytes(b"file_name,mine\r\n")
    with pytest.raises(RefusedError, match=Path(name).name):
        deidentify_folder(photos, out, finder=finder, workers=1, progress=False)
    assert (out / name).read_bytes() == b"file_name,mine\r\n"
    (out / name).unlink()
    assert deidentify_folder(photos, out, finder=finder, workers=1, progress=False).written == 5


def test_a_run_that_was_stopped_at_its_very_end_knows_its_own_files(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("faceaug.deidentify.folder.finish_output", stop)
        deidentify_folder(photos, tmp_path / "out", finder=finder, workers=1, progress=False)
    report = deidentify_folder(photos, tmp_path / "out", finder=finder, workers=1, progress=False)
    assert report.written == 5
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_stopped_run_is_continued_by_the_same_finder_only(photos: Path, tmp_path: Path) -> None:
    class Nameless:
        def find(self, image: Any) -> tuple[()]:
            return ()

    known = GivenFinder({"ab": [face_at(30, 30, 10)]})
    stopped(photos, tmp_path / "known", known)
    with pytest.raises(RefusedError, match="its finder changed since"):
        deidentify_folder(photos, tmp_path / "known", finder=GivenFinder({}), workers=1, progress=False)
    assert deidentify_folder(photos, tmp_path / "known", finder=known, workers=1, progress=False).written == 5
    stopped(photos, tmp_path / "nameless", Nameless())
    with pytest.raises(RefusedError, match="its finder changed since"):
        deidentify_folder(photos, tmp_path / "nameless", finder=Nameless(), workers=1, progress=False)


def test_a_continued_run_tries_photos_again_that_could_not_be_read(
    photos: Path, finder: GivenFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    deidentify_folder(photos, whole, finder=finder, workers=1, progress=False)

    def fail(path: Any, **_: Any) -> Any:
        if Path(path).name == "edge.png":
            raise ImageError("edge.png", "the disk was away")
        return read_image(path)

    add, count = ledgers.Ledger.add, []

    def stop(self: Any, entries: Any) -> None:
        count.append(1)
        if len(count) == 5:
            raise KeyboardInterrupt
        add(self, entries)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("faceaug.deidentify.hidden_photo.read_image", fail)
        patched.setattr(ledgers.Ledger, "add", stop)
        deidentify_folder(photos, out, finder=finder, workers=1, progress=False)
    gc.collect()
    assert not (out / "edge.png").exists()
    report = deidentify_folder(photos, out, finder=finder, workers=1, progress=False)
    assert report.pictures["unreadable"] == ()
    assert content(out) == content(whole)


def test_files_of_the_new_folder_hold_no_notes_on_the_photos_and_their_place(tmp_path: Path) -> None:
    write_photos(tmp_path / "secretplace", {"1.png": [face_at(320, 260, 60)]})
    photos = tmp_path / "photos"
    finder = write_photos(photos, {"2.png": [face_at(320, 260, 60)]})
    (photos / "1.png").symlink_to(tmp_path / "secretplace" / "1.png")
    (photos / "metadata.csv").write_text("file_name,annsmith\n2.png,red\n")
    given = FaceFolder(photos)
    for word in ("secretplace", "annsmith"):
        assert any(word in note for note in given.notes), word
    out = tmp_path / "out"
    report = deidentify_folder(given, out, drop=("columns",), finder=finder, progress=False)
    for name in ("metadata.csv", "deidentify.json", "report.html"):
        text = (out / name).read_text()
        assert not [word for word in ("secretplace", "annsmith", str(tmp_path)) if word in text], name
    assert set(given.notes) <= set(report.to_json()["notes"])
    assert given.notes[0] in report.summary(verbose=True)


def test_the_notes_on_people_come_first(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {"1.png": [face_at(320, 260, 60)]})
    line = {"file_name": "1.png", "label": "ann", "identity": 7, "caption": "Ann", "faces_hidden": 3, "Smiling": 1}
    (tmp_path / "photos" / "metadata.jsonl").write_text(json.dumps(line) + "\n")
    report = deidentify_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    assert all("--drop" in note for note in report.notes[:4])
    assert report.summary().count("--drop") == 4


def test_a_face_that_no_synthetic_one_replaced_is_hidden_by_blur(tmp_path: Path) -> None:
    faces = {"doubtful.png": [replace(face_at(320, 260, 60), score=0.4)], "none.png": []}
    finder = write_photos(tmp_path / "photos", faces)
    deidentify_folder(tmp_path / "photos", tmp_path / "out", how="synthetic", finder=finder, workers=1, progress=False)
    assert [row["hidden_by"] for row in rows(tmp_path / "out").values()] == ["blur", ""]


def test_photos_that_become_lossless_need_more_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("faceaug.storage.files.check_free_space", lambda _, needed: asked.append(needed))
    for ending in ("jpg", "webp"):
        (tmp_path / ending).mkdir()
        Image.fromarray(paint([])).save(tmp_path / ending / f"1.{ending}")
        deidentify_folder(tmp_path / ending, tmp_path / f"{ending}-out", finder=GivenFinder({}), progress=False)
    sizes = [(tmp_path / ending / f"1.{ending}").stat().st_size for ending in ("jpg", "webp")]
    assert [need - (1 << 20) for need in asked] == [2 * sizes[0], 8 * sizes[1]]


def test_nothing_of_the_files_but_their_pixels_is_kept(tmp_path: Path) -> None:
    image = paint([face_at(320, 260, 60)])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x013B] = 6, "Ann at the sea", "Ben"  # orientation, description, artist
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    (tmp_path / "photos").mkdir()
    options: dict[str, dict[str, Any]] = {".jpg": {"comment": b"of Ann"}, ".png": {}, ".webp": {"lossless": True}}
    for ending, given in options.items():
        Image.fromarray(image).save(tmp_path / "photos" / f"a{ending}", exif=exif, **given)
    deidentify_folder(tmp_path / "photos", tmp_path / "out", workers=1, progress=False, finder=GivenFinder({}))
    for ending in (".jpg", ".png", ".webp"):
        data = (tmp_path / "out" / f"a{ending}").read_bytes()
        assert b"Ann" not in data
        assert b"Ben" not in data
        with Image.open(tmp_path / "out" / f"a{ending}") as picture:
            found = picture.getexif()
            assert 0x0112 not in found
            assert not found.get_ifd(0x8825)
            assert picture.size == (520, 640), "turned as a viewer shows it"
            assert "comment" not in picture.info
            assert "icc_profile" not in picture.info


def test_annotations_are_carried_along_and_dropped_on_demand(tmp_path: Path) -> None:
    faces = {f"{part}/{name}": [face_at(320, 260, 60)] for part in ("a", "b") for name in ("1.png", "2.png")}
    finder = write_photos(tmp_path / "photos", faces)
    lines: list[dict[str, Any]] = [
        {"file_name": "a/1.png", "label": "ann", "partition": 0, "identity": 7, "Smiling": 1, "caption": "Ann laughs"},
        {"file_name": "a/2.png", "label": "ann", "partition": 1, "identity": 7, "Smiling": -1, "caption": "Ann"},
        {"file_name": "b/1.png", "label": "ben", "partition": 2, "identity": 9, "Smiling": 1, "caption": None},
        {"file_name": "b/2.png", "partition": 0, "caption": "nobody"},
    ]  # fmt: skip
    (tmp_path / "photos" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = deidentify_folder(tmp_path / "photos", tmp_path / "out", finder=finder, progress=False)
    before, after = FaceFolder(tmp_path / "photos"), FaceFolder(tmp_path / "out")
    assert after.names == before.names
    assert after.classes == before.classes == ("ann", "ben")
    for name in ("label", "partition", "identity", "attributes", "weight", "origin"):
        assert np.array_equal(getattr(after.annotations, name), getattr(before.annotations, name)), name
    assert after.annotations.columns["caption"] == ("Ann laughs", "Ann", None, "nobody")
    for word in ("--drop names", "--drop identities", "--drop columns", "--drop labels"):
        assert any(word in note for note in report.notes), word
    drop = ("names", "identities", "labels", "columns")
    bare = deidentify_folder(tmp_path / "photos", tmp_path / "bare", drop=drop, finder=finder, progress=False)
    assert FaceFolder(tmp_path / "bare").names == ("000001.png", "000002.png", "000003.png", "000004.png")
    known = FaceFolder(tmp_path / "bare").annotations
    assert (known.identity == -1).all()
    assert (known.label == -1).all()
    assert np.array_equal(known.partition, before.annotations.partition)
    assert not any("--drop" in note for note in bare.notes)
    for name in ("metadata.csv", "deidentify.json", "report.html"):
        text = (tmp_path / "bare" / name).read_text()
        assert not [word for word in ("Ann", 'ann"', "a/1.png", "laughs") if word in text], name


def test_a_celeba_folder_keeps_its_annotations(celeba_folder: Path, tmp_path: Path) -> None:
    report = deidentify_folder(celeba_folder, tmp_path / "out", finder=GivenFinder({}), progress=False)
    before, after = FaceFolder(celeba_folder), FaceFolder(tmp_path / "out")
    assert after.names == before.names
    for name in ("partition", "identity", "attributes", "landmarks"):
        one, two = (getattr(folder.annotations, name) for folder in (before, after))
        assert np.array_equal(one, two, equal_nan=name == "landmarks"), name
    assert len(report.pictures["nothing hidden"]) == len(before)


def test_other_formats_archives_and_unreadable_photos(tmp_path: Path) -> None:
    image = paint([])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "torn.jpg").write_bytes(encode_jpeg(image)[:500])
    Image.fromarray(image).save(tmp_path / "photos" / "a.gif")
    (tmp_path / "photos" / "b.png").write_bytes(encode_png(image))
    report = deidentify_folder(tmp_path / "photos", tmp_path / "out", finder=GivenFinder({}), progress=False)
    assert sorted(rows(tmp_path / "out")) == ["a.gif.png", "b.png"]
    assert [line.partition(":")[0] for line in report.pictures["unreadable"]] == ["torn.jpg"]
    assert str(tmp_path) not in (tmp_path / "out" / "deidentify.json").read_text()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("x/b.png", encode_png(image))
    deidentify_folder(tmp_path / "all.zip", tmp_path / "unpacked", finder=GivenFinder({}), progress=False)
    assert list(rows(tmp_path / "unpacked")) == ["x/b.png"]


def test_a_folder_without_a_readable_photo_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(RefusedError, match=r"no photo of 1 can be read \(torn\.png: "):
        deidentify_folder(tmp_path / "photos", tmp_path / "out", progress=False)
    assert [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == []


def test_the_output_lies_outside_the_photos(photos: Path, finder: GivenFinder) -> None:
    with pytest.raises(RefusedError, match="lies inside"):
        deidentify_folder(photos, photos / "out", finder=finder, progress=False)
    assert not (photos / "out").exists()


def test_names_that_would_collide_become_numbers() -> None:
    assert new_names(["a/1.jpg", "a/1.bmp"], numbered=False)[0] == ("a/1.jpg", "a/1.bmp.png")
    files, notes = new_names(["1.bmp", "1.bmp.png"], numbered=False)
    assert files == ("000001.png", "000002.png")
    assert any("numbered" in note for note in notes)
    assert new_names(["\udcff.png"], numbered=False)[0] == ("000001.png",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "sparkle"}, "expected one of blur, mosaic, fill, synthetic"),
        ({"drop": ("faces",)}, "expected one of names, identities"),
        ({"keep": ("Happy",)}, "unknown attribute 'Happy'"),
        ({"attributes": {"Smiling": 2}, "how": "synthetic"}, "expected 1 .with. or -1"),
        ({"attributes": {"Smiling": 1}}, "synthetic"),
        ({"threshold": 0.01}, "threshold=0.01"),
        ({"min_face": 2}, "min_face=2"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_wrong_options_are_errors_before_anything_is_written(
    photos: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        deidentify_folder(photos, tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out").exists()


def test_the_same_pixels_are_known_by_their_digest() -> None:
    assert digest(paint([])) == digest(paint([]))
