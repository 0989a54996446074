"""Signatures of files, from one decode each: digests of bytes and pixels, and looks, or the reason for having none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.clean.cutouts import read_layers, same_layers, shown_layer
from faceaug.clean.hashes import hash_words, middle_of, small_grey
from faceaug.data.image import Image8, load_cv2, probe, read_bytes
from faceaug.data.profiles import profile_fault
from faceaug.errors import ImageError

VERSION = 4  # of the signatures and comparisons; increasing it invalidates all caches

# One record per picture. "whole" and "middle" are 64-bit hashes; "mirrored_*" are those of the mirror image.
LOOKS = np.dtype(
    [
        ("whole", "<u8"),
        ("middle", "<u8"),
        ("mirrored_whole", "<u8"),
        ("mirrored_middle", "<u8"),
        ("fine", "<u8", (4,)),  # 256-bit hash
        ("mirrored_fine", "<u8", (4,)),
        ("thumbnail", "u1", (32, 32)),  # grey
        ("height", "<u4"),
        ("width", "<u4"),
        ("sharpness", "<f4"),  # standard deviation of the Laplacian, grey levels
        ("brightness", "<f4"),  # mean grey level
        ("quantisation", "<f4"),  # mean step of the JPEG's first quantisation table; 0 if lossless
    ]
)


@dataclass(frozen=True, slots=True)
class Signature:
    """The digests and looks of one file.

    Attributes:
        content: BLAKE2b-128 of the bytes, hex; empty if they could not be read.
        pixels: BLAKE2b-128 of shape and decoded pixels, hex, of transparent pictures on white and on black; empty if
            the file could not be decoded.
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

    def without_looks(self) -> Signature:
        """The same without ``looks``, which take a kilobyte."""
        return replace(self, looks=b"")

    @property
    def damaged(self) -> bool:
        """Whether the bytes were read but cannot be decoded, so that the file may be set aside."""
        return bool(self.content and self.problem)


def read_signature(path: str) -> Signature:
    """Read and decode one file; faults of the file are returned, not raised."""
    return _read(path, looks=True)


def read_exact_signature(path: str) -> Signature:
    """``read_signature`` without looks."""
    return _read(path, looks=False)


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
    grey = Image.fromarray(image).convert("L")
    thumbnail, larger = small_grey(grey, 32), small_grey(grey, 64)
    plain = np.asarray(grey)
    record = np.zeros((), LOOKS)
    of_whole, of_middle = hash_words(np.stack([thumbnail, middle_of(larger)]))[..., 0]
    record["whole"], record["mirrored_whole"] = of_whole
    record["middle"], record["mirrored_middle"] = of_middle
    record["fine"], record["mirrored_fine"] = hash_words(larger[None])[0]
    record["thumbnail"] = thumbnail
    record["height"], record["width"] = plain.shape
    record["sharpness"] = cv2.meanStdDev(cv2.Laplacian(plain, cv2.CV_16S))[1][0, 0]
    record["brightness"] = cv2.mean(plain)[0]
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
    jpeg = data.startswith(b"\xff\xd8\xff")
    try:
        layers = read_layers(data, name=path)
    except ImageError as error:
        return Signature(content, "", jpeg, error.reason)
    pixels = hashlib.blake2b(str(layers[0].shape).encode(), digest_size=16)
    for layer in layers:
        pixels.update(np.ascontiguousarray(layer).data)
    seen = looks_of(shown_layer(layers), data).tobytes() if looks else b""
    header = probe(data, name=path)
    return Signature(content, pixels.hexdigest(), jpeg, "", seen, profile_fault(header.profile, inks=header.inks))
