from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from faceaug.clean.evidence import add_hints, compare_with_archive, find_archive, read_archive
from faceaug.clean.names import Unclear
from faceaug.data.folder import CELEBA_PICTURES
from faceaug.storage.walk import File, list_folder
from tests.clean.zoo import celeba, good, jpeg, write


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("img_align_celeba/", b"")
        for name, data in files.items():
            archive.writestr(f"img_align_celeba/{name}", data)
        archive.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"junk")
    return path


def test_an_archive_in_or_beside_the_folder_says_which_picture_a_file_is(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", {"me.jpg": jpeg(2), "000001.jpg": jpeg(1), "000003.jpg": jpeg(9)}, known=4)
    zipped = archive_of(folder / "img_align_celeba.zip", good(1, 2, 3) | {"000004.jpg": jpeg(2)})
    assert find_archive(folder) == zipped
    assert find_archive(folder / "img_align_celeba") == zipped
    archive = read_archive(zipped)
    assert archive is not None
    assert archive.names == {"000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg"}
    listing = list_folder(folder)
    evidence = compare_with_archive(folder, listing.pictures, archive)
    assert evidence.names == {
        "img_align_celeba/000001.jpg": {"000001.jpg"},
        "img_align_celeba/me.jpg": {"000002.jpg", "000004.jpg"},
    }
    assert evidence.notes == (
        "1 picture differs from img_align_celeba.zip (changed or damaged): img_align_celeba/000003.jpg",
    )


def test_an_archive_of_another_version_is_no_help_and_says_so(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3), known=3)
    archive = read_archive(archive_of(folder / "img_align_celeba.zip", {"000001.jpg": jpeg(7), "000002.jpg": jpeg(8)}))
    evidence = compare_with_archive(folder, list_folder(folder).pictures, archive)
    assert evidence.names == {}
    assert "none of these pictures" in evidence.notes[0]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no archive", b"PK\x05\x06" + bytes(18)])
def test_an_archive_that_is_none_is_ignored(tmp_path: Path, data: bytes) -> None:
    assert read_archive(write(tmp_path / "img_align_celeba.zip", data)) is None
    assert find_archive(tmp_path / "deeper" / "missing") is None
    whole = archive_of(tmp_path / "whole.zip", good(1, 2))
    assert read_archive(write(tmp_path / "cut.zip", whole.read_bytes()[:-30])) is None


def files_in_time(numbers: list[int], odd: dict[str, int], *, step: int = 10) -> list[File]:
    known = [(f"{CELEBA_PICTURES}/{k:06d}.jpg", step * k) for k in numbers]
    every = [*known, *((f"{CELEBA_PICTURES}/{name}", time) for name, time in odd.items())]
    return [File(name, 1, inode, 1, time) for inode, (name, time) in enumerate(every)]


def test_neighbours_in_order_of_time_give_a_hint_and_nothing_more() -> None:
    entry = Unclear(f"{CELEBA_PICTURES}/00134.jpg", ("000134.jpg", "001234.jpg"), "several numbers fit")
    numbers = [k for k in range(100, 200) if k != 134]
    (hinted,) = add_hints([entry], files_in_time(numbers, {"00134.jpg": 1340}))
    assert hinted.hint == "000134.jpg: by modification time it lies between 000133.jpg and 000135.jpg"
    assert (hinted.candidates, hinted.why) == (entry.candidates, entry.why)


@pytest.mark.parametrize("time", [1330, 5, 10_000])
def test_equal_times_and_the_ends_give_no_hint(time: int) -> None:
    entry = Unclear(f"{CELEBA_PICTURES}/00134.jpg", ("000134.jpg", "001234.jpg"), "several numbers fit")
    numbers = [k for k in range(100, 200) if k != 134]
    assert add_hints([entry], files_in_time(numbers, {"00134.jpg": time})) == [entry]
    assert add_hints([entry], files_in_time(numbers, {"00134.jpg": 0}, step=0)) == [entry]
    single = Unclear(f"{CELEBA_PICTURES}/00134.jpg", ("000134.jpg",), "more damaged names than free numbers")
    assert add_hints([single], files_in_time(numbers, {"00134.jpg": 1340})) == [single]


def test_times_that_do_not_run_with_the_numbers_give_no_hint() -> None:
    entry = Unclear(f"{CELEBA_PICTURES}/00134.jpg", ("000134.jpg", "001234.jpg"), "several numbers fit")
    files = files_in_time([131, 132, 136, 133, 135, 137], {"00134.jpg": 1340})
    mixed = [File(f.name, 1, f.inode, 1, 1300 + 10 * k) for k, f in enumerate(files)]
    assert add_hints([entry], mixed) == [entry]


def test_a_picture_that_cannot_be_read_has_no_evidence(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2), known=2)
    archive = read_archive(archive_of(tmp_path / "img_align_celeba.zip", good(1, 2)))
    listing = list_folder(folder)
    os.unlink(folder / "img_align_celeba" / "000002.jpg")
    evidence = compare_with_archive(folder, listing.pictures, archive)
    assert list(evidence.names) == ["img_align_celeba/000001.jpg"]
