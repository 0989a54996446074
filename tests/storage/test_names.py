from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from faceaug.errors import RefusedError
from faceaug.storage import names as names_module
from faceaug.storage.names import check_names
from faceaug.storage.partial import PARTIAL, partial_path


class Folding(names_module._Probe):
    """A disk like exFAT: it folds case and has no colons."""

    def merges(self, one: str, other: str) -> bool:
        return one.lower() == other.lower()

    def refuses(self, part: str) -> str:
        return "not a legal name there" if ":" in part else ""


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (["A.jpg", "a.jpg"], "A.jpg and a.jpg would be the same file"),
        (["Smith/1.jpg", "smith/2.jpg"], "Smith and smith would be the same file"),
        (["x/B.jpg", "x/b.JPG"], "x/B.jpg and x/b.JPG would be the same file"),
        (["12:30.jpg"], r"12:30.jpg \(not a legal name there\)"),
    ],
)
def test_names_that_the_disk_cannot_hold_apart_are_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[str], says: str
) -> None:
    check_names(tmp_path / "out", found)  # this disk can
    monkeypatch.setattr(names_module, "_Probe", Folding)
    with pytest.raises(RefusedError, match=says):
        check_names(tmp_path / "out", found)
    assert os.listdir(tmp_path) == []


def test_a_name_or_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    check_names(tmp_path, ["y" * 251 + ".jpg"])
    with pytest.raises(RefusedError, match="too long"):
        check_names(tmp_path, ["y" * 252 + ".jpg"])
    with pytest.raises(RefusedError, match="the path is too long"):
        check_names(tmp_path, ["/".join(["y" * 200] * 21)])
    assert os.listdir(tmp_path) == []


def test_ordinary_names_are_not_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_Probe", None)
    check_names(tmp_path, [f"{k:06d}.jpg" for k in range(1000)] + ["a/b.png", "caf\u00e9.jpg"])


def test_a_place_that_cannot_be_tried_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("faceaug.storage.temporary.tempfile.mkdtemp", fail)
    with pytest.raises(RefusedError, match="cannot be written"):
        check_names(tmp_path / "out", ["A.jpg", "a.jpg"])


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=255)


@given(names.filter(lambda name: len(os.fsencode(name)) <= 255 and name not in {".", ".."}), st.integers(0, 4000))
def test_the_name_of_a_file_being_written_is_legal_wherever_its_final_name_is(name: str, deep: int) -> None:
    folder = Path("/" + "/".join(["d" * 99] * (deep // 100)))
    path = folder / name
    partial = partial_path(path)
    assert len(os.fsencode(partial.name)) <= 255
    assert partial.name.endswith(PARTIAL)
    assert folder.is_relative_to(partial.parent)
    if len(os.fsencode(path)) < 4096:
        assert len(os.fsencode(partial)) < 4096
