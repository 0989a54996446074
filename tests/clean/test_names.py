from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from faceaug.clean.names import Rename, known_names, repair_names

ALL = frozenset(f"{k:06d}.jpg" for k in range(1, 202_600))


def repaired(names: list[str], known: frozenset[str]) -> dict[str, str]:
    return {rename.old: rename.new for rename in repair_names(names, known)[0]}


def test_a_name_with_a_missing_digit_is_repaired_only_when_one_number_fits() -> None:
    names = ["000001.jpg", "00123.jpg"]
    assert repaired(names, frozenset({"000001.jpg", "000123.jpg"})) == {"00123.jpg": "000123.jpg"}
    renames, unclear = repair_names(names, frozenset({"000001.jpg", "000123.jpg", "001239.jpg", "901234.jpg"}))
    assert renames == []
    assert unclear[0].name == "00123.jpg"
    assert unclear[0].candidates == ("000123.jpg", "001239.jpg")


@pytest.mark.parametrize(
    "damaged",
    [
        "000123.JPG",
        "000123.jpeg",
        "000123 (1).jpg",
        "000123(2).JPG",
        "000123.jpg.jpg",
        "123.jpg",
        "0123.jpg",
        "123 (1).jpeg",
        "000123.png",
        "000123 (1) (2).jpg",
        "000123 - Copy.jpg",
        "000123 - Copy (2).jpg",
        "000123 copy 2.jpg",
        "Copy of 000123.jpg",
        " 000123 .jpg",
        "000123.JPEG.jpg",
    ],
)
def test_every_kind_of_damage_is_repaired(damaged: str) -> None:
    assert repaired([damaged], frozenset({"000123.jpg", "000777.jpg"})) == {damaged: "000123.jpg"}


@pytest.mark.parametrize(
    "name",
    [
        "portrait.jpg",
        "000123.gif",
        "1234567.jpg",
        "000123_1.jpg",
        "000123-mask.png",
        "000999.jpg",
        "١٢٣.jpg",
        "000123.jpg.txt",
    ],
)
def test_other_names_are_left_and_not_reported(name: str) -> None:
    assert repair_names([name], frozenset({"000123.jpg"})) == ([], [])


def test_a_copy_whose_name_exists_is_left_to_duplicate_detection() -> None:
    assert repair_names(["000123.jpg", "000123 (1).jpg"], frozenset({"000123.jpg"})) == ([], [])


def test_a_damaged_name_whose_number_has_another_picture_is_reported() -> None:
    contents = {"000123.jpg": "x", "000123.JPG": "y"}
    renames, unclear = repair_names(list(contents), frozenset({"000123.jpg"}), contents=contents)
    assert renames == []
    assert [(entry.name, entry.candidates, entry.why) for entry in unclear] == [
        ("000123.JPG", ("000123.jpg",), "another picture has this name")
    ]
    assert repair_names(list(contents), frozenset({"000123.jpg"}), contents=dict.fromkeys(contents, "x")) == ([], [])


def test_a_number_given_to_one_name_is_no_longer_free_for_another() -> None:
    # Both can only be 000123: then both are in doubt.
    renames, unclear = repair_names(["0123.jpg", "00123.jpg"], frozenset({"000123.jpg"}))
    assert renames == []
    assert {entry.why for entry in unclear} == {"more damaged names than free numbers"}
    # 00134.jpg could be 000134 or 001234; 0134.jpg takes the first, which leaves the second.
    assert repaired(["0134.jpg", "00134.jpg"], frozenset({"000134.jpg", "001234.jpg"})) == {
        "0134.jpg": "000134.jpg",
        "00134.jpg": "001234.jpg",
    }


def test_two_names_that_need_one_number_are_both_left() -> None:
    renames, unclear = repair_names(["a/000123.JPG", "a/000123.jpeg"], frozenset({"000123.jpg"}))
    assert renames == []
    assert [entry.candidates for entry in unclear] == [("000123.jpg",)] * 2


