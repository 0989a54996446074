"""Columns of metadata in other forms: lists of attributes and landmarks, names of identities, an index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from faceaug.data.tables import ATTRIBUTES, LANDMARKS

_IDENTITY = ("celeb_id", "identity")  # the second comes before the first where both are there
_INDEX = ("", "Unnamed: 0")  # as pandas writes and reads it
_UNKNOWN = frozenset({"", "-1", "-1.0"})  # an identity that is not known
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?", re.ASCII)


def plain_columns(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Rows in the form of ``metadata.csv``.

    A list or object ``attributes`` and a list ``landmarks`` become one column for each number, if they have the right
    length. Names of identities become positions in their sorted list; a number among names is a name too, and -1 or an
    empty cell none. A column without a name that counts the rows is left out.

    Args:
        rows: rows of metadata.

    Returns:
        (rows, names of identities); the names are empty if identities are numbers.
    """
    found = [_spread(row) for row in rows]
    _drop_index(found)
    return found, _number_identities(found)


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    signs, points = row.get("attributes"), row.get("landmarks")
    if not isinstance(signs, list | dict) and not isinstance(points, list):
        return row
    found = dict(row)
    named = _attributes(signs)
    if named is not None:
        del found["attributes"]
        found |= named
    numbers = _flat(points)
    if len(numbers) == len(LANDMARKS):
        del found["landmarks"]
        found |= {name: cell for name, cell in zip(LANDMARKS, numbers, strict=True) if cell is not None}
    return found


def _attributes(signs: object) -> dict[str, Any] | None:
    """Attributes by name; None for what is no such list or object."""
    if isinstance(signs, list) and len(signs) == len(ATTRIBUTES):
        return {name: sign for name, sign in zip(ATTRIBUTES, signs, strict=True) if sign is not None}
    if isinstance(signs, Mapping) and signs.keys() <= set(ATTRIBUTES):
        return {name: sign for name, sign in signs.items() if sign is not None}
    return None


def _flat(points: object) -> list[Any]:
    """The numbers in a list of five pairs, or of ten numbers; empty for anything else."""
    if not isinstance(points, list):
        return []
    if all(isinstance(point, list) and len(point) == 2 for point in points):
        points = [number for point in points for number in point]
    return points if all(isinstance(number, int | float | None) for number in points) else []


def _drop_index(rows: list[dict[str, Any]]) -> None:
    for name in _INDEX:
        cells = [str(row.get(name)) for row in rows]
        if any(cells == _counting(start, len(rows)) for start in (0, 1)):
            for k, row in enumerate(rows):
                rows[k] = {key: cell for key, cell in row.items() if key != name}


def _counting(start: int, n: int) -> list[str]:
    return [str(k) for k in range(start, start + n)]


def _number_identities(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    for column in _IDENTITY:
        cells = [cell for row in rows if _is_one(cell := row.get(column)) and not _is_unknown(cell)]
        if not cells:
            continue
        names = ()
        if any(isinstance(cell, str) and not _NUMBER.fullmatch(cell.strip()) for cell in cells):
            names = tuple(sorted({_as_text(cell) for cell in cells}))
            _replace(rows, column, {name: k for k, name in enumerate(names)})
    return names


def _replace(rows: list[dict[str, Any]], column: str, position: dict[str, int]) -> None:
    for k, row in enumerate(rows):
        cell = row.get(column)
        if _is_one(cell):  # whatever else is there is an error of the table
            rows[k] = row | {column: -1 if _is_unknown(cell) else position[_as_text(cell)]}


def _is_one(cell: object) -> bool:
    return isinstance(cell, str | int | float) and not isinstance(cell, bool)


def _is_unknown(cell: object) -> bool:
    """Whether a cell names nobody."""
    return cell != cell or str(cell).strip() in _UNKNOWN


def _as_text(cell: object) -> str:
    """An identity as text: where others have names, a number is a name too."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
