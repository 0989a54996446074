"""Tables with fewer rows: all filtered together, in one order, each kept row to the byte as it was."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceaug.errors import some
from faceaug.data.folder import table_paths
from faceaug.data.metadata import read_metadata
from faceaug.data.tables import Table, read_table, read_text, text_lines

_COUNTED = ("attributes", "landmarks", "boxes")  # their text form begins with the number of rows and the columns
_FEW = 0.01  # share of rows that may go so that all tables have the same; more means a table is about something else


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows each table keeps.

    Attributes:
        kept: path of the table -> names of its rows, in order.
        notes: what is worth telling, a line each.
    """

    kept: Mapping[Path, tuple[str, ...]]
    notes: tuple[str, ...]


def every_table(root: Path) -> list[Table]:
    """The CelebA tables that belong to a folder, those that are there as .txt and as .csv in both forms.

    Raises:
        AnnotationError: a table contradicts itself.
    """
    forms = [path.with_suffix(ending) for path in table_paths(root) for ending in (".txt", ".csv")]
    return [read_table(path) for path in forms if path.is_file()]


def rows_in_step(tables: Sequence[Table], present: Collection[str]) -> Rows:
    """Choose the rows that stay, so that row k of every table is about the same picture.

    ``torchvision.datasets.CelebA`` joins the tables by position and never looks at the names. So a row that one table
    lacks leaves the others too, and all take the order of the first. Where that would cost more than one row in a
    hundred, the tables are not about the same pictures: each keeps its own rows, and the notes say so.

    Args:
        tables: all tables of a folder.
        present: names, without folders, of the pictures there will be.
    """
    there = frozenset(present)
    own = {table.path: tuple(name for name in table.names if name in there) for table in tables}
    if not own:
        return Rows({}, ())
    sets = [frozenset(names) for names in own.values()]
    common, union = frozenset.intersection(*sets), frozenset.union(*sets)
    lost = len(union) - len(common)
    if lost > _FEW * len(union):
        says = f"{lost:,} of {len(union):,} pictures with rows are not in every table, so each table keeps its own rows"
        return Rows(own, (f"{says}; torchvision, which joins tables by position, would mix them up",))
    order = tuple(name for name in next(iter(own.values())) if name in common)
    notes = []
    if lost:
        names = some(sorted(union - common))
        notes.append(f"{lost:,} rows left the tables because another table has none for the picture ({names})")
    if len({tuple(name for name in names if name in common) for names in own.values()}) > 1:
        notes.append(f"all tables now have the order of {next(iter(own)).name}")
    return Rows(dict.fromkeys(own, order), tuple(notes))


def filter_table(table: Table, names: Sequence[str]) -> bytes:
    """The file of a table with these rows only, in this order; the count line says how many there are.

    Args:
        table: as read from its file, which is read again: spaces and line ends stay as they are.
        names: rows of the table.
    """
    text = read_text(table.path)
    if table.path.suffix == ".csv":
        return _filter_csv(text, names)
    lines = text_lines(text)
    first = 2 if table.kind in _COUNTED else 0
    rows = {line.split(None, 1)[0]: line.rstrip() for line in lines[first:]}
    head = [str(len(names)), lines[1]] if first else []
    return _joined([*head, *(rows[name] for name in names)], text)


def filter_metadata(path: Path, keep: Collection[str]) -> bytes:
    """The file of an imagefolder table with the rows of these pictures only.

    Args:
        path: ``metadata.csv`` or ``metadata.jsonl``.
        keep: values of ``file_name``, relative to the table's folder, with "/" and without "." parts.

    Raises:
        AnnotationError: the table contradicts itself.
    """
    read_metadata(path)  # so that what follows is a table
    text = read_text(path)
    if path.suffix == ".jsonl":
        lines = [line for line in text_lines(text) if line.strip()]
        return _joined([line for line in lines if _inside(json.loads(line)["file_name"]) in keep], text)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    place = rows[0].index("file_name")
    return _csv_bytes([rows[0], *(row for row in rows[1:] if _inside(row[place]) in keep)], text)


def _filter_csv(text: str, names: Sequence[str]) -> bytes:
    if '"' not in text:
        lines = text_lines(text)
        rows = {line.partition(",")[0]: line for line in lines[1:]}
        return _joined([lines[0], *(rows[name] for name in names)], text)
    head, *others = (row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row)
    cells = {row[0]: row for row in others}
    return _csv_bytes([head, *(cells[name] for name in names)], text)


def _csv_bytes(rows: Iterable[Sequence[str]], like: str) -> bytes:
    page = io.StringIO(newline="")
    csv.writer(page, lineterminator=_line_end(like)).writerows(rows)
    return page.getvalue().encode("utf-8")


def _joined(lines: Iterable[str], like: str) -> bytes:
    end = _line_end(like)
    return "".join(f"{line}{end}" for line in lines).encode("utf-8")


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _inside(name: str) -> str:
    return str(PurePosixPath(name))
