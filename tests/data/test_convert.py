"""Writing in another layout: every layout with a writer gives back what it says it holds."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

import faceaug
from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.convert import convert_folder
from faceaug.data.convert_report import ConvertReport
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_jpeg, encode_png, read_image
from faceaug.data.layouts import WRITERS
from faceaug.errors import ArgumentError, FaceAugError, RefusedError
from faceaug.storage import files
from tests.conftest import picture, write_celeba
from tests.data.layouts.made import put, write

datasets = pytest.importorskip("datasets")
NAMES = ("001", "0000045", "None", "NA", "null", "true")
FACTS = ("attributes", "identity", "label", "partition", "landmarks", "weight", "origin")


def noise(k: int) -> bytes:
    return encode_png(picture(k, height=12, width=9))


def metadata_folder(root: Path, rows: list[dict[str, Any]], classes: tuple[str, ...] = ()) -> Path:
    """A folder with a picture of its own for each row."""
    for k, row in enumerate(rows):
        put(root, row["file_name"], data=noise(k))
    write(root, "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    if classes:
        write(root, "dataset.json", json.dumps({"run": {"command": "expand"}, "classes": list(classes)}))
    return root


def by_pixels(folder: FaceFolder) -> dict[bytes, int]:
    return {folder.read(k).tobytes(): k for k in range(len(folder))}


def assert_same(report: ConvertReport, before: FaceFolder, after: FaceFolder) -> None:
    """Everything that the report does not say was left out is as before."""
    there, here = by_pixels(after), by_pixels(before)
    assert there.keys() == here.keys()
    rows = [there[key] for key in here]
    order = list(here.values())
    old, new = before.annotations.take(np.array(order)), after.annotations.take(np.array(rows))
    lost = set(report.not_held)
    held = {"attributes": "attributes", "identity": "identities", "label": "labels", "partition": "partitions",
            "landmarks": "landmarks", "weight": "weights", "origin": "origins"}  # fmt: skip
    for name, word in held.items():
        if word not in lost:
            np.testing.assert_array_equal(getattr(new, name), getattr(old, name), err_msg=name)
    if "names of labels" not in lost and before.classes:
        assert texts(after, rows) == texts(before, order)
    if "boxes" not in lost and old.boxes is not None:
        assert new.boxes is not None
        told = ~np.isnan(old.boxes).any(axis=1)
        np.testing.assert_array_equal(new.boxes[told], old.boxes[told])
    if "further columns" not in lost:
        for name, cells in old.columns.items():
            assert new.columns.get(name, (None,) * len(cells)) == cells, name


def texts(folder: FaceFolder, rows: list[int]) -> list[str]:
    return [folder.classes[k] if k >= 0 else "" for k in folder.annotations.label[rows].tolist()]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    classes = tuple(draw(st.permutations(draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4)))))
    known = {name: draw(st.booleans()) for name in ("identity", "part", "points", "box", "signs", "age", "parts_all")}
    rows = []
    folders = draw(st.sampled_from((("",), ("a/", "b/"), ("x y/", ""))))
    for k in range(draw(st.integers(1, 6))):
        row: dict[str, Any] = {"file_name": f"{draw(st.sampled_from(folders))}{k:03d}.png"}
        row["label"] = draw(st.integers(-1, len(classes) - 1)) if classes else -1
        row["class"] = classes[row["label"]] if row["label"] >= 0 else ""
        if known["identity"]:
            row["identity"] = draw(st.integers(-1, 2**40))
        if known["part"]:
            row["partition"] = draw(st.integers(-1, 2))
        if known["points"]:
            points = draw(st.sampled_from((None, 3, 2.25)))
            row |= {f"{eye}_{axis}": points for eye in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
                    for axis in "xy"}  # fmt: skip
        if known["box"]:
            row |= dict(
                zip(("box_x", "box_y", "box_width", "box_height"), (1, 2, draw(st.integers(3, 9)), 4), strict=True)
            )
        if known["signs"]:
            row |= {name: draw(st.sampled_from((-1, 0, 1))) for name in ATTRIBUTES[:3]}
            row |= {"origin": "real", "sha256": ""}
        if known["age"]:
            row["age"] = draw(st.sampled_from((None, 30, 31)))
        rows.append(row)
    return rows, classes


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables(), layout=st.sampled_from(sorted(WRITERS)))
def test_what_a_layout_holds_comes_back(table: tuple[list[dict[str, Any]], tuple[str, ...]], layout: str) -> None:
    rows, classes = table
    place = Path(tempfile.mkdtemp())
    try:
        before = FaceFolder(metadata_folder(place / "in", rows, classes))
        try:
            report = convert_folder(before, place / "out", layout, progress=False)
        except RefusedError as error:
            assert str(error).endswith("try --to imagefolder")  # noqa: PT017 - nothing to write there
            return
        after = FaceFolder(place / "out")
        if len(after) < len(before) or any(
            word in str(report.notes) for word in ("left out", "numbered anew", "rounded")
        ):
            return  # named
        assert_same(report, before, after)
        assert after.layout == layout
        assert not any("not read" in note for note in after.notes), after.notes
    finally:
        shutil.rmtree(place)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Every kind of name that readers take for something else, with an order that is not that of the names."""
    rows = [
        {"file_name": f"{k:02d}.png", "label": k % 5, "class": NAMES[::-1][k % 5], "partition": 0, "identity": k}
        for k in range(10)
    ]
    return metadata_folder(tmp_path / "people", rows, NAMES[::-1])


