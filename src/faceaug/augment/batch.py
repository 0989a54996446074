"""Batches of pictures: taken apart, each picture changed by numbers of its own, and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faceaug.augment.pictures import is_tensor, is_tv
from faceaug.augment.sample import SAME, kinds_of, leaves_of, rebuilt
from faceaug.errors import ArgumentError


def batch_size(tree: Any) -> int | None:
    """How many pictures lie in a batch, or None for a single picture or a sample of one.

    Args:
        tree: a batch (n, height, width, channels) as an array or (n, channels, height, width) as a tensor, or a dict,
            list or tuple with one in it.
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


def change_batch(tree: Any, count: int, named: dict[str, Any], change: Callable[..., Any]) -> Any:
    """Change every picture of a batch with what is known about it.

    Args:
        tree: see ``batch_size``.
        count: of its pictures.
        named: targets by name, each (n, ...).
        change: takes the number of a picture, what ``tree`` is for it and its targets by name; returns both changed.

    Returns:
        What ``change`` returns for one picture, stacked.

    Raises:
        ArgumentError: a target has another length, or the results differ in size.
    """
    for name, value in named.items():
        _check_length(name, value, count)
    if not isinstance(tree, (dict, list, tuple)):
        made = [change(k, _one(tree, k), {name: _one(value, k) for name, value in named.items()}) for k in range(count)]
        if not made:
            return tree if not named else {"image": tree, **named, "visible": np.zeros((0, 0), np.bool_)}
        if not named:
            return _stacked(made, "pictures")
        return {name: _stacked([one[name] for one in made], name) for name in made[0]}
    if named:
        raise ArgumentError(f"{', '.join(named)}: give targets beside one batch, or inside the sample, not both")
    leaves = list(leaves_of(tree))
    kinds = kinds_of(leaves)
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
    """What a batch says about its picture ``k``."""
    pairs = zip(kinds, leaves, strict=True)
    return rebuilt(tree, iter([SAME if kind == "other" else _one(value, k) for kind, (_, value) in pairs]))


def _check_length(name: str, value: Any, count: int) -> None:
    found = len(value) if hasattr(value, "__len__") else None
    if is_tv(value, "BoundingBoxes"):
        raise ArgumentError("tv_tensors.BoundingBoxes beside a batch: torchvision has none for several pictures")
    if found != count:
        raise ArgumentError(f"{name} of {found} beside a batch of {count} pictures: expected one for each")


def _one(batch: Any, k: int) -> Any:
    one = batch[k]
    if is_tensor(batch) and type(one) is not type(batch):  # a tv_tensor loses its class by indexing
        from torchvision import tv_tensors

        return tv_tensors.wrap(one, like=batch)
    return one


def _stacked(parts: list[Any], name: str) -> Any:
    first = parts[0]
    shapes = {tuple(part.shape) for part in parts if hasattr(part, "shape")}
    if len(shapes) > 1:
        sizes = ", ".join(map(str, sorted(shapes)))
        raise ArgumentError(
            f"{name} of a batch come out in different sizes, {sizes}: end with v2.Resize, or give one at a time"
        )
    if is_tensor(first):
        import torch

        stacked = torch.stack([part.as_subclass(torch.Tensor) for part in parts])
        if type(first) is torch.Tensor:
            return stacked
        from torchvision import tv_tensors

        return tv_tensors.wrap(stacked, like=first)
    return np.stack(parts) if isinstance(first, np.ndarray) else parts
