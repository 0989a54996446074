"""Summary of a folder, for `faceaug info FOLDER`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, PARTITIONS
from faceaug.data.folder import FaceFolder
from faceaug.errors import printable, some
from faceaug.presentation import Fact, Presentation

_PARTS = {number: name for name, number in PARTITIONS.items()} | {-1: "unknown"}


@dataclass(frozen=True, slots=True, repr=False)
class Overview(Presentation):
    """Summary of a folder.

    Attributes:
        folder: its path, as given.
        layout: the layout in which it was read.
        evidence: why that layout was chosen.
        pictures: number of pictures.
        classes: number of pictures per label name.
        labelled: number of pictures with a label.
        partitions: number of pictures per partition.
        identities: number of distinct identities.
        attributes: number of the forty attributes that are known for some picture.
        landmarks: number of pictures with all five landmarks.
        points: number of points per picture in addition to the five landmarks; 0 if there are none.
        boxes: number of pictures with a box.
        masks: number of pictures with masks.
        columns: names of further columns.
        notes: oddities, guesses and unused files.
    """

    folder: str
    layout: str
    evidence: str
    pictures: int
    classes: dict[str, int]
    labelled: int
    partitions: dict[str, int]
    identities: int
    attributes: int
    landmarks: int
    points: int
    boxes: int
    masks: int
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("folder", self.folder),
            ("layout", self.layout),
            ("pictures", self.pictures),
            ("labelled", self.labelled),
            ("identities", self.identities),
            ("attributes", self.attributes),
            ("landmarks", self.landmarks),
            ("boxes", self.boxes),
            ("notes", len(self.notes)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The summary as plain values for a JSON document."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"columns": list(self.columns), "notes": list(self.notes)}

    def summary(self) -> str:
        """The summary as text."""
        names = some([f"{name} {count:,}" for name, count in self.classes.items()], 6)
        facts = {
            "layout": f"{self.layout}: {self.evidence}",
            "pictures": f"{self.pictures:,}",
            "labels": f"{self.labelled:,}" + (f" in {len(self.classes)} classes ({names})" if self.classes else ""),
            "partitions": ", ".join(f"{name} {count:,}" for name, count in self.partitions.items()),
            "identities": f"{self.identities:,}",
            "attributes": f"{self.attributes} of {len(ATTRIBUTES)}",
            "landmarks": f"{self.landmarks:,} pictures" + (f", {self.points} points" if self.points else ""),
            "boxes": f"{self.boxes:,} pictures",
            "masks": f"{self.masks:,} pictures",
            "columns": ", ".join(self.columns) or "none",
        }
        lines = [printable(self.folder), *(f"  {name:<12} {said}" for name, said in facts.items())]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def look_over(folder: Path | str | FaceFolder) -> Overview:
    """Read a folder and count its annotations.

    Raises:
        FaceAugError: see ``FaceFolder``.
    """
    faces = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    known = faces.annotations
    labels = Counter(known.label[known.label >= 0].tolist())
    parts = Counter(known.partition.tolist())
    return Overview(
        folder=str(faces.root),
        layout=faces.layout,
        evidence=faces.evidence,
        pictures=len(faces),
        classes={name: labels[k] for k, name in enumerate(faces.classes)},
        labelled=labels.total(),
        partitions={name: parts[number] for number, name in _PARTS.items() if parts[number]},
        identities=len(np.unique(known.identity[known.identity >= 0])),
        attributes=int((known.attributes != 0).any(axis=0).sum()),
        landmarks=int((~np.isnan(known.landmarks).any(axis=(1, 2))).sum()),
        points=0 if known.points is None else int(known.points.shape[1]),
        boxes=0 if known.boxes is None else int((~np.isnan(known.boxes).any(axis=1)).sum()),
        masks=0 if known.masks is None else sum(map(bool, known.masks)),
        columns=tuple(known.columns),
        notes=faces.notes,
    )
