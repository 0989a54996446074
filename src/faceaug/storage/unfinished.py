"""Files of an output folder that an interrupted run may have begun.

A run that continues writes the same bytes again. A file in the way is therefore either what the run wrote, whole or,
after a power cut, with parts missing; or somebody else's, and then it stays.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from faceaug.errors import RefusedError, printable
from faceaug.storage.files import write_bytes

_SECTOR = 512  # bytes; a disk writes each one wholly or not at all


def write_again(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file of an output folder atomically, unless a file that this run did not write is in the way.

    Args:
        path: final name; its folder must exist.
        data: the whole content.
        durable: see ``write_bytes``.

    Raises:
        RefusedError: something else has that name; it stays as it is.
    """
    check_free(path, data)
    write_bytes(path, data, durable=durable)


def check_free(path: Path, data: bytes, *, begins: bool = False) -> None:
    """Refuse a name that something else has, see ``is_taken``.

    Raises:
        RefusedError: it has.
    """
    if is_taken(path, data, begins=begins):
        raise RefusedError(f"{printable(path)}: is not what this run writes there; move it elsewhere, then run again")


def is_taken(path: Path, data: bytes, *, begins: bool = False) -> bool:
    """Whether something has a name that is not this content, nor what a power cut may have left of it.

    Args:
        path: where a file is to be written.
        data: its content.
        begins: accept any file that begins with this content, such as a table with this header.
    """
    try:
        facts = path.lstat()
    except OSError:  # nothing is there; any other failure the writing will name
        return False
    if not stat.S_ISREG(facts.st_mode):
        return True
    if facts.st_size > len(data):
        return not (begins and path.read_bytes().startswith(data))
    return not _is_left_of(path.read_bytes(), data)


def _is_left_of(found: bytes, data: bytes) -> bool:
    """Whether some bytes are what a power cut may leave of a file: a part of it, with zeros for what is missing."""
    return found == data or all(part in (whole, bytes(len(part))) for part, whole in _sectors(found, data))


def _sectors(found: bytes, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The sectors of a file with what belongs there."""
    for start in range(0, len(found), _SECTOR):
        part = found[start : start + _SECTOR]
        yield part, data[start : start + len(part)]
