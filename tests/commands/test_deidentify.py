from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faceaug.cli import cli
from faceaug.data.folder import FaceFolder
from faceaug.deidentify import hidden_photo
from faceaug.errors import RefusedError
from tests.faces.stand_in import face_at, write_photos


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos whose faces the package's finder is made to know."""
    faces = {f"{k}.png": [face_at(300 + k, 260, 50)] for k in range(3)}
    finder = write_photos(tmp_path / "photos", faces | {"none.png": []})
    monkeypatch.setattr(hidden_photo, "own_finder", lambda *_: finder)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["deidentify", *arguments])


def test_faces_are_hidden_as_asked() -> None:
    done = run("photos", "--out", "out", "--with", "mosaic", "--drop", "names", "--workers", "1")
    assert done.exit_code == 0, done.output
    assert "3 faces hidden in 4 photos, by mosaic" in done.output
    assert "nothing hidden: look at these: 1 (000004.png)" in done.output
    assert FaceFolder("out").names[0] == "000001.png"
    assert isinstance(run("photos", "--out", "out").exception, RefusedError)


def test_the_document_has_the_report() -> None:
    words = ("--with", "synthetic", "--attributes", "Smiling=1,Eyeglasses=-1", "--keep", "Male", "--seed", "3")
    document = json.loads(run("photos", "--out", "out", "--json", *words, "--threshold", "0.4").stdout)
    assert document["options"] == {
        "how": "synthetic", "drop": [], "threshold": 0.4, "min_face": 16,
        "attributes": {"Smiling": 1, "Eyeglasses": -1}, "keep": ["Male"], "seed": 3,
    }  # fmt: skip
    assert document["faces"] == 3
    assert run("photos", "--out", "more", "-q", "--keep", "none").output == ""


@pytest.mark.parametrize("text", ["Smiling=2", "=1", "Smiling=", "Male,"])
def test_attributes_are_names_with_one_or_minus_one(text: str) -> None:
    done = run("photos", "--out", "out", "--with", "synthetic", "--attributes", text)
    assert done.exit_code == 2
    assert "expected NAME=1 (with) or NAME=-1 (without)" in done.output
