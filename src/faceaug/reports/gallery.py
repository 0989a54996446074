"""Groups of pictures as part of one HTML page: thumbnails inside, drawn a screenful at a time, whatever their number.

The pictures are kept as text in chunks of data that the browser does not look at until a chunk is shown, so that ten
thousand groups open as fast as ten.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceaug.errors import ImageError, printable
from faceaug.executor import Executor, SerialExecutor, open_executor
from faceaug.data.image import Image8, read_image

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


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram.

    Attributes:
        title: of the figure.
        edges: n + 1 ascending positions.
        series: name -> n counts.
        marks: (position, name) of vertical lines.
        unit: below the axis.
    """

    title: str
    edges: Sequence[float]
    series: Mapping[str, Sequence[float]]
    marks: tuple[tuple[float, str], ...] = ()
    unit: str = ""


def groups_html(groups: Sequence[Group], *, workers: int | None = 0) -> str:
    """A browser of groups: filters, search by file name, sorting, pages; for ``faceaug.reports.shell.html_page``.

    Args:
        groups: any number; pictures beyond 30,000 are listed without a thumbnail.
        workers: processes that make thumbnails; see ``open_executor``.
    """
    if not groups:
        return ""
    pictures = [picture for group in groups for picture in group.pictures]
    thumbnails = _thumbnails(pictures, workers)
    tags = sorted({tag for group in groups for tag in group.tags})
    folders = {picture.name.rpartition("/")[0] for picture in pictures}
    below = f"{folders.pop()}/" if len(folders) == 1 else ""  # the same for all: said once
    below = "" if below == "/" else below
    index = {
        "tags": tags,
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
    return "".join([*parts, f"<script>{_SCRIPT}</script>"])


def thumbnail(task: tuple[str, int, int]) -> str:
    """A small WebP of a picture as Base64: (path, largest height, quality) in; "" for what is no picture."""
    path, height, quality = task
    try:
        return _encoded(read_image(path), height, quality)
    except (ImageError, OSError):
        return ""


def bars_svg(bars: Bars) -> str:
    """A histogram as an inline SVG with a logarithmic height, so that 3 of 3 million can be seen."""
    edges = np.asarray(bars.edges, float)
    low, high = float(edges[0]), float(edges[-1])
    top = max((max(counts, default=0) for counts in bars.series.values()), default=0)
    if high <= low or top <= 0:
        return ""
    width, height, left, base = 860, 260, 48, 210
    scale = (base - 20) / np.log10(1 + top)

    def across(value: float) -> float:
        return left + (width - left - 10) * (value - low) / (high - low)

    parts = [_grid_lines(top, scale, left, width, base)]
    for k, counts in enumerate(bars.series.values()):
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
            tall = scale * np.log10(1 + count)
            x, wide = across(start), max(0.5, across(end) - across(start) - 1)
            box = f'x="{x:.1f}" y="{base - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
            parts.append(f'<rect class="s{k % 4}" {box}><title>{start:g} to {end:g}: {count:,}</title></rect>')
    for position, name in bars.marks:
        x = across(min(max(position, low), high))
        anchor = "end" if x > width / 2 else "start"
        shift = -5 if anchor == "end" else 5
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{base}"/>')
        parts.append(f'<text x="{x + shift:.1f}" y="14" text-anchor="{anchor}">{html.escape(name)}</text>')
    ticks = [(across(value), f"{value:.4g}") for value in np.linspace(low, high, 9)]
    parts += [f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{text}</text>' for x, text in ticks]
    parts.append(f'<text x="{width / 2}" y="{base + 40}" text-anchor="middle">{html.escape(bars.unit)}</text>')
    names = "".join(f'<span class="s{k % 4}">{html.escape(name)}</span>' for k, name in enumerate(bars.series))
    picture = f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'
    return f'{_BARS}<figure class="bars">{picture}<figcaption>{html.escape(bars.title)} {names}</figcaption></figure>'


def _grid_lines(top: float, scale: float, left: int, width: int, base: int) -> str:
    parts = []
    for power in range(int(np.log10(top)) + 1):
        y = base - scale * np.log10(1 + 10**power)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(10**power)}</text>')
    return "".join(parts) + f'<line class="axis" x1="{left}" x2="{width - 10}" y1="{base}" y2="{base}"/>'


def _short(number: int) -> str:
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number // size}{letter}"
    return str(number)


def _thumbnails(pictures: Sequence[Shown], workers: int | None) -> dict[Path, str]:
    paths = list(dict.fromkeys(picture.path for picture in pictures if picture.path is not None))[:_MOST]
    height, quality = next((h, q) for most, h, q in _SIZES if len(paths) <= most)
    tasks = [(str(path), height, quality) for path in paths]
    if len(paths) <= _FEW or workers in {0, 1}:
        return dict(zip(paths, _made(SerialExecutor(), tasks), strict=True))
    with open_executor(workers) as executor:
        return dict(zip(paths, _made(executor, tasks), strict=True))


def _made(executor: Executor, tasks: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    return executor.map(thumbnail, tasks)


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
            picture.mark,
        ]
        for picture in group.pictures
    ]
    return [list(group.tags), pictures]


