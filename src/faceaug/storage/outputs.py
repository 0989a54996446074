"""Files that a user names as outputs. The one rule for all of them: what faceaug did not write is never written over.

An existing file is replaced only if it is an earlier output of the same kind, recognised by its content, or if the
caller says ``overwrite``. A folder, a link and a device are never replaced.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from faceaug.errors import ArgumentError, RefusedError, printable
from faceaug.storage.files import explained, publish_file, sync_folder
from faceaug.storage.partial import PARTIAL

HEAD = 65_536  # bytes at the beginning of a file in which its mark lies


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that an option or function writes.

    Attributes:
        name: noun for messages, such as "a contact sheet of faceaug preview".
        ending: ending of its names, in lower case, such as ".png".
        is_ours: whether a file that begins with these bytes (at most ``HEAD``) is an earlier output of this kind.
        is_data: whether a dataset would take the file for one of its pictures or tables.
    """

    name: str
    ending: str
    is_ours: Callable[[bytes], bool]
    is_data: bool = True


def check_output(
    path: Path, kinds: Sequence[Kind], *, overwrite: bool = False, apart_from: Sequence[Path] = ()
) -> Kind:
    """Check that a file can be written, before the work for it begins. Nothing is changed.

    Args:
        path: the file; missing parent folders are made when it is written.
        kinds: the kinds that can be written, by ending.
        overwrite: accept any existing file.
        apart_from: folders of pictures in which it must not lie if it is of a kind that they would take for their own.

    Returns:
        The kind that belongs to the ending.

    Raises:
        ArgumentError: a new file with another ending.
        RefusedError: the place is taken, lies in one of the folders, or cannot be written.
    """
    kind = _kind_of(path, kinds)
    place = Path(os.path.realpath(path.parent), path.name)  # unlike Path.resolve, realpath bears loops of links
    for folder in apart_from:
        if kind.is_data and place.is_relative_to(os.path.realpath(folder)):
            raise RefusedError(
                f"{printable(path)}: lies inside {printable(folder)} and would become a part of it; write it elsewhere"
            )
    with explained(path):
        _check_parents(path)
        _check_place(path, kind, overwrite=overwrite)
    return kind


def write_output(
    path: Path, data: bytes, kinds: Sequence[Kind], *, overwrite: bool = False, apart_from: Sequence[Path] = ()
) -> None:
    """Write a file that a user has named, atomically and durably; see ``check_output`` for arguments and errors.

    The place is checked again, because the work may have taken hours. A file with the same content is no obstacle.
    """
    fresh = not os.path.lexists(path)
    check_output(path, kinds, overwrite=overwrite or _holds(path, data), apart_from=apart_from)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: the usual one of a partial file may be a file of the user's.
        partial = path.parent / f".{secrets.token_hex(8)}{PARTIAL}"
        try:
            _write_new(partial, data)
            _publish(partial, path, fresh=fresh)
        finally:
            with suppress(OSError):
                partial.unlink()
        sync_folder(path.parent)


def _kind_of(path: Path, kinds: Sequence[Kind]) -> Kind:
    known = {kind.ending: kind for kind in kinds}
    if path.suffix in known:
        return known[path.suffix]
    small = path.suffix.lower()
    *first, last = known
    endings = f"{', '.join(first)} or {last}" if first else last
    ending = small if small in known else kinds[0].ending
    other = path.with_suffix(ending) if path.name.strip(".") else path / f"output{ending}"
    such = f"such as {printable(other)}"
    if os.path.lexists(path):
        raise RefusedError(f"{printable(path)}: exists, and its name does not end in {endings}; choose another, {such}")
    raise ArgumentError(f"{printable(path)}: expected a name that ends in {endings}, {such}")


def _check_parents(path: Path) -> None:
    """Refuse a path whose parent folders cannot be made."""
    for folder in path.absolute().parents:
        if folder.is_dir():
            if not os.access(folder, os.W_OK):
                raise RefusedError(f"{printable(path)}: {printable(folder)} cannot be written; check its permissions")
            return
        if os.path.lexists(folder):
            raise RefusedError(f"{printable(path)}: {printable(folder)} is not a folder; choose another place")


def _check_place(path: Path, kind: Kind, *, overwrite: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "not a regular file"
        raise RefusedError(f"{printable(path)}: is {what}, which is never replaced; choose another name")
    if overwrite:
        return
    if not kind.is_ours(read_head(path)):
        raise RefusedError(
            f"{printable(path)}: exists and is not {kind.name}; choose another name, or replace it with --overwrite "
            "(overwrite=True)"
        )


def read_head(path: Path) -> bytes:
    """The beginning of a file, in which its mark lies."""
    with path.open("rb") as handle:
        return handle.read(HEAD)


def _holds(path: Path, data: bytes) -> bool:
    """Whether a path is a regular file with this content."""
    try:
        facts = path.lstat()
        return stat.S_ISREG(facts.st_mode) and facts.st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _publish(partial: Path, path: Path, *, fresh: bool) -> None:
    """Give a complete file its name; if that was ``fresh``, a file that has appeared there since is not replaced."""
    if fresh:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise RefusedError(
                f"{printable(path)}: another file has just appeared there; choose another name"
            ) from None
        except OSError:  # a file system without hard links
            pass
        else:
            return
    publish_file(partial, path)
