"""Parse picture headers without decoding pixels.

Format, size, orientation and completeness: pure functions on bytes, written for hostile input. Run time is linear in
the file size, whatever the file claims, and nothing is allocated for a claimed size. Pillow is not used, because
finding the EXIF block of a PNG decodes all of it, and a JPEG with 50 MB of fill bytes takes it half a minute.

Sources: JPEG ITU-T T.81 annex B; PNG third edition (W3C, 2025); WebP RFC 9649; BMP [MS-WMF] 2.2.2;
orientation TIFF 6.0 tag 274.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from faceaug.data.colours import PNG_COLOUR, png_profile
from faceaug.data.limits import HeaderError, Limits, check_size, cut_off
from faceaug.data.stills import Still, read_still, still_format

Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "BMP"] | Still
Pixels: TypeAlias = Literal["rgb", "grey", "other"]
_EXIF_ORIENTATION = 0x0112
_EXIF_PREFIX = b"Exif\x00\x00"
_ICC_PREFIX = b"ICC_PROFILE\x00"  # followed by the number of the piece and the count of pieces

# Start-of-frame markers; C4, C8 and CC in the same range have other meanings.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_JPEG_FILL = re.compile(rb"\xff+")
# Marker bytes inside entropy-coded JPEG data that do not end it: stuffing, restarts, fill.
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_ALPHA = (4, 6)  # colour types
_JPEG_PIXELS: dict[int, Pixels] = {1: "grey", 3: "rgb"}
_PNG_PIXEL_KINDS: dict[tuple[int, int], Pixels] = {(8, 0): "grey", (8, 2): "rgb"}  # bits, colour type
_BMP_ALPHA = (  # masks of red, green, blue, alpha
    bytes.fromhex("0000ff0000ff0000ff000000000000ff"),
    bytes.fromhex("ff00000000ff00000000ff00000000ff"),
)
_PNG_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_PNG_KEPT = (*PNG_COLOUR, b"acTL")
_PNG_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PNG_PIXELS = (*_PNG_CRITICAL, b"tRNS")
# Deflate compresses at most 1,032 to 1, so less data than this takes a decoder at most about a second.
_PNG_SMALL = 2**20


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a picture file.

    Attributes:
        format: by magic bytes, not by name.
        width: pixels, before the orientation is applied.
        height: pixels, before the orientation is applied.
        orientation: EXIF value 1..8, 1 = upright. Always 1 for formats that Pillow decodes; their size is upright.
        alpha: whether the picture may have transparent pixels.
        inks: whether its colours are CMYK.
        profile: its ICC profile, or one made from other chunks about colour; empty if it has none.
        pixels: "rgb" or "grey" if it is one picture with 8 bits per channel, else "other".
    """

    format: Format
    width: int
    height: int
    orientation: int
    alpha: bool = False
    inks: bool = False
    profile: bytes = b""
    pixels: Pixels = "other"


def read_header(data: bytes, limits: Limits) -> Header:
    """Read a picture's header and check limits, structure and completeness.

    Args:
        data: the whole file.
        limits: limits for the claimed size and structure.

    Returns:
        The header; width and height are at least 1.

    Raises:
        HeaderError: the format is not supported, or the file is damaged, cut off or beyond the limits.
    """
    kind = _format(data)
    if kind == "JPEG":
        return _read_jpeg(data, limits)
    if kind == "PNG":
        return _read_png(data, limits)
    if kind == "WEBP":
        return _read_webp(data, limits)
    if kind == "BMP":
        return _read_bmp(data, limits)
    return Header(kind, *read_still(kind, data, limits), 1)


def read_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """(width, height) of the upright picture, from the header alone; the rest of the file is not checked.

    Args:
        data: the file; for a JPEG the bytes up to the frame header are enough.
        limits: limits for the claimed size.

    Raises:
        HeaderError: these bytes contain no valid size.
    """
    kind = _format(data)
    if kind == "JPEG":
        width, height, orientation = _jpeg_frame(data, limits)
    elif kind == "PNG":
        width, height = _big(data, 16, 4), _big(data, 20, 4)
        blocks = (data[start:end] for name, start, end in _png_chunks(data) if name == b"eXIf")
        orientation = _orientation(next(blocks, b""))
        check_size(width, height, limits)
    else:
        header = read_header(data, limits)
        width, height, orientation = header.width, header.height, header.orientation
    return (height, width) if orientation >= 5 else (width, height)


