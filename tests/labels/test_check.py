from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from faceaug import FaceFolder, RefusedError, SyntheticFaceSource, check_labels
from faceaug.data.marks import PROPOSALS
from faceaug.errors import ArgumentError
from faceaug.labels import LabelReport, disagreements
from tests.conftest import picture, write_celeba

pytest.importorskip("cleanlab")
pytestmark = pytest.mark.usefixtures("one_thread")
FLIPPED = 4


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated faces; the first have another sex in the table, and names that a spreadsheet would compute."""
    folder = tmp_path_factory.mktemp("labels") / "faces"
    SyntheticFaceSource("faces-64", seed=0).save(folder, 100)
    with (folder / "metadata.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows[:FLIPPED]:
        row["Male"] = str(-int(row["Male"]))
        (folder / row["file_name"]).rename(folder / f"={row['file_name']}")
        row["file_name"] = f"={row['file_name']}"
    rows[9]["Male"] = ""
    with (folder / "metadata.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def report(faces: Path) -> LabelReport:
    return check_labels(faces, ["Smiling", "Male", "Bald"], progress=False)


def test_flipped_labels_are_found_and_nothing_is_changed(faces: Path, report: LabelReport) -> None:
    first = {proposal.name for proposal in report.of("Male")[: 3 * FLIPPED]}
    assert len(first & {f"=00000{k}.png" for k in range(FLIPPED)}) >= FLIPPED - 1
    assert not (faces / "label-proposals.csv").exists()
    assert report.pictures == 100
    assert report.classifier == "attributes-64"


def test_attributes_are_checked_in_the_order_of_the_tables_and_rare_ones_skipped(report: LabelReport) -> None:
    assert [one.attribute for one in report.attributes] == ["Male", "Smiling"]
    assert [one.attribute for one in report.skipped] == ["Bald"]
    assert report.attributes[0].known == 99


def test_the_table_of_proposals_is_guarded_against_formulas(report: LabelReport) -> None:
    data = report.to_csv()
    assert PROPOSALS.is_ours(data)
    rows = list(csv.DictReader(data.decode().splitlines()))
    assert len(rows) == len(report.proposals)
    assert all(row["file_name"].startswith(("'=", "0")) for row in rows)
    assert {row["given"] for row in rows} <= {"1", "-1"}
    assert {row["attribute"] for row in rows} <= {"Male", "Smiling"}


def test_text_json_and_page_agree(report: LabelReport) -> None:
    document = json.loads(json.dumps(report.to_json()))
    assert len(document["proposals"]) == len(report.proposals)
    assert document["skipped"]["Bald"] == report.skipped[0].why
    assert f"labels: {len(report.proposals)} labels in doubt among 100 pictures" in report.summary()
    page = report.to_html(progress=False)
    assert f"Male: {report.attributes[0].proposals} labels in doubt" in page
    assert page.count("<img ") == len(report.proposals[:24]) or len(report.proposals) > 24
    assert report.correlations.pairs[0].other in page


def test_the_same_folder_gives_the_same_report(faces: Path, report: LabelReport) -> None:
    assert check_labels(faces, ["Male"], progress=False).of("Male") == report.of("Male")


def test_an_unreadable_picture_is_named_and_the_rest_checked(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path / "faces", [picture(k, height=40, width=40) for k in range(12)])
    (folder / "img_align_celeba" / "000003.png").write_bytes(b"no picture")
    found = check_labels(folder, progress=False)
    assert len(found.unreadable) == 1
    assert "000003.png" in found.unreadable[0]
    assert len(found.skipped) == 40
    assert found.people is not None
    assert any("train rows" in note for note in found.notes)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path / "faces", [picture(1)])
    for table in folder.glob("*.txt"):
        table.unlink()
    with pytest.raises(RefusedError, match="no picture has a label of an attribute or an identity"):
        check_labels(folder)


def test_an_unknown_attribute_and_a_missing_model_are_refused(celeba_folder: FaceFolder, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="unknown attribute 'Cat'"):
        check_labels(celeba_folder, ["Cat"])
    with pytest.raises(ArgumentError, match=r"face\.onnx: no such file"):
        check_labels(celeba_folder, embedding=tmp_path / "face.onnx")


def test_without_cleanlab_the_extra_is_named(celeba_folder: FaceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cleanlab.filter", None)
    with pytest.raises(ArgumentError, match="python -m pip install 'faceaug"):
        check_labels(celeba_folder)
    assert "faceaug[labels]" in disagreements.MISSING
