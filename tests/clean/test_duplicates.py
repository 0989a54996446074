from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from faceaug.clean.duplicates import KEEPING, Likeness, Picture, find_duplicates, keeping_order
from faceaug.clean.signatures import Signature
from faceaug.clean.verify import PairEvidence
from faceaug.storage.walk import File

EVIDENCE = PairEvidence(1, 1, 1, 1, 1, 9, 1, 1, 0)
SAME = Likeness("same photo", 2, EVIDENCE)


def photo(name: str, pixels: str = "", content: str = "", *, inode: int = 0, **facts: object) -> Picture:
    signature = Signature(content or name, pixels or name, True, "")
    file = File(name, 1, inode or sum(map(ord, name)) * 1000 + len(name), 10, 0)
    return replace(Picture(file, name, signature), **facts)  # type: ignore[arg-type]


def links(*pairs: str) -> dict[frozenset[str], Likeness]:
    return {frozenset(pair.split("-")): SAME for pair in pairs}


def leaving(pictures: list[Picture], *pairs: str) -> dict[str, str]:
    return {d.copy.name: d.keeper.name for d in find_duplicates(pictures, links(*pairs))}


def test_likeness_is_not_passed_on_from_copy_to_copy() -> None:
    pictures = [photo("a"), photo("b"), photo("c")]
    assert leaving(pictures, "a-b", "b-c") == {"b": "a"}
    assert leaving(pictures, "a-b", "b-c", "a-c") == {"b": "a", "c": "a"}


def test_after_the_copies_left_there_is_nothing_more_to_do() -> None:
    draw = random.Random(1)
    for _ in range(200):
        names = "abcdefgh"
        pairs = [f"{x}-{y}" for x in names for y in names if x < y and draw.random() < 0.3]
        pictures = [photo(name, area=draw.randrange(3)) for name in names]
        gone = leaving(pictures, *pairs)
        assert all(frozenset((copy, keeper)) in links(*pairs) for copy, keeper in gone.items())
        assert not set(gone.values()) & set(gone)
        staying = [picture for picture in pictures if picture.name not in gone]
        assert leaving(staying, *pairs) == {}


def test_the_order_of_the_pictures_does_not_matter() -> None:
    pictures = [photo(name, area=k % 3) for k, name in enumerate("abcdefgh")]
    pairs = ("a-b", "b-c", "c-d", "e-f", "f-a", "g-h")
    expected = leaving(pictures, *pairs)
    for seed in range(20):
        random.Random(seed).shuffle(pictures)
        assert leaving(pictures, *pairs) == expected


def test_copies_with_the_same_pixels_leave_with_their_group() -> None:
    pictures = [photo("a"), photo("b", "p", area=-1), photo("c", "p", area=-1)]
    found = find_duplicates(pictures, links("a-p"))
    assert [(d.copy.name, d.keeper.name, d.tier) for d in found] == [
        ("b", "a", "same photo"),
        ("c", "a", "same photo"),
    ]


def test_protected_pictures_stay_and_keep_others_from_staying() -> None:
    pictures = [photo("a", protected=True), photo("b", protected=True), photo("c"), photo("d")]
    assert leaving(pictures, "a-b", "b-c", "a-d") == {"c": "b", "d": "a"}


def test_hard_links_of_one_file_are_never_duplicates() -> None:
    pictures = [photo("a", "p", inode=5), photo("b", "p", inode=5), photo("c", "p", inode=6)]
    assert leaving(pictures) == {"c": "a"}


@pytest.mark.parametrize(
    "better",
    [
        {"protected": True},
        {"partition": 2},
        {"rows": 3},
        {"known": True},
        {"misread": False},
        {"area": 100},
        {"quantisation": 1.0},
        {"sharpness": 9.0},
    ],
)
def test_what_stays_is_decided_by_the_first_difference(better: dict[str, object]) -> None:
    plain = {"partition": 1, "rows": 2, "misread": True, "area": 50, "quantisation": 5.0, "sharpness": 3.0}
    one, other = photo("a", **plain), photo("b", **(plain | better))
    assert min(one, other, key=keeping_order).name == "b"
    assert leaving([one, other], "a-b") == {"a": "b"}


def test_the_docs_state_the_order_that_decides() -> None:
    step = (
        (Path(__file__).parents[2] / "docs" / "clean.md")
        .read_text()
        .split("**Choose what stays**")[1]
        .split("6. **Move**")[0]
    )
    assert tuple(re.findall(r"^   \d\. (.*)$", step, re.MULTILINE)) == KEEPING
    assert len(KEEPING) == len(keeping_order(photo("a")))


def test_a_whole_photo_never_leaves_for_a_crop_of_it() -> None:
    pairs = {frozenset(("crop", "whole")): replace(SAME, whole="whole")}
    for better in ({}, {"protected": True}, {"partition": 2}, {"rows": 3}, {"known": True}):
        pictures = [photo("crop", area=900, **better), photo("whole", area=100)]
        gone = [d.copy.name for d in find_duplicates(pictures, pairs)]
        assert gone in ([], ["crop"])
    assert [d.copy.name for d in find_duplicates([photo("crop", area=99), photo("whole", area=100)], pairs)] == ["crop"]


def test_the_lowest_name_stays_when_nothing_else_differs() -> None:
    assert leaving([photo("b"), photo("a")], "a-b") == {"b": "a"}
