"""Bad input: one clear line on stderr, the exit code of the contract, and nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from faceaug.cli import main
from faceaug.data.image import encode_jpeg
from faceaug.synthesize.weights import BUNDLED_FOLDER
from tests.conftest import picture

Result = tuple[int, str, str]
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, stdout, stderr."""

    def call(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["faceaug", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """Six pictures with two tables."""
    folder = tmp_path / "celeba"
    pictures = folder / "img_align_celeba"
    pictures.mkdir(parents=True)
    names = [f"{k:06d}.jpg" for k in range(1, 7)]
    for k, name in enumerate(names):
        (pictures / name).write_bytes(encode_jpeg(picture(k, height=64, width=64)))
    (folder / "list_eval_partition.txt").write_text("".join(f"{name} 0\n" for name in names))
    rows = "".join(f"{name}  1 -1\n" for name in names)
    (folder / "list_attr_celeba.txt").write_text(f"6\nEyeglasses Male\n{rows}")
    return folder


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Names, modes, times and bytes of everything below a folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted([folder, *folder.rglob("*")])
    }


def refuse(result: Result, code: int, *words: str) -> None:
    """One line that names what is wrong, no traceback, nothing on stdout."""
    assert result[0] == code, result
    lines = [line for line in result[2].splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("faceaug: ")
    for word in words:
        assert word in lines[0]
    assert result[1] == ""


COMMANDS = ("clean", "expand", "train", "undo", "preview")


def line(command: str, folder: Path, out: Path) -> list[str | Path]:
    """A whole command line for a folder."""
    return [command, folder, *([] if command in {"clean", "undo"} else ["--out", out])]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_not_there_is_wrong_use(command: str, run: Run, tmp_path: Path) -> None:
    refuse(run(*line(command, tmp_path / "nowhere", tmp_path / "out")), 2, "nowhere", "no such folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["clean", "expand", "train", "preview"])
@pytest.mark.parametrize("files", [{}, {"notes.txt": b"no pictures here"}])
def test_a_folder_without_pictures_is_refused(command: str, files: dict[str, bytes], run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    before = tree(tmp_path)
    refuse(run(*line(command, folder, tmp_path / "out")), 3, "no pictures")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["clean", "expand", "train"])
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("6\n", "7\n", ("line 1", "7")),
        ("Eyeglasses", "Monocle", ("unknown column", "Monocle")),
        ("000003.jpg  1 -1", "000003.jpg  1", ("line 5",)),
        ("000003.jpg  1 -1", "000003.jpg  1 5", ("000003.jpg", "5")),
        ("000003.jpg", "000002.jpg", ("000002.jpg", "two rows")),
        ("000003.jpg", "../secret.jpg", ("secret.jpg",)),
    ],
)
def test_a_table_that_contradicts_itself_stops_the_command(
    command: str, old: str, new: str, words: tuple[str, ...], run: Run, celeba: Path, tmp_path: Path
) -> None:
    table = celeba / "list_attr_celeba.txt"
    table.write_text(table.read_text().replace(old, new, 1))
    before = tree(tmp_path)
    refuse(run(*line(command, celeba, tmp_path / "out")), 1, "list_attr_celeba.txt", *words)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["expand", "train"])
def test_a_table_of_another_folder_stops_the_command(command: str, run: Run, celeba: Path, tmp_path: Path) -> None:
    table = celeba / "list_attr_celeba.txt"
    table.write_text(table.read_text().replace("00000", "10000"))
    before = tree(tmp_path)
    refuse(run(*line(command, celeba, tmp_path / "out")), 1, "list_attr_celeba.txt", "none of its 6 names")
    assert tree(tmp_path) == before


