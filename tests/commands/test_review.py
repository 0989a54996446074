"""`faceaug clean --review` and `--decisions`: the options that go together, and those that do not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faceaug.clean import CleanPolicy, clean_folder
from faceaug.cli import cli
from faceaug.commands import review
from faceaug.errors import ArgumentError, FaceAugError
from tests.clean.zoo import celeba, good, jpeg, names, tree

ALL = CleanPolicy(max_remove=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return celeba(tmp_path / "celeba", good(1, 2, 3, 4, 5, 6) | {"000007.jpg": jpeg(1)}, known=7)


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, ["clean", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dry-run"], "--review: not with --dry-run; the page changes nothing until you press apply"),
        (["--out", "copy"], "--review: not with --out; save decisions.json on the page"),
        (["--decisions", "decisions.json"], "--review: not with --decisions"),
        (["-q"], "--review: not with -q, which hides the address of the page"),
    ],
)
def test_options_that_do_not_go_with_the_page_are_refused_before_any_work(
    folder: Path, tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    done = call(folder, "--review", *words)
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert tree(tmp_path) == before


def test_without_the_extra_the_command_that_installs_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("uvicorn", "faceaug.serve.review_server", "faceaug.serve.listening"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = call(folder, "--review")
    assert isinstance(done.exception, FaceAugError)
    assert str(done.exception) == "--review needs uvicorn: python -m pip install 'faceaug[serve]'"


def test_the_page_needs_no_torch() -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    code = "import sys, faceaug.serve.review_server; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n"


def test_a_browser_is_opened_only_where_there_are_a_terminal_and_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, terminal: bool) -> None:
            self.isatty = lambda: terminal

    for platform, terminal, display, expected in (
        ("linux", True, ":0", True),
        ("linux", True, "", False),
        ("linux", False, ":0", False),
        ("darwin", True, "", True),
    ):
        monkeypatch.setattr(review, "sys", type("S", (), {"stdout": Stream(terminal), "stderr": Stream(False)}))
        monkeypatch.setattr(review.sys, "platform", platform, raising=False)
        monkeypatch.setattr(review.os, "environ", {"DISPLAY": display} if display else {})
        assert review._has_screen() == expected, (platform, terminal, display)


def test_decisions_are_obeyed_and_a_file_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    plan = clean_folder(folder, ALL, dry_run=True)
    plan.decisions().keep("img_align_celeba/000007.jpg").save(path)
    planned = call(folder, "--decisions", path, "--dry-run", "--json")
    assert [entry["name"] for entry in json.loads(planned.stdout)["set_aside"]] == ["img_align_celeba/000001.jpg"]
    assert call(folder, "--decisions", path).exit_code == 0
    assert names(folder) == [f"{k:06d}.jpg" for k in range(2, 8)]
    (folder / "img_align_celeba" / "000007.jpg").write_bytes(jpeg(50))
    refused = call(folder, "--decisions", path)
    assert isinstance(refused.exception, FaceAugError)
    assert refused.exception.exit_code == 3
    assert "000007.jpg has changed" in str(refused.exception)
    other = call(folder, "--decisions", tmp_path / "none.json")
    assert isinstance(other.exception, ArgumentError)
