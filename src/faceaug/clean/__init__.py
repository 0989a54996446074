"""Cleaning: repair file names, set aside unreadable files and duplicates, and undo it.

::

    list the folder -> read every picture once -> repair names -> find duplicates -> plan -> the journal performs it

Every step before the journal only reads. Nothing is deleted, tables are never changed, and a second clean finds nothing
to do.

Each name is imported at its first use: processes that only read pictures start in half the time.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceaug.clean.decisions import Decisions as Decisions, read_decisions as read_decisions
    from faceaug.clean.folder import clean_folder as clean_folder, undo_clean as undo_clean
    from faceaug.clean.leaks import SharedPhoto as SharedPhoto, find_leaks as find_leaks
    from faceaug.clean.names import Rename as Rename, Unclear as Unclear
    from faceaug.clean.policy import CleanPolicy as CleanPolicy
    from faceaug.clean.report import CleanReport as CleanReport, Conflict as Conflict, SetAside as SetAside
    from faceaug.storage.journal import UndoReport as UndoReport

_MODULE = {
    "CleanPolicy": "faceaug.clean.policy",
    "CleanReport": "faceaug.clean.report",
    "Conflict": "faceaug.clean.report",
    "Decisions": "faceaug.clean.decisions",
    "Rename": "faceaug.clean.names",
    "SetAside": "faceaug.clean.report",
    "SharedPhoto": "faceaug.clean.leaks",
    "Unclear": "faceaug.clean.names",
    "UndoReport": "faceaug.storage.journal",
    "clean_folder": "faceaug.clean.folder",
    "find_leaks": "faceaug.clean.leaks",
    "read_decisions": "faceaug.clean.decisions",
    "undo_clean": "faceaug.clean.folder",
}
__all__ = list(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'faceaug.clean' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE[name]), name)
    globals()[name] = value
    return value
