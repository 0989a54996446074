from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.labels.correlations import correlate

GOATEE, BEARDLESS, YOUNG = map(attribute_index, ("Goatee", "No_Beard", "Young"))


def labels(n: int = 400) -> NDArray[np.int8]:
    random = np.random.default_rng(0)
    return np.where(random.random((n, len(ATTRIBUTES))) < 0.3, 1, -1).astype(np.int8)


def unknown(n: int = 400) -> NDArray[np.int8]:
    return np.full(n, -1, np.int8)


def test_attributes_that_go_together_are_named_the_strongest_first() -> None:
    given = labels()
    given[:, BEARDLESS] = -given[:, GOATEE]
    given[:40, BEARDLESS] *= -1
    given[:, YOUNG] = given[:, 0]
    found = correlate(given, unknown())
    first, second = found.pairs[:2]
    assert (first.one, first.other, first.correlation) == ("5_o_Clock_Shadow", "Young", pytest.approx(1))
    assert {second.one, second.other} == {"Goatee", "No_Beard"}
    expected = np.corrcoef(given[:, GOATEE], given[:, BEARDLESS])[0, 1]
    assert second.correlation == pytest.approx(expected)
    assert first.words() == (
        "Young is on 100% of pictures with 5_o_Clock_Shadow, 0% of those without (correlation +1.00)"
    )


def test_the_matrix_is_that_of_numpy_where_every_label_is_known() -> None:
    given = labels()
    found = correlate(given, unknown())
    assert np.allclose(found.matrix, np.corrcoef(given.T))
    assert found.attributes == ATTRIBUTES


def test_only_pictures_with_both_labels_count() -> None:
    given = labels()
    given[:, YOUNG] = given[:, 0]
    given[:300, YOUNG] = 0
    found = correlate(given, unknown())
    at = [found.attributes.index(ATTRIBUTES[k]) for k in (0, YOUNG)]
    assert found.matrix[at[0], at[1]] == pytest.approx(1)
    given[:390, YOUNG] = 0
    given[390:, YOUNG] = np.resize([1, -1], 10)
    assert np.isnan(correlate(given, unknown()).matrix[at[0], at[1]])


def test_attributes_that_never_vary_are_left_out() -> None:
    given = labels()
    given[:, YOUNG] = 1
    assert "Young" not in correlate(given, unknown()).attributes
    given[:] = 0
    assert correlate(given, unknown()).attributes == ()


def test_an_attribute_that_is_rarer_in_one_partition_is_uneven() -> None:
    given = labels()
    partition = np.repeat(np.array([0, 1], np.int8), 200)
    given[:200, YOUNG] = np.resize([1, -1], 200)
    given[200:, YOUNG] = np.resize([1, -1, -1, -1], 200)
    found = {one.attribute: one for one in correlate(given, partition).partitions}
    assert found["Young"].shares == {"train": 0.5, "val": 0.25}
    assert found["Young"].uneven in {"train", "val"}
    assert sum(bool(one.uneven) for one in found.values()) <= 2  # chance makes few of the others uneven


def test_without_two_partitions_there_are_no_shares_of_partitions() -> None:
    assert correlate(labels(), np.zeros(400, np.int8)).partitions == ()
    assert correlate(labels(), unknown()).partitions == ()


def test_the_figures_fit_into_a_json_document() -> None:
    given = labels()
    given[:, YOUNG] = given[:, 0]
    document = json.loads(json.dumps(correlate(given, np.resize(np.array([0, 1], np.int8), 400)).to_json()))
    assert document["pairs"][0]["correlation"] == 1.0
    assert set(document["partitions"]["Young"]) == {"all", "train", "val", "uneven"}
