"""metadata.csv of synthetic and expanded folders: annotations and provenance of each file.

The table follows the Hugging Face imagefolder layout, so ``datasets.load_dataset("imagefolder", data_dir=...)`` reads
it; ``FaceFolder`` reads all of it back. ``datasets`` 5.2 infers the type of a column from the first 10,000 rows, so
every column has values of its type in every row, or is empty in all rows of one origin that come last.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS, ORIGINS
from faceaug.data.folder import Target
from faceaug.data.metadata import CLASS
from faceaug.storage.durable import Tally, whole_lines
from faceaug.storage.files import PARTIAL, has_digest, publish_file, remove_output
from faceaug.storage.schema import parse_json

METADATA = "metadata.csv"
DATASET = "dataset.json"
CARD = "README.md"
# Without it ``datasets`` would read the JSON file next to a single shard as the data.
SHARDS_CARD = b"""---
configs:
- config_name: default
  data_files: "*.tar"
---
"""
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


class ManifestWriter:
    """Collects the rows of an output folder durably, so that an interrupted run can be resumed.

    Rows are appended to ``metadata.csv.partial`` (one JSON line each) when their file is on the disk; ``finish`` turns
    them into ``metadata.csv``, which has no rows until then, so that nobody takes the folder for a set without labels.
    Items are added in order, each with a row or with the reason why it has none.

    Args:
        folder: the output folder.
        requested: attributes that get a column ``requested_...``, empty in rows for which they were not requested.

    Attributes:
        done: number of finished items, of this run and the interrupted one.
        problems: the reasons, in order.
        damaged: numbers of the interrupted run's items whose file has changed since it was written.
    """

    def __init__(self, folder: Path, *, requested: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._requested = requested
        self._partial = folder / (METADATA + PARTIAL)
        columns = len(COLUMNS) + len(requested)
        whole = whole_lines(self._partial, lambda line: _is_whole(line, columns))
        self._lines: list[list[str] | str] = [parse_json(line) for line in whole]
        self.done = len(self._lines)
        self.problems = [line for line in self._lines if isinstance(line, str)]
        self.damaged = [k for k, line in enumerate(self._lines) if not self._is_there(line)]
        self._tally = Tally(self._partial, (f"{line}\n" for line in whole))
        write_table(folder, csv_head(named=False, requested=requested))

    def add(self, row: Row | str) -> None:
        """Add the row of the next item, or the reason why it has no file."""
        line = row if isinstance(row, str) else [str(cell) for cell in _cells(row, self._requested)]
        if isinstance(line, str):
            self.problems.append(line)
        self._lines.append(line)
        self.done += 1
        self._tally.add([json.dumps(line) + "\n"], [] if isinstance(row, str) else [self._folder / row.file_name])

    def repaired(self, number: int) -> None:
        """Register the file of a damaged item that was written again."""
        self._tally.add([], [self._folder / self._lines[number][0]])

    def close(self) -> None:
        """Write everything and release the table, so that another writer may continue it."""
        self._tally.close()

    def finish(self) -> None:
        """Write ``metadata.csv`` when all files are on the disk, and remove the partial table."""
        self.close()
        text = io.StringIO()
        text.write(csv_head(named=False, requested=self._requested))
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(line for line in self._lines if not isinstance(line, str))
        write_table(self._folder, text.getvalue())
        remove_output(self._partial)

    def _is_there(self, line: list[str] | str) -> bool:
        return isinstance(line, str) or has_digest(self._folder / line[0], line[COLUMNS.index("sha256")])


def write_table(folder: Path, text: str) -> None:
    """Write ``metadata.csv`` durably, without touching ``metadata.csv.partial``, which is the ledger of the run."""
    fresh = folder / f".{METADATA}{PARTIAL}"
    fresh.write_bytes(text.encode("utf-8", "backslashreplace"))
    publish_file(fresh, folder / METADATA)


def _is_whole(line: str, columns: int) -> bool:
    try:
        cells = parse_json(line)
    except ValueError:
        return False
    if isinstance(cells, str):
        return True
    fits = isinstance(cells, list) and len(cells) == columns
    return fits and all(isinstance(cell, str) and "\0" not in cell for cell in cells)


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
        _short(float(target["weight"])),
        int(target["partition"]),
        int(target["identity"]),
        int(target["label"]),
        *("" if np.isnan(p) else _short(p) for p in points),
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
        return text


_WRITER = csv.writer(_Echo(), lineterminator="\n")


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """Rows of cells as CSV text."""
    return "".join(_WRITER.writerow(line) for line in lines)


def _short(number: float | np.float32) -> str:
    """The shortest text without exponent that parses to the same float32; with a point, so that it is not an int."""
    text = str(np.float32(number))  # takes a third of the time of format_float_positional
    return np.format_float_positional(np.float32(number), trim="0") if "e" in text else text
