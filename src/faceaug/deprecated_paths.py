"""Import paths of version 0.1 that have moved. They work for one more release, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ROOMS = {
    "commands": ("console", "demo", "doctor", "options"),
    "data": ("annotations", "crop", "folder", "headers", "image", "manifest", "metadata", "tables"),
    "storage": ("disk", "files", "journal", "moves", "state"),
}
MOVED = {
    **{f"faceaug.{name}": f"faceaug.{room}.{name}" for room, names in _ROOMS.items() for name in names},
    "faceaug.assessment": "faceaug.commands.evaluate",
    "faceaug.evaluate.gain": "faceaug.evaluate.usefulness_report",
    "faceaug.evaluate.gain_page": "faceaug.evaluate.usefulness_report",
    "faceaug.expansion": "faceaug.commands.expand",
    "faceaug.pages": "faceaug.reports.shell",
    "faceaug.synthesize.card": "faceaug.synthesize.cards",
}


class _Alias(Loader):
    """Loads an old path as the module at its new path."""

    def __init__(self, new: str) -> None:
        self._module = importlib.import_module(new)
        self._spec = self._module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the import system's signature
        """See ``importlib.abc.Loader``."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """See ``importlib.abc.Loader``."""
        # The module has already run; only restore its spec, which the import system has replaced by the old name's.
        module.__spec__ = self._spec


class _FormerPaths(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        new = MOVED.get(fullname)
        if new is None:
            return None
        warnings.warn(f"{fullname} is now {new}; the old path will be removed in 0.3", DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, _Alias(new))


def keep_former_paths() -> None:
    """Make the old paths importable. The finder is appended last, so that it slows down no other import."""
    if not any(isinstance(finder, _FormerPaths) for finder in sys.meta_path):
        sys.meta_path.append(_FormerPaths())
