"""Tones of two aligned pictures: the edit of brightness, contrast, gamma, warmth and saturation that lies between them.

A copy may be brighter, warmer or paler as a whole. The edit has six numbers, so that it cannot turn one drawing with
four flat colours into another: what it does not explain is a difference. Where one of two pictures lost its ICC
profile, the profile that is missing explains more than any such edit; that picture is read wrongly.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.alignment import LUMA
from faceaug.data.image import load_cv2

Floats: TypeAlias = NDArray[np.float32]  # colours, 0..1
NEUTRAL = np.array([1, 1, 1, 1, 0, 1], np.float64)  # gains of red, green and blue, gamma, offset, saturation
_LOWEST = np.array([0.5, 0.5, 0.5, 0.4, -0.35, 0.0])
_HIGHEST = np.array([2.0, 2.0, 2.0, 2.5, 0.35, 2.5])
_STEPS = 4
_DONE = 2e-3  # change of the numbers below which there is no need for another step
_NOISE = 4 / 255  # residuals below this are not outliers
_HOLD = 2e-5  # pull towards no edit, for numbers that the colours do not determine
_SEEN = 2 / 255  # RMS of a difference between two readings that can be told from noise
_EXPLAINED = 0.4  # share of it that is left if a profile was ignored

# Exponent of the transfer curve (0: that of sRGB) and the matrix to linear sRGB, of the usual spaces.
# fmt: off
_SPACES: dict[str, tuple[float, tuple[tuple[float, float, float], ...]]] = {
    "Adobe RGB": (2.19921875, ((1.39836, -0.39836, 0.0), (0.0, 1.0, 0.0), (0.0, -0.04293, 1.04293))),
    "Display P3": (0.0, ((1.22494, -0.22494, 0.0), (-0.04206, 1.04206, 0.0), (-0.01964, -0.07864, 1.09827))),
    "ProPhoto RGB": (1.8, ((2.03438, -0.72764, -0.30674), (-0.22883, 1.23173, -0.0029), (-0.00857, -0.15327, 1.16184))),
}
# fmt: on


def toned(colours: Floats, edit: NDArray[np.float64]) -> Floats:
    """Colours after an edit.

    Args:
        colours: float32 (..., 3), 0..1.
        edit: six numbers, see ``fit_tones``.
    """
    cv2 = load_cv2()
    mixed = edit[5] * np.eye(3) + (1 - edit[5]) * LUMA[None, :]
    saturated = cv2.transform(colours.reshape(-1, 1, 3), mixed)
    powers = cv2.pow(np.maximum(saturated, np.float32(1e-3), out=saturated), float(edit[3]))
    scaled = cv2.transform(powers, np.column_stack([np.diag(edit[:3]), np.full(3, edit[4])]))
    changed: Floats = np.clip(scaled, 0, 1, out=scaled).reshape(colours.shape)
    return changed


def fit_tones(one: Floats, other: Floats) -> NDArray[np.float64]:
    """The edit that takes the second picture's colours closest to the first's: float64 (6,).

    Robust Gauss-Newton: places where the pictures differ have little weight.

    Args:
        one: float32 (n, 3), 0..1.
        other: likewise, at the same places.
    """
    edit = NEUTRAL.copy()
    for _ in range(_STEPS):
        now, slopes = _slopes(other, edit)
        residual = one.ravel() - now
        size = np.abs(residual)
        limit = 2 * max(_NOISE, 1.4826 * float(np.median(size)))
        weighted = slopes * np.minimum(1, limit / np.maximum(size, 1e-4))[:, None]
        hold = _HOLD * len(residual)
        normal = weighted.T @ slopes + hold * np.eye(6)
        change = np.linalg.solve(normal, weighted.T @ residual + hold * (NEUTRAL - edit))
        edit = np.clip(edit + np.clip(change, -0.3, 0.3), _LOWEST, _HIGHEST)
        if float(np.abs(change).max()) < _DONE:
            break
    return edit


def _slopes(colours: Floats, edit: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The colours after an edit, float64 (3 n,), and their derivatives by its numbers, float64 (3 n, 6)."""
    luma = (colours @ LUMA)[:, None].astype(np.float64)
    saturated = np.maximum(luma + edit[5] * (colours - luma), 1e-3)
    power = saturated ** edit[3]
    scaled = power * edit[:3]
    slopes = np.zeros((len(colours), 3, 6))
    for channel in range(3):
        slopes[:, channel, channel] = power[:, channel]
    slopes[..., 3] = scaled * np.log(saturated)
    slopes[..., 4] = 1
    slopes[..., 5] = edit[3] * scaled / saturated * (colours - luma)
    shown = scaled + edit[4]
    slopes *= ((shown > 0) & (shown < 1))[..., None]
    return np.clip(shown, 0, 1).ravel(), slopes.reshape(-1, 6)


def misread(one: Floats, other: Floats) -> tuple[int, str]:
    """Which of two pictures was decoded without the profile it was made with.

    Args:
        one: float32 (n, 3), 0..1.
        other: likewise, at the same places.

    Returns:
        1, 2, or 0 for neither; and the space that its numbers mean, see ``read_as``.
    """
    before = _rms(one - other)
    if before < _SEEN:
        return 0, ""
    left = {
        (which, space): _rms(read_as(a, space) - b)
        for which, a, b in ((1, one, other), (2, other, one))
        for space in _SPACES
    }
    best = min(left, key=lambda key: left[key])
    return best if left[best] < _EXPLAINED * before else (0, "")


def _rms(difference: Floats) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def read_as(colours: Floats, space: str) -> Floats:
    """The sRGB colours, 0..1, of numbers that mean another space."""
    exponent, matrix = _SPACES[space]
    curve = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    light = np.power(colours, np.float32(exponent)) if exponent else curve
    linear: Floats = np.clip(light @ np.array(matrix, np.float32).T, 0, 1).astype(np.float32)
    shown: Floats = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return shown
