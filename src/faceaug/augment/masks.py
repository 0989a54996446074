"""Masks of any dtype in ones that torchvision moves without harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Size

_HARMLESS = {np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "float16", "float32", "float64")}
_EXACT = 2**24  # torchvision moves whole numbers as float32, which knows no odd ones beyond


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask on its way through torchvision.

    Attributes:
        codes: what goes there, contiguous.
        labels: what each code stands for; None where the codes are the labels.
        dtype: of the mask.
    """

    codes: NDArray[Any]
    labels: NDArray[Any] | None
    dtype: np.dtype[Any]

    def unpacked(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The mask of moved codes; another dtype that the transform chose stays."""
        if self.labels is not None:
            return self.labels[codes.astype(np.int64)]
        return codes.astype(self.dtype) if codes.dtype == self.codes.dtype else codes


def packed(mask: NDArray[Any]) -> PackedMask:
    """A mask as torchvision can move it: 0, which fills what comes from outside, stays 0."""
    if mask.dtype in _HARMLESS:
        return PackedMask(np.ascontiguousarray(mask), None, mask.dtype)
    low, high = (int(mask.min()), int(mask.max())) if mask.size else (0, 0)
    if low >= -_EXACT and high <= _EXACT:
        return PackedMask(np.ascontiguousarray(mask, np.int32), None, mask.dtype)
    labels = np.unique(np.append(mask, mask.dtype.type(0)))
    zero = int(np.searchsorted(labels, 0))
    labels[[0, zero]] = labels[[zero, 0]]
    order = np.argsort(labels, kind="stable")
    codes = order[np.searchsorted(labels, mask, sorter=order)]
    return PackedMask(np.ascontiguousarray(codes, np.int32), labels, mask.dtype)


def fitted(mask: NDArray[Any], size: Size) -> NDArray[Any]:
    """A mask (..., height, width) cut or filled up with 0 to (height, width), about its middle."""
    out = np.zeros((*mask.shape[:-2], *size), mask.dtype)
    (to_y, from_y), (to_x, from_x) = (_overlap(has, wants) for has, wants in zip(mask.shape[-2:], size, strict=True))
    out[..., to_y, to_x] = mask[..., from_y, from_x]
    return out


def _overlap(has: int, wants: int) -> tuple[slice, slice]:
    start, count = abs(wants - has) // 2, min(has, wants)
    inner = slice(start, start + count)
    return (inner, slice(0, count)) if wants > has else (slice(0, count), inner)
