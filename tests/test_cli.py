"""The command line. The help texts are golden: after a change on purpose, write them anew with

FACEAUG_GOLDEN=write python -m pytest tests/test_cli.py -k help
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from faceaug import __version__, cli
from faceaug.commands import evaluate as assessment
from faceaug.data.folder import FaceFolder
from faceaug.evaluate import Schooling, UsefulnessOptions
from faceaug.progress import views
from faceaug.train import TrainConfig, config, export

GOLDEN = Path(__file__).with_name("golden")
COMMANDS = sorted(cli.cli.commands)
TINY = TrainConfig(
    z_size=8, g_conv_dim=4, d_conv_dim=4, batch=8, images=16, precision="fp32", checkpoint_every=16, log_every=8
)


@dataclass(frozen=True)
class Ending:
    code: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The one line on stderr."""
        assert self.stderr.count("\n") == 1, self.stderr
        assert "Traceback" not in self.stderr
        return self.stderr.rstrip("\n")


Run = Callable[..., Ending]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command line in this process."""

    def command(*arguments: str | Path) -> Ending:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["faceaug", *map(str, arguments)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as end:
            warnings.simplefilter("default")
            cli.main()
        out = capsys.readouterr()
        return Ending(int(end.value.code or 0), out.out, out.err)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(views, "_FIRST_LINE", math.inf)  # on a slow machine there would be lines on how far it is
    monkeypatch.setitem(config.PRESETS, "tiny", TINY)
    monkeypatch.setattr(export, "_STATISTICS_BATCHES", 2)
    handlers = (signal.getsignal(signal.SIGTERM), warnings.showwarning)
    yield command
    assert (signal.getsignal(signal.SIGTERM), warnings.showwarning) == handlers
    torch.set_num_threads(threads)


@pytest.fixture
def faces(celeba_folder: Path, tmp_path: Path) -> Path:
    """A CelebA folder that a test may change."""
    return Path(shutil.copytree(celeba_folder, tmp_path / "faces"))


def content(*folders: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and times of all files but those of the state folder, which a refused clean may leave."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [path for path in files if ".faceaug" not in path.parts]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_is_the_one_reviewed(command: str) -> None:
    arguments = [command, "--help"] if command else ["--help"]
    done = CliRunner().invoke(cli.cli, arguments, prog_name="faceaug", terminal_width=100)
    assert done.exit_code == 0
    path = GOLDEN / f"help{'-' * bool(command)}{command}.txt"
    if os.environ.get("FACEAUG_GOLDEN") == "write":
        path.write_text(done.output)
    assert done.output == path.read_text()
    assert not command or "Example:\n    faceaug " in done.output


def test_there_is_no_golden_help_of_a_command_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("help*.txt")} == {"help", *(f"help-{name}" for name in COMMANDS)}


def test_every_command_has_json_quiet_and_verbose() -> None:
    for command in cli.cli.commands.values():
        assert {"as_json", "quiet", "verbose"} <= {option.name for option in command.params}


def test_without_a_command_the_help_is_shown_and_version_is_the_packages(run: Run) -> None:
    assert "Commands:\n" in run().stdout
    assert __version__ in run("--version").stdout


class TestCommands:
    def test_clean_against_a_folder_that_is_only_read(self, run: Run, faces: Path, tmp_path: Path) -> None:
        known = tmp_path / "known"
        shutil.copytree(faces, known)
        before = {path: path.read_bytes() for path in known.rglob("*") if path.is_file()}
        index = tmp_path / "known.faceaug-index"
        ended = run("clean", faces, "--against", known, "--max-remove", "100%", "--json")
        found = json.loads(ended.stdout)
        assert (ended.code, found["counts"]["cleaned"]) == (0, 0)
        assert {entry["keeper"].split("/")[:2] == ["..", "known"] for entry in found["set_aside"]} == {True}
        assert index.is_file()
        assert {path: path.read_bytes() for path in known.rglob("*") if path.is_file()} == before

    def test_an_index_of_nothing_is_wrong_use(self, run: Run, faces: Path, tmp_path: Path) -> None:
        ended = run("clean", faces, "--index", tmp_path / "x.faceaug-index")
        assert ended.code == 2
        assert ended.line.startswith("faceaug: --index: only with --against")

    def test_clean_and_undo(self, run: Run, faces: Path) -> None:
        copy = faces / "img_align_celeba" / "000002 (1).png"
        shutil.copyfile(faces / "img_align_celeba" / "000002.png", copy)
        before = content(faces)
        planned = run("clean", faces, "--dry-run", "--json")
        assert planned.code == 0
        assert content(faces) == before
        done = run("clean", faces, "--report", faces.parent / "report.html")
        assert (done.code, copy.exists()) == (0, False)
        assert (faces.parent / "report.html").read_text().startswith("<!doctype html>")
        back = run("undo", faces, "--all")
        assert back.code == 0
        assert content(faces) == before

    def test_preview_of_a_preset_and_of_a_recipe(self, run: Run, faces: Path, tmp_path: Path) -> None:
        (tmp_path / "recipe.toml").write_text('preset = "document"')
        for option in (("--preset", "strong"), ("--recipe", tmp_path / "recipe.toml")):
            assert run("preview", faces, "--out", tmp_path / f"{option[0]}.png", *option).code == 0
        assert run("preview", faces, "--out", tmp_path / "both.png", *option, "--preset", "light").code == 2

    def test_preview(self, run: Run, faces: Path, tmp_path: Path) -> None:
        done = run("preview", faces, "--out", tmp_path / "sheet.png", "--json")
        assert done.code == 0
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.size == (json.loads(done.stdout)["width"], json.loads(done.stdout)["height"])

    def test_synth(self, run: Run, tmp_path: Path) -> None:
        done = run("synth", "--n", "5", "--out", tmp_path / "out", "--seed", "3", "--grid", tmp_path / "grid.png")
        assert done.code == 0
        assert "5 faces from faces-64, seed 3" in done.stdout
        assert len(FaceFolder(tmp_path / "out")) == 5
        assert (tmp_path / "grid.png").is_file()

    def test_synth_with_attributes(self, run: Run, conditional_model: Path, tmp_path: Path) -> None:
        done = run(
            "synth", "--n", "5", "--out", tmp_path / "out", "--model", conditional_model, "--with", "Eyeglasses",
            "--without", "Male", "--without", "Young", "--strength", "1.5", "--toggles", tmp_path / "toggles.png",
        )  # fmt: skip
        assert done.code == 0, done.stderr
        known = FaceFolder(tmp_path / "out").annotations.attributes
        assert (known[:, 15] == 1).all()
        assert (known[:, [20, 39]] == -1).all()
        with Image.open(tmp_path / "toggles.png") as sheet:
            assert sheet.size[1] == 20 + 41 * 68

    def test_convert(self, run: Run, faces: Path, tmp_path: Path) -> None:
        before = content(faces)
        done = run("convert", faces, "--to", "coco", "--json")
        assert done.code == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["out"], document["layout"]) == (str(tmp_path / "faces-coco"), "coco")
        assert len(FaceFolder(tmp_path / "faces-coco")) == document["pictures"]
        assert "not held by this layout: attributes" in done.stderr
        assert content(faces) == before
        assert run("convert", faces, "--to", "coco").code == 3
        assert run("convert", faces, "--to", "coco", "--out", faces / "out").code == 3
        assert run("convert", faces, "--to", "utkface").code == 2
        assert run("convert", faces, "--to", "coco", "--layout", "none").code == 2
        assert run("convert", faces, "--to", "celeba", "-q") == Ending(0, "", "")

    def test_split(self, run: Run, faces: Path) -> None:
        done = run("split", faces, "--parts", "50/25/25", "--json")
        assert done.code == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["table"] == str(faces / "faceaug-split.csv")
        assert (FaceFolder(faces).annotations.partition == 0).sum() == document["pictures"]["train"]
        assert run("split", faces, "--parts", "50/50").code == 2
        assert run("split", faces, "-q") == Ending(0, "", "")

    def test_the_ground_of_transparent_pictures_is_chosen(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for k in range(2):
            Image.new("RGBA", (64, 64), (9, 9, 9, 0)).save(tmp_path / "in" / f"{k}.png")
        arguments = ("expand", tmp_path / "in", "--copies", "0", "--synthetic", "0", "--partition", "all")
        assert run(*arguments, "--out", tmp_path / "out", "--ground", "#00ff00").code == 0
        assert FaceFolder(tmp_path / "out").read(0)[0, 0].tolist() == [0, 255, 0]
        again = run("expand", tmp_path / "out", "--replay", "1", "--out", tmp_path / "again.png")
        assert "the same bytes" in again.stdout
        wrong = run(*arguments, "--out", tmp_path / "other", "--ground", "glass")
        assert (wrong.code, "neither a colour" in wrong.stderr) == (2, True)

    def test_expand(self, run: Run, faces: Path, tmp_path: Path) -> None:
        before = content(faces)
        done = run(
            "expand", faces, "--out", tmp_path / "plus", "--synthetic", "7", "--balance", "Eyeglasses=0.3",
            "--balance", "Male", "--size", "64", "--format", "jpg", "--json",
        )  # fmt: skip
        assert done.code == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["sizes"]["synthetic"] == 7
        assert document["shares"]["Male"]["after"] == pytest.approx(0.5, abs=0.03)
        assert len(FaceFolder(tmp_path / "plus")) == document["sizes"]["total"]
        assert "pictures of 64x64 pixels, crop center178" in done.stderr
        assert content(faces) == before

    def test_expand_leaves_pictures_as_they_are_and_says_why_nobody_joins_them(
        self, run: Run, faces: Path, tmp_path: Path
    ) -> None:
        done = run("expand", faces, "--out", tmp_path / "plus", "--json")
        assert done.code == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["size"], document["sizes"]["synthetic"]) == ("40x48", 0)
        assert "no synthetic faces: the pictures are not square (40x48)" in done.stderr
        folder = FaceFolder(tmp_path / "plus")
        assert {folder.read(row).shape for row in (0, 50)} == {(48, 40, 3)}

    def test_expand_refuses_faces_smaller_than_the_pictures_and_names_the_ways_out(
        self, run: Run, faces: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "plus"
        done = run("expand", faces, "--out", out, "--synthetic", "0.25", "--model", "dcgan-32")
        assert done.code == 2
        for way in ("--size 32", "--synthetic 0", "a larger model"):
            assert way in done.stderr
        assert not out.exists()

    def test_expand_takes_width_x_height_and_a_crop(self, run: Run, faces: Path, tmp_path: Path) -> None:
        done = run("expand", faces, "--out", tmp_path / "plus", "--size", "30x20", "--crop", "square", "-q")
        assert done.code == 0, done.stderr
        image = FaceFolder(tmp_path / "plus").read(0)
        assert image.shape == (20, 30, 3)
        assert not image[:, [0, 4, 25, 29]].any()

    def test_expand_goes_on_after_an_interruption(
        self, run: Run, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from faceaug.mix import blocks

        command = ("expand", faces, "--out", tmp_path / "plus", "--synthetic", "2", "--size", "32")
        write, written = blocks.write_again, []

        def stop(path: Path, data: bytes, **more: object) -> None:
            if len(written) == 30:
                raise KeyboardInterrupt
            written.append(path)
            write(path, data, **more)

        with monkeypatch.context() as patch:
            patch.setattr(blocks, "write_again", stop)
            ended = run(*command)
        assert ended.code == 130
        assert "faceaug: interrupted; finished work is kept" in ended.stderr
        assert run(*command).code == 0
        assert len(FaceFolder(tmp_path / "plus")) == 86

    def test_expand_makes_a_row_again(self, run: Run, faces: Path, tmp_path: Path) -> None:
        run("expand", faces, "--out", tmp_path / "plus", "--synthetic", "2", "--size", "32")
        for row, origin in (("3", "real"), ("000050.png", "augmented"), ("85", "synthetic")):
            path = tmp_path / f"{origin}.png"
            done = run("expand", tmp_path / "plus", "--replay", row, "--out", path)
            assert done.code == 0, done.stderr
            assert f"({origin}) regenerated: the same bytes" in done.stdout
            name = FaceFolder(tmp_path / "plus").names[int(row.removesuffix(".png"))]
            assert path.read_bytes() == (tmp_path / "plus" / name).read_bytes()

    def test_a_set_without_real_faces_comes_with_an_audit(self, run: Run, faces: Path, tmp_path: Path) -> None:
        out = tmp_path / "nobody"
        done = run("expand", faces, "--out", out, "--synthetic", "30", "--copies", "0", "--only-synthetic", "--json")
        assert done.code == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["sizes"] == {"original": 60, "real": 0, "augmented": 0, "synthetic": 30, "total": 30}
        assert document["memorisation"]["copies"] == 0
        assert document["memorisation"]["training"] == 42
        assert set(FaceFolder(out).annotations.origin) == {2}
        page = (out / "report.html").read_text()
        assert "No real face is in this folder" in page
        assert "copies of the 42 training faces" in page

    def test_train_and_resume(self, run: Run, faces: Path, tmp_path: Path) -> None:
        command = ("train", faces, "--out", tmp_path / "run", "--preset", "tiny", "--crop", "square", "--seed", "2")
        done = run(*command, "--json")
        assert done.code == 0, done.stderr
        assert json.loads(done.stdout)["finished"] is True
        longer = run(*command, "--images", "32", "--resume")
        assert longer.code == 0, longer.stderr
        assert "32 images of 42 faces shown, finished" in longer.stdout
        assert run("synth", "--n", "2", "--out", tmp_path / "out", "--model", tmp_path / "run").code == 0

    def test_train_goes_on_from_a_model(self, run: Run, faces: Path, conditional_model: Path, tmp_path: Path) -> None:
        command = ("train", faces, "--out", tmp_path / "run", "--init", conditional_model, "--images", "64")
        done = run(*command, "--set", "warmup=32", "--set", "d_conv_dim=4", "--set", "freeze=1")
        assert done.code == 0, done.stderr
        assert "64 images of 42 faces shown, finished" in done.stdout

    def test_evaluate(self, run: Run, faces: Path, tmp_path: Path) -> None:
        pytest.importorskip("efficientnet_lite_pytorch")
        before, page = content(faces), tmp_path / "report.html"
        command = ("evaluate", "dcgan-32", faces, "--n", "20", "--partition", "all")
        done = run(*command, "--report", page, "--json")
        assert done.code == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["extractor"] == "efficientnet-lite0 at 128 px"
        assert [line["control"] for line in document["figures"]] == [False, True]
        assert "copies of training faces" in done.stderr
        assert "<svg" in page.read_text("utf-8")
        for ending in ("json", "csv"):
            assert run(*command, "--report", tmp_path / f"report.{ending}", "-q").stdout == ""
        assert json.loads((tmp_path / "report.json").read_text("utf-8")) == {"made_by": "faceaug evaluate"} | document
        assert run(*command, "--report", tmp_path / "report.csv").code == 0  # of the same command, so replaced
        assert content(faces) == before
        few = run("evaluate", "dcgan-32", faces, "--partition", "val")
        assert few.code == 3
        assert "9 readable training faces, at least 10 are needed" in few.line

    @pytest.mark.parametrize(
        ("name", "other"), [("R.CSV", "R.csv"), ("r.txt", "r.html"), ("report", "report.html"), ("r.htm", "r.html")]
    )
    @pytest.mark.parametrize("command", [("clean",), ("evaluate", "dcgan-32")])
    def test_a_report_with_another_ending_is_refused_before_any_work(
        self, run: Run, faces: Path, tmp_path: Path, command: tuple[str, ...], name: str, other: str
    ) -> None:
        before = content(faces)
        done = run(*command, faces, "--report", tmp_path / name)
        assert done.code == 2
        assert f"{name}: expected a name that ends in .html, .json or .csv, such as {tmp_path / other}" in done.line
        assert not (tmp_path / name).exists()
        assert content(faces) == before

    @pytest.mark.parametrize("name", ["metadata.csv", "dataset.json", "list_attr_celeba.csv"])
    def test_a_report_never_replaces_what_describes_data(
        self, run: Run, faces: Path, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / name).write_text("mine")
        done = run("clean", faces, "--report", tmp_path / name)
        assert done.code == 3
        assert f"{name}: exists and is not a" in done.line
        assert (tmp_path / name).read_text() == "mine"

    def test_evaluate_memorisation_alone(self, run: Run, faces: Path, tmp_path: Path) -> None:
        command = ("evaluate", "dcgan-32", faces, "--n", "20", "--memorisation", "--partition", "all", "--json")
        done = run(*command, "--report", tmp_path / "report.html")
        assert done.code == 0, done.stderr
        part = json.loads(done.stdout)["memorisation"]
        assert part["extractor"] == "attributes-64 at 64 px"
        assert part["figures"] == []
        assert part["memorisation"]["copies"] == []
        assert "authenticity" in done.stderr
        assert "closest to a training face" in (tmp_path / "report.html").read_text("utf-8")
        assert run(*command, "--report", tmp_path / "report.csv").code == 0
        assert (tmp_path / "report.csv").read_text("utf-8").startswith("median_distance,")
        assert run(*command, "--report", tmp_path / "report.csv").code == 0

    def test_evaluate_two_folders(self, run: Run, faces: Path, tmp_path: Path) -> None:
        assert run("synth", "--n", "20", "--out", tmp_path / "made").code == 0
        command = ("evaluate", tmp_path / "made", faces, "--n", "10", "--memorisation", "--json")
        done = run(*command, "--report", tmp_path / "report.html")
        assert done.code == 0, done.stderr
        part = json.loads(done.stdout)["memorisation"]
        assert (part["model"], part["source_folder"], part["n"]) == ("made", str(tmp_path / "made"), 10)
        assert "copies of train faces of" in done.stderr
        assert "faces of made" in (tmp_path / "report.html").read_text("utf-8")
        tight = json.loads(run(*command, "--crop", "center140", "--size", "24").stdout)["memorisation"]
        assert (tight["crop"], tight["size"]) == ("center140", 24)
        refused = run("evaluate", tmp_path / "made", faces, "--usefulness")
        assert refused.code == 2
        assert "usefulness needs a generator" in refused.line

    def test_evaluate_usefulness(
        self, run: Run, faces: Path, conditional_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short = partial(UsefulnessOptions, schooling=Schooling(images=64))
        monkeypatch.setattr(assessment, "UsefulnessOptions", short)
        done = run(
            "evaluate", conditional_model, faces, "--usefulness", "--attribute", "Male", "--seeds", "1",
            "--against", "val", "--synthetic", "5", "--no-filter", "--fraction", "1.0", "--report",
            tmp_path / "report.html", "--json",
        )  # fmt: skip
        assert done.code == 0, done.stderr
        part = json.loads(done.stdout)["usefulness"]
        assert part["arms"][3]["synthetic"] == 5
        assert part["attributes"] == ["Male"]
        assert "the generator itself has seen" in done.stderr
        assert "<circle" in (tmp_path / "report.html").read_text("utf-8")
        parts = ("--usefulness", "--memorisation", "--report", tmp_path / "both.csv")
        both = run("evaluate", "dcgan-32", faces, *parts)
        assert both.code == 2
        assert "two parts do not fit into one table" in both.line

    def test_info(self, run: Run) -> None:
        done = run("info", "--json")
        assert done.code == 0
        assert json.loads(done.stdout)["models"].keys() == {
            "dcgan-32", "dcgan-32-report", "faces-64", "attributes-64"
        }  # fmt: skip
        assert "dcgan-32 " in run("info").stdout


class TestFoldersThatCannotBeUsed:
    @pytest.mark.parametrize("command", ["clean", "undo", "preview", "expand", "train"])
    def test_no_such_folder(self, run: Run, tmp_path: Path, command: str) -> None:
        out = ("--out", tmp_path / "out") if command in {"preview", "expand", "train"} else ()
        done = run(command, tmp_path / "missing", *out)
        assert done.code == 2
        assert "missing: no such folder" in done.line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("command", ["clean", "preview", "expand", "train"])
    @pytest.mark.parametrize("holds", ["nothing", "no pictures"])
    def test_a_folder_without_pictures(self, run: Run, tmp_path: Path, command: str, holds: str) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        if holds == "no pictures":
            (folder / "thesis.txt").write_text("years")
        before = content(tmp_path)
        out = ("--out", tmp_path / "out") if command != "clean" else ()
        done = run(command, folder, *out)
        assert done.code == 3
        assert "no pictures in it" in done.line
        assert content(tmp_path) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]

    @pytest.mark.parametrize("command", ["clean", "preview", "expand", "train"])
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("60\n", "61\n", "line 1 says 61 rows, the table has 60"),
            ("Eyeglasses", "Spectacles", "unknown column Spectacles"),
            ("0000", "x000", "none of its 60 names"),
        ],
        ids=["count line lies", "unknown column", "no name is a picture"],
    )
    def test_a_table_that_contradicts_itself(
        self, run: Run, faces: Path, command: str, old: str, new: str, expected: str
    ) -> None:
        table = faces / "list_attr_celeba.txt"
        count = 60 if old == "0000" else 1
        table.write_text(table.read_text().replace(old, new, count))
        before = content(faces.parent)
        out = ("--out", faces.parent / "out") if command != "clean" else ()
        done = run(command, faces, *out)
        assert done.code == 1
        assert "list_attr_celeba.txt" in done.line
        assert expected in done.line
        assert content(faces.parent) == before

    def test_a_read_only_folder(self, run: Run, faces: Path) -> None:
        with read_only(faces):
            before = content(faces)
            (done, out) = run("clean", faces), run("synth", "--n", "1", "--out", faces / "out")
            assert (done.code, out.code) == (3, 3)
            assert "faces" in done.line
            assert "cannot be written" in out.line
            assert content(faces) == before


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in a folder can be written; for root, whom modes do not stop, by a mount."""
    if os.geteuid() != 0:
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        yield
        for path, mode in modes.items():
            path.chmod(mode)
        return
    for step in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder]):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            subprocess.run(["umount", folder], capture_output=True, check=False)
            pytest.skip(f"no read-only mount here: {done.stderr.strip()}")
    yield
    subprocess.run(["umount", folder], check=True)


