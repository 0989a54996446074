"""Which file is which: its content decides, then size and time; the number that a device gives it is only a hint.

exFAT and network disks number their files anew at each mount, and so does every copy, archive and backup. FAT keeps
times of two seconds, exFAT of ten milliseconds, tar of one second. A digest is computed only where the rest leaves a
doubt.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from faceaug.storage.walk import File

# Steps, in nanoseconds, of the times kept by NTFS, by systems of micro- and of milliseconds, by exFAT, tar and FAT.
_GRIDS = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
_CHUNK = 1 << 20


def same_time(one: int, other: int) -> bool:
    """Whether two times of change, in nanoseconds, may be one that was kept with different resolutions."""
    return one == other or _rounded(one, other) or _rounded(other, one)


def _rounded(fine: int, coarse: int) -> bool:
    return any(coarse % grid == 0 and fine % grid and abs(fine - coarse) < grid for grid in _GRIDS)


def facts_of(path: Path) -> os.stat_result | None:
    """What the disk says of a name, links not followed; None where there is none."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_of(name: str, facts: os.stat_result, *, digest: str = "") -> File:
    """The facts under a name of the caller's."""
    return File(name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, digest)


def digest_of(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, hex; links are not followed.

    Raises:
        OSError: the file cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    found = hashlib.blake2b(digest_size=16)
    with open(os.open(path, flags), "rb", buffering=0) as handle:
        while data := handle.read(_CHUNK):
            found.update(data)
    return found.hexdigest()


def is_as_seen(path: Path, file: File) -> bool:
    """Whether a path still holds the regular file that was seen a moment ago.

    Size, time of change and number say so, or else the content: a file without a digest is held to its number.
    """
    facts = facts_of(path)
    if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != file.size:
        return False
    if (facts.st_dev, facts.st_ino, facts.st_mtime_ns) == (file.device, file.inode, file.mtime_ns):
        return True
    return _has_content(path, file.digest)


def is_remembered(path: Path, file: File) -> bool:
    """Whether a path holds the regular file that a journal tells of, perhaps from another mount or a copied folder."""
    facts = facts_of(path)
    if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != file.size:
        return False
    if facts.st_mtime_ns == file.mtime_ns:
        return True
    return _has_content(path, file.digest) if file.digest else same_time(facts.st_mtime_ns, file.mtime_ns)


def _has_content(path: Path, digest: str) -> bool:
    if not digest:
        return False
    try:
        return digest_of(path) == digest
    except FileNotFoundError:
        return False
