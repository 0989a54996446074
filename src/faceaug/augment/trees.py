"""Nested dicts, lists and tuples: which leaf is what, and the same structure with other leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from faceaug.augment.pictures import is_pil, is_tensor, is_tv
from faceaug.augment.targets import known_target
from faceaug.errors import ArgumentError

NAMES = ("landmarks", "boxes", "mask", "attributes", "visible")
SAME = object()  # marker: leave this leaf as it is


def kinds_of(leaves: list[tuple[str, Any]]) -> list[str]:
    """Role of each leaf. A plain tensor is a picture only where nothing else is, as in torchvision v2."""
    kinds = [_kind(name, value) for name, value in leaves]
    if "image" not in kinds:
        candidates = [k for k, (_, value) in enumerate(leaves) if kinds[k] == "other" and _is_stack(value)]
        if not candidates:
            raise ArgumentError(
                "no picture in the sample: expected an array (height, width, 3), a PIL picture, a tensor (3, height, "
                "width) or a tv_tensors.Image"
            )
        kinds[candidates[0]] = "image"
    return kinds


def _kind(name: str, value: Any) -> str:
    if name in NAMES:
        return name if value is not None and known_target(name, value) else "other"
    for tv_class, kind in (("KeyPoints", "landmarks"), ("BoundingBoxes", "boxes"), ("Mask", "mask")):
        if is_tv(value, tv_class):
            return kind
    whole = isinstance(value, np.ndarray) and value.dtype in {np.dtype(np.uint8), np.dtype(np.float32)}
    whole = whole and value.ndim == 3
    return "image" if name == "image" or is_pil(value) or is_tv(value, "Image") or whole else "other"


def _is_stack(value: Any) -> bool:
    return (is_tensor(value) or isinstance(value, np.ndarray)) and value.ndim >= 3


def leaves_of(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name in the nearest dict, value) for every leaf of nested dicts, lists and tuples."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves_of(value, key if isinstance(key, str) else "")
    elif isinstance(tree, (list, tuple)) and name not in NAMES:
        for value in tree:
            yield from leaves_of(value)
    else:
        yield name, tree


def rebuilt(tree: Any, values: Iterator[Any], name: str = "") -> Any:
    """Rebuild the structure of ``leaves_of`` with other values in the same order; ``SAME`` keeps a leaf."""
    if isinstance(tree, dict):
        pairs = ((key, rebuilt(value, values, key if isinstance(key, str) else "")) for key, value in tree.items())
        return dict(pairs) if type(tree) is dict else _like_dict(tree, pairs)
    if isinstance(tree, (list, tuple)) and name not in NAMES:
        items = [rebuilt(value, values) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    value = next(values)
    return tree if value is SAME else value


def _like_dict(tree: dict[Any, Any], pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    copy = tree.copy()  # keeps OrderedDict, defaultdict and their settings
    copy.update(pairs)
    return copy
