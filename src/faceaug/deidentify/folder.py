"""Hides the faces of a folder of photos: find, hide, write.

::

    FaceFolder --finder--> faces --region--> ellipses --hide or replace--> pictures --> metadata.csv, report.html
                                             (a tally of what is on the disk, so that a stopped run goes on)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from faceaug.data.annotations import settle
from faceaug.data.containers import without_ending
from faceaug.data.fingerprints import identity_of, stamp_pictures
from faceaug.data.folder import FaceFolder
from faceaug.data.layouts.records import DEIDENTIFIED
from faceaug.data.manifest import LEDGER, METADATA
from faceaug.data.marks import report_kinds
from faceaug.deidentify.deidentify_page import deidentification_page
from faceaug.deidentify.deidentify_report import DeidentifyReport, sorted_out
from faceaug.deidentify.hidden_photo import ENDINGS, JPEG, PNG, HiddenPhoto, Job, Task, hide_photo, read_entry
from faceaug.deidentify.hidden_table import HiddenTable
from faceaug.deidentify.options import DOUBTFUL, KEEP, SMALLEST, DeidentifyOptions, Drop, How
from faceaug.deidentify.replacing import MODEL
from faceaug.errors import RefusedError, printable, some
from faceaug.executor import Executor, open_executor
from faceaug.faces.align import description_of
from faceaug.faces.align_options import Finder
from faceaug.faces.weights import PINNED
from faceaug.progress import Progress, Show, open_progress
from faceaug.storage.files import check_output_space, explained, finish_output, remove_output
from faceaug.storage.ledger import Ledger
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import check_output, write_output
from faceaug.storage.unfinished import BEGUN, Begun

REPORT = "report.html"
_PAGE = report_kinds("faceaug deidentify", ())
# Part of what a stopped run is compared by. Count it up when the same photo may give another picture: with the rules of
# ``faces.search``, ``region``, ``hiding`` and ``replacing``.
_RULES = 1
_KEPT = 2  # bytes that are written for each byte of a JPEG or PNG
_LOSSLESS = 8  # and of a photo in another format, such as HEIC, which mostly was compressed with losses
_CHUNK = 4  # photos per message to a worker
_FEW = 20  # photos that are done before worker processes would have started


def deidentify_folder(
    folder: Path | str | FaceFolder,
    out: Path | str,
    *,
    how: How = "blur",
    drop: Sequence[Drop] = (),
    attributes: Mapping[str, int] | None = None,
    keep: Sequence[str] = KEEP,
    threshold: float = DOUBTFUL,
    min_face: int = SMALLEST,
    seed: int = 0,
    workers: int | None = None,
    finder: Finder | None = None,
    progress: Show = None,
) -> DeidentifyReport:
    """Write a folder of photos with every face in them hidden. The folder itself is never changed.

    The new folder holds the pictures under their names, without EXIF, ``metadata.csv`` with the annotations of the
    photos, and, for you alone, ``deidentify.json`` and ``report.html``, which shows the pictures where nothing was
    found or that are in doubt. Its bytes depend neither on the number of processes nor on interruptions.

    Args:
        folder: a folder, archive or ``FaceFolder`` of photos.
        out: a new or empty folder outside it, or an unfinished one of the same run, which is continued.
        how: "blur", "mosaic", "fill" (one grey), or "synthetic": a generated face in place of each. That is not
            anonymity: hair, clothes and place remain.
        drop: what is left out because it may name people: "names" (pictures are numbered), "identities", "labels",
            "columns" (further columns of the tables).
        attributes: requested of every synthetic face, {"Smiling": 1, "Eyeglasses": -1}.
        keep: attributes that a synthetic face takes over: from the tables for the largest face of a photo, else read by
            the bundled classifier.
        threshold: least score of a face that is hidden, 0.1..1: the detector (YuNet) gives it at least this, and the
            network that reads landmarks (O-Net) at least 0.6 of it, whatever else is in the photo. It is lower than
            that of ``align``: doubtful faces are hidden, and listed.
        min_face: size of the smallest faces that are looked for, pixels.
        seed: seed of the synthetic faces.
        workers: processes; by default one per processor, or none for a few photos.
        finder: what finds the faces, with a method ``find``; None for a thorough ``faceaug.faces.FaceFinder`` with
            ``threshold`` and ``min_face``. A stopped run is continued if its ``repr`` says the same; with an object
            that has no ``repr`` of its own never.
        progress: see ``faceaug.progress.open_progress``.

    Returns:
        The report.

    Raises:
        ArgumentError: there is no such folder, or an option has another value.
        RefusedError: ``out`` cannot be used, or the folder is ambiguous about its annotations.

    Example:
        >>> from faceaug import FaceFolder, SyntheticFaceSource, deidentify_folder
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("photos", 3)
        >>> report = deidentify_folder("photos", "hidden", how="mosaic")
        >>> report.pictures["nothing hidden"], FaceFolder("hidden").names == FaceFolder("photos").names
        ((), True)
    """
    began = time.monotonic()
    options = DeidentifyOptions(
        how=how, drop=tuple(drop), attributes=dict(attributes or {}), keep=tuple(keep), threshold=threshold,
        min_face=min_face, seed=seed,
    )  # fmt: skip
    shown = open_progress(progress)
    given = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    settle(given.annotations, ("partition", "label", "identity", "attributes"))
    out = Path(out)
    files, notes = new_names(given.names, numbered="names" in options.drop)
    sizes, pictures = stamp_pictures(given, range(len(given)))
    check_output_space(out, round(_growth(given.names) * sizes) + (1 << 20))
    run = _identity(given, options, finder, pictures)
    workers = 1 if workers is None and len(files) <= _FEW else workers
    claim = claimed_output(out, inside=given.root, marker=DEIDENTIFIED, identity=run, purpose="deidentify", names=files)
    with claim, explained(out):
        check_output(out / REPORT, _PAGE)
        table, begun = HiddenTable(given, options), Begun(out / BEGUN)
        job = Job(str(out), options, given.ground, finder, begun)
        with closing(Ledger(out / LEDGER, read_entry)) as ledger, open_executor(workers, chunk=_CHUNK) as executor:
            table.write(out, (), begun=begun)
            _hide_all(given, files, job, ledger, executor, shown)
            ledger.close()
            if not any(entry.file for entry in ledger.entries):
                _refuse(given, out, ledger.entries)
            report = _report(given, out, options, ledger.entries, (*table.notes, *notes), began)
            table.write(out, [entry for entry in ledger.entries if entry.file], begun=begun)
            page = deidentification_page(report, ledger.entries, workers=workers, progress=shown)
            write_output(out / REPORT, page.encode("utf-8", "backslashreplace"), _PAGE)
            ledger.remove()
        about = {"command": "deidentify", **options.to_json()}  # nothing about the photos and their place
        finish_output(
            out, marker=DEIDENTIFIED, document={"run": about, "classes": list(table.classes), **report.told()}
        )
        begun.remove()  # last: until then a continued run must know its own table
    return report


def new_names(names: Sequence[str], *, numbered: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The file of each photo below the output folder, and notes.

    Args:
        names: of the photos.
        numbered: whether names are dropped.
    """
    endings = [PurePosixPath(name).suffix for name in names]
    kept = [ending.lower() in ENDINGS for ending in endings]
    paths = ["/".join(map(without_ending, name.split("/")[:-1])) for name in names]
    whole = [
        (f"{path}/" if path else "") + name.rpartition("/")[2] + ("" if keeps else PNG)
        for path, name, keeps in zip(paths, names, kept, strict=True)
    ]
    others = sorted({ending.lower() for ending, keeps in zip(endings, kept, strict=True) if not keeps})
    note = f"pictures in other formats are written as PNG, with .png behind their names ({some(others)})"
    notes = (note,) if others else ()
    if not numbered and len(set(whole)) == len(whole) and all(map(_is_text, whole)):
        return tuple(whole), notes
    digits = max(6, len(str(len(names))))
    numbers = tuple(
        f"{k:0{digits}d}{ending.lower() if keeps else PNG}"
        for k, (ending, keeps) in enumerate(zip(endings, kept, strict=True), 1)
    )
    return numbers, notes if numbered else (*notes, "pictures are numbered: their names are not unique, or not UTF-8")


