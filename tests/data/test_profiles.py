from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceaug.data.image import decode, from_pillow
from tests.data.test_stills import AVIF, encoded, smooth

ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 2.2
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)), 2.2
GREY = None, 1.0  # linear


def profile(primaries: tuple[tuple[float, ...], ...] | None, gamma: float) -> bytes:
    """A small ICC profile, version 2.1 (ICC.1:1998-09): a matrix and a curve, or a curve alone."""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))
    text = b"made for a test\0"
    tags = {
        b"wtpt": b"XYZ " + bytes(4) + fixed(*white), b"cprt": b"text" + bytes(4) + text,
        b"desc": b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78),
    }  # fmt: skip
    if primaries is None:
        tags[b"kTRC"] = curve
    for name, point in zip(b"rgb", primaries or (), strict=False):
        tags[bytes([name]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*point)
        tags[bytes([name]) + b"TRC"] = curve
    table, content = b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + content
    space = b"GRAY" if primaries is None else b"RGB "
    head = struct.pack(">I4xI", 128 + len(body), 0x02100000) + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp"
    return head + bytes(28) + fixed(*white) + bytes(48) + body


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
WIDE = {"Adobe RGB": profile(*ADOBE), "Display P3": profile(*P3)}


def muted() -> Image.Image:
    return Image.fromarray((np.asarray(smooth()) * 0.5 + 60).astype(np.uint8))


def moved(icc: bytes) -> Image.Image:
    """What a picture is stored as in another space."""
    there = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    found = ImageCms.profileToProfile(muted(), SRGB, there, outputMode="RGB")
    assert found is not None
    return found


def distance(one: np.ndarray, other: Image.Image) -> float:
    return float(np.abs(one.astype(int) - np.asarray(other)).mean())


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", pytest.param("AVIF", marks=AVIF)])
def test_wide_colours_look_like_their_srgb_original_in_every_format(name: str, kind: str) -> None:
    stored = moved(WIDE[name])
    options = {} if kind in {"PNG", "TIFF"} else {"quality": 100}
    data = encoded(stored, kind, icc_profile=WIDE[name], **options)
    assert distance(np.asarray(stored), muted()) > 3
    assert distance(decode(data), muted()) < 2
    assert distance(from_pillow(Image.open(io.BytesIO(data))), muted()) < 2


def test_transparency_stays_where_colours_are_converted() -> None:
    stored = moved(WIDE["Adobe RGB"]).convert("RGBA")
    stored.putalpha(Image.fromarray(np.pad(np.full((54, 22), 255, np.uint8), ((0, 0), (0, 22)))))
    found = decode(encoded(stored, "PNG", icc_profile=WIDE["Adobe RGB"]))
    assert (found[:, 22:] == 255).all()
    assert np.abs(found[:, :22].astype(int) - np.asarray(muted())[:, :22]).mean() < 2


def test_srgb_under_any_name_keeps_every_pixel() -> None:
    for icc in (SRGB.tobytes(), None):
        options = {} if icc is None else {"icc_profile": icc}
        assert np.array_equal(decode(encoded(smooth(), "PNG", **options)), np.asarray(smooth()))


def test_a_grey_profile_is_for_grey_pictures_alone() -> None:
    icc, grey = profile(*GREY), Image.linear_gradient("L").resize((54, 44))
    stored = encoded(grey, "PNG", icc_profile=icc)
    linear = np.asarray(grey) / 255
    wanted = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(decode(stored)[:, :, 0] - wanted).max() <= 1, "in the shadows too"
    assert np.array_equal(decode(encoded(smooth(), "PNG", icc_profile=icc)), np.asarray(smooth()))
    jpeg = decode(encoded(grey, "JPEG", quality=100, icc_profile=icc))[:, :, 0]
    assert np.abs(jpeg.astype(int) - decode(stored)[:, :, 0]).mean() < 3


@pytest.mark.parametrize("damage", [b"", b"no profile", WIDE["Adobe RGB"][:200], bytes(500)])
def test_a_damaged_profile_leaves_the_pixels(damage: bytes) -> None:
    assert np.array_equal(decode(encoded(smooth(), "PNG", icc_profile=damage)), np.asarray(smooth()))
    assert np.array_equal(from_pillow(Image.open(io.BytesIO(encoded(smooth(), "PNG", icc_profile=damage)))), smooth())


def test_a_profile_in_pieces_is_put_together() -> None:
    icc = WIDE["Adobe RGB"] + bytes(70_000)  # more than one segment of a JPEG holds
    data = encoded(moved(WIDE["Adobe RGB"]), "JPEG", quality=100, subsampling=0, icc_profile=icc)
    assert data.count(b"ICC_PROFILE") == 2
    assert distance(decode(data), muted()) < 2
