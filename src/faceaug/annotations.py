"""CelebA's tables (.txt as published, .csv as on Kaggle) and imagefolder metadata, read and checked.

A table says which picture a row is about by its name; the row's position says nothing. So tables are always joined
by name, and a table whose count line, columns or names contradict themselves is an error, not a guess.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import AnnotationError, ArgumentError, printable, some

ATTRIBUTES: tuple[str, ...] = tuple(
    """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
    Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
    Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young""".split()
)
LANDMARKS: tuple[str, ...] = tuple(
    f"{point}_{axis}" for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
)
PARTITIONS = {"train": 0, "val": 1, "test": 2}

Kind: TypeAlias = Literal["attributes", "identity", "partition", "landmarks", "boxes"]
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "attributes": ATTRIBUTES,
    "identity": ("identity",),
    "partition": ("partition",),
    "landmarks": LANDMARKS,
    "boxes": ("x_1", "y_1", "width", "height"),
}
# Published file name without ending -> what it holds, and whether its text form starts with a count and a header.
_TABLES: dict[str, tuple[Kind, bool]] = {
    "list_attr_celeba": ("attributes", True),
    "identity_CelebA": ("identity", False),
    "list_eval_partition": ("partition", False),
    "list_landmarks_align_celeba": ("landmarks", True),
    "list_bbox_celeba": ("boxes", True),
}
METADATA_NAMES = ("metadata.csv", "metadata.jsonl")


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


def attribute_index(name: str) -> int:
    """The column of an attribute, 0..39, or ArgumentError that lists the forty."""
    try:
        return ATTRIBUTES.index(name)
    except ValueError:
        raise ArgumentError(f"unknown attribute {name!r}; the attributes are {', '.join(ATTRIBUTES)}") from None


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
        AnnotationError: the count line lies, a row has too few or too many values, a column or value is unknown,
            a name occurs twice or is not a plain file name. The message names the line.
    """
    kind, counted = _TABLES[path.stem]
    text = _read_text(path)
    table = _read_csv_table(path, kind, text) if path.suffix == ".csv" else _read_txt_table(path, kind, text, counted)
    _check_names(path, table.names)
    _check_values(table)
    return table


def _read_txt_table(path: Path, kind: Kind, text: str, counted: bool) -> Table:
    lines = text.splitlines()
    columns, first = _COLUMNS[kind], 0
    if counted:
        if len(lines) < 2 or not lines[0].strip().isdigit():
            raise AnnotationError(f"{printable(path)}: line 1 should be the number of rows, then a line of column names")
        columns, first = tuple(lines[1].split()), 2
        _check_columns(path, kind, columns)
    while len(lines) > first and not lines[-1].strip():
        lines.pop()
    rows = lines[first:]
    if counted and int(lines[0]) != len(rows):
        raise AnnotationError(
            f"{printable(path)}: line 1 says {int(lines[0])} rows, the table has {len(rows)}; correct the count or fetch "
            "the table again"
        )
    halves = [row.split(None, 1) for row in rows]
    names = tuple(half[0] if half else "" for half in halves)
    numbers = [half[1] if len(half) == 2 else "" for half in halves]
    return Table(path, kind, columns, names, _numbers(path, numbers, len(columns), first))


