"""Requested attributes: names to numbers, and values for the attributes that were not requested.

A conditional generator was trained mostly with complete attribute rows of real faces. By default the attributes that
were not requested are therefore filled in from such a row, drawn anew for every face: a model folder holds some
thousands of rows, without names or pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.draws import stream
from faceaug.errors import ArgumentError

Unasked: TypeAlias = Literal["typical", "free", "kept"]
UNASKED: tuple[Unasked, ...] = get_args(Unasked)
Rows: TypeAlias = NDArray[np.int8]  # (n, 40): -1 without, 1 with, 0 unspecified
_STRONGEST = 4.0


def parse_attributes(attributes: Mapping[str, int] | None) -> Rows:
    """Convert attributes by name to a row: int8 (40,), 0 where unspecified.

    Raises:
        ArgumentError: an unknown attribute (the message lists the valid ones), or a value other than -1, 0 and 1.
    """
    row = np.zeros(len(ATTRIBUTES), np.int8)
    for name, value in (attributes or {}).items():
        if value not in (-1, 0, 1):
            raise ArgumentError(f"attribute {name}: value {value!r}; expected 1 (with), -1 (without) or 0")
        row[attribute_index(name)] = int(value)
    return row


def named_attributes(present: Sequence[str], absent: Sequence[str]) -> dict[str, int]:
    """Combine ``--with`` and ``--without`` into one mapping.

    Raises:
        ArgumentError: an unknown attribute, or one that is in both.
    """
    if both := sorted(set(present) & set(absent)):
        raise ArgumentError(f"attribute {both[0]}: requested both with and without; choose one")
    found = dict.fromkeys(present, 1) | dict.fromkeys(absent, -1)
    parse_attributes(found)
    return found


def check_rows(rows: NDArray[np.generic], n: int) -> Rows:
    """Check attribute rows of n faces: int8 (n, 40).

    Raises:
        ArgumentError: another shape, or numbers other than -1, 0 and 1.
    """
    given = np.asarray(rows)
    if given.shape != (n, len(ATTRIBUTES)):
        raise ArgumentError(f"attributes of shape {given.shape}: expected one row per face, ({n}, {len(ATTRIBUTES)})")
    if not np.isin(given, (-1, 0, 1)).all():
        raise ArgumentError("attributes: expected only the numbers -1, 0 and 1; use strength= to exaggerate")
    return given.astype(np.int8)


def check_strength(strength: float) -> float:
    """Check the strength; ArgumentError unless it is a number from 0 to 4."""
    if not 0 <= strength <= _STRONGEST:
        raise ArgumentError(f"strength {strength}: expected a number from 0 (no effect) through 1 (as trained) to 4")
    return float(strength)


@dataclass(frozen=True, slots=True, eq=False)
class AttributeRequest:
    """The attributes requested of all faces of a source.

    Attributes:
        asked: int8 (40,), the requested attributes.
        typical: rows of real faces, int8 (m, 40), that fill in unspecified attributes; None leaves them unspecified.
        seed: seed of the draws.
        kept: fill in from the row that the face has without any request, whether it fits or not.
    """

    asked: Rows
    typical: Rows | None
    seed: int
    kept: bool = False

    def rows(self, start: int, n: int) -> Rows:
        """Attributes given to faces ``start`` to ``start + n - 1``, int8 (n, 40), each drawn for its own number."""
        found = np.tile(self.asked, (n, 1))
        if self.typical is None or not len(self.typical):
            return found
        fitting = self._fitting()
        for offset in range(n):
            draw = stream(self.seed, index=start + offset, slot="face/attributes")
            row = self.typical[fitting[int(draw.integers(len(fitting)))]]
            found[offset] = np.where(self.asked != 0, self.asked, row)
        return found

    def _fitting(self) -> NDArray[np.int64]:
        """Indices of the typical rows that match the most requested attributes."""
        wanted = (self.asked != 0) & (not self.kept)
        rows = np.zeros((0, len(ATTRIBUTES)), np.int8) if self.typical is None else self.typical
        agreeing = (rows[:, wanted] == self.asked[wanted]).sum(axis=1)
        return np.flatnonzero(agreeing == agreeing.max())
