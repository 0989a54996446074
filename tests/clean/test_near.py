from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from faceaug import executor
from faceaug.clean import CleanPolicy, CleanReport, candidates, clean_folder, near as near_module, screen, undo_clean
from faceaug.clean.cache import open_cache
from faceaug.clean.hashes import hash_object, phash_words
from faceaug.clean.signatures import LOOKS, jpeg_quantisation, looks_of, read_signature
from faceaug.clean.verify import PairEvidence
from faceaug.data.image import Image8, encode_jpeg, encode_png, read_image
from faceaug.errors import ArgumentError
from faceaug.storage.files import write_bytes
from faceaug.storage.walk import list_folder
from tests.clean.test_ignored_profiles import SRGB
from tests.clean.test_verify import detailed
from tests.clean.zoo import age_folders, tree, write
from tests.conftest import picture

ALL = CleanPolicy(max_remove=1)


def oracle(image: Image8, size: int = 8) -> imagehash.ImageHash:
    return imagehash.phash(Image.fromarray(image), hash_size=size)


def odd_pictures() -> list[Image8]:
    blank = [np.full((40, 30, 3), value, np.uint8) for value in (0, 1, 77, 255)]
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 32:] = 255
    checks = np.indices((48, 48)).sum(axis=0) % 2 * 255
    return [
        *blank,
        half,
        half[::-1].copy(),
        half.transpose(1, 0, 2).copy(),
        np.stack([checks] * 3, -1).astype(np.uint8),
    ]


@pytest.mark.parametrize("size", [8, 16])
def test_hashes_are_those_of_imagehash(size: int) -> None:
    sizes = [(218, 178), (64, 64), (33, 500), (1, 1), (2, 300)]
    pictures = [picture(k, height=max(8, h), width=max(8, w))[:h, :w] for k in range(8) for h, w in sizes]
    for image in map(np.ascontiguousarray, [*pictures, *odd_pictures()]):
        mine = hash_object(phash_words(image, size))
        assert mine == oracle(image, size)
        assert str(mine) == str(oracle(image, size))


def test_looks_hold_the_hash_of_the_whole_and_that_of_the_mirror_image() -> None:
    for seed in range(12):
        image = picture(seed)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        looks = looks_of(image)
        assert hash_object(looks["mirrored_whole"]) - hash_object(looks_of(mirrored)["whole"]) <= 2
        assert np.array_equal(looks["thumbnail"][:, ::-1], looks_of(mirrored)["thumbnail"])


@pytest.mark.slow
def test_hashes_of_real_faces_are_those_of_imagehash(celeba200: Path) -> None:
    for path in sorted((celeba200 / "img_align_celeba").iterdir())[::10]:
        image = read_image(path)
        assert hash_object(phash_words(image)) == oracle(image)
        assert hash_object(phash_words(image, 16)) == oracle(image, 16)


def test_the_compression_of_a_jpeg_is_read_from_its_table() -> None:
    image = picture(1)
    steps = [jpeg_quantisation(encode_jpeg(image, quality=quality)) for quality in (95, 75, 40)]
    assert steps == sorted(steps)
    assert steps[0] > 0
    assert jpeg_quantisation(encode_png(image)) == jpeg_quantisation(b"") == jpeg_quantisation(b"\xff\xd8\xff\xdb") == 0


def test_screening_keeps_moved_copies_and_drops_strangers() -> None:
    images = [picture(k) for k in range(8)]
    moved = [image[6:-5, 4:-5] for image in images]
    thumbnails = np.stack([looks_of(np.ascontiguousarray(image))["thumbnail"] for image in [*images, *moved]])
    at = np.arange(8)
    assert screen.likeness(thumbnails, thumbnails, at, at + 8).min() > 0.85
    assert screen.likeness(thumbnails, thumbnails, at, np.roll(at, 1)).max() < 0.8
    flat = np.zeros((2, 32, 32), np.uint8)
    assert screen.likeness(flat, flat, np.array([0]), np.array([1])).tolist() == [0.0]


