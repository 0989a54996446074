from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.clean.cache import Cache
from faceaug.clean.face_checks import check_faces
from faceaug.clean.faults import FaceChecking
from faceaug.clean.signatures import content_digest
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.draws import stream
from faceaug.errors import ArgumentError, RefusedError
from faceaug.executor import open_crew
from faceaug.synthesize import SyntheticFaceSource
from tests.clean.zoo import age_folders, celeba, names, tree, write
from tests.faces.photos import faces

ALL = CleanPolicy(max_remove=1, near=False)
BLURRED, TURNED, EMPTY = "000007.jpg", "000008.jpg", "000009.jpg"


@cache
def pictures() -> dict[str, bytes]:
    """Nine pictures: six good faces, a blurred one, one that stands on its head, and noise."""
    blurred = cv2.GaussianBlur(faces()[6], (0, 0), 1.5)
    noise = stream(0, slot="tests/noise").integers(0, 256, (64, 64, 3)).astype(np.uint8)
    shown: list[Image8] = [*faces()[:6], blurred, np.ascontiguousarray(faces()[7][::-1, ::-1]), noise]
    return {f"{k:06d}.jpg": encode_jpeg(image) for k, image in enumerate(shown, start=1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return celeba(tmp_path / "celeba", pictures(), known=9)


def found(report: object) -> dict[str, tuple[str, ...]]:
    checks = getattr(report, "checks")  # noqa: B009
    return {Path(picture.name).name: picture.faults for picture in checks.faulty}


def test_faults_are_found_and_reported_and_every_picture_stays(folder: Path) -> None:
    before = tree(folder)
    report = clean_folder(folder, ALL, faces=True)
    assert found(report) == {BLURRED: ("blurred",), TURNED: ("upside-down",), EMPTY: ("no-face",)}
    assert (report.set_aside, report.cleaned, report.run) == ((), 9, None)
    assert tree(folder) == before
    assert report.checks is not None
    assert (report.checks.pictures, report.checks.faces, report.checks.calibrated) == (9, 8, False)


def test_a_clean_that_only_finds_faults_writes_its_report(folder: Path) -> None:
    report = clean_folder(folder, ALL, faces=True)
    assert Path(report.page) == folder / ".faceaug" / "runs" / "faces" / "report.html"
    page = Path(report.page).read_text("utf-8")
    assert "the face stands on its head" in page
    assert '"tags":["blurred","no-face","upside-down"]' in page
    document = json.loads((folder / ".faceaug" / "runs" / "faces" / "report.json").read_bytes())
    assert document["checks"]["counts"] == {"no-face": 1, "upside-down": 1, "blurred": 1}


def test_pictures_with_chosen_faults_are_set_aside_and_undo_gives_them_back(folder: Path) -> None:
    before = tree(folder)
    plan = clean_folder(folder, ALL, set_aside=("blurred", "no-face"), dry_run=True)
    assert tree(folder) == before
    report = clean_folder(folder, ALL, set_aside=("blurred", "no-face"))
    assert [(Path(entry.name).name, entry.kind) for entry in report.set_aside] == [
        (BLURRED, "blurred"),
        (EMPTY, "no-face"),
    ]
    assert (plan.set_aside, plan.checks, plan.counts()) == (report.set_aside, report.checks, report.counts())
    assert report.counts()["faulty"] == 2
    assert names(folder) == [f"{k:06d}.jpg" for k in [*range(1, 7), 8]]
    assert report.rows_without_file == {"list_eval_partition.txt": 2}
    assert found(clean_folder(folder, ALL, set_aside=("blurred", "no-face"))) == {TURNED: ("upside-down",)}
    undo_clean(folder)
    assert tree(folder) == before


def test_the_summary_names_what_leaves_what_stays_and_the_counts(folder: Path) -> None:
    lines = clean_folder(folder, ALL, set_aside=("blurred",)).summary().splitlines()
    assert any("000007.jpg  -> set aside, blurred: fine detail 0." in line for line in lines)
    assert any("000008.jpg  upside-down: the face is turned by 1" in line for line in lines)
    assert "faces: 8 of 9 pictures show one; faults: no-face 1, upside-down 1, blurred 1" in lines


def test_the_table_has_a_row_for_each_fault(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(clean_folder(folder, ALL, faces=True, dry_run=True).to_csv().decode())))
    assert [(Path(row["file"]).name, row["what"]) for row in rows] == [
        (BLURRED, "fault: blurred"),
        (TURNED, "fault: upside-down"),
        (EMPTY, "fault: no-face"),
    ]


def test_a_copy_leaves_them_out_with_tables_in_step(folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    report = clean_folder(folder, ALL, set_aside=("no-face",), out=tmp_path / "copy")
    assert tree(folder) == before
    assert EMPTY not in names(tmp_path / "copy")
    assert EMPTY not in (tmp_path / "copy" / "list_eval_partition.txt").read_text()
    assert "left out" in Path(report.page).read_text("utf-8")


def test_the_result_is_the_same_for_any_number_of_workers(folder: Path) -> None:
    alone, together = (clean_folder(folder, ALL, faces=True, dry_run=True, workers=n) for n in (1, 2))
    assert alone.checks == together.checks


def test_a_second_run_measures_only_what_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clean_folder(folder, ALL, faces=True, workers=1)
    seen: list[str] = []
    from faceaug.clean import face_checks

    known = face_checks.read_face_look

    def look(path: str) -> tuple[str, bytes]:
        seen.append(Path(path).name)
        return known(path)

    monkeypatch.setattr(face_checks, "read_face_look", look)
    write(folder / "img_align_celeba" / "000010.jpg", encode_jpeg(faces()[7]))
    second = clean_folder(folder, ALL, faces=True, workers=1)
    assert seen == ["000010.jpg"]
    assert found(second) == found(first)


def test_a_run_that_was_stopped_goes_on_from_what_it_has_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceaug.clean import face_checks

    known = face_checks.read_face_look
    seen: list[str] = []

    def look(path: str) -> tuple[str, bytes]:
        seen.append(Path(path).name)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return known(path)

    monkeypatch.setattr(face_checks, "_BATCH", 2)
    monkeypatch.setattr(face_checks, "read_face_look", look)
    with pytest.raises(BaseException, match="stopped"):
        clean_folder(folder, ALL, faces=True, workers=1)
    clean_folder(folder, ALL, faces=True, workers=1)
    assert len(seen) == 6 + 9 - 4  # two batches were kept


def test_a_protected_picture_stays_whatever_its_faults(folder: Path) -> None:
    report = clean_folder(
        folder, CleanPolicy(max_remove=1, protect=(f"*/{EMPTY}",), near=False), set_aside=("no-face", "blurred")
    )
    assert report.left == ((f"img_align_celeba/{EMPTY}", "no-face: no face was found; protected"),)
    assert [Path(entry.name).name for entry in report.set_aside] == [BLURRED]


def test_a_picture_that_the_metadata_names_stays_in_place_and_leaves_in_a_copy(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name, data in pictures().items():
        write(root / name, data)
    write(root / "metadata.csv", "".join(["file_name,x\n", *(f"{name},1\n" for name in pictures())]).encode())
    report = clean_folder(root, ALL, set_aside=("no-face",))
    assert report.set_aside == ()
    assert report.left == ((EMPTY, "no-face: no face was found; it stays because the metadata names it"),)
    clean_folder(root, ALL, set_aside=("no-face",), out=tmp_path / "copy")
    assert EMPTY not in (tmp_path / "copy" / "metadata.csv").read_text()


def test_more_faults_than_allowed_change_nothing(folder: Path) -> None:
    before = tree(folder)
    with pytest.raises(RefusedError, match="3 of 9 pictures would be set aside"):
        clean_folder(folder, CleanPolicy(near=False), set_aside=("no-face", "blurred", "upside-down"))
    assert tree(folder) == before


def test_a_duplicate_whose_original_has_a_fault_leaves_with_it(folder: Path) -> None:
    write(folder / "img_align_celeba" / "000008 (1).jpg", pictures()[TURNED])
    age_folders(folder)
    before = tree(folder)
    report = clean_folder(folder, ALL, set_aside=("upside-down",))
    assert report.kinds() == {"same bytes": 1, "upside-down": 1}
    assert (report.left, report.checks.pictures if report.checks else 0) == ((), 9)  # a copy is not checked again
    assert TURNED not in names(folder)
    assert "has a fault" in Path(report.page).read_text("utf-8")
    undo_clean(folder)
    assert tree(folder) == before


def test_a_good_copy_stays_in_place_of_an_original_with_a_fault(tmp_path: Path) -> None:
    made = SyntheticFaceSource("faces-64", seed=5).generate(26).permute(0, 2, 3, 1).numpy()
    shown = {f"{k:06d}.jpg": encode_jpeg(image) for k, image in enumerate(made[1:], start=2)}
    noise = stream(0, slot="tests/detail").normal(0, 12, (640, 640, 1))
    large = np.clip(cv2.resize(made[0], (640, 640), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)
    folder = celeba(tmp_path / "celeba", {"000001.jpg": encode_jpeg(large)} | shown, known=26)
    write(
        folder / "img_align_celeba" / "small.png", encode_png(cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA))
    )
    as_copies = clean_folder(folder, dry_run=True)
    assert [(entry.kind, entry.keeper[-10:]) for entry in as_copies.set_aside] == [("same photo", "000001.jpg")]
    report = clean_folder(folder, set_aside=("odd-size",))
    assert [(entry.kind, entry.name[-10:]) for entry in report.set_aside] == [("odd-size", "000001.jpg")]


def test_a_picture_with_a_fault_keeps_the_damaged_name_that_undo_gives_back(folder: Path) -> None:
    (folder / "img_align_celeba" / EMPTY).rename(folder / "img_align_celeba" / "00009.jpg")
    age_folders(folder)
    before = tree(folder)
    staying = clean_folder(folder, ALL, faces=True, dry_run=True)
    assert EMPTY in found(staying)
    report = clean_folder(folder, ALL, set_aside=("no-face",))
    assert (report.renames, [entry.name for entry in report.set_aside]) == ((), ["img_align_celeba/00009.jpg"])
    assert "00009.jpg" in found(report)
    undo_clean(folder)
    assert tree(folder) == before


def test_a_fault_that_does_not_exist_is_an_error_before_anything_is_read(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="'blury': expected one of"):
        clean_folder(folder, set_aside=("blury",))  # type: ignore[arg-type]


def test_a_picture_that_changes_or_vanishes_before_its_turn_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(faces()[0]))
    (tmp_path / "b.png").write_bytes(encode_png(faces()[1]))
    digest = content_digest((tmp_path / "a.png").read_bytes())
    contents = {"a.png": digest, "b.png": "its former digest", "gone.png": "01"}
    with open_crew(1) as crew:
        checked = check_faces(tmp_path, contents, FaceChecking(), crew=crew, cache=Cache(None))
    assert checked.checks.pictures == 1
    assert checked.notes == ("2 pictures changed before the checks of faces (b.png, gone.png)",)


def test_the_search_is_a_phase_of_its_own(folder: Path) -> None:
    phases: list[str] = []
    clean_folder(folder, ALL, faces=True, dry_run=True, progress=lambda phase, *_: phases.append(phase))
    assert "finding faces" in phases


def test_a_plain_clean_says_nothing_of_faces_and_does_not_load_the_finder(folder: Path) -> None:
    report = clean_folder(folder, ALL, dry_run=True)
    assert report.checks is None
    assert "checks" not in report.to_json()
    assert "faulty" not in report.counts()
    code = (
        "import sys; from faceaug import clean_folder; clean_folder(sys.argv[1], dry_run=True, workers=1);"
        "print(sorted(name for name in sys.modules if name.startswith('faceaug.faces')))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_checking_faces_never_loads_torch(folder: Path) -> None:
    code = (
        "import sys; from faceaug import clean_folder; clean_folder(sys.argv[1], faces=True, dry_run=True, workers=1);"
        "print('torch' in sys.modules, 'faceaug.faces.finder' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
