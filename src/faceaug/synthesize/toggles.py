"""Contact sheet of the same faces with each attribute absent and present."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.image import Image8
from faceaug.data.marks import TOGGLES, sheet_kind
from faceaug.errors import ArgumentError
from faceaug.reports.shell import contact_sheet, write_sheet
from faceaug.storage.outputs import check_output
from faceaug.synthesize.source import SyntheticFaceSource


def toggle_sheet(
    source: SyntheticFaceSource,
    n: int = 6,
    *,
    attributes: Sequence[str] | None = None,
    cell: int = 64,
    guided: bool = False,
) -> Image8:
    """Draw the first n faces of a source, one row per attribute: without it and with it, all else kept.

    Args:
        source: source of a conditional model.
        n: number of faces.
        attributes: names; None means all forty.
        cell: side of a picture on the sheet, pixels.
        guided: see ``SyntheticFaceSource.edit``; False shows at once what the generator does by itself.

    Returns:
        uint8 (height, width, 3); the first row shows the unchanged faces.

    Raises:
        ArgumentError: n below 1, an unknown attribute, or a model without attributes.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> from faceaug.synthesize import toggle_sheet
        >>> source = SyntheticFaceSource("faces-64", seed=0)
        >>> toggle_sheet(source, 1, attributes=["Smiling"], cell=32).dtype
        dtype('uint8')
    """
    if n < 1:
        raise ArgumentError(f"n {n}: expected at least 1 face")
    latents = source.latents(n)
    rows = [("as they are", _doubled(source.render(latents)))]
    for name in ATTRIBUTES if attributes is None else attributes:
        pairs = zip(*(_pictures(source.edit(latents, name, value, guided=guided)) for value in (-1, 1)), strict=True)
        rows.append((name, [picture for pair in pairs for picture in pair]))
    return contact_sheet(rows, columns=["without", "with"] * n, cell=cell)


def write_toggles(source: SyntheticFaceSource, path: Path | str, n: int = 6, *, overwrite: bool = False) -> None:
    """Write ``toggle_sheet`` of a source as a PNG.

    Args:
        source: source of a conditional model.
        path: the PNG to write; an earlier sheet of this function is replaced.
        n: number of faces.
        overwrite: replace any file.

    Raises:
        ArgumentError: as there, or the name does not end in .png.
        RefusedError: the path is another file, which stays, or cannot be written.
    """
    check_output(Path(path), [sheet_kind(TOGGLES)], overwrite=overwrite)
    write_sheet(Path(path), toggle_sheet(source, n), command=TOGGLES, overwrite=overwrite)


def _pictures(faces: Tensor) -> list[Image8]:
    return list(faces.permute(0, 2, 3, 1).contiguous().numpy())


def _doubled(faces: Tensor) -> list[Image8]:
    return [picture for picture in _pictures(faces) for _ in range(2)]
