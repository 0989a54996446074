"""Datasets whose items are rows with an ``image`` column, as those of Hugging Face, read like ``metadata.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from faceaug.data.annotations import ORIGINS, Annotations
from faceaug.data.layouts.overlooked import doubt_partition
from faceaug.data.loose_columns import plain_columns
from faceaug.data.metadata import is_own_column, join_rows
from faceaug.errors import AnnotationError, ArgumentError

_PICTURE = "image"
_LISTS = ("attributes", "landmarks")  # columns whose cells hold the numbers of several
_WORD = 64  # characters; the word of a partition is shorter
_WHERE = Path("faces")  # in errors, where a folder has the path of its table


def is_row(item: object) -> bool:
    """Whether an item is a row with a picture."""
    return isinstance(item, Mapping) and _PICTURE in item


def carried(item: Mapping[str, Any]) -> dict[str, Any]:
    """A row for ``join_items``, without the picture and the bulk of columns that have no meaning for faceaug.

    Of those, numbers and the beginnings of texts stay, which may show that a column is the partition; of others the
    name alone, with an empty cell.
    """
    return {key: cell if _is_own(key) else _small(cell) for key, cell in item.items() if key != _PICTURE}


def _is_own(key: object) -> bool:
    return isinstance(key, str) and (key in _LISTS or is_own_column(key))


def _small(cell: Any) -> Any:
    if isinstance(cell, Tensor | np.ndarray) and cell.ndim == 0:
        cell = cell.item()
    if isinstance(cell, str):
        return cell[:_WORD]
    if cell is None or isinstance(cell, Image.Image):  # a second picture is not even named
        return None
    return cell if isinstance(cell, int | float | np.number | np.bool_) else ""


def join_items(
    source: object, items: Sequence[Mapping[str, Any]]
) -> tuple[Annotations, tuple[str, ...], tuple[str, ...]]:
    """Join the columns of a dataset to its pictures.

    Args:
        source: the dataset; names of classes come from its ``features``, if it has any.
        items: its rows, see ``carried``.

    Returns:
        (annotations, names of the labels, notes).

    Raises:
        ArgumentError: a value is not one that its column may have.
    """
    names = [f"item {k}" for k in range(len(items))]
    named = _class_labels(source)
    classes = named.pop("label", ())
    rows: list[dict[str, Any]] = [
        {key: plain for key, cell in item.items() if (plain := _plain(cell, named.get(key))) is not None}
        | {"file_name": name}  # whatever a column of that name says
        for name, item in zip(names, items, strict=True)
    ]
    if not all(row.get("origin") in (None, *ORIGINS) for row in rows):  # another meaning than ours
        rows = [{("origin_" if key == "origin" else key): cell for key, cell in row.items()} for row in rows]
    rows, _ = plain_columns(rows)
    try:
        known, notes, classes = join_rows(_WHERE, rows, names, classes=classes)
    except AnnotationError as error:
        raise ArgumentError(str(error)) from error
    known, doubted = doubt_partition(str(_WHERE), known)
    return known, classes, (*notes, *doubted)


def _class_labels(source: object) -> dict[str, tuple[str, ...]]:
    features = getattr(source, "features", None)
    if not isinstance(features, Mapping):
        return {}
    names = {key: getattr(kind, "names", None) for key, kind in features.items()}
    return {key: tuple(found) for key, found in names.items() if isinstance(found, list | tuple) and found}


def _plain(cell: Any, names: tuple[str, ...] | None) -> Any:
    """A cell as JSON would hold it, None for a picture; the name of a class for its number."""
    if isinstance(cell, Image.Image):
        return None
    if isinstance(cell, Tensor | np.ndarray | np.generic):
        cell = cell.tolist()
    if names is not None and isinstance(cell, int) and not isinstance(cell, bool):
        return names[cell] if 0 <= cell < len(names) else None
    return None if isinstance(cell, float) and np.isnan(cell) else cell
