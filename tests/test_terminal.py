"""Every command on a terminal: its exit code, its bars, and what is left on the screen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from faceaug.clean import clean_folder
from faceaug.cli import cli
from faceaug.data.folder import FaceFolder
from faceaug.synthesize import build_network
from tests.terminal import Seen, Terminal, Zygote

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Case:
    """A command line, the phases that show a bar, and how the last line of the summary reads."""

    arguments: tuple[str, ...]
    bars: tuple[str, ...]
    last: str
    code: int = 0


CASES = {
    "demo": Case(
        ("demo", "story"), ("reading", "moving", "generating", "writing", "loading"), "open story/report.html"
    ),
    "clean": Case(("clean", "faces"), ("reading", "moving"), "undo: +faceaug undo faces"),
    "undo": Case(("undo", "cleaned"), ("moving",), "1 file has its old name again"),
    "preview": Case(("preview", "faces", "--out", "sheet.png"), (), r"sheet\.png: \d+x\d+ pixels"),
    "synth": Case(
        ("synth", "--n", "70", "--model", "dcgan-32", "--out", "extra"), ("generating",),
        "70 faces from dcgan-32, .* in extra",
    ),
    "expand": Case(
        ("expand", "faces", "--out", "plus", "--synthetic", "9"), ("writing", "generating"),
        r"plus: written in [\d.]+ s",
    ),
    "convert": Case(
        ("convert", "faces", "--to", "coco", "--out", "coco"), ("converting",), ".*",
    ),
    "split": Case(("split", "faces"), (), ".*"),
    "align": Case(
        ("align", "faces", "--out", "aligned", "--min-eyes", "4"), ("aligning",), r"aligned: written in [\d.]+ s",
    ),
    "deidentify": Case(
        ("deidentify", "faces", "--out", "hidden"), ("hiding",), r"hidden: written in [\d.]+ s",
    ),
    "train": Case(
        ("train", "faces", "--out", "run", "--preset", "tiny", "--crop", "square"), ("reading", "training"),
        r"32 images of 42 faces shown, finished\.( \d+ of them were shown in this session\.)? Model: run/model",
    ),
    "evaluate": Case(
        ("evaluate", "dcgan-32", "faces", "--n", "12", "--memorisation"),
        ("reading", "generating", "describing", "looking for neighbours", "hashing"), ".*",
    ),
    "import-model": Case(("import-model", "net.pth", "--out", "mine"), (), "net: 32x32 faces from 4 numbers, in mine"),
    "export-model": Case(("export-model", "dcgan-32", "--out", "copy"), (), "dcgan-32 in copy"),
    "serve": Case(
        ("serve", "--port", "0", "--model", "dcgan-32"), (), "faceaug: stopped; requests under way were answered", 130
    ),
    "info": Case(("info",), (), "(no known trouble|trouble: .*)"),
}  # fmt: skip
VARIANTS: dict[str, tuple[int, dict[str, str | None], str]] = {
    "of 80 columns": (80, {}, ""),
    "of 40 columns that can do nothing": (40, {"TERM": "dumb"}, ""),
    "of 200 columns without colour": (200, {"NO_COLOR": "1"}, ""),
    "with stdout piped": (80, {}, "stdout"),
    "with stderr piped": (80, {}, "stderr"),
}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture
def place(celeba_folder: Path, tmp_path: Path) -> Path:
    """A folder with what the commands need: faces, a copy among them; a folder that was cleaned; a state dict."""
    for name in ("faces", "cleaned"):
        pictures = Path(shutil.copytree(celeba_folder, tmp_path / name)) / "img_align_celeba"
        shutil.copyfile(pictures / "000002.png", pictures / "000002 (1).png")
    clean_folder(tmp_path / "cleaned", progress=False)
    torch.save(build_network(8, 4, 4)[1].state_dict(), tmp_path / "net.pth")
    return tmp_path


def run(zygote: Zygote, case: Case, place: Path, variant: str = "of 80 columns") -> Seen:
    columns, env, piped = VARIANTS[variant]

    def stop(terminal: Terminal, _: Path) -> None:
        if case.arguments[0] == "serve":  # the only one that has no end
            terminal.wait_for("Ctrl-C stops") if piped != "stdout" else terminal.wait_for_file(place / ".stdout")
            terminal.type("\x03")

    return zygote.run(*case.arguments, cwd=place, columns=columns, env=env, piped=piped, meanwhile=stop)


def test_no_command_is_forgotten() -> None:
    assert set(CASES) == set(cli.commands)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("command", CASES)
def test_a_command_on_a_terminal(zygote: Zygote, place: Path, command: str, variant: str) -> None:
    case = CASES[command]
    seen = run(zygote, case, place, variant)
    assert seen.code == case.code, seen
    piped = VARIANTS[variant][2]
    spoken = seen.stderr if piped == "stderr" else seen.written
    for bar in case.bars:
        assert f"{bar}: " in spoken
    ending = "stderr" if case.code else "stdout"
    ended = getattr(seen, ending) if piped == ending else seen.screen
    found = re.search(rf"{case.last}$", ended.rstrip())
    assert found, seen
    at_the_left = ended == seen.screen and found.start() % VARIANTS[variant][0] == 0  # the line above may be full
    assert at_the_left or ended[: found.start()][-1:] in {"", " ", "\n", "/"}, seen
    assert not any(f"{bar}: " in seen.screen for bar in case.bars), "a bar is left on the screen"
    assert "\x1b" not in seen.written, "a terminal that knows no codes, and one that does, are sent the same"
    assert "\r" not in seen.stderr + seen.stdout
    assert "Traceback" not in seen.written + seen.stderr


def lowest_click() -> str:
    """The lowest version that pyproject.toml allows."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = next(line for line in wanted if line.startswith("click"))
    parts = found.partition(">=")[2].split(".")
    return ".".join([*parts, "0", "0"][:3])


