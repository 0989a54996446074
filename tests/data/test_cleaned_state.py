from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.data.cleaned_state import CLEANED, UNKNOWN, cleaned_pictures
from faceaug.errors import RefusedError
from tests.clean.zoo import good, jpeg, messy, write

EXACT = CleanPolicy(near=False, max_remove=1.0)


def flat(root: Path) -> Path:
    for name, data in good(1, 2, 3).items():
        write(root / name, data)
    return root


def test_a_clean_stands_until_it_is_undone(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    assert cleaned_pictures(folder) is None
    clean_folder(folder, EXACT, dry_run=True)
    assert cleaned_pictures(folder) is None
    report = clean_folder(folder, EXACT)
    assert cleaned_pictures(folder) == report.cleaned
    assert cleaned_pictures(folder / "img_align_celeba") == UNKNOWN
    undo_clean(folder)
    assert cleaned_pictures(folder) is None
    assert cleaned_pictures(folder / "img_align_celeba") is None


@pytest.mark.parametrize("odd", [float("inf"), float("nan"), 1e308, -5, 2**63, 10**400, True, "7", [], None])
def test_an_odd_number_of_pictures_in_the_record_is_unknown(tmp_path: Path, odd: object) -> None:
    folder = flat(tmp_path / "flat")
    clean_folder(folder, EXACT)
    path = folder / ".faceaug" / CLEANED
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"pictures": odd}))
    assert cleaned_pictures(folder) == UNKNOWN


def test_a_clean_that_found_nothing_stands_and_survives_an_undo_that_is_refused(tmp_path: Path) -> None:
    folder = flat(tmp_path / "flat")
    assert clean_folder(folder, EXACT).run is None
    assert cleaned_pictures(folder) == 3
    with pytest.raises(RefusedError, match="no run to undo"):
        undo_clean(folder)
    assert cleaned_pictures(folder) == 3


def test_a_refused_clean_leaves_nothing_that_stands(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    with pytest.raises(RefusedError, match="more than the 1% allowed"):
        clean_folder(folder, CleanPolicy(near=False, max_remove=0.01))
    assert cleaned_pictures(folder) is None


def test_class_folders_and_cleaned_copies_are_known(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/3.jpg"):
        write(tmp_path / "classes" / name, jpeg(len(name) + ord(name[0])))
    clean_folder(tmp_path / "classes", EXACT)
    assert cleaned_pictures(tmp_path / "classes") == 2
    report = clean_folder(messy(tmp_path / "celeba"), EXACT, out=tmp_path / "copy")
    assert cleaned_pictures(tmp_path / "copy") == report.cleaned
    assert cleaned_pictures(tmp_path / "celeba") is None


def test_a_clean_of_img_align_celeba_counts_for_the_folder_above(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    clean_folder(folder / "img_align_celeba", EXACT)
    assert cleaned_pictures(folder) == UNKNOWN


def test_a_clean_by_a_version_without_the_note_is_known_by_its_journal(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    clean_folder(folder, EXACT)
    (folder / ".faceaug" / CLEANED).unlink()
    assert cleaned_pictures(folder) == UNKNOWN
    undo_clean(folder)
    assert cleaned_pictures(folder) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"finished": true}', b'{"finished": false, "run": {}}', b"\xff"]
)
def test_somebody_elses_file_of_that_name_says_nothing(tmp_path: Path, content: bytes) -> None:
    folder = flat(tmp_path / "flat")
    (folder / CLEANED).write_bytes(content)
    assert cleaned_pictures(folder) is None


def test_a_damaged_journal_says_nothing(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    clean_folder(folder, EXACT)
    state = folder / ".faceaug"
    (state / CLEANED).unlink()
    lines = (state / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (state / "journal.jsonl").write_bytes(b"".join([lines[0], b"not a record\n", *lines[1:]]))
    assert cleaned_pictures(folder) is None
    shutil.rmtree(state)
    assert cleaned_pictures(folder) is None
