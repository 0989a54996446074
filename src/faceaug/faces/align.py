"""Aligns the faces of a folder of photos: find, place, cut, write.

::

    FaceFolder --finder--> faces --template--> similarity --one resample--> pictures --> metadata.csv, report.html
                                               (a tally of what is on the disk, so that a stopped run goes on)
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from faceaug.data.annotations import settle
from faceaug.data.crop import Size
from faceaug.data.fingerprints import identity_of, stamp_pictures
from faceaug.data.folder import FaceFolder
from faceaug.data.layouts.records import ALIGNED
from faceaug.data.layouts.writing import Faces, in_parts, plain_stems
from faceaug.data.manifest import LEDGER, METADATA
from faceaug.data.marks import report_kinds
from faceaug.errors import RefusedError, counted, printable
from faceaug.executor import Executor, notes_of, open_executor
from faceaug.faces.align_options import AlignOptions, FileFormat, Finder, Which
from faceaug.faces.align_page import alignment_page
from faceaug.faces.align_report import AlignReport, odd_pictures
from faceaug.faces.aligned_face import AlignedFace, Job, align_photo, read_entry
from faceaug.faces.aligned_table import AlignedTable
from faceaug.faces.templates import Template
from faceaug.faces.warp import Padding
from faceaug.faces.weights import PINNED
from faceaug.progress import Progress, Show, open_progress
from faceaug.storage.files import check_output_space, explained, finish_output, remove_output, remove_partials
from faceaug.storage.ledger import Ledger
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import check_output, write_output

REPORT = "report.html"
_PAGE = report_kinds("faceaug align", ())
# Part of what a stopped run and a cache are compared by. Count it up when the same photo may give another picture:
# with the rules of ``search``, ``landmarks``, ``templates`` and ``warp``.
_RULES = 1
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+", re.IGNORECASE | re.ASCII)  # in Python's own ``repr`` of an object
_CHUNK = 8  # photos per message to a worker
_FEW = 40  # photos that are done before worker processes would have started
_UNKNOWN = "unknown"  # folder of the photos in no partition, where others are in one


def align_folder(
    folder: Path | str | FaceFolder,
    out: Path | str,
    *,
    template: Template = "celeba",
    size: int | Size | None = None,
    faces: Which = "largest",
    padding: Padding | None = None,
    min_eyes: float = 10.0,
    format: FileFormat = "png",
    workers: int | None = None,
    finder: Finder | None = None,
    executor: Executor | None = None,
    progress: Show = None,
) -> AlignReport:
    """Find the faces of a folder of photos, and write each aligned to a template. The folder itself is never changed.

    The new folder holds the pictures, ``metadata.csv`` with the faces' places and the annotations of the photos, and
    ``report.html``; ``FaceFolder`` reads it. Its bytes depend neither on the number of processes nor on interruptions.

    Args:
        folder: a folder, archive or ``FaceFolder`` of photos; they are turned upright by their EXIF orientation.
        out: a new or empty folder outside it, or an unfinished one of the same run, which is continued.
        template: "celeba" (178x218), "celeba-square" (178x178), "ffhq" (1024x1024) or "arcface" (112x112); the rules
            are in ``faceaug.faces.templates``.
        size: (width, height) of the aligned pictures, pixels, or a side; the template covers it and is cut at its
            centre. None for the template's own.
        faces: "largest" takes the largest face of a photo, "center" the one nearest to its middle, "all" every face.
        padding: what lies outside a photo: "replicate" its outermost pixels, "reflect" its mirror image, "blur" that,
            blurred. None for "blur" with ffhq, else "replicate".
        min_eyes: faces whose eyes are closer together in the photo are left out, pixels.
        format: "png" is lossless; "jpg" is smaller.
        workers: processes; by default one per processor, or none for a few photos.
        finder: what finds the faces, with a method ``find``; None for ``faceaug.faces.FaceFinder()``. A stopped run is
            continued if its ``repr`` says the same; with an object that has no ``repr`` of its own never.
        executor: aligns in place of processes here, as on a cluster (``faceaug.cluster.open_ray``).
        progress: see ``faceaug.progress.open_progress``.

    Returns:
        The report.

    Raises:
        ArgumentError: there is no such folder, or an option has another value.
        RefusedError: ``out`` cannot be used, the folder is ambiguous about its annotations, or no face was found.

    Example:
        >>> from faceaug import FaceFolder, SyntheticFaceSource, align_folder
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("photos", 3)
        >>> report = align_folder("photos", "faces", size=64)
        >>> image, target = FaceFolder("faces")[0]
        >>> image.shape, target["landmarks"].shape
        ((64, 64, 3), (5, 2))
    """
    began = time.monotonic()
    options = AlignOptions(template=template, size=size, faces=faces, padding=padding, min_eyes=min_eyes, format=format)
    shown = open_progress(progress)
    given = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    settle(given.annotations, ("partition", "label", "identity", "attributes"))
    out = Path(out)
    stems, notes = _stems(given)
    width, height = options.frame
    check_output_space(out, len(stems) * (4096 + width * height * (1 if format == "jpg" else 3)))
    run = run_identity(given, options, finder)
    workers = 1 if workers is None and len(stems) <= _FEW else workers
    names = [f"{stem}{'-0' if faces == 'all' else ''}.{format}" for stem in stems]
    claim = claimed_output(out, inside=given.root, marker=ALIGNED, identity=run, purpose="align", names=names)
    with claim as continued, explained(out):
        check_output(out / REPORT, _PAGE)
        table = AlignedTable(given)
        earlier = len(notes_of(executor))
        opened = open_executor(workers, chunk=_CHUNK, executor=executor)
        with closing(Ledger(out / LEDGER, read_entry)) as ledger, opened as workforce:
            table.write(out, ())
            _align_all(given, stems, Job(str(out), options, given.ground, finder), ledger, workforce, shown)
            ledger.close()
            if not any(entry.file for entry in ledger.entries):
                _refuse(given, out, ledger.entries)
            notes = (*notes, *table.notes, *notes_of(executor, earlier))
            report = _report(given, out, options, ledger.entries, notes, began)
            table.write(out, (entry for entry in ledger.entries if entry.file))
            page = alignment_page(given, report, ledger.entries, workers=workers, progress=shown)
            write_output(out / REPORT, page.encode("utf-8", "backslashreplace"), _PAGE)
            ledger.remove()
        if continued or executor is not None:
            remove_partials(out)
        finish_output(out, marker=ALIGNED, document={"run": run, "classes": list(given.classes), **_said(report)})
    return report


def _stems(given: FaceFolder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Path of each photo's aligned picture without suffix, and notes: the name of the photo where it is unique."""
    photos = Faces(given.names, given.annotations)
    stems, notes = plain_stems(photos)
    if notes and (given.annotations.partition >= 0).any():  # names may be unique within each partition
        within, notes = plain_stems(photos, within=given.annotations.partition.tolist())
        stems = tuple(filter(None, in_parts(photos, within, unknown=_UNKNOWN))) if not notes else stems
    return stems, notes


