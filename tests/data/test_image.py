from __future__ import annotations

import contextlib
import io
import os
import socket
import struct
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageOps

from faceaug.data.headers import without_animation
from faceaug.data.image import (
    Limits,
    decode,
    decode_luma,
    encode_jpeg,
    encode_png,
    from_pillow,
    picture_size,
    probe,
    read_bytes,
    read_image,
)
from faceaug.draws import stream
from faceaug.errors import ArgumentError, ImageError
from faceaug.synthesize import SyntheticFaceSource
from tests.conftest import picture

FORMATS = {
    "baseline JPEG": ("JPEG", {"quality": 90}),
    "progressive JPEG": ("JPEG", {"quality": 90, "progressive": True}),
    "PNG": ("PNG", {}),
    "lossy WebP": ("WEBP", {"quality": 90}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "BMP": ("BMP", {}),
}


def encoded(image: Image.Image | NDArray[np.uint8], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    chosen = image if isinstance(image, Image.Image) else Image.fromarray(image)
    chosen.save(buffer, kind, **options)
    return buffer.getvalue()


def small(seed: int = 1) -> Image.Image:
    return Image.fromarray(picture(seed, height=54, width=44))


def with_thumbnail(image: Image.Image, orientation: int = 1) -> bytes:
    """A JPEG whose EXIF block holds another JPEG, end marker included."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", exif=exif.tobytes() + encoded(picture(9, height=20, width=16), "JPEG"))


def by_pillow(data: bytes) -> NDArray[np.int16]:
    return from_pillow(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).astype(np.int16)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def scans_repeated(data: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def accepted(data: bytes) -> bool:
    try:
        decode(data)
    except ImageError:
        return False
    return True


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_fifo_named_like_a_picture_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.jpg")
    began = time.monotonic()
    with pytest.raises(ImageError, match=r"p\.jpg: is not a regular file"):
        read_image(tmp_path / "p.jpg")
    assert time.monotonic() - began < 2


def test_links_folders_devices_sockets_and_missing_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(encode_png(picture(0)))
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.png").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # a socket's name may have 107 bytes
    listener.bind("s.png")
    os.chdir(here)
    reasons = {
        "link.png": "is a symbolic link",
        "dangling.png": "is a symbolic link",
        "folder.png": "is not a regular file",
        "missing.png": "cannot be opened",
        "s.png": "cannot be opened",
        "nul\0.png": "cannot be a file name",
        "x" * 300 + ".png": "cannot be opened",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / name)
        assert caught.value.reason.startswith(reason), name
        assert caught.value.name == str(tmp_path / name)
    with pytest.raises(ImageError, match="is not a regular file"):
        read_image("/dev/zero")
    listener.close()
    assert np.array_equal(read_image(tmp_path / "real.png"), picture(0))


def test_no_file_stays_open_after_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(ImageError):
            read_bytes(tmp_path / "folder")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_name_that_is_not_utf8_is_read_and_printed_safely(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/face\xff\n.png"))
    path.write_bytes(encode_png(picture(0)))
    assert read_image(path).shape == (218, 178, 3)
    path.write_bytes(b"no")
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert r"face\xff\n.png: is not a JPEG" in str(caught.value)


def test_the_first_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "png.jpg").write_bytes(encode_png(picture(1)))
    assert np.array_equal(read_image(tmp_path / "png.jpg"), picture(1))
    others = {
        "icon": encoded(small(), "ICO"),
        "tga": encoded(small(), "TGA"),
        "text": b"a face, in words\n" * 9,
        "html": b"<html>404</html>",
        "bm": b"BM",
    }
    for name, data in others.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
        with pytest.raises(ImageError, match="is not a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIC or PNM picture"):
            read_image(tmp_path / f"{name}.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match="is empty"):
        read_image(tmp_path / "empty.jpg")


# Limits --------------------------------------------------------------------------------------------------------------


def test_claims_are_checked_before_anything_is_decoded() -> None:
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    for data, reason in [
        (png(15_000, 15_000, pixels), "claims 15000x15000 pixels; the limit is 32000000 in all"),
        (png(16_385, 10, pixels), "claims 16385x10 pixels; the limit is 16384 a side"),
        (png(2**31 - 1, 2**31 - 1, pixels), "a side"),
        (png(0, 10, pixels), "there is no picture in it"),
    ]:
        began = time.monotonic()
        with pytest.raises(ImageError, match=reason):
            decode(data)
        assert time.monotonic() - began < 0.5
    jpeg = bytearray(encoded(small(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(ImageError, match="claims 60000x60000"):
        probe(bytes(jpeg))
    webp = bytearray(encoded(small(), "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"))
    webp[24:30] = b"\xff" * 6
    with pytest.raises(ImageError, match="claims 16777216x16777216"):
        probe(bytes(webp))
    bmp = bytearray(encoded(small(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 20_000, -3)
    with pytest.raises(ImageError, match="claims 20000x3"):
        probe(bytes(bmp))


def test_limits_are_the_callers_to_choose(tmp_path: Path) -> None:
    data = encode_png(picture(0))
    (tmp_path / "p.png").write_bytes(data)
    with pytest.raises(ImageError, match=f"has {len(data)} bytes; the limit is {len(data) - 1}"):
        read_image(tmp_path / "p.png", Limits(max_bytes=len(data) - 1))
    with pytest.raises(ImageError, match="200 a side"):
        read_image(tmp_path / "p.png", Limits(max_side=200))
    with pytest.raises(ImageError, match="38803 in all"):
        read_image(tmp_path / "p.png", Limits(max_pixels=178 * 218 - 1))
    exact = Limits(max_bytes=len(data), max_side=218, max_pixels=178 * 218)
    assert read_image(tmp_path / "p.png", exact).shape == (218, 178, 3)


def test_a_progressive_jpeg_of_more_than_a_hundred_scans_is_refused() -> None:
    data = encoded(small(), "JPEG", progressive=True)
    scans = data.count(b"\xff\xda")
    assert accepted(scans_repeated(data, 100 - scans + 1))
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode(scans_repeated(data, 100 - scans + 2))


def test_small_files_made_to_be_slow_are_refused_or_quick() -> None:
    jpeg, flat = encoded(small(), "JPEG"), encode_png(picture(0, height=8, width=8))
    filled = jpeg[:2] + b"\xff" * 2**20 + jpeg[2:]
    segments = jpeg[:2] + b"\xff\xfe\0\2" * 70_000 + jpeg[2:]
    chunks = flat[:33] + chunk(b"teSt", b"") * 70_000 + flat[33:]
    began = time.monotonic()
    assert accepted(filled)
    with pytest.raises(ImageError, match="more than 65536 segments"):
        decode(segments)
    with pytest.raises(ImageError, match="more than 65536 chunks"):
        decode(chunks)
    assert time.monotonic() - began < 5


def test_a_png_that_inflates_far_beyond_its_pixels_is_refused() -> None:
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = start + block * (2**20 // len(block) + 1)
    with pytest.raises(ImageError, match="far more data than its pixels need"):
        decode(png(10, 10, chunk(b"IDAT", bomb)))


def test_a_large_honest_png_is_not_taken_for_one() -> None:
    noise = stream(0, slot="tests/noise").integers(0, 256, (700, 600, 3)).astype(np.uint8)
    data = encode_png(noise)
    assert len(data) > 2**20
    assert np.array_equal(decode(data), noise)
    split = data[:33] + b"".join(  # in chunks of 8 kB, and interlaced as well
        chunk(b"IDAT", part) for part in _parts(_idat(data), 8192)
    )
    assert np.array_equal(decode(split + chunk(b"IEND", b"")), noise)


def _idat(data: bytes) -> bytes:
    at, found = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            found += data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# Truncation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FORMATS, "JPEG with thumbnail"])
def test_every_cut_is_found(name: str) -> None:
    image = Image.fromarray(picture(3, height=109, width=89))
    data = (
        with_thumbnail(image) if name == "JPEG with thumbnail" else encoded(image, FORMATS[name][0], **FORMATS[name][1])
    )
    assert accepted(data)
    lengths = {len(data) * percent // 100 for percent in range(100)} | set(range(len(data) - 30, len(data)))
    found = [length for length in sorted(lengths) if not accepted(data[:length])]
    assert found == sorted(lengths)


def test_every_cut_of_real_faces_is_found_and_no_whole_one_is_refused(celeba200: Path) -> None:
    paths = sorted((celeba200 / "img_align_celeba").iterdir())
    assert all(accepted(path.read_bytes()) for path in paths[:500])
    data = paths[0].read_bytes()
    assert [p for p in range(100) if accepted(data[: len(data) * p // 100])] == []
    for k, path in enumerate(paths[1:101]):
        data = path.read_bytes()
        assert not accepted(data[: len(data) * k // 100])


def test_bytes_behind_the_end_are_ignored() -> None:
    for kind, options in FORMATS.values():
        data = encoded(small(), kind, **options)
        assert np.array_equal(decode(data + b"PK\3\4 more"), decode(data))


# Colour and orientation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_pillow_does(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(small(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    assert probe(data).orientation == orientation
    assert np.abs(decode(data) - by_pillow(data)).max() <= 2
    assert decode(data).flags.c_contiguous


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "expected"), [("H", 6), ("I", 6), ("bad", 1)])
def test_an_orientation_is_read_in_both_byte_orders_and_a_damaged_block_means_upright(
    order: str, kind: str, expected: int
) -> None:
    mark = b"II" if order == "<" else b"MM"
    value = struct.pack(order + "HHI", 0x0112, 3, 1) + struct.pack(order + "HH", 6, 0)
    if kind == "I":
        value = struct.pack(order + "HHII", 0x0112, 4, 1, 6)
    if kind == "bad":
        value = value[:5]
    tiff = mark + struct.pack(order + "HIH", 42, 8, 1) + value
    assert probe(encoded(small(), "JPEG", exif=b"Exif\0\0" + tiff)).orientation == expected


def test_every_colour_mode_becomes_rgb_as_in_pillow() -> None:
    rgb, alpha = small(), Image.fromarray(np.linspace(0, 255, 54 * 44).reshape(54, 44).astype(np.uint8))
    rgba, grey_alpha = rgb.copy(), rgb.convert("L")
    rgba.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    cases = [
        *((mode.mode, mode, "PNG", {}) for mode in (rgb.convert("1"), rgb.convert("L"), grey_alpha, rgba)),
        ("palette", rgb.quantize(64), "PNG", {}),
        ("palette with a transparent colour", rgb.quantize(64), "PNG", {"transparency": 3}),
        ("grey JPEG", rgb.convert("L"), "JPEG", {}),
        ("CMYK JPEG", rgb.convert("CMYK"), "JPEG", {}),
        ("4:2:0 JPEG", rgb, "JPEG", {"subsampling": 2}),
        ("transparent WebP", rgba, "WEBP", {"lossless": True}),
        ("animated WebP", rgb, "WEBP", {"lossless": True, "save_all": True, "append_images": [small(2)]}),
        ("animated PNG", rgb, "PNG", {"save_all": True, "append_images": [small(2)]}),
        *((f"BMP {mode.mode}", mode, "BMP", {}) for mode in (rgb.convert("1"), rgb.convert("L"), rgb.quantize(16))),
    ]
    for name, image, kind, options in cases:
        data = encoded(image, kind, **options)
        pixels = decode(data)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (54, 44, 3), name
        assert np.abs(pixels - by_pillow(data)).max() <= 2, name


def test_sixteen_bits_are_cut_to_eight() -> None:
    grey = np.asarray(small().convert("L")).astype(np.uint16)
    data = encoded(Image.fromarray(grey * 257), "PNG")
    assert np.array_equal(decode(data), np.repeat(grey[:, :, None], 3, 2))
    deep = (picture(4, height=10, width=12).astype(np.uint16) * 256 + 77).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    assert np.array_equal(decode(png(12, 10, chunk(b"IDAT", zlib.compress(rows)), depth=16)), deep >> 8)


def test_a_bmp_stored_from_the_top_is_read_and_a_compressed_one_refused() -> None:
    pixels = picture(5, height=4, width=4)
    rows = pixels[:, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 4, -4, 1, 24, 0, len(rows), 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows
    assert np.array_equal(decode(data), pixels)
    packed = bytearray(data)
    packed[30] = 1
    with pytest.raises(ImageError, match="compressed BMP"):
        decode(bytes(packed))


def test_real_faces_decode_as_pillow_decodes_them(celeba200: Path) -> None:
    for path in sorted((celeba200 / "img_align_celeba").iterdir())[::25]:
        pixels = read_image(path)
        difference = np.abs(pixels - by_pillow(path.read_bytes()))
        assert difference.max() <= 4
        assert difference.mean() < 0.1


# Damage --------------------------------------------------------------------------------------------------------------


def mutant(number: int, files: list[bytes]) -> bytes:
    draw = stream(20, index=number, slot="tests/mutant")
    data = bytearray(files[draw.integers(len(files))])
    at, length = int(draw.integers(len(data))), int(draw.integers(1, 60))
    kind = draw.integers(6)
    if kind == 0:
        for place in draw.integers(len(data), size=length // 8 + 1):
            data[place] ^= 1 << int(draw.integers(8))
    elif kind == 1:
        data[at : at + length] = bytes(min(length, len(data) - at))
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        other = files[draw.integers(len(files))]
        data[at : at + length] = other[at : at + 2 * length]
    elif kind == 4:
        del data[at:]
    else:
        for place in draw.integers(min(100, len(data)), size=3):
            data[place] = int(draw.integers(256))
    return bytes(data)


def test_mutants_give_an_error_or_a_picture_of_the_announced_size() -> None:
    files = [encoded(small(), kind, **options) for kind, options in FORMATS.values()]
    files += [with_thumbnail(small(), 6), encoded(small().convert("CMYK"), "JPEG"), encoded(small().quantize(9), "PNG")]
    pictures, slowest = 0, 0.0
    for number in range(2000):
        data = mutant(number, files)
        began = time.monotonic()
        with contextlib.suppress(ImageError):
            header = probe(data)
            pixels = decode(data)
            size = (header.height, header.width) if header.orientation < 5 else (header.width, header.height)
            assert pixels.dtype == np.uint8
            assert pixels.shape == (*size, 3)
            pictures += 1
        slowest = max(slowest, time.monotonic() - began)
    assert 200 < pictures < 1800
    assert slowest < 2


def test_a_damaged_png_is_refused_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    data = encode_png(picture(6))
    for at in range(40, len(data) - 12, 997):
        assert not accepted(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert capfd.readouterr() == ("", "")


def test_cut_files_are_refused_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    for kind, options in FORMATS.values():
        data = encoded(small(), kind, **options)
        for percent in range(0, 100, 5):
            assert not accepted(data[: len(data) * percent // 100])
    assert capfd.readouterr() == ("", "")


def test_a_hole_in_a_jpeg_is_not_seen_by_the_decoder(capfd: pytest.CaptureFixture[str]) -> None:
    # A known limit, pinned so that a better decoder is noticed: libjpeg fills the hole and only warns the terminal.
    data = encoded(Image.fromarray(picture(7)), "JPEG")
    scan = data.index(b"\xff\xda") + 14
    middle = (scan + len(data)) // 2
    assert accepted(data[:middle] + data[-2:])
    assert "Corrupt JPEG data" in capfd.readouterr().err


# Encoding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
def test_png_comes_back_exactly_with_its_texts(quick: bool) -> None:
    text = {"synthetic": "true", "model": "dcgan-32", "seed": "7", "note": "näive 顔"}
    data = encode_png(picture(8), text=text, quick=quick)
    assert np.array_equal(decode(data), picture(8))
    with Image.open(io.BytesIO(data)) as image:
        assert image.text == text
    assert encode_png(picture(8), text=text, quick=quick) == data


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_any_picture_survives_the_quick_png_as_others_read_it(image: NDArray[np.uint8]) -> None:
    data = encode_png(image, quick=True)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "RGB"
        assert np.array_equal(np.asarray(opened), image)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], image)


def test_the_quick_png_of_a_face_is_hardly_larger() -> None:
    faces = SyntheticFaceSource("dcgan-32").pictures(0, 16)
    assert sum(len(encode_png(face, quick=True)) for face in faces) < 1.1 * sum(map(len, map(encode_png, faces)))


def test_jpeg_comes_back_closely() -> None:
    smooth = np.asarray(small().resize((178, 218), Image.Resampling.BICUBIC).resize((89, 109)))
    assert np.abs(decode(encode_jpeg(smooth)).astype(int) - smooth).mean() < 2
    assert decode(encode_jpeg(smooth[:, ::-1])).shape == (109, 89, 3)


class TestFromPillow:
    """Pictures that others have opened."""

    RAMP = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)

    def test_sixteen_bits_are_what_reading_the_file_gives(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), self.RAMP)
        wanted = read_image(tmp_path / "a.png")
        opened = Image.open(tmp_path / "a.png")
        assert opened.mode == "I;16"
        others = [Image.frombytes("I;16B", (64, 48), self.RAMP.astype(">u2").tobytes()), opened.convert("I")]
        for image in (opened, *others):
            assert np.array_equal(from_pillow(image), wanted), image.mode

    def test_floats_are_unit_numbers_or_grey_levels(self) -> None:
        grey = small().convert("L")
        wanted = np.asarray(grey.convert("RGB"))
        levels = np.asarray(grey, np.float32)
        for numbers in (levels, levels / 255):
            assert np.array_equal(from_pillow(Image.fromarray(numbers)), wanted)
        assert np.array_equal(from_pillow(grey.convert("I")), wanted)
        assert not from_pillow(Image.new("F", (3, 2))).any()

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"])
    def test_what_has_no_transparency_is_as_pillow_converts_it(self, mode: str) -> None:
        image = small().convert(mode)
        assert np.array_equal(from_pillow(image), np.asarray(image.convert("RGB")))

    @pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA", "P"])
    def test_what_is_transparent_is_laid_on_white(self, mode: str) -> None:
        clear = small().convert("RGBA")
        clear.putalpha(Image.fromarray(np.pad(np.full((54, 22), 255, np.uint8), ((0, 0), (0, 22)))))
        if mode == "La":
            image = clear.convert("LA").convert("La")
        elif mode == "PA":
            image = small().convert("L").convert("PA")
            image.putalpha(clear.getchannel("A"))
        elif mode == "P":
            image = small().convert("L").point(lambda level: max(level, 1)).convert("P")
            image.paste(0, (22, 0, 44, 54))
            image.info["transparency"] = 0
        else:
            image = clear.convert(mode)
        found = from_pillow(image)
        assert (found[:, 22:] == 255).all()
        assert 0 < found[:, :22].mean() < 255
        if mode == "RGBA":
            assert np.array_equal(found[:, :22], np.asarray(small())[:, :22])

    def test_half_of_a_colour_is_half_white(self) -> None:
        assert (from_pillow(Image.new("RGBA", (2, 2), (255, 0, 0, 128)))[0, 0] == (255, 127, 127)).all()

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            (Image.fromarray(np.array([[-1, 5]], np.int32)), r"mode I with values in -1\.\.5; expected 0\.\.65535"),
            (Image.fromarray(np.array([[0, 70000]], np.int32)), r"face: .* in 0\.\.70000"),
            (Image.fromarray(np.array([[0, 300.5]], np.float32)), r"mode F .* expected 0\.\.1 or 0\.\.255"),
            (Image.fromarray(np.array([[0, np.nan]], np.float32)), "nan"),
        ],
    )
    def test_numbers_in_no_known_range_are_refused(self, image: Image.Image, expected: str) -> None:
        with pytest.raises(ArgumentError, match=expected):
            from_pillow(image, name="face")


class TestPictureSize:
    @pytest.mark.parametrize("kind", sorted(FORMATS))
    def test_it_is_the_size_that_reading_gives(self, kind: str, tmp_path: Path) -> None:
        form, options = FORMATS[kind]
        path = tmp_path / "a"
        path.write_bytes(encoded(small(), form, **options))
        assert picture_size(path) == (44, 54) == read_image(path).shape[1::-1]

    def test_a_size_behind_a_long_head_or_turned_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        data = with_thumbnail(small(), orientation=6)
        path.write_bytes(data)
        assert picture_size(path) == (54, 44)
        comments = b"".join(b"\xff\xfe" + struct.pack(">H", 40_002) + bytes(40_000) for _ in range(3))
        path.write_bytes(data[:2] + comments + data[2:])
        assert picture_size(path) == (54, 44)
        png = encoded(picture(1, height=300, width=200), "PNG")
        turned = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 8, 0)
        path.write_bytes(png[:-12] + chunk(b"eXIf", turned) + png[-12:])  # behind the pixels, as some tools put it
        assert picture_size(path) == (300, 200) == read_image(path).shape[1::-1]

    @pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0\0\x10", b"\x89PNG\r\n\x1a\n"])
    def test_what_holds_no_size_is_refused_by_name(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(data)
        with pytest.raises(ImageError, match=r"a\.jpg"):
            picture_size(tmp_path / "a.jpg")


def animated(*, cover: bool, mode: str = "RGB") -> bytes:
    frames = [Image.new("RGB", (9, 7), colour).convert(mode) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, default_image=cover, append_images=frames[1:], duration=40)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("cover", [True, False])
def test_of_an_animated_png_the_still_picture_is_taken_as_by_other_readers(cover: bool, mode: str) -> None:
    data = animated(cover=cover, mode=mode)
    assert (b"fcTL" in data[: data.index(b"IDAT")]) != cover
    still = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.array_equal(decode(data), np.asarray(still))
    red, green, _ = decode(data)[3, 4].tolist()
    assert red > green + 100 or mode == "L"


def test_a_still_png_comes_back_as_it_is_even_where_it_speaks_of_animations() -> None:
    data = encode_png(np.full((3, 4, 3), 9, np.uint8), text={"acTL": "fcTL fdAT"})
    assert without_animation(data) == data
    assert without_animation(b"acTL") == b"acTL"
    plain = without_animation(animated(cover=True))
    assert not any(name in plain for name in (b"acTL", b"fcTL", b"fdAT"))
    assert Image.open(io.BytesIO(plain)).getpixel((0, 0)) == (200, 0, 0)


def test_the_luma_of_a_jpeg_is_refused_for_whatever_the_whole_picture_is_refused_for() -> None:
    files = [encoded(picture(k), "JPEG", quality=80, progressive=k % 2 == 1, subsampling=k % 3) for k in range(6)]
    refused = 0
    for number in range(400):
        data = mutant(number, files)
        said = []
        for way in (decode, luma_of):
            try:
                way(data)
                said.append("")
            except ImageError as error:
                said.append(error.reason)
        assert said[0] == said[1]
        refused += bool(said[0])
    assert refused > 40


def luma_of(data: bytes, least: int = 64) -> NDArray[np.uint8]:
    luma = decode_luma(data, probe(data), least=least)
    return decode(data)[..., 0] if luma is None else luma


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_luma_is_upright_and_as_small_as_it_may_be(orientation: int) -> None:
    data = encoded(picture(1, height=224, width=176), "JPEG", exif=oriented(orientation))
    grey = cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)
    for least, halvings in ((176, 0), (88, 1), (44, 2), (20, 3)):
        luma = luma_of(data, least)
        assert luma.shape == tuple(-(-side // 2**halvings) for side in grey.shape)
        small = cv2.resize(grey, luma.shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(luma.astype(int) - small).mean() < 4


def test_the_luma_of_an_odd_size_is_not_halved_beyond_its_edge() -> None:
    for height, width, expected in ((218, 178, (109, 89)), (135, 129, (135, 129)), (1023, 1024, (128, 128))):
        assert luma_of(encoded(picture(1, height=height, width=width), "JPEG")).shape == expected


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def test_the_luma_is_left_to_the_decoder_where_colours_must_be_converted() -> None:
    image = Image.fromarray(picture(1))
    for data in (encoded(image, "PNG"), encoded(image.convert("CMYK"), "JPEG")):
        assert decode_luma(data, probe(data), least=64) is None
