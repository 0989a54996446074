"""A page with every kind of block, full of what is hard to draw: hostile names, long words, wide tables."""

from __future__ import annotations

from pathlib import Path

from faceaug.data.image import encode_png
from faceaug.reports.gallery import Group, Shown
from faceaug.reports.heatmap import Heatmap
from faceaug.reports.plots import Bar, Bars, Histogram, Intervals
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
    Ranked,
    Strong,
    Table,
    Verbatim,
)
from tests.conftest import picture

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>&\"'\udcff"
LONG = "000001_" * 40 + ".jpg"
GROUPS = 60  # more than a screenful


def every_block(text: str) -> list[Block]:
    """One of each, with the text wherever a block takes one."""
    small = [picture(k, height=24, width=20) for k in range(5)]
    folded = [Paragraph(text), Faces([picture(9, height=40, width=40)], text)]
    shown = Group((Shown(text, None, (text,), text), Shown(text, None)), (text,))
    return [
        Heading(text),
        Paragraph(text),
        Paragraph((text, Code(text), Strong(text), Link(text, text))),
        Notes([text, (Strong(text),)]),
        Verbatim(f"{text}\n{text}"),
        Facts([(text, text), ("number", 1234), ("left out", None)]),
        Table([text] * 9, [[text] * 9, [text, *range(8)]], texts=1),
        Listing(text, (text, text), [(text, text)] * 30, text),
        Picture(picture(8, height=60, width=900), text),
        Faces(small, text),
        Pairs([(small[0], small[1], text)], text),
        Gallery([shown]),
        Ranked(shown.pictures),
        Heatmap(text, (text, "other", "third"), [[1, 0, 0], [-0.5, 1, 0], [float("nan"), 0.9, 1]], text),
        Details(text, folded),
        Histogram(text, (0, 1, 2), {text: (1, 2), "other": (2, 1)}, ((1, text),), text),
        Bars(text, (text, "now"), [Bar(text, (0.2, 0.4), text, 0.5)], mark=text),
        Intervals(text, (text, "other"), [(text, [(0.5, 0.6, 0.7), (0.6, 0.65, 0.7)])]),
    ]


def pictures(folder: Path) -> Gallery:
    """More groups of pictures than a screen shows at a time; every picture is another one."""
    for k in range(2 * GROUPS):
        (folder / f"{k}.png").write_bytes(encode_png(picture(k, height=32, width=32)))
    return Gallery(
        [
            Group(
                (Shown(f"{k}.png", folder / f"{k}.png"), Shown(LONG, folder / f"{k + 1}.png", stays=False)),
                ("same photo",),
            )
            for k in range(0, 2 * GROUPS, 2)
        ]
    )
