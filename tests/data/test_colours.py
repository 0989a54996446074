"""Colours of a PNG that are told by other chunks than an ICC profile."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from PIL import Image

from faceaug.data.colours import PNG_COLOUR
from faceaug.data.image import decode

RAMP = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (2, 1, 3))
P3_POINTS = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
RED_IN_P3 = (234, 51, 35)  # sRGB's red, stored as Display P3
RED_IN_2020 = (202, 71, 32)  # the same as BT.2020 with sRGB's curve


def png(pixels: NDArray[np.uint8], **chunks: bytes) -> bytes:
    """A PNG with these chunks before its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    for name, content in chunks.items():
        body = name.encode() + content
        chunk = struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
        data = data[:33] + chunk + data[33:]
    return data


def plain(*colour: int) -> NDArray[np.uint8]:
    return np.full((4, 4, 3), colour, np.uint8)


def gamma(exponent: float) -> bytes:
    return struct.pack(">I", round(exponent * 100_000))


@pytest.mark.parametrize("pixels", [RAMP, RAMP[:, :, 0]], ids=["rgb", "grey"])
def test_linear_levels_are_shown_as_srgb(pixels: NDArray[np.uint8]) -> None:
    linear = RAMP[0, :, 0] / 255
    shown = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(decode(png(pixels, gAMA=gamma(1)))[0, :, 0] - shown).max() <= 1.5


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": gamma(1 / 2.2)},
        {"gAMA": gamma(1 / 2.2), "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)},
        {"gAMA": gamma(1), "sRGB": b"\0"},
        {"cICP": bytes([1, 13, 0, 1])},
        {"cICP": bytes([1, 13, 0, 1]), "gAMA": gamma(1)},
        {"cICP": bytes([2, 2, 0, 1])},
        {"gAMA": bytes(4)},
        {"gAMA": b"x"},
        {"cHRM": P3_POINTS},
    ],
)
def test_what_is_srgb_or_says_nothing_keeps_every_pixel(chunks: dict[str, bytes]) -> None:
    assert np.array_equal(decode(png(RAMP, **chunks)), RAMP)


@pytest.mark.parametrize(
    ("colour", "chunks"),
    [
        (RED_IN_P3, {"cICP": bytes([12, 13, 0, 1])}),
        (RED_IN_P3, {"cHRM": P3_POINTS, "gAMA": gamma(1 / 2.2)}),
        (RED_IN_2020, {"cICP": bytes([9, 13, 0, 1])}),
        (RED_IN_P3, {"cICP": bytes([12, 13, 0, 1]), "sRGB": b"\0"}),
    ],
)
def test_one_red_stored_in_wider_spaces_is_one_red(colour: tuple[int, int, int], chunks: dict[str, bytes]) -> None:
    assert np.abs(decode(png(plain(*colour), **chunks))[0, 0].astype(int) - (255, 0, 0)).max() <= 8


@pytest.mark.parametrize(("level", "transfer"), [(148, 16), (191, 18)], ids=["PQ", "HLG"])
def test_the_reference_white_of_hdr_is_white_and_beyond_is_cut_off(level: int, transfer: int) -> None:
    cicp = bytes([9, transfer, 0, 1])
    assert decode(png(plain(level, level, level), cICP=cicp)).min() >= 252
    assert decode(png(plain(255, 255, 255), cICP=cicp)).min() == 255
    assert decode(png(plain(0, 0, 0), cICP=cicp)).max() <= 1
    assert 30 < decode(png(plain(level // 2, level // 2, level // 2), cICP=cicp)).mean() < 160


@given(name=st.sampled_from(PNG_COLOUR), content=st.binary(max_size=40), other=st.binary(min_size=4, max_size=4))
def test_any_content_of_these_chunks_gives_a_picture(name: bytes, content: bytes, other: bytes) -> None:
    chunks = {"gAMA": other} | {name.decode(): content}
    assert decode(png(plain(1, 2, 3), **chunks)).shape == (4, 4, 3)
