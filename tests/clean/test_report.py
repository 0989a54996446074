from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceaug.clean import CleanPolicy, clean_folder
from faceaug.clean.conflicts import conflicts_csv, propose
from faceaug.clean.names import Rename, Unclear
from faceaug.clean.report import CleanReport, Conflict, SetAside
from faceaug.clean.tiers import DuplicateGroup, Leak, LookAlike, Member, Thresholds
from faceaug.clean.verify import PairEvidence
from faceaug.data.annotations import ATTRIBUTES, unknown
from faceaug.reports.shell import table_cell
from tests.clean.tables import write_tables
from tests.clean.zoo import good, jpeg, messy, write

PROOF = PairEvidence(0.99, 0.97, 0.8, 0.9, 0.99, 12.0, 1.0, 1.0, 0.0)


def full(folder: Path) -> CleanReport:
    for name, data in good(*range(1, 9)).items():
        write(folder / name, data)
    return CleanReport(
        folder=str(folder),
        run=None,
        dry_run=True,
        original=9,
        cleaned=7,
        renames=(Rename("00004.jpg", "000004.jpg"),),
        set_aside=(
            SetAside("000002.jpg", "same photo", "shows the same photo as 000001.jpg", "000001.jpg"),
            SetAside("torn.jpg", "unreadable", "is cut off"),
        ),
        unclear=(Unclear("00012.jpg", ("000012.jpg", "000120.jpg"), "several numbers fit", "000012.jpg: by time"),),
        conflicts=(Conflict("000002.jpg", "000001.jpg", "identity 5 and 6"),),
        left=(("<b>.jpg", "is a symbolic link"),),
        rows_without_file={},
        notes=("a note",),
        groups=(DuplicateGroup("000001.jpg", (Member("000002.jpg", "same photo", 4, PROOF),)),),
        mirrored=(LookAlike("000003.jpg", "000004.jpg", "mirrored", 2, PROOF),),
        bursts=(LookAlike("000005.jpg", "000006.jpg", "burst", 9, PROOF),),
        leaks=(Leak("000002.jpg", "train", "000001.jpg", "test", "same photo"),),
        thresholds=Thresholds(14, 0.9, 0.5, 0.4, 0.5, 0.6, 0.2, 0.99, 120, 40, 3000),
        histogram=(0, 1, 0, 4, 30, 200),
    )


def chunks(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="(faces-[^"]*)">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def test_the_page_holds_everything_and_needs_nothing_else(tmp_path: Path) -> None:
    page = full(tmp_path / "faces").to_html()
    assert not re.findall(r'(?:src|href)\s*=\s*"?(?!data:)https?:', page)
    assert "http" not in page.replace("http-equiv", "")
    assert "&lt;b&gt;.jpg" in page
    for text in (
        "a note",
        "wrong removals expected",
        "one photo in two partitions",
        "000012.jpg: by time",
        "is cut off",
    ):
        assert text in page
    assert "block" not in re.sub("<(style|script).*?</", "", page, flags=re.DOTALL)  # no word of ours
    data = chunks(page)
    assert data["faces-index"]["tags"] == [
        "across partitions",
        "different photos, stay",
        "mirror images, stay",
        "same photo",
        "tables disagree",
    ]
    (keeper, copy) = data["faces-0"][0][1]
    assert (keeper[0], keeper[3:]) == ("000001.jpg", [1, "stays"])
    assert (copy[0], copy[3:]) == ("000002.jpg", [0, "would be set aside"])
    assert copy[2] == [
        "same photo: the details agree to 97%, anywhere in the face to 80% or more, the colours to 99%",
        "tables disagree: identity 5 and 6",
        "in train, 000001.jpg in test",
    ]
    assert all(picture[1] for group in data["faces-0"] for picture in group[1] if picture[0] != "000004.jpg")


def test_the_table_has_a_row_for_every_finding(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(full(tmp_path / "faces").to_csv().decode())))
    assert [(row["file"], row["what"]) for row in rows] == [
        ("00004.jpg", "renamed"),
        ("000002.jpg", "set aside: same photo"),
        ("torn.jpg", "set aside: unreadable"),
        ("000003.jpg", "stays"),
        ("000005.jpg", "stays"),
        ("000002.jpg", "leak"),
        ("00012.jpg", "name unclear"),
        ("<b>.jpg", "left alone"),
    ]
    assert (rows[1]["bits"], rows[1]["detail"], rows[1]["other_file"]) == ("4", "0.97", "000001.jpg")
    assert json.loads(json.dumps(full(tmp_path / "faces").to_json()))["groups"][0]["members"][0]["distance"] == 4


