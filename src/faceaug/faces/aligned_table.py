"""``metadata.csv`` of aligned faces: where each came from, its landmarks, and the annotations of its photo.

It follows the Hugging Face imagefolder layout, and ``FaceFolder`` reads all of it back: what faceaug has arrays for as
such, the rest as further columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS, ORIGINS
from faceaug.data.folder import FaceFolder
from faceaug.data.manifest import METADATA, NOTHING, csv_text, is_plain_text, short_number
from faceaug.data.metadata import CLASS, is_own_column
from faceaug.errors import some
from faceaug.faces.aligned_face import AlignedFace
from faceaug.storage.files import PARTIAL, open_partial, publish_file

SOURCE_LANDMARKS: tuple[str, ...] = tuple(f"source_{name}" for name in LANDMARKS)
FOUND = ("face", "score", "roll", "eye_distance", "x0", "y0", "x1", "y1")
IDENTITY_NAME = "identity_name"  # identities of an imagefolder are numbers
_FIXED = (
    "file_name", "source_file", *FOUND, *LANDMARKS, *SOURCE_LANDMARKS, "origin", "weight", "partition", "identity",
    "label",
)  # fmt: skip
_LAST = "sha256"


class AlignedTable:
    """The columns of the table for the annotations that a folder has.

    Args:
        given: the folder of the photos.

    Attributes:
        notes: annotations that the table does not hold.
    """

    def __init__(self, given: FaceFolder) -> None:
        known = given.annotations
        self._given = given
        self._named = bool(given.classes) and all(map(is_plain_text, given.classes))
        self._attributes = bool((known.attributes != 0).any())
        own = {*_FIXED, CLASS, IDENTITY_NAME, _LAST}
        self._further = tuple(name for name in known.columns if name not in own and not is_own_column(name))
        taken = sorted(known.columns.keys() - set(self._further))
        self.notes = _notes(given, taken)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        given = self._given
        return (
            *_FIXED,
            *((CLASS,) if self._named else ()),
            *((IDENTITY_NAME,) if given.identities else ()),
            *(ATTRIBUTES if self._attributes else ()),
            *self._further,
            _LAST,
        )

    def write(self, folder: Path, faces: Iterable[AlignedFace]) -> None:
        """Write the table durably. Call it when the pictures are durable.

        Args:
            folder: the output folder.
            faces: its rows. While a run is unfinished the table has none, so that nothing takes the folder for a set
                without annotations.
        """
        lines = csv_text([self.columns, *map(self._cells, faces)])
        fresh = folder / f".{METADATA}{PARTIAL}"
        with open_partial(fresh) as handle:
            handle.write(lines.encode("utf-8", "backslashreplace"))
        publish_file(fresh, folder / METADATA)

    def _cells(self, face: AlignedFace) -> list[object]:
        return [*self._found(face), *self._known(face.photo), face.sha256]

    def _found(self, face: AlignedFace) -> Iterator[object]:
        yield from (face.file, self._given.names[face.photo], face.face)
        yield from (_rounded(face.score, 4), _rounded(face.roll, 2), _rounded(face.eye_distance, 2))
        yield from (_rounded(number, 2) for number in face.box)
        yield from (short_number(number) for number in (*face.landmarks, *face.source_landmarks))

    def _known(self, row: int) -> Iterator[object]:
        given, known = self._given, self._given.annotations
        label, identity = int(known.label[row]), int(known.identity[row])
        yield ORIGINS[int(known.origin[row])]
        yield short_number(known.weight[row])
        yield from (int(known.partition[row]), identity, label)
        if self._named:
            yield given.classes[label] if label >= 0 else NOTHING
        if given.identities:
            yield given.identities[identity] if identity >= 0 else NOTHING
        if self._attributes:
            yield from known.attributes[row].tolist()
        yield from (_text(known.columns[name][row]) for name in self._further)


def _notes(given: FaceFolder, taken: Sequence[str]) -> tuple[str, ...]:
    known = given.annotations
    lost = [name for name in ("boxes", "points", "masks") if getattr(known, name) is not None]
    lost += ["landmarks"] if not np.isnan(known.landmarks).all() else []
    notes = []
    if lost:
        notes.append(f"{' and '.join(lost)} of the photos are not carried along: those of the aligned faces were found")
    if taken:
        notes.append(f"{len(taken)} further columns are left out: this table has its own ({some(list(taken))})")
    return tuple(notes)


def _rounded(number: float, digits: int) -> str:
    text = f"{number:.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text  # no minus zero


def _text(value: Any) -> object:
    """A cell of a further column: texts and numbers as they are, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False, default=str)