def test_metadata_that_names_a_missing_picture_stops_the_command(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encode_jpeg(picture(1)))
    (folder / "metadata.csv").write_text("file_name\na.jpg\nb.jpg\n")
    before = tree(tmp_path)
    refuse(run("expand", folder, "--out", tmp_path / "out"), 1, "metadata.csv", "b.jpg")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--balance", "Beauty"], ("Beauty", "Eyeglasses")),
        (["--balance", "Male=2"], ("Male",)),
        (["--balance", "Male=half"], ("half",)),
        (["--synthetic", "many"], ("many",)),
        (["--synthetic", "-1"], ("-1",)),
        (["--model", "stylegan9"], ("stylegan9", "dcgan-32")),
        (["--seed", "-1"], ("seed",)),
        (["--recipe", "nothere.toml"], ("nothere.toml",)),
        (["--copies", "-1"], ("--copies",)),
        (["--colour", "red"], ("--colour",)),
    ],
)
def test_options_that_cannot_be_used_are_wrong_use(
    words: list[str], named: tuple[str, ...], run: Run, celeba: Path, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    refuse(run("expand", celeba, "--out", tmp_path / "out", *words), 2, *named)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("n", ["0", "-5", "many"])
def test_fewer_than_one_face_is_wrong_use(n: str, run: Run, tmp_path: Path) -> None:
    refuse(run("synth", "--n", n, "--out", tmp_path / "out"), 2, n)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["expand", "train"])
@pytest.mark.parametrize("place", [".", "out", "img_align_celeba/deep/out"])
def test_an_output_inside_the_folder_is_refused(command: str, place: str, run: Run, celeba: Path) -> None:
    before = tree(celeba)
    refuse(run(command, celeba, "--out", celeba / place), 3, "inside")
    assert tree(celeba) == before


@pytest.mark.parametrize("command", ["expand", "synth"])
def test_an_output_folder_that_holds_something_else_is_refused(
    command: str, run: Run, celeba: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "diary.txt").write_text("mine")
    before = tree(tmp_path)
    where = [] if command == "synth" else [celeba]
    refuse(run(command, *where, "--out", out), 3, "not empty")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["synth", "expand"])
def test_a_damaged_model_file_stops_the_command(command: str, run: Run, celeba: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(BUNDLED_FOLDER / "dcgan-32", model)
    data = bytearray((model / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (model / "model.safetensors").write_bytes(data)
    before = tree(tmp_path)
    where = [] if command == "synth" else [celeba]
    refuse(run(command, *where, "--model", model, "--out", tmp_path / "out"), 1, "model.safetensors", "damaged")
    assert tree(tmp_path) == before


def test_an_error_is_one_json_document_when_json_was_asked_for(run: Run, tmp_path: Path) -> None:
    code, out, err = run("clean", tmp_path / "nowhere", "--json")
    assert code == 2
    assert json.loads(out)["exit_code"] == 2
    assert "nowhere" in json.loads(out)["error"]
    assert len(err.splitlines()) == 1


@pytest.fixture
def read_only(celeba: Path) -> Path:
    """The folder on a read-only mount: root ignores mode bits."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        celeba.chmod(0o555)
        (celeba / "img_align_celeba").chmod(0o555)
        return celeba
    for words in (["--bind", str(celeba), str(celeba)], ["-o", "remount,ro,bind", str(celeba)]):
        if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
            pytest.skip("this machine allows no mounts")
    return celeba


@pytest.mark.parametrize("words", [["clean"], ["expand", "--out"]])
def test_a_read_only_folder_is_refused_to_clean_and_left_in_peace_by_expand(
    words: list[str], run: Run, read_only: Path, tmp_path: Path
) -> None:
    before = tree(read_only)
    try:
        if words[0] == "clean":
            refuse(run("clean", read_only), 3, "celeba")
        else:
            code, _, _ = run("expand", read_only, "--out", tmp_path / "out", "--synthetic", "0")
            assert code == 0
            refuse(run("expand", tmp_path / "out", "--out", read_only / "new"), 3)
        assert tree(read_only) == before
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(read_only)], check=False)
        else:
            (read_only / "img_align_celeba").chmod(0o755)
            read_only.chmod(0o755)