@pytest.fixture(scope="module")
def old_zygote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """With the oldest click; the other tests have the one that is installed, in a fresh environment the newest."""
    wanted, cache = lowest_click(), getattr(request.config, "cache", None)
    folder = cache.mkdir(f"click-{wanted}") if cache else tmp_path_factory.mktemp("click")
    if not (folder / "click").is_dir():
        arguments = ["install", "--quiet", "--no-deps", "--target", str(folder), f"click=={wanted}"]
        for tool in ([sys.executable, "-m", "pip"], ["uv", "pip"]):
            done = shutil.which(tool[0]) and subprocess.run(
                [*tool, *arguments], capture_output=True, text=True, check=False
            )
            if done and done.returncode == 0:
                break
        else:
            pytest.skip(f"click {wanted} cannot be installed here: no pip, or no network")
    zygote = Zygote(folder)
    yield zygote
    zygote.close()


@pytest.mark.parametrize("command", CASES)
def test_a_command_on_a_terminal_with_the_oldest_click(old_zygote: Zygote, place: Path, command: str) -> None:
    case = CASES[command]
    seen = run(old_zygote, case, place)
    assert seen.code == case.code, seen
    assert re.search(rf"{case.last}$", seen.screen), seen


def test_the_oldest_click_is_another_one_than_the_tests_have_anyway(old_zygote: Zygote, tmp_path: Path) -> None:
    assert version("click") != lowest_click()
    seen = old_zygote.run("clean", "--workers", "none", "faces", cwd=tmp_path)
    assert seen.code == 2
    assert "'none' is not a valid integer range. See: faceaug clean --help" in seen.screen


