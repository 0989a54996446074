from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from faceaug.storage.ledger import Ledger


@dataclass(frozen=True)
class Page:
    file: str
    sha256: str

    def to_json(self) -> tuple[str, str]:
        return self.file, self.sha256


def read(values: Any) -> Page:
    file, sha256 = values
    return Page(file, sha256)


def opened(folder: Path) -> Ledger[Page]:
    return Ledger(folder / "ledger", read)


def written(folder: Path, name: str, data: bytes = b"content") -> Page:
    (folder / name).write_bytes(data)
    return Page(name, hashlib.sha256(data).hexdigest())


def test_a_ledger_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    first = opened(tmp_path)
    pages = [written(tmp_path, "a"), written(tmp_path, "b")]
    first.add(pages)
    first.close()
    path = tmp_path / "ledger"
    path.write_text(path.read_text() + '0123456789abcdef ["c", "ab')
    second = opened(tmp_path)
    assert second.entries == pages
    assert second.damaged == frozenset()
    second.add([written(tmp_path, "c")])
    second.close()
    third = opened(tmp_path)
    third.close()
    assert [page.file for page in third.entries] == ["a", "b", "c"]


def test_entries_of_changed_and_missing_files_are_damaged(tmp_path: Path) -> None:
    first = opened(tmp_path)
    whole = written(tmp_path, "whole")
    changed = written(tmp_path, "changed")
    missing = written(tmp_path, "missing")
    without_a_file = Page("", "")
    first.add([changed, whole, missing, without_a_file, changed])
    first.close()
    (tmp_path / "changed").write_bytes(b"")
    (tmp_path / "missing").unlink()
    second = opened(tmp_path)
    assert second.damaged == {0, 2, 4}
    again = written(tmp_path, "changed", b"other content")
    second.replace(0, [again])
    second.close()
    assert second.entries[0] == again


def test_more_or_fewer_entries_than_were_there_take_the_place_of_others(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.add([written(tmp_path, name) for name in "abc"])
    ledger.replace(1, [written(tmp_path, name) for name in "xyz"], count=1)
    ledger.add([written(tmp_path, "d")])
    ledger.close()
    again = opened(tmp_path)
    assert [page.file for page in again.entries] == list("axyzcd")
    again.replace(1, [written(tmp_path, "b")], count=3)
    again.close()
    third = opened(tmp_path)
    assert [page.file for page in third.entries] == list("abcd")
    third.close()


def test_entries_that_are_cut_off_are_gone_from_the_file_too(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.add([written(tmp_path, name) for name in "abc"])
    ledger.truncate(1)
    ledger.close()
    again = opened(tmp_path)
    assert [page.file for page in again.entries] == ["a"]
    again.remove()
    assert not (tmp_path / "ledger").exists()


def lines_of(folder: Path, *names: str) -> list[str]:
    """The lines of a ledger with these pages."""
    ledger = opened(folder)
    ledger.add([written(folder, name) for name in names])
    ledger.close()
    return (folder / "ledger").read_text().splitlines(keepends=True)


def read_back(folder: Path, lines: list[str]) -> list[str]:
    (folder / "ledger").write_bytes("".join(lines).encode("utf-8", "surrogatepass"))
    ledger = opened(folder)
    ledger.close()
    return [page.file for page in ledger.entries]


@pytest.mark.parametrize(
    "line", ["7", "[]", '["a"]', "null", "", "[" * 100_000, '["\\ud800", "x"]', "\0" * 300, '["c", "\ud800"]']
)
def test_a_line_that_is_no_entry_ends_the_ledger(tmp_path: Path, line: str) -> None:
    first, second, third = lines_of(tmp_path, "a", "b", "c")
    assert read_back(tmp_path, [first, line + "\n", third]) == ["a"]
    assert read_back(tmp_path, [first, second, f"0123456789abcdef {line}\n"]) == ["a", "b"]


def test_a_line_that_was_edited_moved_or_repeated_ends_the_ledger(tmp_path: Path) -> None:
    first, second, third = lines_of(tmp_path, "a", "b", "c")
    assert read_back(tmp_path, [first, second.replace('"b"', '"a"'), third]) == ["a"]
    assert read_back(tmp_path, [first, third, second]) == ["a"]
    assert read_back(tmp_path, [first, first, second, third]) == ["a"]
    assert read_back(tmp_path, [second, third]) == []


def test_a_line_that_lost_its_checksum_ends_the_ledger_but_in_one_that_never_had_any(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "a", "b", "c")
    plain = [line.partition(" ")[2] for line in lines]
    assert read_back(tmp_path, [lines[0], plain[1], lines[2]]) == ["a"]
    assert read_back(tmp_path, plain) == ["a", "b", "c"]
    assert read_back(tmp_path, [plain[0], lines[1], plain[2]]) == ["a"]


@pytest.mark.parametrize(
    "name", ["../mine.jpg", "/mine.jpg", "link/mine.jpg", "a/../../mine.jpg", "..", "a/..", "/mine"]
)
def test_a_line_that_names_a_file_elsewhere_ends_the_ledger_and_the_file_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "a").mkdir()
    lines = lines_of(folder, "b", "c")
    named = str(tmp_path / "mine.jpg") if name.startswith("/") else name
    plain = [line.partition(" ")[2] for line in lines]
    assert read_back(folder, [plain[0], plain[1].replace('"c"', json.dumps(named))]) == ["b"]
    assert (tmp_path / "mine.jpg").read_bytes() == b"mine"
    assert (folder / "a").is_dir()


def test_what_is_in_the_place_of_a_damaged_file_is_removed(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "a", "b")
    (tmp_path / "a").write_bytes(b"changed")
    assert read_back(tmp_path, lines) == ["a", "b"]
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()
