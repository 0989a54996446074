from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from faceaug import cli
from tests.clean.zoo import good, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in good(1, 2, 3).items():
        write(tmp_path / "faces" / name, data)
    return tmp_path / "faces"


def test_a_fault_that_does_not_exist_is_a_wrong_option_and_all_faults_are_listed(folder: Path) -> None:
    done = CliRunner().invoke(cli.cli, ["clean", str(folder), "--set-aside", "blury"])
    assert done.exit_code == 2
    assert "'blury': expected one of blurred, bright, cut-off" in done.output
    assert not (folder / ".faceaug").exists()


def test_faults_are_separated_by_commas_and_imply_the_checks_of_faces(folder: Path) -> None:
    arguments = ["clean", str(folder), "--set-aside", "no-face, blurred", "--dry-run", "--max-remove", "100%"]
    done = CliRunner().invoke(cli.cli, arguments)
    assert done.exit_code == 0
    assert "would be set aside: 3" in done.output
    assert "faces: 0 of 3 pictures show one; faults: no-face 3" in done.output
