"""Headers of the formats that Pillow decodes: TIFF, GIF, AVIF, HEIF and PNM (PBM, PGM, PPM).

As in ``headers``, nothing is decoded and nothing is allocated for a claimed size. Orientation is left to the decoder:
Pillow rotates a TIFF while reading it, and takes an AVIF's orientation from its boxes.

Sources: TIFF 6.0 sections 2, 8 and 15; GIF89a; AVIF 1.1 and HEIF with ISO/IEC 14496-12 (boxes) and 23008-12 (``ispe``,
``irot``); Netpbm's ppm(5).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Literal, TypeAlias

from faceaug.data.limits import HeaderError, Limits, check_size, cut_off

Still: TypeAlias = Literal["TIFF", "GIF", "AVIF", "HEIF", "PPM"]
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274  # TIFF tags
_DATA_TAGS = ((273, 279), (324, 325))  # offsets and byte counts of strips and of tiles
_PNM = re.compile(rb"P([1-6])(?:\s+|\s*#[^\n]*\n)+(\d{1,9})(?:\s+|\s*#[^\n]*\n)+(\d{1,9})")
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_DEPTH = 8  # maximum nesting of boxes


def still_format(data: bytes) -> Still | None:
    """The format by its first bytes; None for other formats."""
    if data[:4] in {b"II*\x00", b"MM\x00*"}:
        return "TIFF"
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return "GIF"
    if data[4:8] == b"ftyp" and any(brand in data[8 : min(64, _big(data, 0))] for brand in _AVIF_BRANDS):
        return "AVIF"
    if data[4:8] == b"ftyp" and any(brand in data[8 : min(64, _big(data, 0))] for brand in _HEIF_BRANDS):
        return "HEIF"
    if data[:1] == b"P" and data[1:2] in {b"1", b"2", b"3", b"4", b"5", b"6"} and data[2:3].isspace():
        return "PPM"
    return None


def read_still(kind: Still, data: bytes, limits: Limits) -> tuple[int, int]:
    """(width, height) of the upright picture.

    Args:
        kind: the format, from ``still_format``.
        data: the whole file.
        limits: limits for the claimed size and structure.

    Raises:
        HeaderError: the file is damaged, cut off or beyond the limits.
    """
    if kind == "TIFF":
        size = _read_tiff(data, limits)
    elif kind == "GIF":
        size = _read_gif(data, limits)
    elif kind in {"AVIF", "HEIF"}:
        size = _read_avif(data, limits)
    else:
        size = _read_pnm(data)
    check_size(*size, limits)
    return size


def _read_tiff(data: bytes, limits: Limits) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    tags = {tag: entry for tag, *entry in _tiff_entries(data, order, limits)}
    width, height, orientation = (_tiff_numbers(data, order, tags.get(tag)) for tag in (_WIDTH, _HEIGHT, _ORIENTATION))
    if not width or not height:
        raise HeaderError("has a damaged TIFF header: it describes no picture")
    for offsets, counts in _DATA_TAGS:
        starts, lengths = (_tiff_numbers(data, order, tags.get(tag)) for tag in (offsets, counts))
        if any(start + length > len(data) for start, length in zip(starts, lengths, strict=False)):
            raise cut_off("TIFF")
    rotated = bool(orientation) and 5 <= orientation[0] <= 8
    return (height[0], width[0]) if rotated else (width[0], height[0])


def _tiff_entries(data: bytes, order: str, limits: Limits) -> Iterator[tuple[int, int, int, int]]:
    """Yield (tag, type, number of values, position of the value or its offset) of the first picture's entries."""
    if len(data) < 8:
        raise cut_off("TIFF")
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    if at + 2 > len(data):
        raise cut_off("TIFF")
    (count,) = struct.unpack_from(f"{order}H", data, at)
    if at + 2 + 12 * count > len(data):
        raise cut_off("TIFF")
    if count > limits.max_parts:
        raise HeaderError(f"is a TIFF with more than {limits.max_parts} tags")
    for start in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, start)
        yield tag, kind, number, start + 8


