from __future__ import annotations

import contextlib
import csv
import gc
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceaug.augment import Compose
from faceaug.data.crop import crop_face
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.data.manifest import COLUMNS, write_metadata
from faceaug.errors import ArgumentError, FaceAugError, RefusedError
from faceaug.mix import ExpandedDataset, blocks, expand_dataset, replay_row, save
from faceaug.mix.page import expansion_page
from faceaug.storage import unfinished
from faceaug.synthesize import SyntheticFaceSource, load_model, save_model
from tests.conftest import picture
from tests.mix.sources import labelled_pil, pictures

RECIPE = '[[transform]]\nname = "Rotate"\ndegrees = 25\n[[transform]]\nname = "HorizontalFlip"\n'


@pytest.fixture(scope="module")
def dataset(celeba_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ExpandedDataset:
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    recipe.write_text(RECIPE)
    return expand_dataset(
        celeba_folder, synthetic=5, size=32, balance={"Eyeglasses": 0.3}, recipe=recipe,
        source=SyntheticFaceSource("dcgan-32", seed=11), seed=11,
    )  # fmt: skip


@pytest.fixture(scope="module")
def saved(dataset: ExpandedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("saved") / "out"
    dataset.save(out)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_face_folder_reads_it_back_without_loss(dataset: ExpandedDataset, saved: Path) -> None:
    folder = FaceFolder(saved)
    assert len(folder) == len(dataset)
    for i in range(len(dataset)):
        image, target = dataset[i]
        read, known = folder[i]
        assert np.array_equal(read, image.permute(1, 2, 0))
        assert known.keys() == target.keys()
        if target["source"] >= 0:  # an index of the saved folder here, of the expanded one there
            assert dataset.plan.rows[known["source"]] == target["source"]
        for name in target.keys() - {"source"}:
            assert np.array_equal(known[name], target[name], equal_nan=name == "landmarks"), (i, name)
            assert np.asarray(known[name]).dtype == np.asarray(target[name]).dtype, name


def test_metadata_says_what_each_file_is(dataset: ExpandedDataset, saved: Path, celeba_folder: Path) -> None:
    table = rows(saved)
    assert tuple(table[0]) == (*COLUMNS, "requested_Eyeglasses")
    assert len(table) == len(dataset)
    for row in table:
        assert hashlib.sha256((saved / row["file_name"]).read_bytes()).hexdigest() == row["sha256"]
        if row["origin"] == "synthetic":
            assert (row["model"], row["seed"], row["source_file"]) == ("dcgan-32", "11", "")
        else:
            assert (celeba_folder / row["source_file"]).is_file()
            assert row["model"] == "none"
            assert bool(json.loads(row["operations"])) == (row["origin"] == "augmented")


def test_the_operations_of_a_row_make_its_picture_again(saved: Path, celeba_folder: Path, tmp_path: Path) -> None:
    run = json.loads((saved / "dataset.json").read_bytes())["run"]
    recipe = Compose.from_json(run["recipe"])
    augmented = [row for row in rows(saved) if row["origin"] == "augmented"]
    pictures_of = FaceFolder(celeba_folder)
    for row in augmented[::7]:
        picture = pictures_of.read(pictures_of.names.index(row["source_file"]))
        made = recipe.render(picture, json.loads(row["operations"]))
        again = crop_face(made, run["crop"], (32, 32))
        assert np.array_equal(again, np.asarray(Image.open(saved / row["file_name"])))


def test_dataset_json_holds_versions_seeds_and_arguments(saved: Path) -> None:
    document = json.loads((saved / "dataset.json").read_bytes())
    assert document["finished"] is True
    assert document["versions"].keys() == {"faceaug", "python", "numpy", "torch", "opencv"}
    assert document["sizes"]["total"] == len(rows(saved))
    run = document["run"]
    assert (run["seed"], run["model"], run["model_seed"], run["balance"]) == (11, "dcgan-32", 11, {"Eyeglasses": 0.3})
    assert len(run["model_sha256"]) == 64
    assert (run["size"], run["crop"]) == ("32x32", "center178")


def test_synthetic_pngs_say_what_they_are_and_others_do_not(saved: Path) -> None:
    for row in rows(saved):
        with Image.open(saved / row["file_name"]) as picture:
            found = dict(picture.info)
        expected = {"synthetic": "true", "model": "dcgan-32", "seed": "11", "key": row["key"]}
        assert found == (expected if row["origin"] == "synthetic" else {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_hugging_face_datasets_reads_it(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset("imagefolder", data_dir=str(saved), cache_dir=str(tmp_path / "cache"), split="train")
    table = rows(saved)
    assert len(found) == len(table)
    # It lists the files in an order of its own, and puts each row beside its picture.
    ours = {row["sha256"]: row for row in table}
    for item in found:
        row = ours[item["sha256"]]
        assert np.array_equal(np.asarray(item["image"]), np.asarray(Image.open(saved / row["file_name"])))
        assert item["origin"] == row["origin"]
        assert str(item["Male"]) == row["Male"]
    del found, item
    gc.collect()  # it leaves files open, which warn when they go


def test_jpg_is_smaller_and_nearly_the_same(dataset: ExpandedDataset, tmp_path: Path) -> None:
    report = dataset.save(tmp_path / "out", format="jpg")
    folder = FaceFolder(report.out)
    assert all(name.endswith(".jpg") for name in folder.names)
    difference = folder.read(3).astype(float) - dataset[3][0].permute(1, 2, 0).numpy()
    assert np.sqrt((difference**2).mean()) < 6


def test_an_unknown_format_is_refused(dataset: ExpandedDataset, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="format 'gif': expected one of png, jpg"):
        dataset.save(tmp_path / "out", format="gif")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop", [0, 1, 42, 86])
def test_an_interrupted_save_goes_on_to_the_same_bytes(
    dataset: ExpandedDataset, saved: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    written = 0

    def write(path: Path, data: bytes, **_: object) -> None:
        nonlocal written
        if written == stop:
            path.with_name(path.name + ".partial").write_bytes(data[:10])
            raise KeyboardInterrupt
        written += 1
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(blocks, "write_again", write)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(out)
    head, *rows = (out / "metadata.csv").read_text().splitlines()
    assert head.startswith("file_name,")
    assert rows == []
    known = (out / "metadata.csv.partial").read_text().splitlines()
    assert len(known) == (84 if stop >= 84 else 0), "the ledger survives the table"
    seen: list[tuple[str, int, int, str]] = []
    report = dataset.save(out, progress=lambda *step: seen.append(step))
    assert report.sizes == tuple(dataset.sizes())
    written_now = [words for phase, _, _, words in seen if phase == "writing"]
    assert ("pictures" in written_now) == (stop < 84), "the 84 real and augmented items are one block"
    assert seen[-1][1] == seen[-1][2]
    assert content(out) == content(saved)


@pytest.mark.parametrize("format", ["jpg", "png", "webdataset"])
def test_files_that_another_version_of_a_library_would_write_otherwise_are_written_again(
    dataset: ExpandedDataset, tmp_path: Path, format: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stopped run wrote other bytes for each picture, real ones included, and had no time for its ledger."""
    dataset.save(tmp_path / "whole", format=format, workers=1)
    out = tmp_path / "out"
    encode = blocks.encode_item

    def otherwise(item: Any, format: str, text: Any) -> bytes:
        return encode(replace(item, image=item.image ^ 1), format, text)

    stop = "000000.tar" if format == "webdataset" else "000002"
    write = unfinished.write_bytes

    def write_until(path: Path, data: bytes, **options: Any) -> None:
        write(path, data, **options)
        if path.name.startswith(stop):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(blocks, "encode_item", otherwise)
        patch.setattr(unfinished, "write_bytes", write_until)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(out, format=format, workers=1)
    dataset.save(out, format=format, workers=1)
    assert content(out) == content(tmp_path / "whole")


def test_a_torn_line_of_an_interrupted_save_is_written_again(
    dataset: ExpandedDataset, saved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(saved, out)
    marker = json.loads((out / "dataset.json").read_bytes())
    (out / "dataset.json").write_text(json.dumps({"run": marker["run"], "finished": False}))
    (out / "metadata.csv").unlink()
    (out / "metadata.csv.partial").write_text('0123456789abcdef [0, "000000.png", "real"')
    dataset.save(out)
    assert content(out) == content(saved)


def test_an_unfinished_folder_is_no_set_without_labels_and_stays_as_it_is_when_refused(
    dataset: ExpandedDataset, celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    stopped_at_the_end(dataset, out, monkeypatch)
    before = content(out)
    with pytest.raises(RefusedError, match="holds another run, which was stopped"):
        expand_dataset(celeba_folder, copies=1, synthetic=0, size=32, seed=99, partition="all").save(out)
    assert content(out) == before
    notes = FaceFolder(out).notes
    assert any("have no row" in note for note in notes), notes


def stopped_at_the_end(dataset: ExpandedDataset, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Write everything but the table, the report and the marker."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def write_head(folder: Path, lines: Iterable[str], **head: Any) -> None:
        if lines != ():
            raise KeyboardInterrupt
        write_metadata(folder, lines, **head)

    with monkeypatch.context() as patch:
        patch.setattr(save, "write_metadata", write_head)
        patch.setattr(save, "write_card", stop)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(out, **options)


def test_a_stopped_save_needs_only_the_space_for_the_rest(
    dataset: ExpandedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("faceaug.storage.files.check_free_space", lambda _, needed: asked.append(needed))
    stopped_at_the_end(dataset, tmp_path / "out", monkeypatch)
    held = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.png"))
    dataset.save(tmp_path / "out")
    assert held > 0
    assert asked[1] <= asked[0] - held


@pytest.mark.parametrize("damage", [b"", b"\0" * 400, None])
def test_files_that_are_not_as_they_were_written_are_written_again(
    dataset: ExpandedDataset, saved: Path, tmp_path: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    stopped_at_the_end(dataset, out, monkeypatch)
    for index in (0, 50, 83, 87):
        path = out / f"{index:06d}.png"
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
    ledger = out / "metadata.csv.partial"
    ledger.write_bytes(ledger.read_bytes() + b"\0" * 300 + b"\n")
    dataset.save(out)
    assert content(out) == content(saved)


def test_shards_that_are_not_as_they_were_written_are_written_again(
    dataset: ExpandedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.save(tmp_path / "whole", format="webdataset")
    stopped_at_the_end(dataset, tmp_path / "out", monkeypatch, format="webdataset")
    (tmp_path / "out" / "000000.tar").write_bytes(b"")
    dataset.save(tmp_path / "out", format="webdataset")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_stopped_run_is_not_continued_with_other_tables_or_pictures(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "celeba"
    shutil.copytree(celeba_folder, folder)
    out = tmp_path / "out"

    def again() -> ExpandedDataset:
        return expand_dataset(folder, copies=1, synthetic=0)

    stopped_at_the_end(again(), out, monkeypatch)
    before = content(out)
    table = folder / "list_attr_celeba.txt"
    text = table.read_text()
    lines = text.splitlines()
    lines[2] = lines[2].replace(" 1", " -1") if " 1" in lines[2] else lines[2].replace("-1", " 1")
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(RefusedError, match="was stopped .*its tables changed since"):
        again().save(out)
    table.write_text(text)
    first = folder / "img_align_celeba" / "000001.png"
    facts = first.stat()
    os.utime(first, ns=(facts.st_atime_ns, facts.st_mtime_ns + 10**9))
    with pytest.raises(RefusedError, match="its pictures changed since"):
        again().save(out)
    assert content(out) == before
    os.utime(first, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    again().save(out)


def test_a_stopped_run_is_not_continued_with_another_config_of_the_same_weights(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("dcgan-32")
    save_model(tmp_path / "model", model.generator, model.config)

    def again() -> ExpandedDataset:
        return expand_dataset(celeba_folder, copies=0, synthetic=2, size=32, source=tmp_path / "model")

    stopped_at_the_end(again(), tmp_path / "out", monkeypatch)
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"latent": "uniform"}))
    with pytest.raises(RefusedError, match="was stopped .*its model config changed since"):
        again().save(tmp_path / "out")


def test_a_run_from_and_to_folders_whose_names_are_not_utf8_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for k in range(3):
        (folder / f"{k}.png").write_bytes(encode_png(picture(k)))
    out = tmp_path / os.fsdecode(b"out\xe9")
    made = expand_dataset(folder, copies=1, synthetic=0, partition="all")
    stopped_at_the_end(made, out, monkeypatch)
    made.save(out)
    assert len(FaceFolder(out)) == 6


@pytest.mark.parametrize(
    ("where", "odd"),
    [
        ("format", 7), ("size", [1]), ("size", "wide"), ("size", {}), ("folder", 7), ("crop", []), ("recipe", None),
        ("folder", "n" * 5000),
        ("recipe", "[" * 100_000), ("models", 5), ("model_sha256", []), ("ground", "x"), ("truncation", "much"),
    ],
)  # fmt: skip
def test_a_record_with_odd_values_is_an_error_of_replay(saved: Path, tmp_path: Path, where: str, odd: Any) -> None:
    out = tmp_path / "out"
    shutil.copytree(saved, out)
    document = json.loads((out / "dataset.json").read_bytes())
    document["run"][where] = odd
    (out / "dataset.json").write_text(json.dumps(document))
    replayed = 0
    for row in (0, 50, len(rows(out)) - 1):  # real, augmented, synthetic
        with contextlib.suppress(FaceAugError):
            replay_row(out, row)
            replayed += 1
    assert replayed < 3


@pytest.mark.parametrize("format", ["png", "jpg"])
def test_class_folders_that_the_disk_takes_for_one_are_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Any
) -> None:
    for name in ("Ann", "ann"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        (tmp_path / "faces" / name / "1.png").write_bytes(encode_png(picture(len(name) + ord(name[0]))))
    monkeypatch.setattr("faceaug.storage.names._Probe.merges", lambda _, one, other: one.lower() == other.lower())
    made = expand_dataset(tmp_path / "faces", copies=1, synthetic=0, partition="all")
    with pytest.raises(RefusedError, match="Ann and ann would be the same file"):
        made.save(tmp_path / "out", format=format)
    assert not (tmp_path / "out").exists()
    made.save(tmp_path / "out", format="webdataset")


def test_a_run_with_other_arguments_is_not_continued(celeba_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = expand_dataset(celeba_folder, copies=0, synthetic=2, size=32)
    first.save(out)
    marker = json.loads((out / "dataset.json").read_bytes())
    (out / "dataset.json").write_text(json.dumps({"run": marker["run"], "finished": False}))
    before = content(out)
    for options in ({"seed": 1}, {"filter": False}, {"size": 40}, {"partition": "all"}):
        arguments: dict[str, Any] = {"copies": 0, "synthetic": 2} | options
        with pytest.raises(RefusedError, match="holds another run"):
            expand_dataset(celeba_folder, **arguments).save(out)
    assert content(out) == before
    first.save(out)


def test_what_is_in_the_way_is_never_touched(
    dataset: ExpandedDataset, saved: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("also mine")
    before = [content(folder) for folder in (tmp_path, saved, celeba_folder)]
    for out, reason in (
        (tmp_path / "mine", "is not empty"),
        (tmp_path / "file", "is a file"),
        (saved, "holds a finished run"),
        (celeba_folder, "lies inside"),
        (celeba_folder / "plus", "lies inside"),
    ):
        with pytest.raises(RefusedError, match=reason):
            dataset.save(out)
    assert [content(folder) for folder in (tmp_path, saved, celeba_folder)] == before


def test_an_unreadable_picture_is_left_out_with_its_copies_and_named(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for k, image in enumerate(pictures(4)):
        (faces / f"{k}.png").write_bytes(encode_png(image))
    (faces / "2.png").write_bytes(encode_png(pictures(1)[0])[:500])
    report = expand_dataset(faces, copies=2, synthetic=3, size=32, partition="all").save(tmp_path / "out")
    assert dict(report.sizes) == {"original": 4, "real": 3, "augmented": 6, "synthetic": 3, "total": 12}
    assert len(report.unreadable) == 1
    assert "2.png" in report.unreadable[0]
    assert "1 picture cannot be read and was left out with its copies" in report.summary()
    folder = FaceFolder(report.out)
    assert len(folder) == 12
    assert folder.annotations.source.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, -1, -1, -1]
    assert not any("2.png" in row["source_file"] for row in rows(report.out))


@pytest.mark.filterwarnings("ignore:no table marks")
def test_a_dataset_without_files_is_saved_too(tmp_path: Path) -> None:
    dataset = expand_dataset(labelled_pil(), synthetic=2, size=32)
    dataset.save(tmp_path / "out")
    folder = FaceFolder(tmp_path / "out")
    assert folder.annotations.label.tolist() == [0, 1, 2] * 4 + [-1, -1]
    assert rows(tmp_path / "out")[7]["source_file"] == "000001"


def test_the_users_transforms_are_not_written(celeba_folder: Path, tmp_path: Path) -> None:
    plain = expand_dataset(celeba_folder, copies=0, synthetic=2, size=32)
    changed = expand_dataset(
        celeba_folder, copies=0, synthetic=2, size=32, transform=lambda x: x * 0, target_transform=lambda _: None
    )
    plain.save(tmp_path / "plain")
    changed.save(tmp_path / "changed")
    assert content(tmp_path / "plain") == content(tmp_path / "changed")


def test_the_summary_and_the_json_say_the_same(dataset: ExpandedDataset, tmp_path: Path) -> None:
    report = dataset.save(tmp_path / "out")
    document = report.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["sizes"]["total"] == len(dataset)
    text = report.summary(verbose=True)
    assert "Eyeglasses: 14.3% before, 30.0% now by weight, wanted 30.0%" in text
    assert "origin alone predicts it with 50.0%, chance is 50%" in text
    assert document["shares"]["Eyeglasses"]["origin_accuracy"] == pytest.approx(0.5, abs=1e-5)
    assert f"{len(dataset)}" in text
    assert text.startswith("pictures of 32x32 pixels, crop center178; of 42 real ones 42 cropped, 42 made smaller\n")
    assert "synthetic faces: dcgan-32, 32x32" in text
    assert (document["size"], document["model"], document["no_synthetic"]) == ("32x32", "dcgan-32, 32x32", "")
    assert document["framed"]["reduced"] == {"count": 42, "pictures": []}  # all of them


def test_the_page_says_what_origin_tells_of_a_balanced_attribute(
    dataset: ExpandedDataset, saved: Path, tmp_path: Path
) -> None:
    page = (saved / "report.html").read_text()
    shares = re.search(r">Eyeglasses</th>(.*?)</tr>", page)
    assert shares is not None
    assert re.findall(r">([\d.]+%)<", shares[1])[:3] == ["30.0%", "14.3%", "30.0%"]
    assert "predicted by origin" in page
    assert "Origin gives away" not in page
    report = dataset.save(tmp_path / "out")
    told = replace(report, shares=(replace(report.shares[0], origin_accuracy=0.8),))
    assert "<strong>Origin gives away Eyeglasses:" in expansion_page(dataset, told)


def test_pictures_that_are_padded_are_counted_and_named(tmp_path: Path) -> None:
    shapes = {"a": (40, 40), "b": (30, 40), "c": (40, 40), "d": (20, 20)}
    for name, (height, width) in shapes.items():
        (tmp_path / f"{name}.png").write_bytes(encode_png(picture(1, height=height, width=width)))
    dataset = expand_dataset(tmp_path, size=40, synthetic=0, partition="all", eager=False)
    report = dataset.save(tmp_path.parent / "padded")
    assert {name: found for name, found in report.framed.items() if found} == {
        "padded": ("b.png",),
        "enlarged": ("d.png",),
    }
    assert report.summary().startswith(
        "pictures of 40x40 pixels; of 4 real ones 1 padded, 1 made larger\n  padded: b.png\n  made larger: d.png\n"
    )
    assert report.to_json()["framed"]["padded"] == {"count": 1, "pictures": ["b.png"]}
    page = (report.out / "report.html").read_text("utf-8")
    assert "1 padded, 1 made larger" in page
    shards = dataset.save(tmp_path.parent / "shards", format="webdataset")
    assert shards.framed == report.framed


def test_a_row_of_a_folder_with_sizes_of_their_own_is_made_again(tmp_path: Path) -> None:
    for name, (height, width) in {"a": (40, 30), "b": (30, 40)}.items():
        (tmp_path / f"{name}.png").write_bytes(encode_png(picture(1, height=height, width=width)))
    report = expand_dataset(tmp_path, partition="all", eager=False).save(tmp_path.parent / "own")
    assert report.size is None
    assert all(replay_row(report.out, k).same for k in range(4))


def test_a_full_disk_is_refused_before_anything_is_written(
    dataset: ExpandedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    with pytest.raises(RefusedError, match="MB are needed and 0 MB are free"):
        dataset.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()