def test_parquet_is_typed_for_hugging_face(people: Path, tmp_path: Path) -> None:
    convert_folder(people, tmp_path / "out", "parquet", progress=False)
    read = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert isinstance(read.features["image"], datasets.Image)
    assert read.features["label"].names == list(NAMES[::-1])
    assert [read.features["label"].int2str(k) for k in read["label"]] == [NAMES[::-1][k % 5] for k in range(10)]
    np.testing.assert_array_equal(np.asarray(read[3]["image"]), picture(3, height=12, width=9))


def test_webdataset_is_read_by_hugging_face(people: Path, tmp_path: Path) -> None:
    convert_folder(people, tmp_path / "out", "webdataset", progress=False)
    read = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert [row["class"] for row in read["json"]] == [NAMES[::-1][k % 5] for k in range(10)]


def test_imagefolder_is_read_by_hugging_face_with_its_splits(tmp_path: Path) -> None:
    rows = [
        {
            "file_name": f"{k}.png",
            "label": k % 6,
            "class": NAMES[k % 6],
            "partition": k % 3,
            "age": None if k < 6 else 7,
        }
        for k in range(12)
    ]
    convert_folder(metadata_folder(tmp_path / "in", rows, NAMES), tmp_path / "out", "imagefolder", progress=False)
    read = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in read.items()} == {"train": 4, "validation": 4, "test": 4}
    class_of = {picture(k, height=12, width=9).tobytes(): (NAMES[k % 6], None if k < 6 else 7) for k in range(12)}
    for part in read.values():
        for row in part:  # in an order of its own
            assert (row["class"], row["age"]) == class_of[np.asarray(row["image"]).tobytes()]


