"""The evaluation as one self-contained HTML page with pictures."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.evaluate.report import EvaluationReport, Pictures
from faceaug.data.image import Image8
from faceaug.reports.shell import contact_sheet, grid, html_image, html_page, html_table

_COLUMNS = 8
_WIDTH, _HEIGHT, _BINS = 640, 160, 48
_TERMS = (
    ("{frechet}, {kernel}", "distance between the two sets of faces; 0 is alike, the controls show what is reachable"),
    ("precision", "share of the faces that look like reference faces"),
    ("recall", "share of the reference faces that look like these faces"),
    ("density", "how deep among the reference faces they lie; about 1 for faces of the same kind"),
    ("coverage", "share of the reference faces that have one of these faces near"),
)


def evaluation_page(report: EvaluationReport) -> str:
    """The whole page."""
    return html_page(f"Evaluation of {report.subject.model}", evaluation_section(report))


def evaluation_section(report: EvaluationReport) -> str:
    """What the page says, without its shell."""
    s, pictures = report.subject, report.pictures
    unseen = f", and the unseen rows {s.against}" if s.against else ""
    intro = (
        f"<p>{s.n:,} faces of <code>{html.escape(s.model)}</code> (seed {s.seed}, sha256 <code>{s.sha256[:16]}</code>) "
        f"beside the real faces in <code>{html.escape(s.folder)}</code>, rows {s.partition}{unseen}, cut by "
        f"{s.crop} to {s.size} x {s.size} pixels. Features: {html.escape(s.extractor)}, {s.dimension:,} numbers.</p>"
        "<p><strong>This page shows real faces of the folder above.</strong> Its terms are theirs.</p>"
    )
    parts = [intro, _notes(report.notes)]
    if report.figures:
        parts += ["<h2>Figures</h2>", _table(report), _terms(report), _sheets(pictures)]
    parts += [_attributes(report), _memorisation(report), _unreadable(report.unreadable)]
    return "".join(parts)


def _notes(notes: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes) + "</ul>" if notes else ""


def _table(report: EvaluationReport) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in report.heading())
    rows = []
    for figures in report.figures:
        cells = report.cells(figures)
        texts = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells[:2])
        numbers = "".join(f'<td class="n">{html.escape(c.replace("+-", "±"))}</td>' for c in cells[2:])
        title = html.escape(report.subject.figure(figures), quote=True)
        rows.append(f'<tr title="{title}">{texts}{numbers}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _terms(report: EvaluationReport) -> str:
    s = report.subject
    rows = [(name.format(frechet=s.frechet_name, kernel=s.kernel_name), meaning) for name, meaning in _TERMS]
    return f"<details><summary>What the columns say</summary>{html_table(rows)}</details>"


def _sheets(pictures: Pictures) -> str:
    factor = max(1, 96 // pictures.random[0].shape[0])
    columns = max(1, min(16, 960 // (pictures.random[0].shape[1] * factor)))
    return (
        "<h2>Faces</h2>"
        + _figure(
            grid(pictures.random, columns=columns, enlarge=factor), f"{len(pictures.random)} faces, drawn at random."
        )
        + _figure(
            grid(pictures.worst, columns=_COLUMNS, enlarge=factor),
            f"The {len(pictures.worst)} least realistic: farthest from where training faces are dense.",
        )
    )


def _attributes(report: EvaluationReport) -> str:
    """How often each attribute is seen, and how far it is obeyed."""
    if report.attributes is None:
        return ""
    shown, obeyed = report.attributes.distribution, report.attributes.agreement
    scores = {} if obeyed is None else {o.attribute: (o.present, o.absent, o.score) for o in obeyed.obeyed}
    header: tuple[str, ...] = ("attribute", "seen in generated", "in real faces")
    header += ("seen when asked for", "not seen when asked to be absent", "score") if scores else ()
    rows = []
    for one in shown.shown:
        cells: tuple[str, ...] = (f"{one.generated:.1%}", f"{one.real:.1%}")
        if scores:
            known = scores.get(one.attribute)
            cells += ("", "", "") if known is None else (f"{known[0]:.0%}", f"{known[1]:.0%}", f"{known[2]:.2f}")
        rows.append((one.attribute, *cells))
    text = f"As {shown.judge} sees them; the largest difference first."
    if scores:
        text += " A score is the mean of both shares over the same of real faces: 1 is as clear as there."
    table = f"<details><summary>All attributes</summary><p>{text}</p>{html_table(rows, header=header)}</details>"
    return f"<h2>Attributes</h2>{_notes(report.attributes.lines())}{table}"


def _memorisation(report: EvaluationReport) -> str:
    pictures = report.pictures
    parts = ["<h2>Memorisation</h2>", _notes(report.memorisation_lines())]
    parts.append(_histogram(pictures.distances, pictures.unseen_distances))
    parts.append(_pairs(pictures.closest, "generated", "The generated faces that are closest to a training face."))
    if pictures.unseen_closest:
        parts.append(
            _pairs(pictures.unseen_closest, "unseen", "Control: the unseen real faces that are closest to one.")
        )
    if report.memorisation.copies:
        rows = [(f"face {k}", name, "mirrored" if mirrored else "") for k, name, mirrored in report.memorisation.copies]
        parts.append("<h3>Copies of training faces</h3>")
        strips = [picture for pair in pictures.copies for picture in pair]
        factor = max(1, 96 // strips[0].shape[0])
        parts.append(
            _figure(grid(strips, columns=_COLUMNS, enlarge=factor), "Pairs: generated, and the training face it shows.")
        )
        parts.append(html_table(rows[:200], header=("generated", "training picture", "")))
    return "".join(parts)


def _pairs(pairs: Sequence[tuple[Image8, Image8, float]], of: str, text: str) -> str:
    sheets = []
    for start in range(0, len(pairs), _COLUMNS):
        part = pairs[start : start + _COLUMNS]
        rows = [(of, [pair[0] for pair in part]), ("training", [pair[1] for pair in part])]
        sheets.append(html_image(contact_sheet(rows, columns=[f"{d:.3f}" for *_, d in part]), alt=text))
    return f"<figure>{''.join(sheets)}<figcaption>{text} Above each pair its distance.</figcaption></figure>"


def _figure(sheet: Image8, text: str) -> str:
    return f"<figure>{html_image(sheet, alt=text)}<figcaption>{text}</figcaption></figure>"


def _histogram(generated: NDArray[np.float64], unseen: NDArray[np.float64]) -> str:
    """Distances to the nearest training face, as two lines."""
    both = np.concatenate([generated, unseen])
    low, high = 0.0, float(np.quantile(both, 0.995)) or 1.0
    lines = [("generated", generated, "#d1495b"), ("unseen real", unseen, "#30638e")]
    shares = [
        (name, np.histogram(np.minimum(values, high), _BINS, (low, high))[0] / max(len(values), 1), colour)
        for name, values, colour in lines
        if len(values)
    ]
    top = max(float(share.max()) for _, share, _ in shares)
    drawn = "".join(
        f'<path d="{_steps(share / top)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<text x="8" y="{18 + 18 * k}" fill="{colour}" font-size="14">{name}</text>'
        for k, (name, share, colour) in enumerate(shares)
    )
    axis = (
        f'<line x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}" stroke="currentColor" opacity=".4"/>'
        f'<text x="0" y="{_HEIGHT + 16}" fill="currentColor" font-size="12">0</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" fill="currentColor" font-size="12" text-anchor="end">{high:.3g}</text>'
    )
    text = "How far faces are from their nearest training face: share of the faces by distance of features."
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20}" width="{_WIDTH}" role="img" aria-label="{text}" '
        f'style="max-width:100%">{drawn}{axis}</svg><figcaption>{text} The last step holds all beyond.</figcaption>'
        "</figure>"
    )


def _steps(heights: NDArray[np.float64]) -> str:
    width = _WIDTH / len(heights)
    moves = (f"V{_HEIGHT - 4 - (_HEIGHT - 12) * h:.1f}H{(k + 1) * width:.1f}" for k, h in enumerate(heights))
    return f"M0 {_HEIGHT - 4}" + "".join(moves)


def _unreadable(lines: Sequence[str]) -> str:
    return "<h2>Left out</h2>" + _notes(lines) if lines else ""
