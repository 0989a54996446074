"""The only decoder and encoder: file bytes to upright uint8 (height, width, 3) RGB and back.

``clean`` and the datasets share it, so they accept the same files. It opens regular files only, trusts the first bytes
and never the name, checks all limits on the header before decoding, and applies orientation and colour profile.

It has one limitation: libjpeg fills a gap in the middle of a JPEG with grey and reports it only on the terminal
("Corrupt JPEG data"). Such a file counts as readable, and the line cannot be suppressed without redirecting standard
error for the whole process.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, __version__ as PIL_VERSION

from faceaug.data.colours import coded_profile
from faceaug.data.containers import read_member, split_path
from faceaug.data.encoding import encode_jpeg, encode_png, encode_webp
from faceaug.data.headers import Format, Header, read_header, read_size, without_animation
from faceaug.data.limits import HeaderError, Limits, check_size
from faceaug.data.profiles import array_to_srgb, is_srgb, to_srgb
from faceaug.data.reads import READS
from faceaug.errors import ArgumentError, FaceAugError, ImageError

__all__ = [
    "Colour",
    "DEFAULT_LIMITS",
    "Format",
    "Header",
    "Image8",
    "Limits",
    "check_colour",
    "decode",
    "encode_jpeg",
    "encode_png",
    "encode_webp",
    "from_pillow",
    "load_cv2",
    "picture_size",
    "probe",
    "read_bytes",
    "read_image",
    "WHITE",
]

Image8: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB
Colour: TypeAlias = tuple[int, int, int]  # RGB, 0..255
DEFAULT_LIMITS = Limits()
WHITE: Colour = (255, 255, 255)
_BY_PILLOW = ("TIFF", "GIF", "AVIF", "HEIF", "PPM")
_DAMAGED = "is a damaged {}: its pixels cannot be decoded"
_BEYOND = 0.004  # share of a side
_HEAD = 2**16  # bytes; the size of a JPEG is nearly always within them


def read_image(path: Path | str, limits: Limits = DEFAULT_LIMITS, *, ground: Colour = WHITE) -> Image8:
    """Read one picture file.

    Args:
        path: a regular file, or a path through a ZIP, tar or RecordIO file as if it were a folder; symbolic links are
            not followed.
        limits: limits checked before decoding.
        ground: background for transparent pixels.

    Returns:
        uint8 (height, width, 3), RGB, upright; see ``decode``.

    Raises:
        ImageError: the file is missing, not a regular file, of an unsupported format, damaged, cut off or too large.
    """
    return decode(read_bytes(path, limits), name=str(path), limits=limits, ground=ground)


def picture_size(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> tuple[int, int]:
    """(width, height) of a picture as ``read_image`` returns it, from its header. Success does not mean it decodes.

    Raises:
        ImageError: the header has no valid size.
    """
    try:
        head = read_bytes(path, limits, first=_HEAD)
        try:
            return read_size(head, limits)
        except HeaderError:
            if len(head) < _HEAD:
                raise
            return read_size(read_bytes(path, limits), limits)
    except HeaderError as error:
        raise ImageError(str(path), str(error)) from error


def read_bytes(path: Path | str, limits: Limits = DEFAULT_LIMITS, *, first: int | None = None) -> bytes:
    """Read a regular file or a container's member, or only its ``first`` bytes.

    Raises:
        ImageError: it is a FIFO, a device, a link or a folder, or cannot be read.
    """
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    READS.tried += 1
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:
        raise ImageError(str(path), "cannot be a file name") from error
    except OSError as error:
        inside = split_path(path) if error.errno == errno.ENOTDIR else None
        if inside is not None:
            return _member_bytes(*inside, limits)[:first]
        if error.errno == errno.ELOOP:
            raise ImageError(str(path), "is a symbolic link") from error
        READS.fail(path)
        raise ImageError(str(path), f"cannot be opened ({error.strerror})") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError(str(path), "is not a regular file")
        if facts.st_size > limits.max_bytes:
            raise ImageError(str(path), f"has {facts.st_size} bytes; the limit is {limits.max_bytes}")
        with open(descriptor, "rb", closefd=False) as handle:
            data = handle.read(limits.max_bytes + 1 if first is None else first)
    except OSError as error:
        READS.fail(path)
        raise ImageError(str(path), f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    if len(data) > limits.max_bytes:
        raise ImageError(str(path), f"grew beyond the limit of {limits.max_bytes} bytes while it was read")
    return data


def _member_bytes(container: Path, name: str, limits: Limits) -> bytes:
    path = str(container / name)
    try:
        return read_member(container, name, limits.max_bytes)
    except OSError as error:
        READS.fail(container)
        raise ImageError(path, f"cannot be opened ({error.strerror})") from error
    except ValueError as error:
        raise ImageError(path, str(error)) from error


def probe(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS) -> Header:
    """Check a picture's header, limits and completeness without decoding it.

    Raises:
        ImageError: as ``read_image``, except for faults that only decoding can find.
    """
    try:
        return read_header(data, limits)
    except HeaderError as error:
        raise ImageError(name, str(error)) from error


def may_be_transparent(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether a picture may have transparent pixels, by its header; true for formats whose header does not say.

    Raises:
        ImageError: see ``probe``.
    """
    header = probe(data, name=name, limits=limits)
    return header.alpha or header.format in _BY_PILLOW


