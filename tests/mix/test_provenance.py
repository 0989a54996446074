from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.data.image import encode_jpeg, encode_png
from faceaug.mix import ExpandReport, expand_dataset
from faceaug.mix.report import REASON_WORDS
from faceaug.synthesize import SyntheticFaceSource
from tests.mix.sources import Listed, pictures
from tests.mix.test_registration import faces, framed

__all__ = ["faces"]
EXACT = CleanPolicy(near=False, max_remove=1.0)


def folder_of(root: Path, count: int = 4) -> Path:
    root.mkdir(parents=True)
    for k, image in enumerate(pictures(count)):
        (root / f"{k}.png").write_bytes(encode_png(image))
    return root


def expanded(
    folder: Path, out: Path, *, size: int | None = None, format: Literal["png", "webdataset"] = "png"
) -> ExpandReport:
    return expand_dataset(folder, copies=1, synthetic=0, partition="all", size=size).save(out, format=format)


def notes_of(report: ExpandReport) -> str:
    return "\n".join(report.notes)


def test_a_folder_is_not_called_what_nobody_made_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "faces")
    report = expanded(folder, tmp_path / "out")
    assert dict(report.sizes) == {"original": 4, "real": 4, "augmented": 4, "synthetic": 0, "total": 8}
    assert report.cleaned is False
    assert report.notes == (
        f"no clean of {folder} is on record. To set duplicates and damaged files aside: faceaug clean {folder}",
    )
    text = report.summary()
    assert "in the folder  4" in text
    assert "cleaned" not in text
    assert "cleaned" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("dirty", [False, True])
def test_a_clean_stands_whether_or_not_it_found_something(tmp_path: Path, dirty: bool) -> None:
    folder = folder_of(tmp_path / "faces")
    if dirty:
        shutil.copy(folder / "0.png", folder / "9.png")
    clean_folder(folder, EXACT)
    report = expanded(folder, tmp_path / "out")
    assert (report.cleaned, report.notes) == (True, ())
    assert report.to_json()["cleaned"] is True


def test_a_cleaned_copy_counts_and_an_undone_clean_does_not(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "faces")
    shutil.copy(folder / "0.png", folder / "9.png")
    clean_folder(folder, EXACT, out=tmp_path / "copy")
    assert expanded(tmp_path / "copy", tmp_path / "a").notes == ()
    assert expanded(folder, tmp_path / "b").cleaned is False
    clean_folder(folder, EXACT)
    undo_clean(folder)
    report = expanded(folder, tmp_path / "c")
    assert report.cleaned is False
    assert "no clean of" in notes_of(report)


def test_a_refused_clean_and_a_plan_leave_a_folder_uncleaned(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "faces")
    shutil.copy(folder / "0.png", folder / "9.png")
    clean_folder(folder, EXACT, dry_run=True)
    with pytest.raises(Exception, match="more than the 1% allowed"):
        clean_folder(folder, CleanPolicy(near=False, max_remove=0.01))
    assert expanded(folder, tmp_path / "out").cleaned is False


def test_pictures_that_came_after_the_clean_are_counted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "faces")
    clean_folder(folder, EXACT)
    shutil.copy(folder / "0.png", folder / "8.png")
    note = notes_of(expanded(folder, tmp_path / "out"))
    assert f"1 picture was added to {folder} after it was cleaned" in note
    assert "1 real picture repeats another, pixel for pixel (8.png is the same as 0.png)" in note


@pytest.mark.parametrize("format", ["png", "webdataset"])
@pytest.mark.parametrize("size", [None, 32])
def test_duplicates_are_told_of_with_an_example_and_the_command(
    tmp_path: Path, format: Literal["png", "webdataset"], size: int | None
) -> None:
    folder = folder_of(tmp_path / "faces")
    shutil.copy(folder / "0.png", folder / "again.png")
    jpeg = encode_jpeg(pictures(6)[5])
    (folder / "a.jpg").write_bytes(jpeg)
    (folder / "b.jpg").write_bytes(jpeg + b"\0\0")  # other bytes, the same pixels
    report = expanded(folder, tmp_path / "out", size=size, format=format)
    assert report.repeated == (("again.png", "0.png"), ("b.jpg", "a.jpg"))
    assert len(report.notes) == 1
    assert (
        "2 real pictures repeat others, pixel for pixel (again.png is the same as 0.png, and 1 more)" in report.notes[0]
    )
    assert report.notes[0].endswith(f"faceaug clean {folder}")
    assert json.loads(json.dumps(report.to_json()))["repeated"][0] == ["again.png", "0.png"]


def test_augmented_copies_are_no_duplicates(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "faces")
    recipe = '[[transform]]\nname = "HorizontalFlip"\np = 0.0\n'
    (tmp_path / "recipe.toml").write_text(recipe)
    report = expand_dataset(
        folder, copies=3, synthetic=0, partition="all", recipe=tmp_path / "recipe.toml"
    ).save(tmp_path / "out")  # fmt: skip
    assert report.repeated == ()


def test_a_stopped_run_knows_the_duplicates_it_wrote_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceaug.mix import save

    folder = folder_of(tmp_path / "faces")
    shutil.copy(folder / "0.png", folder / "9.png")
    monkeypatch.setattr(save, "write_metadata", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        expanded(folder, tmp_path / "out")
    monkeypatch.undo()
    assert expanded(folder, tmp_path / "out").repeated == (("9.png", "0.png"),)


def test_what_faceaug_wrote_and_what_is_no_folder_is_not_sent_to_the_cleaner(tmp_path: Path) -> None:
    expanded(folder_of(tmp_path / "faces"), tmp_path / "out")
    assert "clean" not in notes_of(expanded(tmp_path / "out", tmp_path / "again"))
    listed = Listed([(image, 0) for image in pictures(3)])
    report = expand_dataset(listed, copies=0, synthetic=0, partition="all").save(tmp_path / "listed")
    assert (report.cleaned, report.notes) == (None, ())


def test_a_filter_that_refuses_many_faces_says_why_and_what_to_do(faces: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    for k, face in enumerate(framed(faces[:400], 0.75, 0.75)):
        (folder / f"{k:03d}.png").write_bytes(encode_png(face))
    dataset = expand_dataset(
        folder, copies=0, synthetic=60, partition="all", source=SyntheticFaceSource("dcgan-32", seed=9)
    )
    report = dataset.save(tmp_path / "out")
    first, why, cut, *ways = report.refusal()
    assert "of the generated faces look unlike your pictures" in first
    assert report.registration is not None
    assert report.registration.width == pytest.approx(0.75, rel=0.05)
    assert "The framing differs: in your pictures faces are 2" in why
    assert "narrower and 2" in why
    assert "Cropping your pictures to the middle 7" in cut
    assert f"faceaug train {folder} --init dcgan-32 --out RUN" in ways[0]
    assert "--synthetic 0" in ways[1]
    assert first in report.summary()
    assert "The framing differs" in (tmp_path / "out" / "report.html").read_text()
    assert report.to_json()["registration"]["width"] == report.registration.width
    assert REASON_WORDS["unrealistic"] in report.summary()


def test_a_filter_that_refuses_few_faces_says_nothing(faces: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    for k, face in enumerate(faces[:400]):
        (folder / f"{k:03d}.png").write_bytes(encode_png(face))
    dataset = expand_dataset(
        folder, copies=0, synthetic=60, partition="all", source=SyntheticFaceSource("dcgan-32", seed=9)
    )
    report = dataset.save(tmp_path / "out")
    assert (report.refusal(), report.registration) == ([], None)
