from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceaug import CleanPolicy, clean_folder, undo_clean
from faceaug.clean.index import open_index
from faceaug.clean.leaks import find_leaks
from faceaug.data.image import encode_jpeg, encode_png
from faceaug.errors import ArgumentError, FaceAugError
from tests.conftest import picture

ALL = CleanPolicy(max_remove=1)


def write(folder: Path, **seeds: int) -> Path:
    folder.mkdir(exist_ok=True)
    for name, seed in seeds.items():
        (folder / f"{name}.png").write_bytes(encode_png(picture(seed)))
    return folder


def facts(folder: Path) -> list[tuple[str, bytes, int]]:
    return [(p.name, p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir())]


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return write(tmp_path / "known", a=1, b=2, c=3, d=4)


@pytest.fixture
def new(tmp_path: Path, known: Path) -> Path:
    folder = write(tmp_path / "new", own=11, other=12, pixels=2)
    (folder / "bytes.png").write_bytes((known / "a.png").read_bytes())
    (folder / "photo.jpg").write_bytes(encode_jpeg(picture(3), quality=80))
    return folder


def test_pictures_that_the_reference_has_are_set_aside_and_undo_gives_them_back(new: Path, known: Path) -> None:
    before, untouched = facts(new), facts(known)
    times = known.stat().st_mtime_ns
    report = clean_folder(new, ALL, against=[known], progress=False)
    kinds = {entry.name: (entry.kind, entry.keeper) for entry in report.set_aside}
    assert kinds == {
        "bytes.png": ("same bytes", "../known/a.png"),
        "pixels.png": ("same bytes", "../known/b.png"),
        "photo.jpg": ("same photo", "../known/c.png"),
    }
    assert f"compared with 4 pictures of {known}" in report.notes
    assert sorted(p.name for p in new.iterdir() if p.suffix) == ["other.png", "own.png"]
    assert (facts(known), known.stat().st_mtime_ns) == (untouched, times)
    assert undo_clean(new).restored == 3
    assert facts_of_pictures(new) == before


def facts_of_pictures(folder: Path) -> list[tuple[str, bytes, int]]:
    return [(p.name, p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir()) if p.is_file()]


def test_a_second_run_reads_only_what_has_changed(new: Path, known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean_folder(new, ALL, against=[known], dry_run=True, progress=False)
    assert not known.with_name("known.faceaug-index").exists()
    clean_folder(new, ALL, out=known.with_name("out"), against=[known], progress=False)
    assert known.with_name("known.faceaug-index").is_file()
    write(known, e=12)
    read: list[str] = []
    monkeypatch.setattr("faceaug.clean.index.Index.add", lambda _, file, signature: read.append(file.name))
    found = clean_folder(new, ALL, against=[known], dry_run=True, progress=False)
    assert read == ["e.png"]
    assert ("other.png", "../known/e.png") in {(entry.name, entry.keeper) for entry in found.set_aside}


def test_a_kept_index_changes_nothing_in_the_result(new: Path, known: Path, tmp_path: Path) -> None:
    index = tmp_path / "kept" / "known.faceaug-index"
    first, second = (clean_folder(new, ALL, against=known, index=index, dry_run=True, progress=False) for _ in "12")
    assert first == second
    assert not known.with_name("known.faceaug-index").exists()


def test_a_damaged_index_is_built_anew_and_another_file_is_refused(new: Path, known: Path, tmp_path: Path) -> None:
    index = tmp_path / "x.faceaug-index"
    first = clean_folder(new, ALL, against=known, index=index, dry_run=True, progress=False)
    data = bytearray(index.read_bytes())
    data[-400] ^= 1
    index.write_bytes(data)
    second = clean_folder(new, ALL, against=known, index=index, dry_run=True, progress=False)
    assert second.set_aside == first.set_aside
    assert any("built anew (it is damaged)" in note for note in second.notes)
    assert open_index(index)[1] == ""
    for other in (tmp_path / "mine.txt", tmp_path / "mine.faceaug-index"):
        other.write_bytes(b"mine")
        with pytest.raises(FaceAugError):
            clean_folder(new, ALL, against=known, index=other, dry_run=True, progress=False)
        assert other.read_bytes() == b"mine"


def test_a_hard_link_of_a_reference_is_a_copy_of_it(new: Path, known: Path) -> None:
    os.link(known / "d.png", new / "linked.png")
    report = clean_folder(new, ALL, against=[known], progress=False)
    assert "linked.png" in {entry.name for entry in report.set_aside}
    assert (known / "d.png").is_file()


def test_copies_within_the_reference_are_no_matter(new: Path, known: Path) -> None:
    (known / "again.png").write_bytes((known / "a.png").read_bytes())
    (known / "alike.jpg").write_bytes(encode_jpeg(picture(4), quality=80))
    report = clean_folder(new, ALL, against=[known], dry_run=True, progress=False)
    assert {entry.name for entry in report.set_aside} == {"bytes.png", "pixels.png", "photo.jpg"}
    assert not report.mirrored
    assert not report.bursts


def test_a_protected_picture_stays_though_the_reference_has_it(new: Path, known: Path) -> None:
    policy = CleanPolicy(max_remove=1, protect=("bytes.png",))
    report = clean_folder(new, policy, against=[known], dry_run=True, progress=False)
    assert {entry.name for entry in report.set_aside} == {"pixels.png", "photo.jpg"}


def test_a_copy_leaves_out_what_the_reference_has_and_is_another_run_once_that_changes(
    new: Path, known: Path, tmp_path: Path
) -> None:
    report = clean_folder(new, ALL, out=tmp_path / "out", against=[known], progress=False)
    assert (report.cleaned, len(report.set_aside)) == (2, 3)
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.suffix == ".png") == ["other.png", "own.png"]


