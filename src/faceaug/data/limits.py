"""Limits for the claims in a picture header, checked before decoding, and their error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits for picture files, which bound the memory and time that a hostile file can take."""

    max_bytes: int = 64 * 2**20  # a 32-megapixel camera JPEG has about 15 MB
    max_side: int = 16_384
    max_pixels: int = 32_000_000  # 96 MB decoded
    max_scans: int = 100  # of a progressive JPEG; 38 kB of repeated scans can take a minute
    max_parts: int = 65_536  # JPEG segments, PNG and WebP chunks; a 64 MB PNG has about 8,000


class HeaderError(ValueError):
    """Why bytes are not an acceptable picture; the message does not name the file."""


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse an empty or too large size.

    Raises:
        HeaderError: the size is beyond the limits.
    """
    if width < 1 or height < 1:
        raise HeaderError(f"claims {width}x{height} pixels: there is no picture in it")
    if max(width, height) > limits.max_side:
        raise HeaderError(f"claims {width}x{height} pixels; the limit is {limits.max_side} a side")
    if width * height > limits.max_pixels:
        raise HeaderError(f"claims {width}x{height} pixels; the limit is {limits.max_pixels} in all")


def cut_off(kind: str) -> HeaderError:
    """The error for a truncated file."""
    return HeaderError(f"is cut off: the {kind} stops before its end")
