"""``landmarks.csv``: landmarks for the pictures of a folder that has none, next to whatever tables it has.

``faceaug align --only-landmarks`` writes it: ``file_name``, relative to the folder, and the five landmarks in pixel
indices. It is read in every layout, also where a folder inside that one is opened. It only fills in: landmarks that
other tables hold are kept.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import LANDMARKS
from faceaug.data.layouts.added_tables import AddedTable, added_table
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Reading
from faceaug.data.marks import LANDMARK_KIND
from faceaug.data.metadata import join_rows, match_rows
from faceaug.errors import counted

LANDMARK_TABLE = "landmarks.csv"


def landmark_table(place: Place) -> AddedTable | None:
    """The table of a folder, or the rows for its pictures in the one of a folder above.

    Raises:
        AnnotationError: the table cannot be read.
    """
    return added_table(place, LANDMARK_TABLE, is_ours=lambda head: LANDMARK_KIND.is_ours(head.encode()))


def landmark_rows(path: Path, rows: list[dict[str, Any]]) -> dict[str, NDArray[np.float32]]:
    """Landmarks (5, 2) by picture.

    Args:
        path: the table, for errors.
        rows: its rows.

    Raises:
        AnnotationError: a landmark is no number.
    """
    names = [row["file_name"] for row in rows]
    known, *_ = join_rows(path, rows, names)
    return dict(zip(names, known.landmarks, strict=True))


def with_landmarks(place: Place, reading: Reading) -> Reading:
    """Fill in the landmarks that other tables do not have.

    Args:
        place: the folder.
        reading: the folder as it was read without the table.
    """
    table = landmark_table(place)
    if table is None or not table.rows:
        return reading
    found = landmark_rows(table.path, table.rows)
    known = reading.known.landmarks.copy()
    at = match_rows(list(found), {name: k for k, name in enumerate(reading.names)})
    filled = 0
    for k, points in zip(at, found.values(), strict=True):
        if k >= 0 and np.isnan(known[k]).all():
            known[k] = points
            filled += 1
    notes = [f"{table.shown}: the landmarks of {counted(filled, 'picture')}"]
    absent = at.count(-1)
    if absent:
        notes.append(f"{table.shown}: {counted(absent, 'row has', 'rows have')} no picture")
    return replace(
        reading,
        known=replace(reading.known, landmarks=known),
        notes=(*reading.notes, *notes),
        used=reading.used | {table.shown},
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