@pytest.mark.parametrize(
    ("command", "phase", "message"),
    [
        ("clean", "reading", "faceaug: stopped by SIGINT; run again to continue"),
        ("synth", "generating", "faceaug: interrupted; finished work is kept, run the same command to continue"),
        ("expand", "writing", "faceaug: interrupted; finished work is kept, run the same command to continue"),
        (
            "train",
            "training",
            r"faceaug: stopped by SIGINT at \d+ of 32 images; everything is saved, --resume continues",
        ),
        ("evaluate", "describing", "faceaug: interrupted; finished work is kept, run the same command to continue"),
    ],
)
def test_ctrl_c_in_the_middle_ends_with_one_clear_line_and_the_command_goes_on(
    zygote: Zygote, place: Path, command: str, phase: str, message: str
) -> None:
    def interrupt(terminal: Terminal, go: Path) -> None:
        terminal.wait_for(f"{phase}: ")
        terminal.type("\x03")
        if command == "train":  # the step is completed first
            terminal.wait_for("^C")
            go.touch()

    case = CASES[command]
    seen = zygote.run(*case.arguments, cwd=place, columns=120, wait_in=phase, meanwhile=interrupt)
    assert seen.code == 130, seen
    lines = [line.rstrip() for line in re.findall(".{1,120}", seen.screen)]
    assert re.fullmatch(message, lines[-1]), lines
    assert sum(line.startswith("faceaug:") for line in lines) == 1
    assert not re.search(r"\d%( |\|)", seen.screen), "the bar is left on the screen"
    (place / ".go").unlink(missing_ok=True)
    again = run(zygote, case, place)
    assert again.code == 0, again
    assert re.search(rf"{case.last}$", again.screen), again


def test_a_window_that_becomes_smaller_in_the_middle_gets_a_smaller_bar(zygote: Zygote, place: Path) -> None:
    narrow = 50

    def drag(terminal: Terminal, go: Path) -> None:
        terminal.wait_for("generating: ")
        with terminal.grown:
            before.append(len(terminal.written))
        terminal.resize(narrow)
        go.touch()

    before: list[int] = []
    seen = zygote.run(
        "synth",
        "--n",
        "130",
        "--model",
        "dcgan-32",
        "--out",
        "extra",
        cwd=place,
        columns=120,
        wait_in="generating",
        meanwhile=drag,
    )
    assert seen.code == 0, seen
    wide, then = seen.written.encode()[: before[0]].decode(), seen.written.encode()[before[0] :].decode()
    assert max(len(part.rstrip()) for part in wide.split("\r")) > narrow
    assert max(map(len, then.split("\r"))) < narrow, "spaces go into the next line too"
    bars = [part.rstrip() for part in then.split("\r") if part.startswith("generating: ")]
    assert bars, then
    assert then.rstrip().endswith("130 faces from dcgan-32, seed 0, in extra")


def test_notes_stand_on_lines_of_their_own_above_a_bar(zygote: Zygote, place: Path) -> None:
    (place / "faces" / "list_eval_partition.txt").unlink()
    seen = run(zygote, CASES["expand"], place)
    assert re.search(r"^note: no table marks", seen.screen), seen.screen


def test_quiet_and_json_keep_their_word_on_a_terminal(zygote: Zygote, place: Path) -> None:
    quiet = zygote.run("synth", "--n", "70", "--out", "one", "-q", cwd=place)
    assert (quiet.code, quiet.written) == (0, "")
    document = zygote.run("synth", "--n", "70", "--out", "two", "--json", cwd=place, piped="stdout")
    assert "generating: " in document.written
    assert document.stdout.startswith("{\n")
    assert document.stdout.endswith("}\n")


def test_of_several_processes_that_torchrun_started_one_speaks(zygote: Zygote, place: Path) -> None:
    seen = zygote.run("synth", "--n", "70", "--out", "extra", cwd=place, env={"RANK": "1"})
    assert (seen.code, seen.written) == (0, "")


def test_the_command_itself_runs_on_a_terminal(tmp_path: Path) -> None:
    """The other tests fork a process that has imported everything and whose bars have no patience."""
    master, slave = os.openpty()
    command = [sys.executable, "-m", "faceaug", "synth", "--n", "3", "--out", "extra"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        screen = b""
        try:
            while part := os.read(master, 4096):
                screen += part
        except OSError:  # Linux says so when the last writer is gone
            pass
    os.close(master)
    assert process.returncode == 0, screen
    assert screen.decode().rstrip().endswith("in extra")
    assert len(FaceFolder(tmp_path / "extra")) == 3