def test_class_folders_are_read_by_torchvision(people: Path, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    report = convert_folder(people, tmp_path / "out", "classes", progress=False)
    read = ImageFolder(str(tmp_path / "out" / "train"))
    assert read.classes == sorted(NAMES[::-1][:5])
    found = {np.asarray(image).tobytes(): read.classes[label] for image, label in read}
    assert found == {picture(k, height=12, width=9).tobytes(): NAMES[::-1][k % 5] for k in range(10)}
    assert any("class has no picture and gets no folder (001)" in note for note in report.notes)
    assert any("numbered anew" in note for note in report.notes)
    assert report.not_held == {"identities": 10}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_celebas_tables_are_read_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CelebA

    points = {
        f"{eye}_{axis}": 4.0 for eye in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
    }
    rows = [
        {"file_name": f"{k}.png", "partition": 0, "identity": 7 + k, **points,
         **{name: (-1) ** (k + c) for c, name in enumerate(ATTRIBUTES)}}
        for k in range(3)
    ]  # fmt: skip
    convert_folder(metadata_folder(tmp_path / "in", rows), tmp_path / "celeba", "celeba", progress=False)
    boxes = "3\nx_1 y_1 width height\n" + "".join(f"{k}.png 1 1 4 4\n" for k in range(3))
    write(tmp_path / "celeba", "list_bbox_celeba.txt", boxes)  # torchvision wants all five tables
    monkeypatch.setattr(CelebA, "_check_integrity", lambda _: True)  # of the published files
    read = CelebA(str(tmp_path), target_type=["attr", "identity", "landmarks"])
    assert [int(target[1]) for _, target in read] == [7, 8, 9]
    assert read[1][1][0].tolist() == [(1 + c) % 2 == 0 for c in range(40)]
    assert read[2][1][2].tolist() == [4] * 10


def test_coco_has_what_its_readers_ask_for(tmp_path: Path) -> None:
    points = {
        f"{eye}_{axis}": 4.25 for eye in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
    }
    box = {"box_x": 1, "box_y": 2, "box_width": 5, "box_height": 6}
    rows = [{"file_name": "a.png", **points, **box}, {"file_name": "b.png", "lefteye_x": 3, "lefteye_y": 4}]
    report = convert_folder(metadata_folder(tmp_path / "in", rows), tmp_path / "out", "coco", progress=False)
    found = json.loads((tmp_path / "out" / "annotations" / "faces.json").read_text())
    first, second = found["annotations"]
    assert (first["bbox"], first["area"], first["num_keypoints"]) == ([1, 2, 5, 6], 30, 5)
    assert first["keypoints"][:3] == [4.75, 4.75, 2]
    assert (second["bbox"], second["num_keypoints"], second["keypoints"][3:6]) == ([0, 0, 9, 12], 1, [0, 0, 0])
    assert [(tmp_path / "out" / "images" / image["file_name"]).is_file() for image in found["images"]] == [True, True]
    assert any("1 picture has no box" in note for note in report.notes)


def test_stylegans_list_and_our_manifest_are_told_apart_by_content(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_folder(people, out, "stylegan", progress=False)
    assert json.loads((out / "dataset.json").read_text())["labels"][7] == ["07.png", 2]
    assert FaceFolder(out).layout == "stylegan"
    assert FaceFolder(people).layout == "imagefolder"
    assert FaceFolder(people).classes == NAMES[::-1]
    (people / "metadata.jsonl").unlink()  # the manifest alone
    left = FaceFolder(people)
    assert left.layout == "flat"


def test_a_zip_of_stylegan_and_conditions_of_eg3d_are_read(tmp_path: Path) -> None:
    put(tmp_path / "in", "00000/img00000000.png", "00000/img00000001.png")
    labels = [["00000/img00000000.png", [0.5, 1]], ["00000\\img00000001.png", [2, 3]]]
    write(tmp_path / "in", "dataset.json", json.dumps({"labels": labels}))
    shutil.make_archive(str(tmp_path / "faces"), "zip", tmp_path / "in")
    for folder in (FaceFolder(tmp_path / "in"), FaceFolder(tmp_path / "faces.zip")):
        assert (folder.layout, folder.classes) == ("stylegan", ())
        assert folder.annotations.columns["condition"] == ([0.5, 1], [2, 3])


@pytest.mark.parametrize(
    "labels", ["3", '[["a.png"]]', '[["a.png", "x"]]', '[["a.png", -1]]', '[["a.png", 1], ["a.png", 2]]', '{"a": 1}']
)
def test_a_damaged_list_of_labels_is_an_error(labels: str, tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    write(tmp_path, "dataset.json", f'{{"labels": {labels}}}')
    with pytest.raises(FaceAugError, match=r"dataset\.json"):
        FaceFolder(tmp_path)


def test_bytes_are_copied_where_every_reader_shows_them_alike(tmp_path: Path) -> None:
    rgb = picture(1, height=12, width=9)
    source = tmp_path / "in"
    put(source, "a.jpg", data=encode_jpeg(rgb))
    put(source, "b.png", data=encode_png(rgb))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, image, options in (
        ("c.jpg", Image.fromarray(rgb), {"exif": exif}),
        ("d.png", Image.fromarray(np.dstack([rgb, rgb[..., 0]])), {}),
        ("e.gif", Image.fromarray(rgb), {}),
        ("f.png", Image.fromarray(rgb).convert("P"), {}),
        ("g.jpg", Image.fromarray(rgb).convert("L"), {}),
    ):
        image.save(source / name, **options)
    before = FaceFolder(source)
    report = convert_folder(before, tmp_path / "out", "imagefolder", progress=False)
    assert report.copied == 3
    assert (tmp_path / "out" / "a.jpg").read_bytes() == (source / "a.jpg").read_bytes()
    assert (tmp_path / "out" / "g.jpg").read_bytes() == (source / "g.jpg").read_bytes()
    assert report.rewritten == {
        "are GIF": 1,
        "are turned by EXIF": 1,
        "have a palette, inks, 16 bits or an animation": 1,
        "may be transparent": 1,
    }
    after = FaceFolder(tmp_path / "out")
    assert by_pixels(after).keys() == by_pixels(before).keys()
    assert convert_folder(before, tmp_path / "rgb", "stylegan", progress=False).copied == 2  # grey has one channel


def test_the_ground_is_laid_under_what_is_transparent(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.png", data=b"")
    Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(tmp_path / "in" / "a.png")
    folder = FaceFolder(tmp_path / "in", ground=(0, 255, 0))
    convert_folder(folder, tmp_path / "out", "imagefolder", progress=False)
    assert read_image(tmp_path / "out" / "a.png").reshape(-1, 3).tolist() == [[0, 255, 0]] * 64
    with pytest.raises(ArgumentError, match="expected red, green and blue from 0 to 255"):
        FaceFolder(tmp_path / "in", ground=(0, 0, 256))


def test_pictures_that_cannot_be_read_are_left_out_and_named(people: Path, tmp_path: Path) -> None:
    (people / "04.png").write_bytes(noise(4)[:50])
    for layout in ("imagefolder", "webdataset", "coco"):
        report = convert_folder(people, tmp_path / layout, layout, progress=False)
        assert report.pictures == 9
        assert len(report.unreadable) == 1
        assert "04.png" in report.unreadable[0]
        assert len(FaceFolder(tmp_path / layout)) == 9


def test_augmented_faces_keep_their_source_in_any_shard(tmp_path: Path) -> None:
    rows = [
        {"file_name": "1.png", "origin": "real", "source_file": "x.png", "partition": 0},
        {"file_name": "2.png", "origin": "augmented", "source_file": "x.png", "partition": 1},
        {"file_name": "3.png", "origin": "synthetic", "source_file": "", "partition": -1},
    ]
    before = FaceFolder(metadata_folder(tmp_path / "in", rows))
    assert before.annotations.source.tolist() == [0, 0, -1]
    for layout in ("imagefolder", "webdataset", "parquet"):
        convert_folder(before, tmp_path / layout, layout, progress=False)
        after = FaceFolder(tmp_path / layout)
        place = by_pixels(after)
        order = [place[before.read(k).tobytes()] for k in range(3)]
        assert [after.annotations.source[k] for k in order] == [order[0], order[0], -1], layout


@pytest.mark.parametrize("layout", ["imagefolder", "webdataset", "parquet"])
def test_a_stopped_conversion_goes_on_to_the_same_bytes(people: Path, tmp_path: Path, layout: str) -> None:
    def stop(phase: str, done: int, total: int, words: str) -> None:
        if done > 0:
            raise KeyboardInterrupt

    convert_folder(people, tmp_path / "whole", layout, progress=False)
    with pytest.raises(KeyboardInterrupt):
        convert_folder(people, tmp_path / "out", layout, progress=stop)
    assert not json.loads((tmp_path / "out" / "convert.json").read_text())["finished"]
    with pytest.raises(RefusedError, match="stopped"):
        convert_folder(people, tmp_path / "out", "coco", progress=False)
    convert_folder(people, tmp_path / "out", layout, progress=False)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_stopped_conversion_needs_only_the_space_for_the_rest(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(files, "check_free_space", lambda _, needed: asked.append(needed))

    def stop(phase: str, done: int, total: int, words: str) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_folder(people, tmp_path / "out", "imagefolder", progress=stop)
    convert_folder(people, tmp_path / "out", "imagefolder", progress=False)
    held = sum(path.stat().st_size for path in people.rglob("*.*"))
    assert asked[0] >= held
    assert asked[1] < asked[0]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_nothing_that_is_there_is_overwritten(people: Path, tmp_path: Path) -> None:
    put(tmp_path / "out", "mine.txt", data=b"mine")
    with pytest.raises(RefusedError, match="not empty"):
        convert_folder(people, tmp_path / "out", "coco", progress=False)
    with pytest.raises(RefusedError, match="lies inside"):
        convert_folder(people, people / "out", "coco", progress=False)
    assert contents(tmp_path / "out") == {"mine.txt": b"mine"}


@pytest.mark.parametrize("layout", ["utkface", "none"])
def test_a_layout_without_a_writer_is_wrong_use(people: Path, tmp_path: Path, layout: str) -> None:
    with pytest.raises(ArgumentError, match="expected one of imagefolder, parquet, webdataset"):
        convert_folder(people, tmp_path / "out", layout, progress=False)


def test_parquet_without_pyarrow_says_what_to_install(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_folder(people, tmp_path / "there", "parquet", progress=False)
    monkeypatch.setattr("faceaug.data.convert.find_spec", lambda _: None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(FaceAugError, match=r"needs pyarrow: python -m pip install 'faceaug\[parquet\]'"):
        convert_folder(people, tmp_path / "out", "parquet", progress=False)
    shutil.copytree(tmp_path / "there", tmp_path / "copy")  # whose list of pictures is not known yet
    with pytest.raises(FaceAugError, match=r"needs pyarrow: python -m pip install 'faceaug\[parquet\]'"):
        FaceFolder(tmp_path / "copy")


@pytest.mark.parametrize("name", ["a/b", "..", "Test", ".x", "a\tb", "con:"])
def test_class_names_that_cannot_be_folders_are_named(name: str, tmp_path: Path) -> None:
    folder = metadata_folder(
        tmp_path / "in", [{"file_name": "1.png", "label": name}, {"file_name": "2.png", "label": "z"}]
    )
    with pytest.raises(ArgumentError, match="1 class names cannot be folders"):
        convert_folder(folder, tmp_path / "out", "classes", progress=False)
    convert_folder(folder, tmp_path / "out", "imagefolder", progress=False)
    assert FaceFolder(tmp_path / "out").classes == FaceFolder(folder).classes


@pytest.mark.parametrize("layout", ["imagefolder", "coco"])
def test_folders_that_the_disk_takes_for_one_are_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    folder = metadata_folder(tmp_path / "in", [{"file_name": "Ann/1.png"}, {"file_name": "ann/2.png"}])
    monkeypatch.setattr("faceaug.storage.names._Probe.merges", lambda _, one, other: one.lower() == other.lower())
    with pytest.raises(RefusedError, match="Ann and (images/)?ann would be the same file"):
        convert_folder(folder, tmp_path / "out", layout, progress=False)
    assert not (tmp_path / "out").exists()
    convert_folder(folder, tmp_path / "out", "webdataset", progress=False)


def test_two_readings_are_settled_before_anything_is_written(tmp_path: Path) -> None:
    put(tmp_path / "in", "train/a.png", "test/b.png", "other/c.png")
    with pytest.raises(RefusedError, match="--layout"):
        convert_folder(tmp_path / "in", tmp_path / "out", "imagefolder", progress=False)
    assert not (tmp_path / "out").exists()
    convert_folder(FaceFolder(tmp_path / "in", "classes"), tmp_path / "out", "imagefolder", progress=False)


def test_foreign_parquet_is_read_too(tmp_path: Path) -> None:
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES)), "Smiling": datasets.Value("bool")}
    )
    rows = {"image": [Image.fromarray(picture(k, height=12, width=9)) for k in range(3)], "label": [5, 0, 2],
            "Smiling": [True, False, None]}  # fmt: skip
    for part in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            tmp_path / "in" / f"{part}-00000-of-00001.parquet"
        )
    folder = FaceFolder(tmp_path / "in")
    assert (folder.layout, folder.classes, len(folder)) == ("parquet", NAMES, 6)
    assert folder.annotations.attributes[:3, ATTRIBUTES.index("Smiling")].tolist() == [1, -1, 0]
    assert folder.annotations.partition.tolist() == [2] * 3 + [0] * 3
    np.testing.assert_array_equal(folder.read(1), picture(1, height=12, width=9))
    single = FaceFolder(tmp_path / "in" / "train-00000-of-00001.parquet")
    assert single.annotations.label.tolist() == [5, 0, 2]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(60) + b"PAR1"])
