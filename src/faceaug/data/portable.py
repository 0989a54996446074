"""A picture's bytes for another dataset: the file's own where every reader shows them alike, else a PNG.

Readers differ in orientation, transparency, colour profiles, animations, palettes and 16 bits. Where a file has none of
these, its bytes are copied; otherwise the decoded pixels are written as PNG, which loses nothing of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from faceaug.data.headers import Format, Header
from faceaug.data.image import DEFAULT_LIMITS, WHITE, Colour, decode, encode_png, probe, read_bytes
from faceaug.data.profiles import is_srgb

ENDINGS: dict[Format, str] = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


@dataclass(frozen=True, slots=True)
class Portable:
    """A picture as it is written.

    Attributes:
        data: the bytes of the new file.
        ending: its suffix.
        width: pixels.
        height: pixels.
        why: why the bytes are not those of the original; empty if they are.
    """

    data: bytes
    ending: str
    width: int
    height: int
    why: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, hex."""
        return hashlib.sha256(self.data).hexdigest()


def read_portable(path: Path, *, rgb: bool = False, ground: Colour = WHITE) -> Portable:
    """Read, check and if necessary rewrite a picture.

    Args:
        path: the picture; see ``read_image``.
        rgb: whether pictures must have three channels, so that grey ones are rewritten.
        ground: colour laid under transparent pixels.

    Raises:
        ImageError: the picture cannot be read.
    """
    data = read_bytes(path)
    header = probe(data, name=str(path))
    image = decode(data, name=str(path), limits=DEFAULT_LIMITS, ground=ground)
    height, width = image.shape[:2]
    why = _why_not_copied(header, {"rgb"} if rgb else {"rgb", "grey"})
    if not why:
        return Portable(data, ENDINGS[header.format], width, height, "")
    return Portable(encode_png(image), ".png", width, height, why)


def _why_not_copied(header: Header, allowed: Collection[str]) -> str:
    if header.format not in ENDINGS:
        return f"are {header.format}"
    if header.orientation != 1:
        return "are turned by EXIF"
    if header.alpha:
        return "may be transparent"
    if not is_srgb(header.profile):
        return "have colours other than sRGB"
    if header.pixels not in allowed:
        return "are grey" if header.pixels == "grey" else "have a palette, inks, 16 bits or an animation"
    return ""