def folder_of_copies(root: Path) -> Path:
    """Six photos; edited copies of three of them; a mirror image of the fourth."""
    photos = [detailed(k) for k in range(6)]
    for k, image in enumerate(photos):
        write(root / f"photo{k}.png", encode_png(image))
    write(root / "small.jpg", encode_jpeg(cv2.resize(photos[0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)))
    write(root / "worse.jpg", encode_jpeg(photos[1], quality=40))
    write(root / "cropped.jpg", encode_jpeg(np.ascontiguousarray(photos[2][4:-4, 3:-3])))
    write(root / "turned.jpg", encode_jpeg(np.ascontiguousarray(photos[3][:, ::-1])))
    age_folders(root)
    return root


def gone(report: CleanReport) -> dict[str, str]:
    return {entry.name: entry.keeper for entry in report.set_aside}


def test_edited_copies_are_set_aside_with_their_proof_and_come_back(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    before = tree(folder)
    report = clean_folder(folder, ALL)
    assert gone(report) == {"small.jpg": "photo0.png", "worse.jpg": "photo1.png", "cropped.jpg": "photo2.png"}
    assert {entry.kind for entry in report.set_aside} == {"same photo"}
    assert report.near_duplicates == report.counts()["near duplicates"] == 3
    for group in report.groups:
        (member,) = group.members
        assert gone(report)[member.name] == group.keeper
        assert member.evidence is not None
        assert member.evidence.detail > 0.95
    assert report.thresholds is not None
    assert report.thresholds.expected_false < 1
    assert report.thresholds.recall > 0.95
    assert [(pair.one, pair.other) for pair in report.mirrored] == [("photo3.png", "turned.jpg")]
    json.dumps(report.to_json())
    undo_clean(folder)
    assert tree(folder) == before


def test_the_report_offers_the_hashes_that_imagehash_would_make(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    write(folder / "broken.jpg", b"no picture")
    pictures = {path.name: read_image(path) for path in sorted(folder.glob("*.*")) if path.name != "broken.jpg"}
    report = clean_folder(folder, ALL)
    assert set(report.hashes) == set(pictures)
    for name, image in pictures.items():
        assert report.hashes[name] == oracle(image)
        assert report.hashes.fine(name) == oracle(image, 16)
    assert "hashes" not in report.to_json()
    assert len(clean_folder(folder, CleanPolicy(near=False), dry_run=True).hashes) == 0


def test_a_second_clean_finds_nothing_with_and_without_its_cache(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    clean_folder(folder, ALL)
    assert clean_folder(folder, ALL).run is None
    (folder / ".faceaug" / "cache.sqlite").unlink()
    assert clean_folder(folder, ALL).run is None


def test_near_duplicates_stay_when_they_are_not_asked_for(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    report = clean_folder(folder, CleanPolicy(near=False, max_remove=1))
    assert (report.run, report.groups, report.thresholds, report.mirrored) == (None, (), None, ())


def test_mirror_images_leave_on_request(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    report = clean_folder(folder, CleanPolicy(mirrored="remove", max_remove=1))
    assert gone(report)["turned.jpg"] == "photo3.png"
    assert [entry.kind for entry in report.set_aside if entry.name == "turned.jpg"] == ["mirrored"]
    assert report.mirrored == ()
    with pytest.raises(ArgumentError, match="mirrored"):
        CleanPolicy(mirrored="yes")  # type: ignore[arg-type]


def test_the_larger_stays_unless_it_was_only_enlarged(tmp_path: Path) -> None:
    image = detailed(1)
    larger = cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    smaller = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    for name, copy in {"a": smaller, "b": larger, "c": image}.items():
        write(tmp_path / f"{name}.png", encode_png(copy))
    assert gone(clean_folder(tmp_path, ALL)) == {"a.png": "c.png", "b.png": "c.png"}


def test_a_photo_in_two_partitions_leaves_train_and_is_reported(tmp_path: Path) -> None:
    for k in range(4):
        write(tmp_path / "img_align_celeba" / f"{k + 1:06d}.jpg", encode_jpeg(picture(k)))
    write(tmp_path / "img_align_celeba" / "000005.jpg", encode_jpeg(picture(0), quality=60))
    rows = "".join(f"{k:06d}.jpg {2 if k == 5 else 0}\n" for k in range(1, 6))
    write(tmp_path / "list_eval_partition.txt", rows.encode())
    write(tmp_path / "identity_CelebA.txt", "".join(f"{k:06d}.jpg {k}\n" for k in range(1, 6)).encode())
    report = clean_folder(tmp_path, ALL)
    (leak,) = report.leaks
    assert (leak.name, leak.partition, leak.keeper, leak.keeper_partition) == (
        "img_align_celeba/000001.jpg",
        "train",
        "img_align_celeba/000005.jpg",
        "test",
    )
    assert [conflict.says for conflict in report.conflicts] == ["identity 1 and 5; partition train and test"]


def test_the_result_is_the_same_for_any_order_of_files_and_any_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    expected = clean_folder(folder, ALL, dry_run=True, workers=0).to_json()
    for few, many in ((0, 10_000), (0, 0)):  # in threads, and in processes
        monkeypatch.setattr(executor, "_FEW", few)
        monkeypatch.setattr(executor, "_MANY", many)
        assert clean_folder(folder, ALL, dry_run=True, workers=2).to_json() == expected
    renamed = tmp_path / "renamed"
    names = sorted(path.name for path in folder.iterdir())
    new = dict(zip(names, random.Random(3).sample(names, len(names)), strict=True))
    for name in names:
        target = new[name].rpartition(".")[0] + Path(name).suffix
        write(renamed / target, (folder / name).read_bytes())
    assert len(clean_folder(renamed, ALL, dry_run=True).set_aside) == 3


def test_blank_pictures_are_never_near_duplicates(tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(1))
    for k in range(12):
        noisy = np.clip(draw.normal(128 + k, 1.0, (60, 50, 3)), 0, 255).astype(np.uint8)
        write(tmp_path / f"{k:02d}.png", encode_png(noisy))
    assert clean_folder(tmp_path, ALL).run is None


def test_more_candidates_than_the_budget_narrow_the_search_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    monkeypatch.setattr(candidates, "_PAIRS", 1)
    notes = clean_folder(folder, ALL, dry_run=True).notes
    assert any("near duplicates were" in note for note in notes)


def test_a_run_that_compares_only_the_most_alike_is_not_continued_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    monkeypatch.setattr(near_module, "_COMPARED", (2, 1_000))
    first = clean_folder(folder, ALL)
    assert len(first.set_aside) == 2
    assert any("most similar pairs" in note for note in first.notes)
    assert clean_folder(folder, ALL).run is None


def test_the_cache_spares_the_second_run_the_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    clean_folder(folder, ALL)
    monkeypatch.setattr("faceaug.clean.reading.read_signature", lambda path: pytest.fail(f"read {path} again"))
    monkeypatch.setattr(near_module, "compare_files", lambda task: pytest.fail(f"compared {task} again"))
    monkeypatch.setattr(candidates, "_within", lambda *_: pytest.fail("searched again"))
    assert clean_folder(folder, ALL).run is None
    assert clean_folder(folder, ALL, dry_run=True).groups == ()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    clean_folder(folder, ALL)
    write_bytes(folder / "photo5.png", encode_jpeg(detailed(4), quality=60))
    assert gone(clean_folder(folder, ALL)) == {"photo5.png": "photo4.png"}


def test_a_file_that_was_edited_and_kept_its_size_and_times_is_read_again(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    clean_folder(folder, ALL)
    path = folder / "photo5.png"
    facts = path.stat()
    data = encode_png(picture(4)[:16, :16].copy()).ljust(facts.st_size, b"\0")
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    write(folder / "photo6.png", data)
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    assert gone(clean_folder(folder, ALL)) == {"photo6.png": "photo5.png"}


@pytest.mark.parametrize("harm", ["garbage", "cut", "version", "folder", "page", "values", "types"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, harm: str) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    expected = gone(clean_folder(folder, ALL))
    undo_clean(folder)
    path = folder / ".faceaug" / "cache.sqlite"
    if harm == "garbage":
        path.write_bytes(b"no database" * 1000)
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif harm == "version":
        with sqlite3.connect(path) as database:
            database.execute("update facts set value = 'older' where name = 'version'")
        database.close()
    elif harm == "page":  # as a power cut leaves it
        data = path.read_bytes()
        path.write_bytes(data[:4096] + b"\0" * (len(data) - 4096))
    elif harm in {"values", "types"}:
        other = "zeroblob(1200)" if harm == "values" else "'text'"
        with sqlite3.connect(path) as database:
            database.execute(f"update files set content = {other}, looks = {other}")
            database.execute(f"update pairs set evidence = {other}")
            database.execute(f"update arrays set data = {other}")
            database.execute(f"update facts set value = {other} where name != 'version'")
        database.close()
    else:
        path.unlink()
        path.mkdir()
    assert gone(clean_folder(folder, ALL, dry_run=True)) == expected
    assert gone(clean_folder(folder, ALL)) == expected


def test_signatures_come_back_from_the_cache_as_they_were(tmp_path: Path) -> None:
    folder = folder_of_copies(tmp_path / "faces")
    write(folder / "broken.jpg", b"no picture")
    files = list_folder(folder).pictures
    with open_cache(tmp_path / "cache.sqlite", write=True) as cache:
        for file in files:
            cache.add(file, read_signature(str(folder / file.name)))
    with open_cache(tmp_path / "cache.sqlite", write=False) as cache:
        found = dict(cache.signatures(files))
    assert found == {file: read_signature(str(folder / file.name)) for file in files}
    assert all(len(s.looks) == (0 if s.problem else LOOKS.itemsize) for s in found.values())
    assert os.listdir(tmp_path).count("cache.sqlite") == 1


def test_the_whole_photo_stays_and_its_crop_leaves(tmp_path: Path) -> None:
    for k in range(5):
        image = detailed(k)
        write(tmp_path / f"b{k}.jpg", encode_jpeg(image, quality=95))
        part = image[11:-11, 9:-9]
        if k == 1:  # an enlarged crop has more pixels than the whole
            part = cv2.resize(part, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
        write(tmp_path / f"a{k}.jpg", encode_jpeg(np.ascontiguousarray(part), quality=60))
    assert gone(clean_folder(tmp_path, ALL, dry_run=True)) == {f"a{k}.jpg": f"b{k}.jpg" for k in range(5)}


def test_a_protected_crop_and_the_whole_photo_both_stay_and_are_reported(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"b{k}.png", encode_png(detailed(k)))
    write(tmp_path / "a.png", encode_png(np.ascontiguousarray(detailed(0)[8:-8, 6:-6])))
    report = clean_folder(tmp_path, CleanPolicy(max_remove=1, protect=("a.png",)), dry_run=True)
    assert report.set_aside == ()
    assert [(pair.one, pair.other, pair.tier) for pair in report.partial] == [("a.png", "b0.png", "crop")]
    assert "one photo that differs in a part, both stay" in report.summary()
    assert "a.png,stays,crop,b0.png" in report.to_csv().decode()
    assert "differ in a part, stay" in report.to_html()


def test_the_copy_whose_profile_was_lost_leaves(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"b{k}.png", encode_png(detailed(k)))
    colours = np.linspace(0, 1, 218 * 178, dtype=np.float32).reshape(218, 178, 1) * 0.3
    image = np.clip(detailed(7) / 255 * (1, 0.6, 0.4) + colours * (0, 0.5, 1), 0, 1)
    write(tmp_path / "right.jpg", encode_jpeg((image * 255).astype(np.uint8), quality=80))
    linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    to_wide = np.linalg.inv(np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]]))
    wide = np.clip(linear @ to_wide.T, 0, 1) ** (1 / 2.19921875)
    write(tmp_path / "a lossless, larger.png", encode_png((wide * 255).round().astype(np.uint8)))
    assert gone(clean_folder(tmp_path, ALL, dry_run=True)) == {"a lossless, larger.png": "right.jpg"}


def test_a_copy_whose_profile_is_ignored_leaves(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"b{k}.png", encode_png(detailed(k)))
    ignored = SRGB[:16] + b"Lab " + SRGB[20:]
    Image.fromarray(detailed(0)).save(tmp_path / "a.jpg", quality=95, icc_profile=ignored)
    Image.fromarray(detailed(1)).save(tmp_path / "c.jpg", quality=60)
    write(tmp_path / "b0.png", encode_jpeg(detailed(0), quality=50))
    assert gone(clean_folder(tmp_path, ALL, dry_run=True)) == {"a.jpg": "b0.png", "c.jpg": "b1.png"}


def test_drawings_that_differ_on_black_alone_are_different(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"b{k}.png", encode_png(detailed(k)))
    for k, letter in enumerate("ab"):
        image = np.zeros((218, 178, 4), np.uint8)
        image[..., :3] = detailed(6)
        image[60:160, 40:140, 3] = 255
        image[..., :3][image[..., 3] == 0] = 255
        cv2.circle(image, (30 + 100 * k, 190), 12, (255, 255, 255, 255), -1)
        Image.fromarray(image).save(tmp_path / f"{letter}.png")
    assert gone(clean_folder(tmp_path, ALL, dry_run=True)) == {}


def test_a_folder_without_look_alikes_never_loads_the_finder(tmp_path: Path) -> None:
    for k in range(6):
        write(tmp_path / f"{k}.png", encode_png(detailed(k)))
    write(tmp_path / "copy.jpg", encode_jpeg(detailed(0), quality=50))
    code = (
        "import sys; from faceaug.clean import CleanPolicy, clean_folder\n"
        f"report = clean_folder({str(tmp_path)!r}, CleanPolicy(max_remove=1), dry_run=True, workers=0)\n"
        "print(len(report.set_aside), [name for name in sys.modules if name.startswith('faceaug.faces')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 []\n"


def test_two_copies_of_a_third_picture_may_differ_by_the_noise_of_both() -> None:
    def pair(one: int, other: int, parts: float, detail: float = 0.99) -> near_module.ComparedPair:
        return near_module.ComparedPair(one, other, 2, PairEvidence(1, detail, 1, 1, 1, 9, 1, 1, 0, parts=parts))

    def found(*pairs: near_module.ComparedPair) -> list[tuple[int, int]]:
        return [(link.one, link.other) for link in near_module.copies_among(pairs, 0.93)]

    assert found(pair(0, 1, 0.3)) == []
    assert found(pair(0, 1, 0.3), pair(0, 2, 0.8)) == [(0, 2)]
    assert found(pair(0, 1, 0.3), pair(0, 2, 0.8), pair(1, 2, 0.8)) == [(0, 1), (0, 2), (1, 2)]
    assert found(pair(0, 1, -0.3), pair(0, 2, 0.8), pair(1, 2, 0.8)) == [(0, 2), (1, 2)]
    assert found(pair(0, 1, 0.3, detail=0.9), pair(0, 2, 0.8), pair(1, 2, 0.8)) == [(0, 2), (1, 2)]
