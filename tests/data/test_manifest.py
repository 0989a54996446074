from __future__ import annotations

import csv
import hashlib
import json
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from faceaug.data.annotations import unknown
from faceaug.data.folder import FaceFolder, make_target
from faceaug.data.image import encode_png
from faceaug.data.manifest import COLUMNS, LEDGER, Line, Row, line_of, read_line, write_metadata
from faceaug.data.metadata import join_metadata
from faceaug.storage.ledger import Ledger

MAX = 2**63 - 1


def row(name: str, *, key: int = 0, operations: str = "") -> Row:
    return Row(file_name=name, target=make_target(unknown(1), 0), seed=MAX, key=key, operations=operations, sha256="0")


def test_the_columns_are_those_of_the_contract() -> None:
    assert COLUMNS[:11] == (
        "file_name", "origin", "source_file", "model", "seed", "key", "operations", "weight", "partition", "identity",
        "label",
    )  # fmt: skip
    assert (COLUMNS[11], COLUMNS[20], COLUMNS[-1]) == ("lefteye_x", "rightmouth_y", "sha256")
    assert len(COLUMNS) == 11 + 10 + 40 + 1


@given(
    points=st.lists(st.floats(width=32, allow_infinity=False), min_size=10, max_size=10),
    weight=st.floats(0, 2.0**99, width=32),
    identity=st.integers(-1, MAX),
)
@example(points=[float(np.finfo(np.float32).max)] * 10, weight=0.0, identity=0)
@settings(max_examples=60, deadline=None)
def test_numbers_are_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, points: list[float], weight: float, identity: int
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    known = unknown(1)
    known.landmarks[0] = np.array(points, np.float32).reshape(5, 2)
    known.weight[0], known.identity[0] = weight, identity
    line = line_of(Row(file_name="a.png", target=make_target(known, 0), seed=0, key=0, sha256=""))
    write_metadata(folder, [line.to_csv()])
    read, _ = join_metadata(folder / "metadata.csv", ["a.png"])
    assert np.array_equal(read.landmarks, known.landmarks, equal_nan=True)
    assert (read.weight[0], read.identity[0]) == (known.weight[0], identity)


def opened(folder: Path) -> closing[Ledger[Line]]:
    return closing(Ledger(folder / LEDGER, partial(read_line, columns=len(COLUMNS))))


def test_texts_with_commas_quotes_and_line_ends_survive(tmp_path: Path) -> None:
    name, operations = 'sm"ile,\u2028.png', json.dumps([{"name": "Rotate", "degrees": 1.5}])
    data = encode_png(np.zeros((4, 4, 3), np.uint8))
    (tmp_path / name).write_bytes(data)
    entry = replace(row(name, operations=operations), sha256=hashlib.sha256(data).hexdigest())
    with opened(tmp_path) as ledger:
        ledger.add([line_of(entry)])
    with opened(tmp_path) as ledger:
        write_metadata(tmp_path, (line.to_csv() for line in ledger.entries))
        ledger.remove()
    with (tmp_path / "metadata.csv").open(newline="") as handle:
        assert next(csv.DictReader(handle))["operations"] == operations
    assert FaceFolder(tmp_path).names == (name,)


@pytest.mark.parametrize("values", [None, "a.png", 7, [], ["a.png"], [1] * len(COLUMNS), ["a\0.png"] * len(COLUMNS)])
def test_a_line_that_is_no_row_is_not_read(values: object) -> None:
    with pytest.raises(ValueError, match="not a row"):
        read_line(values, columns=len(COLUMNS))
