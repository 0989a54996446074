"""Render the blocks of any report as one HTML page. This module knows no report, and reports know no HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path

from faceaug.data.image import Image8
from faceaug.errors import printable
from faceaug.presentation import html_table
from faceaug.progress import SILENT, Progress
from faceaug.reports.gallery import groups_html, ranked_html
from faceaug.reports.heatmap import Heatmap, heatmap_html
from faceaug.reports.plots import Bars, Histogram, Intervals, bars_html, histogram_html, intervals_html
from faceaug.reports.sections import (
    Block,
    Code,
    Details,
    Faces,
    Facts,
    Gallery,
    Heading,
    Link,
    Listing,
    Notes,
    Pairs,
    Paragraph,
    Picture,
    Piece,
    Ranked,
    Table,
    Text,
    Verbatim,
)
from faceaug.reports.shell import html_image, html_page

_ROWS = 2_000  # most rows of a listing on the page
_OPEN = 25  # longest listing that is shown unfolded
_LEAST = 64  # pixels; smaller faces are enlarged
_LOSSLESS = 128  # pixels of the longer side; larger pictures are embedded as JPEG


@dataclass(frozen=True, slots=True)
class _Context:
    """The workers that make thumbnails, their progress, and the addresses of pictures on a server."""

    workers: int | None
    progress: Progress
    address: Callable[[Path], str] | None


def render_page(
    title: str,
    blocks: Sequence[Block],
    *,
    made_by: str = "faceaug",
    workers: int | None = 0,
    progress: Progress = SILENT,
    address: Callable[[Path], str] | None = None,
) -> str:
    """Render a self-contained HTML page: works offline, in light and dark mode, on narrow screens and in print.

    Args:
        title: title of the page.
        blocks: the blocks in reading order, with at most one ``Gallery``.
        made_by: the command that makes the page, such as "faceaug clean".
        workers: processes that make the thumbnails of a gallery; see ``open_executor``.
        progress: counts the thumbnails.
        address: address of a gallery's picture on a server. The page then links ``report.css`` and the scripts, which
            have to lie next to it, and has nothing inline that a content security policy refuses.

    Raises:
        ValueError: there is more than one gallery.
    """
    every = list(_unfolded(blocks))
    if sum(isinstance(block, Gallery) for block in every) > 1:
        raise ValueError("a page can hold only one gallery; put all groups into it")
    body = _joined(blocks, _Context(workers, progress, address))
    interactive = any(isinstance(block, Gallery | Details | Listing) for block in every)
    decides = any(isinstance(block, Gallery) and block.choices and block.groups for block in every)
    scripts = [*(["decide.js"] if decides else []), *(["report.js"] if interactive else [])]
    return html_page(printable(title), body, made_by=made_by, scripts=scripts, linked=address is not None)


def _unfolded(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _unfolded(block.blocks)


def _joined(blocks: Sequence[Block], context: _Context) -> str:
    return "\n".join(_html(block, context) for block in blocks)


@singledispatch
def _html(block: Block, context: _Context) -> str:  # noqa: ARG001 - the signature of the registered functions
    raise TypeError(f"{type(block).__name__}: not a report block")


@_html.register
def _(block: Heading, _: _Context) -> str:
    return f"<h{block.level}>{_escaped(block.text)}</h{block.level}>"


@_html.register
def _(block: Paragraph, _: _Context) -> str:
    return f"<p>{_text(block.text)}</p>"


@_html.register
def _(block: Notes, _: _Context) -> str:
    return f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in block.lines)}</ul>" if block.lines else ""


@_html.register
def _(block: Verbatim, _: _Context) -> str:
    lines = "\n".join(map(_escaped, block.text.split("\n")))
    return f'<pre tabindex="0">{lines}</pre>'


@_html.register
def _(block: Facts, _: _Context) -> str:
    rows = [row for row in block.rows if row[1] is not None and row[1] != ""]
    return _scroller(html_table(rows, labelled=True, texts=1 if block.measured else None)) if rows else ""


@_html.register
def _(block: Table, _: _Context) -> str:
    return _scroller(html_table(block.rows, header=block.header, labelled=True, texts=block.texts))


@_html.register
def _(block: Listing, context: _Context) -> str:
    table = _html(Table(block.header, block.rows[:_ROWS]), context)
    if len(block.rows) > _ROWS:
        table += f"<p>and {len(block.rows) - _ROWS:,} more, in {_escaped(block.whole)}</p>"
    heading = f"<h2>{_escaped(block.title)} ({len(block.rows):,})</h2>"
    return heading + (table if len(block.rows) <= _OPEN else _folded("show the list", table))


@_html.register
def _(block: Picture, _: _Context) -> str:
    image = html_image(block.image, alt=printable(block.text))
    return f"<figure>{_scroller(image)}{_caption(block.text)}</figure>"


@_html.register
def _(block: Faces, _: _Context) -> str:
    if not block.images:
        return ""
    images = "".join(_face(image, "") for image in block.images)
    sheet = f'<div class="faces-sheet" role="img" aria-label="{_escaped(block.text)}">{images}</div>'
    return f"<figure>{sheet}{_caption(block.text)}</figure>"


@_html.register
def _(block: Pairs, _: _Context) -> str:
    if not block.pairs:
        return ""
    pairs = "".join(
        f"<figure>{_face(above, 'above')}{_face(below, 'below')}{_caption(text)}</figure>"
        for above, below, text in block.pairs
    )
    return f'<figure><div class="faces-pairs">{pairs}</div>{_caption(block.text)}</figure>'


@_html.register
def _(block: Gallery, context: _Context) -> str:
    return groups_html(
        block.groups,
        choices=block.choices,
        address=context.address,
        workers=context.workers,
        progress=context.progress,
    )


@_html.register
def _(block: Ranked, _: _Context) -> str:
    return ranked_html(block.pictures)


@_html.register
def _(block: Details, context: _Context) -> str:
    return _folded(block.summary, _joined(block.blocks, context))


@_html.register
def _(block: Heatmap, _: _Context) -> str:
    return heatmap_html(block)


@_html.register
def _(block: Histogram, _: _Context) -> str:
    return histogram_html(block)


@_html.register
def _(block: Bars, _: _Context) -> str:
    return bars_html(block)


@_html.register
def _(block: Intervals, _: _Context) -> str:
    return intervals_html(block)


def _text(text: Text) -> str:
    if isinstance(text, str):
        return _escaped(text)
    return "".join(map(_piece, text))


def _piece(piece: Piece) -> str:
    if isinstance(piece, str):
        return _escaped(piece)
    if isinstance(piece, Link):
        return f'<a href="{_escaped(piece.file)}">{_escaped(piece.text)}</a>'
    tag = "code" if isinstance(piece, Code) else "strong"
    return f"<{tag}>{_escaped(piece.text)}</{tag}>"


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{_escaped(summary)}</summary>{content}</details>"


def _scroller(content: str) -> str:
    return f'<div class="scroll" tabindex="0">{content}</div>'  # focusable, so that arrow keys scroll it


def _face(image: Image8, alt: str) -> str:
    longest = max(image.shape[:2])
    return html_image(image, alt=alt, lossless=longest <= _LOSSLESS, enlarge=max(1, -(-_LEAST // longest)))


def _caption(text: str) -> str:
    return f"<figcaption>{_escaped(text)}</figcaption>" if text else ""


def _escaped(text: str) -> str:
    return html.escape(printable(text))
