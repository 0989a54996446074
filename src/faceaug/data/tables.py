"""CelebA's own tables, read and checked: .txt as published, .csv as on Kaggle.

A table whose count line, columns, names or values contradict themselves is an error that names the
line, not a guess.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import AnnotationError, printable, some

ATTRIBUTES: tuple[str, ...] = tuple(
    """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose
    Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee
    Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard
    Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair
    Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie
    Young""".split()  # noqa: SIM905 - forty lines of list would say no more
)
LANDMARKS: tuple[str, ...] = tuple(
    f"{point}_{axis}" for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
)

Kind: TypeAlias = Literal["attributes", "identity", "partition", "landmarks", "boxes"]
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "attributes": ATTRIBUTES,
    "identity": ("identity",),
    "partition": ("partition",),
    "landmarks": LANDMARKS,
    "boxes": ("x_1", "y_1", "width", "height"),
}
# Published name without ending -> what it holds, and whether its text form begins with a count and
# a header.
_TABLES: dict[str, tuple[Kind, bool]] = {
    "list_attr_celeba": ("attributes", True),
    "identity_CelebA": ("identity", False),
    "list_eval_partition": ("partition", False),
    "list_landmarks_align_celeba": ("landmarks", True),
    "list_bbox_celeba": ("boxes", True),
}
_ALLOWED: dict[Kind, tuple[int, ...]] = {"attributes": (-1, 0, 1), "partition": (0, 1, 2)}
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One annotation table.

    Attributes:
        path: where it was read.
        kind: what it holds.
        columns: names of the columns of ``values``.
        names: picture file names, one per row, each once.
        values: int32 (rows, columns).
    """

    path: Path
    kind: Kind
    columns: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.int32]


def find_tables(folder: Path) -> list[Path]:
    """The CelebA tables that lie in a folder; of a table in both forms, the published .txt."""
    found = []
    for stem in _TABLES:
        forms = [folder / f"{stem}{ending}" for ending in (".txt", ".csv")]
        found += [path for path in forms if path.is_file()][:1]
    return found


def read_table(path: Path) -> Table:
    """Read one CelebA table.

    Raises:
        AnnotationError: the file has another name than CelebA's tables, its count line lies, a row
            has too few or too many values, a column or value is unknown, a name occurs twice or is
            not a plain file name. The message names the line or the picture.
    """
    if path.stem not in _TABLES:
        raise AnnotationError(f"{printable(path)}: not the name of a CelebA table; those are {', '.join(_TABLES)}")
    kind, counted = _TABLES[path.stem]
    text = read_text(path)
    table = _read_csv_table(path, kind, text) if path.suffix == ".csv" else _read_txt_table(path, kind, text, counted)
    _check_names(path, table.names)
    _check_values(table)
    return table


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark; AnnotationError if it is none."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{printable(path)}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise AnnotationError(f"{printable(path)}: cannot be read ({error.strerror})") from error


