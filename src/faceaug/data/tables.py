"""CelebA's own tables, read and checked: .txt as published, .csv as on Kaggle, and what people make of these.

A table whose count line, columns, names or values contradict themselves is an error that names the
line, not a guess. Rewritten tables mean what the published ones do: an index column is left out, 1.0 is 1, TRUE and
FALSE are yes and no, and in a column of attributes that has 0 and 1 and never -1, 0 is no.
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

Kind: TypeAlias = Literal["attributes", "identity", "partition", "landmarks", "boxes", "wild"]
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "attributes": ATTRIBUTES,
    "identity": ("identity",),
    "partition": ("partition",),
    "landmarks": LANDMARKS,
    "boxes": ("x_1", "y_1", "width", "height"),
    "wild": LANDMARKS,  # in the photos as they were found, not cut and aligned
}
# Published name without ending -> what it holds, and whether its text form begins with a count and
# a header.
_TABLES: dict[str, tuple[Kind, bool]] = {
    "list_attr_celeba": ("attributes", True),
    "identity_CelebA": ("identity", False),
    "list_eval_partition": ("partition", False),
    "list_landmarks_align_celeba": ("landmarks", True),
    "list_bbox_celeba": ("boxes", True),
    "list_landmarks_celeba": ("wild", True),
}
_INDEX = frozenset({"", "unnamed: 0", "index", "idx", "id", "#"})  # headings of a column that only counts rows
_NAMED = frozenset(
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
        path: where it was read.
        kind: what it holds.
        columns: names of the columns of ``values``.
        names: picture file names, one per row, each once.
        values: int32 (rows, columns).
        notes: how it was understood where that is not plain.
    """

    path: Path
    kind: Kind
    columns: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.int32]
    notes: tuple[str, ...] = ()


def find_tables(folder: Path) -> list[Path]:
    """The CelebA tables that lie in a folder; of a table in both forms, the published .txt."""
    found = []
    for stem in _TABLES:
        forms = [folder / f"{stem}{ending}" for ending in (".txt", ".csv")]
        found += [path for path in forms if path.is_file()][:1]
    return found


def kind_of_table(name: str) -> Kind | None:
    """What a CelebA table of this file name holds; None for other names."""
    stem, dot, ending = name.rpartition(".")
    return _TABLES[stem][0] if dot and ending in {"txt", "csv"} and stem in _TABLES else None


def read_table(path: Path, kind: Kind | None = None) -> Table:
    """Read one CelebA table.

    Args:
        path: the file.
        kind: what it holds; None to go by its name.

    Raises:
        AnnotationError: the file has another name than CelebA's tables, its count line lies, a row
            has too few or too many values, a column or value is unknown, a name occurs twice or is
            not a plain file name. The message names the line or the picture.
    """
    if kind is None:
        if path.stem not in _TABLES:
            raise AnnotationError(f"{printable(path)}: not the name of a CelebA table; those are {', '.join(_TABLES)}")
        kind = _TABLES[path.stem][0]
    counted = kind not in {"identity", "partition"}
    text = read_text(path)
    table = _read_csv_table(path, kind, text) if path.suffix == ".csv" else _read_txt_table(path, kind, text, counted)
    _check_names(path, table.names)
    _check_values(table)
    return _with_no(table) if kind == "attributes" else table


def _with_no(table: Table) -> Table:
    """A table of attributes whose 0 is read as no where it can mean nothing else."""
    values = table.values
    zero = (values == 0).any(axis=0)
    if not zero.any():
        return table
    yes, no = (values == 1).any(axis=0), (values == -1).any(axis=0)
    # Where no column has a -1, one without a 1 is of an attribute that nobody has.
    plain = zero & ~no & (yes | (not no.any() and yes.any()))
    if not plain.any():
        return table
    said = np.where(plain & (values == 0), np.int32(-1), values)
    found = [name for name, is_no in zip(table.columns, plain.tolist(), strict=True) if is_no]
    note = f"0 is read as no, not as unknown, in {len(found)} columns that never say -1 ({some(found)})"
    return replace(table, values=said, notes=(*table.notes, note))


