"""The page of an alignment: what had no face, several, a tiny or a turned one, with pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8, read_image
from faceaug.errors import ImageError, counted
from faceaug.faces.align_report import KINDS, AlignReport, kinds_of
from faceaug.faces.aligned_face import AlignedFace
from faceaug.progress import SILENT, Progress
from faceaug.reports.gallery import Group, Shown
from faceaug.reports.plots import Histogram
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block, Faces, Facts, Gallery, Heading, Notes, Paragraph, Strong

_MOST = 100  # photos of each kind in the gallery; metadata.csv and align.json list all
_SHOWN = 28  # aligned faces at the top
_SIDE = 256  # pixels; larger aligned pictures are not shown at the top
_BINS = 24


def alignment_page(
    given: FaceFolder,
    report: AlignReport,
    entries: Sequence[AlignedFace],
    *,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> str:
    """The HTML page.

    Args:
        given: the folder of the photos.
        report: the report.
        entries: what came of every photo, in order.
        workers: processes that make thumbnails.
        progress: counts them.
    """
    blocks = alignment_blocks(given, report, entries)
    return render_page("Aligned faces", blocks, made_by="faceaug align", workers=workers, progress=progress)


def alignment_blocks(given: FaceFolder, report: AlignReport, entries: Sequence[AlignedFace]) -> list[Block]:
    """The blocks of the page of an alignment."""
    made = [entry for entry in entries if entry.file]
    groups = _groups(given, report.out, entries)
    story, *_ = report.summary().split("\n")
    blocks: list[Block] = [
        Paragraph(f"{story}."),
        Paragraph((Strong("This page shows faces of the folder it was made from."), " Its terms apply to them.")),
        Facts([(KINDS[name], len(names) or None) for name, names in report.pictures.items()]),
        Notes(report.notes),
        *_sample(report.out, made),
    ]
    if groups:
        shown = f"Each photo with its aligned faces, at most {_MOST:,} of each kind; align.json names all."
        blocks += [Heading("Look at these"), Paragraph(shown), Gallery(groups)]
    if made:
        blocks += [Heading("Faces found"), *_histograms(made)]
    if report.unreadable:
        blocks += [Heading("Unreadable"), Notes(report.unreadable)]
    return blocks


def _sample(out: Path, made: Sequence[AlignedFace]) -> list[Block]:
    """Some aligned faces, spread over the folder, and their mean: the sharper it is, the better they agree."""
    places = np.unique(np.linspace(0, len(made) - 1, min(len(made), _SHOWN)).astype(int)).tolist()
    images: list[Image8] = []
    for k in places:
        try:
            image = read_image(out / made[k].file)
        except ImageError:  # a file that somebody has just taken away
            continue
        images.append(image)
    if not images or max(images[0].shape) > _SIDE:
        return []
    mean = np.rint(np.mean(images, axis=0)).astype(np.uint8)
    text = f"{counted(len(images), 'aligned face')} spread over the folder; the last picture is their mean."
    return [Faces([*images, mean], text)]


def _groups(given: FaceFolder, out: Path, entries: Sequence[AlignedFace]) -> list[Group]:
    """A group for each odd photo: the photo, then its aligned faces."""
    seen: dict[str, int] = defaultdict(int)
    groups = []
    for photo, items in groupby(entries, key=lambda entry: entry.photo):
        faces = list(items)
        tags = list(dict.fromkeys(kind for face in faces for kind in kinds_of(face)))
        if not tags or min(seen[tag] for tag in tags) >= _MOST:
            continue
        for tag in tags:
            seen[tag] += 1
        first = faces[0]
        found = first.problem or f"{counted(first.found, 'face')} found"
        lines = (found, f"{first.tiny:,} too small") if first.tiny else (found,)
        path = None if first.problem else given.path(photo)
        source = Shown(given.names[photo], path, lines, mark="photo", stays=bool(first.file))
        groups.append(Group((source, *(_shown(out, face) for face in faces if face.file)), tuple(tags), first.score))
    return groups


def _shown(out: Path, face: AlignedFace) -> Shown:
    lines = [
        f"score {face.score:.2f}, turned {round(face.roll)}\u00b0",
        f"eyes {face.eye_distance:.0f} px apart, {face.scale:.2g} times the size",
    ]
    if face.outside:
        lines.append(f"{face.outside:.0%} outside the photo")
    return Shown(face.file, out / face.file, tuple(lines), mark=f"face {face.face}")


def _histograms(made: Sequence[AlignedFace]) -> list[Block]:
    eyes = np.log2([max(face.eye_distance, 1.0) for face in made])
    rolls = [face.roll for face in made]
    plots: list[Block] = []
    for title, values, unit in (
        ("Turn in the plane of the photo", rolls, "degrees"),
        ("Distance of the eyes in the photo", eyes, "pixels, as powers of two"),
    ):
        low, high = float(np.min(values)), float(np.max(values))
        counts, edges = np.histogram(values, bins=_BINS, range=(low - 0.5, high + 0.5))
        plots.append(Histogram(title, edges.tolist(), {"faces": counts.tolist()}, unit=unit))
    return plots
