"""ICC profiles: convert pictures of other colour spaces to sRGB, as a viewer shows them.

LittleCMS (Pillow's ImageCms) converts with the perceptual intent. A profile that changes no colour by more than two
levels is treated as sRGB, and the pixels stay unchanged. A damaged profile, or one for another colour model (CMYK on an
RGB picture), is ignored, as in browsers.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile -> Pillow mode
_TOLERANCE = 2  # levels
_STEPS = 9  # test colours per channel


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture without transparency to RGB in sRGB.

    Args:
        image: a picture of mode 1, L, P, RGB, YCbCr or CMYK.
        profile: its ICC profile; None if it has none.

    Returns:
        A picture of mode RGB.

    Raises:
        ValueError: Pillow cannot convert its mode.
    """
    if profile:
        mode = _mode_of(profile)
        given = image.convert("L") if mode == "L" and image.mode in {"1", "L"} else image
        given = image.convert("RGB") if mode == "RGB" and image.mode != "CMYK" else given
        transform = _transform(profile) if mode == given.mode else None
        if transform is not None:
            shown = ImageCms.applyTransform(given, transform)
            if shown is not None:
                return shown
    return image.convert("RGB")


def array_to_srgb(rgb: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """Convert a decoded uint8 (height, width, 3) array to sRGB; grey pictures have three equal channels."""
    if not profile or (mode := _mode_of(profile)) not in {"RGB", "L"} or _transform(profile) is None:
        return rgb
    if mode == "RGB":
        return np.array(to_srgb(Image.fromarray(rgb), profile))
    grey = rgb[:, :, 0]
    is_grey = (grey == rgb[:, :, 1]).all() and (grey == rgb[:, :, 2]).all()
    return np.array(to_srgb(Image.fromarray(np.ascontiguousarray(grey)), profile)) if is_grey else rgb


def _mode_of(profile: bytes) -> str:
    """The Pillow mode for a profile, from its header; "" for unsupported colour spaces."""
    return _SPACES.get(profile[16:20].decode("latin-1").strip(), "")


@lru_cache(maxsize=64)
def profile_fault(profile: bytes, *, inks: bool = False) -> str:
    """Why an ICC profile is ignored; "" if it is not, or if there is none.

    Args:
        profile: the profile.
        inks: whether the picture's colours are CMYK.
    """
    if not profile:
        return ""
    mode = _mode_of(profile)
    if not mode or (mode == "CMYK") != inks:
        return "of another colour model"
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return "damaged"
    return ""


@lru_cache(maxsize=64)
def _transform(profile: bytes) -> Any:
    """The transform from a profile to sRGB; None if the profile is sRGB already, or damaged."""
    mode = _mode_of(profile)
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # Optimised, a grey curve is a coarse table: shadows come out up to ten levels too dark.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        found = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
        return None if mode != "CMYK" and _is_near_identity(found, mode) else found
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _is_near_identity(transform: Any, mode: str) -> bool:
    levels = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(_STEPS, -1, 3)
    if mode == "L":
        colours = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    before = Image.fromarray(np.ascontiguousarray(colours[:, :, 0]) if mode == "L" else colours)
    after = np.asarray(ImageCms.applyTransform(before, transform))
    return int(np.abs(after.astype(np.int16) - colours).max()) <= _TOLERANCE


def is_srgb(profile: bytes) -> bool:
    """Whether ``array_to_srgb`` leaves RGB pixels with this profile unchanged."""
    return not profile or _mode_of(profile) not in {"RGB", "L"} or _transform(profile) is None
