"""Compare many pairs of thumbnails at once: one program over arrays, where a pair by itself takes four times as long.

The steps are those of ``alignment``, with a map for each pair: a row (xx, xy, tx, yx, yy, ty) as in ``Affine``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.alignment import FAR, MARGIN
from faceaug.data.image import load_cv2

Floats: TypeAlias = NDArray[np.float32]
Maps: TypeAlias = NDArray[np.float64]  # (n, 6)
_SIDE = 32
_STEPS = 4
_PLAIN = 0.9  # agreement that no alignment need improve
_SIGMA = _SIDE / 22  # what is smoother is no detail
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_LEAST = 8  # pixels of a side that must be left


def agreements(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Correlation of the detail of pairs of thumbnails, aligned unless they agree without.

    Args:
        one: uint8 (n, 32, 32).
        other: likewise.

    Returns:
        float64 (n,).
    """
    first, second = one.astype(np.float32), other.astype(np.float32)
    found = _unmoved_detail(first, second)
    open_ = np.flatnonzero(found < _PLAIN)
    if len(open_):
        maps = _align(first[open_], second[open_])
        found[open_] = _detail(first[open_], _warp(second[open_], maps), maps)
    return found


def _align(first: Floats, second: Floats) -> Maps:
    """The maps from the first to the second thumbnails."""
    maps = np.tile(np.array(_IDENTITY), (len(first), 1))
    moving = np.arange(len(first))
    basis = np.ones((len(first), 9, _SIDE, _SIDE), np.float32)  # used again in every step: fresh memory takes longer
    weighted = np.empty((len(first), 8, _SIDE * _SIDE), np.float32)
    for _ in range(_STEPS):
        left = len(moving)
        maps[moving], moved = _step(first[moving], second[moving], maps[moving], basis[:left], weighted[:left])
        moving = moving[moved >= 1]
        if not len(moving):
            break
    return maps


