"""Bytes <-> uint8 HWC RGB: the only decoder and the only encoder.

What ``clean`` accepts is what the datasets load, because both come through this door. It opens
regular files only, believes the first bytes and never the name, checks every limit from the header
before a pixel is decoded, and settles orientation and colour here: everything behind it sees
upright uint8 RGB.

Two things it cannot do. libjpeg fills a hole in the middle of a JPEG with grey and tells nobody but
the terminal ("Corrupt JPEG data"): such a file counts as readable, and that line can only be kept
off the terminal by turning away the whole process's standard error, which is not ours to do.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin

from faceaug.errors import FaceAugError, ImageError
from faceaug.data.headers import Format, Header, HeaderError, Limits, read_header

__all__ = [
    "DEFAULT_LIMITS",
    "SUFFIXES",
    "Format",
    "Header",
    "Image8",
    "Limits",
    "decode",
    "encode_jpeg",
    "encode_png",
    "encode_webp",
    "load_cv2",
    "probe",
    "read_bytes",
    "read_image",
]

Image8: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
DEFAULT_LIMITS = Limits()


def read_image(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> Image8:
    """Read one picture file.

    Args:
        path: a regular file; symbolic links are not followed.
        limits: refused beyond these, before decoding.

    Returns:
        uint8 (height, width, 3), RGB, upright.

    Raises:
        ImageError: the file is missing, not a regular file, not JPEG, PNG, WebP or BMP, damaged,
            cut off or too big.
    """
    return decode(read_bytes(path, limits), name=str(path), limits=limits)


def read_bytes(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The content of a regular file; ImageError for a FIFO, a device, a link or a folder."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:
        raise ImageError(str(path), "cannot be a file name") from error
    except OSError as error:
        reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be opened ({error.strerror})"
        raise ImageError(str(path), reason) from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError(str(path), "is not a regular file")
        if facts.st_size > limits.max_bytes:
            raise ImageError(str(path), f"has {facts.st_size} bytes; the limit is {limits.max_bytes}")
        with open(descriptor, "rb", closefd=False) as handle:
            data = handle.read(limits.max_bytes + 1)
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    if len(data) > limits.max_bytes:
        raise ImageError(str(path), f"grew beyond the limit of {limits.max_bytes} bytes while it was read")
    return data


def probe(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS) -> Header:
    """Check a picture's header against the limits and its end against truncation, without decoding it.

    Raises:
        ImageError: as ``read_image``, except what only decoding can find.
    """
    try:
        return read_header(data, limits)
    except HeaderError as error:
        raise ImageError(name, str(error)) from error


def decode(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS) -> Image8:
    """Decode the bytes of a JPEG, PNG, WebP or BMP file.

    Args:
        data: the whole file.
        name: how errors call it.
        limits: refused beyond these, before decoding.

    Returns:
        uint8 (height, width, 3), RGB, turned upright by its EXIF orientation. Grey is repeated,
        16 bits are cut to 8, transparency is dropped, of an animation the first picture is taken.

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


def encode_png(image: Image8, *, text: dict[str, str] | None = None, quick: bool = False) -> bytes:
    """Encode uint8 (height, width, 3) RGB as PNG, with optional text chunks.

    Args:
        image: the picture.
        text: keys and values of the chunks.
        quick: one filter for all rows, and look for runs only: photos become a tenth larger at most, in half of the
            time or less; drawings become larger.
    """
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_text(key, value)
    buffer = io.BytesIO()
    if quick:
        _write_quick_png(buffer, image, chunks)
    else:
        Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def _write_quick_png(file: io.BytesIO, image: Image8, chunks: PngImagePlugin.PngInfo) -> None:
    """Pillow and OpenCV compare five filters for every row; the one for what comes from above is chosen here."""
    height, width, _ = image.shape
    rows = image.reshape(height, 3 * width)
    filtered = np.full((height, 1 + 3 * width), 2, np.uint8)  # 2: minus the row above; RFC 2083, section 6
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    stream = zlib.compressobj(1, strategy=zlib.Z_RLE)
    file.write(b"\x89PNG\r\n\x1a\n")
    PngImagePlugin.putchunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    for kind, content, *_ in chunks.chunks:
        PngImagePlugin.putchunk(file, kind, content)
    PngImagePlugin.putchunk(file, b"IDAT", stream.compress(filtered.data) + stream.flush())
    PngImagePlugin.putchunk(file, b"IEND", b"")


def encode_jpeg(image: Image8, *, quality: int = 95) -> bytes:
    """Encode uint8 (height, width, 3) RGB as JPEG with full-resolution colour (4:4:4)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def encode_webp(image: Image8, *, text: dict[str, str] | None = None) -> bytes:
    """Encode uint8 (height, width, 3) RGB as lossless WebP, with optional facts as ImageDescription in its EXIF."""
    exif = Image.Exif()
    if text:
        exif[ExifTags.Base.ImageDescription] = "; ".join(f"{key}={value}" for key, value in text.items())
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True, method=2, exif=exif.tobytes() if text else b"")
    return buffer.getvalue()


@lru_cache(maxsize=1)
def load_cv2() -> ModuleType:
    """Import OpenCV at its first use; where its system libraries are missing, name the cure."""
    try:
        import cv2
    except ImportError as error:
        raise FaceAugError(
            f"OpenCV cannot be loaded ({error}). On a server without a display: "
            "apt-get install libgl1 libglib2.0-0, or "
            "pip uninstall opencv-python && pip install opencv-python-headless"
        ) from error
    return cv2


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
