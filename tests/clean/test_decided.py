from __future__ import annotations

from pathlib import Path

import pytest

from faceaug.clean import CleanPolicy, Decisions, clean_folder, undo_clean
from faceaug.data.image import encode_jpeg, encode_png, read_image
from faceaug.errors import Interrupted, RefusedError
from faceaug.storage import journal as journal_module
from tests.clean.zoo import age_folders, celeba, contents, good, jpeg, names, tree, write
from tests.conftest import picture

ALL = CleanPolicy(max_remove=1)
HERE = "img_align_celeba/"


def folder_of(root: Path) -> Path:
    """Three groups: 1 and 13, 2 and 14, 3 with 15 and 16."""
    copies = {"000013.jpg": jpeg(1), "000014.jpg": jpeg(2), "000015.jpg": jpeg(3), "000016.jpg": jpeg(3)}
    return celeba(root, good(*range(1, 13)) | copies, known=16)


def decided(folder: Path) -> Decisions:
    """Swap the first group, release the second, keep the third."""
    plan = clean_folder(folder, ALL, dry_run=True)
    return plan.decisions().keep(f"{HERE}000013.jpg").release(f"{HERE}000002.jpg")


def test_one_group_is_swapped_one_released_and_one_kept_and_undo_gives_all_back(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    before, everything = tree(folder), contents(folder)
    decisions = decided(folder)
    assert decisions.counts() == {"keep": 1, "swap": 1, "release": 1}
    decisions.save(tmp_path / "decisions.json")
    report = clean_folder(folder, ALL, decisions=tmp_path / "decisions.json")
    gone = [(entry.name.removeprefix(HERE), entry.keeper.removeprefix(HERE)) for entry in report.set_aside]
    assert gone == [("000001.jpg", "000013.jpg"), ("000015.jpg", "000003.jpg"), ("000016.jpg", "000003.jpg")]
    assert names(folder) == [f"{k:06d}.jpg" for k in (*range(2, 15),)]
    assert contents(folder) == everything
    assert [note for note in report.notes if "decided" in note] == [
        f"you decided: in 1 group another picture stays ({HERE}000001.jpg)",
        f"you decided: in 1 group all pictures stay ({HERE}000002.jpg)",
    ]
    undo_clean(folder)
    assert tree(folder) == before


def test_a_plan_says_the_same_as_the_run(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    decisions = decided(folder)
    before = tree(folder)
    plan = clean_folder(folder, ALL, decisions=decisions, dry_run=True)
    assert tree(folder) == before
    assert plan.set_aside == clean_folder(folder, ALL, decisions=decisions).set_aside


def test_a_report_of_decisions_says_them_and_offers_no_others(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    decisions = decided(folder)
    plan = clean_folder(folder, ALL, dry_run=True)
    assert 'id="choices-document"' in plan.to_html()
    assert "decided" not in plan.to_json()
    report = clean_folder(folder, ALL, decisions=decisions)
    assert report.decisions() == decisions
    assert [group["decision"] for group in report.to_json()["decided"]] == ["swap", "release"]
    assert 'id="choices-document"' not in report.to_html()
    assert "faceaugDecide =" in plan.to_html()
    assert "faceaugDecide =" not in report.to_html()


def test_a_second_run_with_the_same_decisions_finds_nothing_to_do(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    decisions = decided(folder)
    clean_folder(folder, ALL, decisions=decisions)
    before = tree(folder)
    again = clean_folder(folder, ALL, decisions=decisions)
    assert (again.run, again.set_aside) == (None, ())
    assert tree(folder) == before


def test_a_stopped_run_goes_on_with_the_same_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "celeba")
    before = tree(folder)
    decisions = decided(folder)
    perform = journal_module.Journal._perform
    monkeypatch.setattr(journal_module, "GROUP", 1)

    def once(self: journal_module.Journal, steps: list[object]) -> dict[str, str]:
        if self.history.open_run is not None and self.history.open_run.moved:
            raise Interrupted("stopped")
        return perform(self, steps)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.Journal, "_perform", once)
        with pytest.raises(Interrupted):
            clean_folder(folder, ALL, decisions=decisions)
    assert len(names(folder)) == 15
    report = clean_folder(folder, ALL, decisions=decisions)
    assert report.run == "0001"
    assert names(folder) == [f"{k:06d}.jpg" for k in range(2, 15)]
    undo_clean(folder)
    assert tree(folder) == before


def test_decisions_about_a_run_that_was_made_ask_for_its_undo(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    report = clean_folder(folder, ALL)
    decisions = report.decisions().keep(f"{HERE}000013.jpg")
    with pytest.raises(RefusedError, match=r"000013\.jpg is to stay, but was set aside.*`faceaug undo "):
        clean_folder(folder, ALL, decisions=decisions)
    undo_clean(folder)
    assert clean_folder(folder, ALL, decisions=decisions).set_aside[0].name == f"{HERE}000001.jpg"


def test_names_are_those_before_the_repair(tmp_path: Path) -> None:
    files = good(1, 2, 3, 4, 5, 6, 7, 8) | {"00009.jpg": jpeg(9), "000010.jpg": jpeg(9)}
    folder = celeba(tmp_path / "celeba", files, known=9)
    report = clean_folder(folder, ALL)
    assert [(entry.name, entry.keeper) for entry in report.set_aside] == [(f"{HERE}000010.jpg", f"{HERE}000009.jpg")]
    decisions = report.decisions()
    assert [seen.name for seen in decisions.groups[0].pictures] == [f"{HERE}00009.jpg", f"{HERE}000010.jpg"]
    assert clean_folder(folder, ALL, decisions=decisions).run is None  # as it was decided already
    undo_clean(folder)
    swapped = clean_folder(folder, ALL, decisions=decisions.keep(f"{HERE}000010.jpg"))
    assert [(e.name, e.keeper) for e in swapped.set_aside] == [(f"{HERE}00009.jpg", f"{HERE}000010.jpg")]
    assert swapped.renames == ()


def test_whatever_no_longer_fits_is_named_and_nothing_changes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    decisions = decided(folder)
    place = folder / "img_align_celeba"
    cases = {
        "000013.jpg has changed": lambda: write(place / "000013.jpg", jpeg(77)),
        "000014.jpg is gone": (place / "000014.jpg").unlink,
        "000016.jpg has changed": lambda: write(place / "000016.jpg", jpeg(1)),
        "000001.jpg cannot be read": lambda: write(place / "000001.jpg", b"torn"),
        "000005.jpg and img_align_celeba/000099.jpg are a group that nobody decided about": lambda: write(
            place / "000099.jpg", jpeg(5)
        ),
        "000002.jpg and img_align_celeba/000014.jpg are no longer one group": lambda: write(
            place / "000099.jpg", jpeg(2)
        ),
    }
    for said, change in cases.items():
        kept = {path.name: path.read_bytes() for path in place.iterdir()}
        change()
        before = tree(folder)
        with pytest.raises(RefusedError) as raised:
            clean_folder(folder, ALL, decisions=decisions)
        assert said in str(raised.value)
        assert "Nothing was changed" in str(raised.value)
        assert tree(folder) == before
        for path in place.iterdir():
            path.unlink()
        for name, data in kept.items():
            write(place / name, data)
    assert clean_folder(folder, ALL, decisions=decisions).run == "0001"


def test_other_options_give_other_groups_which_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    decisions = decided(folder)
    with pytest.raises(RefusedError, match="with the same options"):
        clean_folder(folder, CleanPolicy(max_remove=1, protect=("000016.jpg",)), decisions=decisions)


def test_nobody_decides_that_a_protected_picture_leaves(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    policy = CleanPolicy(max_remove=1, protect=("000001.jpg",))
    plan = clean_folder(folder, policy, dry_run=True)
    assert [group.fixed for group in plan.groups] == [True, False, False]
    with pytest.raises(RefusedError, match=r"000001\.jpg is to leave, but is protected"):
        clean_folder(folder, policy, decisions=plan.decisions().keep(f"{HERE}000013.jpg"))
    released = clean_folder(folder, policy, decisions=plan.decisions().release(f"{HERE}000013.jpg"))
    assert len(released.set_aside) == 3


def test_the_chosen_one_of_three_copies_stays_with_what_is_known_of_the_others(tmp_path: Path) -> None:
    photo = picture(5, height=120, width=100)
    files = {f"{k}.png": encode_png(picture(k, height=120, width=100)) for k in range(20, 26)}
    files |= {"a.png": encode_png(photo)}
    files |= {"b.jpg": encode_jpeg(photo, quality=85), "c.jpg": encode_jpeg(photo, quality=60)}
    for name, data in files.items():
        write(tmp_path / "set" / name, data)
    folder = tmp_path / "set"
    plan = clean_folder(folder, ALL, dry_run=True)
    assert [[seen.name for seen in g.pictures] for g in plan.decisions().groups] == [["a.png", "b.jpg", "c.jpg"]]
    report = clean_folder(folder, ALL, decisions=plan.decisions().keep("c.jpg"))
    assert [(entry.name, entry.kind, entry.keeper) for entry in report.set_aside] == [
        ("a.png", "same photo", "c.jpg"),
        ("b.jpg", "same photo", "c.jpg"),
    ]
    assert report.page
    assert read_image(folder / "c.jpg").shape == photo.shape


def test_a_cleaned_copy_obeys(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    decisions = decided(folder)
    before = tree(folder)
    report = clean_folder(folder, ALL, decisions=decisions, out=tmp_path / "copy")
    assert tree(folder) == before
    assert names(tmp_path / "copy") == [f"{k:06d}.jpg" for k in range(2, 15)]
    assert report.cleaned == 13


def test_a_reference_always_stays(tmp_path: Path) -> None:
    for name, data in good(1, 2, 3).items():
        write(tmp_path / "known" / name, data)
    for name, data in {"a.jpg": jpeg(1), "b.jpg": jpeg(1), "c.jpg": jpeg(9)}.items():
        write(tmp_path / "new" / name, data)
    age_folders(tmp_path / "new")
    options = {"against": [tmp_path / "known"], "index": tmp_path / "known.faceaug-index"}
    plan = clean_folder(tmp_path / "new", ALL, dry_run=True, **options)
    assert [group.fixed for group in plan.groups] == [True]
    report = clean_folder(tmp_path / "new", ALL, decisions=plan.decisions().keep("b.jpg"), **options)
    assert [(entry.name, entry.keeper) for entry in report.set_aside] == [("a.jpg", "b.jpg")]
    assert sorted(path.name for path in (tmp_path / "known").iterdir()) == list(good(1, 2, 3))


def test_a_released_group_stays_whole_whatever_the_faces_are_like(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    options = {"set_aside": ("no-face",), "workers": 1}
    plan = clean_folder(folder, ALL, dry_run=True, **options)
    assert plan.cleaned == 0  # noise has no face
    decisions = plan.decisions().release(f"{HERE}000002.jpg").keep(f"{HERE}000013.jpg")
    report = clean_folder(folder, ALL, decisions=decisions, **options)
    assert names(folder) == ["000002.jpg", "000013.jpg", "000014.jpg"]
    assert report.cleaned == 3
    assert clean_folder(folder, ALL, decisions=decisions, **options).run is None
