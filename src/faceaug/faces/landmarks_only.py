"""Landmarks for a folder of pictures that has none, as a table that ``FaceFolder`` reads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.data.folder import FaceFolder
from faceaug.data.image import Colour, read_image
from faceaug.data.layouts.added_tables import odd_names, odd_names_note
from faceaug.data.layouts.landmark_table import LANDMARK_TABLE, landmark_csv, landmark_rows, landmark_table
from faceaug.data.layouts.place import Place
from faceaug.data.marks import LANDMARK_KIND
from faceaug.data.metadata import match_rows
from faceaug.data.metadata_files import read_metadata
from faceaug.errors import ArgumentError, ImageError, RefusedError, counted, printable, some
from faceaug.executor import open_executor
from faceaug.faces.align_options import Finder
from faceaug.faces.aligned_face import own_finder
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Show, open_progress
from faceaug.storage.outputs import check_output, read_head, write_output

_CHUNK = 8  # pictures per message to a worker
_FEW = 40  # pictures that are done before worker processes would have started


@dataclass(frozen=True, slots=True, repr=False)
class LandmarkReport(Presentation):
    """The report of ``find_landmarks``.

    Attributes:
        out: the table; None if nothing new was found, so that there was nothing to write.
        pictures: number of pictures in the folder.
        known: number of those whose landmarks were known already, and are left as they are.
        found: number of those whose landmarks were found.
        without: names of pictures without a face.
        unreadable: a line for each picture that cannot be read.
        notes: other oddities.
        seconds: time taken.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> from faceaug.faces import find_landmarks
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("synthetic", 3)
        >>> report = find_landmarks("synthetic")
        >>> report.found + len(report.without)
        3
    """

    out: Path | None
    pictures: int
    known: int
    found: int
    without: tuple[str, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("table", self.out),
            ("pictures", self.pictures),
            ("known before", self.known),
            ("found", self.found),
            ("without a face", len(self.without)),
            ("unreadable", len(self.unreadable)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        lists = {name: list(found[name]) for name in ("without", "unreadable", "notes")}
        return found | lists | {"out": self.out and str(self.out), "seconds": round(self.seconds, 2)}

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text; ``verbose`` lists every name."""
        before = f", of {self.known:,} they were known" if self.known else ""
        lines = [f"landmarks of {self.found:,} of {counted(self.pictures, 'picture')} found{before}"]
        if self.without:
            names = some(list(self.without), len(self.without) if verbose else 3)
            lines.append(f"  without a face: {len(self.without):,} ({names})")
        lines += [f"  {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in self.notes]
        done = f"{printable(self.out)}: written in {self.seconds:.1f} s" if self.out else "there was nothing to write"
        return "\n".join([*lines, done])


def find_landmarks(
    folder: Path | str | FaceFolder,
    out: Path | str | None = None,
    *,
    workers: int | None = None,
    finder: Finder | None = None,
    overwrite: bool = False,
    progress: Show = None,
) -> LandmarkReport:
    """Find the landmarks of the largest face in every picture that has none, and write them as a table.

    ``FaceFolder`` reads the table if it lies in the folder under its usual name. Landmarks that are known, or that a
    table of an earlier call at ``out`` holds, stay: a second call looks only at pictures without any, so it continues
    an interrupted one, which keeps what it has found.

    Args:
        folder: a folder, archive or ``FaceFolder``.
        out: the table; None for ``landmarks.csv`` in the folder, the only file that is written there.
        workers: processes; by default one per processor, or none for a few pictures.
        finder: what finds the faces; None for ``faceaug.faces.FaceFinder()``.
        overwrite: replace a file that faceaug did not write.
        progress: see ``faceaug.progress.open_progress``.

    Returns:
        The report.

    Raises:
        ArgumentError: there is no such folder, or an archive has no place for the table.
        RefusedError: another file is in the way.

    Example:
        >>> from faceaug import FaceFolder, SyntheticFaceSource
        >>> from faceaug.faces import find_landmarks
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("synthetic", 3)
        >>> report = find_landmarks("synthetic")
        >>> report.pictures, FaceFolder("synthetic").annotations.landmarks.shape
        (3, (3, 5, 2))
    """
    began = time.monotonic()
    given = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    if out is None and not given.root.is_dir():
        raise ArgumentError(f"{printable(given.root)}: is an archive; name a file for the table (out=, --out)")
    path = given.root / LANDMARK_TABLE if out is None else Path(out)
    check_output(path, [LANDMARK_KIND], overwrite=overwrite)
    before = _written(given, path, inside=out is None)
    blank = np.flatnonzero(np.isnan(given.annotations.landmarks).all(axis=(1, 2))).tolist()
    unknown = [row for row in blank if given.names[row] not in before]
    found: dict[str, list[float]] = {}
    without: list[str] = []
    problems: list[str] = []
    odd = odd_names(given.names[row] for row in unknown)
    left_out = frozenset(odd)
    notes = (*odd_names_note(odd), *_kept(path, len(blank) - len(unknown)))
    rows = [row for row in unknown if given.names[row] not in left_out]
    workers = 1 if workers is None and len(rows) <= _FEW else workers
    look = partial(_look_at, given.ground, finder)
    try:
        with (
            open_executor(workers, chunk=_CHUNK) as executor,
            open_progress(progress).phase("finding landmarks", len(rows), "pictures") as phase,
        ):
            results = executor.map(look, (str(given.path(row)) for row in rows))
            for row, result in zip(rows, phase.over(results), strict=True):
                if isinstance(result, str):
                    problems.append(result)
                elif result:
                    found[given.names[row]] = result
                else:
                    without.append(given.names[row])
    finally:
        if found:  # an interrupted search keeps what it has found
            write_output(path, landmark_csv(before | found), [LANDMARK_KIND], overwrite=overwrite)
    if rows and not found and len(unknown) == len(given):
        looked = counted(len(rows), "picture")
        raise RefusedError(f"{printable(given.root)}: no face was found in {looked}; nothing is written")
    return LandmarkReport(
        out=path if found else None,
        pictures=len(given),
        known=len(given) - len(unknown),
        found=len(found),
        without=tuple(without),
        unreadable=tuple(problems),
        notes=notes,
        seconds=time.monotonic() - began,
    )


def _written(given: FaceFolder, path: Path, *, inside: bool) -> dict[str, list[float]]:
    """Landmarks of pictures of the folder that an earlier call has written to this table.

    ``inside``: it is that of the folder. Where there is none yet, it takes over the rows of one in a folder above,
    which is no longer read once there is one here.
    """
    if path.is_file() and LANDMARK_KIND.is_ours(read_head(path)):
        rows = landmark_rows(path, read_metadata(path))
    else:
        above = landmark_table(Place(given.root, (), ())) if inside else None
        rows = landmark_rows(above.path, above.rows) if above is not None else {}
    at = match_rows(list(rows), {name: k for k, name in enumerate(given.names)})
    return {given.names[k]: points.reshape(-1).tolist() for k, points in zip(at, rows.values(), strict=True) if k >= 0}


def _kept(path: Path, rows: int) -> tuple[str, ...]:
    """A note on rows that only the table has: a picture of the same name in another folder would have others."""
    kept = counted(rows, "picture", "pictures")
    return (f"{printable(path)}: the landmarks of {kept} in it stay; remove it to find them again",) if rows else ()


def _look_at(ground: Colour, finder: Finder | None, path: str) -> list[float] | str:
    """Landmarks of the largest face: ten numbers; none without a face; a line if the picture cannot be read."""
    try:
        image = read_image(path, ground=ground)
    except ImageError as error:
        return str(error)
    found = (own_finder() if finder is None else finder).find(image)
    numbers: list[float] = np.asarray(found[0].landmarks, np.float64).reshape(-1).tolist() if found else []
    return numbers
