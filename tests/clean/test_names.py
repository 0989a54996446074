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
    ],
)
def test_every_kind_of_damage_is_repaired(damaged: str) -> None:
    assert repaired([damaged], frozenset({"000123.jpg", "000777.jpg"})) == {damaged: "000123.jpg"}


@pytest.mark.parametrize(
    "name", ["portrait.jpg", "000123.png", "1234567.jpg", "000999.jpg", "١٢٣.jpg", "000123.jpg.txt"]
)
def test_other_names_are_left_and_not_reported(name: str) -> None:
    assert repair_names([name], frozenset({"000123.jpg"})) == ([], [])


def test_a_copy_whose_name_exists_is_left_to_duplicate_detection() -> None:
    assert repair_names(["000123.jpg", "000123 (1).jpg"], frozenset({"000123.jpg"})) == ([], [])


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
        {name: data.draw(st.sampled_from("xy"), label=name) for name in names} if data.draw(st.booleans()) else {}
    )
    renames, unclear = repair_names(names, known, held=held, contents=contents)
    new = [rename.new.rpartition("/")[2] for rename in renames]
    assert len(set(new)) == len(new)
    assert set(new) <= known
    assert not {name.rpartition("/")[2] for name in names} & set(new)
    assert not held & {rename.old for rename in renames}
    assert not {entry.name for entry in unclear} & {rename.old for rename in renames}
    assert repair_names(sorted(names, reverse=True), known, held=held, contents=contents) == (renames, unclear)
    moved = {rename.old: rename.new for rename in renames}
    after = {moved.get(name, name): name for name in names}
    again, _ = repair_names(
        after, known, held=held, contents={name: contents[old] for name, old in after.items()} if contents else {}
    )
    assert again == []