def _growth(names: Sequence[str]) -> float:
    """Bytes that are written for each byte of photos with these names."""
    kept = sum(PurePosixPath(name).suffix.lower() in (*JPEG, PNG) for name in names) / len(names)
    return _KEPT * kept + _LOSSLESS * (1 - kept)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _identity(given: FaceFolder, options: DeidentifyOptions, finder: Finder | None, pictures: str) -> dict[str, Any]:
    """Everything that must be equal for an unfinished folder to be continued."""
    return {
        "command": "deidentify",
        **identity_of(given, pictures=pictures),
        **options.to_json(),
        "rules": _RULES,
        "finder_sha256": hashlib.sha256(repr((PINNED, description_of(finder))).encode()).hexdigest(),
        **({"model": MODEL} if options.how == "synthetic" else {}),
    }


def _hide_all(
    given: FaceFolder, files: Sequence[str], job: Job, ledger: Ledger[HiddenPhoto], executor: Executor, shown: Progress
) -> None:
    """Hide the faces of every photo that is not finished; again where the picture has changed or none could be read."""
    known = given.annotations.attributes
    make = partial(hide_photo, job)

    def tasks(photos: Sequence[int]) -> Iterator[Task]:
        """What a worker needs to know of each photo."""
        for photo in photos:
            row = known[photo]
            yield photo, str(given.path(photo)), files[photo], tuple(row.tolist()) if row.any() else ()

    done = len(ledger.entries)
    again = sorted(ledger.damaged.union(k for k, entry in enumerate(ledger.entries) if entry.problem))
    if again:
        with shown.phase("hiding again", len(again), "photos") as phase:
            for photo, entry in zip(again, phase.over(executor.map(make, tasks(again))), strict=True):
                ledger.replace(photo, [entry])
    with shown.phase("hiding", len(files), "photos", start=done) as phase:
        for entry in phase.over(executor.map(make, tasks(range(done, len(files))))):
            ledger.add([entry])


