from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from faceaug.cli import cli
from tests.data.layouts.made import put, write


def test_info_of_a_folder_says_what_was_recognised_and_what_was_left(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "train/b/2.png", "test/a/3.png", "4.jxl")
    write(tmp_path, "notes.csv", "x,y\n")
    done = CliRunner().invoke(cli, ["info", str(tmp_path), "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (found["layout"], found["pictures"], found["classes"]) == ("splits", 3, {"a": 2, "b": 1})
    assert found["partitions"] == {"train": 2, "test": 1}
    assert any("notes.csv" in note for note in found["notes"])
    assert any(".jxl (1" in note for note in found["notes"])
    shown = CliRunner().invoke(cli, ["info", str(tmp_path), "--layout", "flat"])
    assert "requested" in shown.output
    wrong = CliRunner().invoke(cli, ["info", str(tmp_path), "--layout", "lfv"])
    assert wrong.exit_code != 0
