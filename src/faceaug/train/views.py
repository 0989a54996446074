"""Augmentation for the classifier: changes that leave a face's attributes as they are.

Faces are mirrored, shifted, scaled, stretched, rotated, recoloured, reduced and partly hidden. All parameters are drawn
first, from one stream, and then applied to the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_SHIFT = 0.06  # of the side, in each direction
_SCALE = 0.12  # from 1/1.12 to 1.12 times the size
_SQUEEZE = 0.15  # aspect ratio from 1/1.15 to 1.15, because users crop and resize their folders in many ways
_TURN = np.deg2rad(8)  # standard deviation
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.25, 0.25, 0.3
_COARSE = {32: 0.25, 40: 0.08, 48: 0.08}  # side in pixels: probability that a face is reduced to it
_HOLE = (0.2, 0.4)  # side of the hidden square, as a share of the face's side
_HIDDEN = 0.4  # share of the faces with a hidden square


@dataclass(frozen=True, slots=True)
class Views:
    """The parameters of n faces.

    Attributes:
        maps: float32 (n, 2, 3), from a point in the result to one in the face, both in -1..1, as for ``affine_grid``.
        brightness: float32 (n,), added.
        contrast: float32 (n,), factor of the distance from the mean.
        saturation: float32 (n,), factor of the distance from grey.
        side: int64 (n,), side in pixels that the face is reduced to before it is enlarged again; 0 for none.
        hole: float32 (n, 3), centre (down, right) and side of the hidden square, as shares of the face's side; side 0
            hides nothing.
    """

    maps: NDArray[np.float32]
    brightness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    saturation: NDArray[np.float32]
    side: NDArray[np.int64]
    hole: NDArray[np.float32]


def draw_views(rng: np.random.Generator, n: int) -> Views:
    """Draw the parameters of n faces."""
    mirrored = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    angle = rng.standard_normal(n) * _TURN
    scale = (1 + _SCALE) ** rng.uniform(-1, 1, n)
    maps = np.empty((n, 2, 3))
    maps[:, 0, 0] = np.cos(angle) * scale * mirrored
    maps[:, 0, 1] = -np.sin(angle) * scale
    maps[:, 1, 0] = np.sin(angle) * scale * mirrored
    maps[:, 1, 1] = np.cos(angle) * scale
    maps[:, :, 2] = rng.uniform(-2 * _SHIFT, 2 * _SHIFT, (n, 2))
    changed = rng.random(n) < 0.5
    brightness, contrast, saturation = (
        np.where(changed, rng.uniform(-reach, reach, n), 0) for reach in (_BRIGHTNESS, _CONTRAST, _SATURATION)
    )
    side = rng.choice([0, *_COARSE], n, p=[1 - sum(_COARSE.values()), *_COARSE.values()])
    squeeze = (1 + _SQUEEZE) ** rng.uniform(-0.5, 0.5, n)
    maps[:, 0] *= squeeze[:, None]
    maps[:, 1] /= squeeze[:, None]
    hole = np.column_stack([rng.random((n, 2)), np.where(rng.random(n) < _HIDDEN, rng.uniform(*_HOLE, n), 0)])
    return Views(
        maps.astype("f4"),
        brightness.astype("f4"),
        (1 + contrast).astype("f4"),
        (1 + saturation).astype("f4"),
        side.astype(np.int64),
        hole.astype("f4"),
    )


def apply_views(faces: Tensor, views: Views) -> Tensor:
    """Apply parameters to faces: float (n, 3, H, W) in -1..1 -> the same shape, in about -1..1."""
    device = faces.device
    grid = F.affine_grid(torch.from_numpy(views.maps).to(device), list(faces.shape), align_corners=False)
    x = F.grid_sample(faces, grid, padding_mode="reflection", align_corners=False)
    brightness, contrast, saturation = (
        torch.from_numpy(v).to(device)[:, None, None, None]
        for v in (views.brightness, views.contrast, views.saturation)
    )
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * saturation + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = ((x - mean) * contrast + mean + brightness).clamp(-1, 1)
    for side in _COARSE:
        chosen = torch.from_numpy(np.flatnonzero(views.side == side)).to(device)
        if len(chosen):
            x[chosen] = coarse(x[chosen], side)
    return x * (1 - _holes(x, torch.from_numpy(views.hole).to(device)))


def coarse(faces: Tensor, side: int) -> Tensor:
    """Reduce faces to side x side pixels and enlarge them again: float (n, 3, H, W)."""
    small = F.interpolate(faces, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, size=faces.shape[2:], mode="bilinear", align_corners=False)


def _holes(x: Tensor, hole: Tensor) -> Tensor:
    """1 inside the hidden square, 0 elsewhere: float (n, 1, H, W)."""
    down, right = ((torch.arange(size, device=x.device) + 0.5) / size for size in x.shape[2:])
    near_down = (down - hole[:, :1]).abs() < hole[:, 2:] / 2  # (n, H)
    near_right = (right - hole[:, 1:2]).abs() < hole[:, 2:] / 2
    return (near_down[:, :, None] & near_right[:, None, :])[:, None].to(x.dtype)
