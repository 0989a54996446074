"""Masks of any dtype, packed into dtypes that torchvision moves losslessly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Size

_HARMLESS = {np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "float16", "float32", "float64")}
_EXACT = 2**24  # torchvision moves integers as float32, which is exact up to here


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask packed for torchvision.

    Attributes:
        codes: the packed mask, contiguous.
        labels: label of each code; None where the codes are the labels.
        dtype: dtype of the original mask.
    """

    codes: NDArray[Any]
    labels: NDArray[Any] | None
    dtype: np.dtype[Any]

    def unpacked(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Unpack moved codes; a dtype changed by the transform is kept."""
        if self.labels is not None:
            return self.labels[codes.astype(np.int64)]
        return codes.astype(self.dtype) if codes.dtype == self.codes.dtype else codes


def packed(mask: NDArray[Any]) -> PackedMask:
    """Pack a mask for torchvision; 0, the fill for outside pixels, stays 0."""
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
    """Crop or zero-pad a mask (..., height, width) about its centre to (height, width)."""
    out = np.zeros((*mask.shape[:-2], *size), mask.dtype)
    (to_y, from_y), (to_x, from_x) = (_overlap(has, wants) for has, wants in zip(mask.shape[-2:], size, strict=True))
    out[..., to_y, to_x] = mask[..., from_y, from_x]
    return out


def _overlap(has: int, wants: int) -> tuple[slice, slice]:
    start = abs(wants - has) // 2
    count = min(has, wants)
    inner = slice(start, start + count)
    return (inner, slice(0, count)) if wants > has else (slice(0, count), inner)