def _jpeg_frame(data: bytes, limits: Limits) -> tuple[int, int, int]:
    orientation: int | None = None
    for marker, start, end in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            height, width = _big(data, start + 1, 2), _big(data, start + 3, 2)
            check_size(width, height, limits)
            return width, height, orientation or 1
        if marker == 0xE1 and orientation is None and data.startswith(_EXIF_PREFIX, start):
            orientation = _orientation(data[start:end])
    raise HeaderError("has a damaged JPEG header: it describes no picture")


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
    still = still_format(data)
    if still is None:
        raise HeaderError("is not a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIC or PNM picture")
    return still


def _read_jpeg(data: bytes, limits: Limits) -> Header:
    width = height = scans = channels = 0
    orientation: int | None = None
    profile: dict[int, bytes] = {}
    for part, (marker, start, end) in enumerate(_jpeg_segments(data)):
        if part >= limits.max_parts:
            raise HeaderError(f"is a JPEG with more than {limits.max_parts} segments")
        if marker in _JPEG_FRAMES and not width:
            height, width = _big(data, start + 1, 2), _big(data, start + 3, 2)
            channels = _big(data, start + 5, 1)
            check_size(width, height, limits)
        elif marker == 0xE2 and data.startswith(_ICC_PREFIX, start):
            profile.setdefault(_big(data, start + 12, 1), data[start + 14 : end])
        elif marker == 0xE1 and orientation is None and data.startswith(_EXIF_PREFIX, start):
            orientation = _orientation(data[start:end])
        elif marker == 0xDA:
            scans += 1
            if scans > limits.max_scans:
                raise HeaderError(f"is a JPEG with more than {limits.max_scans} scans")
    if not width or not scans:
        raise HeaderError("has a damaged JPEG header: it describes no picture")
    whole = b"".join(profile[number] for number in sorted(profile))
    pixels = _JPEG_PIXELS.get(channels, "other")
    return Header("JPEG", width, height, orientation or 1, inks=channels == 4, profile=whole, pixels=pixels)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end of its content) up to the end marker; HeaderError if the file stops early."""
    at = 2
    while fill := _JPEG_FILL.match(data, at):
        at = fill.end()
        if at >= len(data):
            break
        marker = data[at]
        length = _big(data, at + 1, 2)
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
    raise cut_off("JPEG")


def _read_png(data: bytes, limits: Limits) -> Header:
    view = memoryview(data)
    width = height = row_bytes = 0
    orientation = 1
    alpha = False
    seen: dict[bytes, bytes] = {}
    packed: list[memoryview] = []
    for part, (name, start, end) in enumerate(_png_chunks(data)):
        if part >= limits.max_parts:
            raise HeaderError(f"is a PNG with more than {limits.max_parts} chunks")
        if (part == 0) != (name == b"IHDR") or (part == 0 and end - start != 13):
            raise HeaderError("has a damaged PNG header")
        _check_chunk(view, name, start, end)
        if name == b"IHDR":
            width, height = _big(data, start, 4), _big(data, start + 4, 4)
            check_size(width, height, limits)
            alpha = data[start + 9] in _PNG_ALPHA
            row_bytes = 1 + (width * data[start + 8] * _PNG_CHANNELS.get(data[start + 9], 0) + 7) // 8
        elif name == b"eXIf":
            orientation = _orientation(data[start:end])
        elif name == b"tRNS":
            alpha = True
        elif name in _PNG_KEPT:
            seen.setdefault(name, data[start:end])
        elif name == b"IDAT":
            packed.append(view[start:end])
    if sum(map(len, packed)) > _PNG_SMALL and _inflates_beyond(packed, 2 * row_bytes * height):
        raise HeaderError("is a damaged PNG: it holds far more data than its pixels need")
    kind = _PNG_PIXEL_KINDS.get((data[24], data[25]), "other") if b"acTL" not in seen else "other"
    return Header(
        "PNG", width, height, orientation, alpha=alpha, profile=png_profile(seen), pixels=kind
    )  # fmt: skip


def _check_chunk(view: memoryview, name: bytes, start: int, end: int) -> None:
    """Refuse chunks that libpng would refuse, before it prints to the terminal."""
    critical = name[:1].isupper()
    if not name.isalpha() or (critical and name not in _PNG_CRITICAL):
        raise HeaderError("is a damaged PNG: a chunk has no known name")
    if critical and zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
        raise HeaderError(f"is a damaged PNG: the checksum of its {name.decode()} chunk is wrong")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start, end of its content) up to IEND; HeaderError if the file stops early."""
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
    raise cut_off("PNG")


