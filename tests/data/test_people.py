from __future__ import annotations

from dataclasses import replace

import numpy as np

from faceaug.data.annotations import Annotations, Doubt, unknown
from faceaug.data.people import people_in_partitions, shared_people_note


def known(identity: list[int], partition: list[int]) -> Annotations:
    return replace(unknown(len(identity)), identity=np.array(identity), partition=np.array(partition, np.int8))


def test_people_with_pictures_in_two_partitions_are_named_with_their_numbers() -> None:
    found = people_in_partitions(known([4, 4, 4, 7, 7, 9], [0, 0, 2, 1, 1, 0]))
    assert [(person.name, person.pictures) for person in found] == [("4", {"train": 2, "test": 1})]
    names = people_in_partitions(known([0, 0, 1], [0, 1, 1]), ("ann", "ben"))
    assert names[0].words() == "ann (train 1, val 1)"


def test_unknown_people_and_partitions_do_not_count() -> None:
    assert people_in_partitions(known([-1, -1, 3, 3], [0, 1, 0, -1])) == ()


def test_pictures_that_leave_do_not_count() -> None:
    annotations = known([3, 3, 5, 5], [0, 1, 0, 1])
    found = people_in_partitions(annotations, staying=np.array([True, False, True, True]))
    assert [person.name for person in found] == ["5"]


def test_synthetic_pictures_do_not_count() -> None:
    annotations = replace(known([3, 3], [0, 1]), origin=np.array([0, 2], np.int8))
    assert people_in_partitions(annotations) == ()


def test_an_ambiguous_folder_says_nothing_about_people() -> None:
    annotations = replace(known([3, 3], [0, 1]), doubts=(Doubt("identity", "two readings"),))
    assert people_in_partitions(annotations) == ()


def test_a_note_names_the_first_people_and_counts_the_others() -> None:
    people = people_in_partitions(known([k for k in range(5) for _ in "ab"], [0, 1] * 5))
    (note,) = shared_people_note(people)
    assert note.startswith("5 people have pictures in two partitions: 0 (train 1, val 1), 1 (")
    assert "and 2 more; `faceaug split --by identity` keeps people together" in note
    assert shared_people_note(()) == ()