def test_of_two_names_with_one_content_the_first_is_repaired() -> None:
    same = {"000123 (1).jpg": "x", "000123.JPG": "x"}
    renames, unclear = repair_names(list(same), frozenset({"000123.jpg"}), contents=same)
    assert renames == [Rename("000123 (1).jpg", "000123.jpg")]
    assert unclear == []


def test_a_held_name_keeps_its_claim_but_is_not_renamed() -> None:
    known = frozenset({"000134.jpg", "001234.jpg"})
    assert repair_names(["00134.jpg"], known, held=["0134.jpg"])[0] == [Rename("00134.jpg", "001234.jpg")]
    assert repair_names(["0134.jpg"], known, held=["0134.jpg"]) == ([], [])


def test_a_repair_stays_in_its_folder() -> None:
    assert repaired(["b/c/123.jpg"], frozenset({"000123.jpg"})) == {"b/c/123.jpg": "b/c/000123.jpg"}


def test_zeros_lost_in_the_whole_set_leave_no_doubt_about_five_digits() -> None:
    # One by one 12345.jpg could be 012345 or a number with a digit lost; where no name has its zeros, it is the first.
    numbers = [7, 45, 876, 3456, *range(12_340, 12_360), *range(112_340, 112_350), 123_450]
    known = frozenset(f"{k:06d}.jpg" for k in [*numbers, *range(123_451, 123_460)])
    names = [f"{k}.jpg" for k in numbers]
    assert repaired(names, known) == {f"{k}.jpg": f"{k:06d}.jpg" for k in numbers if k < 100_000}
    assert "12345.jpg" not in repaired([*names[:-1], "000001.jpg"], known | {"000001.jpg", "123450.jpg"})


FIVE = frozenset(f"{k:06d}.jpg" for k in range(1, 6))


def by_evidence(evidence: dict[str, set[str]], names: list[str] | None = None) -> dict[str, str]:
    proof = {name: frozenset(fits) for name, fits in evidence.items()}
    contents = {name: ",".join(sorted(fits)) for name, fits in evidence.items()}
    renames, _ = repair_names(names or list(evidence), FIVE, contents=contents, evidence=proof)
    return {rename.old: rename.new for rename in renames}


def test_evidence_undoes_swaps_and_chains_and_names_that_say_nothing() -> None:
    assert by_evidence({"000001.jpg": {"000002.jpg"}, "000002.jpg": {"000001.jpg"}}) == {
        "000001.jpg": "000002.jpg",
        "000002.jpg": "000001.jpg",
    }
    chain = {f"{k:06d}.jpg": {f"{k + 1:06d}.jpg"} for k in range(1, 5)}
    assert by_evidence(chain) == {f"{k:06d}.jpg": f"{k + 1:06d}.jpg" for k in range(1, 5)}
    assert by_evidence({"holiday.jpg": {"000004.jpg"}}) == {"holiday.jpg": "000004.jpg"}
    assert by_evidence({"000003.jpg": {"000003.jpg"}}) == {}


def test_evidence_breaks_a_tie_between_readings() -> None:
    names = ["00012.jpg", "000001.jpg"]
    known = frozenset({"000001.jpg", "000012.jpg", "000120.jpg", "000102.jpg"})
    assert repaired(names, known) == {}
    renames, _ = repair_names(names, known, evidence={"00012.jpg": frozenset({"000102.jpg"})})
    assert renames == [Rename("00012.jpg", "000102.jpg")]


def test_evidence_never_takes_a_name_that_another_file_keeps() -> None:
    # 000002.jpg is not in the archive, so nothing says that it should move away.
    renames, unclear = repair_names(
        ["000001.jpg", "000002.jpg"], FIVE, evidence={"000001.jpg": frozenset({"000002.jpg"})}
    )
    assert renames == []
    assert [(entry.name, entry.candidates) for entry in unclear] == [("000001.jpg", ("000002.jpg",))]
    # A copy of a picture that is here under its right name is no damaged name.
    assert by_evidence({"000003.jpg": {"000003.jpg"}, "000003 (1).jpg": {"000003.jpg"}}) == {}


