"""The real faces of an evaluation: possible training faces and unseen faces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ALL, PARTITIONS, REAL, select_rows
from faceaug.data.crop import Crop
from faceaug.data.folder import FaceFolder
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, RefusedError, printable
from faceaug.evaluate.findings import FaceNames
from faceaug.evaluate.options import LEAST_FACES, EvaluationOptions
from faceaug.progress import SILENT, Progress
from faceaug.train.faces import load_faces

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class RealRows:
    """Rows of the real faces of an evaluation.

    Attributes:
        training: int64 (n,), rows the model may have been trained on.
        unseen: int64 (u,), rows the model has not seen; empty if there are none.
        partition: name of the training rows.
        against: name of the unseen rows; "" if there are none.
        notes: notes for the report.
    """

    training: NDArray[np.int64]
    unseen: NDArray[np.int64]
    partition: str
    against: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RealSets:
    """Real faces, cropped and resized.

    Attributes:
        training: uint8 (n, 3, H, W), faces the model may have been trained on.
        rows: int64 (n,), their rows in the folder.
        unseen: uint8 (u, 3, H, W), faces the model has not seen; None if there are none.
        unseen_rows: int64 (u,), their rows in the folder.
        partition: name of the training rows.
        against: name of the unseen rows; "" if there are none.
        notes: notes for the report.
        unreadable: unreadable pictures, a line each.
    """

    training: Pixels
    rows: NDArray[np.int64]
    unseen: Pixels | None
    unseen_rows: NDArray[np.int64]
    partition: str
    against: str
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]


def choose_rows(folder: FaceFolder, options: EvaluationOptions) -> RealRows:
    """Choose the rows that a model's faces are compared with.

    Raises:
        ArgumentError: ``partition`` or ``against`` is unknown or unfit.
        RefusedError: the partition has no real faces.
    """
    rows, assumed = select_rows(folder.annotations, options.partition)
    name = "all" if assumed else options.partition or "train"
    other = unseen_rows(folder, name, options.against)
    notes = []
    if assumed:
        notes.append("no table marks training pictures, so all pictures count as training faces")
    if not len(other):
        notes.append("there are no unseen real faces, so their control is missing (partition, against)")
    return RealRows(rows, other, name, _partition_of(folder, other, options.against), tuple(notes))


def choose_reference(folder: FaceFolder, options: EvaluationOptions) -> RealRows:
    """Choose the rows that the pictures of another folder are compared with: real ones, or all if none is real.

    Raises:
        ArgumentError: ``partition`` or ``against`` is unknown or unfit.
        RefusedError: the partition has no real faces.
    """
    known = folder.annotations
    others = int((known.origin != REAL).sum())
    if others == len(folder) and options.partition in (None, ALL) and options.against is None:
        note = f"no picture of {printable(folder.root)} is marked as real; all were used"
        return RealRows(np.arange(len(folder)), np.empty(0, np.int64), ALL, "", (note,))
    rows, assumed = select_rows(known, options.partition)
    name = ALL if assumed else options.partition or "train"
    unseen = unseen_rows(folder, name, options.against)
    notes = []
    if others:
        notes.append(f"{others:,} pictures of {printable(folder.root)} are not marked as real and were left out")
    return RealRows(rows, unseen, name, _partition_of(folder, unseen, options.against), tuple(notes))


def load_real(
    folder: FaceFolder,
    rows: RealRows,
    names: FaceNames,
    options: EvaluationOptions,
    *,
    crop: Crop,
    size: int,
    progress: Progress = SILENT,
) -> RealSets:
    """Load the real faces that others are compared with.

    Args:
        folder: their folder.
        rows: their rows.
        names: what they are called in messages.
        options: decides their number.
        crop: crop of the pictures.
        size: height and width of a face, pixels.
        progress: shows how many pictures are read.

    Raises:
        RefusedError: too few faces.
    """
    reader = _Reader(folder, crop, size, options, progress)
    training, used = reader.read(rows.training, names.reference)
    unseen, others = reader.read(rows.unseen, names.control) if len(rows.unseen) else (None, rows.unseen)
    notes = (*rows.notes, *reader.notes)
    return RealSets(training, used, unseen, others, rows.partition, rows.against, notes, tuple(reader.unreadable))


@dataclass(slots=True)
class _Reader:
    """Reads sets of faces of one folder, and collects what there is to say about them."""

    folder: FaceFolder
    crop: Crop
    size: int
    options: EvaluationOptions
    progress: Progress
    notes: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def read(self, rows: NDArray[np.int64], kind: str) -> tuple[Pixels, NDArray[np.int64]]:
        """Read at most ``real`` of these rows, drawn at random: (pixels, rows of the readable pictures)."""
        most = self.options.real
        if len(rows) > most:
            self.notes.append(f"{most:,} of {len(rows):,} {kind} were used, drawn at random")
            rows = np.sort(rows[permutation(len(rows), self.options.seed, slot="evaluate/real")[:most]])
        pixels, places, problems = load_faces(
            self.folder, crop=self.crop, size=self.size, rows=rows, progress=self.progress
        )
        self.unreadable += problems
        if len(pixels) < LEAST_FACES:
            found = f"{printable(self.folder.root)}: {len(pixels)} readable {kind}"
            raise RefusedError(
                f"{found}, at least {LEAST_FACES} are needed; choose a larger folder or another partition"
            )
        return pixels, places


def unseen_rows(folder: FaceFolder, partition: str, against: str | None) -> NDArray[np.int64]:
    """Rows of real faces outside the training rows; empty if there are too few.

    Args:
        folder: folder of the faces.
        partition: training rows.
        against: unseen rows wanted; None is the val rows, or else the test rows.

    Raises:
        ArgumentError: ``against`` is not another partition.
    """
    if against is not None:
        if against == partition or partition == "all" or against not in PARTITIONS:
            wanted = [name for name in PARTITIONS if name != partition]
            raise ArgumentError(
                f"against {against!r}, partition {partition!r}: the unseen faces must be another partition"
                + (f", one of {', '.join(wanted)}" if partition != "all" else "; choose the partition of training rows")
            )
        return select_rows(folder.annotations, against)[0]
    known = folder.annotations
    for name in ("val", "test"):
        rows = np.flatnonzero((known.origin == 0) & (known.partition == PARTITIONS[name]))
        if partition not in (name, "all") and len(rows) >= LEAST_FACES:
            return rows
    return np.empty(0, np.int64)


def _partition_of(folder: FaceFolder, rows: NDArray[np.int64], against: str | None) -> str:
    if not len(rows):
        return ""
    return against or list(PARTITIONS)[int(folder.annotations.partition[rows[0]])]
