"""Finds the random generators that user functions own, seeds them from the item and restores them.

``seeding.globally_seeded`` handles the global generators of torch, NumPy and Python. Libraries such as albumentations
keep generators as attributes instead, which workers inherit: every worker would draw the same numbers.
"""

from __future__ import annotations

import functools
import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from faceaug.draws import Dice, Words
from faceaug.errors import ArgumentError

Generator: TypeAlias = np.random.Generator | np.random.RandomState | random.Random | torch.Generator

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
_MOST = 20_000  # objects searched: more than any transform has, fewer than a dataset referenced by one
_CLOSED = (str, bytes, int, float, complex, type, types.ModuleType, torch.Tensor, np.ndarray, Image.Image)
_TRIES = 5  # items on which a function is called twice


def own_generators(function: Any) -> list[Generator]:
    """Find the random generators that a function reaches by its attributes, closures, arguments and named globals.

    Args:
        function: any callable, or None.
    """
    found: list[Generator] = []
    seen: set[int] = {id(torch.default_generator), id(getattr(random, "_inst", None))}
    left = [function]
    kept = []
    while left and len(seen) < _MOST:
        value = left.pop()
        if id(value) in seen or value is None or isinstance(value, _CLOSED):
            continue
        seen.add(id(value))
        kept.append(value)  # keeps it alive, so that no other object gets its id
        if isinstance(value, _GENERATORS):
            found.append(value)
        else:
            left += reversed(list(_inner(value)))
    return found


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, types.FunctionType):
        yield from (value.__defaults__, value.__kwdefaults__)
        yield from (cell.cell_contents for cell in value.__closure__ or () if not _is_empty(cell))
        yield from (value.__globals__[name] for name in value.__code__.co_names if name in value.__globals__)
    else:
        yield from getattr(value, "__dict__", {}).values()
        yield from (getattr(value, name, None) for kind in type(value).__mro__ for name in _slots(kind))


def _slots(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


@contextmanager
def tied(generators: list[Generator], words: Words) -> Iterator[None]:
    """Seed each generator differently from an item's words for the duration of a block, then restore its state."""
    before = [_state(generator) for generator in generators]
    for k, generator in enumerate(generators):
        _reseed(generator, Dice(words, b"dataset/transform/%d" % k).integer(2**63))
    try:
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            _restore(generator, state)


def _state(generator: Generator) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState | torch.Generator):
        return generator.get_state()
    return generator.getstate()


def _reseed(generator: Generator, seed: int) -> None:
    if isinstance(generator, np.random.Generator):
        bits: Any = type(generator.bit_generator)
        generator.bit_generator.state = bits(seed).state
    elif isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.RandomState):
        generator.seed(seed % 2**32)
    else:
        generator.seed(seed)


def _restore(generator: Generator, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState | torch.Generator):
        generator.set_state(state)
    else:
        generator.setstate(state)


def check_repeats(make: Callable[[int], Any], first: int, count: int, name: str) -> None:
    """Raise ArgumentError if a function gives two results for one item.

    Args:
        make: takes the index of an item and returns the function's result with all generators seeded from it.
        first: item to begin with.
        count: number of items.
        name: name of the function in the message.
    """
    for k in range(min(_TRIES, count)):
        item = (first + k) % count
        if not _equal(make(item), make(item)):
            raise ArgumentError(
                f"{name} gives two results for item {item}: it draws from a random generator that cannot be seeded "
                "from the item, so results would depend on the number of workers. Let it draw from the global "
                "generator of torch, NumPy or Python, store its generator as an attribute, or apply it after the "
                "DataLoader"
            )


def _equal(one: Any, other: Any) -> bool:
    """Whether two results are equal; types that cannot be compared count as equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return _equal(one.detach().cpu().numpy(), other.detach().cpu().numpy())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Image.Image):
        return (one.size, one.mode, one.tobytes()) == (other.size, other.mode, other.tobytes())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float):
        return one == other or (one != one and other != other)
    return not isinstance(one, str | bytes | int | np.generic) or bool(one == other)
