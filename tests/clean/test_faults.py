from __future__ import annotations

import pytest

from faceaug.clean.faults import FAULTS, MEANING, FaceChecks, FaultyPicture, read_faults
from faceaug.errors import ArgumentError

PICTURE = FaultyPicture("a.jpg", ("tiny", "dark"), ("eyes 4 pixels apart", "grey level 20"))


def test_faults_are_read_each_once_and_in_one_order() -> None:
    assert read_faults(["dark", "blurred", "dark", "no-face"]) == ("no-face", "blurred", "dark")
    assert read_faults([]) == ()


def test_a_fault_that_does_not_exist_is_an_error_that_lists_those_that_do() -> None:
    with pytest.raises(ArgumentError, match=r"'blury': expected one of blurred, bright, .*washed-out"):
        read_faults(["blurred", "blury"])


def test_one_string_is_no_list_of_faults() -> None:
    with pytest.raises(ArgumentError, match="expected a tuple"):
        read_faults("dark")


def test_every_fault_has_a_meaning_in_words() -> None:
    assert set(MEANING) == set(FAULTS)


def test_a_picture_with_only_some_of_its_faults_keeps_their_reasons() -> None:
    assert PICTURE.only(["dark"]) == FaultyPicture("a.jpg", ("dark",), ("grey level 20",))
    assert PICTURE.reason == "tiny: eyes 4 pixels apart; dark: grey level 20"


def test_counts_name_a_picture_under_each_of_its_faults() -> None:
    checks = FaceChecks(3, 2, calibrated=False, faulty=(PICTURE, FaultyPicture("b.jpg", ("dark",), ("grey level 9",))))
    assert checks.counts() == {"tiny": 1, "dark": 2}
