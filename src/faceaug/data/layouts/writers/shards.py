"""Writes WebDataset: tar shards of 1,000 faces for each partition; format: see the reader.

Every key of the JSON has the same type in every sample, because ``datasets`` 5.2 infers the types of a set of shards
from its first five samples. What may be missing is therefore JSON text, empty if unknown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, LANDMARKS
from faceaug.data.layouts.writers.rows import HELD, clashes, plain_rows
from faceaug.data.layouts.writing import PART_NAMES, Faces, Picture, Plan, Tables, Writer, plain_stems, shards_of
from faceaug.data.metadata import BOXES
from faceaug.data.shards import SHARD, ShardWriter

_LISTS = {"landmarks": LANDMARKS, "box": BOXES}


def _plan(faces: Faces) -> Plan:
    stems, notes = plain_stems(faces, within=faces.known.partition.tolist(), flat=True)
    if any("." in stem for stem in stems):  # a sample's name ends at its first dot
        digits = max(6, len(str(len(stems))))
        stems = tuple(f"{k:0{digits}d}" for k in range(1, len(stems) + 1))
        notes += ("pictures are numbered because a dot ends the name of a sample",)
    return Plan(stems, (*notes, *clashes(faces)), shards=part_shards(faces, SHARD, "{part}-{number:06d}.tar"))


def part_shards(faces: Faces, size: int, pattern: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Shards of each partition in turn; see ``part_words``."""
    found = []
    for part, word in part_words(faces).items():
        groups = shards_of(np.flatnonzero(faces.known.partition == part), size)
        for number, rows in enumerate(groups):
            found.append((pattern.format(part=word, number=number, count=len(groups)), rows))
    return tuple(found)


def part_words(faces: Faces) -> dict[int, str]:
    """Partition -> its name in names of files. If none is known, all faces are train, as ``datasets`` calls them."""
    found = sorted(set(faces.known.partition.tolist()), key=lambda part: part % 4)  # -1 comes last
    names = dict(PART_NAMES) | {-1: "unknown" if found != [-1] else "train"}
    return {part: names[part] for part in found}


def _pack(faces: Faces, pictures: Sequence[tuple[Picture, bytes]]) -> bytes:
    names = [picture.name for picture, _ in pictures]
    rows = plain_rows(faces, names, [picture.sha256 for picture, _ in pictures])
    shard = ShardWriter("")
    for (picture, data), row in zip(pictures, rows, strict=True):
        stem, _, ending = picture.name.rpartition(".")
        shard.add(stem, data, _sample(faces, row), ending=f".{ending}")
    return shard.close()


def _sample(faces: Faces, row: dict[str, Any]) -> dict[str, Any]:
    """The JSON of one face; ``row`` is a row of ``plain_rows``."""
    signs = {name: row.pop(name) for name in ATTRIBUTES if name in row}
    texts = {"attributes": json.dumps(signs) if any(signs.values()) else ""}
    for key, columns in _LISTS.items():
        cells = [row.pop(name, None) for name in columns]
        pairs = list(zip(cells[::2], cells[1::2], strict=True)) if key == "landmarks" else cells
        texts[key] = "" if all(cell is None for cell in cells) else json.dumps(pairs)
    further = {name: row.pop(name) for name in faces.known.columns if name in row}
    told = {name: cell for name, cell in further.items() if cell is not None}
    return row | texts | {"class": row.get("class", ""), "further": json.dumps(told) if told else ""}


def _card(faces: Faces, _: Sequence[Picture]) -> Tables:
    return {"README.md": card(faces, "{part}-*.tar")}


def card(faces: Faces, pattern: str) -> bytes:
    """A dataset card that says which files are which split; without it ``datasets`` guesses."""
    parts = part_words(faces).values()
    lines = [f"  - split: {part}\n    path: {pattern.format(part=part)}\n" for part in parts]
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{''.join(lines)}---\n".encode()


WEBDATASET = Writer(HELD, _plan, _card, pack=_pack, rgb=True)