def test_a_report_without_a_move_does_not_tell_of_its_group(tmp_path: Path) -> None:
    report = full(tmp_path / "faces").without({"000002.jpg": "its new name is taken"})
    assert (report.groups, report.conflicts, report.near_duplicates) == ((), (), 0)


def test_pictures_are_shown_from_where_a_run_put_them(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    report = clean_folder(folder)
    shown = [picture for group in chunks(report.to_html())["faces-0"] for picture in group[1]]
    assert len(shown) == 4
    assert all(picture[1] for picture in shown)
    files = sorted(path.name for path in (folder / ".faceaug" / "runs" / "0001").iterdir())
    assert files == ["report.csv", "report.html", "report.json"]


def test_most_rows_decide_a_proposal_and_ties_propose_nothing() -> None:
    known = unknown(4)
    known.identity[:] = [7, 8, 8, -1]
    known.partition[:] = [2, 0, 0, -1]
    known.attributes[:, 3] = [1, -1, 0, 0]
    found = propose(known, [(0, 1, 2, 3)], ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    assert [(p.field, p.proposal, p.votes, p.of) for p in found] == [
        ("identity", "8", 2, 3),
        ("partition", "", 2, 3),
        (ATTRIBUTES[3], "", 1, 2),
    ]
    rows = list(csv.reader(io.StringIO(conflicts_csv(found).decode())))
    assert rows[0] == ["keeper", "file", "stays", "field", "value", "proposal", "votes", "of"]
    assert rows[1] == ["a.jpg", "a.jpg", "yes", "identity", "7", "8", "2", "3"]
    assert rows[4] == ["a.jpg", "d.jpg", "no", "identity", "", "8", "2", "3"]
    assert propose(known, [(0,), (1, 2)], ["a", "b", "c", "d"]) == []


def test_conflicts_are_written_where_there_are_some(tmp_path: Path) -> None:
    folder = tmp_path / "celeba"
    for name, data in (good(1, 2, 3) | {"000004.jpg": jpeg(1), "000005.jpg": jpeg(1)}).items():
        write(folder / "img_align_celeba" / name, data)
    write_tables(folder, [f"{k:06d}.jpg" for k in range(1, 6)], partition={f"{k:06d}.jpg": 0 for k in range(1, 6)})
    (folder / "identity_CelebA.txt").write_text("".join(f"{k:06d}.jpg {9 if k > 3 else 8}\n" for k in range(1, 6)))
    report = clean_folder(folder, CleanPolicy(max_remove=0.5))
    found = (folder / ".faceaug" / "runs" / "0001" / "conflicts.csv").read_text().splitlines()
    keeper = "img_align_celeba/000001.jpg"
    assert found[1] == f"{keeper},{keeper},yes,identity,8,9,2,3"
    assert {proposal.field for proposal in report.proposals} == {
        "identity",
        *(ATTRIBUTES[k] for k in np.flatnonzero([1, 0, 1] + [0] * 37)),
    }


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\uff1d"])
def test_no_cell_of_a_table_is_computed_by_a_spreadsheet(tmp_path: Path, first: str) -> None:
    for k in range(6):
        write(tmp_path / "faces" / f"{k}.jpg", jpeg(k))
    odd = f"{first}cmd('x').jpg"
    write(tmp_path / "faces" / odd, jpeg(0))
    report = clean_folder(tmp_path / "faces", dry_run=True)
    assert report.byte_duplicates == 1
    rows = list(csv.DictReader(io.StringIO(report.to_csv().decode())))
    assert any(f"'{odd}" in row.values() for row in rows)
    assert not any(cell.startswith(first) for row in rows for cell in row.values())


def test_numbers_in_a_table_stay_numbers() -> None:
    cells = [-0.5, "-1", "+2.5e-3", "-1+1", "plain", None, ""]
    assert [table_cell(cell) for cell in cells] == [-0.5, "-1", "+2.5e-3", "'-1+1", "plain", None, ""]
