"""What was added to a dataset, as one self-contained HTML page with pictures."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.crop import crop_face
from faceaug.data.image import Image8
from faceaug.errors import ImageError
from faceaug.mix.mixture import Mixture
from faceaug.mix.report import REASON_WORDS, ExpandReport
from faceaug.mix.shares import Share
from faceaug.presentation import html_table
from faceaug.reports.shell import grid, html_image, html_page

_SHOWN = 28  # faces of each sheet
_SIDE = 256  # pixels of the largest picture that a sheet shows as it is
_BAR = 280  # pixels for a share of 1
_BEFORE, _AFTER = "#30638e", "#d1495b"


def expansion_page(dataset: Mixture, report: ExpandReport) -> str:
    """The whole page; the same for the same folder, whenever it is made."""
    parts = [_intro(dataset, report), "<h2>Sizes</h2>", html_table(report.rows()), _filter(report)]
    parts += [_balance(dataset, report), _sheets(dataset), report.appendix.page if report.appendix else ""]
    if report.unreadable:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in report.unreadable)
        parts.append(f"<h2>Left out</h2><p>Pictures that cannot be read, with their copies:</p><ul>{lines}</ul>")
    return html_page("Expanded faces", "".join(parts))


def _intro(dataset: Mixture, report: ExpandReport) -> str:
    model = f" Synthetic faces: <code>{html.escape(dataset.model)}</code>." if dataset.plan.synthetic else ""
    warning = "<p><strong>This page shows real faces of the folder it was made from.</strong> Its terms are theirs.</p>"
    if not dataset.plan.real:
        warning = "<p><strong>No real face is in this folder or on this page.</strong></p>"
    counts = dict(report.sizes)
    share = f" ({counts['synthetic'] / counts['real']:.0%} of the real ones)" if dataset.plan.real else ""
    story = (
        f"<p>{counts['total']:,} faces: {counts['real'] if dataset.plan.real else 0:,} real, "
        f"{counts['augmented']:,} augmented copies of them, {counts['synthetic']:,} synthetic{share}.</p>"
    )
    lines = [line.strip() for line in report.framing()]
    why = f" No synthetic faces: {html.escape(report.no_synthetic)}." if report.no_synthetic else ""
    framing = "<br>".join(html.escape(line[:1].upper() + line[1:]) for line in lines)
    made = f"<p>{framing}.</p><p>Seed {dataset.seed}.{model}{why}</p>"
    return story + made + warning


def _filter(report: ExpandReport) -> str:
    if not report.looked_at:
        return ""
    rows = [(REASON_WORDS[name], count) for name, count in report.rejected.items()]
    text = f"<p>{report.looked_at:,} synthetic faces were looked at. Left out, and replaced by others:</p>"
    why = f"<p>{html.escape(' '.join(reasons))}</p>" if (reasons := report.refusal()) else ""
    return f"<h2>Synthetic faces</h2>{text}{html_table(rows)}{why}" if rows else ""


def _balance(dataset: Mixture, report: ExpandReport) -> str:
    """A pair of bars for every attribute: its share before and now."""
    before = dataset.real.annotations.attributes[dataset.plan.used]
    after = dataset.labels()
    known = [k for k in range(len(ATTRIBUTES)) if before[:, k].any() and after[:, k].any()]
    if not known:
        return ""
    first, now = _shares(before), _shares(after, dataset.weights)
    known.sort(key=lambda k: (ATTRIBUTES[k] not in dataset.wanted, first[k]))
    bars = "".join(_bars(k, row, first[k], now[k], dataset) for row, k in enumerate(known))
    text = "Share of each attribute, where it is known: before (blue), now by weight (red); the line is what was asked."
    height = 20 * len(known)
    return (
        f'<h2>Attributes</h2>{_asked(report)}<figure><svg viewBox="0 0 560 {height}" width="560" role="img" '
        f'aria-label="{text}" style="max-width:100%" font-size="12">{bars}</svg>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _asked(report: ExpandReport) -> str:
    """The balanced attributes: their shares, and whether where a face comes from gives them away."""
    if not report.shares:
        return ""
    rows = [_asked_row(share) for share in report.shares]
    header = (
        "", "wanted", "before", "now, by weight", "among real", "augmented", "synthetic", "synthetic, not known",
        "predicted by origin", "the same without weights",
    )  # fmt: skip
    text = (
        "<p>Predicted by origin: balanced accuracy of the best guess at the attribute from nothing but whether a face "
        "is real, augmented or synthetic; 50% is chance. The shares hold by <code>weight</code>: multiply the loss by "
        "it, or draw in proportion to it.</p>"
    )
    given = [share for share in report.shares if share.given_away]
    if given:
        names = ", ".join(share.attribute for share in given)
        text += (
            f"<p><strong>Origin gives away: {names}. A classifier can learn where faces come from instead.</strong></p>"
        )
    return html_table(rows, header=header) + text


def _asked_row(share: Share) -> tuple[str | int, ...]:
    shares = (share.wanted, share.before, share.after, *share.among)
    told = (share.origin_accuracy, share.origin_accuracy_unweighted)
    return (share.attribute, *map(_percent, shares), share.unknown[2], *map(_percent, told))


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"


def _bars(k: int, row: int, first: float, now: float, dataset: Mixture) -> str:
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


def _shares(values: NDArray[np.int8], weights: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
    each = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    having, known = each @ (values > 0), each @ (values != 0)
    shares: NDArray[np.float64] = having / np.maximum(known, 1e-300)
    return shares


def _sheets(dataset: Mixture) -> str:
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


def _sheet(dataset: Mixture, places: NDArray[np.int64], text: str) -> str:
    chosen = places[np.unique(np.linspace(0, max(len(places) - 1, 0), min(len(places), _SHOWN)).astype(int))].tolist()
    images = _alike(_readable(dataset, chosen))
    if not images:
        return ""
    factor = max(1, 64 // images[0].shape[0])
    columns = max(1, min(14, 960 // (images[0].shape[1] * factor)))
    sheet = grid(images, columns=columns, enlarge=factor)
    caption = text[0].upper() + text[1:]
    return f"<figure>{html_image(sheet, alt=caption)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _alike(images: list[Image8]) -> list[Image8]:
    """Pictures for a sheet: small, and of one size."""
    shapes = {image.shape for image in images}
    largest = max((max(shape) for shape in shapes), default=0)
    if len(shapes) <= 1 and largest <= _SIDE:
        return images
    side = min(_SIDE, largest)
    return [crop_face(image, "none", (side, side)) for image in images]


def _readable(dataset: Mixture, places: Sequence[int]) -> list[Image8]:
    images = []
    for place in places:
        try:
            images.append(dataset.item(place).image)
        except ImageError:  # named in the report already
            continue
    return images
