"""One decode per file: what its bytes and its pixels are, or why there are none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceaug.errors import ImageError
from faceaug.image import decode, read_bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells pictures apart.

    Attributes:
        content: BLAKE2b-128 of the bytes, hex; empty if they could not be read.
        pixels: BLAKE2b-128 of shape and decoded pixels, hex; empty if there are none.
        jpeg: whether the bytes are a JPEG, whatever the name says.
        problem: why there are no pixels; empty if there are.
    """

    content: str
    pixels: str
    jpeg: bool
    problem: str

    @property
    def damaged(self) -> bool:
        """Whether the bytes were read and are no picture: setting the file aside is right."""
        return bool(self.content and self.problem)


def read_signature(path: str) -> Signature:
    """Read and decode one file; never raises for what is in it."""
    try:
        data = read_bytes(path)
    except ImageError as error:
        return Signature("", "", False, error.reason)
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    jpeg = data.startswith(b"\xff\xd8\xff")
    try:
        image = decode(data, name=path)
    except ImageError as error:
        return Signature(content, "", jpeg, error.reason)
    pixels = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    pixels.update(np.ascontiguousarray(image).data)
    return Signature(content, pixels.hexdigest(), jpeg, "")


def is_damaged(path: Path) -> bool:
    """Look again at a file that could not be decoded: a worker short of memory is no damage."""
    return read_signature(str(path)).damaged


def same_content(one: Path, other: Path, *, pixels: bool) -> bool:
    """Compare two files byte by byte, or decoded, pixel by pixel: a digest is a reason to look, not a proof."""
    try:
        a, b = read_bytes(one), read_bytes(other)
        return np.array_equal(decode(a), decode(b)) if pixels else a == b
    except ImageError:
        return False
