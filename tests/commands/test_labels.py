from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faceaug.cli import cli
from faceaug.errors import ArgumentError
from tests.conftest import picture, write_celeba

pytest.importorskip("cleanlab")
pytestmark = pytest.mark.usefixtures("one_thread")
WRITTEN = ["label-proposals.csv", "labels.html", "labels.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_celeba(tmp_path / "faces", [picture(k, height=60, width=50) for k in range(20)])


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["clean", *map(str, words)])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_reports_lie_in_the_state_folder_and_tables_stay(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.glob("*.txt")}
    done = call(folder, "--check-labels", "--no-near")
    assert done.exit_code == 0, done.exception
    assert sorted(path.name for path in (folder / ".faceaug" / "runs" / "labels").iterdir()) == WRITTEN
    assert {path.name: path.read_bytes() for path in folder.glob("*.txt")} == before
    assert "labels: 0 labels in doubt among 20 pictures" in done.stdout


def test_a_dry_run_writes_only_what_is_named(folder: Path, tmp_path: Path) -> None:
    before = content(folder)
    table, page = tmp_path / "proposals.csv", tmp_path / "page.html"
    done = call(folder, "--check-labels", "--dry-run", "--no-near", "--proposals", table, "--report", page, "--json")
    assert done.exit_code == 0, done.exception
    assert content(folder) == before
    assert table.read_text() == "file_name,attribute,given,proposed,confidence,rank\n"
    assert "<h2>Labels</h2>" in page.read_text()
    assert "Attributes that go together" in page.read_text()
    document = json.loads(done.stdout)
    assert document["original"] == 20
    assert len(document["labels"]["skipped"]) == 40


def test_the_labels_of_a_copy_are_checked_in_the_copy(folder: Path, tmp_path: Path) -> None:
    before = content(folder)
    done = call(folder, "--check-labels", "--no-near", "--out", tmp_path / "copy")
    assert done.exit_code == 0, done.exception
    assert content(folder) == before
    assert sorted(p.name for p in (tmp_path / "copy" / ".faceaug" / "runs" / "labels").iterdir()) == WRITTEN


def test_options_of_labels_need_check_labels(folder: Path, tmp_path: Path) -> None:
    for option in ("--proposals", "--embedding"):
        done = call(folder, option, tmp_path / "x.csv")
        assert done.exit_code == 2
        assert f"{option}: only with --check-labels" in done.output


def test_what_is_missing_is_said_before_anything_is_cleaned(folder: Path, tmp_path: Path) -> None:
    (folder / "img_align_celeba" / "000021.png").write_bytes((folder / "img_align_celeba" / "000001.png").read_bytes())
    before = content(folder)
    done = call(folder, "--check-labels", "--embedding", tmp_path / "none.onnx")
    assert isinstance(done.exception, ArgumentError)
    assert "none.onnx: no such file" in str(done.exception)
    assert content(folder) == before


def test_every_clean_notes_people_in_two_partitions(folder: Path) -> None:
    done = call(folder, "--dry-run", "--no-near")
    assert "have pictures in two partitions" in done.stdout
    assert "faceaug split --by identity" in done.stdout
