from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.errors import RefusedError
from faceaug.storage import state_owner as tie
from faceaug.storage.state import state_folder
from tests.clean.zoo import age_folders, jpeg, tree, write

EXACT = CleanPolicy(near=False)


def classes(root: Path, first: int = 0) -> Path:
    """Two classes of five pictures, and one copy."""
    for number, name in enumerate("ab"):
        for k in range(5):
            write(root / name / f"{k}.jpg", jpeg(first + 10 * number + k))
    write(root / "b" / "copy.jpg", jpeg(first + 10))
    age_folders(root)
    return root


@pytest.fixture(params=["marked", "unmarked"])
def marks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system has extended attributes."""
    if request.param == "unmarked":
        monkeypatch.setattr(tie, "_ATTRIBUTE", "no such kind of attribute")
    return request.param == "marked"


def test_another_folder_of_the_same_name_is_refused_and_told_where_the_state_is(tmp_path: Path, marks: bool) -> None:
    folder = classes(tmp_path / "data")
    clean_folder(folder)
    folder.rename(tmp_path / "data-v1")
    new = classes(tmp_path / "data", first=100)
    before = tree(new)
    for work in (clean_folder, undo_clean, lambda path: clean_folder(path, dry_run=True)):
        with pytest.raises(RefusedError, match=r"\.data\.faceaug belongs to") as refused:
            work(new)
        assert ("data-v1" in str(refused.value)) == marks
    assert tree(new) == before


def test_a_renamed_folder_finds_its_state_or_takes_it_along(tmp_path: Path, marks: bool) -> None:
    folder = classes(tmp_path / "data")
    before = tree(folder)
    clean_folder(folder)
    moved = folder.rename(tmp_path / "renamed")
    if not marks:
        with pytest.raises(RefusedError, match="no run to undo"):
            undo_clean(moved)
        (tmp_path / ".data.faceaug").rename(tmp_path / ".renamed.faceaug")
    assert undo_clean(moved).restored == 1
    assert tree(moved) == before


def test_folders_that_exchange_their_names_keep_their_own_states(tmp_path: Path, marks: bool) -> None:
    one, other = classes(tmp_path / "one"), classes(tmp_path / "other", first=100)
    before = tree(one), tree(other)
    clean_folder(one)
    clean_folder(other)
    one.rename(tmp_path / "third")
    other.rename(one)
    (tmp_path / "third").rename(other)
    if not marks:
        for folder in (one, other):
            with pytest.raises(RefusedError, match="belongs to another folder"):
                undo_clean(folder)
        return
    undo_clean(one)
    undo_clean(other)
    assert (tree(other), tree(one)) == before


def test_an_undo_works_after_folder_and_state_were_copied(tmp_path: Path, marks: bool) -> None:
    folder = classes(tmp_path / "here" / "data")
    before = tree(folder)
    clean_folder(folder)
    subprocess.run(["tar", "-C", tmp_path / "here", "-cf", tmp_path / "all.tar", "data", ".data.faceaug"], check=True)
    (tmp_path / "there").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "there", "-xf", tmp_path / "all.tar"], check=True)  # whole seconds only
    assert undo_clean(tmp_path / "there" / "data").restored == 1
    assert tree(tmp_path / "there" / "data", folder_times=False).keys() == before.keys()


def test_a_copy_without_its_state_does_not_use_up_that_of_the_original(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data")
    before = tree(folder)
    clean_folder(folder)
    subprocess.run(["cp", "-a", folder, tmp_path / "copy"], check=True)
    with pytest.raises(RefusedError, match="no run to undo"):
        undo_clean(tmp_path / "copy")
    write(tmp_path / "copy" / "a" / "new.jpg", jpeg(0))
    clean_folder(tmp_path / "copy")
    assert undo_clean(tmp_path / "copy").restored == 1
    undo_clean(folder)
    assert tree(folder) == before


def test_a_folder_made_anew_in_the_place_of_a_removed_one_is_another(tmp_path: Path, marks: bool) -> None:
    folder = classes(tmp_path / "data")
    clean_folder(folder)
    shutil.rmtree(folder)
    classes(folder, first=100)
    with pytest.raises(RefusedError, match="belongs to another folder"):
        undo_clean(folder)


def test_a_folder_that_its_user_changed_is_still_itself(tmp_path: Path, marks: bool) -> None:
    folder = classes(tmp_path / "data")
    clean_folder(folder)
    shutil.rmtree(folder / "a")
    write(folder / "c" / "more.jpg", jpeg(300))
    assert undo_clean(folder).restored == 1
    assert (folder / "b" / "copy.jpg").read_bytes() == jpeg(10)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"id": 1}', '{"id": "x", "device": 1, "inode": 2, "files": [1]}', "[" * 10**5]
)
def test_a_state_without_a_tie_is_used_as_before(tmp_path: Path, text: str) -> None:
    folder = classes(tmp_path / "data")
    clean_folder(folder)
    (tmp_path / ".data.faceaug" / tie.TIE).write_text(text)
    assert undo_clean(folder).restored == 1


def test_the_state_beside_a_folder_with_a_long_name_has_a_legal_one(tmp_path: Path) -> None:
    folder = classes(tmp_path / ("n" * 250))
    before = tree(folder)
    assert clean_folder(folder).byte_duplicates == 1
    assert len(os.fsencode(state_folder(folder, beside=True).name)) < 255
    assert undo_clean(folder).restored == 1
    assert tree(folder) == before


def test_names_that_are_not_utf8_identify_a_folder_too(tmp_path: Path, marks: bool) -> None:
    folder = classes(tmp_path / "data")
    for path in list(folder.rglob("*.jpg")):
        path.rename(path.with_name(os.fsdecode(b"\xff" + os.fsencode(path.name))))
    clean_folder(folder, EXACT)
    folder.rename(tmp_path / "data-v1")
    new = classes(tmp_path / "data", first=100)
    with pytest.raises(RefusedError, match="belongs to"):
        undo_clean(new)


@pytest.mark.parametrize(
    "harm",
    [
        {"id": "\ud800"},
        {"id": ""},
        {"id": 7},
        {"device": None},
        {"inode": 1e400},
        {"files": 5},
        {"files": [["\ud800", 3, "0" * 32]]},
        {"files": [["../outside.jpg", 3, "0" * 32]]},
        {"files": [["/etc/passwd", 3, "0" * 32]]},
        {"files": [["a\0b", 3, "0" * 32]]},
        {"files": [["a", True, "0" * 32], ["b", 3]]},
        {"files": {"abc": 1}},
    ],
)
def test_a_link_to_the_folder_with_odd_values_is_taken_for_none(tmp_path: Path, harm: dict[str, object]) -> None:
    folder = classes(tmp_path / "data")
    before = tree(folder)
    clean_folder(folder, EXACT)
    path = tmp_path / ".data.faceaug" / tie.TIE
    path.write_text(json.dumps(json.loads(path.read_bytes()) | harm))
    clean_folder(folder, EXACT)
    assert undo_clean(folder).restored == 1
    assert tree(folder) == before
