"""Format of one journal record: a JSON line with a checksum, and the validation of its content.

A journal may come with a folder from an untrusted source, so no place in it may lead out of the folder and its state.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from faceaug.storage.schema import parse_json

Record: TypeAlias = dict[str, Any]
TEMPORARY = "/temporary/"
SET_ASIDE = "/set-aside/"
_Check: TypeAlias = Callable[[Any], bool]


def encode_record(record: Record) -> bytes:
    """Encode a record as a journal line with a checksum; names that are not UTF-8 become escaped surrogates."""
    text = json.dumps(record, sort_keys=True)
    return json.dumps(record | {"sum": _checksum(text)}, sort_keys=True).encode("ascii") + b"\n"


def decode_record(line: bytes) -> Record | None:
    """Decode a journal line; None if it is torn or damaged."""
    try:
        record = parse_json(line)
        claimed = record.pop("sum")
        whole = line.endswith(b"\n") and claimed == _checksum(json.dumps(record, sort_keys=True))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return record if whole else None


def problem_of(record: Record) -> str:
    """Why a record is invalid; empty if it is valid."""
    shape = _SHAPES.get(record["op"]) if isinstance(record.get("op"), str) else None
    if shape is None:
        return "its kind is unknown; a newer version of faceaug may have written it"
    missing = [name for name in shape if name not in record and name not in _OPTIONAL]
    if missing:
        return f"{missing[0]} is missing"
    odd = [name for name, check in shape.items() if name in record and not check(record[name])]
    return f"{odd[0]} is not as expected" if odd else ""


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64  # the largest inode number


def _is_time(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def is_path(value: Any) -> bool:
    """Whether a value is a path below a folder: relative, without "." and ".." parts."""
    if not isinstance(value, str) or "\0" in value or {"", ".", ".."} & set(value.split("/")):
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def _is_place(value: Any) -> bool:
    ours = isinstance(value, str) and value.startswith((TEMPORARY, SET_ASIDE))
    return is_path(value[1:] if ours else value)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_folders(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all((name == "" or is_path(name)) and _is_time(mtime) for name, mtime in value.items())


def is_run(value: Any) -> bool:
    """Whether a value is the name of a run."""
    return isinstance(value, str) and re.fullmatch(r"[0-9]{4,9}", value) is not None


def is_digest(value: Any) -> bool:
    """Whether a value is a BLAKE2b-128 digest in hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value) is not None


_STEP: dict[str, _Check] = {
    "step": _is_count,
    "start": _is_place,
    "end": _is_place,
    "inode": _is_count,
    "size": _is_count,
    "mtime_ns": _is_time,
    "final": _is_place,
    "digest": is_digest,
    "name": is_path,
}
_OPTIONAL = {"final", "digest", "name"}
_SHAPES: dict[str, dict[str, _Check]] = {
    "begin": {"what": lambda value: value in ("clean", "undo"), "run": is_run, "folders": _are_folders},
    "step": _STEP,
    "copy": {"step": _is_count},
    "done": {"steps": _are_counts, "skipped": _are_counts},
    "end": {"folders": _are_folders},
    "undone": {"run": is_run},
}


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()
