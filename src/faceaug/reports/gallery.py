"""A gallery of picture groups inside one HTML page, with embedded thumbnails, drawn a screenful at a time.

The thumbnails are stored as text, in chunks that the browser parses only when they are shown, so that ten thousand
groups open as fast as ten.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
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
        choice: its place in ``Choices.document["groups"]``, if the reader decides about it.
        fixed: whether the first picture stays in any case, so that no other one can stay in its place.
    """

    pictures: tuple[Shown, ...]
    tags: tuple[str, ...]
    doubt: float = 0.0
    choice: int | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """Lets the reader decide which pictures of a group stay: one of them, or all.

    Attributes:
        document: plain values of the file that keeps the decisions. ``groups`` has ``decision``, ``stays`` and
            ``pictures`` (each with ``name``, in the order of ``Group.pictures``) of each group; the page changes the
            first two.
        file: name of that file.
        commands: what to run with it.
        leaving: number of pictures that leave, unless the reader decides otherwise.
        mark: label of a picture that leaves, such as "would be set aside".
        live: whether a server carries the decisions out; then ``apply``, ``undo``, ``finish`` and ``state`` are its
            addresses, next to the page.
    """

    document: Mapping[str, Any]
    file: str
    commands: Sequence[str]
    leaving: int
    mark: str
    live: bool = False


def groups_html(
    groups: Sequence[Group],
    *,
    choices: Choices | None = None,
    address: Callable[[Path], str] | None = None,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> str:
    """The HTML of a gallery: filters, search by file name, sorting, pages. It needs ``report.js``.

    Args:
        groups: any number; pictures beyond 30,000 are listed without a thumbnail.
        choices: what the reader may decide; needs ``decide.js`` as well.
        address: address of a picture on a server; None embeds thumbnails.
        workers: processes that make thumbnails; see ``open_executor``.
        progress: counts the thumbnails.
    """
    if not groups:
        return ""
    pictures = [picture for group in groups for picture in group.pictures]
    if address is None:
        thumbnails = _thumbnails(pictures, workers, progress)
    else:
        thumbnails = {path: address(path) for path in dict.fromkeys(picture.path for picture in pictures) if path}
    tags = sorted({tag for group in groups for tag in group.tags})
    folders = {picture.name.rpartition("/")[0] for picture in pictures}
    below = f"{folders.pop()}/" if len(folders) == 1 else ""  # common to all names, so stored once
    below = "" if below == "/" else below
    index = {
        "tags": [printable(tag) for tag in tags],
        "size": _CHUNK,
        "below": printable(below),
        "source": "data:image/webp;base64," if address is None else "",
        "groups": [_entry(group, tags, len(below)) for group in groups],
    }
    parts = [_BROWSER, *([] if choices is None else _decided(choices)), _data("faces-index", index)]
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
    return base64.b64encode(webp_thumbnail(path, height, quality)).decode()


def webp_thumbnail(path: str, height: int, quality: int) -> bytes:
    """Make a thumbnail of a file as WebP; empty for an unreadable one."""
    try:
        return _encoded(read_image(path), height, quality)
    except (ImageError, OSError):
        return b""


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


def _encoded(image: Image8, height: int, quality: int) -> bytes:
    picture = Image.fromarray(image)
    scale = min(1.0, height / picture.height, 2 * height / picture.width)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    page = io.BytesIO()
    picture.save(page, "WEBP", quality=quality, method=0)
    return page.getvalue()


def _entry(group: Group, tags: Sequence[str], skip: int) -> list[Any]:
    """A group in the index: tags as bits, doubt, names to search in, and its choice, if there is one."""
    bits = sum(1 << tags.index(tag) for tag in group.tags)
    names = " ".join(printable(picture.name[skip:]) for picture in group.pictures).lower()
    return [bits, round(group.doubt, 5), names, *([] if group.choice is None else [group.choice])]


def _decided(choices: Choices) -> Iterator[str]:
    """The bar with what the reader decided, and its data."""
    digest = hashlib.blake2b(json.dumps(choices.document).encode(), digest_size=16)
    settings = {
        "file": choices.file,
        "leaving": choices.leaving,
        "mark": choices.mark,
        "live": choices.live,
        "key": digest.hexdigest(),
    }
    commands = "\n".join(html.escape(printable(command)) for command in choices.commands)
    yield _BAR.substitute(
        file=html.escape(choices.file),
        live="" if choices.live else "hidden",
        saved=_SAVED.substitute(commands=commands) if commands else "",
    )
    yield _data("choices", settings)
    yield _data("choices-document", choices.document, exact=True)


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
    plain: list[Any] = [[printable(tag) for tag in group.tags], pictures]
    return plain if group.choice is None else [*plain, int(group.fixed)]


def _data(name: str, value: Any, *, exact: bool = False) -> str:
    """A block of data; ``exact`` keeps names that are not UTF-8."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=exact).replace("<", "\\u003c")
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

_BAR = Template("""
<div id="decide" class="decide broad" role="region" aria-label="your decisions" tabindex="-1" hidden>
<p id="decide-sum" class="decide-sum"></p>
<div class="decide-buttons"><span $live class="decide-live"><button id="decide-apply" class="main">apply</button>
<button id="decide-revert" hidden>undo what was applied</button><button id="decide-finish">finish</button></span>
<button id="decide-save">save $file</button><button id="decide-copy">copy it</button>
<button id="decide-back" title="also: u">take back</button>
<button id="decide-reset">start over</button></div>
<p id="decide-said" class="decide-said" role="status"></p>
<details><summary>keys, and what comes next</summary>
<p><kbd>j</kbd> and <kbd>k</kbd> go to the next and the previous group, <kbd>space</kbd> keeps all its pictures or one,
<kbd>s</kbd> keeps another one, <kbd>u</kbd> takes the last decision back, <kbd>enter</kbd> enlarges.</p>
$saved</details></div>
""")
_SAVED = Template("""<p>Save the file, then run where it lies, with the options of this run:</p>
<pre tabindex="0">$commands</pre>""")
