"""``landmarks.csv``: landmarks for the pictures of a folder that has none, next to whatever tables it has.

``faceaug align --only-landmarks`` writes it: ``file_name``, relative to the folder, and the five landmarks in pixel
indices. It is read in every layout. It only fills in: landmarks that other tables hold are kept.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import LANDMARKS
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Reading
from faceaug.data.marks import LANDMARK_KIND
from faceaug.data.metadata import join_rows, match_rows
from faceaug.data.metadata_files import parse_metadata
from faceaug.errors import counted

LANDMARK_TABLE = "landmarks.csv"


def landmark_rows(place: Place) -> dict[str, NDArray[np.float32]]:
    """Landmarks (5, 2) by picture, as the table of a folder has them; empty if it has none.

    Raises:
        AnnotationError: the table cannot be read, or a landmark is no number.
    """
    if LANDMARK_TABLE not in place.tables.get(LANDMARK_TABLE, ()):
        return {}
    path = place.file(LANDMARK_TABLE)
    if not LANDMARK_KIND.is_ours(place.head(path).encode()):
        return {}
    rows = parse_metadata(path, place.text(path))
    names = [row["file_name"] for row in rows]
    known, *_ = join_rows(path, rows, names)
    return dict(zip(names, known.landmarks, strict=True))


def with_landmarks(place: Place, reading: Reading) -> Reading:
    """Fill in the landmarks that other tables do not have.

    Args:
        place: the folder.
        reading: the folder as it was read without the table.
    """
    found = landmark_rows(place)
    if not found:
        return reading
    known = reading.known.landmarks.copy()
    at = match_rows(list(found), {name: k for k, name in enumerate(reading.names)})
    filled = 0
    for k, points in zip(at, found.values(), strict=True):
        if k >= 0 and np.isnan(known[k]).all():
            known[k] = points
            filled += 1
    notes = [f"{LANDMARK_TABLE}: the landmarks of {counted(filled, 'picture')}"]
    absent = at.count(-1)
    if absent:
        notes.append(f"{LANDMARK_TABLE}: {counted(absent, 'row has', 'rows have')} no picture")
    return replace(
        reading,
        known=replace(reading.known, landmarks=known),
        notes=(*reading.notes, *notes),
        used=reading.used | {LANDMARK_TABLE},
    )


def landmark_csv(found: Mapping[str, Sequence[float]]) -> bytes:
    """The content of the table.

    Args:
        found: ten numbers for each picture, by path below the folder, which must be in UTF-8.
    """
    page = io.StringIO(newline="")
    write = csv.writer(page, lineterminator="\n").writerow
    write(("file_name", *LANDMARKS))
    for name in sorted(found):
        write([name, *(f"{number:.2f}" for number in found[name])])
    return page.getvalue().encode("utf-8")