def run_identity(given: FaceFolder, options: AlignOptions, finder: Finder | None = None) -> dict[str, Any]:
    """Everything that must be equal for an unfinished folder to be continued.

    Args:
        given: the folder of the photos.
        options: how faces are aligned.
        finder: what finds the faces.
    """
    return {
        "command": "align",
        **identity_of(given, pictures=stamp_pictures(given, range(len(given)))[1]),
        **options.to_json(),
        "rules": _RULES,
        "finder_sha256": hashlib.sha256(repr((PINNED, description_of(finder))).encode()).hexdigest(),
    }


def has_description(finder: Finder | None) -> bool:
    """Whether the ``repr`` of a finder says how it is configured: the default one of Python only has an address."""
    return finder is None or not _ADDRESS.search(repr(finder))


def description_of(finder: Finder | None) -> str:
    """What a finder is, for an identity: never the same for one that does not say how it is configured.

    Args:
        finder: what finds the faces; None for faceaug's own.
    """
    if finder is None:
        return "faceaug"
    kind = f"{type(finder).__module__}.{type(finder).__qualname__}"
    return f"{kind}: {repr(finder) if has_description(finder) else secrets.token_hex(8)}"


def _align_all(
    given: FaceFolder, stems: Sequence[str], job: Job, ledger: Ledger[AlignedFace], executor: Executor, shown: Progress
) -> None:
    """Align every photo that is not finished; again those whose pictures have changed, or that could not be read."""
    done = _finished(ledger)
    make = partial(align_photo, job)

    def lost(task: tuple[int, str, str], why: str) -> list[AlignedFace]:
        """The entry of a photo that cannot be worked on."""
        return [AlignedFace(task[0], problem=f"{printable(given.path(task[0]))}: {why}")]

    def run(photos: Sequence[int]) -> Iterator[list[AlignedFace]]:
        """Align photos, in order."""
        tasks = ((photo, str(given.path(photo)), stems[photo]) for photo in photos)
        return executor.map(make, tasks, chunk=_CHUNK, lost=lost)

    first = {entry.photo: k for k, entry in reversed(list(enumerate(ledger.entries)))}
    bad = {entry.photo for k, entry in enumerate(ledger.entries) if entry.problem or k in ledger.damaged}
    again = sorted(bad, reverse=True)  # the last first: a photo that can be read now may have more entries
    if again:
        with shown.phase("aligning again", len(again), "photos") as phase:
            for photo, entries in zip(again, phase.over(run(again)), strict=True):
                ledger.replace(first[photo], entries, count=ledger.entries[first[photo]].of)
    with shown.phase("aligning", len(stems), "photos", start=done) as phase:
        for entries in phase.over(run(range(done, len(stems)))):
            ledger.add(entries)


