"""Readers of CelebA's tables: .txt as published, .csv as on Kaggle, and tables rewritten by other tools.

A table whose count line, columns, names or values are inconsistent raises an error that names the line. Rewritten
tables are read like the published ones: an index column is ignored, 1.0 is 1, TRUE and FALSE are yes and no, and in an
attribute column with 0 and 1 but no -1, 0 is no.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.containers import read_member, split_path
from faceaug.errors import AnnotationError, counted, printable, some

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

Kind: TypeAlias = Literal["attributes", "identity", "partition", "landmarks", "boxes", "wild"]
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "attributes": ATTRIBUTES,
    "identity": ("identity",),
    "partition": ("partition",),
    "landmarks": LANDMARKS,
    "boxes": ("x_1", "y_1", "width", "height"),
    "wild": LANDMARKS,  # in the original photos, not in the aligned crops
}
# Published name without suffix -> kind of table, and whether its text form begins with a count and a header line.
_TABLES: dict[str, tuple[Kind, bool]] = {
    "list_attr_celeba": ("attributes", True),
    "identity_CelebA": ("identity", False),
    "list_eval_partition": ("partition", False),
    "list_landmarks_align_celeba": ("landmarks", True),
    "list_bbox_celeba": ("boxes", True),
    "list_landmarks_celeba": ("wild", True),
}
_INDEX_HEADINGS = frozenset({"", "unnamed: 0", "index", "idx", "id", "#"})  # of a column that only numbers the rows
_NAME_HEADINGS = frozenset(
    {"image_id", "image", "img", "img_name", "image_name", "file", "filename", "file_name", "name", "path"}
)
_ALLOWED: dict[Kind, tuple[int, ...]] = {"attributes": (-1, 0, 1), "partition": (0, 1, 2)}
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp)$", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_LARGEST = 2**31 - 1
_LONGEST = 2**30  # bytes of a table in a container


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One annotation table.

    Attributes:
        path: path of the file.
        kind: kind of table.
        columns: names of the columns of ``values``.
        names: unique picture file names, one per row.
        values: int32 (rows, columns).
        notes: interpretations that are not obvious.
    """

    path: Path
    kind: Kind
    columns: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.int32]
    notes: tuple[str, ...] = ()


def find_tables(folder: Path) -> list[Path]:
    """The CelebA tables in a folder; of a table in both forms, the published .txt."""
    found = []
    for stem in _TABLES:
        forms = [folder / f"{stem}{ending}" for ending in (".txt", ".csv")]
        found += [path for path in forms if path.is_file()][:1]
    return found


def kind_of_table(name: str) -> Kind | None:
    """The kind of CelebA table with this file name; None for other names."""
    stem, dot, ending = name.rpartition(".")
    return _TABLES[stem][0] if dot and ending in {"txt", "csv"} and stem in _TABLES else None


def read_table(path: Path, kind: Kind | None = None) -> Table:
    """Read one CelebA table.

    Args:
        path: the file.
        kind: kind of table; None to determine it by the file name.

    Raises:
        AnnotationError: the file is not named like one of CelebA's tables, its count line is wrong, a row has too few
            or too many values, a column or value is unknown, or a name is duplicate or not a plain file name. The
            message names the line or the picture.
    """
    kind = _kind_by_name(path) if kind is None else kind
    return parse_table(path, read_text(path), kind)


def parse_table(path: Path, text: str, kind: Kind | None = None) -> Table:
    """Parse one CelebA table; see ``read_table``.

    Args:
        path: the file, for the errors and for the form, .txt or .csv.
        text: its text.
        kind: kind of table; None to determine it by the file name.

    Raises:
        AnnotationError: see ``read_table``.
    """
    kind = _kind_by_name(path) if kind is None else kind
    counted = kind not in {"identity", "partition"}
    table = _read_csv_table(path, kind, text) if path.suffix == ".csv" else _read_txt_table(path, kind, text, counted)
    _check_names(path, table.names)
    _check_values(table)
    return _zero_as_no(table) if kind == "attributes" else table


def _kind_by_name(path: Path) -> Kind:
    if path.stem not in _TABLES:
        raise AnnotationError(f"{printable(path)}: not the name of a CelebA table; those are {', '.join(_TABLES)}")
    return _TABLES[path.stem][0]


def _zero_as_no(table: Table) -> Table:
    """Replace 0 by -1 (no) in the attribute columns where it cannot mean unknown."""
    values = table.values
    zero = (values == 0).any(axis=0)
    if not zero.any():
        return table
    yes, no = (values == 1).any(axis=0), (values == -1).any(axis=0)
    # If no column has a -1, a column of zeros is an attribute that no picture has.
    binary = zero & ~no & (yes | (not no.any() and yes.any()))
    if not binary.any():
        words = "column has 0 alone, which is", "columns have 0 alone, which is"
        names = [name for name, is_zero in zip(table.columns, (zero & ~yes & ~no).tolist(), strict=True) if is_zero]
        note = f"{counted(len(names), *words)} read as unknown ({some(names)})"
        return replace(table, notes=(*table.notes, note)) if names else table
    signed = np.where(binary & (values == 0), np.int32(-1), values)
    found = [name for name, is_binary in zip(table.columns, binary.tolist(), strict=True) if is_binary]
    columns = counted(len(found), "column", "columns")
    note = f"0 is read as no, not as unknown, in {columns} without -1 ({some(found)})"
    return replace(table, values=signed, notes=(*table.notes, note))