def test_two_entries_with_one_content_are_not_told_apart_by_it() -> None:
    both = {"000002.jpg", "000003.jpg"}
    assert by_evidence({"face.jpg": both}) == {}
    assert by_evidence({"face.jpg": both, "000002.jpg": both}) == {}  # it may be a copy of the second
    assert by_evidence({"000003.JPG": both}) == {"000003.JPG": "000003.jpg"}


def test_an_archive_names_what_no_table_names() -> None:
    assert known_names([], ["1.jpg"], archive=["000001.jpg"]) == {"000001.jpg"}
    assert known_names([("7.jpg",)], ["1.jpg"], archive=["000001.jpg"]) == {"7.jpg"}


def test_arbitrary_names_are_never_damaged() -> None:
    assert known_names([], ["1.jpg", "2.jpg", "12345.jpg"]) == frozenset()
    assert known_names([], ["000001.jpg", "12345.jpg"]) == ALL
    assert known_names([("7.jpg",), ("8.jpg",)], ["000001.jpg"]) == {"7.jpg", "8.jpg"}


NUMBERS = st.integers(1, 40).map(lambda k: f"{k * 37 % 401:06d}")


@st.composite
def damaged_names(draw: st.DrawFn) -> str:
    stem = draw(NUMBERS)
    if draw(st.booleans()):
        at = draw(st.integers(0, 5))
        stem = stem[:at] + stem[at + 1 :]
    stem = stem.lstrip("0") if draw(st.booleans()) else stem
    ending = draw(st.sampled_from([".jpg", ".jpg", ".JPG", ".jpeg", ".jpg.jpg", " (1).jpg", ".png"]))
    return draw(st.sampled_from(["", "a/"])) + stem + ending


@settings(max_examples=300, deadline=None)
@given(
    st.lists(damaged_names(), max_size=14, unique=True),
    st.frozensets(NUMBERS, max_size=40),
    st.data(),
)
def test_repairs_never_collide_and_a_second_round_finds_nothing(
    names: list[str], numbers: frozenset[str], data: st.DataObject
) -> None:
    known = frozenset(f"{number}.jpg" for number in numbers)
    held = data.draw(st.sets(st.sampled_from(names), max_size=3)) if names else set()
    contents = (
        {name: data.draw(st.sampled_from("xyz"), label=name) for name in names} if data.draw(st.booleans()) else {}
    )
    evidence = {}
    if contents and known and data.draw(st.booleans()):
        proof = {content: data.draw(st.frozensets(st.sampled_from(sorted(known)), max_size=2)) for content in "xyz"}
        evidence = {name: proof[content] for name, content in contents.items() if proof[content]}
    renames, unclear = repair_names(names, known, held=held, contents=contents, evidence=evidence)
    new = [rename.new.rpartition("/")[2] for rename in renames]
    assert len(set(new)) == len(new)
    assert set(new) <= known
    staying = {name for name in names if name not in {rename.old for rename in renames}}
    assert not {name.rpartition("/")[2] for name in staying} & set(new)
    assert not held & {rename.old for rename in renames}
    assert not {entry.name for entry in unclear} & {rename.old for rename in renames}
    backwards = sorted(names, reverse=True)
    assert repair_names(backwards, known, held=held, contents=contents, evidence=evidence) == (renames, unclear)
    moved = {rename.old: rename.new for rename in renames}
    after = {moved.get(name, name): name for name in names}
    assert len(after) == len(names)
    again, _ = repair_names(
        after,
        known,
        held=held,
        contents={name: contents[old] for name, old in after.items()} if contents else {},
        evidence={name: evidence[old] for name, old in after.items() if old in evidence},
    )
    assert again == []