def _data(name: str, value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


_BARS = """<style>
.bars svg { width: 100%; font-size: 12px; fill: currentColor; }
.bars .s0 { fill: #3b82f6; } .bars .s1 { fill: #f59e0b; }
.bars .s2 { fill: #10b981; } .bars .s3 { fill: #a855f7; } .bars rect { opacity: .75; }
.bars span { border-bottom: 3px solid #3b82f6; margin-left: .8rem; } .bars span.s1 { border-color: #f59e0b; }
.bars span.s2 { border-color: #10b981; } .bars span.s3 { border-color: #a855f7; }
.bars .grid { stroke: var(--line); } .bars .axis { stroke: currentColor; }
.bars .mark { stroke: #dc2626; stroke-width: 2; stroke-dasharray: 5 3; }
</style>"""
_BROWSER = """<style>
.faces-bar { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 1rem 0; position: sticky; top: 0;
  background: Canvas; padding: .5rem 0; z-index: 1; border-bottom: 1px solid var(--line); }
.faces-bar button, .faces-bar select, .faces-bar input { font: inherit; font-size: .9rem; padding: .2rem .6rem;
  border: 1px solid var(--line); border-radius: 1rem; background: var(--soft); color: inherit; }
.faces-bar button[aria-pressed=true] { background: #2563eb; color: #fff; }
.faces-bar button:disabled { opacity: .4; } .faces-bar .space { flex: 1; }
#faces-list { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: .7rem; }
.faces-group { border: 1px solid var(--line); border-radius: 8px; padding: .7rem; }
.faces-large { grid-column: 1 / -1; }
.faces-tags span { font-size: .8rem; background: var(--soft); border-radius: 1rem; padding: .1rem .6rem;
  margin-right: .3rem; }
.faces-row { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: .5rem; }
.faces-row figure { margin: 0; width: 11rem; } .faces-row figcaption { opacity: 1; font-size: .8rem;
  overflow-wrap: anywhere; line-height: 1.35; }
.faces-row img, .faces-none { height: 9rem; width: auto; border-radius: 4px; display: block; cursor: zoom-in;
  image-rendering: auto; border-bottom: 4px solid #b45309; box-sizing: content-box; }
.faces-row .stays img { border-color: #15803d; }
.faces-none { width: 7rem; background: var(--soft); display: grid; place-items: center; font-size: .8rem; }
.faces-row figcaption b { color: #b45309; } .faces-row .stays figcaption b { color: #15803d; }
.faces-large .faces-row img { height: 18rem; cursor: zoom-out; } .faces-large .faces-row figure { width: 16rem; }
@media (prefers-color-scheme: dark) { .faces-row figcaption b { color: #fbbf24; }
  .faces-row .stays figcaption b { color: #4ade80; } }
@media print { .faces-bar { display: none; } .faces-group { break-inside: avoid; } }
</style>
<noscript><p>This part needs JavaScript, which your browser has switched off; report.csv lists the same.</p></noscript>
<div id="faces"><div class="faces-bar"><span id="faces-tags"></span><span class="space"></span>
<input id="faces-find" type="search" placeholder="file name" aria-label="search for a file name">
<select id="faces-sort" aria-label="order"><option value="0">in order of names</option>
<option value="1">least certain first</option></select>
<button id="faces-back" title="also: left arrow">&larr;</button><span id="faces-at" aria-live="polite"></span>
<button id="faces-next" title="also: right arrow">&rarr;</button></div><div id="faces-list"></div></div>
"""
_SCRIPT = """(() => {
const by = id => document.getElementById(id), make = (tag, text, kind) => {
  const e = document.createElement(tag); if (text) e.textContent = text; if (kind) e.className = kind; return e; };
const data = id => JSON.parse(by(id).textContent), index = data('faces-index');
const chunks = new Map(); let found = [], at = 0, tag = -1;
const chunk = k => { if (!chunks.has(k)) { if (chunks.size > 60) chunks.clear(); chunks.set(k, data('faces-' + k)); }
  return chunks.get(k); };
const group = i => chunk(Math.floor(i / index.size))[i % index.size];
const draw = g => { const card = make('div', '', 'faces-group'), tags = make('div', '', 'faces-tags');
  g[0].forEach(t => tags.append(make('span', t))); const row = make('div', '', 'faces-row');
  g[1].forEach(([name, picture, lines, stays, mark]) => { const f = make('figure', '', stays ? 'stays' : '');
    let shown; if (picture) { shown = make('img'); shown.alt = name; shown.title = index.below + name;
      shown.src = 'data:image/webp;base64,' + picture; }
    else shown = make('div', 'no picture', 'faces-none');
    const words = make('figcaption'); words.append(make('b', mark), ' ' + name);
    lines.forEach(l => words.append(make('br'), l)); f.append(shown, words); row.append(f); });
  card.append(tags, row); card.onclick = e => { if (e.target.tagName === 'IMG') card.classList.toggle('faces-large'); };
  return card; };
const show = () => { const last = Math.max(0, Math.ceil(found.length / index.size) - 1);
  at = Math.min(Math.max(at, 0), last);
  const part = found.slice(at * index.size, (at + 1) * index.size);
  by('faces-list').replaceChildren(...part.map(i => draw(group(i))));
  by('faces-at').textContent = found.length ? `${(at * index.size + 1).toLocaleString('en')} to ` +
    `${(at * index.size + part.length).toLocaleString('en')} of ${found.length.toLocaleString('en')}` : 'nothing found';
  by('faces-back').disabled = !at; by('faces-next').disabled = at >= last; };
const pick = () => { const words = by('faces-find').value.toLowerCase().trim(); found = [];
  index.groups.forEach(([bits, , names], i) => {
    if ((tag < 0 || bits >> tag & 1) && names.includes(words)) found.push(i); });
  if (by('faces-sort').value === '1') found.sort((a, b) => index.groups[b][1] - index.groups[a][1] || a - b);
  at = 0; show(); };
const turn = by_how_much => { at += by_how_much; show(); by('faces').scrollIntoView(); };
['all', ...index.tags].forEach((name, k) => { const n = k ? index.groups.filter(g => g[0] >> k - 1 & 1).length
    : index.groups.length, b = make('button', `${name} (${n.toLocaleString('en')})`);
  b.setAttribute('aria-pressed', !k); b.style.marginRight = '.3rem'; b.onclick = () => { tag = k - 1;
    [...by('faces-tags').children].forEach(c => c.setAttribute('aria-pressed', c === b)); pick(); };
  by('faces-tags').append(b); });
by('faces-find').oninput = pick; by('faces-sort').onchange = pick;
by('faces-back').onclick = () => turn(-1); by('faces-next').onclick = () => turn(1);
addEventListener('keydown', e => { if (/INPUT|SELECT/.test(e.target.tagName)) return;
  if (e.key === 'ArrowLeft' && !by('faces-back').disabled) turn(-1);
  if (e.key === 'ArrowRight' && !by('faces-next').disabled) turn(1); });
pick(); })();"""