class TestOutputsInTheWay:
    @pytest.mark.parametrize("command", ["expand", "train", "deidentify"])
    @pytest.mark.parametrize("out", ["", "plus", "img_align_celeba/plus"])
    def test_out_inside_the_folder(self, run: Run, faces: Path, command: str, out: str) -> None:
        before = content(faces)
        preset = ("--preset", "tiny") if command == "train" else ()
        done = run(command, faces, "--out", faces / out, *preset)
        assert done.code == 3
        assert "lies inside" in done.line
        assert content(faces) == before

    @pytest.mark.parametrize("command", ["expand", "train", "synth", "demo"])
    def test_out_that_holds_something_else(self, run: Run, faces: Path, tmp_path: Path, command: str) -> None:
        out = tmp_path / "mine"
        out.mkdir()
        (out / "thesis.txt").write_text("years")
        other = {"demo": (out,), "synth": ("--n", "1", "--out", out), "train": ("--preset", "tiny")}.get(command, ())
        arguments = (faces, "--out", out, *other) if command in {"expand", "train"} else other
        before = content(tmp_path)
        done = run(command, *arguments)
        assert done.code == 3
        assert "mine is not empty: choose a new or empty folder" in done.line
        assert content(tmp_path) == before

    def test_a_photo_in_the_way_of_a_sheet_is_noticed_before_the_work(self, run: Run, faces: Path) -> None:
        before = content(faces.parent)
        photo = faces / "img_align_celeba" / "000001.png"
        for command in (("preview", faces, "--out"), ("synth", "--n", "1", "--out", faces.parent / "out", "--grid")):
            done = run(*command, photo)
            assert done.code == 3
            assert f"{photo}: " in done.line
        assert content(faces.parent) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("expand", "FOLDER", "--out", "OUT", "--balance", "Glasses"),
            "unknown attribute 'Glasses'; the attributes are 5_",
        ),
        (("expand", "FOLDER", "--out", "OUT", "--balance", "Male=half"), "'Male=half': the share is not a number"),
        (("expand", "FOLDER", "--out", "OUT", "--balance", "Male=1"), "balance Male=1.0: expected a share between 0"),
        (("expand", "FOLDER", "--out", "OUT", "--synthetic", "some"), "'some' is neither a share nor a count"),
        (("expand", "FOLDER", "--out", "OUT", "--synthetic", "-1"), "synthetic -1.0: expected a share"),
        (("expand", "FOLDER", "--out", "OUT", "--size", "4"), "'4' is neither a side such as 64 nor WIDTHxHEIGHT"),
        (("expand", "FOLDER", "--out", "OUT", "--size", "64x64x3"), "neither a side such as 64 nor WIDTHxHEIGHT"),
        (("expand", "FOLDER", "--out", "OUT", "--copies", "-1"), "Invalid value for '--copies'"),
        (
            ("expand", "FOLDER", "--out", "OUT", "--model", "dcgan-99"),
            "neither a bundled model (dcgan-32, dcgan-32-report, faces-64)",
        ),
        (("expand", "FOLDER", "--out", "OUT", "--recipe", "none.toml"), "none.toml: the recipe cannot be read"),
        (("expand", "FOLDER", "--out", "OUT", "--partition", "training"), "'training' is not one of"),
        (("expand", "FOLDER", "--out", "OUT", "--seed", "-1"), "seed -1: expected an integer from 0"),
        (("expand", "FOLDER"), "Missing option '--out'"),
        (("synth", "--out", "OUT", "--n", "0"), "n 0: expected at least 1 face"),
        (("synth", "--out", "OUT", "--n", "many"), "'many' is not a valid integer"),
        (("synth", "--out", "OUT", "--with", "Glasses"), "unknown attribute 'Glasses'; the attributes are 5_"),
        (
            ("synth", "--out", "OUT", "--with", "Male", "--without", "Male"),
            "attribute Male: requested both with and without",
        ),
        (("synth", "--out", "OUT", "--strength", "9"), "Invalid value for '--strength'"),
        (
            ("synth", "--out", "OUT", "--model", "dcgan-32", "--toggles", "OUT.png"),
            "takes no attributes; edit needs a model",
        ),
        (("synth", "--out", "OUT", "--model", "nowhere"), "model nowhere: neither a bundled model"),
        (("train", "FOLDER", "--out", "OUT", "--preset", "huge"), "unknown preset 'huge'; the presets are"),
        (("train", "FOLDER", "--out", "OUT", "--size", "48"), "size 48: expected one of 32, 64, 128, 256"),
        (
            ("train", "FOLDER", "--out", "OUT", "--set", "speed=2"),
            "'speed=2': expected NAME=VALUE with one of size, crop",
        ),
        (("train", "FOLDER", "--out", "OUT", "--device", "nowhere"), "device nowhere: not available"),
        (("import-model", "nowhere.pth", "--out", "OUT"), "nowhere.pth: no such file"),
        (("deidentify", "FOLDER", "--out", "OUT", "--attributes", "Smiling=1"), "attributes: blur takes none"),
        (("deidentify", "FOLDER", "--out", "OUT", "--keep", "Happy"), "unknown attribute 'Happy'"),
        (("deidentify", "FOLDER", "--out", "OUT", "--with", "paint"), "'paint' is not one of"),
        (("synth", "--out", "OUT", "--truncation", "0"), "truncation 0.0: expected a number above 0"),
        (("train", "FOLDER", "--out", "OUT", "--minutes", "0"), "Invalid value for '--minutes'"),
        (("train", "FOLDER", "--out", "OUT", "--init", "nowhere"), "model nowhere: neither a bundled model"),
        (("evaluate", "nowhere", "FOLDER"), "model nowhere: neither a bundled model"),
        (("evaluate", "dcgan-32", "FOLDER", "--n", "0"), "n 0, real 25000: expected at least 10"),
        (("evaluate", "dcgan-32", "FOLDER", "--extractor", "vgg"), "'vgg' is not one of"),
        (("evaluate", "dcgan-32", "FOLDER", "--against", "train"), "the unseen faces must be another partition"),
        (("evaluate", "dcgan-32", "nowhere"), "nowhere: no such folder"),
        (("evaluate", "nowhere", "FOLDER"), "nor is there a folder of pictures of this name"),
        (("evaluate", "FOLDER", "dcgan-32"), "dcgan-32: a model, not a folder of pictures; the model comes first"),
        (("evaluate", "dcgan-32", "FOLDER", "--size", "64"), "the config of dcgan-32 decides"),
        (("evaluate", "dcgan-32", "FOLDER", "--device", "nowhere"), "device nowhere: not available"),
        (("clean", "FOLDER", "--max-remove", "much"), "'much' is not a share such as 20% or 0.2"),
        (("clean", "FOLDER", "--max-remove", "120%"), "'120%' is not a share"),
        (("clean", "FOLDER", "--workers", "0"), "Invalid value for '--workers'"),
        (("clean", "FOLDER", "--protect", "nobody.jpg"), "nobody.jpg"),
        (("clean", "FOLDER", "--frobnicate"), "No such option"),
        (("clean",), "Missing argument 'FOLDER'"),
        (("frobnicate",), "No such command 'frobnicate'"),
    ],
    ids=lambda value: "_".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_wrong_use_ends_with_2_and_one_line_and_changes_nothing(
    run: Run, faces: Path, arguments: tuple[str, ...], expected: str
) -> None:
    places = {"FOLDER": str(faces), "OUT": str(faces.parent / "out")}
    before = content(faces.parent)
    done = run(*(places.get(argument, argument) for argument in arguments))
    assert done.code == 2
    assert expected in done.line
    assert done.stdout == ""
    assert content(faces.parent) == before
    with_json = run(*(places.get(argument, argument) for argument in arguments), "--json")
    if "frobnicate" not in arguments:
        assert json.loads(with_json.stdout)["exit_code"] == 2


