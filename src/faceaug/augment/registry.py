"""Every transform by its name, so that recipes can be written and read back, a user's own transforms included.

A class registers itself when it is defined. It knows no transform, so that every transform can know it.
"""

from __future__ import annotations

import inspect
from typing import Any

from faceaug.errors import ArgumentError

_known: dict[str, type[Any]] = {}


def register(kind: type[Any]) -> None:
    """Make a transform known under the name of its class.

    A class of the same module replaces an earlier one of its name, as when a notebook cell runs again.

    Raises:
        ArgumentError: another module has a transform of this name.
    """
    name, module = kind.__name__, _module(kind)
    before = _known.get(name)
    if before is not None and _module(before) != module:
        raise ArgumentError(
            f"{module}.{kind.__qualname__}: {_module(before)} already has a transform named {name}, and recipes tell "
            "transforms apart by name; give the class another name"
        )
    _known[name] = kind


def transforms() -> dict[str, type[Any]]:
    """The transforms that a recipe can name, in alphabetical order; bases without ``apply`` are none."""
    return {
        name: kind for name, kind in sorted(_known.items()) if not (name.startswith("_") or inspect.isabstract(kind))
    }


def _module(kind: type[Any]) -> str:
    # In a worker process the user's script has another name.
    return "__main__" if kind.__module__ == "__mp_main__" else kind.__module__
