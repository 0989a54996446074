"""The real faces of an evaluation: possible training faces and unseen faces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, select_rows
from faceaug.data.crop import Crop
from faceaug.data.folder import FaceFolder
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, RefusedError, printable
from faceaug.evaluate.options import LEAST, EvaluationOptions
from faceaug.evaluate.report import TRAINING, UNSEEN
from faceaug.progress import SILENT, Progress
from faceaug.train.faces import load_faces

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RealSets:
    """Real faces at the size of a model.

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


def choose_real(
    folder: FaceFolder, options: EvaluationOptions, *, crop: Crop, size: int, progress: Progress = SILENT
) -> RealSets:
    """Load the real faces that others are compared with.

    Args:
        folder: their folder.
        options: decides the rows and their number.
        crop: crop of the pictures.
        size: height and width of a face, pixels.
        progress: shows how many pictures are read.

    Raises:
        ArgumentError: ``partition`` or ``against`` is unknown or unfit.
        RefusedError: too few faces.
    """
    rows, assumed = select_rows(folder.annotations, options.partition)
    name = "all" if assumed else options.partition or "train"
    other = unseen_rows(folder, name, options.against)
    notes = []
    if assumed:
        notes.append("no table marks training pictures, so all pictures count as training faces")
    if not len(other):
        notes.append("there are no unseen real faces, so their control is missing (partition, against)")
    reader = _Reader(folder, crop, size, options, progress)
    training, used = reader.read(rows, TRAINING)
    unseen, others = reader.read(other, UNSEEN) if len(other) else (None, other)
    where = _partition_of(folder, other, options.against)
    notes += reader.notes
    return RealSets(training, used, unseen, others, name, where, tuple(notes), tuple(reader.unreadable))


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
        if len(pixels) < LEAST:
            raise RefusedError(
                f"{printable(self.folder.root)}: {len(pixels)} readable {kind}, at least {LEAST} are needed; choose a "
                "larger folder or another partition"
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
        if partition not in (name, "all") and len(rows) >= LEAST:
            return rows
    return np.empty(0, np.int64)


def _partition_of(folder: FaceFolder, rows: NDArray[np.int64], against: str | None) -> str:
    if not len(rows):
        return ""
    return against or list(PARTITIONS)[int(folder.annotations.partition[rows[0]])]
