"""StyleGAN's folder or ZIP: pictures, and a label for each in ``dataset.json``.

Source: ``dataset_tool.py`` and ``training/dataset.py`` in github.com/NVlabs/stylegan3. The file is ``{"labels": null}``
or ``{"labels": [["00000/img00000000.png", 0], ...]}``, with names relative to it. A label is a whole number or, in
conditional models such as EG3D (the camera), a list of numbers, which becomes the column ``condition``.

faceaug's own manifest has the same name, but no ``labels``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from faceaug.data.annotations import unknown
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some

TABLE = "dataset.json"
_LARGEST = 2**63


def find(place: Place) -> Evidence | None:
    """Detect the layout by a dataset.json with labels."""
    table = _table(place)
    return Evidence("stylegan", f"labels in {TABLE}", strong=True) if table else None


def read(place: Place) -> Reading:
    """Read the label of each picture by its path; folders are no classes."""
    table = _table(place)
    if table is None:
        raise ArgumentError(f"{printable(place.root)}: layout='stylegan', but there is no {TABLE} with labels")
    labels = _labels(place, table)
    position = {name: k for k, name in enumerate(place.pictures)}
    known = unknown(len(place.pictures))
    conditions: list[list[Any] | None] = [None] * len(position)
    absent = []
    for (name, label), picture in zip(labels.items(), place.named_in(table, labels), strict=True):
        k = position.get(picture)
        if k is None:
            absent.append(name)
        elif isinstance(label, list):
            conditions[k] = label
        else:
            known.label[k] = label
    are = counted(len(absent), "of its pictures is", "of its pictures are")
    notes = [f"{printable(table)}: {are} not here ({some(absent)})"] if absent else []
    silent = len(position) - (len(labels) - len(absent))
    if labels and silent:
        notes.append(f"{printable(table)}: {counted(silent, 'picture has', 'pictures have')} no label")
    levels = find_levels(place)
    known.partition[:] = [levels.part[name.rpartition("/")[0]] for name in place.pictures]
    columns = {"condition": tuple(conditions)} if any(conditions) else {}
    return Reading(place.pictures, replace(known, columns=columns), notes=tuple(notes), used=frozenset({table}))


def _table(place: Place) -> str | None:
    return next((name for name in place.tables.get(TABLE, ())[:1] if _has_labels(place, name)), None)


def _has_labels(place: Place, name: str) -> bool:
    try:
        if '"labels"' not in place.head(place.file(name)):
            return False
        found = place.json(place.file(name))
    except (AnnotationError, ValueError):
        return False
    return isinstance(found, dict) and "labels" in found and "run" not in found


def _labels(place: Place, table: str) -> dict[str, Any]:
    path = place.file(table)
    pairs = place.json(path)["labels"]
    found: dict[str, Any] = {}
    for number, pair in enumerate([] if pairs is None else _listed(path, pairs), start=1):
        name, label = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if not isinstance(name, str) or not _is_label(label):
            raise AnnotationError(
                f"{printable(path)}: label {number} should be a picture, and a number or a list of numbers"
            )
        name = name.replace("\\", "/")
        if name in found:
            raise AnnotationError(f"{printable(path)}: {printable(name)} has two labels; keep one")
        found[name] = label
    return found


def _listed(path: Any, pairs: Any) -> list[Any]:
    if not isinstance(pairs, list):
        raise AnnotationError(f"{printable(path)}: labels should be a list, or null")
    return pairs


def _is_label(label: Any) -> bool:
    if isinstance(label, list):
        return bool(label) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in label)
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label < _LARGEST
