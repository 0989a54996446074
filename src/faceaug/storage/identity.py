"""File identity: content decides, then size and modification time; the inode number is only a hint.

exFAT and network file systems assign new inode numbers at each mount, and every copy, archive and backup does too. The
time resolution of FAT is two seconds, of exFAT ten milliseconds, of tar one second. A digest is computed only if the
rest is inconclusive.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from faceaug.storage.walk import File

# Time resolutions in ns: NTFS, file systems with micro- and milliseconds, exFAT, tar, FAT.
_RESOLUTIONS = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
_CHUNK = 1 << 20


def same_time(one: int, other: int) -> bool:
    """Whether two modification times (ns) may be the same time stored at different resolutions."""
    return one == other or _is_rounded(one, other) or _is_rounded(other, one)


def _is_rounded(fine: int, coarse: int) -> bool:
    return any(coarse % step == 0 and fine % step and abs(fine - coarse) < step for step in _RESOLUTIONS)


def facts_of(path: Path) -> os.stat_result | None:
    """Stat result of a path, links not followed; None if it does not exist."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_of(name: str, facts: os.stat_result, *, digest: str = "") -> File:
    """A ``File`` with the given name and the facts of a stat result."""
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
    """Whether a path still holds the regular file that was listed by this run.

    Size, modification time and inode must match, or else the digest; a file without a digest must match in all three.
    """
    facts = facts_of(path)
    if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != file.size:
        return False
    if (facts.st_dev, facts.st_ino, facts.st_mtime_ns) == (file.device, file.inode, file.mtime_ns):
        return True
    return _has_content(path, file.digest)


def is_remembered(path: Path, file: File) -> bool:
    """Whether a path holds a regular file recorded in the journal, even after a remount or a copy of the folder."""
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
