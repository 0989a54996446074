"""The real faces of an evaluation: possible training faces and unseen faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, select_rows
from faceaug.data.folder import FaceFolder
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, RefusedError, printable
from faceaug.evaluate.report import TRAINING, UNSEEN
from faceaug.progress import SILENT, Progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.train.faces import load_faces

LEAST = 10  # faces of a kind; with fewer, five neighbours are most of the others
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
    folder: FaceFolder,
    source: SyntheticFaceSource,
    *,
    partition: str | None,
    against: str | None,
    real: int,
    seed: int,
    progress: Progress = SILENT,
) -> RealSets:
    """Load the real faces that generated ones are compared with; see ``evaluate_source`` for the arguments."""
    rows, assumed = select_rows(folder.annotations, partition)
    name = "all" if assumed else partition or "train"
    notes = []
    if assumed:
        notes.append("no table marks training pictures, so all pictures count as training faces")
    other = unseen_rows(folder, name, against)
    crop = source.config.crop
    size = source.config.size
    if not len(other):
        notes.append("there are no unseen real faces, so their control is missing (partition, against)")
    unreadable: list[str] = []

    def load(rows: NDArray[np.int64], kind: str) -> tuple[Pixels, NDArray[np.int64]]:
        if len(rows) > real:
            notes.append(f"{real:,} of {len(rows):,} {kind} were used, drawn at random")
            rows = np.sort(rows[permutation(len(rows), seed, slot="evaluate/real")[:real]])
        pixels, places, problems = load_faces(folder, crop=crop, size=size, rows=rows, progress=progress)
        unreadable.extend(problems)
        if len(pixels) < LEAST:
            raise RefusedError(
                f"{printable(folder.root)}: {len(pixels)} readable {kind}, at least {LEAST} are needed; choose a "
                "larger folder or another partition"
            )
        return pixels, places

    training, used = load(rows, TRAINING)
    unseen, others = load(other, UNSEEN) if len(other) else (None, other)
    where = _partition_of(folder, other, against)
    return RealSets(training, used, unseen, others, name, where, tuple(notes), tuple(unreadable))


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
