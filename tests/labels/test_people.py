from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.data.folder import FaceFolder
from faceaug.labels import people
from faceaug.labels.people import check_people, find_mixed, find_two_names


def faces(count: int = 40, each: int = 6, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Embeddings of people who are as far apart as those of real ones, and their identities."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=(count, 64))
    vectors = middle.repeat(each, 0) + 0.6 * random.normal(size=(count * each, 64)) + 3.0
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.arange(count).repeat(each)


def test_people_under_their_own_names_are_left_in_peace() -> None:
    vectors, identity = faces()
    assert find_mixed(vectors, identity) == []
    assert find_two_names(vectors, identity) == []


def test_two_people_under_one_name_are_told_apart_picture_by_picture() -> None:
    vectors, identity = faces()
    identity[identity == 7] = 3
    ((number, one, other, likeness),) = find_mixed(vectors, identity)
    assert number == 3
    assert {tuple(one.tolist()), tuple(other.tolist())} == {tuple(range(18, 24)), tuple(range(42, 48))}
    assert likeness < 0.3


def test_a_single_stray_picture_is_found_as_the_smaller_group() -> None:
    vectors, identity = faces()
    identity[100] = 0
    ((number, one, other, _),) = find_mixed(vectors, identity)
    assert (number, one.tolist(), other.tolist()) == (0, [0, 1, 2, 3, 4, 5], [100])


def test_one_person_under_two_names_is_found() -> None:
    vectors, identity = faces()
    identity[[12, 14, 17]] = 99
    ((one, other, likeness, margin),) = find_two_names(vectors, identity)
    assert (one, other) == (2, 99)
    assert likeness > 0.5
    assert margin > 0.12


def test_a_person_who_is_alike_to_many_is_nobody_in_particular() -> None:
    vectors, identity = faces()
    twins = vectors[:6]
    crowd = np.concatenate([vectors, twins + 1e-3, twins - 1e-3])
    names = np.concatenate([identity, np.full(6, 50), np.full(6, 51)])
    assert find_two_names(crowd, names) == []  # three names for one person: none of them stands out


def test_identities_of_one_picture_are_not_split() -> None:
    vectors, _ = faces(30, 1)
    assert find_mixed(vectors, np.arange(30)) == []


def test_more_identities_than_fit_into_a_block_are_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, identity = faces()
    identity[[12, 14, 17]] = 99
    whole = find_two_names(vectors, identity)
    monkeypatch.setattr(people, "_BLOCK", 7)
    assert [pytest.approx(entry) for entry in whole] == find_two_names(vectors, identity)
    assert whole


def test_without_a_model_the_tables_are_looked_at_and_the_rest_is_named(celeba_folder: FaceFolder) -> None:
    found = check_people(celeba_folder, np.arange(len(celeba_folder)), None)
    assert found.people == 10
    assert found.shared
    assert (found.model, found.mixed, found.twice) == ("", (), ())
    assert "people under two names: needs embeddings of faces, python -m pip install" in found.not_looked
    assert any("not looked at" in line for line in found.lines(verbose=False))


def test_a_few_people_are_too_few_to_say_who_is_alike(celeba_folder: FaceFolder) -> None:
    found = check_people(celeba_folder, np.arange(len(celeba_folder)), "dlib")
    assert found.not_looked.endswith("10 identities with a face, at least 20 are needed")
    assert found.compared == 0
