"""Groups of pictures as part of one HTML page: thumbnails inside, drawn a screenful at a time, whatever their number.

The pictures are kept as text in chunks of data that the browser does not look at until a chunk is shown, so that ten
thousand groups open as fast as ten.
"""

from __future__ import annotations

import base64
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

_CHUNK = 50  # groups in a piece of data, and on a screen
_FEW = 400  # thumbnails that are made sooner than worker processes have started
# Up to so many pictures: height of a thumbnail and WebP quality, so that no page has more than about 30 MB.
_SIZES = ((600, 144, 75), (4_000, 104, 65), (12_000, 80, 55), (30_000, 60, 50))
_MOST = _SIZES[-1][0]


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a group.

    Attributes:
        name: what it is called.
        path: where it lies now; None if it cannot be shown.
        lines: what is said below it, a line each.
        mark: a word before the name: "stays", "set aside".
        stays: whether it is still in the folder, which colours it.
    """

    name: str
    path: Path | None
    lines: tuple[str, ...] = ()
    mark: str = "stays"
    stays: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that belong together; the first is the one the others are compared with.

    Attributes:
        pictures: at least one.
        tags: what kind of group it is; each tag becomes a filter.
        doubt: sorts the groups that deserve a look first; 0 is certain.
    """

    pictures: tuple[Shown, ...]
    tags: tuple[str, ...]
    doubt: float = 0.0


def groups_html(groups: Sequence[Group], *, workers: int | None = 0, progress: Progress = SILENT) -> str:
    """A browser of groups: filters, search by file name, sorting, pages. ``report.js`` brings it to life.

    Args:
        groups: any number; pictures beyond 30,000 are listed without a thumbnail.
        workers: processes that make thumbnails; see ``open_executor``.
        progress: shows how many thumbnails are made.
    """
    if not groups:
        return ""
    pictures = [picture for group in groups for picture in group.pictures]
    thumbnails = _thumbnails(pictures, workers, progress)
    tags = sorted({tag for group in groups for tag in group.tags})
    folders = {picture.name.rpartition("/")[0] for picture in pictures}
    below = f"{folders.pop()}/" if len(folders) == 1 else ""  # the same for all: said once
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


def thumbnail(task: tuple[str, int, int]) -> str:
    """A small WebP of a picture as Base64: (path, largest height, quality) in; "" for what is no picture."""
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
<noscript><p>This part needs JavaScript, which your browser has switched off; report.csv lists the same.</p></noscript>
<div id="groups" class="broad"><div class="groups-bar"><div id="groups-tags" class="groups-tags"></div>
<input id="groups-find" type="search" placeholder="file name" aria-label="search for a file name">
<select id="groups-sort" aria-label="order"><option value="0">in order of names</option>
<option value="1">least certain first</option></select>
<div class="groups-walk"><button id="groups-back" title="also: left arrow" aria-label="back">&larr;</button>
<span id="groups-at" aria-live="polite"></span>
<button id="groups-next" title="also: right arrow" aria-label="on">&rarr;</button></div></div>
<div id="groups-list" class="groups-list"></div></div>
"""