def _refuse(given: FaceFolder, out: Path, entries: Sequence[HiddenPhoto]) -> NoReturn:
    """Say that no photo can be read, and leave a folder without pictures as empty as it was."""
    for name in (LEDGER, METADATA, BEGUN, DEIDENTIFIED):
        remove_output(out / name)
    first = f"{printable(given.names[0])}: {entries[0].problem}"
    raise RefusedError(f"{printable(given.root)}: no photo of {len(given):,} can be read ({first})")


def _report(
    given: FaceFolder,
    out: Path,
    options: DeidentifyOptions,
    entries: Sequence[HiddenPhoto],
    notes: tuple[str, ...],
    began: float,
) -> DeidentifyReport:
    numbered = "names" in options.drop
    names = [f"photo {k}" for k in range(1, len(given) + 1)] if numbered else given.names
    pictures, doubtful = sorted_out(entries, names, options)
    return DeidentifyReport(
        out=out,
        folder=given.root,
        options=options,
        photos=len(given),
        written=sum(bool(entry.file) for entry in entries),
        faces=sum(len(entry.faces) for entry in entries),
        replaced=sum(face.replaced for entry in entries for face in entry.faces),
        pictures=pictures,
        doubtful=doubtful,
        notes=notes,
        notes_on_photos=given.notes,
        seconds=time.monotonic() - began,
    )
