"""Registry of transforms by name, the user's own included, so that recipes can be written and read back.

A class registers itself when it is defined. This module imports no transform, so every transform can import it.
"""

from __future__ import annotations

import inspect
from typing import Any

from faceaug.errors import ArgumentError

_known: dict[str, type[Any]] = {}


def register(kind: type[Any]) -> None:
    """Register a transform under its class name.

    A class replaces an earlier one of the same name and module, as when a notebook cell runs again.

    Raises:
        ArgumentError: another module has a transform of this name.
    """
    name = kind.__name__
    module = _module(kind)
    before = _known.get(name)
    if before is not None and _module(before) != module:
        raise ArgumentError(
            f"{module}.{kind.__qualname__}: {_module(before)} already has a transform named {name}, and recipes tell "
            "transforms apart by name; give the class another name"
        )
    _known[name] = kind


def transforms() -> dict[str, type[Any]]:
    """Transforms that a recipe can name, in alphabetical order; abstract base classes are left out."""
    return {
        name: kind for name, kind in sorted(_known.items()) if not (name.startswith("_") or inspect.isabstract(kind))
    }


def _module(kind: type[Any]) -> str:
    # Worker processes import the user's script under another name.
    return "__main__" if kind.__module__ == "__mp_main__" else kind.__module__