def text_lines(text: str) -> list[str]:
    """The lines of a file, whichever system ended them; only empty ones at the end are dropped.

    Not ``splitlines``, which also breaks at characters that may stand inside a file name.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _read_txt_table(path: Path, kind: Kind, text: str, counted: bool) -> Table:
    lines = text_lines(text)
    columns, first = _COLUMNS[kind], 0
    if counted:
        if len(lines) < 2 or not _WHOLE.fullmatch(lines[0].strip()):
            raise AnnotationError(
                f"{printable(path)}: line 1 should be the number of rows, then a line of column names"
            )
        columns, first = tuple(lines[1].split()), 2
        _check_columns(path, kind, columns)
    rows = lines[first:]
    if counted and int(lines[0]) != len(rows):
        raise AnnotationError(
            f"{printable(path)}: line 1 says {int(lines[0])} rows, the table has {len(rows)}; "
            "correct the count or fetch the table again"
        )
    halves = [row.split(None, 1) for row in rows]
    names = tuple(half[0] if half else "" for half in halves)
    numbers = [half[1] if len(half) == 2 else "" for half in halves]
    return Table(path, kind, columns, names, _numbers(path, numbers, len(columns), first))


def _numbers(path: Path, rows: list[str], width: int, first: int) -> NDArray[np.int32]:
    """Parse all rows at once; only when that fails look for the line to blame."""
    if all(len(row.split()) == width for row in rows):
        values = _parse(rows, width, " ")
        if values is not None:
            return values
    for number, row in enumerate(rows, start=first + 1):
        _check_row(path, number, row, row.split(), width)
    raise AnnotationError(f"{printable(path)}: a number is too large")


def _parse(rows: list[str], width: int, separator: str) -> NDArray[np.int32] | None:
    """The whole numbers of rows that have ``width`` of them each, or None if something else stands there."""
    if not rows:
        return np.zeros((0, width), np.int32)
    with warnings.catch_warnings():
        # numpy's way to say "not a number"; newer ones raise ValueError.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            flat = np.fromstring(separator.join(rows), dtype=np.int64, sep=separator)
        except (DeprecationWarning, ValueError):
            return None
    if flat.size != len(rows) * width or np.abs(flat).max() > _LARGEST:
        return None
    return flat.astype(np.int32).reshape(len(rows), width)


def _check_row(path: Path, number: int, row: str, parts: list[str], width: int) -> None:
    whole = all(_WHOLE.fullmatch(part.strip()) for part in parts)
    if len(parts) != width or not whole or any(abs(int(part)) > _LARGEST for part in parts):
        raise AnnotationError(
            f"{printable(path)}: line {number}: expected a file name and {width} whole "
            f"{'number' if width == 1 else 'numbers'}, found after the name {printable(row[:60])!r}"
        )


def _read_csv_table(path: Path, kind: Kind, text: str) -> Table:
    return _read_plain_csv(path, kind, text) or _read_any_csv(path, kind, text)


def _read_plain_csv(path: Path, kind: Kind, text: str) -> Table | None:
    """The quick way for a table without quotes, blanks and faults; None where it has them."""
    lines = text_lines(text)
    if not lines or not set('" \t\v\f').isdisjoint(text):  # numpy reads a cell of blanks as a number
        return None
    columns = tuple(name.strip() for name in lines[0].split(",")[1:])
    _check_columns(path, kind, columns)
    halves = [line.partition(",") for line in lines[1:]]
    rows = [half[2] for half in halves]
    if not all(row.count(",") == len(columns) - 1 for row in rows):
        return None
    values = _parse(rows, len(columns), ",")
    return None if values is None else Table(path, kind, columns, tuple(half[0] for half in halves), values)


def _read_any_csv(path: Path, kind: Kind, text: str) -> Table:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if line]
    except csv.Error as error:
        raise AnnotationError(f"{printable(path)}: line {reader.line_num}: {error}") from error
    if not lines:
        raise AnnotationError(f"{printable(path)}: is empty; expected a header line")
    columns = tuple(name.strip() for name in lines[0][1][1:])
    _check_columns(path, kind, columns)
    for number, line in lines[1:]:
        _check_row(path, number, ",".join(line[1:]), line[1:], len(columns))
    values = np.array([line[1:] for _, line in lines[1:]], dtype=np.int32)
    names = tuple(line[0] for _, line in lines[1:])
    return Table(path, kind, columns, names, values.reshape(-1, len(columns)))


def _check_columns(path: Path, kind: Kind, columns: tuple[str, ...]) -> None:
    expected = _COLUMNS[kind]
    strange = [name for name in columns if name not in expected]
    if strange:
        raise AnnotationError(f"{printable(path)}: unknown column {some(strange)}; CelebA's are {', '.join(expected)}")
    if len(set(columns)) != len(columns) or not columns:
        raise AnnotationError(f"{printable(path)}: a column occurs twice, or there is none")
    absent = [name for name in expected if name not in columns]
    if absent and kind != "attributes":  # a table of some attributes still says something
        raise AnnotationError(f"{printable(path)}: column {some(absent)} is missing")


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or "/" in name or "\\" in name or name in {".", ".."}:
            raise AnnotationError(f"{printable(path)}: {printable(name)!r} is not a plain file name")
        if name in seen:
            raise AnnotationError(f"{printable(path)}: {printable(name)} has two rows; keep one")
        seen.add(name)


def _check_values(table: Table) -> None:
    allowed = _ALLOWED.get(table.kind)
    if allowed is None:
        return
    wrong = np.argwhere(~np.isin(table.values, allowed))
    if len(wrong):
        row, column = wrong[0]
        raise AnnotationError(
            f"{printable(table.path)}: {printable(table.names[row])}: {table.columns[column]} is "
            f"{table.values[row, column]}; expected one of {', '.join(map(str, allowed))}"
        )
