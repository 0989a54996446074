"""What the bytes of a picture file say before a pixel is decoded.

Format, size, orientation, whether it is whole: pure functions on bytes, written for hostile input.
Time grows with the file and never with what the file claims, and nothing is allocated for a claimed
size. Pillow is not asked, because looking for the EXIF block of a PNG decodes all of it, and a JPEG
with 50 MB of fill bytes keeps it busy for half a minute.

Sources: JPEG ITU-T T.81 annex B; PNG third edition (W3C, 2025); WebP RFC 9649; BMP [MS-WMF] 2.2.2;
orientation TIFF 6.0 tag 274.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "BMP"]
_EXIF_ORIENTATION = 0x0112
_EXIF_PREFIX = b"Exif\x00\x00"

# Start-of-frame markers: C4, C8 and CC in the same range mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_JPEG_FILL = re.compile(rb"\xff+")
# Marker bytes inside entropy-coded JPEG data that do not end it: stuffing, restarts, fill.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
# Deflate packs at most 1,032 to 1, so less than this cannot keep a decoder busy for more than about a second.
_PNG_SMALL = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may claim before it is decoded: memory and time against hostile pictures."""

    max_bytes: int = 64 * 2**20  # a 32-megapixel camera JPEG has about 15 MB
    max_side: int = 16_384
    max_pixels: int = 32_000_000  # 96 MB decoded
    max_scans: int = 100  # of a progressive JPEG: 38 kB of repeated scans can cost a minute
    max_parts: int = 65_536  # JPEG segments, PNG and WebP chunks; a 64 MB PNG has about 8,000


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


class HeaderError(ValueError):
    """The reason, without a name, why bytes are not an acceptable picture."""


def read_header(data: bytes, limits: Limits) -> Header:
    """Read a picture's header and check it against the limits, its structure and its end.

    Args:
        data: the whole file.
        limits: what it may claim.

    Returns:
        The header; width and height are at least 1.

    Raises:
        HeaderError: not JPEG, PNG, WebP or BMP, damaged, cut off or beyond the limits.
    """
    kind = _format(data)
    if kind == "JPEG":
        width, height, orientation = _read_jpeg(data, limits)
    elif kind == "PNG":
        width, height, orientation = _read_png(data, limits)
    elif kind == "WEBP":
        width, height, orientation = _read_webp(data, limits)
    else:
        width, height, orientation = _read_bmp(data, limits)
    return Header(kind, width, height, orientation)


def _format(data: bytes) -> Format:
    if not data:
        raise HeaderError("is empty")
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and len(data) >= 26:
        return "BMP"
    raise HeaderError("is not a JPEG, PNG, WebP or BMP picture")


def _check_size(width: int, height: int, limits: Limits) -> None:
    if not width or not height:
        raise HeaderError(f"claims {width}x{height} pixels: there is no picture in it")
    if max(width, height) > limits.max_side:
        raise HeaderError(f"claims {width}x{height} pixels; the limit is {limits.max_side} a side")
    if width * height > limits.max_pixels:
        raise HeaderError(f"claims {width}x{height} pixels; the limit is {limits.max_pixels} in all")


def _cut(kind: Format) -> HeaderError:
    return HeaderError(f"is cut off: the {kind} stops before its end")