def test_a_damaged_model_ends_with_1(run: Run, tmp_path: Path) -> None:
    from faceaug.synthesize.weights import BUNDLED_FOLDER

    model = shutil.copytree(BUNDLED_FOLDER / "dcgan-32", tmp_path / "model")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    done = run("synth", "--n", "1", "--out", tmp_path / "out", "--model", model)
    assert done.code == 1
    assert "model.safetensors: damaged or altered" in done.line
    assert not (tmp_path / "out").exists()


class TestVoices:
    def test_json_is_one_document_on_stdout_and_words_go_to_stderr(self, run: Run, faces: Path) -> None:
        for command in (("clean", faces), ("undo", faces, "--all"), ("info",)):
            done = run(*command, "--json")
            if command[0] == "undo":
                assert done.code in {0, 3}
            json.loads(done.stdout)
            assert done.stderr

    def test_json_is_there_for_errors_too(self, run: Run, tmp_path: Path) -> None:
        done = run("clean", tmp_path / "missing", "--json")
        document = json.loads(done.stdout)
        assert document["exit_code"] == done.code == 2
        assert "no such folder" in document["error"]
        assert "no such folder" in done.line

    def test_quiet_says_nothing_but_errors(self, run: Run, faces: Path, tmp_path: Path) -> None:
        (faces / "list_eval_partition.txt").unlink()  # would be a note
        out = tmp_path / "out"
        for command in (
            ("clean", faces),
            ("synth", "--n", "1", "--out", out),
            ("expand", faces, "--out", tmp_path / "p"),
        ):
            done = run(*command, "-q")
            assert (done.code, done.stdout, done.stderr) == (0, "", "")
        assert "holds a finished run" in run("synth", "--n", "1", "--out", out, "-q").line

    def test_warnings_are_notes(self, run: Run, faces: Path, tmp_path: Path) -> None:
        (faces / "list_eval_partition.txt").unlink()
        done = run("expand", faces, "--out", tmp_path / "plus", "--synthetic", "0")
        assert done.code == 0
        assert done.line.startswith("note: no table marks training pictures")

    def test_names_that_are_no_text_do_no_harm(self, run: Run, tmp_path: Path) -> None:
        folder = os.fsencode(tmp_path) + b"/caf\xe9\n"
        for option in ("", "--json"):
            done = run("clean", os.fsdecode(folder), *[option][: len(option)])
            assert done.code == 2
            assert r"caf\xe9\n: no such folder" in done.line

    def test_a_fault_of_ours_is_one_line_and_a_traceback_on_request(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise ZeroDivisionError("deep\ndown")

        monkeypatch.setattr("faceaug.commands.doctor.examine", fail)
        done = run("info")
        assert done.code == 1
        assert done.line == "faceaug: unexpected ZeroDivisionError: deep down; -v shows where"
        assert "Traceback" in run("info", "-v").stderr

    def test_a_closed_pipe_is_no_traceback(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise BrokenPipeError

        monkeypatch.setattr("faceaug.commands.doctor.examine", fail)
        done = run("info")
        assert (done.code, done.stderr) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_130_and_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    monkeypatch.setattr("faceaug.commands.doctor.examine", lambda: signal.raise_signal(number))
    # A shell starts what it runs in the background with SIGINT ignored, and this test run may be such a process.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run("info", "--json")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert "interrupted" in done.line
    assert json.loads(done.stdout)["exit_code"] == 130


def test_a_signal_during_training_ends_with_130_and_is_kept(
    run: Run, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceaug.train.session import Session

    step = Session.step

    def stop(session: Session) -> bool:
        healthy = step(session)
        if session.images == 8:
            signal.raise_signal(signal.SIGTERM)
        return healthy

    command = ("train", faces, "--out", tmp_path / "run", "--preset", "tiny")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "step", stop)
        done = run(*command)
    assert done.code == 130
    assert "stopped by SIGTERM at 8 of 16 images; everything is saved, --resume continues" in done.line
    assert run(*command, "--resume").code == 0


def test_a_state_dict_is_imported_used_and_exported(run: Run, tmp_path: Path) -> None:
    import torch

    from faceaug.synthesize import build_network

    _, generator = build_network(4, 4, 6)
    torch.save(generator.state_dict(), tmp_path / "net.pth")
    done = run("import-model", tmp_path / "net.pth", "--out", tmp_path / "model", "--name", "mine", "--json")
    assert done.code == 0
    assert json.loads(done.stdout)["size"] == 32
    again = run("export-model", tmp_path / "model", "--out", tmp_path / "copy", "--json")
    assert json.loads(again.stdout)["sha256"] == json.loads(done.stdout)["sha256"]
    done = run("synth", "--n", "3", "--model", tmp_path / "copy", "--out", tmp_path / "faces", "--truncation", "1.5")
    assert done.code == 0
    assert json.loads((tmp_path / "faces" / "dataset.json").read_bytes())["run"]["truncation"] == 1.5


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_long_computations_use_large_pages_of_memory_unless_told_otherwise(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    words = {
        "train": ("train", tmp_path / "none", "--out", tmp_path / "run"),
        "evaluate": ("evaluate", "none", tmp_path),
    }
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    assert run(*words[command]).code == 2
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    assert run(*words[command]).code == 2
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
