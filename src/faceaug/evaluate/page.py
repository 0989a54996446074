"""The findings of an evaluation as blocks of a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8
from faceaug.evaluate.findings import RESIZING, Findings, Subject
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
    named = [("model", s.model), ("its weights (SHA-256)", s.sha256[:16])]
    unseen = f"; {s.names.control}: {s.against}" if s.source else f"; unseen by the model: {s.against}"
    return Facts(
        [
            *([("folder", s.source)] if s.source else named),
            ("faces" if s.source else "generated faces", f"{s.n:,}, seed {s.seed}"),
            ("compared with" if s.source else "real faces", s.folder),
            ("rows", f"{s.partition}{unseen if s.against else ''}"),
            ("crop", f"{s.crop}, to {s.size} x {s.size} pixels ({RESIZING})"),
            ("features", f"{s.extractor}, {s.dimension:,} numbers per face"),
            *([("resized for the features", s.extractor_resizing)] if s.extractor_resizing else []),
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
    reference = report.subject.names.reference
    return [
        Heading("Faces"),
        Faces(random, f"{len(random)} faces, drawn at random."),
        Faces(worst, f"The {len(worst)} least realistic: farthest from where {reference} are dense."),
    ]


def _attributes(report: Findings) -> list[Block]:
    """Frequency of each attribute, and agreement with requests for it."""
    if report.attributes is None:
        return []
    shown = report.attributes.distribution
    obeyed = report.attributes.agreement
    names = report.subject.names
    scores = {} if obeyed is None else {o.attribute: (o.present, o.absent, o.score) for o in obeyed.obeyed}
    of, reference = (names.evaluated, "in the others") if report.subject.source else ("generated", "in real faces")
    header: tuple[str, ...] = ("attribute", f"seen in {of}", reference)
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
    names = report.subject.names
    blocks: list[Block] = [
        Heading("Memorisation"),
        Notes(report.memorisation_lines()),
        _distances(pictures.distances, pictures.unseen_distances, report.subject),
        _pairs(pictures.closest, f"The {names.evaluated} that are closest to a {names.one}, each above that face."),
        _pairs(
            pictures.unseen_closest,
            f"Control: the {names.control} that are closest to a {names.one}, each above that face.",
        ),
    ]
    if report.memorisation.copies:
        found = report.memorisation.named_copies()
        rows = [(one, name, "yes" if mirrored else "no") for one, name, mirrored in found]
        shown = f"{names.evaluated[:1].upper()}{names.evaluated[1:]}, each above the {names.one} that it copies."
        folder = bool(report.subject.source)
        header = ("picture" if folder else "generated", "copy of" if folder else "training picture", "mirrored")
        blocks.append(Listing(f"Copies of {names.reference}", header, rows, "the report as JSON"))
        blocks.append(Pairs([(*pair, "") for pair in pictures.copies], shown))
    return blocks


def _pairs(pairs: Sequence[tuple[Image8, Image8, float]], text: str) -> Pairs:
    return Pairs(
        [(one, other, f"{distance:.3f}") for one, other, distance in pairs], f"{text} The number is their distance."
    )


def _distances(generated: NDArray[np.float64], unseen: NDArray[np.float64], subject: Subject) -> Histogram:
    """Distances to the nearest reference face, compared with those of the control."""
    names = subject.names
    high = float(np.quantile(np.concatenate([generated, unseen]), 0.995)) or 1.0
    edges = np.linspace(0, high, _BINS + 1)
    labels = (names.evaluated, names.control) if subject.source else ("generated", "unseen real")
    series = dict(zip(labels, (generated, unseen), strict=True))
    counts = {
        name: np.histogram(np.minimum(values, high), edges)[0].tolist()
        for name, values in series.items()
        if len(values)
    }
    title = f"Distance to the nearest {names.one}: share of the faces. The last bin includes all larger distances."
    return Histogram(title, edges.tolist(), counts, unit="distance; 0 is the same face", shares=True)
