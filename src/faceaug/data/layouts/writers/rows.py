"""Rows of faces as plain values: the columns of ``metadata.csv``, for tables of other forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS, ORIGINS
from faceaug.data.layouts.writing import Faces, Fact
from faceaug.data.metadata import BOXES, CLASS, is_own_column
from faceaug.errors import counted, some

HELD: frozenset[Fact] = frozenset(
    {
        "attributes", "identities", "labels", "names of labels", "partitions", "landmarks", "boxes", "weights",
        "origins", "further columns",
    }
)  # fmt: skip


def plain_rows(faces: Faces, names: Sequence[str], digests: Sequence[str]) -> list[dict[str, Any]]:
    """A dict for each face, with the same keys for all; None is unknown where a column has no number for that.

    Args:
        faces: the faces.
        names: their new names.
        digests: SHA-256 of each file, hex.
    """
    known = faces.known
    columns: dict[str, list[Any]] = {
        "file_name": list(names),
        "origin": [ORIGINS[k] for k in known.origin.tolist()],
        "weight": [float(str(number)) for number in known.weight],  # the shortest decimal that is the same float32
        "partition": known.partition.tolist(),
        "identity": known.identity.tolist(),
        "label": known.label.tolist(),
    }
    if faces.classes:
        columns[CLASS] = [faces.classes[k] if k >= 0 else "" for k in known.label.tolist()]
    if faces.sources:
        columns["source_file"] = list(faces.sources)
    columns |= _numbers(LANDMARKS, known.landmarks.reshape(len(faces), -1))
    if known.boxes is not None:
        columns |= _numbers(BOXES, known.boxes)
    if (known.attributes != 0).any():
        columns |= {name: known.attributes[:, k].tolist() for k, name in enumerate(ATTRIBUTES)}
    columns["sha256"] = list(digests)
    further = {name: list(values) for name, values in known.columns.items() if not is_own_column(name)}
    columns |= {name: values for name, values in further.items() if name not in columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _numbers(names: Sequence[str], values: Any) -> dict[str, list[float | None]]:
    if np.isnan(values).all():
        return {}
    cells = [[None if np.isnan(v) else float(str(v)) for v in row] for row in values]
    return {name: [row[k] for row in cells] for k, name in enumerate(names)}


def clashes(faces: Faces) -> tuple[str, ...]:
    """A note on further columns that cannot be held because faceaug's columns have their names."""
    taken = [name for name in faces.known.columns if is_own_column(name)]
    if not taken:
        return ()
    are = counted(len(taken), "further column is", "further columns are")
    return (f"{are} left out: a column of faceaug has that name ({some(taken)})",)
