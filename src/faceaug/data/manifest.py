"""metadata.csv of synthetic and expanded folders: annotations and provenance of each file.

The table follows the Hugging Face imagefolder layout, so ``datasets.load_dataset("imagefolder", data_dir=...)`` reads
it; ``FaceFolder`` reads all of it back. ``datasets`` 5.2 infers the type of a column from the first 10,000 rows, so
every column has values of its type in every row, or is empty in all rows of one origin that come last.
"""

from __future__ import annotations

import csv
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS, ORIGINS
from faceaug.data.folder import Target
from faceaug.data.metadata import CLASS
from faceaug.storage.files import publish_file
from faceaug.storage.partial import PARTIAL, open_partial
from faceaug.storage.unfinished import in_the_way

METADATA = "metadata.csv"
LEDGER = METADATA + PARTIAL  # in an unfinished folder; see ``faceaug.storage.ledger``
DATASET = "dataset.json"
NOTHING = "none"  # a text that pandas does not read as a missing value
# Texts that pandas reads as missing values, and below also as booleans; see ``is_plain_text``.
_MISSING = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "None",
)
_NO_TEXT = frozenset((*_MISSING, "n/a", "null", "true", "True", "TRUE", "false", "False", "FALSE"))
COLUMNS: tuple[str, ...] = (
    "file_name",
    "origin",
    "source_file",
    "model",
    "seed",
    "key",
    "operations",
    "weight",
    "partition",
    "identity",
    "label",
    *LANDMARKS,
    *ATTRIBUTES,
    "sha256",
)
_SHA256 = COLUMNS.index("sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The row of one file.

    Attributes:
        file_name: path below the folder, with "/".
        target: attributes, landmarks and so on; see ``faceaug.data.folder.make_target``.
        source_file: the real picture from which it was made, relative to its folder; empty for synthetic faces.
        model: the model of a synthetic face; written as "none" for others.
        seed: seed of the run.
        key: number of the item in the run (augmented) or of the face in the model's stream (synthetic).
        operations: the applied operations as JSON; written as an empty list if there are none.
        sha256: digest of the file's bytes.
        requested: attributes requested for a synthetic face, by name; written to the columns ``requested_...``.
    """

    file_name: str
    target: Target
    source_file: str = ""
    model: str = ""
    seed: int
    key: int
    operations: str = ""
    sha256: str
    requested: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """A row as text: an entry of the ledger of an unfinished folder.

    Attributes:
        cells: the cells of the row.
    """

    cells: tuple[str, ...]

    @property
    def file(self) -> str:
        """Path of the file below the folder."""
        return self.cells[0]

    @property
    def sha256(self) -> str:
        """Digest of the file's bytes."""
        return self.cells[_SHA256]

    def to_json(self) -> tuple[str, ...]:
        """The line of the ledger."""
        return self.cells

    def to_csv(self) -> str:
        """The line of ``metadata.csv``, with its line end."""
        return csv_text([self.cells])


def line_of(row: Row, *, requested: tuple[str, ...] = ()) -> Line:
    """A row as text; ``requested``: attributes with a column ``requested_...``, empty where they were not requested."""
    return Line(tuple(str(cell) for cell in _cells(row, requested)))


def read_line(values: Any, *, columns: int) -> Line:
    """Read a row from the line of a ledger.

    Args:
        values: the parsed line.
        columns: number of its cells.

    Raises:
        ValueError: the values are not those of a row.
    """
    fits = isinstance(values, list) and len(values) == columns
    if not (fits and all(isinstance(cell, str) and "\0" not in cell for cell in values)):
        raise ValueError("not a row")
    return Line(tuple(values))


def write_metadata(folder: Path, lines: Iterable[str], *, named: bool = False, requested: Sequence[str] = ()) -> None:
    """Write ``metadata.csv`` durably. Call it when the files that it names are durable.

    While a run is unfinished, the table has no rows, so that nothing takes the folder for a set without labels.

    Args:
        folder: the output folder.
        lines: lines of the table with their line ends, see ``csv_line``.
        named: whether labels have names.
        requested: attributes with a column ``requested_...``.

    Raises:
        RefusedError: a table with other columns has that name.
    """
    publish_metadata(folder, csv_head(named=named, requested=requested), lines)


def publish_metadata(folder: Path, head: str, lines: Iterable[str]) -> None:
    """Write ``metadata.csv`` with any columns; see ``write_metadata``.

    Args:
        folder: the output folder.
        head: header line of the table, with its line end.
        lines: the other lines.
    """
    if not _is_ours(folder / METADATA, head):
        raise in_the_way(folder / METADATA)
    text = head + "".join(lines)
    fresh = folder / f".{METADATA}{PARTIAL}"  # another name than that of the ledger
    with open_partial(fresh) as handle:
        handle.write(text.encode("utf-8", "backslashreplace"))
    publish_file(fresh, folder / METADATA)


def _is_ours(path: Path, head: str) -> bool:
    """Whether a table is missing, or has this header."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(facts.st_mode) and path.read_bytes().startswith(head.encode("utf-8", "backslashreplace"))


def _cells(row: Row, requested: tuple[str, ...]) -> list[object]:
    target = row.target
    points = np.asarray(target["landmarks"], np.float32).reshape(-1)
    return [
        row.file_name,
        ORIGINS[int(target["origin"])],
        row.source_file,
        row.model or NOTHING,
        row.seed,
        row.key,
        row.operations or "[]",
        short_number(float(target["weight"])),
        int(target["partition"]),
        int(target["identity"]),
        int(target["label"]),
        *("" if np.isnan(p) else short_number(p) for p in points),
        *np.asarray(target["attributes"]).tolist(),
        row.sha256,
        *(row.requested.get(name, "") for name in requested),
    ]


def csv_line(row: Row, *, label: str | None = None, requested: tuple[str, ...] = ()) -> str:
    """The row as a line of ``metadata.csv`` with its line end; ``label`` is the label's name, if labels have names."""
    return csv_text([[*_cells(row, requested), *(() if label is None else (label,))]])


def csv_head(*, named: bool, requested: Sequence[str] = ()) -> str:
    """The header line of ``metadata.csv``; ``named``: whether labels have names."""
    return csv_text([[*COLUMNS, *(f"requested_{name}" for name in requested), *((CLASS,) if named else ())]])


def is_plain_text(cell: str) -> bool:
    """Whether CSV readers that infer types keep a cell as text: no number, boolean or missing value."""
    try:
        float(cell)  # also nan and inf
    except ValueError:
        return cell not in _NO_TEXT
    return False


class _Echo:
    """A file whose ``write`` returns the text, so that one ``csv.writer`` can format single lines."""

    def write(self, text: str) -> str:
        """Return the text: csv writes to it as to a file."""
        return text


_WRITER = csv.writer(_Echo(), lineterminator="\n")


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Rows of cells as CSV text."""
    return "".join(_WRITER.writerow(line) for line in lines)


def short_number(number: float | np.float32) -> str:
    """The shortest text without exponent that parses to the same float32; with a point, so that it is not an int."""
    text = str(np.float32(number))  # takes a third of the time of format_float_positional
    return np.format_float_positional(np.float32(number), trim="0") if "e" in text else text
