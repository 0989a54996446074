"""Batches: split into pictures, transform each with its own random numbers, and stack again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faceaug.augment.pictures import is_tensor, is_tv
from faceaug.augment.targets import known_target
from faceaug.augment.trees import SAME, kinds_of, leaves_of, rebuilt
from faceaug.errors import ArgumentError


def batch_size(tree: Any) -> int | None:
    """Number of pictures in a batch, or None for a single picture or sample.

    Args:
        tree: an array (n, height, width, channels), a tensor (n, channels, height, width), or a dict, list or tuple
            that contains one.
    """
    if not isinstance(tree, (dict, list, tuple)):
        return len(tree) if getattr(tree, "ndim", 0) == 4 else None
    leaves = list(leaves_of(tree))
    if not any(getattr(value, "ndim", 0) == 4 for _, value in leaves):
        return None
    for kind, (_, value) in zip(kinds_of(leaves), leaves, strict=True):
        if kind == "image":
            return len(value) if getattr(value, "ndim", 0) == 4 else None
    return None


def change_batch(
    tree: Any, count: int, named: dict[str, Any], change: Callable[..., Any], *, by_name: bool = False
) -> Any:
    """Transform every picture of a batch together with its targets.

    Args:
        tree: see ``batch_size``.
        count: number of pictures.
        named: targets by name, each (n, ...).
        change: called with the position of a picture, its part of ``tree`` and its targets by name; returns both
            changed.
        by_name: whether the result is a dict even without targets.

    Returns:
        The results of ``change``, stacked.

    Raises:
        ArgumentError: a target has another length than the batch, or the results differ in size.
    """
    for name, value in named.items():
        _check_length(name, value, count)
    if not isinstance(tree, (dict, list, tuple)):
        made = [change(k, _one(tree, k), {name: _one(value, k) for name, value in named.items()}) for k in range(count)]
        if not made:
            return {"image": tree, "visible": np.zeros((0, 0), np.bool_), **named} if named or by_name else tree
        if not (named or by_name):
            return _stacked(made, "pictures")
        return {name: _stacked([one[name] for one in made], name) for name in made[0]}
    if named:
        raise ArgumentError(f"{', '.join(named)}: give targets as arguments or inside the sample, not both")
    leaves = list(leaves_of(tree))
    kinds = [_kind_in_batch(kind, *leaf, count) for kind, leaf in zip(kinds_of(leaves), leaves, strict=True)]
    for kind, (name, value) in zip(kinds, leaves, strict=True):
        if kind != "other":
            _check_length(name or kind, value, count)
    made = [change(k, _sample(tree, leaves, kinds, k), {}) for k in range(count)]
    if not made:
        return tree
    parts = [[value for _, value in leaves_of(one)] for one in made]
    values = [
        SAME if kind == "other" else _stacked([part[k] for part in parts], name or kind)
        for k, (kind, (name, _)) in enumerate(zip(kinds, leaves, strict=True))
    ]
    return rebuilt(tree, iter(values))


def _sample(tree: Any, leaves: list[tuple[str, Any]], kinds: list[str], k: int) -> Any:
    """Picture ``k`` of a batch, with its targets."""
    pairs = zip(kinds, leaves, strict=True)
    return rebuilt(tree, iter([SAME if kind == "other" else _one(value, k) for kind, (_, value) in pairs]))


def _kind_in_batch(kind: str, name: str, value: Any, count: int) -> str:
    """Role of a leaf; of rows, one per picture, that of a row."""
    rows = name in {"attributes", "visible"} and getattr(value, "ndim", 0) == 2 and len(value) == count
    return name if rows and known_target(name, value[0]) else kind


def _check_length(name: str, value: Any, count: int) -> None:
    found = len(value) if hasattr(value, "__len__") else None
    if is_tv(value, "BoundingBoxes"):
        raise ArgumentError("tv_tensors.BoundingBoxes with a batch: torchvision's boxes belong to one picture")
    if found != count:
        raise ArgumentError(f"{name}: {found} for a batch of {count} pictures; expected one per picture")


def _one(batch: Any, k: int) -> Any:
    one = batch[k]
    if is_tensor(batch) and type(one) is not type(batch):  # indexing a tv_tensor returns a plain tensor
        from torchvision import tv_tensors

        return tv_tensors.wrap(one, like=batch)
    return one


def _stacked(parts: list[Any], name: str) -> Any:
    first = parts[0]
    shapes = {tuple(part.shape) for part in parts if hasattr(part, "shape")}
    if len(shapes) > 1:
        sizes = ", ".join(map(str, sorted(shapes)))
        raise ArgumentError(
            f"{name} of a batch come out in different sizes, {sizes}: end with v2.Resize, or transform one at a time"
        )
    if is_tensor(first):
        import torch

        stacked = torch.stack([part.as_subclass(torch.Tensor) for part in parts])
        if type(first) is torch.Tensor:
            return stacked
        from torchvision import tv_tensors

        return tv_tensors.wrap(stacked, like=first)
    return np.stack(parts) if isinstance(first, np.ndarray) else parts
