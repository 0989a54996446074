"""Two folders of pictures compared with each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceaug import FaceFolder, SyntheticFaceSource, evaluate_source
from faceaug.data.image import Image8, encode_png
from faceaug.errors import ArgumentError, RefusedError
from faceaug.evaluate import EvaluationReport, evaluate_memorisation, evaluate_usefulness, evaluation
from tests.conftest import write_celeba
from tests.evaluate.test_evaluation import Filters

pytestmark = pytest.mark.usefixtures("one_thread")


def faces(seed: int, n: int) -> list[Image8]:
    """Generated faces, uint8 (32, 32, 3)."""
    return list(SyntheticFaceSource("dcgan-32", seed=seed).generate(n).permute(0, 2, 3, 1).contiguous().numpy())


def write(folder: Path, pictures: list[Image8]) -> Path:
    folder.mkdir(parents=True)
    for k, picture in enumerate(pictures):
        (folder / f"{k:03d}.png").write_bytes(encode_png(picture))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("folders")
    write(place / "mine", faces(1, 30))
    write(place / "others", faces(2, 40))
    write_celeba(place / "celeba", faces(5, 120))
    return place


def compare(one: Any, other: Any, **options: Any) -> EvaluationReport:
    return evaluate_source(one, other, **{"extractor": Filters()} | options)


def test_the_pictures_of_a_folder_are_measured_against_those_of_another(place: Path) -> None:
    found = compare(place / "mine", place / "others")
    assert [(f.control, f.of, f.n, f.against, f.reference_n) for f in found.figures] == [
        (False, "faces of mine", 30, "faces of others", 40),
        (True, "faces of others", 20, "other faces of others", 20),
    ]
    document = json.loads(json.dumps(found.to_json()))
    assert document["figures"][0]["figure"] == (
        "Filters, crop square, 32 px (areas averaged down, cubic up), 30 faces of mine against 40 faces of others "
        "(others, rows all)"
    )
    assert (document["model"], document["source_folder"]) == ("mine", str(place / "mine"))
    assert not document["sha256"]
    for text in (found.summary(), found.to_html()):
        assert "faces of mine" in text
        assert not any(word in text for word in ("training", "generated", "unseen"))
    assert compare(str(place / "mine"), FaceFolder(place / "others")) == found


def test_folders_are_measured_as_the_generator_of_their_pictures_is(place: Path, tmp_path: Path) -> None:
    made = compare("dcgan-32", place / "celeba", n=40, seed=6)
    saved = compare(write(tmp_path / "saved", faces(6, 40)), place / "celeba", n=40, seed=6)
    assert [f.against for f in saved.figures[:2]] == ["train faces of celeba"] * 2
    for one, other in zip(made.figures, saved.figures, strict=True):
        assert one.frechet == other.frechet
        assert one.kernel == other.kernel
        assert (one.precision, one.recall, one.density, one.coverage) == (
            other.precision, other.recall, other.density, other.coverage,
        )  # fmt: skip
    assert made.memorisation == saved.memorisation
    assert made.attributes == saved.attributes


def test_a_folder_compared_with_itself_is_at_distance_0_and_noted(place: Path) -> None:
    found = compare(place / "mine", place / "mine")
    assert found.figures[0].frechet == pytest.approx(0, abs=1e-6)
    assert found.figures[0].recall == 1
    assert len(found.memorisation.copies) == 30
    assert found.notes[0] == "both folders are the same one"
    assert found.figures[0].of != found.figures[0].against


def test_copies_of_the_other_folder_are_found_by_name(place: Path, tmp_path: Path) -> None:
    mixed = write(tmp_path / "mixed", faces(1, 20))
    shutil.copy(place / "others" / "007.png", mixed / "zz.png")
    found = evaluate_memorisation(mixed, place / "others", extractor=Filters())
    assert found.memorisation.copies == ((20, "007.png", False),)
    assert found.memorisation.files == ("zz.png",)
    assert "zz.png copies 007.png" in found.summary()
    (copy,) = found.to_json()["memorisation"]["copies"]
    assert copy == {"face": 20, "picture": "zz.png", "training_picture": "007.png", "mirrored": False}
    assert "copies of faces of others: 1 of 21" in found.summary()
    assert "Copies of faces of others" in found.to_html()


def test_pictures_of_other_sizes_are_cut_and_resized_to_the_smallest_and_noted(place: Path, tmp_path: Path) -> None:
    tall = [np.pad(np.kron(face, np.ones((2, 2, 1), np.uint8)), ((8, 8), (0, 0), (0, 0))) for face in faces(1, 30)]
    found = compare(write(tmp_path / "tall", tall), place / "others")
    assert found.subject.size == 32
    assert "the pictures have 64 and 32 pixels; all were resized to 32, which affects the figures" in found.notes
    same = compare(place / "mine", place / "others")
    assert found.figures[0].frechet == same.figures[0].frechet  # each pixel doubled, then areas averaged
    assert compare(place / "mine", place / "others", size=16).subject.size == 16
    tight = compare(place / "mine", place / "others", crop="center140")
    assert (tight.subject.crop, tight.subject.size) == ("center140", 25)
    alone = f"crop center140 cuts the pictures of {place / 'others'} alone; those of {place / 'mine'} are their largest"
    assert [note for note in tight.notes if note.startswith(alone)]
    assert not any("alone" in note for note in same.notes)


def test_one_folder_is_cut_alike_on_both_sides(place: Path) -> None:
    found = compare(place / "mine", place / "mine", crop="center140")
    assert found.subject.size == 25
    assert found.figures[0].frechet == pytest.approx(0, abs=1e-6)
    assert not any("alone" in note for note in found.notes)


def test_pictures_that_lie_in_both_folders_are_counted(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "mine", tmp_path / "all" / "mine")
    write(tmp_path / "all" / "more", faces(2, 15))
    for one, other in ((tmp_path / "all", tmp_path / "all" / "mine"), (tmp_path / "all" / "mine", tmp_path / "all")):
        assert f"30 pictures of {one} are also in {other}" in compare(one, other).notes


def test_a_single_picture_that_lies_in_both_folders_is_told_in_the_singular(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "other", faces(2, 15))
    monkeypatch.setattr(evaluation, "shared_pictures", lambda folder, other: 1)
    notes = compare(place / "mine", tmp_path / "other").notes
    assert f"1 picture of {place / 'mine'} is also in {tmp_path / 'other'}" in notes


def test_large_pictures_are_read_at_the_size_of_the_extractor(tmp_path: Path) -> None:
    pictures = [np.asarray(Image.fromarray(face).resize((300, 300))) for face in faces(1, 12)]
    folder = write(tmp_path / "large", pictures)
    found = evaluate_memorisation(folder, folder, n=12)
    assert found.subject.size == 64
    assert found.to_json()["extractor_resize"] == "bilinear to 64 px"


def test_what_faceaug_wrote_is_measured_whatever_its_origin(place: Path, tmp_path: Path) -> None:
    SyntheticFaceSource("dcgan-32", seed=1).save(tmp_path / "synthetic", 30)
    found = compare(tmp_path / "synthetic", place / "others")
    assert found.figures[0].frechet == compare(place / "mine", place / "others").figures[0].frechet
    both = compare(place / "mine", tmp_path / "synthetic")
    assert both.figures[0].reference_n == 30
    assert any("no picture of" in note and "is marked as real; all were used" in note for note in both.notes)


def test_as_many_pictures_as_wanted_are_drawn(place: Path) -> None:
    found = compare(place / "mine", place / "others", n=12, real=15)
    assert (found.figures[0].n, found.figures[0].reference_n) == (12, 15)
    assert f"12 of 30 pictures of {place / 'mine'} were used, drawn at random" in found.notes
    assert "15 of 40 faces of others were used, drawn at random" in found.notes
    assert compare(place / "mine", place / "others", n=12, real=15) == found
    assert compare(place / "mine", place / "others", n=12, real=15, seed=1) != found


def test_folders_of_one_name_are_told_apart_by_their_paths(place: Path, tmp_path: Path) -> None:
    twin = write(tmp_path / "mine", faces(3, 12))
    found = compare(twin, place / "mine")
    assert (found.figures[0].of, found.figures[0].against) == (f"faces of {twin}", f"faces of {place / 'mine'}")


def test_unreadable_pictures_of_either_folder_are_named(place: Path, tmp_path: Path) -> None:
    for name in ("mine", "others"):
        shutil.copytree(place / name, tmp_path / name)
        (tmp_path / name / "003.png").write_bytes(b"torn")
    found = compare(tmp_path / "mine", tmp_path / "others")
    assert [Path(line.partition(":")[0]).parent.name for line in found.unreadable] == ["mine", "others"]
    assert (found.figures[0].n, found.figures[0].reference_n) == (29, 39)


def test_what_cannot_be_compared_is_refused_with_the_reason(place: Path, tmp_path: Path) -> None:
    few = write(tmp_path / "few", faces(1, 9))
    with pytest.raises(RefusedError, match="9 readable pictures, at least 10 are needed"):
        compare(few, place / "others")
    with pytest.raises(RefusedError, match="9 readable faces of few, at least 10 are needed"):
        compare(place / "others", few)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedError, match="nor is there a model"):
        compare(tmp_path / "empty", place / "others")
    with pytest.raises(ArgumentError, match="dcgan-32: a model, not a folder of pictures; the model comes first"):
        compare(place / "mine", "dcgan-32")
    with pytest.raises(ArgumentError, match="a folder of pictures; usefulness needs a generator"):
        evaluate_usefulness(FaceFolder(place / "mine"), place / "celeba")  # type: ignore[arg-type]
