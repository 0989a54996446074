"""What a picture file may claim before it is decoded, and the error of one that claims more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may claim before it is decoded: memory and time against hostile pictures."""

    max_bytes: int = 64 * 2**20  # a 32-megapixel camera JPEG has about 15 MB
    max_side: int = 16_384
    max_pixels: int = 32_000_000  # 96 MB decoded
    max_scans: int = 100  # of a progressive JPEG: 38 kB of repeated scans can cost a minute
    max_parts: int = 65_536  # JPEG segments, PNG and WebP chunks; a 64 MB PNG has about 8,000


class HeaderError(ValueError):
    """The reason, without a name, why bytes are not an acceptable picture."""


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse a size that is none, or too large.

    Raises:
        HeaderError: see above.
    """
    if width < 1 or height < 1:
        raise HeaderError(f"claims {width}x{height} pixels: there is no picture in it")
    if max(width, height) > limits.max_side:
        raise HeaderError(f"claims {width}x{height} pixels; the limit is {limits.max_side} a side")
    if width * height > limits.max_pixels:
        raise HeaderError(f"claims {width}x{height} pixels; the limit is {limits.max_pixels} in all")


def cut_off(kind: str) -> HeaderError:
    """The error of a file that stops too early."""
    return HeaderError(f"is cut off: the {kind} stops before its end")
