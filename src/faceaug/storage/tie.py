"""What ties a state folder that lies beside its folder to that folder, and not to its name.

State and folder carry one id: a file in the state, an extended attribute of the folder, which a rename and ``cp -a``
keep. Where there are no extended attributes, or an archive dropped them, the state knows its folder by the content of
some of its files. A state inside its folder goes where the folder goes and needs none of this.
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
from faceaug.storage.schema import parse_json
from faceaug.storage.walk import File

TIE = "folder.json"
_ATTRIBUTE = "user.faceaug"
_SAMPLE = 32  # files whose content is remembered


def write_tie(root: Path, state: Path, known: Sequence[File]) -> None:
    """Tie a state that lies beside its folder to it, before a file is moved.

    Args:
        root: the user's folder.
        state: its state folder.
        known: files that stay in it, with their digests.
    """
    if state.parent == root.resolve():
        return
    named = _read_tie(state).get("id") or secrets.token_hex(16)  # a copy of a folder brings the id of that one along
    chosen = [file for file in known if file.digest]
    step = max(1, len(chosen) // _SAMPLE)
    sample = [[file.name, file.size, file.digest] for file in chosen[::step][:_SAMPLE]]
    facts = root.stat()
    tie = {"id": named, "device": facts.st_dev, "inode": facts.st_ino, "files": sample}
    write_json(state / TIE, tie)
    if hasattr(os, "setxattr"):
        with suppress(OSError):  # the file system has none, or the folder is somebody else's
            os.setxattr(root, _ATTRIBUTE, named.encode())


def check_tie(root: Path, state: Path) -> None:
    """Make sure that a state beside a folder is that folder's own.

    Raises:
        RefusedError: it belongs to another one, which had this name before.
    """
    if state.parent == root.resolve() or not (tie := _read_tie(state)) or _fits(root, tie):
        return
    owner = next((path for path in _neighbours(root) if mark_of(path) == tie["id"]), None)
    whose = f"belongs to {printable(owner)}" if owner else "belongs to another folder, which had this name"
    raise RefusedError(
        f"{printable(state)} {whose}: it keeps what was set aside there, so nothing was changed. Rename it as that "
        f"folder is called now (.NAME.faceaug); if {printable(root)} is that folder, with other files, move it to "
        f"{printable(root / '.faceaug')}"
    )


def state_by_mark(root: Path) -> Path | None:
    """The state that lies beside a folder under an earlier name of it.

    A copy of a folder carries the same id: while there is a folder of that earlier name that does too, the state is
    that one's.
    """
    mark, real = mark_of(root), root.resolve()
    if not mark:
        return None
    found = sorted(path for path in real.parent.glob(".*.faceaug") if _read_tie(path).get("id") == mark)
    own = real.with_name(f".{real.name}.faceaug")
    others = [path for path in found if mark_of(path.with_name(path.name[1:].removesuffix(".faceaug"))) != mark]
    return own if own in found else next(iter(others), None)


def mark_of(root: Path) -> str:
    """The id that a folder carries; empty where it has none."""
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
    """The tie of a state; empty for a state of version 0.1.0, which had none, and for what is no tie."""
    try:
        tie = parse_json((state / TIE).read_bytes())
        files = tie["files"]
        whole = isinstance(tie["id"], str) and type(tie["device"]) is type(tie["inode"]) is int
        fit = all(isinstance(n, str) and type(s) is int and isinstance(d, str) and "\0" not in n for n, s, d in files)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return tie if whole and fit else {}
