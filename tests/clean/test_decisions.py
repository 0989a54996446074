from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from faceaug.clean import Decisions, read_decisions
from faceaug.clean.decisions import GroupDecision, Seen, parse_decisions, propose
from faceaug.clean.tiers import DuplicateGroup, Member
from faceaug.data.marks import DECISIONS
from faceaug.errors import ArgumentError, RefusedError

DIGESTS = [f"{k:032x}" for k in range(9)]


def group(*names: str, stays: str | None = None) -> GroupDecision:
    return GroupDecision(tuple(Seen(name, DIGESTS[k]) for k, name in enumerate(names)), stays)


# Names with quotes, line breaks, bytes that are not UTF-8, and any script.
NAMES = st.text(st.characters(min_codepoint=1, exclude_characters="/"), min_size=1, max_size=12) | st.binary(
    min_size=1, max_size=6
).map(lambda data: data.decode("utf-8", "surrogateescape"))


@st.composite
def decisions(draw: st.DrawFn) -> Decisions:
    names = draw(st.lists(NAMES, min_size=2, max_size=12, unique=True))
    groups = []
    while len(names) >= 2:
        count = draw(st.integers(2, len(names)))
        mine, names = names[:count], names[count:]
        pictures = tuple(Seen(name, draw(st.sampled_from(DIGESTS))) for name in mine)
        groups.append(GroupDecision(pictures, draw(st.none() | st.sampled_from(mine))))
    return Decisions(tuple(groups), draw(NAMES))


@settings(max_examples=200)
@given(made=decisions())
def test_a_file_of_decisions_gives_the_same_decisions_back(
    made: Decisions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "decisions.json"
    made.save(path, overwrite=True)
    again = read_decisions(path)
    assert again == made
    assert again.folder == made.folder
    assert again.counts() == {"keep": 0, "swap": 0, "release": 0} | Counter(g.verdict for g in made.groups)
    assert DECISIONS.is_ours(path.read_bytes())


@given(made=decisions(), data=st.data())
def test_a_decision_changes_its_group_alone(made: Decisions, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(made.groups) - 1))
    name = data.draw(st.sampled_from(made.groups[at].pictures)).name
    for changed, stays in ((made.keep(name), name), (made.release(name), None)):
        assert changed.groups[at].stays == stays
        assert [g for k, g in enumerate(changed.groups) if k != at] == [g for k, g in enumerate(made.groups) if k != at]


def test_the_proposal_keeps_the_first_picture_of_every_group() -> None:
    found = DuplicateGroup("new/a.jpg", (Member("b.jpg", "same bytes", content=DIGESTS[1]),), "a.jpg", DIGESTS[0])
    without = DuplicateGroup("c.jpg", (Member("d.jpg", "same bytes"),))  # from a report that knows no digests
    assert propose([found, without]) == Decisions((group("a.jpg", "b.jpg", stays="a.jpg"),))
    assert propose([found]).groups[0].verdict == "keep"


def test_a_picture_of_no_group_cannot_be_decided_about() -> None:
    made = Decisions((group("a.jpg", "b.jpg", stays="a.jpg"),))
    with pytest.raises(ArgumentError, match=r"c\.jpg: is in none of 1 group"):
        made.keep("c.jpg")


def test_a_group_has_two_pictures_and_one_of_them_stays() -> None:
    with pytest.raises(ArgumentError, match="expected two pictures or more, found 1"):
        group("a.jpg")
    with pytest.raises(ArgumentError, match=r"'stays' c\.jpg: expected one of its pictures"):
        group("a.jpg", "b.jpg", stays="c.jpg")


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    path.write_text('{"made_by": "faceaug clean", "counts": {}}')
    with pytest.raises(RefusedError, match="exists and is not a file of decisions of faceaug clean"):
        Decisions(()).save(path)
    Decisions(()).save(path, overwrite=True)
    Decisions((group("a.jpg", "b.jpg"),)).save(path)
    with pytest.raises(ArgumentError, match=r"ends in \.json"):
        Decisions(()).save(tmp_path / "decisions.txt")


def document(**changed: Any) -> dict[str, Any]:
    plain = Decisions((group("a.jpg", "b.jpg", "c.jpg", stays="b.jpg"), group("d.jpg", "e.jpg", stays="d.jpg")))
    return plain.to_json() | changed


def first_group(**changed: Any) -> dict[str, Any]:
    made = document()
    return made | {"groups": [made["groups"][0] | changed, made["groups"][1]]}


BROKEN: dict[str, tuple[object, str]] = {
    "no object": ([], "is no file of decisions"),
    "other command": (document(made_by="faceaug expand"), "is no file of decisions"),
    "report of a clean": ({"made_by": "faceaug clean", "counts": {}}, "is no file of decisions"),
    "later format": (document(decisions=2), "format 2, and this version reads format 1"),
    "no groups": (document(groups=None), "'groups': expected a list"),
    "group is a number": (document(groups=[7]), "group 1: expected"),
    "one picture": (first_group(pictures=document()["groups"][0]["pictures"][:1]), "group 1: expected two pictures"),
    "other decision": (first_group(decision="perhaps"), "'perhaps': expected 'keep', 'swap' or 'release'"),
    "stays a stranger": (first_group(stays="x.jpg"), r"'stays' x\.jpg: expected one of its pictures"),
    "swap without a picture": (first_group(stays=None), "contradicts"),
    "stays a number": (first_group(stays=3), "expected the name of a picture"),
    "keeps another": (first_group(decision="keep"), "contradicts"),
    "swaps for the first": (first_group(stays="a.jpg"), "contradicts"),
    "released, yet one stays": (first_group(decision="release"), "contradicts"),
    "name is a number": (first_group(pictures=[{"name": 1, "content": DIGESTS[0]}] * 2), "'name' and 'content'"),
    "no digest": (first_group(pictures=[{"name": "a.jpg", "content": "x"}] * 2), "32 digits"),
    "twice": (document(groups=document()["groups"][:1] * 2), r"a\.jpg: occurs 2 times"),
}


@pytest.mark.parametrize(("plain", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_in_a_file_is_named(plain: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(ArgumentError, match=said) as raised:
        read_decisions(path)
    assert str(path) in str(raised.value)
    assert "no JSON" not in str(raised.value)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_no_document_breaks_the_reader(found: object) -> None:
    with pytest.raises(ArgumentError):
        parse_decisions({"made_by": "faceaug clean", "decisions": 1, "groups": [found]})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut off", "bytes", "deep"])
def test_what_is_no_json_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    path.write_bytes(data)
    with pytest.raises(ArgumentError, match="is no JSON document"):
        read_decisions(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ArgumentError, match=f"{path}: expected a decisions.json saved from a report"):
            read_decisions(path)


def test_a_group_that_is_kept_need_not_say_which_picture_stays() -> None:
    plain = document()
    del plain["groups"][1]["stays"]
    assert parse_decisions(plain) == parse_decisions(document())
