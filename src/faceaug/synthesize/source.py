"""SyntheticFaceSource: faces of nobody, as a dataset and as files."""

from __future__ import annotations

import torch
from torch import Tensor


def to_uint8(faces: Tensor) -> Tensor:
    """Generator output as pixels: float (n, 3, H, W) in -1..1 -> uint8, rounded to the nearest level."""
    return faces.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).contiguous()
