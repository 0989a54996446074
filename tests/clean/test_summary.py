from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from faceaug.clean import CleanPolicy, SetAside, clean_folder
from faceaug.clean.names import Rename
from tests.clean.zoo import celeba, good, jpeg, messy, write

FAST = CleanPolicy(near=False, max_remove=1.0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_pair_names_the_picture_that_leaves_and_the_one_that_stays_in_two_columns(here: Path) -> None:
    lines = clean_folder(messy(here / "celeba"), FAST).summary().splitlines()
    start = lines.index("set aside: 4")
    assert lines[start + 1 : start + 5] == [
        "  img_align_celeba/000026.jpg      -> set aside, unreadable: a damaged JPEG: a marker is missing",
        "  img_align_celeba/000027.jpg      -> set aside, unreadable: empty",
        "  img_align_celeba/000003 (1).jpg  -> set aside, same bytes as img_align_celeba/000003.jpg",
        "  img_align_celeba/000025.jpg      -> set aside, same bytes as img_align_celeba/000005.jpg",
    ]


def test_a_clean_says_where_its_report_lies_and_the_exact_command_that_undoes_it(here: Path) -> None:
    messy(here / "my faces")
    report = clean_folder("my faces", FAST)
    assert report.page == "my faces/.faceaug/runs/0001/report.html"
    assert Path(report.page).is_file()
    assert report.summary().splitlines()[-2:] == [f"report: {report.page}", "undo:   faceaug undo 'my faces'"]
    assert report.to_json()["page"] == report.page


def test_a_folder_whose_name_looks_like_an_option_is_undone_by_the_command_shown(here: Path) -> None:
    messy(here / "-x")
    assert clean_folder("-x", FAST).summary().splitlines()[-1] == "undo:   faceaug undo ./-x"


def test_the_report_of_class_folders_is_named_where_it_lies(here: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        write(here / "classes" / name, jpeg(7))
    report = clean_folder("classes", FAST)
    assert report.page == ".classes.faceaug/runs/0001/report.html"
    assert Path(report.page).is_file()
    shutil.rmtree(".classes.faceaug")
    write(here / "classes" / "b" / "4.jpg", jpeg(7))
    os.chdir("classes")
    assert Path(clean_folder(".", FAST).page).is_file()


def test_the_numbers_hold_nothing_that_cleaning_does_not_do(here: Path) -> None:
    report = clean_folder(messy(here / "celeba"), FAST)
    assert not {"augmented", "synthetic", "original"} & {name for name, _ in report.sizes()}
    before, gone, *_, after = report.sizes()
    assert before[1] - gone[1] == after[1] == report.cleaned


def test_a_plan_says_what_would_happen_and_offers_no_undo(here: Path) -> None:
    text = clean_folder(messy(here / "celeba"), FAST, dry_run=True).summary()
    assert text.startswith(f"{here / 'celeba'}: a plan; nothing was changed")
    assert "-> would be set aside, same bytes as" in text
    assert "names to repair: 3" in text
    assert text.endswith("run the same without --dry-run to do this; it can be undone")
    assert "faceaug undo" not in text
    assert "report:" not in text


def test_a_copy_says_what_it_leaves_out_and_that_the_folder_is_as_it_was(here: Path) -> None:
    messy(here / "celeba")
    plan = clean_folder("celeba", FAST, dry_run=True, out="copy").summary()
    assert "-> would be left out, same bytes as" in plan
    assert "undo" not in plan
    text = clean_folder("celeba", FAST, out="copy").summary()
    assert "cleaned copy in copy; the folder itself is unchanged" in text
    assert "-> left out, same bytes as" in text
    assert text.endswith("report: copy/.faceaug/runs/copy/report.html")
    assert "undo" not in text


def test_a_clean_folder_is_one_line(here: Path) -> None:
    for name, data in good(1, 2, 3).items():
        write(here / "flat" / name, data)
    report = clean_folder("flat", FAST)
    assert report.summary() == "flat: nothing to repair and nothing to set aside among 3 pictures"


def test_only_the_first_ten_are_named_and_all_on_request(here: Path) -> None:
    files = good(1) | {f"{k:06d}.jpg": jpeg(1) for k in range(2, 15)}
    report = clean_folder(celeba(here / "celeba", files), FAST, dry_run=True)
    short, full = report.summary(), report.summary(verbose=True)
    assert short.count("-> would be set aside") == 10
    assert "  ... and 3 more (-v shows all)" in short
    assert full.count("-> would be set aside") == 13
    assert "more (-v" not in full


def test_the_least_certain_duplicates_come_first(here: Path) -> None:
    report = clean_folder(messy(here / "celeba"), FAST)
    near = replace(report, set_aside=(*report.set_aside, SetAside("z.jpg", "same photo", "shows", "a.jpg")))
    lines = near.summary().splitlines()
    assert "z.jpg" in lines[lines.index("set aside: 5") + 1]


def test_tables_that_lack_the_same_rows_share_a_line(here: Path) -> None:
    report = replace(clean_folder(messy(here / "celeba"), FAST), rows_without_file={"a.txt": 4, "b.txt": 4, "c.txt": 1})
    text = report.summary()
    assert "a.txt, b.txt: 4 rows have no picture\n" in text
    assert "c.txt: 1 row has no picture\n" in text


def test_names_with_control_characters_cannot_break_a_line(here: Path) -> None:
    report = clean_folder(messy(here / "celeba"), FAST)
    odd = replace(report, renames=(Rename("a\nb.jpg", "c\x1b.jpg"),))
    assert r"a\nb.jpg  -> c\x1b.jpg" in odd.summary()


@pytest.mark.parametrize("kind", ["files", "folder"])
def test_links_are_told_of_once_with_an_example(here: Path, kind: str) -> None:
    write(here / "flat" / "000001.jpg", jpeg(1))
    (here / "real").mkdir()
    for k in range(1 if kind == "folder" else 30):
        (here / "flat" / f"link{k:02d}.jpg").symlink_to(here / "real")
    report = clean_folder("flat", FAST, dry_run=True)
    text = report.summary(verbose=True)
    assert text.count("link00.jpg") == 1
    assert f"link00.jpg leads to {here / 'real'}" in text
    assert "not followed" in text
    assert len(report.left) == (1 if kind == "folder" else 30)
