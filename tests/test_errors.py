from __future__ import annotations

import os
import pickle

import pytest
from hypothesis import given, strategies as st

from faceaug import errors
from faceaug.errors import ArgumentError, FaceAugError, ImageError, Interrupted, RefusedError, counted, printable, some


@given(st.text() | st.binary().map(os.fsdecode) | st.text(st.characters(categories=["Cs", "Cc", "Cf"])))
def test_a_printable_name_is_one_line_without_control_characters(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown


@given(st.text(st.characters(categories=["L", "N"])))
def test_ordinary_names_are_printed_as_they_are(name: str) -> None:
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"a\xff.jpg"), r"a\xff.jpg"),
        ("a\nb\x1b[31m.jpg", r"a\nb\x1b[31m.jpg"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("lone\ud800", r"lone\ud800"),
        ("Zoë 顔.jpg", "Zoë 顔.jpg"),
    ],
)
def test_what_cannot_be_printed_is_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_some_names_stand_for_many() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(["a", "b", "c", "d\n", "e"]) == "a, b, c and 2 more"
    assert some(["a", "b"], limit=1) == "a and 1 more"
    assert some([]) == ""


def test_every_error_has_the_exit_code_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FaceAugError)]
    assert len(kinds) >= 8
    for kind in kinds:
        line = next(line for line in drawn.splitlines() if kind.__name__ in line)
        after = line.split(kind.__name__)[1].replace("(ValueError)", "")
        assert after.split()[0] == str(kind.exit_code), kind
        assert kind.__doc__


def test_a_wrong_argument_is_also_a_value_error() -> None:
    assert issubclass(ArgumentError, ValueError)
    assert (ArgumentError.exit_code, RefusedError.exit_code, Interrupted.exit_code) == (2, 3, 130)


def test_an_image_error_names_file_and_reason_and_travels_between_processes() -> None:
    error = ImageError("a\n.jpg", "is empty")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == r"a\n.jpg: is empty"
    assert (again.name, again.reason) == ("a\n.jpg", "is empty")


@pytest.mark.parametrize(
    ("n", "words", "text"),
    [
        (1, ("file",), "1 file"),
        (0, ("file",), "0 files"),
        (2000, ("file",), "2,000 files"),
        (1, ("copy is", "copies are"), "1 copy is"),
        (2, ("copy is", "copies are"), "2 copies are"),
    ],
)
def test_a_number_agrees_with_its_noun(n: int, words: tuple[str, ...], text: str) -> None:
    assert counted(n, *words) == text
