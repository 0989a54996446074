"""The colour space of a PNG as an ICC profile, made from its chunks.

Source: PNG third edition (W3C, 2025), 4.3 (cICP counts before iCCP, sRGB, then gAMA with cHRM) and 11.3.2; the numbers
of cICP are those of ITU-T H.273 (2023), tables 2 and 3; transfer functions from ITU-R BT.709, BT.2100 (PQ, HLG) and IEC
61966-2-1; profiles from ICC.1:2004.

A profile needs only the primaries and one curve. Brighter values than white in PQ and HLG, which a plain screen cannot
show, are cut off at the reference white of BT.2408: 203 cd/m2, or 75 per cent of HLG's signal.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Curve: TypeAlias = NDArray[np.float64]
PNG_COLOUR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_MOST_PROFILE = 2**22  # bytes; printer profiles have about 2 MB
_STEPS = 4096  # entries of a curve
_NEAR = 0.05  # an exponent this near to 1/2.2 means sRGB, as for libpng
_D65 = (0.3127, 0.3290)
_BT709 = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # white, red, green, blue: x and y each
_PRIMARIES = {
    1: _BT709,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])


def png_profile(chunks: Mapping[bytes, bytes]) -> bytes:
    """The ICC profile of a PNG.

    Args:
        chunks: the contents of its chunks ``PNG_COLOUR``.

    Returns:
        Its own profile or one made from the other chunks; empty for sRGB, damaged chunks, and numbers of cICP that no
        standard defines.
    """
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2] == 0 and is_defined(cicp[0], cicp[1]):
        return coded_profile(cicp[0], cicp[1])
    if b"iCCP" in chunks:
        return _unpacked(chunks[b"iCCP"])
    gamma, points = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    if b"sRGB" in chunks or len(gamma) != 4:
        return b""
    exponent = struct.unpack(">I", gamma)[0] / 100_000
    primaries = tuple(number / 100_000 for number in struct.unpack(">8I", points)) if len(points) == 32 else _BT709
    if not 0.01 <= exponent <= 100 or (primaries == _BT709 and abs(exponent * 2.2 - 1) < _NEAR):
        return b""
    return _made(primaries, 0, exponent)


def is_defined(primaries: int, transfer: int) -> bool:
    """Whether ``coded_profile`` knows these numbers of H.273."""
    return primaries in _PRIMARIES and transfer in _TRANSFERS


def coded_profile(primaries: int, transfer: int) -> bytes:
    """The ICC profile for two numbers of H.273; empty for sRGB and for numbers that are not defined."""
    if not is_defined(primaries, transfer) or (primaries, transfer) == (1, 13):
        return b""
    return _made(_PRIMARIES[primaries], transfer, 0.0)


def _unpacked(chunk: bytes) -> bytes:
    """The profile in an iCCP chunk (name, zero byte, method 0, compressed bytes); empty if it is damaged."""
    packed = chunk.partition(b"\x00")[2][1:]
    try:
        return zlib.decompressobj().decompress(packed, _MOST_PROFILE)
    except zlib.error:
        return b""


@lru_cache(maxsize=64)
def _made(primaries: tuple[float, ...], transfer: int, exponent: float) -> bytes:
    """A profile with these primaries and the curve of a transfer function, or with a power if ``transfer`` is 0."""
    signal = np.linspace(0, 1, _STEPS)
    linear = _TRANSFERS[transfer](signal) if transfer else signal ** (1 / exponent)
    table = np.rint(np.clip(linear, 0, 1) * 65535).astype(">u2").tobytes()
    curve = b"curv\0\0\0\0" + struct.pack(">I", _STEPS) + table
    tags = {b"desc": _text(b"desc"), b"cprt": _text(b"text"), b"wtpt": _xyz(_D50)}
    columns = _colorants(primaries)
    if columns is None:
        return b""
    places = {name: _xyz(columns[:, k]) for k, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return _profile(tags | places | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def _colorants(primaries: tuple[float, ...]) -> NDArray[np.float64] | None:
    """The primaries as columns of XYZ, adapted to D50 by Bradford's method; None if they span no space."""
    points = np.array(primaries).reshape(4, 2)
    if (points[:, 1] <= 0).any() or not (points <= 2).all():
        return None
    xyz = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)]) / points[:, 1]
    white, axes = xyz[:, 0], xyz[:, 1:]
    if abs(np.linalg.det(axes)) < 1e-6:
        return None
    cones = _BRADFORD @ white
    if (cones <= 0).any():
        return None
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD
    columns: NDArray[np.float64] = adapted @ axes @ np.diag(np.linalg.solve(axes, white))
    return columns if np.abs(columns).max() < 2 else None


def _profile(tags: Mapping[bytes, bytes]) -> bytes:
    """An ICC profile for a screen: header, table of tags, tags. Equal tags share their bytes."""
    body, table = b"", b""
    places: dict[bytes, int] = {}
    for name, data in tags.items():
        if data not in places:
            places[data] = 132 + 12 * len(tags) + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", places[data], len(data))
    size = 132 + len(table) + len(body)
    date = struct.pack(">6H", 2025, 1, 1, 0, 0, 0)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + date + b"acsp"
    head += bytes(28) + struct.pack(">3i", *(round(value * 65536) for value in _D50))
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def _text(kind: bytes) -> bytes:
    if kind == b"text":
        return b"text\0\0\0\0none\0"
    return b"desc\0\0\0\0" + struct.pack(">I", 4) + b"PNG\0" + bytes(78)


def _xyz(value: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(number) * 65536) for number in value))


def _power(exponent: float) -> Callable[[_Curve], _Curve]:
    return lambda signal: signal**exponent


def _bt709(signal: _Curve) -> _Curve:
    # Shown as by screens and browsers, which take these curves for sRGB: BT.709's own is that of cameras.
    return _srgb(signal)


def _srgb(signal: _Curve) -> _Curve:
    linear: _Curve = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return linear


def _pq(signal: _Curve) -> _Curve:
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    absolute = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)  # cd/m2
    linear: _Curve = absolute / 203
    return linear


def _hlg(signal: _Curve) -> _Curve:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    white = (np.exp((0.75 - c) / a) + b) / 12
    linear: _Curve = (scene / white) ** 1.2  # the system gamma of a screen of 1,000 cd/m2
    return linear


def _linear(signal: _Curve) -> _Curve:
    return signal


_TRANSFERS: dict[int, Callable[[_Curve], _Curve]] = {
    1: _bt709, 4: _power(2.2), 5: _power(2.8), 6: _bt709, 8: _linear, 13: _srgb, 14: _bt709, 15: _bt709, 16: _pq,
    17: _power(2.6), 18: _hlg,
}  # fmt: skip
