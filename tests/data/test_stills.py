from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, features

from faceaug import FaceFolder
from faceaug.data.image import decode, from_pillow, picture_size
from faceaug.data.limits import Limits
from faceaug.errors import ImageError

SIDE = (44, 54)  # width, height
TURNED = Image.Exif()
TURNED[0x0112] = 6
AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


def smooth(number: int = 0, size: tuple[int, int] = SIDE) -> Image.Image:
    levels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


EXACT = {
    "TIFF": {}, "TIFF big endian": {"big_endian": True}, "TIFF packed": {"compression": "tiff_lzw"}, "PPM": {},
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_what_loses_nothing_comes_back_exactly(name: str) -> None:
    assert np.array_equal(decode(encoded(smooth(), name.split(maxsplit=1)[0], **EXACT[name])), np.asarray(smooth()))


def test_grey_and_binary_pnm_are_grey() -> None:
    for mode in ("1", "L"):
        image = smooth().convert(mode)
        assert np.array_equal(decode(encoded(image, "PPM")), np.asarray(image.convert("RGB")))
    deep = (np.asarray(smooth().convert("L")).astype(">u2") * 257).tobytes()
    assert np.array_equal(
        decode(b"P5 # sixteen bits\n44 54\n65535\n" + deep), np.asarray(smooth().convert("L").convert("RGB"))
    )


def test_the_first_picture_of_a_gif_is_taken_and_its_ground_is_white() -> None:
    first = smooth().quantize(32)
    data = encoded(first, "GIF", save_all=True, append_images=[smooth(2).quantize(32)])
    assert np.array_equal(decode(data), np.asarray(first.convert("RGB")))
    clear = encoded(first, "GIF", transparency=int(np.asarray(first)[0, 0]))
    assert (decode(clear)[0, 0] == 255).all()


def test_the_first_page_of_a_tiff_is_taken() -> None:
    data = encoded(smooth(), "TIFF", save_all=True, append_images=[smooth(2)])
    assert np.array_equal(decode(data), np.asarray(smooth()))


@AVIF
def test_an_avif_is_as_pillow_reads_it() -> None:
    data = encoded(smooth(), "AVIF", quality=90)
    assert np.array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert np.abs(decode(data).astype(int) - np.asarray(smooth())).mean() < 4


@pytest.mark.parametrize("kind", ["TIFF", pytest.param("AVIF", marks=AVIF)])
def test_orientation_is_applied_once_and_the_size_is_that_of_the_upright_picture(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(smooth(), kind, exif=TURNED.tobytes() if kind == "AVIF" else TURNED))
    assert picture_size(path) == (54, 44)
    upright = np.asarray(smooth().transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(decode(path.read_bytes()) - upright).mean() < 8


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PPM", pytest.param("AVIF", marks=AVIF)])
def test_what_is_cut_off_damaged_or_too_large_is_refused(kind: str) -> None:
    data = encoded(smooth(), kind)
    for end in (9, len(data) // 2, len(data) - 40):
        with pytest.raises(ImageError):
            decode(data[:end])
    with pytest.raises(ImageError, match="claims 44x54 pixels; the limit is 50 a side"):
        decode(data, limits=Limits(max_side=50))


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PPM", pytest.param("AVIF", marks=AVIF)])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_hostile_bytes_raise_nothing_but_the_drawn_error(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(smooth(size=(9, 7)), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        assert decode(bytes(whole)).dtype == np.uint8


def test_a_tiff_that_claims_a_huge_picture_is_refused_from_its_header() -> None:
    entries = [struct.pack("<HHII", tag, 4, 1, 60_000) for tag in (256, 257)]
    data = b"II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + bytes(4)
    with pytest.raises(ImageError, match="claims 60000x60000 pixels"):
        decode(data)


@pytest.mark.parametrize("name", ["a.JFIF", "a.jpe", "a.tif", "a.tiff", "a.gif", "a.apng", "a.dib", "a.pgm"])
def test_a_folder_offers_every_ending_that_is_read(name: str, tmp_path: Path) -> None:
    kinds = {"tif": "TIFF", "tiff": "TIFF", "gif": "GIF", "apng": "PNG", "dib": "BMP", "pgm": "PPM"}
    kind = kinds.get(name[2:], "JPEG")
    (tmp_path / name).write_bytes(encoded(smooth().convert("L") if kind == "PPM" else smooth(), kind))
    folder = FaceFolder(tmp_path)
    assert folder.names == (name,)
    assert folder.read(0).shape == (54, 44, 3)


CLEAR = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


@pytest.mark.parametrize("kind", [*CLEAR, pytest.param("AVIF", marks=AVIF)])
@pytest.mark.parametrize("ground", [(255, 255, 255), (0, 128, 255)])
def test_transparency_is_laid_on_one_ground_from_a_file_and_from_pillow(
    kind: str, ground: tuple[int, int, int]
) -> None:
    image = smooth().convert("RGBA")
    image.putalpha(Image.fromarray(np.pad(np.full((54, 22), 255, np.uint8), ((0, 0), (0, 22)))))
    data = encoded(image, kind, **CLEAR.get(kind, {"quality": 100}))
    found = decode(data, ground=ground)
    assert (np.abs(found[:, 30:].astype(int) - ground) <= 2).all()  # what was cut away does not come back
    assert np.array_equal(found, from_pillow(Image.open(io.BytesIO(data)), ground=ground))
    if kind != "AVIF":
        assert np.array_equal(found[:, :22], np.asarray(smooth())[:, :22])


def test_grey_with_one_transparent_level_is_laid_on_white_at_any_depth() -> None:
    grey = np.asarray(smooth().convert("L"))
    level = int(grey[3, 3])
    for image, clear in ((Image.fromarray(grey), level), (Image.fromarray(grey.astype(np.uint16) * 257), level * 257)):
        found = decode(encoded(image, "PNG", transparency=clear))
        assert (found[grey == level] == 255).all()
        assert np.array_equal(found[grey != level][:, 0], grey[grey != level])


def bmp_with_alpha(alpha: int) -> bytes:
    """A bitmap of version 4 ([MS-WMF] 2.2.2.4) with four masks."""
    red, green, blue = (np.asarray(smooth())[::-1, :, k] for k in range(3))
    pixels = np.stack([blue, green, red, np.full_like(red, alpha)], axis=2).tobytes()
    head = struct.pack("<IiiHHIIiiII", 108, 44, 54, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + head + masks + bytes(52) + pixels


def test_a_bmp_with_a_fourth_channel_is_transparent_unless_that_is_empty() -> None:
    assert np.array_equal(decode(bmp_with_alpha(255)), np.asarray(smooth()))
    assert np.array_equal(decode(bmp_with_alpha(0)), np.asarray(smooth()))
    half = np.asarray(smooth()).astype(int) // 2 + 128
    assert np.abs(decode(bmp_with_alpha(128)) - half).max() <= 2


class TestHeic:
    """HEIC, which pillow-heif decodes."""

    def heic(self, image: Image.Image, **options: Any) -> bytes:
        pillow_heif = pytest.importorskip("pillow_heif", reason="faceaug[heic] is not installed")
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(buffer, **({"quality": 95} | options))
        return buffer.getvalue()

    def test_it_is_read_as_by_its_own_library(self, tmp_path: Path) -> None:
        data = self.heic(smooth())
        assert np.abs(decode(data).astype(int) - np.asarray(smooth())).mean() < 8
        (tmp_path / "face.HEIC").write_bytes(data)
        folder = FaceFolder(tmp_path)
        assert folder.names == ("face.HEIC",)
        assert np.array_equal(folder.read(0), decode(data))
        assert picture_size(tmp_path / "face.HEIC") == SIDE

    def test_it_is_turned_by_its_boxes_alone(self, tmp_path: Path) -> None:
        data = self.heic(smooth(), exif=TURNED.tobytes())  # written with a box that says the same
        upright = np.rot90(np.asarray(smooth()), -1)
        assert decode(data).shape == upright.shape
        assert np.abs(decode(data).astype(int) - upright).mean() < 8
        (tmp_path / "a.heic").write_bytes(data)
        assert picture_size(tmp_path / "a.heic") == (SIDE[1], SIDE[0])
        without = data.replace(b"irot", b"free")
        assert decode(without).shape == np.asarray(smooth()).shape

    def test_what_is_transparent_is_laid_on_the_ground(self) -> None:
        image = smooth().convert("RGBA")
        image.putalpha(0)
        assert np.array_equal(decode(self.heic(image), ground=(0, 255, 0))[0, 0], (0, 255, 0))

    def test_without_the_library_the_error_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = self.heic(smooth())
        monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
        with pytest.raises(ImageError, match=r"python -m pip install 'faceaug\[heic\]'"):
            decode(data)

    def test_every_cut_is_an_error(self) -> None:
        data = self.heic(smooth())
        for end in range(0, len(data), 37):
            with pytest.raises(ImageError):
                decode(data[:end])

    def test_colours_coded_in_its_boxes_are_converted(self) -> None:
        wide = Image.new("RGB", SIDE, (234, 51, 35))  # sRGB's red, stored as Display P3
        coded = {"color_primaries": 12, "transfer_characteristics": 13, "matrix_coefficients": 6}
        data = self.heic(wide, quality=100, **coded)
        assert np.abs(decode(data)[9, 9].astype(int) - (255, 0, 0)).max() <= 8
