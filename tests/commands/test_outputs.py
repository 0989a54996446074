"""No command writes over a file that it did not make: every output option of every command, from the command tree."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from faceaug.cli import cli
from faceaug.commands import evaluate as assessment
from faceaug.commands.outputs import Input, OutputFile, OutputFolder
from faceaug.data.image import encode_jpeg, encode_png
from faceaug.data.layouts.leftovers import CLEANED
from faceaug.data.layouts.records import CONVERTED
from faceaug.data.manifest import DATASET
from faceaug.data.marks import page_head, sheet_text, synthetic_text
from faceaug.errors import FaceAugError
from faceaug.mix import expand_dataset
from faceaug.storage import locks
from faceaug.storage.outputs import Kind
from faceaug.synthesize import toggles
from tests.conftest import picture, write_celeba
from tests.faces.photos import background, paste

# The other arguments of a call that writes each output. A new output is missing here, so that these tests fail.
FILES: dict[tuple[str, str], tuple[str, ...]] = {
    ("clean", "--report"): ("faces", "--dry-run"),
    ("clean", "--index"): ("faces", "--dry-run", "--against", "expanded"),
    ("clean", "--proposals"): ("faces", "--dry-run", "--check-labels"),
    ("preview", "--out"): ("faces",),
    ("split", "--out"): ("faces",),
    ("align", "--out"): ("wild", "--only-landmarks"),
    ("synth", "--grid"): ("--n", "2", "--model", "dcgan-32", "--out", "out"),
    ("synth", "--toggles"): ("--n", "2", "--model", "faces-64", "--out", "out"),
    ("expand", "--out"): ("expanded", "--replay", "0"),
    ("evaluate", "--report"): ("dcgan-32", "faces", "--memorisation", "--n", "20", "--partition", "all"),
    ("export-model", "--out"): ("dcgan-32", "--to", "onnx"),
}
FOLDERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("demo", "OUT"): (),
    ("clean", "--out"): ("faces",),
    ("synth", "--out"): ("--n", "2", "--model", "dcgan-32"),
    ("expand", "--out"): ("faces", "--synthetic", "0"),
    ("convert", "--out"): ("faces", "--to", "coco"),
    ("align", "--out"): ("faces",),
    ("deidentify", "--out"): ("faces",),
    ("train", "--out"): ("faces", "--images", "8"),
    ("import-model", "--out"): ("weights.pth",),
    ("export-model", "--out"): ("dcgan-32",),
}
READ = {"faces", "wild", "expanded", "weights.pth"}  # what these calls read, in the folder of a test


def options(*types: type[click.Path | click.File]) -> Iterator[tuple[str, str, Any]]:
    """(command, option or ARGUMENT, type) of all parameters of some types."""
    for name, command in sorted(cli.commands.items()):
        for option in command.params:
            if isinstance(option.type, types):
                yield name, option.human_readable_name if option.opts[0] == option.name else option.opts[0], option.type


OUTPUTS = [
    (command, option, kind)
    for command, option, described in options(OutputFile, OutputFolder)
    for kind in described.kinds
    if (command, kind.ending) != ("expand", ".jpg")  # the expanded folder of these tests holds PNG files
]
IDS = [f"{command} {option} {kind.ending}" for command, option, kind in OUTPUTS]
every_output = pytest.mark.parametrize(("command", "option", "kind"), OUTPUTS, ids=IDS)
every_folder = pytest.mark.parametrize(("command", "option"), sorted(FOLDERS), ids=" ".join)


@dataclass(frozen=True)
class Desk:
    """The folder of a test."""

    root: Path

    def call(self, command: str, option: str, path: Path, *more: str, others: tuple[str, ...] | None = None) -> Any:
        words = FILES[command, option] if others is None else others
        here = [str(self.root / word) if word in READ | {"out"} else word for word in words]
        given = [str(path)] if option.isupper() else [option, str(path)]
        shutil.rmtree(self.root / "out", ignore_errors=True)
        return CliRunner().invoke(cli, [command, *here, *given, *more])

    def content(self) -> dict[str, object]:
        """Every file with its bytes, every link with its target, every folder; but for the state of a clean."""
        found = sorted(path for path in self.root.rglob("*") if ".faceaug" not in path.parts)
        return {str(path): _content(path) for path in found}


def _content(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else path.stat().st_mode


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    write_celeba(root / "faces", [picture(k) for k in range(20)])
    dataset = expand_dataset(root / "faces", synthetic=0, size=32, partition="all", progress=False)
    dataset.save(root / "expanded", workers=1, progress=False)
    (root / "weights.pth").write_bytes(b"never read")
    photo = background(200, 200)
    paste(photo, 40, 40, side=128)
    (root / "wild").mkdir()
    (root / "wild" / "1.png").write_bytes(encode_png(photo))
    return root


@pytest.fixture(scope="module")
def assess() -> Callable[..., Any]:
    """The real ``assess``, which measures only once."""
    real = assessment.assess
    made: list[Any] = []

    def kept(*arguments: Any, **options: Any) -> Any:
        made[:] = made or [real(*arguments, **options)]
        return made[0]

    return kept


@pytest.fixture
def desk(stored: Path, tmp_path: Path, assess: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Desk:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(assessment, "assess", assess)
    monkeypatch.setattr(toggles, "toggle_sheet", lambda *_: picture(1, height=40, width=40))
    return Desk(tmp_path)


def png(text: dict[str, str]) -> bytes:
    return encode_png(picture(2, height=8, width=8), text=text)


def late_text(text: dict[str, str]) -> bytes:
    """A PNG with its text behind the pixels."""
    whole, end = png({})[:-12], png({})[-12:]
    file = io.BytesIO()
    for key, value in text.items():
        PngImagePlugin.putchunk(file, b"tEXt", f"{key}\0{value}".encode())
    return whole + file.getvalue() + end


# Files that are not ours, by ending: of other programs, of other commands, and such as only quote the mark.
MARK = sheet_text("faceaug preview")["Software"]
STRANGERS: dict[str, dict[str, bytes]] = {
    ".png": {
        "plain": png({}),
        "other program": png({"Software": "Another Editor"}),
        "quoted": png({"Comment": f"Software {MARK}", "Title": MARK}),
        "behind the pixels": late_text({"Software": MARK}),
        "generated face": png(synthetic_text("dcgan-32", 0, 1)),
        "other command": png(sheet_text("faceaug draw")),
        "cut off": png({"Software": MARK})[:20],
    },
    ".html": {
        "other program": b"<!doctype html><title>Diary</title>",
        "quoted": f"<!doctype html>\n<pre>{page_head('faceaug clean')}{page_head('faceaug evaluate')}</pre>".encode(),
        "other command": page_head("faceaug expand").encode() + b"<title>x</title>",
    },
    ".json": {
        "other program": b'{"made_by": "me", "images": [], "annotations": []}',
        "nested": b'{"report": {"made_by": "faceaug clean"}, "second": {"made_by": "faceaug evaluate"}}',
        "list": b'["made_by", "faceaug clean"]',
        "other command": b'{"made_by": "faceaug draw"}',
        "longer": b'{"made_by": "faceaug cleaner"}',
    },
    ".csv": {
        "labels": b"file_name,identity\n000001.jpg,4\n",
        "proposal in a cell": b'"file_name,attribute,given,proposed,confidence,rank"\n',
        "column in front": b"mine,file,what,why,other_file,bits,detail,face_block,broad_block,colour\n",
        "some columns": b"file,what,why\n",
        "evaluation in a cell": b'"figure,of,n,against,reference_n,control"\n',
    },
    ".faceaug-index": {"text": b"mine", "weights": b"\x10\0\0\0\0\0\0\0{}              "},
    ".onnx": {
        "other program": b"\x08\x0a\x12\x07pytorch\x1a\x052.9.0",
        "quoted": b"\x08\x0a\x12\x07unknown producer_name faceaug",
    },
}
for found in STRANGERS.values():
    found |= {"photo": encode_jpeg(picture(3, height=16, width=16)), "empty": b"", "text": b"my notes about faceaug\n"}


def test_every_path_of_every_command_says_whether_it_is_read_or_written() -> None:
    untyped = [
        (command, option)
        for command, option, kind in options(click.Path, click.File)
        if not isinstance(kind, Input | OutputFile | OutputFolder)
    ]
    writing = [
        (name, option.opts[0])
        for name, command in cli.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and _writes(option)
        if not isinstance(option.type, OutputFile | OutputFolder)
    ]
    assert untyped + writing == []


def _writes(option: click.Option) -> bool:
    """Whether an option seems to name an output."""
    if option.is_flag or isinstance(option.type, click.IntRange):
        return False
    return "--out" in option.opts or "write" in (option.help or "").lower()


def test_the_walk_knows_every_output() -> None:
    assert {(command, option) for command, option, _ in OUTPUTS} == FILES.keys()
    assert {(command, option) for command, option, _ in options(OutputFolder)} == FOLDERS.keys()
    for command, *_ in OUTPUTS:
        assert "overwrite" in {option.name for option in cli.commands[command].params}, command


@every_output
def test_a_file_that_the_command_did_not_make_stays(desk: Desk, command: str, option: str, kind: Kind) -> None:
    for name, data in STRANGERS[kind.ending].items():
        path = desk.root / f"mine{kind.ending}"
        path.write_bytes(data)
        before = desk.content()
        done = desk.call(command, option, path)
        assert (done.exit_code, type(done.exception)) == (1, done.exc_info[0]), name
        assert isinstance(done.exception, FaceAugError), name
        assert done.exception.exit_code == 3, name
        assert f"{path}: exists and is not {kind.name}; choose another name, or" in str(done.exception)
        assert desk.content() == before, name


@every_output
def test_an_output_is_made_with_its_folder_replaced_by_a_later_one_and_may_overwrite(
    desk: Desk, command: str, option: str, kind: Kind
) -> None:
    if kind.ending == ".onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    path = desk.root / "new" / "folder" / f"made{kind.ending}"
    assert desk.call(command, option, path).exit_code == 0
    first = path.read_bytes()
    os.link(path, desk.root / "same")
    again = desk.call(command, option, path)
    assert again.exit_code == 0, again.exception
    assert path.read_bytes() == first
    assert (desk.root / "same").read_bytes() == first, "a hard link keeps what it had"
    path.write_bytes(b"mine")
    assert desk.call(command, option, path).exit_code == 1
    assert path.read_bytes() == b"mine"
    assert desk.call(command, option, path, "--overwrite").exit_code == 0
    assert path.read_bytes() == first
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]


@every_output
def test_folders_links_and_devices_are_never_replaced(desk: Desk, command: str, option: str, kind: Kind) -> None:
    photo = desk.root / "photo.jpg"
    photo.write_bytes(encode_jpeg(picture(3, height=16, width=16)))
    makers: dict[str, Callable[[Path], None]] = {
        "folder": Path.mkdir,
        "link": lambda path: path.symlink_to(photo),
        "dangling": lambda path: path.symlink_to(desk.root / "nothing"),
        "loop": lambda path: path.symlink_to(path),
        "pipe": os.mkfifo,
    }
    for name, make in makers.items():
        path = desk.root / f"{name}{kind.ending}"
        make(path)
        before = desk.content()
        for more in ((), ("--overwrite",)):
            done = desk.call(command, option, path, *more)
            assert isinstance(done.exception, FaceAugError), (name, done.output, done.exception)
            assert done.exception.exit_code in {2, 3}
            assert str(path) in str(done.exception)
            assert desk.content() == before, name


@every_output
def test_another_ending_is_refused_and_the_right_one_named(desk: Desk, command: str, option: str, kind: Kind) -> None:
    before = desk.content()
    for name in ("made", f"made{kind.ending.upper()}", f"made{kind.ending}.txt", f"{kind.ending}"):
        done = desk.call(command, option, desk.root / name)
        text = done.output + str(done.exception)
        assert f"{name}: expected a name that ends in " in text, text
        assert f"such as {desk.root}" in text
        assert getattr(done.exception, "exit_code", done.exit_code) == 2
        assert desk.content() == before


@every_output
def test_a_parent_that_is_a_file_is_named(desk: Desk, command: str, option: str, kind: Kind) -> None:
    (desk.root / "diary").write_bytes(b"mine")
    before = desk.content()
    done = desk.call(command, option, desk.root / "diary" / "new" / f"made{kind.ending}")
    assert isinstance(done.exception, FaceAugError)
    assert f"{desk.root / 'diary'} is not a folder" in str(done.exception)
    assert desk.content() == before


@every_output
def test_no_picture_or_table_is_put_into_a_folder_of_faces(desk: Desk, command: str, option: str, kind: Kind) -> None:
    folder = next((desk.root / word for word in FILES[command, option] if word in {"faces", "expanded", "out"}), None)
    if folder is None or not kind.is_data:
        return
    (desk.root / "link").symlink_to(folder)
    before = desk.content()
    for path in (folder / f"made{kind.ending}", desk.root / "link" / "deep" / f"made{kind.ending}"):
        for more in ((), ("--overwrite",)):
            done = desk.call(command, option, path, *more)
            assert isinstance(done.exception, FaceAugError), (path, done.output)
            assert done.exception.exit_code == 3
            assert f"lies inside {folder}" in str(done.exception)
            assert desk.content() == before


@every_folder
def test_a_folder_that_holds_something_else_stays(desk: Desk, command: str, option: str) -> None:
    mine = desk.root / "mine"
    (mine / "faces").mkdir(parents=True)
    for name in ("000000.png", "metadata.csv", "config.json", "report.html", "README.md", "faces/000001.jpg"):
        (mine / name).write_bytes(b"mine")
    (desk.root / "diary").write_bytes(b"mine")
    before = desk.content()
    for path in (mine, desk.root / "diary"):
        done = desk.call(command, option, path, others=FOLDERS[command, option])
        assert isinstance(done.exception, FaceAugError), (done.output, done.exception)
        assert desk.content() == before


def files_below(folder: Path) -> dict[Path, Path]:
    """The files of a folder by their path in it; but for the state of a clean, which nobody else writes into."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if ".faceaug" not in name.parts}


