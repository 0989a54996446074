"""The HTML report of an expanded dataset: figures and pictures as blocks."""

from __future__ import annotations

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
from faceaug.reports.plots import Bar, Bars
from faceaug.reports.render import render_page
from faceaug.reports.sections import (
    Block,
    Code,
    Details,
    Faces,
    Facts,
    Heading,
    Notes,
    Paragraph,
    Piece,
    Strong,
    Table,
    Text,
)

_SHOWN = 28  # faces per sheet
_SIDE = 256  # largest side, in pixels, that a sheet shows without resizing
_SEEN = 0.0005  # smallest change of a share that its text shows


def expansion_page(dataset: Mixture, report: ExpandReport) -> str:
    """The HTML page; equal for equal folders, whenever it is made."""
    return render_page("Expanded faces", expansion_blocks(dataset, report), made_by="faceaug expand")


def expansion_blocks(dataset: Mixture, report: ExpandReport) -> list[Block]:
    """The blocks of the page of an expanded dataset."""
    blocks = [*_intro(dataset, report), Heading("Sizes"), Facts(report.rows()), *_filter(report)]
    blocks += [*_balance(dataset, report), *_sheets(dataset), *(report.appendix.blocks if report.appendix else ())]
    if report.unreadable:
        lost = Paragraph("Pictures that cannot be read, with their copies:")
        blocks += [Heading("Left out"), lost, Notes(report.unreadable)]
    return blocks


def _intro(dataset: Mixture, report: ExpandReport) -> list[Block]:
    counts = dict(report.sizes)
    compared = dataset.plan.real and counts["synthetic"]
    share = f" ({counts['synthetic'] / counts['real']:.0%} of the real ones)" if compared else ""
    story = (
        f"{counts['total']:,} faces: {counts['real'] if dataset.plan.real else 0:,} real, "
        f"{counts['augmented']:,} augmented copies of them, {counts['synthetic']:,} synthetic{share}."
    )
    lines = [line.strip() for line in report.framing()]
    made: tuple[Piece, ...] = (f"Seed {dataset.seed}.",)
    made += (" Synthetic faces: ", Code(dataset.model), ".") if dataset.plan.synthetic else ()
    made += (f" No synthetic faces: {report.no_synthetic}.",) if report.no_synthetic else ()
    warning: Text = (Strong("This page shows real faces of the folder it was made from."), " Its terms apply to them.")
    if not dataset.plan.real:
        warning = (Strong("No real face is in this folder or on this page."),)
    framed, *which = (f"{line[:1].upper()}{line[1:]}" for line in lines)
    return [Paragraph(story), Paragraph(f"{framed}."), Notes(which), Paragraph(made), Paragraph(warning)]


def _filter(report: ExpandReport) -> list[Block]:
    if not report.looked_at or not report.rejected:
        return []
    rows = [(REASON_WORDS[name], count) for name, count in report.rejected.items() if count]
    outcome = "Left out and replaced by others:" if rows else "None was left out."
    text = f"{report.looked_at:,} synthetic faces were examined. {outcome}"
    return [Heading("Synthetic faces"), Paragraph(text), Facts(rows), Notes(report.refusal())]