def _step(
    first: Floats, second: Floats, maps: Maps, basis: Floats, weighted: Floats
) -> tuple[Maps, NDArray[np.float64]]:
    """A Gauss-Newton step of every pair: the maps, and how far each moved; see ``alignment.step``.

    Args:
        first: float32 (n, 32, 32).
        second: likewise.
        maps: the maps so far.
        basis: float32 (n, 9, 32, 32) with ones in its second row, to write to.
        weighted: float32 (n, 8, 1024), to write to.
    """
    n = len(first)
    mask = _inside(maps).reshape(n, -1)
    warped = _warp(second, maps)
    basis[:, 0], basis[:, 8] = warped, first
    padded = np.pad(warped, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    down = padded[:, 2:] - padded[:, :-2]
    across = padded[:, :, 2:] - padded[:, :, :-2]
    basis[:, 2] = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) * np.float32(0.125)
    basis[:, 5] = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) * np.float32(0.125)
    places = _places()
    for row in (2, 5):
        np.multiply(basis[:, row], places, out=basis[:, row + 1])
        np.multiply(basis[:, row], places[:, None], out=basis[:, row + 2])
    flat = basis.reshape(n, 9, -1)
    seen = mask.astype(np.float32)
    residual = np.abs(flat[:, 8] - (_solve(flat, seen, weighted)[:, None].astype(np.float32) @ flat[:, :8])[:, 0])
    count = mask.sum(axis=1)
    order = np.sort(np.where(mask, residual, np.float32(np.inf)), axis=1)
    middle = order[np.arange(n), np.minimum(count // 2, order.shape[1] - 1)]
    limit = 2 * np.maximum(1, 1.4826 * middle)[:, None]
    fit = _solve(flat, np.minimum(1, limit / np.maximum(residual, 1e-3)).astype(np.float32) * seen, weighted)
    gain = np.where(np.abs(fit[:, :1]) > 0.2, fit[:, :1], 0.2)
    changed, moved = _plus(maps, fit[:, 2:] / gain)
    enough = count >= 64
    return np.where(enough[:, None], changed, maps), np.where(enough, moved, 0)


def _solve(basis: Floats, weight: Floats, weighted: Floats) -> NDArray[np.float64]:
    """Least-squares coefficients of the ninth row in the first eight: float64 (n, 8)."""
    np.multiply(basis[:, :8], weight[:, None], out=weighted)
    products = (weighted @ basis.transpose(0, 2, 1)).astype(np.float64)
    normal = products[:, :, :8]
    diagonal = np.arange(8)
    normal[:, diagonal, diagonal] = normal[:, diagonal, diagonal] * (1 + 1e-4) + 1e-3
    return np.asarray(np.linalg.solve(normal, products[:, :, 8:])[..., 0], np.float64)


def _plus(maps: Maps, change: NDArray[np.float64]) -> tuple[Maps, NDArray[np.float64]]:
    """See ``Affine.plus``; the change is that of tx, xx, xy, ty, yx, yy."""
    step = change[:, [1, 2, 0, 4, 5, 3]]
    shifts = np.array([False, False, True, False, False, True])
    most = np.where(shifts, 0.03 * _SIDE, 0.05)
    step = np.clip(step, -most, most)
    moved = (np.abs(step) / np.where(shifts, 0.02, 0.04 / _SIDE)).max(axis=1)
    reach = np.where(shifts, 0.1 * _SIDE, FAR)
    return np.clip(maps - _IDENTITY + step, -reach, reach) + _IDENTITY, moved


def _warp(images: Floats, maps: Maps) -> Floats:
    cv2 = load_cv2()
    half = (_SIDE - 1) / 2
    matrices = maps.reshape(-1, 2, 3).copy()
    matrices[:, :, 2] += half - matrices[:, :, :2].sum(axis=2) * half
    warped = np.empty_like(images)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for image, matrix, out in zip(images, matrices, warped, strict=True):
        cv2.warpAffine(image, matrix, (_SIDE, _SIDE), dst=out, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return warped


def _inside(maps: Maps) -> NDArray[np.bool_]:
    """See ``alignment.inside``: bool (n, 32, 32)."""
    pixels = np.arange(_SIDE)
    top, bottom, left, right = _bounds(maps)[..., None]
    columns = (pixels >= left) & (pixels < right)
    rows = (pixels >= top) & (pixels < bottom)
    both: NDArray[np.bool_] = rows[:, :, None] & columns[:, None]
    return both


def _bounds(maps: Maps) -> NDArray[np.int64]:
    """First and last row, first and last column inside: int64 (4, n), the last ones exclusive."""
    xx, xy, tx, yx, yy, ty = maps.T
    return np.stack([*_between(yy, yx, ty), *_between(xx, xy, tx)]).astype(np.int64)


def _between(
    stretch: NDArray[np.float64], turn: NDArray[np.float64], shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    half = (_SIDE - 1) / 2
    reach = half - max(1.0, MARGIN * _SIDE)
    turned = np.abs(turn) * half
    low = np.maximum(-reach, (turned - reach - shift) / np.maximum(stretch, 0.5)) + half
    high = np.minimum(reach, (reach - turned - shift) / np.maximum(stretch, 0.5)) + half
    return np.ceil(low), np.floor(high) + 1


def _detail(first: Floats, second: Floats, maps: Maps) -> NDArray[np.float64]:
    """Correlation of the detail of aligned thumbnails, where both show something."""
    cv2 = load_cv2()
    found = np.zeros(len(first))
    for at, (top, bottom, left, right) in enumerate(_bounds(maps).T.tolist()):
        if min(bottom - top, right - left) >= _LEAST:
            a, b = (x[at, top:bottom, left:right] for x in (first, second))
            a, b = ((x - cv2.GaussianBlur(x, (0, 0), _SIGMA)).ravel() for x in (a, b))
            found[at] = _correlations(a[None], b[None], len(a))[0]
    return found


def _unmoved_detail(first: Floats, second: Floats) -> NDArray[np.float64]:
    """The same of thumbnails as they are."""
    top, bottom, left, right = _bounds(np.array([_IDENTITY]))[:, 0].tolist()
    smooth = _smoothing(bottom - top)
    seen = (x[:, top:bottom, left:right] for x in (first, second))
    a, b = (np.asarray(x - smooth @ x @ smooth.T, np.float32).reshape(len(x), smooth.size) for x in seen)
    return _correlations(a, b, smooth.size)


def _correlations(a: Floats, b: Floats, count: int) -> NDArray[np.float64]:
    a, b = (x - x.sum(axis=1, keepdims=True) / np.float32(count) for x in (a, b))
    power = np.einsum("ij,ij->i", a, a, dtype=np.float64) * np.einsum("ij,ij->i", b, b, dtype=np.float64)
    found = np.einsum("ij,ij->i", a, b, dtype=np.float64) / np.sqrt(np.maximum(power, 1e-3))
    return np.where(power > 1e-3, found, 0.0)


@lru_cache(maxsize=1)
def _places() -> Floats:
    return np.arange(_SIDE, dtype=np.float32) - np.float32((_SIDE - 1) / 2)


@lru_cache(maxsize=1)
def _smoothing(side: int) -> Floats:
    """The matrix that blurs along one axis."""
    cv2 = load_cv2()
    columns = [cv2.GaussianBlur(column[:, None], (1, 0), sigmaX=1e-6, sigmaY=_SIGMA) for column in np.eye(side)]
    matrix: Floats = np.concatenate(columns, axis=1).astype(np.float32)
    return matrix
