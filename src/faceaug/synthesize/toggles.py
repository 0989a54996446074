"""The same faces with each attribute absent and present, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError
from faceaug.storage.files import explained, write_bytes
from faceaug.data.image import Image8, encode_png
from faceaug.reports.shell import contact_sheet
from faceaug.synthesize.source import SyntheticFaceSource


def toggle_sheet(
    source: SyntheticFaceSource, n: int = 6, *, attributes: Sequence[str] | None = None, cell: int = 64,
    guided: bool = False,
) -> Image8:  # fmt: skip
    """The first n faces of a source, a row for each attribute: without it and with it, all else kept.

    Args:
        source: of a model that obeys attributes.
        n: faces.
        attributes: which; None is all forty.
        cell: side of a picture on the sheet, pixels.
        guided: as in ``SyntheticFaceSource.edit``; without, the sheet shows what the generator does by itself, at once.

    Returns:
        uint8 (height, width, 3); the first row shows the faces as they are.

    Raises:
        ArgumentError: n below 1, an unknown attribute, or the model takes none.
    """
    if n < 1:
        raise ArgumentError(f"n {n}: expected at least 1 face")
    latents = source.latents(n)
    rows = [("as they are", _doubled(source.render(latents)))]
    for name in ATTRIBUTES if attributes is None else attributes:
        pairs = zip(*(_pictures(source.edit(latents, name, value, guided=guided)) for value in (-1, 1)), strict=True)
        rows.append((name, [picture for pair in pairs for picture in pair]))
    return contact_sheet(rows, columns=["without", "with"] * n, cell=cell)


def write_toggles(source: SyntheticFaceSource, path: Path | str, n: int = 6) -> None:
    """Write ``toggle_sheet`` of a source as one PNG; the same errors, and FaceAugError if it cannot be written."""
    sheet = toggle_sheet(source, n)
    with explained(Path(path)):
        write_bytes(Path(path), encode_png(sheet))


def _pictures(faces: Tensor) -> list[Image8]:
    return list(faces.permute(0, 2, 3, 1).contiguous().numpy())


def _doubled(faces: Tensor) -> list[Image8]:
    return [picture for picture in _pictures(faces) for _ in range(2)]