def _read_jpeg(data: bytes, limits: Limits) -> tuple[int, int, int]:
    width = height = scans = 0
    orientation: int | None = None
    for part, (marker, start, end) in enumerate(_jpeg_segments(data)):
        if part >= limits.max_parts:
            raise HeaderError(f"is a JPEG with more than {limits.max_parts} segments")
        if marker in _JPEG_FRAMES and not width:
            height, width = _big(data, start + 1, 2), _big(data, start + 3, 2)
            _check_size(width, height, limits)
        elif marker == 0xE1 and orientation is None and data.startswith(_EXIF_PREFIX, start):
            orientation = _orientation(data[start:end])
        elif marker == 0xDA:
            scans += 1
            if scans > limits.max_scans:
                raise HeaderError(f"is a JPEG with more than {limits.max_scans} scans")
    if not width or not scans:
        raise HeaderError("has a damaged JPEG header: it describes no picture")
    return width, height, orientation or 1


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end of its content) up to the end marker; raises where the file stops early."""
    at = 2
    while fill := _JPEG_FILL.match(data, at):
        at = fill.end()
        if at >= len(data):
            break
        marker, length = data[at], _big(data, at + 1, 2)
        at += 1
        if marker == 0xD9:
            return
        if marker in _JPEG_ALONE:
            yield marker, at, at
            continue
        if marker == 0 or (length < 2 and at + 2 <= len(data)):
            raise HeaderError("is a damaged JPEG: a segment has no length")
        if at + length > len(data):
            break
        yield marker, at + 2, at + length
        at += length
        if marker == 0xDA:
            found = _JPEG_SCAN_END.search(data, at)
            at = found.start() if found else len(data)
    if at < len(data) and data[at] != 0xFF:
        raise HeaderError("is a damaged JPEG: a marker is missing")
    raise _cut("JPEG")


def _read_png(data: bytes, limits: Limits) -> tuple[int, int, int]:
    view = memoryview(data)
    width = height = row_bytes = 0
    orientation = 1
    packed: list[memoryview] = []
    for part, (name, start, end) in enumerate(_png_chunks(data)):
        if part >= limits.max_parts:
            raise HeaderError(f"is a PNG with more than {limits.max_parts} chunks")
        if (part == 0) != (name == b"IHDR") or (part == 0 and end - start != 13):
            raise HeaderError("has a damaged PNG header")
        _check_chunk(view, name, start, end)
        if name == b"IHDR":
            width, height = _big(data, start, 4), _big(data, start + 4, 4)
            _check_size(width, height, limits)
            row_bytes = 1 + (width * data[start + 8] * _PNG_CHANNELS.get(data[start + 9], 0) + 7) // 8
        elif name == b"eXIf":
            orientation = _orientation(data[start:end])
        elif name == b"IDAT":
            packed.append(view[start:end])
    if sum(map(len, packed)) > _PNG_SMALL and _inflates_beyond(packed, 2 * row_bytes * height):
        raise HeaderError("is a damaged PNG: it holds far more data than its pixels need")
    return width, height, orientation


def _check_chunk(view: memoryview, name: bytes, start: int, end: int) -> None:
    """Refuse what libpng would refuse, before it writes to the terminal about it."""
    critical = name[:1].isupper()
    if not name.isalpha() or (critical and name not in _PNG_CRITICAL):
        raise HeaderError("is a damaged PNG: a chunk has no known name")
    if critical and zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
        raise HeaderError(f"is a damaged PNG: the checksum of its {name.decode()} chunk is wrong")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end of its content) up to IEND; raises where the file stops early."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + _big(data, at, 4)
        if end + 4 > len(data):
            break
        name = data[at + 4 : at + 8]
        yield name, at + 8, end
        if name == b"IEND":
            return
        at = end + 4
    raise _cut("PNG")


def _inflates_beyond(packed: list[memoryview], limit: int) -> bool:
    """Whether compressed data grows beyond so many bytes; holds one megabyte of it at a time."""
    inflater = zlib.decompressobj()
    produced = 0
    try:
        for part in packed:
            rest: bytes | memoryview = part
            while rest and not inflater.eof:
                produced += len(inflater.decompress(rest, 2**20))
                if produced > limit:
                    return True
                rest = inflater.unconsumed_tail
    except zlib.error:
        return False  # the decoder will say so
    return False


def _read_webp(data: bytes, limits: Limits) -> tuple[int, int, int]:
    size: tuple[int, int] | None = None
    orientation = 1
    for part, (name, start, end) in enumerate(_webp_chunks(data)):
        if part >= limits.max_parts:
            raise HeaderError(f"is a WebP with more than {limits.max_parts} chunks")
        if part == 0:
            size = _webp_size(name, data[start : min(end, start + 10)])
        elif name == b"EXIF":
            orientation = _orientation(data[start:end])
    if size is None:
        raise HeaderError("has a damaged WEBP header")
    _check_size(*size, limits)
    return *size, orientation


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    stop = 8 + _little(data, 4, 4)
    if stop > len(data):
        raise _cut("WEBP")
    at = 12
    while at + 8 <= stop:
        length = _little(data, at + 4, 4)
        if at + 8 + length > stop:
            raise HeaderError("is a damaged WEBP: a chunk is longer than the file")
        yield data[at : at + 4], at + 8, at + 8 + length
        at += 8 + length + length % 2


def _webp_size(name: bytes, body: bytes) -> tuple[int, int] | None:
    if name == b"VP8X" and len(body) == 10:
        return 1 + _little(body, 4, 3), 1 + _little(body, 7, 3)
    if name == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = _little(body, 1, 4)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 " and len(body) == 10 and body[3:6] == b"\x9d\x01\x2a":
        return _little(body, 6, 2) & 0x3FFF, _little(body, 8, 2) & 0x3FFF
    return None


def _read_bmp(data: bytes, limits: Limits) -> tuple[int, int, int]:
    header = _little(data, 14, 4)
    if header == 12:
        width, height, at, packing = _little(data, 18, 2), _little(data, 20, 2), 24, 0
    elif header >= 40 and len(data) >= 54:
        width, height = (int.from_bytes(data[k : k + 4], "little", signed=True) for k in (18, 22))
        at, packing = 28, _little(data, 30, 4)
    else:
        raise HeaderError("has a damaged BMP header")
    if width < 0:
        raise HeaderError("has a damaged BMP header")
    height = abs(height)  # negative: stored from the top
    _check_size(width, height, limits)
    if packing not in {0, 3}:
        raise HeaderError("is a compressed BMP, which faceaug does not read; convert it to PNG")
    stride = (width * _little(data, at, 2) + 31) // 32 * 4
    if _little(data, 10, 4) + stride * height > len(data):
        raise _cut("BMP")
    return width, height, 1


def _orientation(exif: bytes) -> int:
    """The orientation in an EXIF block; 1 where it has none, or is damaged: the pixels are whole."""
    tiff = exif.removeprefix(_EXIF_PREFIX)
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    if tiff[:2] not in {b"II", b"MM"}:
        return 1
    at = int.from_bytes(tiff[4:8], order)
    for _ in range(int.from_bytes(tiff[at : at + 2], order)):
        entry = tiff[at + 2 : at + 14]
        if len(entry) < 12:
            return 1
        if int.from_bytes(entry[:2], order) == _EXIF_ORIENTATION:
            wide = int.from_bytes(entry[2:4], order) == 4  # LONG; the standard says SHORT
            value = int.from_bytes(entry[8 : 12 if wide else 10], order)
            return value if 1 <= value <= 8 else 1
        at += 12
    return 1


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
