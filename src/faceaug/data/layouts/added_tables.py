"""Tables that faceaug adds to a folder, of its split and of landmarks, wherever in it a folder is opened.

Such a table lies in the folder that it was made for, and names pictures by their paths below it. A folder inside that
one is opened with the rows of its own pictures.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.data.layouts.place import Place
from faceaug.errors import AnnotationError, counted, some

_NOT_UTF8 = ("name is", "names are")
_LEVELS = 4  # folders looked at above the one that is opened, as for CelebA's tables


@dataclass(frozen=True, slots=True)
class AddedTable:
    """The rows of such a table that are about the pictures of a folder.

    Attributes:
        path: the table.
        shown: its name in notes, with "../" for each folder that it lies above the opened one.
        text: the table as text, with names below the opened folder.
        rows: its rows, with ``file_name`` below the opened folder.
    """

    path: Path
    shown: str
    text: str
    rows: list[dict[str, Any]]


def added_table(place: Place, name: str, *, is_ours: Callable[[str], bool] = lambda _: True) -> AddedTable | None:
    """The table of this name in a folder; if it has none, the nearest one above that names pictures below the folder.

    Args:
        place: the folder.
        name: name of the table.
        is_ours: whether a file of that name is such a table, from its beginning.

    Raises:
        AnnotationError: the table cannot be read.
    """
    if name in place.others:
        path = place.file(name)
        return AddedTable(path, name, place.source(path), place.rows(path)) if is_ours(place.head(path)) else None
    for path, shown, below in _above(place, name):
        if not is_ours(place.head(path)):
            continue
        rows = [
            row | {"file_name": row["file_name"].removeprefix(below)}
            for row in place.rows(path)
            if row["file_name"].startswith(below)
        ]
        if rows:
            return AddedTable(path, shown, _csv(rows), rows)
    return None


def added_below(place: Place, name: str) -> Iterator[AddedTable]:
    """The tables of this name in sub-folders that can be read, with ``file_name`` below the opened folder."""
    for inside in place.tables.get(name, ()):
        below = inside.removesuffix(name)
        if not below:
            continue
        path = place.file(inside)
        with suppress(AnnotationError):  # it is named among the files that are not read
            rows = [row | {"file_name": below + row["file_name"]} for row in place.rows(path)]
            yield AddedTable(path, inside, _csv(rows), rows)


def odd_names(names: Iterable[str]) -> list[str]:
    """The names that such a table cannot hold, because they are not in UTF-8."""
    return [name for name in names if not _is_utf8(name)]


def odd_names_note(names: Sequence[str]) -> tuple[str, ...]:
    """The note on such names; none if there are none."""
    return (f"{counted(len(names), *_NOT_UTF8)} not in UTF-8 and left out ({some(list(names))})",) if names else ()


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _above(place: Place, name: str) -> Iterator[tuple[Path, str, str]]:
    """Files of this name above a folder, the nearest first: (path, name in notes, path from there to the folder)."""
    here = place.root.resolve()
    below = up = ""
    for _ in range(_LEVELS):
        below, up, here = f"{here.name}/{below}", f"../{up}", here.parent
        if os.path.isfile(here / name):
            yield here / name, up + name, below


def _csv(rows: list[dict[str, Any]]) -> str:
    page = io.StringIO(newline="")
    writer = csv.DictWriter(page, list(rows[0]) if rows else ["file_name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()
