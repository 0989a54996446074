from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.labels.disagreements import CheckedAttribute, LabelProposal, SkippedAttribute, check_attribute

pytest.importorskip("cleanlab")
MALE = attribute_index("Male")


def folder(n: int = 1000, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int8], list[str]]:
    """What a good classifier sees, labels that are all right, and names."""
    random = np.random.default_rng(seed)
    labels = np.where(random.random((n, len(ATTRIBUTES))) < 0.3, 1, -1).astype(np.int8)
    return random.normal(size=labels.shape) + 4.0 * labels, labels, [f"{k:03d}.jpg" for k in range(n)]


def found(
    logits: NDArray[np.float64], labels: NDArray[np.int8], names: list[str], attribute: str = "Male"
) -> tuple[CheckedAttribute, list[LabelProposal]]:
    result = check_attribute(attribute, logits, labels, names)
    assert not isinstance(result, SkippedAttribute), result
    return result


def test_flipped_labels_are_proposed_first_with_the_value_that_they_had() -> None:
    logits, labels, names = folder()
    before = labels[:9, MALE].copy()
    labels[:9, MALE] *= -1
    result, proposals = found(logits, labels, names)
    first = {proposal.name: proposal for proposal in proposals}
    assert {proposal.name for proposal in proposals[:9]} == set(names[:9]), proposals[:12]
    assert [first[name].proposed for name in names[:9]] == before.tolist()
    assert [first[name].given for name in names[:9]] == (-before).tolist()
    assert result.known == 1000
    assert 2 <= result.suspected <= 20


def test_proposals_are_ranked_by_confidence() -> None:
    logits, labels, names = folder()
    labels[:20, MALE] *= -1
    result, proposals = found(logits, labels, names)
    assert [proposal.rank for proposal in proposals] == list(range(1, result.proposals + 1))
    confidences = [proposal.confidence for proposal in proposals]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0.5 <= confidence <= 1 for confidence in confidences)


def test_unknown_labels_are_never_proposed() -> None:
    logits, labels, names = folder()
    labels[:50, MALE] = 0
    result, proposals = found(logits, labels, names)
    assert result.known == 950
    assert {proposal.name for proposal in proposals} & set(names[:50]) == set()


def test_an_attribute_that_everybody_or_hardly_anybody_has_is_skipped_with_a_reason() -> None:
    logits, labels, names = folder()
    labels[:, MALE] = 1
    assert check_attribute("Male", logits, labels, names) == SkippedAttribute(
        "Male", "0 labels say no, at least 20 are needed"
    )
    labels[:, MALE] = -1
    labels[0, MALE] = 1
    assert check_attribute("Male", logits, labels, names) == SkippedAttribute(
        "Male", "1 label says yes, at least 20 are needed"
    )
    labels[:, MALE] = 0
    assert check_attribute("Male", logits, labels, names) == SkippedAttribute("Male", "no picture has a label")


def test_an_attribute_that_the_classifier_does_not_see_is_skipped() -> None:
    logits, labels, names = folder()
    logits[:] = np.random.default_rng(5).normal(size=logits.shape)
    result = check_attribute("Male", logits, labels, names)
    assert isinstance(result, SkippedAttribute)
    assert result.why.startswith("the classifier does not see it here (balanced accuracy ")


def test_a_combination_that_is_unusual_but_clear_in_the_picture_is_not_doubted() -> None:
    logits, labels, names = folder()
    lipstick = attribute_index("Wearing_Lipstick")
    labels[:, lipstick] = -labels[:, MALE]
    labels[:4, lipstick] = labels[:4, MALE]  # the only ones
    logits[:4, MALE] = 4.0 * labels[:4, MALE]
    _, proposals = found(logits, labels, names)
    assert {proposal.name for proposal in proposals} & set(names[:4]) == set()


def test_matters_of_taste_are_named_as_such() -> None:
    logits, labels, names = folder()
    assert found(logits, labels, names, "Oval_Face")[0].of_taste
    assert not found(logits, labels, names, "Eyeglasses")[0].of_taste
