"""Attributes of a batch as targets of a loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faceaug.data.annotations import attribute_index
from faceaug.errors import ArgumentError


def attribute_targets(attributes: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """Turn attributes of -1, 0 and 1 into targets of 0 and 1 and a mask of the known values.

    Args:
        attributes: -1 no, 1 yes, 0 unknown, of any dtype; (..., 40) like ``target["attributes"]`` of a batch.
        names: attributes to select, in this order. None takes all columns of a tensor of any shape.

    Returns:
        (targets, mask) on the device of ``attributes``, (..., len(names)): targets float32, 1 for yes and 0 otherwise;
        mask bool, False where the value is unknown and the target meaningless.

    Raises:
        ArgumentError: an unknown name, or values other than -1, 0 and 1, such as the 0 and 1 of torchvision's CelebA.

    Example:
        >>> import torch
        >>> from torch.nn.functional import binary_cross_entropy_with_logits
        >>> from faceaug import attribute_targets
        >>> batch = torch.zeros(2, 40)  # target["attributes"]: all unknown ...
        >>> batch[:, 20] = torch.tensor([1.0, -1.0])  # ... but Male
        >>> wanted, known = attribute_targets(batch, ["Male", "Smiling"])
        >>> wanted
        tensor([[1., 0.],
                [0., 0.]])
        >>> known
        tensor([[ True, False],
                [ True, False]])
        >>> logits = torch.zeros(2, 2)
        >>> binary_cross_entropy_with_logits(logits[known], wanted[known])
        tensor(0.6931)
    """
    attributes = torch.as_tensor(attributes)  # accepts NumPy arrays too
    if names is not None:
        attributes = attributes[..., [attribute_index(name) for name in names]]
    if not bool(((attributes == 0) | (attributes.abs() == 1)).all()):
        raise ArgumentError("attributes: expected -1 without, 1 with and 0 unknown, as target['attributes'] has them")
    return (attributes > 0).float(), attributes != 0