def _numbers(path: Path, rows: list[str], width: int, first: int) -> NDArray[np.int32]:
    """Parse all rows at once; only when that fails look for the line to blame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's way to say "not a number": found below
        flat = np.fromstring(" ".join(rows), dtype=np.int32, sep=" ")
    uniform = all(row.count(" ") >= width - 1 for row in rows[:1])
    if flat.size == len(rows) * width and uniform and _rows_even(rows, width):
        return flat.reshape(len(rows), width)
    for number, row in enumerate(rows):
        parts = row.split()
        if len(parts) != width or not all(part.lstrip("-").isdigit() for part in parts):
            raise AnnotationError(
                f"{printable(path)}: line {first + number + 1}: expected a file name and {width} whole numbers, "
                f"found {printable(row[:60])!r}"
            )
    raise AnnotationError(f"{printable(path)}: a number is too large")


def _rows_even(rows: list[str], width: int) -> bool:
    return all(len(row.split()) == width for row in rows)


def _read_csv_table(path: Path, kind: Kind, text: str) -> Table:
    lines = [line for line in csv.reader(io.StringIO(text)) if line]
    if not lines:
        raise AnnotationError(f"{printable(path)}: is empty; expected a header line")
    columns = tuple(lines[0][1:])
    _check_columns(path, kind, columns)
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns) + 1 or not all(part.strip().lstrip("-").isdigit() for part in line[1:]):
            raise AnnotationError(
                f"{printable(path)}: line {number}: expected a file name and {len(columns)} whole numbers, "
                f"found {printable(','.join(line)[:60])!r}"
            )
    values = np.array([line[1:] for line in lines[1:]], dtype=np.int32).reshape(-1, len(columns))
    return Table(path, kind, columns, tuple(line[0] for line in lines[1:]), values)


def _check_columns(path: Path, kind: Kind, columns: tuple[str, ...]) -> None:
    expected = _COLUMNS[kind]
    unknown = [name for name in columns if name not in expected]
    if unknown:
        raise AnnotationError(f"{printable(path)}: unknown column {some(unknown)}; CelebA's are {', '.join(expected)}")
    if len(set(columns)) != len(columns) or not columns:
        raise AnnotationError(f"{printable(path)}: a column occurs twice, or there is none")


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or "/" in name or "\\" in name or name in {".", ".."}:
            raise AnnotationError(f"{printable(path)}: {printable(name)!r} is not a plain file name")
        if name in seen:
            raise AnnotationError(f"{printable(path)}: {printable(name)} has two rows; keep one")
        seen.add(name)


def _check_values(table: Table) -> None:
    allowed = {"attributes": (-1, 0, 1), "partition": (0, 1, 2)}.get(table.kind)
    if allowed is not None:
        wrong = np.argwhere(~np.isin(table.values, allowed))
        if len(wrong):
            row, column = wrong[0]
            raise AnnotationError(
                f"{printable(table.path)}: {printable(table.names[row])}: {table.columns[column]} is "
                f"{table.values[row, column]}; expected one of {', '.join(map(str, allowed))}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """What is known of n pictures, one row each; unknown where a table has no row.

    Attributes:
        attributes: int8 (n, 40), -1 no, +1 yes, 0 unknown.
        identity: int64 (n,), -1 unknown.
        label: int64 (n,), -1 unknown.
        partition: int8 (n,), 0 train, 1 validation, 2 test, -1 unknown.
        landmarks: float32 (n, 5, 2), x and y, pixel index; NaN unknown.
        weight: float32 (n,), 1 unless a table says otherwise.
        origin: int8 (n,), 0 real, 1 augmented, 2 synthetic.
        source: int64 (n,), row of the real picture an augmented one was made from, -1 none.
    """

    attributes: NDArray[np.int8]
    identity: NDArray[np.int64]
    label: NDArray[np.int64]
    partition: NDArray[np.int8]
    landmarks: NDArray[np.float32]
    weight: NDArray[np.float32]
    origin: NDArray[np.int8]
    source: NDArray[np.int64]


def unknown(n: int) -> Annotations:
    """Annotations of n pictures of which nothing is known."""
    return Annotations(
        attributes=np.zeros((n, len(ATTRIBUTES)), np.int8),
        identity=np.full(n, -1, np.int64),
        label=np.full(n, -1, np.int64),
        partition=np.full(n, -1, np.int8),
        landmarks=np.full((n, 5, 2), np.nan, np.float32),
        weight=np.ones(n, np.float32),
        origin=np.zeros(n, np.int8),
        source=np.full(n, -1, np.int64),
    )


def join_tables(tables: list[Table], names: list[str]) -> tuple[Annotations, list[str]]:
    """Join tables to pictures by name.

    Args:
        tables: as read by ``read_table``.
        names: picture names without folders, in the order wanted.

    Returns:
        (annotations, notes): one row per name; a note for each table that has rows without a picture.

    Raises:
        AnnotationError: a table names none of the pictures: it belongs to another folder.
    """
    known = unknown(len(names))
    place = {name: i for i, name in enumerate(names)}
    notes = []
    for table in tables:
        rows = np.array([place.get(name, -1) for name in table.names], dtype=np.int64)
        missing = int((rows < 0).sum())
        if missing == len(rows) and names:
            raise AnnotationError(
                f"{printable(table.path)}: none of its {len(rows)} names ({some(list(table.names))}) is a picture here"
            )
        if missing:
            absent = [name for name, row in zip(table.names, rows, strict=True) if row < 0]
            notes.append(f"{table.path.name}: {missing} of {len(rows)} rows have no picture ({some(absent)})")
        _fill(known, table, rows)
    return known, notes


def _fill(known: Annotations, table: Table, rows: NDArray[np.int64]) -> None:
    present = rows >= 0
    at, values = rows[present], table.values[present]
    if table.kind == "attributes":
        columns = [ATTRIBUTES.index(name) for name in table.columns]
        known.attributes[np.ix_(at, columns)] = values
    elif table.kind == "identity":
        known.identity[at] = values[:, 0]
    elif table.kind == "partition":
        known.partition[at] = values[:, 0]
    elif table.kind == "landmarks":
        order = [table.columns.index(name) for name in LANDMARKS if name in table.columns]
        if len(order) == len(LANDMARKS):
            known.landmarks[at] = values[:, order].reshape(-1, 5, 2)


ORIGINS = ("real", "augmented", "synthetic")


def read_metadata(path: Path) -> list[dict[str, Any]]:
    """Read a Hugging Face imagefolder table: rows with ``file_name`` and any other columns.

    Raises:
        AnnotationError: no ``file_name`` column, a name twice, absolute or pointing outside, a line that is no row.
    """
    text = _read_text(path)
    rows: list[dict[str, Any]]
    try:
        if path.suffix == ".csv":
            rows = list(csv.DictReader(io.StringIO(text), strict=True))
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (csv.Error, ValueError) as error:
        raise AnnotationError(f"{printable(path)}: not a readable table ({error})") from error
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name or None in row or None in row.values():
            raise AnnotationError(f"{printable(path)}: row {number}: expected a file_name and one value per column")
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise AnnotationError(f"{printable(path)}: row {number}: {printable(name)} points outside the folder")
        if str(inside) in seen:
            raise AnnotationError(f"{printable(path)}: {printable(name)} has two rows; keep one")
        seen.add(str(inside))
        row["file_name"] = str(inside)
    return rows


def join_metadata(path: Path, names: list[str]) -> tuple[Annotations, list[str]]:
    """Join an imagefolder table to pictures by their path in the folder; see ``join_tables``.

    Raises:
        AnnotationError: a row names a file that is not there (``datasets`` refuses such a folder too), or a column
            that faceaug knows holds something it cannot be.
    """
    rows = read_metadata(path)
    place = {name: i for i, name in enumerate(names)}
    absent = [row["file_name"] for row in rows if row["file_name"] not in place]
    if absent:
        raise AnnotationError(f"{printable(path)}: {len(absent)} rows name no picture here ({some(absent)})")
    known = unknown(len(names))
    for row in rows:
        _fill_row(known, place[row["file_name"]], row, path)
    _fill_sources(known, rows, place)
    extra = len(names) - len(rows)
    return known, [f"{path.name}: {extra} pictures have no row"] if extra else []


def _fill_row(known: Annotations, at: int, row: dict[str, Any], path: Path) -> None:
    def number(name: str, default: float) -> float:
        value = row.get(name, "")
        try:
            return default if value == "" else float(value)
        except (TypeError, ValueError):
            problem = f"{printable(path)}: {printable(row['file_name'])}: {name} is {value!r}, not a number"
            raise AnnotationError(problem) from None

    known.identity[at] = int(number("identity", -1))
    if not isinstance(row.get("label"), str) or _is_number(row["label"]):
        known.label[at] = int(number("label", -1))
    known.weight[at] = number("weight", 1)
    for k, name in enumerate(ATTRIBUTES):
        known.attributes[at, k] = int(np.sign(number(name, 0)))
    known.landmarks[at] = np.array([number(name, np.nan) for name in LANDMARKS], np.float32).reshape(5, 2)
    partition = row.get("partition", "")
    known.partition[at] = PARTITIONS[partition] if partition in PARTITIONS else int(number("partition", -1))
    origin = row.get("origin", "real") or "real"
    if origin not in ORIGINS:
        raise AnnotationError(f"{printable(path)}: origin {origin!r}: expected one of {', '.join(ORIGINS)}")
    known.origin[at] = ORIGINS.index(origin)


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _fill_sources(known: Annotations, rows: list[dict[str, Any]], place: dict[str, int]) -> None:
    """An augmented row belongs to the real row that was made from the same source file."""
    real = {row["source_file"]: place[row["file_name"]] for row in rows if row.get("source_file") and row.get("origin") == "real"}
    for row in rows:
        if row.get("source_file"):
            known.source[place[row["file_name"]]] = real.get(row["source_file"], -1)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{printable(path)}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise AnnotationError(f"{printable(path)}: cannot be read ({error.strerror})") from error
