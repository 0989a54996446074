"""Contact sheets, and the HTML shell of all reports."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.marks import page_head, sheet_kind, sheet_text
from faceaug.storage.outputs import write_output

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are full-width
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_INK, _PAPER = (32, 33, 36), (255, 255, 255)


def grid(images: Sequence[Image8], *, columns: int, gap: int = 1, enlarge: int = 1) -> Image8:
    """Arrange pictures of one size in a grid: uint8 (H, W, 3), with white gaps.

    Args:
        images: uint8 (height, width, 3), all the same size, at least one.
        columns: pictures per row.
        gap: pixels between pictures.
        enlarge: integer factor by which pixels are repeated, to make small faces visible.
    """
    height, width = (side * enlarge for side in images[0].shape[:2])
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for k, image in enumerate(images):
        top, left = (k // columns) * (height + gap), (k % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image.repeat(enlarge, 0).repeat(enlarge, 1)
    return sheet


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Image8]]], *, columns: Sequence[str] = (), cell: int = 96
) -> Image8:
    """A labelled table of pictures: uint8 (H, W, 3).

    Args:
        rows: (label, pictures); pictures of any size, scaled to fit a cell.
        columns: headings above the pictures; may be empty.
        cell: side of a cell, pixels.
    """
    font = ImageFont.load_default(size=12)
    label_width = 8 + max((round(font.getlength(label)) for label, _ in rows), default=0) + 8
    heading = 20 if columns else 4
    widest = max((len(images) for _, images in rows), default=0)
    sheet = Image.new("RGB", (label_width + widest * (cell + 4), heading + len(rows) * (cell + 4)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, text in enumerate(columns):
        pen.text((label_width + column * (cell + 4) + cell / 2, 4), text, _INK, font, anchor="ma")
    for row, (label, images) in enumerate(rows):
        top = heading + row * (cell + 4)
        pen.text((8, top + cell / 2), label, _INK, font, anchor="lm")
        for column, image in enumerate(images):
            picture = _fitted(image, cell)
            left = label_width + column * (cell + 4)
            sheet.paste(picture, (left + (cell - picture.width) // 2, top + (cell - picture.height) // 2))
    return np.array(sheet)


def write_sheet(path: Path, sheet: Image8, *, command: str, overwrite: bool = False) -> None:
    """Write a contact sheet as a PNG that names its command; see ``write_output`` for the errors.

    Args:
        path: the file.
        sheet: uint8 (H, W, 3).
        command: such as "faceaug preview", whose earlier sheet is replaced.
        overwrite: replace any file.
    """
    data = encode_png(sheet, text=sheet_text(command))
    write_output(path, data, [sheet_kind(command)], overwrite=overwrite)


ASSETS = ("report.css", "decide.js", "report.js")  # what a linked page needs next to it


def html_page(
    title: str, body: str, *, made_by: str = "faceaug", scripts: Sequence[str] = (), linked: bool = False
) -> str:
    """A self-contained page around a body: works offline, in light and dark mode, and in print.

    Args:
        title: plain text; escaped here.
        body: HTML; the caller has escaped its texts.
        made_by: the command that makes the page; see ``faceaug.data.marks``.
        scripts: which of ``ASSETS`` to embed: ``report.js`` draws galleries and unfolds blocks for printing,
            ``decide.js``, before it, lets the reader decide about their groups.
        linked: whether to link ``ASSETS`` rather than embed them, for a page that a server shows.
    """
    name = html.escape(title)
    if linked:
        style = '<link rel="stylesheet" href="report.css">'
        code = "".join(f'<script src="{script}" defer></script>\n' for script in scripts)
    else:
        style = f"<style>\n{asset('report.css')}</style>"
        code = "".join(f"<script>\n{asset(script)}</script>\n" for script in scripts)
    return (
        f"{page_head(made_by)}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n{style}</head>\n"
        f"<body><h1>{name}</h1>\n{body}\n{code}</body></html>\n"
    )


def html_image(image: Image8, *, alt: str, lossless: bool = True, enlarge: int = 1) -> str:
    """An ``<img>`` with the picture embedded as a data URL.

    Args:
        image: uint8 (height, width, 3).
        alt: alternative text for screen readers; plain, escaped here.
        lossless: True for PNG, False for JPEG.
        enlarge: integer factor of the displayed size.
    """
    data, kind = (encode_png(image), "png") if lossless else (encode_jpeg(image, quality=85), "jpeg")
    height, width = (side * enlarge for side in image.shape[:2])
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{html.escape(alt, quote=True)}" width="{width}" height="{height}">'


@cache
def asset(name: str) -> str:
    """The text of one of ``ASSETS``."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _fitted(image: Image8, cell: int) -> Image.Image:
    picture = Image.fromarray(image)
    scale = cell / max(picture.size)
    if scale >= 2:
        # Whole multiples without smoothing, so that a 32-pixel face is not made to look better than it is.
        size = tuple(side * int(scale) for side in picture.size)
        return picture.resize((size[0], size[1]), Image.Resampling.NEAREST)
    size = tuple(max(1, round(side * min(scale, 1.0))) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def table_cell(value: object) -> object:
    """Escape a cell of a report's CSV: a text that a spreadsheet would take for a formula gets a leading "'".

    A file may be called ``=HYPERLINK(...)``, and users open reports by a double click. Numbers stay numbers.
    """
    text = value if isinstance(value, str) else ""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else value
