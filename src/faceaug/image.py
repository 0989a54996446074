"""Bytes <-> uint8 HWC RGB: the only decoder and the only encoder.

What ``clean`` accepts is what the datasets load, because both come through this door. It opens regular files only,
believes the first bytes and never the name, checks every limit from the header before a pixel is decoded, and
settles orientation and colour here: everything behind it sees upright uint8 RGB.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from faceaug.errors import FaceAugError, ImageError

Image8: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB
Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "BMP"]
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_EXIF_ORIENTATION = 0x0112

# Marker bytes inside entropy-coded JPEG data that do not end it: stuffing, restarts, fill.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may claim before it is decoded; protects memory and time from hostile pictures."""

    max_bytes: int = 64 * 2**20  # a 32-megapixel camera JPEG has about 15 MB
    max_side: int = 16_384
    max_pixels: int = 32_000_000  # 96 MB decoded
    max_scans: int = 100  # of a progressive JPEG: 38 kB of repeated scans can cost a minute


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a picture say.

    Attributes:
        format: by magic bytes, not by name.
        width: pixels, before the orientation is applied.
        height: pixels, before the orientation is applied.
        orientation: EXIF value 1..8, 1 = upright.
    """

    format: Format
    width: int
    height: int
    orientation: int


def read_image(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> Image8:
    """Read one picture file.

    Args:
        path: a regular file; symbolic links are not followed.
        limits: refused beyond these, before decoding.

    Returns:
        uint8 (height, width, 3), RGB, upright.

    Raises:
        ImageError: the file is missing, not a regular file, not JPEG, PNG, WebP or BMP, damaged, cut off or too big.
    """
    return decode(read_bytes(path, limits), name=str(path), limits=limits)


def read_bytes(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The content of a regular file; raises ImageError for anything else (a FIFO, a device, a link, a folder)."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be opened ({error.strerror})"
        raise ImageError(str(path), reason) from error
    with os.fdopen(descriptor, "rb") as handle:
        facts = os.fstat(handle.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError(str(path), "is not a regular file")
        if facts.st_size > limits.max_bytes:
            raise ImageError(str(path), f"has {facts.st_size} bytes, more than {limits.max_bytes}")
        try:
            return handle.read(limits.max_bytes + 1)
        except OSError as error:
            raise ImageError(str(path), f"cannot be read ({error.strerror})") from error


def probe(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS) -> Header:
    """Check a picture's header against the limits and its end against truncation, without decoding it.

    Raises:
        ImageError: as ``read_image``, except what only decoding can find.
    """
    kind = _format(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and EXIF complaints: our limits decide
            with Image.open(io.BytesIO(data), formats=[kind]) as picture:
                width, height = picture.size
                orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImageError(name, f"has a damaged {kind} header") from error
    except Exception as error:  # a damaged EXIF block raises whatever its parser stumbles on
        raise ImageError(name, f"has a damaged {kind} header ({type(error).__name__})") from error
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise ImageError(name, f"claims {width}x{height} pixels, more than the limit of {limits.max_pixels}")
    _check_complete(data, kind, name, limits)
    upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return Header(kind, width, height, upright)


def decode(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS) -> Image8:
    """Decode the bytes of a JPEG, PNG, WebP or BMP file.

    Args:
        data: the whole file.
        name: how errors call it.
        limits: refused beyond these, before decoding.

    Returns:
        uint8 (height, width, 3), RGB, turned upright by its EXIF orientation. Grey is repeated, 16 bits are cut
        to 8, transparency is dropped, of an animation the first picture is taken.

    Raises:
        ImageError: see ``read_image``.
    """
    header = probe(data, name=name, limits=limits)
    cv2 = load_cv2()
    try:
        # The orientation is applied below: which formats OpenCV turns by itself changes with its version.
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError) as error:
        raise ImageError(name, f"is a damaged {header.format}") from error
    if bgr is None or bgr.dtype != np.uint8 or bgr.shape != (header.height, header.width, 3):
        raise ImageError(name, f"is a damaged {header.format}: its pixels cannot be decoded")
    rgb: Image8 = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return _upright(rgb, header.orientation)


def encode_png(image: Image8, *, text: dict[str, str] | None = None) -> bytes:
    """Encode uint8 (height, width, 3) RGB as PNG, with optional text chunks."""
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_text(key, value)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def encode_jpeg(image: Image8, *, quality: int = 95) -> bytes:
    """Encode uint8 (height, width, 3) RGB as JPEG with full-resolution colour (4:4:4)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def load_cv2() -> ModuleType:
    """Import OpenCV at its first use, with the cure in the message where its system libraries are missing."""
    try:
        import cv2
    except ImportError as error:
        raise FaceAugError(
            f"OpenCV cannot be loaded ({error}). On a server without a display: apt-get install libgl1 libglib2.0-0, "
            "or pip uninstall opencv-python && pip install opencv-python-headless"
        ) from error
    return cv2


def _format(data: bytes, name: str) -> Format:
    if not data:
        raise ImageError(name, "is empty")
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and len(data) >= 26:
        return "BMP"
    raise ImageError(name, "is not a JPEG, PNG, WebP or BMP picture")


def _check_complete(data: bytes, kind: Format, name: str, limits: Limits) -> None:
    if kind == "JPEG":
        scans, ended = _jpeg_scans(data, limits.max_scans)
        if scans > limits.max_scans:
            raise ImageError(name, f"is a JPEG with more than {limits.max_scans} scans")
        complete = ended
    elif kind == "PNG":
        complete = _png_ends(data)
    elif kind == "WEBP":
        complete = len(data) >= int.from_bytes(data[4:8], "little") + 8
    else:
        complete = len(data) >= int.from_bytes(data[2:6], "little")
    if not complete:
        raise ImageError(name, f"is cut off: the {kind} stops before its end")


def _jpeg_scans(data: bytes, limit: int) -> tuple[int, bool]:
    """Count the scans and tell whether the end marker is reached, walking the segments from the start."""
    scans, at = 0, 2
    while at + 4 <= len(data) + 2 and scans <= limit:
        if data[at : at + 1] != b"\xff":
            return scans, False
        marker = data[at + 1] if at + 1 < len(data) else -1
        if marker == 0xD9:
            return scans, True
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:  # fill and stand-alone markers
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == -1 or length < 2:
            return scans, False
        at += 2 + length
        if marker == 0xDA:
            scans += 1
            found = _JPEG_SCAN_END.search(data, at)
            if found is None:
                return scans, False
            at = found.start()
    return scans, False


def _png_ends(data: bytes) -> bool:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + length
    return False


def _upright(image: Image8, orientation: int) -> Image8:
    """Undo an EXIF orientation (TIFF 6.0 tag 274): values 5..8 also exchange the axes."""
    if orientation == 1:
        return image
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        image = image[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        image = image[::-1]
    return np.ascontiguousarray(image)
