from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceaug.clean import CleanPolicy, clean_folder, copy as copy_module
from faceaug.clean.copy import MARKER, build_copy, plan_copy
from faceaug.clean.scene import look
from faceaug.data.folder import FaceFolder
from faceaug.data.image import read_image
from faceaug.errors import ArgumentError, FaceAugError, Interrupted, RefusedError
from faceaug.storage.durable import GroupSync
from faceaug.storage.files import finish_output
from faceaug.storage.moves import Move
from faceaug.storage.walk import list_folder
from tests.clean.tables import attributes, number, write_tables
from tests.clean.zoo import OLD, age_folders, contents, good, jpeg, tree, write


def faces(root: Path, *, kaggle: bool = False, names: int = 12) -> Path:
    """Twelve pictures with all tables: one with a damaged name, one copy, one unreadable."""
    files = good(*range(1, names + 1))
    files["00003.jpg"] = files.pop("000003.jpg")
    files["000007.jpg"] = jpeg(2)
    files["000009.jpg"] = b"torn"
    for name, data in files.items():
        write(root / "img_align_celeba" / name, data)
    write_tables(root, [f"{k:06d}.jpg" for k in range(1, names + 1)], kaggle=kaggle)
    write(root / "notes.txt", b"mine")
    write(root / "img_align_celeba.zip", b"a lot of bytes")
    age_folders(root)
    return root


def moves(root: Path, *, below: str = "img_align_celeba/") -> list[Move]:
    files = {file.name: file for file in list_folder(root).files}
    return [
        Move(files[f"{below}000007.jpg"], None, "same bytes", files[f"{below}000002.jpg"]),
        Move(files[f"{below}000009.jpg"], None, "unreadable"),
        Move(files[f"{below}00003.jpg"], f"{below}000003.jpg", "repaired name"),
    ]


def build(root: Path, out: Path, *, below: str = "img_align_celeba/", **options: Any) -> Any:
    scene = look(root, copying=True)
    return build_copy(
        scene.listing, plan_copy(scene.listing, scene.originals, moves(root, below=below)), out, **options
    )


STAYING = [f"{k:06d}.jpg" for k in range(1, 13) if k not in {7, 9}]


def check_rows(out: Path) -> None:
    """Every row of a copy is beside the picture it was made for: the picture itself says its number."""
    found = FaceFolder(out)
    assert [name.rpartition("/")[2] for name in found.names] == STAYING
    for k, name in enumerate(found.names):
        target = found.target(k)
        assert target["identity"] == number(name.rpartition("/")[2])
        assert target["attributes"].tolist() == attributes(name.rpartition("/")[2])
        assert target["landmarks"][0, 0] == number(name.rpartition("/")[2])
        original = jpeg(number(name.rpartition("/")[2]))
        assert (out / name).read_bytes() == original


@pytest.mark.parametrize("kaggle", [False, True])
@pytest.mark.parametrize("link", ["copy", "hard"])
def test_a_copy_has_the_pictures_that_stay_and_their_rows(tmp_path: Path, kaggle: bool, link: Any) -> None:
    root = faces(tmp_path / "celeba", kaggle=kaggle)
    before = tree(root)
    report = build(root, tmp_path / "out", link=link)
    assert tree(root) == before
    check_rows(tmp_path / "out")
    assert (report.pictures, report.others, report.earlier) == (10, 1, 0)
    assert set(report.rows_left.values()) == {2}
    assert (tmp_path / "out" / "notes.txt").read_bytes() == b"mine"
    assert not (tmp_path / "out" / "img_align_celeba.zip").exists()
    assert any("img_align_celeba.zip was not copied" in note for note in report.notes)
    one = (tmp_path / "out" / "img_align_celeba" / "000003.jpg").stat()
    assert one.st_mtime_ns == OLD
    assert one.st_nlink == (2 if link == "hard" else 1)