def test_folders_that_share_pictures_are_refused(new: Path, known: Path) -> None:
    for wrong in (new, new.parent, [known, known]):
        with pytest.raises(ArgumentError):
            clean_folder(new, ALL, against=wrong, dry_run=True, progress=False)  # type: ignore[arg-type]


def test_leaks_are_pairs_of_one_photo_in_two_folders(tmp_path: Path, known: Path, new: Path) -> None:
    (new / "turned.png").write_bytes(encode_png(np.ascontiguousarray(picture(4)[:, ::-1])))
    (new / "large.png").write_bytes(encode_png(cv2.resize(picture(1), None, fx=1.5, fy=1.5)))
    before = facts_of_pictures(new), facts_of_pictures(known)
    found = {(leak.one.name, leak.other.name): leak.tier for leak in find_leaks(known, new, progress=False)}
    assert found == {
        ("a.png", "bytes.png"): "same bytes",
        ("a.png", "large.png"): "same photo",
        ("b.png", "pixels.png"): "same bytes",
        ("c.png", "photo.jpg"): "same photo",
        ("d.png", "turned.png"): "mirrored",
    }
    assert (facts_of_pictures(new), facts_of_pictures(known)) == before
    assert not (new / ".faceaug").exists()


def test_leaks_are_found_though_metadata_names_the_pictures_and_each_copy_is_listed(known: Path, new: Path) -> None:
    turned = encode_png(np.ascontiguousarray(picture(4)[:, ::-1]))
    for name in ("turned.png", "again.png"):
        (new / name).write_bytes(turned)
    names = sorted(path.name for path in new.iterdir())
    (new / "metadata.csv").write_text("file_name\n" + "".join(f"{name}\n" for name in names))
    found = {leak.other.name: (leak.one.name, leak.tier) for leak in find_leaks(known, new, progress=False)}
    assert found == {
        "again.png": ("d.png", "mirrored"),
        "bytes.png": ("a.png", "same bytes"),
        "photo.jpg": ("c.png", "same photo"),
        "pixels.png": ("b.png", "same bytes"),
        "turned.png": ("d.png", "mirrored"),
    }


def test_a_reference_beside_which_nothing_can_be_kept_is_read_all_the_same(new: Path, known: Path) -> None:
    beside = known.with_name("known.faceaug-index")
    beside.write_bytes(b"mine")
    report = clean_folder(new, ALL, against=[known], progress=False)
    assert len(report.set_aside) == 3
    assert any(note.startswith("no index was kept (") for note in report.notes)
    assert beside.read_bytes() == b"mine"


def test_neither_a_copy_nor_the_index_is_written_into_a_folder_that_is_only_read(new: Path, known: Path) -> None:
    before = facts(known)
    for options in ({"out": known / "out"}, {"index": known / "x.faceaug-index"}, {"index": new / "x.faceaug-index"}):
        with pytest.raises(ArgumentError, match="cannot lie in"):
            clean_folder(new, ALL, against=[known], progress=False, **options)  # type: ignore[arg-type]
    assert facts(known) == before


def test_an_index_of_several_folders_keeps_what_it_knows_of_the_others(
    new: Path, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = write(tmp_path / "more", a=21, z=22)  # a name that the other folder has, too
    index = tmp_path / "both.faceaug-index"
    clean_folder(new, ALL, against=[known], index=index, dry_run=True, progress=False)
    clean_folder(new, ALL, against=[more], index=index, dry_run=True, progress=False)
    read: list[str] = []
    monkeypatch.setattr("faceaug.clean.index.Index.add", lambda _, file, signature: read.append(file.name))
    clean_folder(new, ALL, against=[known, more], index=index, dry_run=True, progress=False)
    assert read == []


def test_a_search_among_references_changes_no_later_search_without_them(new: Path, known: Path) -> None:
    (new / "near.jpg").write_bytes(encode_jpeg(picture(11), quality=80))
    alone = clean_folder(new, ALL, dry_run=True, progress=False)
    report = clean_folder(new, ALL, against=[known], progress=False)
    undo_clean(new)
    again = clean_folder(new, ALL, dry_run=True, progress=False)
    assert len(report.set_aside) == 4
    assert (again.set_aside, again.thresholds) == (alone.set_aside, alone.thresholds)
