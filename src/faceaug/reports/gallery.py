"""A gallery of picture groups inside one HTML page, with embedded thumbnails, drawn a screenful at a time.

The thumbnails are stored as text, in chunks that the browser parses only when they are shown, so that ten thousand
groups open as fast as ten.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from faceaug.data.image import Image8, read_image
from faceaug.errors import ImageError, printable
from faceaug.executor import open_executor
from faceaug.progress import SILENT, Progress

_CHUNK = 50  # groups per chunk of data, and per screen
_FEW = 400  # thumbnails that take less time than starting worker processes
# Most pictures, height of a thumbnail, WebP quality: keeps a page below about 30 MB.
_SIZES = ((600, 144, 75), (4_000, 104, 65), (12_000, 80, 55), (30_000, 60, 50))
_MOST = _SIZES[-1][0]


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a group.

    Attributes:
        name: its name.
        path: its current path; None if it cannot be shown.
        lines: text below it, a line each.
        mark: a label before the name: "stays", "set aside".
        stays: whether it is still in the folder; sets its colour.
    """

    name: str
    path: Path | None
    lines: tuple[str, ...] = ()
    mark: str = "stays"
    stays: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that belong together; the others are compared with the first.

    Attributes:
        pictures: at least one.
        tags: the kinds of the group; each tag becomes a filter.
        doubt: sort key of "least certain first"; 0 is certain.
    """

    pictures: tuple[Shown, ...]
    tags: tuple[str, ...]
    doubt: float = 0.0


def groups_html(groups: Sequence[Group], *, workers: int | None = 0, progress: Progress = SILENT) -> str:
    """The HTML of a gallery: filters, search by file name, sorting, pages. It needs ``report.js``.

    Args:
        groups: any number; pictures beyond 30,000 are listed without a thumbnail.
        workers: processes that make thumbnails; see ``open_executor``.
        progress: counts the thumbnails.
    """
    if not groups:
        return ""
    pictures = [picture for group in groups for picture in group.pictures]
    thumbnails = _thumbnails(pictures, workers, progress)
    tags = sorted({tag for group in groups for tag in group.tags})
    folders = {picture.name.rpartition("/")[0] for picture in pictures}
    below = f"{folders.pop()}/" if len(folders) == 1 else ""  # common to all names, so stored once
    below = "" if below == "/" else below
    index = {
        "tags": [printable(tag) for tag in tags],
        "size": _CHUNK,
        "below": printable(below),
        "groups": [
            [
                sum(1 << tags.index(tag) for tag in group.tags),
                round(group.doubt, 5),
                " ".join(printable(p.name[len(below) :]) for p in group.pictures).lower(),
            ]
            for group in groups
        ],
    }
    parts = [_BROWSER, _data("faces-index", index)]
    for number, start in enumerate(range(0, len(groups), _CHUNK)):
        chunk = [_plain(group, thumbnails, len(below)) for group in groups[start : start + _CHUNK]]
        parts.append(_data(f"faces-{number}", chunk))
    return "".join(parts)


def ranked_html(pictures: Sequence[Shown]) -> str:
    """The HTML of a few pictures in their order, without a script."""
    return f'<div class="group-row ranked">{"".join(map(_figure, pictures))}</div>' if pictures else ""


def _figure(picture: Shown) -> str:
    data = "" if picture.path is None else thumbnail((str(picture.path), *_SIZES[0][1:]))
    name = html.escape(printable(picture.name))
    shown = f'<img src="data:image/webp;base64,{data}" alt="{name}">' if data else '<div class="none">no picture</div>'
    lines = "".join(f"<br>{html.escape(printable(line))}" for line in picture.lines)
    mark = f"<b>{html.escape(printable(picture.mark))}</b> " if picture.mark else ""
    kind = ' class="stays"' if picture.stays else ""
    return f"<figure{kind}>{shown}<figcaption>{mark}{name}{lines}</figcaption></figure>"


def thumbnail(task: tuple[str, int, int]) -> str:
    """Make a thumbnail from (path, largest height, quality): WebP as Base64, "" for an unreadable file."""
    path, height, quality = task
    try:
        return _encoded(read_image(path), height, quality)
    except (ImageError, OSError):
        return ""


def _thumbnails(pictures: Sequence[Shown], workers: int | None, progress: Progress) -> dict[Path, str]:
    paths = list(dict.fromkeys(picture.path for picture in pictures if picture.path is not None))[:_MOST]
    height, quality = next((h, q) for most, h, q in _SIZES if len(paths) <= most)
    tasks = [(str(path), height, quality) for path in paths]
    alone = len(paths) <= _FEW or workers in {0, 1}
    with (
        open_executor(1 if alone else workers) as executor,
        progress.phase("illustrating", len(tasks), "pictures") as phase,
    ):
        return dict(zip(paths, phase.over(executor.map(thumbnail, tasks)), strict=True))


def _encoded(image: Image8, height: int, quality: int) -> str:
    picture = Image.fromarray(image)
    scale = min(1.0, height / picture.height, 2 * height / picture.width)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    page = io.BytesIO()
    picture.save(page, "WEBP", quality=quality, method=0)
    return base64.b64encode(page.getvalue()).decode()


def _plain(group: Group, thumbnails: Mapping[Path, str], skip: int) -> list[Any]:
    pictures = [
        [
            printable(picture.name[skip:]),
            thumbnails.get(picture.path, "") if picture.path is not None else "",
            [printable(line) for line in picture.lines],
            int(picture.stays),
            printable(picture.mark),
        ]
        for picture in group.pictures
    ]
    return [[printable(tag) for tag in group.tags], pictures]


def _data(name: str, value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


_BROWSER = """
<noscript><p>This part needs JavaScript, which is disabled in your browser; report.csv lists the same.</p></noscript>
<div id="groups" class="broad"><div class="groups-bar"><div id="groups-tags" class="groups-tags"></div>
<input id="groups-find" type="search" placeholder="file name" aria-label="search for a file name">
<select id="groups-sort" aria-label="order"><option value="0">by name</option>
<option value="1">least certain first</option></select>
<div class="groups-walk"><button id="groups-back" title="also: left arrow" aria-label="back">&larr;</button>
<span id="groups-at" aria-live="polite"></span>
<button id="groups-next" title="also: right arrow" aria-label="next">&rarr;</button></div></div>
<div id="groups-list" class="groups-list"></div></div>
"""