def decode(data: bytes, *, name: str = "picture", limits: Limits = DEFAULT_LIMITS, ground: Colour = WHITE) -> Image8:
    """Decode the bytes of a picture file: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIF or PNM.

    Args:
        data: the whole file.
        name: name of the picture in error messages.
        limits: limits checked before decoding.
        ground: background for transparent pixels.

    Returns:
        uint8 (height, width, 3), RGB, upright by its EXIF orientation, as a viewer shows it. Grey is repeated, 16 bits
        are truncated to 8, other colour spaces are converted to sRGB by their ICC profile, and transparency is
        composited over ``ground``. Animations yield their first frame, PNGs with a separate cover that cover, and
        TIFFs their first page.

    Raises:
        ImageError: see ``read_image``.
    """
    header = probe(data, name=name, limits=limits)
    if header.alpha or header.inks or header.format in _BY_PILLOW:
        return _upright(_by_pillow(data, header, name, limits, ground), header.orientation)
    cv2 = load_cv2()
    bgr = _by_opencv(without_animation(data), header, name, cv2.IMREAD_COLOR)
    if bgr.shape != (header.height, header.width, 3):
        raise ImageError(name, _DAMAGED.format(header.format))
    rgb: Image8 = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return _upright(array_to_srgb(rgb, header.profile), header.orientation)