def read_text(path: Path, most: int | None = None) -> str:
    """The text of a UTF-8 file or of a container's member, without a byte order mark; AnnotationError if it is none.

    Args:
        path: the file; through a container as through a folder.
        most: read only the beginning, about this many bytes.
    """
    try:
        return _bytes(path, most).decode("utf-8-sig", "strict" if most is None else "replace")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{printable(path)}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise AnnotationError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AnnotationError(f"{printable(path)}: {error}") from error


def _bytes(path: Path, most: int | None) -> bytes:
    inside = split_path(path) if not path.is_file() else None
    if inside is not None:
        return read_member(*inside, _LONGEST)[:most]
    if most is None:
        return path.read_bytes()
    with path.open("rb") as handle:
        return handle.read(most)


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
    if counted and lines[0].strip().lstrip("+0") != (str(len(rows)) if rows else ""):
        raise AnnotationError(
            f"{printable(path)}: line 1 says {lines[0].strip()[:40]} rows, the table has {len(rows)}; "
            "correct the count or fetch the table again"
        )
    halves = [row.split(None, 1) for row in rows]
    names = tuple(half[0] if half else "" for half in halves)
    numbers = [half[1] if len(half) == 2 else "" for half in halves]
    return Table(path, kind, columns, names, _numbers(path, kind, numbers, len(columns), first))


def _numbers(path: Path, kind: Kind, rows: list[str], width: int, first: int) -> NDArray[np.int32]:
    """Parse all rows at once; only when that fails look for the line to blame."""
    if all(len(row.split()) == width for row in rows):
        values = _parse(kind, rows, width, " ")
        if values is not None:
            return values
    for number, row in enumerate(rows, start=first + 1):
        _check_row(path, kind, number, row, row.split(), width)
    raise AnnotationError(f"{printable(path)}: a number is too large")


def _parse(kind: Kind, rows: list[str], width: int, separator: str) -> NDArray[np.int32] | None:
    """The whole numbers of rows that have ``width`` of them each, or None if something else stands there."""
    if not rows:
        return np.zeros((0, width), np.int32)
    found = _parse_whole(rows, width, separator)
    if found is None and not all(row.isascii() for row in rows):
        return None
    return found if found is not None else _parse_whole(_rewritten(kind, rows, separator), width, separator)


def _rewritten(kind: Kind, rows: list[str], separator: str) -> list[str]:
    """Rows as the published table would have them: whole numbers without a point, and -1 and 1 for truths."""
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
        # numpy's way to say "not a number"; newer ones raise ValueError.
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
    return _read_plain_csv(path, kind, text) or _read_any_csv(path, kind, text)


def _read_plain_csv(path: Path, kind: Kind, text: str) -> Table | None:
    """The quick way for a table without quotes, blanks and faults; None where it has them."""
    lines = text_lines(text)
    body = text[text.find("\n") :]
    if not lines or any(mark in body for mark in '" \t\v\f'):  # numpy reads a cell of blanks as a number
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
    """Which column holds the picture's name, and which the values; one that only counts the rows is left out."""
    others = [k for k, name in enumerate(heading) if name not in _COLUMNS[kind]]
    by_name = [k for k in others if heading[k].lower() in _NAMED]
    by_cell = [k for k in others if k < len(first) and _PICTURE.search(first[k].strip('" '))]
    at = (by_name or by_cell or others or [0])[0]
    kept = [k for k in range(len(heading)) if k != at and not (k in others and heading[k].lower() in _INDEX)]
    _check_columns(path, kind, tuple(heading[k] for k in kept))
    return at, kept


def _read_any_csv(path: Path, kind: Kind, text: str) -> Table:
    reader = csv.reader(io.StringIO(text), strict=True)
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
    if not table.values.size or (table.values.min() >= min(allowed) and table.values.max() <= max(allowed)):
        return
    wrong = np.argwhere((table.values < min(allowed)) | (table.values > max(allowed)))
    if len(wrong):
        row, column = wrong[0]
        raise AnnotationError(
            f"{printable(table.path)}: {printable(table.names[row])}: {table.columns[column]} is "
            f"{table.values[row, column]}; expected one of {', '.join(map(str, allowed))}"
        )
