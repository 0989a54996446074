from __future__ import annotations

import re
import shlex
import shutil
import tomllib
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import faceaug
from faceaug import SyntheticFaceSource
from faceaug.cli import cli
from faceaug.data.annotations import ATTRIBUTES, LANDMARKS
from faceaug.data.image import encode_jpeg, encode_png, read_image
from faceaug.draws import stream

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAPERS = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
# Where CelebA's aligned photos (178 x 218) have eyes, nose and mouth corners.
USUAL = np.array([69, 111, 108, 111, 88, 135, 73, 152, 105, 152])


def make_celeba(folder: Path, n: int = 80, *, messy: bool = True) -> Path:
    """A CelebA folder of n generated faces with its tables; messy: with wrong names, copies, a cut-off file."""
    names = [f"{k:06d}.jpg" for k in range(101, 101 + n)]
    pictures = folder / "img_align_celeba"
    pictures.mkdir(parents=True)
    made = SyntheticFaceSource("dcgan-32", seed=7).generate(n).permute(0, 2, 3, 1).numpy()
    for name, face in zip(names, made, strict=True):
        square = face.repeat(5, 0).repeat(5, 1)[:, :160]
        portrait = np.pad(square, ((29, 29), (9, 9), (0, 0)), mode="edge")
        (pictures / name).write_bytes(encode_jpeg(portrait))
    _write_tables(folder, names)
    if messy:
        _spoil(pictures)
    return folder


def _write_tables(folder: Path, names: list[str]) -> None:
    draw, n = stream(0, slot="tests/celeba"), len(names)
    signs = np.where(draw.random((n, len(ATTRIBUTES))) < 0.25, 1, -1)
    points = USUAL + draw.integers(-2, 3, (n, len(USUAL)))
    parts = np.digitize(np.arange(n) / n, (0.7, 0.9))  # seven tenths train, two validation, one test

    def table(name: str, rows: list[str], head: str = "") -> None:
        (folder / f"{name}.txt").write_text(head + "".join(f"{row}\n" for row in rows))

    for name, values, columns in (
        ("list_attr_celeba", signs, ATTRIBUTES),
        ("list_landmarks_align_celeba", points, LANDMARKS),
    ):
        rows = [f"{file} {' '.join(map(str, row))}" for file, row in zip(names, values.tolist(), strict=True)]
        table(name, rows, f"{n}\n{' '.join(columns)}\n")
    table("identity_CelebA", [f"{file} {k // 2 + 1}" for k, file in enumerate(names)])
    table("list_eval_partition", [f"{file} {part}" for file, part in zip(names, parts, strict=True)])


def _spoil(pictures: Path) -> None:
    (pictures / "000105.jpg").rename(pictures / "00105.jpg")
    (pictures / "000106.jpg").rename(pictures / "000106.JPG")
    shutil.copy(pictures / "000107.jpg", pictures / "000107 (1).jpg")
    (pictures / "copy.png").write_bytes(encode_png(read_image(pictures / "000108.jpg")))
    (pictures / "cut off.jpg").write_bytes((pictures / "000109.jpg").read_bytes()[:2000])
    (pictures / "page.jpg").write_bytes(b"<html>404 not found</html>")


@pytest.fixture(scope="module")
def messy_celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_celeba(tmp_path_factory.mktemp("docs") / "celeba")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=relative)
def test_every_python_block_of_a_page_runs(
    page: Path, messy_celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(messy_celeba, tmp_path / "celeba")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(page, "python"):
        expected = re.findall(r"# warns: (.+)", block)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            exec(compile(block, relative(page), "exec"), namespace)
        ours = [str(w.message) for w in found if "This DataLoader will create" not in str(w.message)]
        assert len(ours) == len(expected), ours
        assert all(wanted in said for wanted, said in zip(expected, ours, strict=True)), ours


@pytest.mark.parametrize("page", PAPERS, ids=relative)
def test_every_local_link_and_picture_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The fragments a page's headings have on the usual hosts."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_pictures_are_small_and_each_is_shown_somewhere() -> None:
    shown = "".join(page.read_text("utf-8") for page in PAGES)
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    assert pictures
    assert [p.name for p in pictures if p.stat().st_size >= 350_000] == []
    assert [p.name for p in pictures if f"pictures/{p.name}" not in shown] == []


def test_every_public_name_is_in_the_docs() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES if page.parent.name == "docs")
    assert [name for name in faceaug.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_every_command_and_option_is_in_the_page_about_them() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for name, command in cli.commands.items():
        assert f"## faceaug {name}" in text
        assert f"faceaug {name}" in readme
        options = [o for p in command.params if isinstance(p, click.Option) for o in p.opts if o.startswith("--")]
        assert [option for option in options if option not in text] == [], name


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sh")], ids=relative)
def test_every_command_shown_can_be_parsed(page: Path) -> None:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("faceaug ")]
    for line in lines:
        _, name, *arguments = shlex.split(line, comments=True)
        # With the parent's settings: Click keeps the help option that a command was first given.
        with cli.make_context("faceaug", [name]) as whole, cli.commands[name].make_context(name, arguments, whole):
            pass
    assert lines or page.name == "README.md"


def test_the_two_commands_of_the_readme_stand_alone_in_it() -> None:
    commands = [b for b in blocks(ROOT / "README.md", "sh") if "pip install" in b]
    assert [len(b.splitlines()) for b in commands] == [1, 1]
    assert commands[0].startswith("python -m pip install . && ")
    assert commands[0].endswith(" && faceaug demo\n")
    assert commands[1].startswith("python -m pip install '.[dev]' && ")
    assert commands[1].endswith(" && python -m pytest -n 2 --dist loadfile\n")


def test_the_changelog_and_the_citation_tell_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", changes, re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == version == faceaug.__version__
    assert date.fromisoformat(headings[1][1])
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {version}\n" in citation
    assert f"\ndate-released: {headings[1][1]}\n" in citation


def test_no_page_names_a_machine() -> None:
    for page in [*PAPERS, ROOT / "CITATION.cff", *sorted((ROOT / "examples").glob("*.py"))]:
        assert not re.search(r"/(work|home|root|tmp|mnt)/|localhost", page.read_text("utf-8")), relative(page)
