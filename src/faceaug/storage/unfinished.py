"""Files of an output folder that an interrupted run may have begun.

A run that continues writes the same bytes again. A file in the way is therefore either what the run wrote, whole or,
after a power cut, with parts missing; or somebody else's, and then it stays. Another processor or version of a library
may round a pixel differently, so a run also notes the content of each file before it writes it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from faceaug.errors import RefusedError, printable
from faceaug.storage.files import write_bytes
from faceaug.storage.outputs import read_head
from faceaug.storage.partial import PARTIAL, partial_path, writer

BEGUN = "begun" + PARTIAL  # in an unfinished output folder; see ``Begun``
_SECTOR = 512  # bytes; a disk writes each one wholly or not at all
_CHUNK = 2048 * _SECTOR


@dataclass(frozen=True, slots=True)
class Begun:
    """The contents of files that a run has begun to write: a digest a line. Any number of processes add to it.

    Machines that append to one file of a shared disk write over each other's lines, so the processes of a cluster keep
    one each, next to it (``faceaug.storage.partial.writer``).

    Attributes:
        path: where it is kept, in the output folder, until that is complete.
        reader: distinguishes this run from others of the same process, which read it anew.
    """

    path: Path
    reader: int = field(default_factory=time.monotonic_ns)

    def add(self, data: bytes) -> None:
        """Note a content that is written next."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial_path(self.path.with_suffix(""), by=writer()), flags, 0o666)
        try:
            os.write(descriptor, _digest(data).encode() + b"\n")  # at once, or processes would mix their lines
        finally:
            os.close(descriptor)

    def holds(self, path: Path) -> bool:
        """Whether a file has one of the contents that this run, or the one that it continues, has noted."""
        return _digest(path.read_bytes()) in _noted(self)

    def remove(self) -> None:
        """Remove it from a complete folder; ``remove_partials`` removes those of a cluster."""
        self.path.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _noted(begun: Begun) -> frozenset[str]:
    found: set[str] = set()
    for path in (begun.path, *begun.path.parent.glob(f"{begun.path.stem}.by-*{PARTIAL}")):
        with suppress(FileNotFoundError):
            found.update(path.read_text("ascii", "replace").split("\n"))
    return frozenset(found)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write_again(
    path: Path,
    data: bytes,
    *,
    durable: bool = False,
    is_ours: Callable[[bytes], bool] | None = None,
    begun: Begun | None = None,
) -> None:
    """Write a file of an output folder atomically, unless a file that this run did not write is in the way.

    Args:
        path: final name; its folder must exist.
        data: the whole content.
        durable: see ``write_bytes``.
        is_ours: whether a file of other content was still written by this run, from its first ``HEAD`` bytes.
        begun: contents that this run has written; a file with one of them is replaced. The content is noted there.

    Raises:
        RefusedError: something else has that name; it stays as it is.
    """
    begin(path, data, is_ours=is_ours, begun=begun)
    write_bytes(path, data, durable=durable)


def begin(
    path: Path, data: bytes, *, is_ours: Callable[[bytes], bool] | None = None, begun: Begun | None = None
) -> None:
    """Check and note what is written next by other means than ``write_again``; see there for arguments and errors."""
    if is_taken(path, data) and not (_is_regular(path) and _is_known(path, is_ours, begun)):
        raise in_the_way(path)
    if begun is not None:
        begun.add(data)


def _is_known(path: Path, is_ours: Callable[[bytes], bool] | None, begun: Begun | None) -> bool:
    return (is_ours is not None and is_ours(read_head(path))) or (begun is not None and begun.holds(path))


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
