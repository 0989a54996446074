"""Attributes of a batch, as a loss takes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faceaug.data.annotations import attribute_index
from faceaug.errors import ArgumentError


def attribute_targets(attributes: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """Turn attributes of -1, 0 and 1 into targets of 0 and 1 and a mask of what is known.

    ::

        wanted, known = attribute_targets(targets["attributes"], ["Male", "Smiling"])
        loss = binary_cross_entropy_with_logits(logits[known], wanted[known])

    Args:
        attributes: -1 no, 1 yes, 0 unknown, of any dtype; (..., 40) as a batch's ``target["attributes"]`` has them.
        names: of the attributes to take, in this order; None is all, of any shape.

    Returns:
        (targets, mask), both as ``attributes`` in shape and device: float32, 1 where an attribute is there and 0
        elsewhere; bool, False where it is unknown, whose targets mean nothing.

    Raises:
        ArgumentError: an unknown name, or values other than -1, 0 and 1, such as the 0 and 1 of torchvision's CelebA.
    """
    attributes = torch.as_tensor(attributes)  # rows of NumPy are welcome too
    if names is not None:
        attributes = attributes[..., [attribute_index(name) for name in names]]
    if not bool(((attributes == 0) | (attributes.abs() == 1)).all()):
        raise ArgumentError("attributes: expected -1 without, 1 with and 0 unknown, as target['attributes'] has them")
    return (attributes > 0).float(), attributes != 0