def decode_luma(data: bytes, header: Header, *, least: int, name: str = "picture") -> NDArray[np.uint8] | None:
    """Decode only the luma of a JPEG, as small as ``least`` allows: a third of the time or less.

    The data is read to its end, so whatever damage ``decode`` finds is found. The luma that is stored differs from that
    of the decoded colours where colours are clipped.

    Args:
        data: the whole file.
        header: what ``probe`` says of it.
        least: pixels that the shorter side keeps, where it has as many.
        name: name of the picture in error messages.

    Returns:
        uint8 (h, w), upright; None if the picture is no JPEG, or one whose colours must be converted.

    Raises:
        ImageError: it is damaged.
    """
    if header.format != "JPEG" or header.inks or header.pixels == "other" or not is_srgb(header.profile):
        return None
    cv2 = load_cv2()
    halvings = _halvings((header.height, header.width), least)
    flag = (
        cv2.IMREAD_GRAYSCALE,
        cv2.IMREAD_REDUCED_GRAYSCALE_2,
        cv2.IMREAD_REDUCED_GRAYSCALE_4,
        cv2.IMREAD_REDUCED_GRAYSCALE_8,
    )[halvings]
    luma = _by_opencv(data, header, name, flag)
    if luma.shape != tuple(-(-side // 2**halvings) for side in (header.height, header.width)):
        raise ImageError(name, _DAMAGED.format(header.format))
    return _upright(luma, header.orientation)


def _halvings(sides: tuple[int, int], least: int) -> int:
    """How often a JPEG may be halved: its last pixels then reach beyond the edge, but only a little."""
    fitting = (
        halvings
        for halvings in (3, 2, 1)
        if min(sides) >> halvings >= least and all(-side % 2**halvings <= side * _BEYOND for side in sides)
    )
    return next(fitting, 0)


def _by_opencv(data: bytes, header: Header, name: str, flag: int) -> NDArray[np.uint8]:
    cv2 = load_cv2()
    try:
        # Orientation is applied later, because the formats that OpenCV rotates itself vary with its version.
        pixels: NDArray[np.uint8] | None = cv2.imdecode(
            np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except (cv2.error, MemoryError) as error:
        raise ImageError(name, f"is a damaged {header.format}") from error
    if pixels is None or pixels.dtype != np.uint8:
        raise ImageError(name, _DAMAGED.format(header.format))
    return pixels


def _by_pillow(data: bytes, header: Header, name: str, limits: Limits, ground: Colour) -> Image8:
    """Decode pictures with transparency, and formats that OpenCV lacks in some or all builds."""
    still = without_animation(data, bare=True)  # Pillow would decompress every text of a PNG
    try:
        with warnings.catch_warnings(), _opened(still, header.format, name) as image:
            warnings.simplefilter("ignore")  # about damaged metadata
            check_size(*image.size, limits)
            image.load()
            if header.profile:
                image.info["icc_profile"] = header.profile
            elif header.format in {"PNG", "JPEG", "WEBP", "BMP"}:
                image.info.pop("icc_profile", None)
            upright = ImageOps.exif_transpose(image) if header.format == "AVIF" else image
            if header.format == "BMP" and upright.getchannel("A").getextrema() == (0, 0):
                upright = upright.convert("RGB")  # an all-zero alpha channel comes from programs that do not use it
            return from_pillow(upright, name=name, ground=ground)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(name, f"is a {header.format} that Pillow {PIL_VERSION} cannot read") from error
    except HeaderError as error:
        raise ImageError(name, str(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds: struct.error, SyntaxError, ZeroDivisionError
        raise ImageError(name, f"is a damaged {header.format} ({error})") from error


def _opened(data: bytes, format: Format, name: str) -> Image.Image:
    """Open a picture with Pillow, without decoding it."""
    if format != "HEIF":
        return Image.open(io.BytesIO(data), formats=[format])
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(name, "is a HEIC picture: python -m pip install 'faceaug[heic]'") from None
    # libheif turns the picture by its boxes; its EXIF orientation only repeats them, and counts for nothing.
    opened = pillow_heif.open_heif(io.BytesIO(data))
    image: Image.Image = opened.to_pillow()
    coded = opened.info.get("nclx_profile") or {}
    numbers = (coded.get("color_primaries", 0), coded.get("transfer_characteristics", 0))
    if not image.info.get("icc_profile") and (profile := coded_profile(*map(int, numbers))):
        image.info["icc_profile"] = profile
    return image


def check_colour(ground: Colour) -> Colour:
    """Return a colour as a tuple; ArgumentError if it is not three whole numbers from 0 to 255."""
    numbers = tuple(ground) if isinstance(ground, Iterable) and not isinstance(ground, str) else ()
    if len(numbers) != 3 or not all(isinstance(n, int | np.integer) and 0 <= n <= 255 for n in numbers):
        raise ArgumentError(f"ground {ground!r}: expected red, green and blue from 0 to 255, such as (255, 255, 255)")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def from_pillow(image: Image.Image, *, name: str = "picture", ground: Colour = WHITE) -> Image8:
    """Convert a Pillow picture to uint8 (height, width, 3) RGB, as ``decode`` would its file.

    Args:
        image: a picture of any mode. Grey is repeated; 16 bits (I;16 and the like, and I beyond 255) are truncated to
            8; F is 0..1 or 0..255; an ICC profile is converted to sRGB; transparency is composited over ``ground``.
        name: name of the picture in error messages.
        ground: background for transparent pixels.

    Raises:
        ArgumentError: its values are outside these ranges, or Pillow cannot convert its mode.
    """
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        grey = _from_numbers(values, image.mode, name)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey[values == transparent] = ground
        return grey
    profile = image.info.get("icc_profile")
    try:
        if image.mode == "La":
            image = image.convert("LA")  # the only conversion of this mode in Pillow
        if not image.has_transparency_data:
            return np.array(to_srgb(image, profile))
        image = image.convert("RGBA")
        face = Image.fromarray(array_to_srgb(np.array(image.convert("RGB")), profile))
        face.putalpha(image.getchannel("A"))
        return np.array(Image.alpha_composite(Image.new("RGBA", image.size, (*ground, 255)), face).convert("RGB"))
    except ValueError as error:
        raise ArgumentError(f"{name}: a Pillow picture of mode {image.mode} ({error}); convert it to RGB") from error


def _from_numbers(values: NDArray[Any], mode: str, name: str) -> Image8:
    """Convert grey values to a picture: 16-bit, 0..255, or floats 0..1."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    most = 255 if mode == "F" else 65535
    if not (low >= 0 and high <= most):  # NaN is neither
        expected = "0..1 or 0..255" if mode == "F" else "0..65535"
        raise ArgumentError(
            f"{name}: a Pillow picture of mode {mode} with values in {low:.6g}..{high:.6g}; expected {expected}"
        )
    if mode == "F":
        grey = np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)
    elif mode == "I" and high <= 255:
        grey = values.astype(np.uint8)
    else:
        grey = (values >> 8).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


@lru_cache(maxsize=1)
def load_cv2() -> ModuleType:
    """Import OpenCV at its first use; if its system libraries are missing, the error says how to install them."""
    try:
        import cv2
    except ImportError as error:
        raise FaceAugError(
            f"OpenCV cannot be loaded ({error}). On a server without a display: "
            "apt-get install libgl1 libglib2.0-0, or "
            "pip uninstall opencv-python && pip install opencv-python-headless"
        ) from error
    return cv2


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (TIFF 6.0 tag 274); values 5..8 also swap the axes."""
    if orientation == 1:
        return image
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        image = image[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        image = image[::-1]
    return np.ascontiguousarray(image)
