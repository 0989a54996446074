"""Whether a folder is in its cleaned state: recorded by a clean, removed by an undo, read by other commands."""

from __future__ import annotations

from pathlib import Path

from faceaug.data.folder import CELEBA_PICTURES
from faceaug.data.layouts.leftovers import CLEANED
from faceaug.errors import JournalError, printable
from faceaug.storage.files import remove_output, write_json
from faceaug.storage.moves import read_history
from faceaug.storage.schema import parse_json
from faceaug.storage.state import state_folder

UNKNOWN = -1


def record_clean(state: Path, pictures: int) -> None:
    """Record in a state folder that its folder is clean, and the number of its pictures."""
    write_json(state / CLEANED, {"run": {"command": "clean"}, "pictures": pictures, "finished": True})


def forget_clean(state: Path) -> None:
    """Remove that record, before an undo."""
    remove_output(state / CLEANED)


def cleaned_pictures(root: Path) -> int | None:
    """The number of pictures in a folder after its last clean, or UNKNOWN; None if it is not in a cleaned state.

    A clean of its parent or of ``img_align_celeba`` in it counts too; the number is then UNKNOWN, as after a clean by
    faceaug 0.1.0, which left only a journal.
    """
    pictures = _pictures_when_clean(root)
    if pictures is not None:
        return pictures
    others = (root.resolve().parent, root / CELEBA_PICTURES)
    return UNKNOWN if any(_pictures_when_clean(other) is not None for other in others) else None


def _pictures_when_clean(root: Path) -> int | None:
    state = state_folder(root, beside=False)
    for place in (state, root):
        try:
            found = parse_json((place / CLEANED).read_bytes())
            if found["finished"] and found["run"]["command"] == "clean":
                pictures = found.get("pictures")
                return pictures if type(pictures) is int and 0 <= pictures < 2**63 else UNKNOWN
        except (OSError, ValueError, KeyError, TypeError):  # missing, or another program's file of that name
            continue
    return UNKNOWN if _run_stands(state / "journal.jsonl") else None


def _run_stands(journal: Path) -> bool:
    try:
        history = read_history(journal.read_bytes(), where=printable(journal))
    except (OSError, JournalError):
        return False
    return any(run.moved and run.after is not None and run.undo_before is None for run in history.runs)
