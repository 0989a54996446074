from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from faceaug.clean import undo_clean
from faceaug.errors import JournalError
from faceaug.storage.moves import Record, read_history
from faceaug.storage.records import decode_record, encode_record, problem_of
from tests.clean.zoo import write

STEP: Record = {
    "op": "step", "step": 0, "start": "a.jpg", "end": "/set-aside/0001/a.jpg", "inode": 7, "size": 3, "mtime_ns": 1,
    "digest": "0" * 32,
}  # fmt: skip
JOURNAL: list[Record] = [
    {"op": "begin", "what": "clean", "run": "0001", "folders": {"": 5, "x": 6}},
    STEP,
    {"op": "copy", "step": 0},
    {"op": "done", "steps": [0], "skipped": []},
    {"op": "end", "folders": {"": 5}},
    {"op": "undone", "run": "0001"},
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def text(records: list[Any]) -> bytes:
    return b"".join(encode_record(record) for record in records)


def test_what_faceaug_writes_is_as_expected() -> None:
    assert [problem_of(record) for record in JOURNAL] == [""] * len(JOURNAL)
    assert read_history(text(JOURNAL), where="here").runs[0].undone


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(JOURNAL) - 1), st.data(), anything)
def test_odd_values_with_a_right_checksum_are_a_journal_error_or_harmless(
    at: int, data: st.DataObject, odd: Any
) -> None:
    records = copy.deepcopy(JOURNAL)
    name = data.draw(st.sampled_from(sorted(records[at])))
    records[at][name] = odd
    try:
        history = read_history(text(records), where="here")
    except JournalError:
        return
    for run in history.runs:
        for place, moved in run.moved.items():
            assert {"..", ""}.isdisjoint(place[1:].split("/")), place
            assert {"..", ""}.isdisjoint(moved.origin.split("/")), moved.origin


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", "../outside.jpg"),
        ("start", "/etc/passwd"),
        ("end", "/set-aside/../../x"),
        ("end", "a/./b"),
        ("end", "nul\0"),
        ("end", "\ud800"),
        ("final", "/temporary/../x"),
        ("size", True),
        ("size", -1),
        ("mtime_ns", 2**63),
        ("inode", "7"),
        ("inode", 2**64),
        ("size", 10**4000),
        ("step", 2**64),
        ("step", float("inf")),
        ("digest", "0" * 31),
        ("name", 7),
    ],
)
def test_a_place_outside_the_folder_or_a_number_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(JournalError, match=f"line 2 is not a valid record: {name}"):
        read_history(text([JOURNAL[0], STEP | {name: value}, JOURNAL[3]]), where="here")


def test_a_record_of_an_unknown_kind_is_refused_and_not_passed_over() -> None:
    with pytest.raises(JournalError, match="newer version"):
        read_history(text([JOURNAL[0], {"op": "teleport"}]), where="here")
    with pytest.raises(JournalError, match="run is missing"):
        read_history(text([{"op": "undone"}]), where="here")


@pytest.mark.parametrize(
    "line", [b"[" * 100_000 + b"\n", b"[]\n", b"null\n", b'{"sum": 1}\n', b"\xff\n", b"9" * 5000 + b"\n"]
)
def test_a_line_that_is_no_record_is_damage(line: bytes) -> None:
    assert decode_record(line) is None
    with pytest.raises(JournalError, match="line 2 is damaged"):
        read_history(text(JOURNAL[:1]) + line + text(JOURNAL[1:]), where="here")


def test_deep_nesting_behind_a_right_checksum_is_damage_too() -> None:
    for depth in (900, *range(960, 1000)):  # what is read at the limit of recursion cannot be written again
        deep = "[" * depth + "]" * depth
        assert decode_record(f'{{"op": "end", "what": {deep}, "sum": "x"}}\n'.encode()) is None


def test_an_undo_with_a_journal_that_leads_outside_moves_nothing(tmp_path: Path) -> None:
    folder, outside = tmp_path / "f", tmp_path / "outside.jpg"
    write(folder / "b.jpg", b"b")
    write(folder / ".faceaug" / "set-aside" / "0001" / "a.jpg", b"abc")
    leading = STEP | {"start": "../outside.jpg"}
    write(folder / ".faceaug" / "journal.jsonl", text([JOURNAL[0], leading, JOURNAL[3], JOURNAL[4]]))
    with pytest.raises(JournalError, match="start is not as expected"):
        undo_clean(folder)
    assert not outside.exists()
