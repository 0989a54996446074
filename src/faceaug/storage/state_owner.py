"""Link a state folder next to a user's folder to that folder itself, not to its name.

Both carry the same id: the state in a file, the folder in an extended attribute, which a rename and ``cp -a`` preserve.
Without extended attributes (unsupported, or dropped by an archive) the state recognises its folder by the content of
some of its files. A state folder inside the user's folder moves with it and needs no link.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from faceaug.errors import RefusedError, printable
from faceaug.storage.files import write_json
from faceaug.storage.identity import digest_of, facts_of
from faceaug.storage.records import is_digest, is_path
from faceaug.storage.schema import parse_object
from faceaug.storage.walk import File

TIE = "folder.json"
_ATTRIBUTE = "user.faceaug"
_SAMPLE = 32  # files whose digests are recorded


def write_tie(root: Path, state: Path, known: Sequence[File]) -> None:
    """Link an outside state folder to its folder. Call it before any file is moved.

    Args:
        root: the user's folder.
        state: its state folder.
        known: files that stay in it, with their digests.
    """
    if state.parent == root.resolve():
        return
    named = _read_tie(state).get("id") or secrets.token_hex(16)  # never the folder's id: a copy has its original's
    chosen = [file for file in known if file.digest]
    step = max(1, len(chosen) // _SAMPLE)
    sample = [[file.name, file.size, file.digest] for file in chosen[::step][:_SAMPLE]]
    facts = root.stat()
    tie = {"id": named, "device": facts.st_dev, "inode": facts.st_ino, "files": sample}
    write_json(state / TIE, tie)
    if hasattr(os, "setxattr"):
        with suppress(OSError):  # unsupported by the file system, or the folder belongs to another user
            os.setxattr(root, _ATTRIBUTE, named.encode())


def check_tie(root: Path, state: Path) -> None:
    """Check that an outside state folder belongs to a folder.

    Raises:
        RefusedError: it belongs to another folder, which had this name before.
    """
    if state.parent == root.resolve() or not (tie := _read_tie(state)) or _fits(root, tie):
        return
    owner = next((path for path in _neighbours(root) if mark_of(path) == tie["id"]), None)
    whose = f"belongs to {printable(owner)}" if owner else "belongs to another folder, which had this name"
    raise RefusedError(
        f"{printable(state)} {whose}: it holds files set aside from there, so nothing was changed. Rename it after "
        f"that folder's present name (.NAME.faceaug); if {printable(root)} is that folder, with other files, move it "
        f"to {printable(root / '.faceaug')}"
    )


def state_by_mark(root: Path) -> Path | None:
    """The outside state folder of a renamed folder, which still has its earlier name; None if there is none.

    A copy of a folder carries the same id, so a state belongs to the folder of the same name while that one has the id.
    """
    mark = mark_of(root)
    if not mark:
        return None
    real = root.resolve()
    found = sorted(path for path in real.parent.glob(".*.faceaug") if _read_tie(path).get("id") == mark)
    own = real.with_name(f".{real.name}.faceaug")
    others = [path for path in found if mark_of(path.with_name(path.name[1:].removesuffix(".faceaug"))) != mark]
    return own if own in found else next(iter(others), None)


def mark_of(root: Path) -> str:
    """The id in a folder's extended attribute; empty if it has none."""
    if not hasattr(os, "getxattr"):
        return ""
    try:
        return os.getxattr(root, _ATTRIBUTE).decode("ascii", "replace")
    except OSError:
        return ""


def _fits(root: Path, tie: dict[str, Any]) -> bool:
    if mark_of(root) == tie["id"]:
        return True
    facts = root.stat()
    sample = tie["files"]
    found = sum(_is_there(root / name, size, digest) for name, size, digest in sample)
    same_number = (facts.st_dev, facts.st_ino) == (tie["device"], tie["inode"])
    needed = 1 if same_number else (len(sample) + 1) // 2
    return found >= min(needed, len(sample))


def _is_there(path: Path, size: int, digest: str) -> bool:
    try:
        facts = facts_of(path)
        regular = facts is not None and stat.S_ISREG(facts.st_mode) and facts.st_size == size
        return regular and digest_of(path) == digest
    except OSError:
        return False


def _neighbours(root: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in root.resolve().parent.iterdir() if path.is_dir() and path != root.resolve())
    return []


def _read_tie(state: Path) -> dict[str, Any]:
    """The link stored in a state folder; empty if it is invalid or missing, as in states of version 0.1.0."""
    try:
        tie: dict[str, Any] = parse_object((state / TIE).read_bytes())
        whole = is_digest(tie["id"]) and type(tie["device"]) is type(tie["inode"]) is int
        fit = all(is_path(name) and type(size) is int and is_digest(digest) for name, size, digest in tie["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return tie if whole and fit else {}