def read_text(path: Path, most: int | None = None, *, limit: int = _LONGEST) -> str:
    """Read a UTF-8 text file or container member, without a byte order mark; AnnotationError if it is not UTF-8.

    Args:
        path: the file; containers in the path are treated as folders.
        most: read only about this many bytes from the beginning.
        limit: refuse a container member of more bytes.
    """
    try:
        return _bytes(path, most, limit).decode("utf-8-sig", "strict" if most is None else "replace")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{printable(path)}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise AnnotationError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AnnotationError(f"{printable(path)}: {error}") from error


def _bytes(path: Path, most: int | None, limit: int) -> bytes:
    inside = split_path(path) if not path.is_file() else None
    if inside is not None:
        return read_member(*inside, limit)[:most]
    if most is None:
        return path.read_bytes()
    with path.open("rb") as handle:
        return handle.read(most)


def delimiter_of(text: str) -> str:
    """The character between the cells of a CSV table: a comma, or a semicolon or tab if its first line has no comma."""
    line = text[: text.find("\n")] if "\n" in text else text
    return next((mark for mark in ",;\t" if mark in line), ",")


def text_lines(text: str) -> list[str]:
    """The lines of a text with any line ends, without empty lines at the end.

    ``str.splitlines`` is unsuitable because it also splits at characters that may occur in file names.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _read_txt_table(path: Path, kind: Kind, text: str, counted: bool) -> Table:
    lines = text_lines(text)
    columns = _COLUMNS[kind]
    first = 0
    if counted:
        if len(lines) < 2 or not _WHOLE.fullmatch(lines[0].strip()):
            raise AnnotationError(
                f"{printable(path)}: line 1 should be the number of rows, then a line of column names"
            )
        columns = tuple(lines[1].split())
        columns = (
            columns[1:] if columns and columns[0].lower() in _NAME_HEADINGS else columns
        )  # of list_bbox_celeba.txt
        first = 2
        _check_columns(path, kind, columns)
    elif lines and _is_heading(lines[0].split()):
        first = 1
    rows = lines[first:]
    if counted and lines[0].strip().lstrip("+0") != (str(len(rows)) if rows else ""):
        raise AnnotationError(
            f"{printable(path)}: line 1 says {lines[0].strip()[:40]} rows, the table has {len(rows)}; "
            "correct the count or fetch the table again"
        )
    halves = [row.split(None, 1) for row in rows]
    names = tuple(half[0] if half else "" for half in halves)
    numbers = [half[1] if len(half) == 2 else "" for half in halves]
    return Table(path, kind, columns, names, _numbers(path, kind, numbers, len(columns), first))


def _is_heading(cells: list[str]) -> bool:
    """Whether a line names columns, as in rewritten tables."""
    return len(cells) == 2 and cells[0].lower() in _NAME_HEADINGS and not _WHOLE.fullmatch(cells[1])


def _numbers(path: Path, kind: Kind, rows: list[str], width: int, first: int) -> NDArray[np.int32]:
    """Parse all rows at once; if that fails, find the faulty line for the error."""
    if all(len(row.split()) == width for row in rows):
        values = _parse(kind, rows, width, " ")
        if values is not None:
            return values
    for number, row in enumerate(rows, start=first + 1):
        _check_row(path, kind, number, row, row.split(), width)
    raise AnnotationError(f"{printable(path)}: a number is too large")


def _parse(kind: Kind, rows: list[str], width: int, separator: str) -> NDArray[np.int32] | None:
    """Parse rows of ``width`` whole numbers each; None if they contain anything else."""
    if not rows:
        return np.zeros((0, width), np.int32)
    found = _parse_whole(rows, width, separator)
    if found is None and not all(row.isascii() for row in rows):
        return None
    return found if found is not None else _parse_whole(_rewritten(kind, rows, separator), width, separator)


def _rewritten(kind: Kind, rows: list[str], separator: str) -> list[str]:
    """Rows in the form of the published table: whole numbers without a point, and -1 and 1 for booleans."""
    text = "\n".join(rows) + "\n"
    text = text.replace(f".0{separator}", separator).replace(".0\n", "\n")
    if kind == "attributes":
        for word in ("TRUE", "True", "true"):
            text = text.replace(word, "1")
        for word in ("FALSE", "False", "false"):
            text = text.replace(word, "-1")
    return text.split("\n")[:-1]


def _parse_whole(rows: list[str], width: int, separator: str) -> NDArray[np.int32] | None:
    with warnings.catch_warnings():
        # For text that is not a number NumPy issues this warning; newer versions raise ValueError.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            flat = np.fromstring(separator.join(rows), dtype=np.int64, sep=separator)
        except (DeprecationWarning, ValueError):
            return None
    if flat.size != len(rows) * width or flat.max() > _LARGEST or flat.min() < -_LARGEST:
        return None
    return flat.astype(np.int32).reshape(len(rows), width)


def _check_row(path: Path, kind: Kind, number: int, row: str, parts: list[str], width: int) -> None:
    plain = [_rewritten(kind, [part.strip()], ",")[0] for part in parts]
    whole = all(_WHOLE.fullmatch(part) and len(part) < 20 for part in plain)
    if len(parts) != width or not whole or any(abs(int(part)) > _LARGEST for part in plain):
        raise AnnotationError(
            f"{printable(path)}: line {number}: expected a file name and {width} whole "
            f"{'number' if width == 1 else 'numbers'}, found after the name {printable(row[:60])!r}"
        )


def _read_csv_table(path: Path, kind: Kind, text: str) -> Table:
    mark = delimiter_of(text)
    if mark == ",":
        return _read_plain_csv(path, kind, text) or _read_any_csv(path, kind, text, mark)
    name = "tabs" if mark == "\t" else "semicolons"
    return replace(_read_any_csv(path, kind, text, mark), notes=(f"its cells are separated by {name}",))


def _read_plain_csv(path: Path, kind: Kind, text: str) -> Table | None:
    """Fast path for tables without quotes, blanks and faults; None for other tables."""
    lines = text_lines(text)
    body = text[text.find("\n") :]
    if not lines or any(mark in body for mark in '" \t\v\f'):  # NumPy reads a blank cell as a number
        return None
    heading = [name.strip().strip('"') for name in lines[0].split(",")]
    at, kept = _places(path, kind, heading, lines[1].split(",") if len(lines) > 1 else [])
    if at > 1 or kept != list(range(at + 1, len(heading))):
        return None
    rows = [line.partition(",")[2] for line in lines[1:]] if at else lines[1:]  # without the index
    halves = [row.partition(",") for row in rows]
    rows = [half[2] for half in halves]
    if not all(row.count(",") == len(kept) - 1 for row in rows):
        return None
    values = _parse(kind, rows, len(kept), ",")
    columns = tuple(heading[k] for k in kept)
    return None if values is None else Table(path, kind, columns, tuple(half[0] for half in halves), values)


def _places(path: Path, kind: Kind, heading: list[str], first: list[str]) -> tuple[int, list[int]]:
    """Positions of the column of picture names and of the value columns; an index column is left out."""
    others = [k for k, name in enumerate(heading) if name not in _COLUMNS[kind]]
    by_name = [k for k in others if heading[k].lower() in _NAME_HEADINGS]
    by_cell = [k for k in others if k < len(first) and _PICTURE.search(first[k].strip('" '))]
    at = (by_name or by_cell or others or [0])[0]
    kept = [k for k in range(len(heading)) if k != at and not (k in others and heading[k].lower() in _INDEX_HEADINGS)]
    _check_columns(path, kind, tuple(heading[k] for k in kept))
    return at, kept


def _read_any_csv(path: Path, kind: Kind, text: str, mark: str) -> Table:
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=mark)
    try:
        lines = [(reader.line_num, line) for line in reader if line]
    except csv.Error as error:
        raise AnnotationError(f"{printable(path)}: line {reader.line_num}: {error}") from error
    if not lines:
        raise AnnotationError(f"{printable(path)}: is empty; expected a header line")
    heading = [name.strip() for name in lines[0][1]]
    at, kept = _places(path, kind, heading, lines[1][1] if len(lines) > 1 else [])
    rows: list[str] = []
    for number, line in lines[1:]:
        whole = len(line) == len(heading)
        cells = [line[k] for k in kept] if whole else line
        _check_row(path, kind, number, ",".join(cells[not whole :]), cells if whole else [], len(kept))
        rows.append(",".join(cell.strip() for cell in cells))
    values = _parse(kind, rows, len(kept), ",")
    if values is None:
        raise AnnotationError(f"{printable(path)}: its numbers cannot be read")
    return Table(path, kind, tuple(heading[k] for k in kept), tuple(line[at] for _, line in lines[1:]), values)


def _check_columns(path: Path, kind: Kind, columns: tuple[str, ...]) -> None:
    expected = _COLUMNS[kind]
    strange = [name for name in columns if name not in expected]
    if strange:
        raise AnnotationError(f"{printable(path)}: unknown column {some(strange)}; CelebA's are {', '.join(expected)}")
    if len(set(columns)) != len(columns) or not columns:
        raise AnnotationError(f"{printable(path)}: a column occurs twice, or there is none")
    absent = [name for name in expected if name not in columns]
    if absent and kind != "attributes":  # a table with only some attributes is valid
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
    if not table.values.size or (table.values.min() >= min(allowed) and table.values.max() <= max(allowed)):
        return
    wrong = np.argwhere((table.values < min(allowed)) | (table.values > max(allowed)))
    if len(wrong):
        row, column = wrong[0]
        raise AnnotationError(
            f"{printable(table.path)}: {printable(table.names[row])}: {table.columns[column]} is "
            f"{table.values[row, column]}; expected one of {', '.join(map(str, allowed))}"
        )
