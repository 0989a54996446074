"""The page of a de-identified folder, for whoever made it: it shows the pictures of the new folder.

Where nothing was hidden, that is the photo as it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from faceaug.data.image import Image8, load_cv2, read_image
from faceaug.deidentify.deidentify_report import (
    KINDS,
    LOOK,
    REMAINS,
    UNREADABLE,
    WORTH,
    YOURS,
    DeidentifyReport,
    kinds_of,
)
from faceaug.deidentify.hidden_photo import HiddenPhoto
from faceaug.errors import ImageError, counted
from faceaug.progress import SILENT, Progress
from faceaug.reports.gallery import Group, Shown
from faceaug.reports.plots import Histogram
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block, Faces, Facts, Gallery, Heading, Notes, Paragraph

_MOST = 200  # pictures of each kind in the gallery; deidentify.json lists all
_SHOWN = 16  # pictures at the top
_HEIGHT = 160  # pixels of each
_BINS = 20


def deidentification_page(
    report: DeidentifyReport,
    entries: Sequence[HiddenPhoto],
    *,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> str:
    """The HTML page.

    Args:
        report: the report.
        entries: what came of every photo, in order.
        workers: processes that make thumbnails.
        progress: counts them.
    """
    blocks = deidentification_blocks(report, entries)
    return render_page("Hidden faces", blocks, made_by="faceaug deidentify", workers=workers, progress=progress)


def deidentification_blocks(report: DeidentifyReport, entries: Sequence[HiddenPhoto]) -> list[Block]:
    """The blocks of the page."""
    groups = _groups(report, entries)
    story, *_ = report.summary().split("\n")
    blocks: list[Block] = [
        Paragraph(f"{story}. {YOURS}"),
        Facts([(KINDS[name], len(names) or None) for name, names in report.pictures.items()]),
        *_sample(report, entries),
        Heading("What this is worth"),
        Paragraph(WORTH if report.options.how == "synthetic" else REMAINS),
        Notes(report.notes),
    ]
    if groups:
        shown = f"{LOOK} At most {_MOST:,} of each kind are shown; deidentify.json names all."
        blocks += [Heading("Look at these"), Paragraph(shown), Gallery(groups)]
    if report.pictures[UNREADABLE]:
        blocks += [Heading("Unreadable"), Notes(report.pictures[UNREADABLE])]
    scores = [face.score for entry in entries for face in entry.faces]
    if scores:
        counts, edges = np.histogram(scores, bins=_BINS, range=(0, 1))
        title = "How sure the finder is of each face"
        blocks += [Heading("Faces hidden"), Histogram(title, edges.tolist(), {"faces": counts.tolist()}, unit="score")]
    return blocks


def _sample(report: DeidentifyReport, entries: Sequence[HiddenPhoto]) -> list[Block]:
    """Some pictures with hidden faces, spread over the folder."""
    made = [entry for entry in entries if entry.faces]
    places = np.unique(np.linspace(0, len(made) - 1, min(len(made), _SHOWN)).astype(int)).tolist()
    images: list[Image8] = []
    for k in places:
        try:
            images.append(_small(read_image(report.out / made[k].file)))
        except ImageError:  # a file that somebody has just taken away
            continue
    if not images:
        return []
    return [Faces(images, f"{counted(len(images), 'picture')} spread over the folder.")]


def _small(image: Image8) -> Image8:
    scale = min(1.0, _HEIGHT / image.shape[0], 2 * _HEIGHT / image.shape[1])
    if scale == 1:
        return image
    cv2 = load_cv2()
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small: Image8 = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small


def _groups(report: DeidentifyReport, entries: Sequence[HiddenPhoto]) -> list[Group]:
    """A group for each picture that should be looked at."""
    seen: dict[str, int] = defaultdict(int)
    groups = []
    for entry in entries:
        tags = kinds_of(entry, report.options) if entry.file else []
        if not tags or min(seen[tag] for tag in tags) >= _MOST:
            continue
        for tag in tags:
            seen[tag] += 1
        scores = [face.score for face in entry.faces]
        lines = [f"{counted(len(scores), 'face')} hidden"]
        lines += [f"least sure: score {min(scores):.2f}"] if scores else []
        shown = Shown(entry.file, report.out / entry.file, tuple(lines), mark="hidden" if scores else "as it was")
        groups.append(Group((shown,), tuple(tags), min(scores, default=0.0)))
    return groups
