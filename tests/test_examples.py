from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

from faceaug import FaceFolder
from faceaug.data.image import read_image
from tests.test_docs import make_celeba

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_says_what_it_does_and_is_tested(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 40
    assert ast.get_docstring(ast.parse(text))
    assert f'run("{path.name}"' in re.sub(r"\(\n\s+", "(", Path(__file__).read_text("utf-8"))


def test_a_messy_folder_is_cleaned_and_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = make_celeba(tmp_path / "celeba", 40), tmp_path / "plus"
    said = run(
        "clean_and_expand.py", str(folder), str(out), "--balance", "Male", monkeypatch=monkeypatch, capsys=capsys
    )
    assert "2 names to repair, 4 of 44 pictures to set aside" in said
    origin = FaceFolder(out).annotations.origin
    assert (origin == 0).sum() == 28
    assert (origin == 1).sum() >= 28
    assert (origin == 2).sum() == 7


def test_a_classifier_is_trained_and_tested_on_held_out_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_celeba(tmp_path / "celeba", 60, messy=False)
    said = run(
        "train_a_classifier_on_expanded_faces.py", str(folder), "--epochs", "1", monkeypatch=monkeypatch, capsys=capsys
    )
    assert re.fullmatch(r"epoch 1: Male right for \d+\.\d% of 12 faces\n", said)


def test_a_folder_and_a_sheet_of_faces_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run("make_faces.py", str(tmp_path / "extra"), "--n", "12", monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("12 faces of dcgan-32 in ")
    assert len(FaceFolder(tmp_path / "extra")) == 12
    assert read_image(tmp_path / "extra.png").shape[1] > 10 * 64