def _balance(dataset: Mixture, report: ExpandReport) -> list[Block]:
    """Two bars per attribute, its share before and now; attributes that kept their share are collapsed."""
    before = dataset.real.annotations.attributes[dataset.plan.used]
    after = dataset.labels()
    known = [k for k in range(len(ATTRIBUTES)) if before[:, k].any() and after[:, k].any()]
    if not known:
        return []
    first = _shares(before)
    now = _shares(after, dataset.weights)
    known.sort(key=lambda k: (ATTRIBUTES[k] not in dataset.wanted, first[k]))
    moved = [k for k in known if abs(now[k] - first[k]) > _SEEN or ATTRIBUTES[k] in dataset.wanted]
    kept = [k for k in known if k not in moved]
    title = "Share of each attribute among faces where it is known: before, and now by weight."

    def bars(rows: Sequence[int], title: str) -> Bars:
        """Bars of these rows under a title."""
        drawn = [
            Bar(ATTRIBUTES[k], (first[k], now[k]), f"{first[k]:.1%} → {now[k]:.1%}", dataset.wanted.get(ATTRIBUTES[k]))
            for k in rows
        ]
        nothing = "No attribute changed its share."
        return Bars(title, ("before", "now"), drawn, mark="wanted", nothing=nothing)

    others = Details(f"The {len(kept)} attributes that kept their share", [bars(kept, "Share of each attribute.")])
    return [Heading("Attributes"), *_balanced(report), bars(moved, title), *([others] if kept else ())]


def _balanced(report: ExpandReport) -> list[Block]:
    """Shares of the balanced attributes, and whether the origin of a face gives them away."""
    if not report.shares:
        return []
    rows = [_balanced_row(share) for share in report.shares]
    header = (
        "attribute",
        "wanted",
        "before",
        "now, by weight",
        "among real",
        "augmented",
        "synthetic",
        "synthetic, unknown",
        "predicted by origin",
        "the same without weights",
    )
    meaning = (
        "Predicted by origin: balanced accuracy of the best guess at the attribute when all one knows is whether a "
        "face is real, augmented or synthetic; 50% is chance."
    )
    weights = ("The shares hold by ", Code("weight"), ": multiply the loss by it, or draw in proportion to it.")
    blocks: list[Block] = [Table(header, rows, texts=1), Paragraph(meaning), Paragraph(weights)]
    if given := [share.attribute for share in report.shares if share.given_away]:
        warning = f"Origin gives away {', '.join(given)}: a classifier can learn where faces come from instead."
        blocks.append(Paragraph((Strong(warning),)))
    return blocks


def _balanced_row(share: Share) -> tuple[str | int, ...]:
    shares = (share.wanted, share.before, share.after, *share.among)
    accuracies = (share.origin_accuracy, share.origin_accuracy_unweighted)
    return (share.attribute, *map(_percent, shares), share.unknown[2], *map(_percent, accuracies))


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"


def _shares(values: NDArray[np.int8], weights: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
    each = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    having = each @ (values > 0)
    known = each @ (values != 0)
    shares: NDArray[np.float64] = having / np.maximum(known, 1e-300)
    return shares


def _sheets(dataset: Mixture) -> list[Block]:
    """Sheets of added faces, by kind and by balanced attribute."""
    plan = dataset.plan
    labels = dataset.labels()
    kinds = {"augmented copies": (plan.real, len(plan.rows)), "synthetic faces": (len(plan.rows), len(plan))}
    sheets: list[Block] = []
    for kind, (start, stop) in kinds.items():
        if stop == start:
            continue
        sheets.append(_sheet(dataset, np.arange(start, stop), f"Some of the {stop - start:,} {kind}."))
        for name in dataset.wanted:
            column = labels[start:stop, ATTRIBUTES.index(name)]
            for sign, word in ((1, "with"), (-1, "without")):
                places = start + np.flatnonzero(column == sign)
                text = f"{kind} {word} {name} ({len(places):,})."
                sheets.append(_sheet(dataset, places, text[0].upper() + text[1:]))
    return [Heading("Added faces"), *sheets] if sheets else []


def _sheet(dataset: Mixture, places: NDArray[np.int64], text: str) -> Faces:
    chosen = places[np.unique(np.linspace(0, max(len(places) - 1, 0), min(len(places), _SHOWN)).astype(int))].tolist()
    return Faces(_resized(_readable(dataset, chosen)), text)


def _resized(images: list[Image8]) -> list[Image8]:
    """Bring the pictures of a sheet to one small size."""
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
        except ImageError:  # the report already names it
            continue
    return images
