"""Filter annotation tables: all in step, in one order, with every kept row byte-identical."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from types import MappingProxyType

from faceaug.data.folder import table_paths
from faceaug.data.layouts import Place
from faceaug.data.metadata import match_rows
from faceaug.data.metadata_files import Source, picture_column
from faceaug.data.tables import Table, delimiter_of, text_lines
from faceaug.errors import counted, some
from faceaug.storage.schema import parse_json

_COUNTED = ("attributes", "landmarks", "boxes")  # kinds whose text form begins with a row count and column names
_FEW = 0.01  # share of rows that may be dropped to align the tables; beyond it, they describe different pictures


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that each table keeps.

    Attributes:
        kept: path of the table -> names of its rows, in order.
        notes: remarks for the user, a line each.
    """

    kept: Mapping[Path, tuple[str, ...]]
    notes: tuple[str, ...]


def every_table(place: Place) -> list[Table]:
    """The CelebA tables of a folder, both the .txt and the .csv form of each.

    Raises:
        AnnotationError: a table contradicts itself.
    """
    forms = [path.with_suffix(ending) for path in table_paths(place) for ending in (".txt", ".csv")]
    return [place.table(path) for path in forms if path.is_file()]


def rows_in_step(tables: Sequence[Table], present: Collection[str]) -> Rows:
    """Choose the rows to keep, so that row k of every table describes the same picture.

    ``torchvision.datasets.CelebA`` joins the tables by position and ignores the names. So a row that one table lacks is
    dropped from the others too, and all take the order of the first. If that would drop more than one row in a hundred,
    the tables describe different pictures: each keeps its own rows, and a note says so.

    Args:
        tables: all tables of a folder.
        present: names, without folders, of the pictures in the copy.
    """
    pictures = frozenset(present)
    own = {table.path: tuple(name for name in table.names if name in pictures) for table in tables}
    if not own:
        return Rows({}, ())
    sets = [frozenset(names) for names in own.values()]
    common = frozenset.intersection(*sets)
    union = frozenset.union(*sets)
    lost = len(union) - len(common)
    if lost > _FEW * len(union):
        says = f"{lost:,} of {len(union):,} pictures with rows are not in every table, so each table keeps its own rows"
        return Rows(own, (f"{says}; torchvision, which joins tables by position, would mix them up",))
    order = tuple(name for name in next(iter(own.values())) if name in common)
    notes = []
    if lost:
        names = some(sorted(union - common))
        notes.append(
            f"{counted(lost, 'row was', 'rows were')} dropped because another table has none for the picture ({names})"
        )
    if len({tuple(name for name in names if name in common) for names in own.values()}) > 1:
        notes.append(f"all tables now have the order of {next(iter(own)).name}")
    return Rows(dict.fromkeys(own, order), tuple(notes))


def filter_table(table: Table, text: str, names: Sequence[str]) -> bytes:
    """The file of a table with only these rows, in this order, and a matching count line.

    Args:
        table: the table.
        text: its text, of which spaces and line ends are kept.
        names: names of the rows to keep.
    """
    if table.path.suffix == ".csv":
        return _filter_csv(table, text, names)
    lines = text_lines(text)
    first = 2 if table.kind in _COUNTED else 0
    rows = {line.split(None, 1)[0]: line.rstrip() for line in lines[first:]}
    head = [str(len(names)), lines[1]] if first else []
    return _joined([*head, *(rows[name] for name in names)], text)


def pictures_of_rows(
    names: Sequence[str], pictures: Collection[str], *, renames: Mapping[str, str]
) -> list[str | None]:
    """The picture of each row of an imagefolder table, matched as ``FaceFolder`` does; a row may say the repaired name.

    Args:
        names: ``file_name`` of each row, relative to the table's folder.
        pictures: the pictures below it.
        renames: picture -> its repaired name.

    Returns:
        The present name of each row's picture; None where there is none.
    """
    here = sorted(pictures)
    place = {name: k for k, name in enumerate(here)}
    for old, new in renames.items():
        if not same_stem(old, new):  # else its row is found in spite of the suffix
            place.setdefault(new, place[old])
    return [here[at] if at >= 0 else None for at in match_rows(names, place)]


def same_stem(one: str, other: str) -> bool:
    """Whether two names differ in their suffix at most."""
    return one.rpartition(".")[0] == other.rpartition(".")[0]


def filter_metadata(
    table: Path, source: Source, kept: Sequence[bool], new: Mapping[int, str] = MappingProxyType({})
) -> bytes:
    """The file of an imagefolder table with only some of its rows.

    Args:
        table: its path, which tells its form.
        source: its content, see ``faceaug.data.metadata_files.read_source``.
        kept: whether each of its rows is kept.
        new: position of a row -> the name that its picture has in the copy, where that is another one.
    """
    if table.suffix == ".parquet":
        return _filter_parquet(source, kept, new)
    if table.suffix == ".jsonl":
        lines = [line for line in text_lines(source) if line.strip()]
        return _joined(compress(_renamed_lines(lines, new), kept), source)
    head, *rows = _csv_rows(source)
    at = [name.strip() for name in head].index(picture_column(name.strip() for name in head))
    for row, name in new.items():
        rows[row][at] = name
    return _csv_bytes([head, *compress(rows, kept)], source)


def _renamed_lines(lines: list[str], new: Mapping[int, str]) -> list[str]:
    if not new:
        return lines
    rows = list(map(parse_json, lines))
    column = picture_column(set().union(*rows))
    changed = {row: json.dumps(rows[row] | {column: name}, ensure_ascii=False) for row, name in new.items()}
    return [changed.get(row, line) for row, line in enumerate(lines)]


def _filter_parquet(source: Source, kept: Sequence[bool], new: Mapping[int, str]) -> bytes:
    from pyarrow import BufferOutputStream, array, parquet

    if new:
        column = picture_column(source.column_names)
        names = [new.get(row, name) for row, name in enumerate(source[column].to_pylist())]
        at = source.column_names.index(column)
        source = source.set_column(at, source.schema.field(at), [array(names, source.schema.field(at).type)])
    sink = BufferOutputStream()
    parquet.write_table(source.filter(array(kept)), sink)
    return bytes(sink.getvalue().to_pybytes())


def _filter_csv(table: Table, text: str, names: Sequence[str]) -> bytes:
    if '"' not in text:
        lines = [line for line in text_lines(text) if line]
        rows = dict(zip(table.names, lines[1:], strict=True))
        return _joined([lines[0], *(rows[name] for name in names)], text)
    head, *others = _csv_rows(text)
    cells = dict(zip(table.names, others, strict=True))
    return _csv_bytes([head, *(cells[name] for name in names)], text)


def _csv_rows(text: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter_of(text))
    return [row for row in reader if row]


def _csv_bytes(rows: Iterable[Sequence[str]], like: str) -> bytes:
    page = io.StringIO(newline="")
    csv.writer(page, lineterminator=_line_end(like), delimiter=delimiter_of(like)).writerows(rows)
    return page.getvalue().encode("utf-8")


def _joined(lines: Iterable[str], like: str) -> bytes:
    end = _line_end(like)
    return "".join(f"{line}{end}" for line in lines).encode("utf-8")


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