CONTINUED = {  # the marker of each folder that a second call continues, and the picture that is put there
    ("clean", "--out"): (CLEANED, "img_align_celeba/000003.png"),
    ("synth", "--out"): (DATASET, "000001.png"),
    ("expand", "--out"): (DATASET, "000025.png"),
    ("convert", "--out"): (CONVERTED, "images/000003.png"),
}


@pytest.mark.parametrize(("command", "option"), list(CONTINUED), ids=[" ".join(pair) for pair in CONTINUED])
@pytest.mark.parametrize("format", ["png", "webdataset"])
def test_a_picture_or_table_put_into_an_unfinished_folder_stays(
    desk: Desk, command: str, option: str, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = locks.prepare_output
    begun: dict[str, bytes] = {}

    def kept(out: Path, *, marker: str, **more: Any) -> bool:
        continued = prepare(out, marker=marker, **more)
        begun[marker] = (out / marker).read_bytes()
        return continued

    monkeypatch.setattr(locks, "prepare_output", kept)
    marker, name = CONTINUED[command, option]
    words = FOLDERS[command, option]
    if format == "webdataset":
        if command not in {"synth", "expand"}:
            return
        words, name = (*words, "--format", format), "000000.tar"
    assert desk.call(command, option, desk.root / "whole", others=words).exit_code == 0
    whole = files_below(desk.root / "whole")
    tables = {str(path) for path in whole if path.suffix in {".csv", ".json", ".txt", ".html", ".md"}} - {marker}
    assert tables
    for stranger in (name, *sorted(tables)):
        stopped = desk.root / "stopped" / stranger.replace("/", "-")
        (stopped / stranger).parent.mkdir(parents=True)
        (stopped / marker).write_bytes(begun[marker])
        (stopped / stranger).write_bytes(encode_jpeg(picture(5)))
        done = desk.call(command, option, stopped, others=words)
        assert isinstance(done.exception, FaceAugError), (stranger, done.output, done.exception)
        assert done.exception.exit_code == 3
        assert str(stopped / stranger) in str(done.exception)
        assert (stopped / stranger).read_bytes() == encode_jpeg(picture(5)), stranger
        (stopped / stranger).unlink()
        assert desk.call(command, option, stopped, others=words).exit_code == 0, stranger
        timed = {"report.html", marker}  # these say how long it took
        made = files_below(stopped)
        assert made.keys() == whole.keys()
        assert all(made[path].read_bytes() == whole[path].read_bytes() for path in whole if str(path) not in timed)


def test_two_options_cannot_name_one_file(desk: Desk) -> None:
    path = desk.root / "sheet.png"
    done = desk.call("synth", "--grid", path, "--toggles", str(path), others=FILES["synth", "--toggles"])
    assert done.exit_code == 2
    assert "writes the same file" in done.output
    assert not path.exists()


def test_a_partial_file_of_the_users_stays(desk: Desk) -> None:
    mine = desk.root / "sheet.png.partial"
    mine.write_bytes(b"mine")
    assert desk.call("preview", "--out", desk.root / "sheet.png").exit_code == 0
    assert mine.read_bytes() == b"mine"


def test_sheets_say_which_command_drew_them(desk: Desk) -> None:
    for command, option in (("preview", "--out"), ("synth", "--grid"), ("synth", "--toggles")):
        path = desk.root / f"{option}.png"
        assert desk.call(command, option, path).exit_code == 0
        with Image.open(path) as sheet:
            assert sheet.info["Software"].startswith(f"faceaug {command}")