def test_what_is_no_parquet_is_an_error(data: bytes, tmp_path: Path) -> None:
    put(tmp_path, "faces.parquet", data=data)
    with pytest.raises(FaceAugError, match="faces.parquet"):
        FaceFolder(tmp_path)


def test_the_report_says_the_same_in_every_form(people: Path, tmp_path: Path) -> None:
    report = faceaug.convert_folder(people, tmp_path / "out", "celeba", progress=False)
    assert report.summary().splitlines()[0].startswith("10 pictures in ")
    assert "not held by this layout: labels (10 pictures)" in report.summary()
    document = json.loads(json.dumps(report.to_json()))
    assert document["not_held"] == {"labels": 10, "names of labels": 10}
    kept = json.loads((tmp_path / "out" / "convert.json").read_text())
    assert (kept["finished"], kept["not_held"]) == (True, document["not_held"])
    assert replace(report, seconds=0) == replace(report, seconds=0)


def test_shards_name_members_that_readers_group_into_samples(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.b.png", "a.c.png")
    convert_folder(tmp_path / "in", tmp_path / "out", "webdataset", progress=False)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out" / "train-000000.tar").read_bytes())) as shard:
        assert shard.getnames() == ["000001.png", "000001.json", "000002.png", "000002.json"]


def test_class_labels_of_other_columns_are_read_by_name_and_further_pictures_named(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture(k, height=12, width=9)) for k in range(3)]
    features = datasets.Features(
        {
            "image": datasets.Image(), "mask": datasets.Image(), "gender": datasets.ClassLabel(names=["f", "m"]),
            "Male": datasets.ClassLabel(names=["yes", "no"]), "identity": datasets.ClassLabel(names=["Bo", "Ann"]),
            "split": datasets.Value("string"),
        }
    )  # fmt: skip
    rows = {"image": pictures, "mask": pictures[::-1], "gender": [1, 0, None], "Male": [0, 1, None],
            "identity": [0, 1, 0], "split": ["train", "test", "test"]}  # fmt: skip
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "in" / "faces.parquet")
    folder = FaceFolder(tmp_path / "in")
    assert folder.annotations.columns == {"gender": ("m", "f", None)}
    assert folder.annotations.attributes[:, ATTRIBUTES.index("Male")].tolist() == [1, -1, 0]
    assert [folder.identities[k] for k in folder.annotations.identity] == ["Bo", "Ann", "Bo"]
    assert folder.annotations.partition.tolist() == [0, 2, 2]
    assert "1 further column of pictures is not read (mask)" in folder.notes


def test_a_converted_folder_that_lost_its_table_is_read_as_what_is_left(tmp_path: Path) -> None:
    write_celeba(tmp_path / "celeba", [picture(k) for k in range(4)])
    convert_folder(tmp_path / "celeba", tmp_path / "out", "imagefolder")
    for table in (tmp_path / "out").rglob("metadata.*"):
        table.unlink()
    folder = FaceFolder(tmp_path / "out")
    assert (len(folder), folder.layout) == (4, "splits")
    assert "convert.json says layout imagefolder, whose files are not here; read as splits" in folder.notes
