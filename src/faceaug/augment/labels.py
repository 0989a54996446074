"""Label maps with left and right: a mirror turns the left eye into the right eye, so the labels are exchanged too."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import ArgumentError

LabelSwap: TypeAlias = tuple[tuple[int, int], ...]

# CelebAMask-HQ (Lee et al. 2020), labels 0..18 as its own g_mask.py writes them: eyes 4 5, brows 6 7, ears 8 9.
CELEBAMASK_HQ: LabelSwap = ((4, 5), (6, 7), (8, 9))
# The order that face-parsing.PyTorch made common: brows 2 3, eyes 4 5, ears 7 8.
FACE_PARSING: LabelSwap = ((2, 3), (4, 5), (7, 8))
NAMED: dict[str, LabelSwap] = {"celebamask-hq": CELEBAMASK_HQ, "face-parsing": FACE_PARSING}


def checked_label_swap(value: Any) -> LabelSwap | None:
    """Normalise a name or pairs of labels to pairs as tuples; ArgumentError for anything else."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in NAMED:
            raise ArgumentError(f"label_swap={value!r}: known names are {', '.join(map(repr, NAMED))}; or give pairs")
        return NAMED[value]
    try:
        pairs = tuple((int(a), int(b)) for a, b in value)
    except (TypeError, ValueError):
        raise ArgumentError(f"label_swap={value!r}: expected a name or pairs of labels, [(4, 5), (6, 7)]") from None
    flat = [label for pair in pairs for label in pair]
    if len(set(flat)) != len(flat):
        raise ArgumentError(f"label_swap={value!r}: each label occurs once")
    return pairs


def swapped_labels(mask: NDArray[Any], pairs: LabelSwap) -> NDArray[Any]:
    """Exchange the labels of each pair in a mask; the dtype stays.

    Args:
        mask: label map of any shape; integers.
        pairs: labels to exchange.
    """
    if mask.dtype == np.uint8:
        table = np.arange(256, dtype=np.uint8)
        for a, b in pairs:
            if max(a, b) < 256 and min(a, b) >= 0:
                table[[a, b]] = b, a
        exchanged: NDArray[Any] = table[mask]
        return exchanged
    out = mask.copy()
    for a, b in pairs:
        out[mask == a], out[mask == b] = b, a
    return out
