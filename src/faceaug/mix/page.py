"""What was added to a dataset, as one self-contained HTML page with pictures."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ImageError
from faceaug.data.image import Image8
from faceaug.mix.expand import ExpandedDataset
from faceaug.mix.report import REASON_WORDS, ExpandReport
from faceaug.reports.shell import grid, html_image, html_page, html_table

_SHOWN = 28  # faces of each sheet
_BAR = 280  # pixels for a share of 1
_BEFORE, _AFTER = "#30638e", "#d1495b"


def expansion_page(dataset: ExpandedDataset, report: ExpandReport) -> str:
    """The whole page; the same for the same folder, whenever it is made."""
    parts = [_intro(dataset, report), "<h2>Sizes</h2>", html_table(report.sizes), _filter(report)]
    parts += [_balance(dataset), _sheets(dataset), report.appendix.page if report.appendix else ""]
    if report.unreadable:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in report.unreadable)
        parts.append(f"<h2>Left out</h2><p>Pictures that cannot be read, with their copies:</p><ul>{lines}</ul>")
    return html_page("Expanded faces", "".join(parts))


def _intro(dataset: ExpandedDataset, report: ExpandReport) -> str:
    model = f" Synthetic faces: <code>{html.escape(dataset.model)}</code>." if dataset.plan.synthetic else ""
    warning = "<p><strong>This page shows real faces of the folder it was made from.</strong> Its terms are theirs.</p>"
    if not dataset.plan.real:
        warning = "<p><strong>No real face is in this folder or on this page.</strong></p>"
    height, width = report.size
    counts = dict(report.sizes)
    share = f" ({counts['synthetic'] / counts['cleaned']:.0%} of the real ones)" if dataset.plan.real else ""
    story = (
        f"<p>{counts['total']:,} faces: {counts['cleaned'] if dataset.plan.real else 0:,} real, "
        f"{counts['augmented']:,} augmented copies of them, {counts['synthetic']:,} synthetic{share}.</p>"
    )
    made = f"<p>Pictures of {width} x {height} pixels, crop {report.crop}, seed {dataset.seed}.{model}</p>"
    return story + made + warning


def _filter(report: ExpandReport) -> str:
    if not report.looked_at:
        return ""
    rows = [(REASON_WORDS[name], count) for name, count in report.rejected.items()]
    text = f"<p>{report.looked_at:,} synthetic faces were looked at. Left out, and replaced by others:</p>"
    return f"<h2>Synthetic faces</h2>{text}{html_table(rows)}" if rows else ""


def _balance(dataset: ExpandedDataset) -> str:
    """A pair of bars for every attribute: its share before and now."""
    before = dataset.real.annotations.attributes[dataset.plan.used]
    after = dataset.labels()
    known = [k for k in range(len(ATTRIBUTES)) if before[:, k].any() and after[:, k].any()]
    if not known:
        return ""
    first, now = _shares(before), _shares(after)
    known.sort(key=lambda k: (ATTRIBUTES[k] not in dataset.wanted, first[k]))
    bars = "".join(_bars(k, row, first[k], now[k], dataset) for row, k in enumerate(known))
    text = "Share of each attribute, where it is known: before (blue), now (red); the line is what was asked."
    height = 20 * len(known)
    return (
        f'<h2>Attributes</h2>{_asked(dataset)}<figure><svg viewBox="0 0 560 {height}" width="560" role="img" '
        f'aria-label="{text}" style="max-width:100%" font-size="12">{bars}</svg>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _asked(dataset: ExpandedDataset) -> str:
    """The balanced attributes: what was asked for and what came of it, and how many synthetic faces have which."""
    if not dataset.shares:
        return ""
    labels = dataset.synthetic.attributes if dataset.plan.synthetic else dataset.real.annotations.attributes[:0]
    rows = []
    for share in dataset.shares:
        column = labels[:, ATTRIBUTES.index(share.attribute)]
        found = (int((column > 0).sum()), int((column < 0).sum()), int((column == 0).sum()))
        shares = tuple(f"{value:.1%}" for value in (share.wanted, share.before, share.after))
        rows.append((share.attribute, *shares, *(found if len(labels) else ())))
    kinds = ("synthetic with", "without", "not known") if len(labels) else ()
    return html_table(rows, header=("", "wanted", "before", "now", *kinds))


def _bars(k: int, row: int, first: float, now: float, dataset: ExpandedDataset) -> str:
    name, top, left = ATTRIBUTES[k], 20 * row, 150
    wanted = dataset.wanted.get(name)
    weight = ' font-weight="bold"' if wanted is not None else ""
    line = "" if wanted is None else (
        f'<line x1="{left + _BAR * wanted:.1f}" x2="{left + _BAR * wanted:.1f}" y1="{top}" y2="{top + 18}" '
        'stroke="currentColor"/>'
    )  # fmt: skip
    return (
        f'<text x="144" y="{top + 13}" fill="currentColor" text-anchor="end"{weight}>{name}</text>'
        f'<rect x="{left}" y="{top + 1}" width="{_BAR * first:.1f}" height="7" fill="{_BEFORE}"/>'
        f'<rect x="{left}" y="{top + 9}" width="{_BAR * now:.1f}" height="7" fill="{_AFTER}"/>{line}'
        f'<text x="{left + _BAR + 10}" y="{top + 13}" fill="currentColor">{first:.1%} → {now:.1%}</text>'
    )


def _shares(values: NDArray[np.int8]) -> NDArray[np.float64]:
    known = np.maximum((values != 0).sum(axis=0), 1)
    shares: NDArray[np.float64] = (values > 0).sum(axis=0) / known
    return shares


def _sheets(dataset: ExpandedDataset) -> str:
    """Added faces of every balanced attribute, and of each kind."""
    plan, labels = dataset.plan, dataset.labels()
    kinds = {"augmented copies": (plan.real, len(plan.rows)), "synthetic faces": (len(plan.rows), len(plan))}
    parts = []
    for kind, (start, stop) in kinds.items():
        if stop == start:
            continue
        parts.append(_sheet(dataset, np.arange(start, stop), f"Some of the {stop - start:,} {kind}."))
        for name in dataset.wanted:
            column = labels[start:stop, ATTRIBUTES.index(name)]
            for sign, word in ((1, "with"), (-1, "without")):
                places = start + np.flatnonzero(column == sign)
                parts.append(_sheet(dataset, places, f"{kind} {word} {name} ({len(places):,})."))
    return f"<h2>Added faces</h2>{''.join(parts)}" if parts else ""


def _sheet(dataset: ExpandedDataset, places: NDArray[np.int64], text: str) -> str:
    chosen = places[np.unique(np.linspace(0, max(len(places) - 1, 0), min(len(places), _SHOWN)).astype(int))].tolist()
    images = _readable(dataset, chosen)
    if not images:
        return ""
    factor = max(1, 64 // images[0].shape[0])
    columns = max(1, min(14, 960 // (images[0].shape[1] * factor)))
    sheet = grid(images, columns=columns, enlarge=factor)
    caption = text[0].upper() + text[1:]
    return f"<figure>{html_image(sheet, alt=caption)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _readable(dataset: ExpandedDataset, places: Sequence[int]) -> list[Image8]:
    images = []
    for place in places:
        try:
            images.append(dataset.item(place).image)
        except ImageError:  # named in the report already
            continue
    return images
