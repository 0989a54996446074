from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from faceaug.cli import cli
from faceaug.data.folder import FaceFolder
from faceaug.errors import RefusedError
from faceaug.faces import aligned_face, check, landmarks_only
from tests.faces.stand_in import face_at, write_photos


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos whose faces the package's finder is made to know."""
    faces = {f"{k}.png": [face_at(300 + k, 260, 50)] for k in range(6)}
    finder = write_photos(tmp_path / "photos", faces | {"none.png": []})
    for module in (aligned_face, check, landmarks_only):
        monkeypatch.setattr(module, "own_finder", lambda *_: finder)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["align", *map(str, arguments)])


@pytest.mark.usefixtures("photos")
def test_photos_are_aligned_as_asked() -> None:
    done = run(
        "photos", "--out", "out", "--template", "arcface", "--size", "96x112", "--format", "jpg", "--workers", "1"
    )
    assert done.exit_code == 0, done.output
    assert "6 of 6 faces found in 7 photos: 96x112, template arcface" in done.output
    assert "photos without a face: 1 (none.png)" in done.output
    image, _ = FaceFolder("out")[0]
    assert image.shape == (112, 96, 3)


@pytest.mark.usefixtures("photos")
def test_the_document_has_the_report() -> None:
    done = run("photos", "--out", "out", "--json", "--size", "64", "--faces", "all", "--padding", "reflect")
    document = json.loads(done.stdout)
    assert document["options"] == {
        "template": "celeba", "size": "64x64", "faces": "all", "padding": "reflect", "min_eyes": 10.0, "format": "png",
    }  # fmt: skip
    assert document["aligned"] == 6
    assert run("photos", "--out", "more", "-q").output == ""


@pytest.mark.usefixtures("photos")
def test_a_folder_is_checked_without_an_output() -> None:
    assert run("photos", "--out", "out").exit_code == 0
    done = run("photos", "--check")
    assert done.exit_code == 0, done.output
    assert "6 faces in 7 pictures of 640x520: " in done.output
    document = json.loads(run("photos", "--check", "--json").stdout)
    assert document["faces"] == 6


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(("options", "says"), [
    ((), "expected one of --out OUT (write the faces aligned), --check"),
    (("--check", "--out", "out"), "--check writes nothing: leave out --out"),
    (("--check", "--only-landmarks"), "give one of them"),
])  # fmt: skip
def test_the_works_exclude_each_other(options: tuple[str, ...], says: str) -> None:
    done = run("photos", *options)
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


GIVEN = [
    ("--template", "celeba"), ("--size", "64"), ("--faces", "all"), ("--padding", "blur"), ("--min-eyes", "10"),
    ("--format", "jpg"),
]  # fmt: skip


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("work", ["--check", "--only-landmarks"])
def test_an_option_without_an_effect_is_refused(photos: Path, work: str, given: tuple[str, str]) -> None:
    done = run("photos", work, *given)
    assert done.exit_code == 2
    assert f"{given[0]} has no effect with {work}" in done.output
    assert not (photos / "landmarks.csv").exists()


@pytest.mark.usefixtures("photos")
def test_overwrite_is_for_the_table_alone() -> None:
    assert "--overwrite has no effect without --only-landmarks" in run("photos", "--out", "out", "--overwrite").output
    assert (
        "--size, --overwrite have no effect with --check"
        in run("photos", "--check", "--overwrite", "--size", "8").output
    )


def test_only_landmarks_are_added(photos: Path) -> None:
    done = run("photos", "--only-landmarks")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "landmarks of 6 of 7 pictures found" in done.output
    faces = FaceFolder("photos")
    assert np.isnan(faces.annotations.landmarks).all(axis=(1, 2)).tolist() == [False] * 6 + [True]
    (photos / "landmarks.csv").write_text("mine\n")
    assert isinstance(run("photos", "--only-landmarks").exception, RefusedError)
    assert run("photos", "--only-landmarks", "--overwrite", "--json").exit_code == 0
    again = run("photos", "--only-landmarks", "--out", "elsewhere.csv")
    assert again.exit_code == 0
    assert "there was nothing to write" in again.output
    assert not Path("elsewhere.csv").exists()


@pytest.mark.usefixtures("photos")
def test_a_finished_folder_is_not_written_again() -> None:
    assert run("photos", "--out", "out").exit_code == 0
    assert isinstance(run("photos", "--out", "out").exception, RefusedError)


def test_expand_takes_photos_and_aligns_them_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEAUG_CACHE", str(tmp_path / "cache"))
    words = ("expand", "photos", "--align", "arcface", "--copies", "0", "--synthetic", "0", "--partition", "all")
    done = CliRunner().invoke(cli, [*words, "--out", "one"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "6 aligned faces, in " in done.output
    [aligned] = (tmp_path / "cache" / "aligned").iterdir()
    before = (aligned / "align.json").stat().st_mtime_ns
    assert CliRunner().invoke(cli, [*words, "--out", "two"]).exit_code == 0
    assert (aligned / "align.json").stat().st_mtime_ns == before
    image, target = FaceFolder("two")[0]
    assert image.shape == (112, 112, 3)
    assert target["visible"].all()
    refused = CliRunner().invoke(cli, [*words, "--out", "photos/inside"])
    assert isinstance(refused.exception, RefusedError)
    assert not (photos / "inside").exists()


@pytest.mark.parametrize("command", ["expand", "train", "evaluate"])
def test_commands_that_read_faces_take_photos(command: str) -> None:
    assert "--align" in {word for option in cli.commands[command].params for word in option.opts}