def _tiff_numbers(data: bytes, order: str, entry: list[int] | None) -> list[int]:
    """The values of a tag; empty if it is absent or of another type."""
    kind, number, at = entry or (0, 0, 0)
    size = {3: 2, 4: 4}.get(kind, 0)  # SHORT, LONG
    if not size or not number:
        return []
    if size * number > 4:
        (at,) = struct.unpack_from(f"{order}I", data, at)
    if at + size * number > len(data):
        raise cut_off("TIFF")
    return list(struct.unpack_from(f"{order}{number}{'H' if size == 2 else 'I'}", data, at))


def _read_gif(data: bytes, limits: Limits) -> tuple[int, int]:
    """The size of the screen; checks the blocks up to the end of the first picture."""
    if len(data) < 13:
        raise cut_off("GIF")
    width, height = struct.unpack_from("<HH", data, 6)
    at = 13 + _gif_colours(data[10])
    for _ in range(limits.max_parts):
        block = data[at : at + 1]
        if block == b"!":
            at = _gif_end(data, at + 2)
        elif block == b"," and at + 10 <= len(data):
            left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
            _gif_end(data, at + 11 + _gif_colours(data[at + 9]))
            return max(width, left + wide), max(height, top + high)
        elif block == b";":
            raise HeaderError("is a GIF without a picture")
        elif not block or block == b",":
            raise cut_off("GIF")
        else:
            raise HeaderError("is a damaged GIF: a block has no known kind")
    raise HeaderError(f"is a GIF with more than {limits.max_parts} blocks")


def _gif_colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_end(data: bytes, at: int) -> int:
    """The end of a series of sub-blocks."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise cut_off("GIF")


def _read_avif(data: bytes, limits: Limits) -> tuple[int, int]:
    """The largest size in the file, which is the picture's; tiles and other items are not larger.

    Encoders pad a picture to whole blocks and say in ``clap`` which part of it is shown.
    """
    sizes = [(0, 0)]
    shown: list[tuple[int, int]] = []
    rotated = False
    for name, start, end in _boxes(data, 0, len(data), _DEPTH, limits):
        if name == b"ispe" and end - start >= 12:
            sizes.append((_big(data, start + 4), _big(data, start + 8)))
        elif name == b"clap" and end - start >= 32:
            wide, high = ((_big(data, at), _big(data, at + 4)) for at in (start, start + 8))
            shown += [(wide[0] // wide[1], high[0] // high[1])] if wide[1] and high[1] else []
        elif name == b"irot" and end > start:
            rotated = data[start] & 1 == 1
    width, height = max(sizes, key=_area)
    check_size(width, height, limits)
    cut = max(shown, key=_area, default=(width, height))
    if cut[0] <= width and cut[1] <= height:
        width, height = cut
    return (height, width) if rotated else (width, height)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _boxes(data: bytes, at: int, stop: int, depth: int, limits: Limits) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start, end of its content) of every box, including those in ``meta``, ``iprp`` and ``ipco``."""
    for _ in range(limits.max_parts):
        if at + 8 > stop:
            return
        length = _big(data, at)
        name = data[at + 4 : at + 8]
        head = 8
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
            head = 16
        end = stop if length == 0 else at + length
        if length and length < head:
            raise HeaderError("is damaged: a box is shorter than its head")
        if end > stop:
            raise cut_off("AVIF or HEIF")
        start = at + head
        yield name, start, end
        if name in {b"meta", b"iprp", b"ipco"} and depth:
            yield from _boxes(data, start + (4 if name == b"meta" else 0), end, depth - 1, limits)
        at = end
    raise HeaderError(f"is an AVIF or HEIF with more than {limits.max_parts} boxes")


def _read_pnm(data: bytes) -> tuple[int, int]:
    found = _PNM.match(data[:4096])
    if found is None:
        raise HeaderError("has a damaged PNM header")
    return int(found[2]), int(found[3])


def _big(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