def without_animation(data: bytes, *, bare: bool = False) -> bytes:
    """Reduce an animated PNG to its still picture, which viewers without support for animation show.

    That picture is either the first frame of the animation or a separate cover; a chunk before it says which (PNG third
    edition, 4.5). Decoders disagree: from memory OpenCV returns the first frame, from a file the cover; Pillow returns
    the cover.

    Args:
        data: a whole PNG that ``read_header`` has accepted; other data is returned unchanged.
        bare: also drop texts, profiles and all other chunks that are not pixels.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or not (bare or b"acTL" in data):
        return data
    kept = [data[:8]]
    for name, start, end in _png_chunks(data):
        if name in _PNG_PIXELS or not (bare or name in _PNG_ANIMATION):
            kept.append(data[start - 8 : end + 4])
    return b"".join(kept)


def _inflates_beyond(packed: list[memoryview], limit: int) -> bool:
    """Whether compressed data inflates to more than ``limit`` bytes; at most one megabyte is held at a time."""
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
        return False  # left to the decoder
    return False


def _read_webp(data: bytes, limits: Limits) -> Header:
    size: tuple[int, int] | None = None
    orientation = 1
    alpha = animated = False
    profile = b""
    for part, (name, start, end) in enumerate(_webp_chunks(data)):
        if part >= limits.max_parts:
            raise HeaderError(f"is a WebP with more than {limits.max_parts} chunks")
        if part == 0:
            size = _webp_size(name, data[start : min(end, start + 10)])
            alpha = _little(data, start + {b"VP8L": 4}.get(name, 0), 1) & 0x10 > 0 and name != b"VP8 "
        elif name == b"ICCP":
            profile = data[start:end]
        elif name == b"ANIM":
            animated = True
        elif name == b"EXIF":
            orientation = _orientation(data[start:end])
    if size is None:
        raise HeaderError("has a damaged WEBP header")
    check_size(*size, limits)
    pixels: Pixels = "other" if animated else "rgb"
    return Header("WEBP", *size, orientation, alpha=alpha, profile=profile, pixels=pixels)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    stop = 8 + _little(data, 4, 4)
    if stop > len(data):
        raise cut_off("WEBP")
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


def _read_bmp(data: bytes, limits: Limits) -> Header:
    header = _little(data, 14, 4)
    if header == 12:
        width, height = _little(data, 18, 2), _little(data, 20, 2)
        at = 24
        packing = 0
    elif header >= 40 and len(data) >= 54:
        width, height = (int.from_bytes(data[k : k + 4], "little", signed=True) for k in (18, 22))
        at = 28
        packing = _little(data, 30, 4)
    else:
        raise HeaderError("has a damaged BMP header")
    if width < 0:
        raise HeaderError("has a damaged BMP header")
    height = abs(height)  # negative means that rows are stored from the top
    check_size(width, height, limits)
    if packing not in {0, 3}:
        raise HeaderError("is a compressed BMP, which faceaug does not read; convert it to PNG")
    stride = (width * _little(data, at, 2) + 31) // 32 * 4
    if _little(data, 10, 4) + stride * height > len(data):
        raise cut_off("BMP")
    return Header("BMP", width, height, 1, alpha=header >= 56 and packing == 3 and data[54:70] in _BMP_ALPHA)


def _orientation(exif: bytes) -> int:
    """The orientation in an EXIF block; 1 if it has none or is damaged, because the pixels may still be intact."""
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
