"""Writes Parquet for the Hugging Face hub: pictures and typed columns in one file per 1,000 faces; needs pyarrow.

Source: ``datasets`` 5.2, ``Image`` (a struct of bytes and path) and ``Features.arrow_schema`` (types in the schema's
metadata under "huggingface"), and the hub's names of shards, ``data/train-00000-of-00001.parquet``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS
from faceaug.data.layouts.writers.rows import HELD, clashes, plain_rows
from faceaug.data.layouts.writers.shards import card, part_shards
from faceaug.data.layouts.writing import Faces, Picture, Plan, Tables, Writer, plain_stems
from faceaug.data.metadata import BOXES, CLASS
from faceaug.errors import counted

_SIZE = 1000  # faces per file
_ROWS = 100  # per row group, so that one picture can be read without the others
_TYPES = {
    **dict.fromkeys(("identity", "label", "partition"), "int64"),
    **dict.fromkeys(ATTRIBUTES, "int8"),
    **dict.fromkeys((*LANDMARKS, *BOXES, "weight"), "float32"),
    **dict.fromkeys(("origin", "source_file", "sha256", CLASS), "string"),
}


def _plan(faces: Faces) -> Plan:
    stems, notes = plain_stems(faces, within=faces.known.partition.tolist())
    notes += clashes(faces)
    texts = [name for name in faces.known.columns if _further_type(faces, name) == "json"]
    if texts:
        have = counted(len(texts), "further column has", "further columns have")
        notes += (f"{have} values of several types and become JSON texts",)
    return Plan(stems, notes, shards=part_shards(faces, _SIZE, "data/{part}-{number:05d}-of-{count:05d}.parquet"))


def _pack(faces: Faces, pictures: Sequence[tuple[Picture, bytes]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    names = [picture.name for picture, _ in pictures]
    rows = plain_rows(faces, names, [picture.sha256 for picture, _ in pictures])
    columns = [name for name in rows[0] if name not in {"file_name", CLASS}]
    struct = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    cells = [{"bytes": data, "path": picture.name} for picture, data in pictures]
    arrays = {"image": pyarrow.array(cells, struct)}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    for name in columns:
        arrays[name], features[name] = _column(faces, name, [row[name] for row in rows])
    table = pyarrow.table(arrays)
    info = json.dumps({"info": {"features": features}})
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({"huggingface": info}), buffer, row_group_size=_ROWS)
    return buffer.getvalue()


def _column(faces: Faces, name: str, cells: list[Any]) -> tuple[Any, dict[str, Any]]:
    """(array, feature) of a column."""
    import pyarrow

    if name == "label" and faces.classes:
        labels = [None if cell < 0 else cell for cell in cells]
        return pyarrow.array(labels, pyarrow.int64()), {"names": list(faces.classes), "_type": "ClassLabel"}
    kind = _TYPES.get(name) or _further_type(faces, name)
    if kind == "json":
        cells = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in cells]
        kind = "string"
    array = pyarrow.array(cells, getattr(pyarrow, "bool_" if kind == "bool" else kind)())
    return array, {"dtype": kind, "_type": "Value"}


def _further_type(faces: Faces, name: str) -> str:
    """The type of a further column over all faces: bool, int64, float64, string, or "json" for others."""
    kinds = {type(cell) for cell in faces.known.columns[name] if cell is not None}
    if kinds == {int} and any(abs(cell) >= 2**63 for cell in faces.known.columns[name] if cell is not None):
        return "json"
    for known, kind in (({bool}, "bool"), ({int}, "int64"), ({float}, "float64"), ({str}, "string")):
        if kinds == known:
            return kind
    return "json" if kinds else "string"


def _card(faces: Faces, _: Sequence[Picture]) -> Tables:
    return {"README.md": card(faces, "data/{part}-*.parquet")}


PARQUET = Writer(HELD, _plan, _card, pack=_pack, rgb=True, needs=("pyarrow", "parquet"))
