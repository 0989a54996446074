"""Journals of version 0.1.0, which know files by number, size and time, on disks that number them anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from faceaug.clean import undo_clean
from faceaug.storage.journal import open_journal
from tests.clean.zoo import OLD, tree, write

JOURNALS = Path(__file__).parents[1] / "golden" / "journals"
NAMES = ("a", "b", "c", "d", "sub/e", "sub/f", "g")
# Where the two runs of the whole journal left each file.
AFTER = {
    "a": "b", "b": "a", "c": ".faceaug/set-aside/0001/c", "d": "D", "sub/e": ".faceaug/set-aside/0001/sub/e",
    "sub/f": "sub/x", "g": ".faceaug/set-aside/0002/g",
}  # fmt: skip


def build(root: Path, places: dict[str, list[str]], journal: str) -> Path:
    for name, found in places.items():
        first = write(root / found[0], b"content of " + name.encode() * 3)
        for other in found[1:]:
            (root / other).parent.mkdir(parents=True, exist_ok=True)
            os.link(first, root / other)
    shutil.copy(JOURNALS / journal, root / ".faceaug" / "journal.jsonl")
    return root


def original(root: Path) -> dict[str, tuple[object, ...]]:
    for name in NAMES:
        write(root / name, b"content of " + name.encode() * 3)
    return tree(root, folder_times=False)


@pytest.mark.parametrize("cut", [1, 10**9, 2 * 10**9])
def test_all_of_it_is_given_back_whatever_the_resolution_of_the_disk(tmp_path: Path, cut: int) -> None:
    folder = build(tmp_path / "f", {name: [place] for name, place in AFTER.items()}, "version-0.1.0.jsonl")
    for path in folder.rglob("*"):
        os.utime(path, ns=(OLD, OLD - OLD % cut)) if path.is_file() else None
    report = undo_clean(folder, all_runs=True)
    assert (report.restored, report.left) == (7, ())
    for name in NAMES:
        assert (folder / name).read_bytes() == b"content of " + name.encode() * 3


@pytest.mark.parametrize("links", [True, False])
def test_a_run_that_was_killed_is_completed_on_a_disk_that_numbers_files_anew(tmp_path: Path, links: bool) -> None:
    before = original(tmp_path / "original")
    aside = ".faceaug/set-aside/0001"
    places = {name: [name] for name in NAMES}
    places |= {"c": [f"{aside}/c"], "sub/e": [f"{aside}/sub/e"], "g": ["h"]}
    if links:  # killed between the two halves of two moves
        places |= {"sub/e": ["sub/e", f"{aside}/sub/e"], "g": ["g", "h"]}
    folder = build(tmp_path / "f", places, "version-0.1.0-killed.jsonl")
    with open_journal(folder, beside=False, purpose="test") as journal:
        assert [moved.origin for moved in journal.history.runs[0].moved.values()] == ["c", "sub/e", "g"]
    assert not (folder / "g").exists()
    assert undo_clean(folder).restored == 3
    assert tree(folder, folder_times=False) == before


def test_files_that_an_earlier_version_lost_count_of_are_found_again(tmp_path: Path) -> None:
    from faceaug.storage.moves import encode_record

    folder = build(tmp_path / "f", {name: [place] for name, place in AFTER.items()}, "version-0.1.0.jsonl")
    path = folder / ".faceaug" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(k for k, line in enumerate(lines) if b'"steps": [7, 8]' in line)
    lines[at] = encode_record({"op": "done", "steps": [8], "skipped": [7]})
    path.write_bytes(b"".join(lines))
    assert undo_clean(folder, all_runs=True).restored == 7
    assert (folder / "g").exists()
