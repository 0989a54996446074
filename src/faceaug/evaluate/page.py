"""The findings of an evaluation as blocks of a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8
from faceaug.evaluate.findings import Findings
from faceaug.reports.plots import Histogram
from faceaug.reports.sections import (
    Block,
    Details,
    Faces,
    Facts,
    Heading,
    Listing,
    Notes,
    Pairs,
    Paragraph,
    Strong,
    Table,
)

_BINS = 48
_TERMS = (
    ("{frechet}, {kernel}", "distance between the two sets of faces; 0 is equal, the controls show what is reachable"),
    ("precision", "share of the faces that look like reference faces"),
    ("recall", "share of the reference faces that look like these faces"),
    ("density", "how densely reference faces surround these faces; about 1 for faces of the same kind"),
    ("coverage", "share of the reference faces that have one of these faces nearby"),
)


def evaluation_blocks(report: Findings) -> list[Block]:
    """The blocks of the page of an evaluation."""
    warning = Paragraph((Strong("This page shows real faces of the folder below."), " Its terms apply to them."))
    blocks: list[Block] = [warning, _subject(report), Notes(report.notes)]
    if report.figures:
        blocks += [Heading("Figures"), _table(report), _terms(report), *_faces(report)]
    blocks += [*_attributes(report), *_memorisation(report)]
    return blocks + ([Heading("Left out"), Notes(report.unreadable)] if report.unreadable else [])


def _subject(report: Findings) -> Facts:
    s = report.subject
    unseen = f"; unseen by the model: {s.against}" if s.against else ""
    return Facts(
        [
            ("model", s.model),
            ("its weights (SHA-256)", s.sha256[:16]),
            ("generated faces", f"{s.n:,}, seed {s.seed}"),
            ("real faces", s.folder),
            ("rows", f"{s.partition}{unseen}"),
            ("crop", f"{s.crop}, to {s.size} x {s.size} pixels"),
            ("features", f"{s.extractor}, {s.dimension:,} numbers per face"),
        ]
    )


def _table(report: Findings) -> Table:
    rows = [tuple(cell.replace("+-", "±") for cell in report.cells(figures)) for figures in report.figures]
    return Table(report.heading(), rows, texts=2)


def _terms(report: Findings) -> Details:
    s = report.subject
    rows = [(name.format(frechet=s.frechet_name, kernel=s.kernel_name), meaning) for name, meaning in _TERMS]
    names = [s.figure(figures) for figures in report.figures]
    return Details(
        "What the columns mean",
        [
            Facts(rows),
            Paragraph("To quote a figure, give the full name of its row: every part of it changes the value."),
            Notes(names),
        ],
    )


def _faces(report: Findings) -> list[Block]:
    random = report.pictures.random
    worst = report.pictures.worst
    return [
        Heading("Faces"),
        Faces(random, f"{len(random)} faces, drawn at random."),
        Faces(worst, f"The {len(worst)} least realistic: farthest from where training faces are dense."),
    ]


def _attributes(report: Findings) -> list[Block]:
    """Frequency of each attribute, and agreement with requests for it."""
    if report.attributes is None:
        return []
    shown = report.attributes.distribution
    obeyed = report.attributes.agreement
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
        text += " A score is the mean of both shares divided by that of real faces: 1 is as clear as in real faces."
    table = Details("All attributes", [Paragraph(text), Table(header, rows, texts=1)])
    return [Heading("Attributes"), Notes(report.attributes.lines()), table]


def _memorisation(report: Findings) -> list[Block]:
    pictures = report.pictures
    blocks: list[Block] = [
        Heading("Memorisation"),
        Notes(report.memorisation_lines()),
        _distances(pictures.distances, pictures.unseen_distances),
        _pairs(pictures.closest, "The generated faces that are closest to a training face, each above that face."),
        _pairs(
            pictures.unseen_closest,
            "Control: the unseen real faces that are closest to a training face, each above that face.",
        ),
    ]
    if report.memorisation.copies:
        rows = [(f"face {k}", name, "yes" if mirrored else "no") for k, name, mirrored in report.memorisation.copies]
        shown = "Generated faces, each above the training face that it copies."
        header = ("generated", "training picture", "mirrored")
        blocks.append(Listing("Copies of training faces", header, rows, "the report as JSON"))
        blocks.append(Pairs([(*pair, "") for pair in pictures.copies], shown))
    return blocks


def _pairs(pairs: Sequence[tuple[Image8, Image8, float]], text: str) -> Pairs:
    return Pairs(
        [(one, other, f"{distance:.3f}") for one, other, distance in pairs], f"{text} The number is their distance."
    )


def _distances(generated: NDArray[np.float64], unseen: NDArray[np.float64]) -> Histogram:
    """Distances to the nearest training face, compared with those of unseen real faces."""
    high = float(np.quantile(np.concatenate([generated, unseen]), 0.995)) or 1.0
    edges = np.linspace(0, high, _BINS + 1)
    series = {"generated": generated, "unseen real": unseen}
    counts = {
        name: np.histogram(np.minimum(values, high), edges)[0].tolist()
        for name, values in series.items()
        if len(values)
    }
    title = "Distance to the nearest training face: share of the faces. The last bin includes all larger distances."
    return Histogram(title, edges.tolist(), counts, unit="distance; 0 is the same face", shares=True)
