from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from faceaug import attribute_targets
from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError


def test_signs_become_targets_and_what_is_unknown_is_masked() -> None:
    batch = torch.tensor([[-1, 0, 1], [1, 1, 0]], dtype=torch.int8)
    targets, known = attribute_targets(batch)
    assert targets.dtype == torch.float32
    assert known.dtype == torch.bool
    assert targets.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert known.tolist() == [[True, False, True], [True, True, False]]


def test_the_loss_of_what_is_known_does_not_depend_on_what_is_not() -> None:
    logits = torch.randn(4, 40, generator=torch.Generator().manual_seed(1), requires_grad=True)
    attributes = torch.ones(4, 40, dtype=torch.int8)
    attributes[:, 3] = 0
    targets, known = attribute_targets(attributes)
    binary_cross_entropy_with_logits(logits[known], targets[known]).backward()
    assert logits.grad is not None
    assert not logits.grad[:, 3].any()
    assert logits.grad[:, :3].all()


def test_attributes_are_taken_by_name_in_the_order_given() -> None:
    row = torch.zeros(40, dtype=torch.int8)
    row[ATTRIBUTES.index("Smiling")], row[ATTRIBUTES.index("Male")] = 1, -1
    targets, known = attribute_targets(row, ["Smiling", "Male", "Young"])
    assert targets.tolist() == [1, 0, 0]
    assert known.tolist() == [True, True, False]
    assert attribute_targets(row.numpy())[1].sum() == 2  # type: ignore[arg-type]


def test_an_unknown_name_and_other_numbers_are_refused() -> None:
    with pytest.raises(ArgumentError, match="unknown attribute 'Glasses'"):
        attribute_targets(torch.zeros(40), ["Glasses"])
    with pytest.raises(ArgumentError, match="expected -1 without, 1 with and 0 unknown"):
        attribute_targets(torch.full((2, 40), 2))
