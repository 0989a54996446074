"""Signatures of files: digests of bytes and pixels, and looks, or the reason for having none.

Most pictures of a folder resemble no other one. So a JPEG is looked at in its luma only, at a fraction of its size; its
pixels are decoded, and their digest computed, only where another picture might have the same (``settled``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.clean.cutouts import JPEG, Layers, read_layers, same_layers, shown_layer
from faceaug.clean.glances import LEAST, glance_of
from faceaug.data.image import Image8, decode_luma, load_cv2, probe, read_bytes
from faceaug.data.profiles import profile_fault
from faceaug.errors import ImageError

VERSION = 5  # of the signatures and comparisons; increasing it invalidates all caches

# One record per picture. "whole" and "middle" are 64-bit hashes, see ``Glance``.
LOOKS = np.dtype(
    [
        ("whole", "<u8"),
        ("mirrored_whole", "<u8"),
        ("middle", "<u8"),
        ("thumbnail", "u1", (32, 32)),  # grey
        ("height", "<u4"),
        ("width", "<u4"),
        ("quantisation", "<f4"),  # mean step of the JPEG's first quantisation table; 0 if lossless
    ]
)
_FLAT = 6.0  # standard deviation of a thumbnail, grey levels, below which its hashes are noise


@dataclass(frozen=True, slots=True)
class Signature:
    """The digests and looks of one file.

    Attributes:
        content: BLAKE2b-128 of the bytes, hex; empty if they could not be read.
        pixels: BLAKE2b-128 of shape and decoded pixels, hex, of transparent pictures on white and on black; the same as
            ``content`` if they were not decoded yet; empty if the file could not be.
        jpeg: whether the bytes are a JPEG, regardless of the name.
        problem: the reason why there are no pixels; empty if there are.
        looks: one record of ``LOOKS`` as bytes; empty if there are no pixels or looks were not computed.
        profile: why its ICC profile was ignored, see ``profile_fault``; empty if it was not.
    """

    content: str
    pixels: str
    jpeg: bool
    problem: str
    looks: bytes = b""
    profile: str = ""

    @property
    def settled(self) -> bool:
        """Whether the digest of the pixels is known, or that there are none."""
        return self.pixels != self.content or not self.pixels

    def without_looks(self) -> Signature:
        """The same without ``looks``, which take a kilobyte."""
        return replace(self, looks=b"")

    @property
    def damaged(self) -> bool:
        """Whether the bytes were read but cannot be decoded, so that the file may be set aside."""
        return bool(self.content and self.problem)


def read_signature(path: str) -> Signature:
    """Read and look at one file; faults of the file are returned, not raised. It may not be settled."""
    return _read(path, looks=True)


def read_exact_signature(path: str) -> Signature:
    """``read_signature`` with the digest of the pixels, without looks."""
    return _read(path, looks=False)


def read_sharpness(path: str) -> float:
    """Standard deviation of the Laplacian of a file, grey levels; 0 if it cannot be read."""
    cv2 = load_cv2()
    try:
        grey = Image.fromarray(shown_layer(read_layers(read_bytes(path), name=path))).convert("L")
    except ImageError:
        return 0.0
    return float(cv2.meanStdDev(cv2.Laplacian(np.asarray(grey), cv2.CV_16S))[1][0, 0])


def content_digest(data: bytes) -> str:
    """BLAKE2b-128 of bytes, hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def is_damaged(path: Path) -> bool:
    """Whether a file still cannot be decoded: the first failure may have been a worker short of memory."""
    return read_exact_signature(str(path)).damaged


def same_content(one: Path, other: Path, *, pixels: bool) -> bool:
    """Compare two files byte by byte or pixel by pixel, because equal digests are no proof."""
    try:
        a, b = read_bytes(one), read_bytes(other)
        return same_layers(read_layers(a), read_layers(b)) if pixels else a == b
    except ImageError:
        return False


def looks_of(image: Image8, data: bytes = b"") -> NDArray[np.void]:
    """Compute one record of ``LOOKS``.

    Args:
        image: uint8 (height, width, 3), RGB.
        data: bytes of the file it was decoded from, for the quantisation.
    """
    cv2 = load_cv2()
    height, width = image.shape[:2]
    return _looks(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), height, width, data)


def _looks(luma: NDArray[np.uint8], height: int, width: int, data: bytes) -> NDArray[np.void]:
    seen = glance_of(luma)
    record = np.zeros((), LOOKS)
    record["whole"], record["mirrored_whole"], record["middle"] = seen.words
    record["thumbnail"] = seen.thumbnail
    record["height"], record["width"] = height, width
    record["quantisation"] = jpeg_quantisation(data)
    return record


def jpeg_quantisation(data: bytes) -> float:
    """Mean step of a JPEG's first quantisation table (about 1 at quality 100, 17 at 75); 0 if there is none."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDB and length >= 67:
            wide = data[at + 4] >> 4
            table = np.frombuffer(data[at + 5 : at + 5 + 64 * (1 + wide)], ">u2" if wide else "u1")
            return float(table.mean()) if len(table) == 64 else 0.0
        at += 2 + max(length, 2)
    return 0.0


def _read(path: str, *, looks: bool) -> Signature:
    try:
        data = read_bytes(path)
    except ImageError as error:
        return Signature("", "", False, error.reason)
    content = content_digest(data)
    jpeg = data.startswith(JPEG)
    try:
        header = probe(data, name=path)
        profile = profile_fault(header.profile, inks=header.inks)
        luma = decode_luma(data, header, least=LEAST, name=path) if looks else None
        if luma is not None:
            height, width = (header.width, header.height)[:: 1 if header.orientation >= 5 else -1]
            seen = _looks(luma, height, width, data)
            if float(seen["thumbnail"].std()) >= _FLAT:
                return Signature(content, content, jpeg, "", seen.tobytes(), profile)
        layers = read_layers(data, name=path)
    except ImageError as error:
        return Signature(content, "", jpeg, error.reason)
    if luma is None and looks:
        seen = looks_of(shown_layer(layers), data)
    return Signature(content, _pixel_digest(layers), jpeg, "", seen.tobytes() if looks else b"", profile)


def _pixel_digest(layers: Layers) -> str:
    pixels = hashlib.blake2b(str(layers[0].shape).encode(), digest_size=16)
    for layer in layers:
        pixels.update(np.ascontiguousarray(layer).data)
    return pixels.hexdigest()
