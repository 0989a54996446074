"""Writers of folders: class folders, split folders, and Hugging Face imagefolder with ``metadata.jsonl``.

``datasets`` 5.2 types JSON lines by their own types, where it guesses those of CSV: names such as 001, None and true
stay texts, and a null is a missing value in a column of any type.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from faceaug.data.layouts.writers.rows import HELD, clashes, plain_rows
from faceaug.data.layouts.writing import Faces, Picture, Plan, Tables, Writer, folder_names, in_parts, plain_stems
from faceaug.errors import ArgumentError, RefusedError, counted, some

UNKNOWN = "unknown"  # folder of the pictures in no partition, if others are in one


def _plan_imagefolder(faces: Faces) -> Plan:
    stems, notes = plain_stems(faces, within=faces.known.partition.tolist())
    return Plan(in_parts(faces, stems, unknown=UNKNOWN), (*notes, *clashes(faces), *_unknown_part(faces)))


def _metadata(faces: Faces, pictures: Sequence[Picture]) -> Tables:
    """A table in each folder of a partition, or one if there are none; names are relative to the table."""
    rows = plain_rows(faces, [picture.name for picture in pictures], [picture.sha256 for picture in pictures])
    split = bool((faces.known.partition >= 0).any())
    tables: dict[str, list[str]] = {}
    for row in rows:
        folder, slash, name = row["file_name"].partition("/") if split else ("", "", row["file_name"])
        line = json.dumps(row | {"file_name": name}, ensure_ascii=False, allow_nan=False)
        tables.setdefault(folder + slash, []).append(line + "\n")
    return {f"{folder}metadata.jsonl": "".join(lines).encode() for folder, lines in tables.items()}


def _plan_splits(faces: Faces) -> Plan:
    if not (faces.known.partition >= 0).any():
        raise RefusedError("no partition is known, so there are no split folders to write; try --to imagefolder")
    stems, notes = plain_stems(faces, within=faces.known.partition.tolist(), flat=True)
    return Plan(in_parts(faces, stems, unknown=UNKNOWN), (*notes, *_unknown_part(faces)))


def _plan_classes(faces: Faces) -> Plan:
    labels = faces.known.label.tolist()
    used = sorted({label for label in labels if label >= 0})
    if not used:
        raise RefusedError("no label is known, so there are no class folders to write; try --to imagefolder")
    digits = len(str(used[-1]))
    name_of = {k: faces.classes[k] if faces.classes else f"{k:0{digits}d}" for k in used}
    odd = folder_names(name_of.values())
    folded = Counter(name.casefold() for name in name_of.values())
    odd = odd or tuple(name for name in name_of.values() if folded[name.casefold()] > 1)
    if odd:
        why = "not portable, words for partitions, or differ only in upper and lower case"
        raise ArgumentError(
            f"{len(odd)} class names cannot be folders ({some(list(odd))}): {why}; try --to imagefolder"
        )
    stems, notes = plain_stems(faces, within=list(zip(faces.known.partition.tolist(), labels, strict=True)), flat=True)
    paths = [None if k < 0 else f"{name_of[k]}/{stem}" for k, stem in zip(labels, stems, strict=True)]
    notes += _unknown_part(faces)
    empty = sorted(set(faces.classes) - set(name_of.values()))
    if empty:
        have = counted(len(empty), "class has no picture and gets", "classes have no picture and get")
        notes += (f"{have} no folder ({some(empty)})",)
    order = tuple(name_of.values())
    if order != tuple(sorted(order)) or used != list(range(len(used))):
        notes += ("labels are numbered anew: readers number class folders in the order of their names",)
    return Plan(in_parts(faces, paths, unknown=UNKNOWN), notes)


def _unknown_part(faces: Faces) -> tuple[str, ...]:
    parts = faces.known.partition
    missing = int((parts < 0).sum())
    if not missing or missing == len(parts):
        return ()
    return (f"{counted(missing, 'picture is', 'pictures are')} in no partition, therefore in {UNKNOWN}/",)


def _no_tables(_: Faces, __: Sequence[Picture]) -> Tables:
    return {}


IMAGEFOLDER = Writer(HELD, _plan_imagefolder, _metadata)
SPLITS = Writer(frozenset({"partitions"}), _plan_splits, _no_tables)
CLASSES = Writer(frozenset({"partitions", "labels", "names of labels"}), _plan_classes, _no_tables)
