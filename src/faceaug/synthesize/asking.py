"""What a face is asked to have: names to numbers, and what to say of the attributes nobody asked about.

A generator that obeys attributes was taught with whole rows of real faces more than with anything else. So what was not
asked for is by default filled in from such a row, drawn anew for every face: a model folder holds some thousand of
them, without names or pictures.
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
Rows: TypeAlias = NDArray[np.int8]  # (n, 40): -1 no, 1 yes, 0 "don't care"
_STRONGEST = 4.0


def parse_attributes(attributes: Mapping[str, int] | None) -> Rows:
    """Attributes by name as one row: int8 (40,), 0 where nothing is asked.

    Raises:
        ArgumentError: an unknown attribute, with those there are, or a value other than -1, 0 and 1.
    """
    row = np.zeros(len(ATTRIBUTES), np.int8)
    for name, value in (attributes or {}).items():
        if value not in (-1, 0, 1):
            raise ArgumentError(f"attribute {name}: {value!r} is asked for; expected 1 (with), -1 (without) or 0")
        row[attribute_index(name)] = int(value)
    return row


def named_attributes(present: Sequence[str], absent: Sequence[str]) -> dict[str, int]:
    """``--with`` and ``--without`` as one mapping.

    Raises:
        ArgumentError: an unknown attribute, or one that is wanted and not wanted.
    """
    if both := sorted(set(present) & set(absent)):
        raise ArgumentError(f"attribute {both[0]}: asked for and asked to be absent; choose one")
    found = dict.fromkeys(present, 1) | dict.fromkeys(absent, -1)
    parse_attributes(found)
    return found


def check_rows(rows: NDArray[np.generic], n: int) -> Rows:
    """Attributes of n faces as int8 (n, 40).

    Raises:
        ArgumentError: another shape, or numbers other than -1, 0 and 1.
    """
    given = np.asarray(rows)
    if given.shape != (n, len(ATTRIBUTES)):
        raise ArgumentError(
            f"attributes of shape {given.shape}: expected a row for each face, ({n}, {len(ATTRIBUTES)})"
        )
    if not np.isin(given, (-1, 0, 1)).all():
        raise ArgumentError("attributes: expected numbers -1, 0 and 1 only; strength= exaggerates")
    return given.astype(np.int8)


def check_strength(strength: float) -> float:
    """The strength, or ArgumentError if it is not a number from 0 to 4."""
    if not 0 <= strength <= _STRONGEST:
        raise ArgumentError(f"strength {strength}: expected a number from 0 (not at all) over 1 (as taught) to 4")
    return float(strength)


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What all faces of a source are asked to have.

    Attributes:
        asked: int8 (40,).
        typical: rows of real faces, int8 (m, 40), that fill in what is not asked; None leaves it to the generator.
        seed: of the draws.
        kept: fill in the row that the face has where nothing is asked, fitting or not.
    """

    asked: Rows
    typical: Rows | None
    seed: int
    kept: bool = False

    def rows(self, start: int, n: int) -> Rows:
        """What faces ``start`` to ``start + n - 1`` are told, int8 (n, 40): each depends on (wish, seed, k) alone."""
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
        """The typical rows that have most of what is asked: all of it, where there are such."""
        wanted = (self.asked != 0) & (not self.kept)
        rows = np.zeros((0, len(ATTRIBUTES)), np.int8) if self.typical is None else self.typical
        agreeing = (rows[:, wanted] == self.asked[wanted]).sum(axis=1)
        return np.flatnonzero(agreeing == agreeing.max())