def _finished(ledger: Ledger[AlignedFace]) -> int:
    """Number of finished photos; entries of a photo that is not complete are dropped."""
    entries = ledger.entries
    if entries:
        last = sum(entry.photo == entries[-1].photo for entry in entries[-entries[-1].of :])
        if last < entries[-1].of:
            ledger.truncate(len(entries) - last)
    return ledger.entries[-1].photo + 1 if ledger.entries else 0


def _refuse(given: FaceFolder, out: Path, entries: Sequence[AlignedFace]) -> NoReturn:
    """Say that there is no face, and leave a folder without pictures as empty as it was."""
    for name in (LEDGER, METADATA, ALIGNED):
        remove_output(out / name)
    problems = [entry.problem for entry in entries if entry.problem]
    advice = problems[0] if len(problems) == len(entries) else "try a smaller --min-eyes (min_eyes=)"
    raise RefusedError(f"{printable(given.root)}: no face was found in {counted(len(given), 'photo')}; {advice}")


def _report(
    given: FaceFolder,
    out: Path,
    options: AlignOptions,
    entries: Sequence[AlignedFace],
    notes: tuple[str, ...],
    began: float,
) -> AlignReport:
    return AlignReport(
        out=out,
        folder=given.root,
        options=options,
        photos=len(given),
        faces=sum(entry.found for entry in {entry.photo: entry for entry in entries}.values()),
        aligned=sum(bool(entry.file) for entry in entries),
        pictures=odd_pictures(entries, given.names),
        unreadable=tuple(entry.problem for entry in entries if entry.problem),
        notes=(*notes, *given.notes),
        seconds=time.monotonic() - began,
    )


def _said(report: AlignReport) -> dict[str, Any]:
    found = report.to_json()
    return {name: found[name] for name in ("photos", "faces", "aligned", "pictures", "unreadable", "notes")}