def test_torchvision_reads_the_copy_and_finds_each_row_beside_its_picture(tmp_path: Path) -> None:
    from torchvision.datasets import CelebA

    class Unchecked(CelebA):  # type: ignore[misc]
        def _check_integrity(self) -> bool:  # the published MD5 sums are those of the published tables
            return True

    build(faces(tmp_path / "original"), tmp_path / "data" / "celeba")
    kinds = ["attr", "identity", "bbox", "landmarks"]
    seen = []
    for split, part in (("all", None), ("train", 0), ("valid", 1), ("test", 2)):
        found = Unchecked(str(tmp_path / "data"), split=split, target_type=kinds)
        for k, name in enumerate(found.filename):
            image, (attr, identity, bbox, landmarks) = found[k]
            assert int(identity) == int(bbox[0]) == int(landmarks[0]) == number(name)
            assert (2 * attr - 1).tolist() == attributes(name)
            path = tmp_path / "data" / "celeba" / "img_align_celeba" / name
            assert np.array_equal(np.asarray(image.convert("RGB")).shape, read_image(path).shape)
            assert path.read_bytes() == jpeg(number(name))
            assert part is None or number(name) % 3 == part
            seen.append(name)
    assert sorted(seen) == sorted(STAYING * 2)


def test_tables_above_the_pictures_folder_come_along(tmp_path: Path) -> None:
    root = faces(tmp_path / "celeba") / "img_align_celeba"
    build(root, tmp_path / "out", below="")
    check_rows(tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out"))[:2] == [MARKER, "identity_CelebA.txt"]


def test_rows_of_an_imagefolder_leave_with_their_pictures(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for k, name in enumerate(["train/a.jpg", "train/b.jpg", "test/c.jpg", "test/d.jpg"]):
        write(root / name, jpeg(k))
    (root / "train" / "metadata.csv").write_text("file_name,identity\na.jpg,5\nb.jpg,6\n")
    (root / "test" / "metadata.csv").write_text("file_name,identity\nc.jpg,7\nd.jpg,8\n")
    scene = look(root, copying=True)
    gone = [Move(file, None, "same bytes") for file in scene.listing.pictures if file.name == "train/a.jpg"]
    report = build_copy(scene.listing, plan_copy(scene.listing, scene.originals, gone), tmp_path / "out")
    found = FaceFolder(tmp_path / "out")
    assert found.names == ("test/c.jpg", "test/d.jpg", "train/b.jpg")
    assert found.annotations.identity.tolist() == [7, 8, 6]
    assert report.rows_left == {"test/metadata.csv": 0, "train/metadata.csv": 1}


def test_class_folders_and_odd_names_are_mirrored(tmp_path: Path) -> None:
    root = tmp_path / "classes"
    names = ["cats/1.jpg", "dogs/" + os.fsdecode(b"a\xff.jpg"), "dogs/new\nline.jpg"]
    for k, name in enumerate(names):
        write(root / name, jpeg(k))
    scene = look(root, copying=True)
    build_copy(scene.listing, plan_copy(scene.listing, scene.originals, []), tmp_path / "out")
    assert FaceFolder(tmp_path / "out").names == FaceFolder(root).names
    assert FaceFolder(tmp_path / "out").classes == ("cats", "dogs")


@pytest.mark.parametrize("link", ["copy", "hard"])
def test_a_stopped_copy_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: Any) -> None:
    root, out = faces(tmp_path / "celeba"), tmp_path / "out"
    real = copy_module._write_file
    made: list[Path] = []

    def stop_after_four(source: Path, target: Path, facts: os.stat_result, way: Any) -> None:
        if len(made) == 4:
            raise Interrupted("stopped")
        made.append(target)
        real(source, target, facts, way)

    monkeypatch.setattr(copy_module, "_write_file", stop_after_four)
    with pytest.raises(Interrupted):
        build(root, out, link=link)
    monkeypatch.undo()
    if link == "copy":
        write(out / "img_align_celeba" / "000012.jpg.partial", b"half a pict")  # what SIGKILL leaves
    else:
        write(root / "img_align_celeba" / "000001.jpg", jpeg(1)).rename(root / "x")  # another file of that name
        shutil.copy2(root / "x", root / "img_align_celeba" / "000001.jpg")
        (root / "x").unlink()
    report = build(root, out, link=link)
    assert report.earlier == (4 if link == "copy" else 3)
    check_rows(out)
    assert not list(out.rglob("*.partial"))


def test_a_stopped_copy_is_compared_by_its_bytes(tmp_path: Path) -> None:
    root, out = faces(tmp_path / "celeba"), tmp_path / "out"
    build(root, out)
    whole = contents(out)
    damaged = out / "img_align_celeba" / "000002.jpg"
    facts = damaged.stat()
    damaged.write_bytes(b"\0" * facts.st_size)  # size and time are right, as a power cut may leave them
    os.utime(damaged, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    report = build(root, out)
    assert report.earlier == report.pictures + report.others - 1
    assert contents(out) == whole


def test_a_copy_is_synced_before_it_is_called_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = faces(tmp_path / "celeba"), tmp_path / "out"
    synced: list[Path] = []
    monkeypatch.setattr(GroupSync, "sync", lambda _, paths: synced.extend(paths))
    build(root, out)
    assert set(out.rglob("*.jpg")) == {path for path in synced if path.suffix == ".jpg"}


def test_a_finished_copy_or_another_run_is_not_written_over(tmp_path: Path) -> None:
    root, out = faces(tmp_path / "celeba"), tmp_path / "out"
    build(root, out)
    with pytest.raises(RefusedError, match="holds another run"):
        build(root, out, link="hard")
    with pytest.raises(RefusedError, match="holds another run"):
        build(root, out, arguments={"near": False})
    finish_output(out, marker=MARKER, document={})
    with pytest.raises(RefusedError, match="a finished run"):
        build(root, out)


def test_a_copy_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = faces(tmp_path / "celeba")
    before = tree(tmp_path)
    with pytest.raises(RefusedError, match="lies inside"):
        build(root, root / "out")
    with pytest.raises(RefusedError, match="not empty"):
        build(root / "img_align_celeba", root, below="")
    with pytest.raises(ArgumentError, match="expected one of copy, hard"):
        build(root, tmp_path / "out", link="soft")
    monkeypatch.setattr(copy_module, "_device", lambda _: -1)
    with pytest.raises(RefusedError, match="another disk"):
        build(root, tmp_path / "out", link="hard")
    assert tree(tmp_path) == before


def test_a_stopped_copy_of_a_folder_that_changed_is_refused(tmp_path: Path) -> None:
    root, out = faces(tmp_path / "celeba"), tmp_path / "out"
    build(root, out)
    shutil.copy(out / "img_align_celeba" / "000001.jpg", out / "img_align_celeba" / "mine.jpg")
    with pytest.raises(RefusedError, match=r"do not belong to this copy \(img_align_celeba/mine.jpg\)"):
        build(root, out)


def test_a_picture_that_changes_meanwhile_is_named_and_the_copy_not_finished(tmp_path: Path) -> None:
    root, out = faces(tmp_path / "celeba"), tmp_path / "out"
    scene = look(root, copying=True)
    plan = plan_copy(scene.listing, scene.originals, moves(root))
    (root / "img_align_celeba" / "000005.jpg").write_bytes(jpeg(30))
    with pytest.raises(FaceAugError, match=r"1 file changed while it was copied \(img_align_celeba/000005.jpg\)"):
        build_copy(scene.listing, plan, out)
    report = build(root, out)
    assert report.earlier > 5
    assert (out / "img_align_celeba" / "000005.jpg").read_bytes() == jpeg(30)


def test_csv_tables_of_a_copy_are_plain_csv(tmp_path: Path) -> None:
    build(faces(tmp_path / "celeba", kaggle=True), tmp_path / "out")
    with (tmp_path / "out" / "list_eval_partition.csv").open(newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows[0] == ["image_id", "partition"]
    assert [row[0] for row in rows[1:]] == STAYING


def test_clean_folder_writes_a_copy_leaves_the_folder_alone_and_reports(tmp_path: Path) -> None:
    root, out = faces(tmp_path / "celeba", names=30), tmp_path / "out"
    before = tree(root)
    plan = clean_folder(root, CleanPolicy(near=False), dry_run=True, out=out)
    assert not out.exists()
    report = clean_folder(root, CleanPolicy(near=False), out=out, workers=0)
    assert tree(root) == before
    assert not (root / ".faceaug").exists()
    assert (report.out, report.run, report.dry_run) == (str(out), None, False)
    assert (report.renames, report.set_aside) == (plan.renames, plan.set_aside)
    assert len(FaceFolder(out)) == report.cleaned == 28
    assert "cleaned copy in" in report.summary()
    written = out / ".faceaug" / "runs" / "copy"
    assert {"report.csv", "report.html", "report.json"} <= set(os.listdir(written))
    assert json.loads((out / MARKER).read_bytes())["finished"]
    assert clean_folder(out, CleanPolicy(near=False)).run is None  # a copy is clean
    with pytest.raises(RefusedError, match="a finished run"):
        clean_folder(root, CleanPolicy(near=False), out=out)


def test_rows_of_metadata_do_not_hold_back_duplicates_from_a_copy(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for k, name in enumerate(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]):
        write(root / name, jpeg(k % 5))
    (root / "metadata.csv").write_text("file_name,partition\na.jpg,train\nf.jpg,test\n")
    report = clean_folder(root, CleanPolicy(near=False), out=tmp_path / "out", workers=0)
    assert [(entry.name, entry.keeper) for entry in report.set_aside] == [("a.jpg", "f.jpg")]
    assert (tmp_path / "out" / "metadata.csv").read_text() == "file_name,partition\nf.jpg,test\n"


def test_a_name_of_the_longest_kind_is_copied(tmp_path: Path) -> None:
    for k in range(4):
        write(tmp_path / "faces" / f"{k}.jpg", jpeg(k))
    longest = "y" * 251 + ".jpg"
    write(tmp_path / "faces" / longest, jpeg(9))
    clean_folder(tmp_path / "faces", out=tmp_path / "out")
    assert (tmp_path / "out" / longest).read_bytes() == jpeg(9)


def test_names_that_the_disk_takes_for_one_are_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k, name in enumerate(["A.jpg", "a.jpg", "b.jpg"]):
        write(tmp_path / "faces" / name, jpeg(k))
    monkeypatch.setattr("faceaug.storage.names._Probe.merges", lambda *_: True)
    with pytest.raises(RefusedError, match=r"A\.jpg and a\.jpg would be the same file.*Nothing was written"):
        clean_folder(tmp_path / "faces", out=tmp_path / "out")
    assert os.listdir(tmp_path) == ["faces"]


def test_a_disk_that_keeps_no_modes_and_cuts_times_takes_a_copy_and_continues_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(5):
        write(tmp_path / "faces" / f"{k}.jpg", jpeg(k))
    real = os.utime

    def no_modes(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def cut(path: Path, ns: tuple[int, int]) -> None:
        real(path, ns=(ns[0], ns[1] - ns[1] % (2 * 10**9)))

    monkeypatch.setattr("faceaug.storage.files.os.chmod", no_modes)
    monkeypatch.setattr("faceaug.storage.files.os.utime", cut)
    assert build_flat(tmp_path).earlier == 0
    assert build_flat(tmp_path).earlier == 5


def build_flat(place: Path) -> Any:
    scene = look(place / "faces", copying=True)
    return build_copy(scene.listing, plan_copy(scene.listing, scene.originals, []), place / "out")


def test_the_table_of_found_landmarks_is_copied_in_step(tmp_path: Path) -> None:
    for k in range(6):
        picture = np.random.default_rng(k % 5).integers(0, 255, (48, 40, 3), np.uint8)  # the last one repeats the first
        (tmp_path / "faces").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "faces" / f"{k}.png")
    points = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    columns = ",".join(f"{point}_{axis}" for point in points for axis in "xy")
    rows = "".join(f"{k}.png,{','.join(str(k + at) + '.5' for at in range(10))}\n" for k in range(6))
    (tmp_path / "faces" / "landmarks.csv").write_text(f"file_name,{columns}\n{rows}")
    clean_folder(tmp_path / "faces", out=tmp_path / "copy")
    copy = FaceFolder(tmp_path / "copy")
    assert copy.names == tuple(f"{k}.png" for k in range(5))
    assert copy.annotations.landmarks[:, 0, 0].tolist() == [k + 0.5 for k in range(5)]
    assert not any("landmarks.csv" in note and "no picture" in note for note in copy.notes)


POINTS = [f"{point}_{axis}" for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"]


def own_tables(folder: Path, names: list[str]) -> None:
    """Landmarks that say the place of a name in the list, and a partition for each."""
    rows = "".join(f"{name},{','.join(str(k + at) + '.5' for at in range(10))}\n" for k, name in enumerate(names))
    (folder / "landmarks.csv").write_text(f"file_name,{','.join(POINTS)}\n{rows}")
    parts = "".join(f"{name},{('train', 'val', 'test')[k % 3]},{k}\n" for k, name in enumerate(names))
    (folder / "faceaug-split.csv").write_text(f"file_name,partition,group\n{parts}")


def test_tables_of_faceaug_in_the_pictures_folder_come_along_with_those_above_it(tmp_path: Path) -> None:
    root = faces(tmp_path / "celeba") / "img_align_celeba"
    (tmp_path / "celeba" / "list_landmarks_align_celeba.txt").unlink()
    names = sorted(path.name for path in root.iterdir())
    own_tables(root, names)
    report = build(root, tmp_path / "out", below="")
    found = FaceFolder(tmp_path / "out")
    at = [names.index(last.replace("000003", "00003")) for name in found.names for last in [name.rpartition("/")[2]]]
    assert found.annotations.landmarks[:, 0, 0].tolist() == [k + 0.5 for k in at]
    assert found.annotations.partition.tolist() == [k % 3 for k in at]
    assert {report.rows_left[name] for name in ("landmarks.csv", "faceaug-split.csv")} == {2}


@pytest.mark.parametrize("row", ["1.jpg", "000001.jpg"])
def test_rows_of_the_tables_of_faceaug_follow_pictures_that_are_renamed(tmp_path: Path, row: str) -> None:
    root = tmp_path / "faces"
    for k in range(1, 7):
        write(root / f"{k:06d}.jpg", jpeg(k))
    (root / "000001.jpg").rename(root / "1.jpg")
    (root / "000006.jpg").rename(root / "000006.JPG")
    own_tables(root, [row, "000006.JPG", *(f"{k:06d}.jpg" for k in range(2, 6))])
    clean_folder(root, out=tmp_path / "copy")
    found = FaceFolder(tmp_path / "copy")
    assert found.names == tuple(f"{k:06d}.jpg" for k in range(1, 7))
    assert found.annotations.landmarks[:, 0, 0].tolist() == [0.5, 2.5, 3.5, 4.5, 5.5, 1.5]
    assert found.annotations.partition.tolist() == [0, 2, 0, 1, 2, 1]
    assert not any("no picture" in note for note in found.notes)


def test_landmarks_stay_with_pictures_whose_suffix_is_repaired_in_place_and_lost_rows_are_named(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for k in range(1, 7):
        write(root / f"{k:06d}.jpg", jpeg(k))
    (root / "000001.jpg").rename(root / "1.jpg")
    (root / "000006.jpg").rename(root / "000006.JPG")
    own_tables(root, ["1.jpg", "000006.JPG"])
    report = clean_folder(root)
    assert [name for name in report.notes if name.startswith("landmarks.csv: 1 row names its picture by the name")]
    found = FaceFolder(root)
    assert found.names == tuple(f"{k:06d}.jpg" for k in range(1, 7))
    assert found.annotations.landmarks[5, 0, 0] == 1.5


def test_a_copy_of_files_that_changed_is_synced_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File by file, as on FUSE; names that were never written cannot be synced."""
    monkeypatch.setattr("faceaug.storage.durable._has_syncfs", lambda folder: False)
    monkeypatch.setattr(copy_module, "_GROUP", 3)
    root = tmp_path / "faces"
    for k in range(1, 8):
        write(root / f"{k:06d}.jpg", jpeg(k))
    scene = look(root, copying=True)
    plan = plan_copy(scene.listing, scene.originals, [])
    (root / "000002.jpg").unlink()
    with pytest.raises(FaceAugError, match=r"1 file changed while it was copied \(000002\.jpg\)"):
        build_copy(scene.listing, plan, tmp_path / "out")
