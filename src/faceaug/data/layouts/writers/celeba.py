"""Writes CelebA: ``img_align_celeba/`` and its tables next to it, as torchvision keeps them; format: see the reader.

The tables hold whole numbers separated by blanks. A picture about which a table says nothing has no row in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS
from faceaug.data.layouts.writing import Faces, Picture, Plan, Tables, Writer, plain_stems
from faceaug.errors import counted, some

LARGEST = 2**31 - 1  # number in a table
FOLDER = "img_align_celeba"


def _plan(faces: Faces) -> Plan:
    stems, notes = plain_stems(faces, flat=True, blanks=False)
    known = faces.known
    unclear = [ATTRIBUTES[k] for k in _unclear(known.attributes)]
    if unclear:
        why = "a column with yes and unknown but no no would be read as yes and no"
        notes += (f"{counted(len(unclear), 'attribute is', 'attributes are')} left out ({some(unclear)}): {why}",)
    large = int((known.identity > LARGEST).sum())
    if large:
        ones = counted(large, "picture is", "pictures are")
        notes += (f"the identity of {ones} left out: the tables hold numbers up to {LARGEST}",)
    points = known.landmarks
    full = ~np.isnan(points).any(axis=(1, 2))
    partly = int((~full & ~np.isnan(points).all(axis=(1, 2))).sum())
    if partly:
        have = counted(partly, "picture has", "pictures have")
        notes += (f"{have} fewer than five landmarks, which are left out",)
    if (points[full] != np.rint(points[full])).any():
        notes += ("landmarks are rounded to whole pixels",)
    return Plan(tuple(f"{FOLDER}/{stem}" for stem in stems), notes)


def _tables(faces: Faces, pictures: Sequence[Picture]) -> Tables:
    known = faces.known
    names = [picture.name.rpartition("/")[2] for picture in pictures]
    rows = np.array([picture.row for picture in pictures], np.int64)
    kept = sorted(set(np.flatnonzero((known.attributes != 0).any(axis=0))) - set(_unclear(known.attributes)))
    attributes = known.attributes[rows][:, kept]
    points = np.rint(known.landmarks[rows]).reshape(len(rows), -1)
    whole = np.nan_to_num(points).astype(np.int64)
    placed = np.atleast_1d(np.isfinite(points).all(axis=1))
    tables: dict[str, tuple[NDArray[Any], NDArray[np.bool_], list[str] | None]] = {
        "list_attr_celeba": (attributes, (attributes != 0).any(axis=1), [ATTRIBUTES[k] for k in kept]),
        "identity_CelebA": (known.identity[rows, None], _fits(known.identity[rows]), None),
        "list_eval_partition": (known.partition[rows, None], known.partition[rows] >= 0, None),
        "list_landmarks_align_celeba": (whole, placed, list(LANDMARKS)),
    }
    return {f"{stem}.txt": _text(names, *table) for stem, table in tables.items() if table[1].any()}


def _fits(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (numbers >= 0) & (numbers <= LARGEST)


def _text(names: Sequence[str], values: NDArray[Any], told: NDArray[np.bool_], head: list[str] | None) -> bytes:
    lines: Iterable[str] = (
        f"{names[k]} {' '.join(map(str, values[k].tolist()))}\n" for k in np.flatnonzero(told).tolist()
    )
    top = "" if head is None else f"{int(told.sum())}\n{' '.join(head)}\n"
    return (top + "".join(lines)).encode()


def _unclear(attributes: NDArray[np.int8]) -> list[int]:
    """Columns in which yes and unknown would be read as yes and no."""
    told = attributes[(attributes != 0).any(axis=1)]
    zero, yes, no = ((told == value).any(axis=0) for value in (0, 1, -1))
    return [int(k) for k in np.flatnonzero(zero & yes & ~no)]


CELEBA = Writer(frozenset({"attributes", "identities", "partitions", "landmarks"}), _plan, _tables)
