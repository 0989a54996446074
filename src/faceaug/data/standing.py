"""Whether a clean of a folder stands: noted when one ends, taken back by an undo, read by whoever uses the folder."""

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
    """Note in a state folder that its folder is clean, and how many pictures it holds."""
    write_json(state / CLEANED, {"run": {"command": "clean"}, "pictures": pictures, "finished": True})


def forget_clean(state: Path) -> None:
    """Take that note away: the folder is about to be as it was before."""
    remove_output(state / CLEANED)


def cleaned_pictures(root: Path) -> int | None:
    """How many pictures a folder held when its last clean ended, or UNKNOWN; None if no clean of it stands.

    A clean of the folder above counts too, and so does that of ``img_align_celeba`` in it: how many pictures that
    leaves here is UNKNOWN, as it is after a clean by faceaug 0.1.0, which left only its journal.
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
                return int(found.get("pictures", UNKNOWN))
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is somebody else's
            continue
    return UNKNOWN if _run_stands(state / "journal.jsonl") else None


def _run_stands(journal: Path) -> bool:
    try:
        history = read_history(journal.read_bytes(), where=printable(journal))
    except (OSError, JournalError):
        return False
    return any(run.moved and run.after is not None and run.undo_before is None for run in history.runs)
