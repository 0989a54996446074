"""Files of an output folder that an interrupted run may have begun.

A run that continues writes the same bytes again. A file in the way is therefore either what the run wrote, whole or,
after a power cut, with parts missing; or somebody else's, and then it stays.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from faceaug.errors import RefusedError, printable
from faceaug.storage.files import write_bytes
from faceaug.storage.outputs import read_head

_SECTOR = 512  # bytes; a disk writes each one wholly or not at all
_CHUNK = 2048 * _SECTOR


def write_again(
    path: Path, data: bytes, *, durable: bool = False, is_ours: Callable[[bytes], bool] | None = None
) -> None:
    """Write a file of an output folder atomically, unless a file that this run did not write is in the way.

    Args:
        path: final name; its folder must exist.
        data: the whole content.
        durable: see ``write_bytes``.
        is_ours: whether a file of other content was still written by this run, from its first ``HEAD`` bytes: another
            processor may round a pixel differently.

    Raises:
        RefusedError: something else has that name; it stays as it is.
    """
    if is_taken(path, data) and (is_ours is None or not _is_regular(path) or not is_ours(read_head(path))):
        raise in_the_way(path)
    write_bytes(path, data, durable=durable)


def in_the_way(path: Path) -> RefusedError:
    """The error for a name that something else has."""
    return RefusedError(f"{printable(path)}: is not what this run writes there; move it elsewhere, then run again")


def is_taken(path: Path, content: bytes | Path) -> bool:
    """Whether something has a name that is not this content, nor what a power cut may have left of it.

    Args:
        path: where a file is to be written.
        content: its content, or the file that is to be copied there.
    """
    if not os.path.lexists(path):
        return False
    if not _is_regular(path):
        return True
    with path.open("rb") as found, _opened(content) as whole:
        return not _is_left_of(found, whole)


def _opened(content: bytes | Path) -> BinaryIO:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _is_left_of(found: BinaryIO, whole: BinaryIO) -> bool:
    """Whether a file is what a power cut may leave of another one: a part of it, with zeros for what is missing."""
    while part := found.read(_CHUNK):
        expected = whole.read(len(part))
        if part != expected and (len(part) > len(expected) or not _has_holes(part, expected)):
            return False
    return True


def _has_holes(part: bytes, whole: bytes) -> bool:
    """Whether bytes differ from others of the same length by sectors of zeros alone."""
    return all(
        sector in (whole[start : start + _SECTOR], bytes(len(sector)))
        for start, sector in ((k, part[k : k + _SECTOR]) for k in range(0, len(part), _SECTOR))
    )
