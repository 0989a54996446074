"""Atomic outputs: a file that has its final name is complete.

Only for files that faceaug itself writes. Only ``journal`` moves a user's file.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faceaug.errors import ArgumentError, FaceAugError, RefusedError, printable
from faceaug.storage.partial import OWN, PARTIAL, open_partial, partial_file, partial_path
from faceaug.storage.schema import parse_json

_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h
NO_RENAMEAT2 = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_FICLONE = 0x40049409  # linux/fs.h: share the content of another file
OUTPUT_LOCK = ".faceaug-lock"  # in an output folder while it is being filled
HIDDEN_TEMPORARY = ".faceaug-temporary-"  # prefix of temporary folders in other places than the system's
_DIGEST = "_sha256"  # suffix of the keys of digests in an identity
_SHOWN = 60  # maximum characters of a value in a message
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_PLACE = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file atomically, replacing an earlier one of faceaug's. Others may write the same file at the same time.

    Args:
        path: final name; its folder must exist.
        data: the whole content.
        durable: wait until the file is on the disk. For many files pass False and use ``faceaug.storage.durable``.
    """
    with partial_file(path) as (partial, handle):
        handle.write(data)
        handle.flush()
        if durable:
            os.fsync(handle.fileno())
        if sys.platform == "win32":  # where an open file has no second name
            handle.close()
        os.replace(partial, path)
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document durably, indented, with its keys in the given order."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # JSON escapes, where a name is not UTF-8


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder to the disk, where the system supports it."""
    if sys.platform == "win32":  # folders cannot be synced there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def has_digest(path: Path, sha256: str) -> bool:
    """Whether a path is a regular file with this SHA-256 (hex); links are not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags), "rb") as handle:
            regular = stat.S_ISREG(os.fstat(handle.fileno()).st_mode)
            return regular and hashlib.file_digest(handle, "sha256").hexdigest() == sha256
    except OSError:  # missing, a link, a folder or unreadable: the caller writes it again, which raises any real error
        return False


def remove_output(path: Path) -> None:
    """Remove a file or folder that faceaug itself wrote, such as an old checkpoint or a partial output."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what killed writers with names of their own left in an output folder, once nobody writes there."""
    for place, _, names in os.walk(folder):
        for name in names:
            if OWN.fullmatch(name):
                with suppress(OSError):
                    os.unlink(os.path.join(place, name))


def prepare_output(out: Path, *, inside: Path | None = None, marker: str, identity: dict[str, Any]) -> bool:
    """Prepare an output folder, or refuse before anything is written.

    Args:
        out: the folder to write into; created if missing.
        inside: a folder that must neither be nor contain ``out``, for commands that promise not to write there.
        marker: name of the JSON file in ``out`` that identifies the run.
        identity: content of the marker; an unfinished run is continued only if it matches.

    Returns:
        True if ``out`` holds an unfinished run with the same identity, False if it is new.

    Raises:
        RefusedError: ``out`` lies inside the folder, holds something else, or cannot be written.
    """
    with explained(out):
        if is_continued(out, inside=inside, marker=marker, identity=identity):
            return True
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / marker, {"run": identity, "finished": False})
        sync_folder(out.absolute().parent)
    return False


def is_continued(out: Path, *, inside: Path | None = None, marker: str, identity: dict[str, Any]) -> bool:
    """The result or error of ``prepare_output``, without writing anything."""
    if inside is not None and _lies_in(out, inside):
        raise RefusedError(f"{printable(out)} lies inside {printable(inside)}: choose an output folder outside it")
    state = out / marker
    with explained(out):
        if out.exists() and not out.is_dir():
            raise RefusedError(f"{printable(out)} is a file: give the name of a new or empty folder")
        if state.exists():
            found = _read_marker(state)
            # JSON has no tuples, so compare with the identity as it would be read back.
            if found.get("run") == json.loads(json.dumps(identity)) and not found.get("finished"):
                return True
            if found.get("finished"):
                raise RefusedError(f"{printable(out)} holds a finished run: choose another folder, or remove it first")
            if "run" not in found:  # a model, or another program's file of that name
                raise RefusedError(f"{printable(out)} is not empty: choose another folder")
            raise RefusedError(
                f"{printable(out)} holds another run, which was stopped ({_differences(found.get('run'), identity)}): "
                "choose another folder, or remove it first"
            )
        if out.is_dir() and not all(_is_left_at_start(entry.name, marker) for entry in out.iterdir()):
            raise RefusedError(f"{printable(out)} is not empty: choose a new or empty folder")
    return False


def _is_left_at_start(name: str, marker: str) -> bool:
    """Whether a run that was killed right at its start may have left an entry of this name."""
    return name in {marker + PARTIAL, OUTPUT_LOCK} or name.startswith(HIDDEN_TEMPORARY)


def finish_output(out: Path, *, marker: str, document: dict[str, Any]) -> None:
    """Mark an output folder complete. Call it last, when all other files are on the disk."""
    write_json(out / marker, document | {"finished": True})


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn system errors about space, permissions and invalid paths into a RefusedError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise RefusedError(f"{printable(path)}: no space left on the disk; free some and run again") from error
        if error.errno in _READ_ONLY:
            raise RefusedError(
                f"{printable(path)}: cannot be written ({error.strerror}); check its permissions"
            ) from error
        if error.errno in _NO_PLACE:
            raise RefusedError(
                f"{printable(path)}: cannot be written ({error.strerror}); choose another place"
            ) from error
        raise


def existing_folder(path: Path | str) -> Path:
    """Return the path, or raise ArgumentError if it is not a readable folder."""
    folder = Path(path)
    try:
        if folder.is_dir():
            with os.scandir(folder) as entries:  # ``iterdir`` would read all names
                next(iter(entries), None)
            return folder
    except OSError as error:
        failure = FaceAugError if error.errno == errno.EIO else ArgumentError  # a failing disk is not a usage error
        raise failure(f"{printable(folder)}: cannot be read ({error.strerror})") from error
    kind = "is a file, not a folder" if folder.exists() else "no such folder"
    raise ArgumentError(f"{printable(folder)}: {kind}")


def check_free_space(folder: Path, needed: int) -> None:
    """Raise RefusedError if the disk of ``folder`` has fewer than ``needed`` bytes free."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RefusedError(
            f"{printable(folder)}: about {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free"
        )


def check_output_space(out: Path, needed: int) -> None:
    """Raise RefusedError if the disk has too little space for an output folder.

    Args:
        out: the folder.
        needed: bytes of the whole output; what an interrupted run has left in the folder counts as a part of them.
    """
    check_free_space(out, needed - _held(out))


def _held(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if there is none."""
    sizes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                sizes += os.lstat(os.path.join(place, name)).st_size
    return sizes


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _differences(before: object, identity: dict[str, Any]) -> str:
    """Describe how a stopped run differs from the requested one; contents are compared by their digests."""
    now = json.loads(json.dumps(identity))
    if not isinstance(before, dict) or before.get("command") != now.get("command"):
        return "of another command"
    keys = [key for key in now.keys() | before.keys() if now.get(key) != before.get(key)]
    digests = [key.removesuffix(_DIGEST).replace("_", " ") for key in sorted(keys) if key.endswith(_DIGEST)]
    options = [f"{key} was {_short(before.get(key))}" for key in sorted(keys) if not key.endswith(_DIGEST)]
    contents = [f"its {' and '.join(digests)} changed since"] if digests else []
    return "; ".join(contents + options)


def _short(value: object) -> str:
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _read_marker(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"{printable(path)}: not a readable run file ({error}); choose another folder, or remove this one first"
        ) from error
    return found if isinstance(found, dict) else {}


def publish_folder(partial: Path, final: Path) -> None:
    """Rename a completely written folder to its final name, durably; replaces an older output of that name."""
    sync_folder(partial)
    if final.exists():
        remove_output(final)
    os.replace(partial, final)
    sync_folder(final.parent)


@contextmanager
def replacing_folder(final: Path, *, ours: Collection[str]) -> Iterator[Path]:
    """Replace a folder of ours as a whole: at any moment it holds the old files or the new ones, never some of each.

    Args:
        final: the folder; its parent must exist.
        ours: names of the files that may be in it. If it holds anything else, that is a user's, so the folder stays and
            the new files replace the old ones one by one.

    Yields:
        The folder to write into; if the block raises, ``final`` is unchanged (unless it holds a user's files).
    """
    if final.is_symlink() or (final.is_dir() and _others(final, ours)):
        yield final
        return
    partial = final.with_name(final.name + PARTIAL)
    for left in (partial, _aside(final)):  # by a killed run
        remove_output(left)
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        with suppress(OSError):
            remove_output(partial)
        raise
    sync_folder(partial)
    if not final.exists():
        os.replace(partial, final)
    else:
        _exchange(partial, final)
        remove_output(partial)
    sync_folder(final.parent)


def _others(folder: Path, ours: Collection[str]) -> bool:
    return any(entry.name.removesuffix(PARTIAL) not in ours for entry in folder.iterdir())


def _exchange(partial: Path, final: Path) -> None:
    """Let two folders change names, at once where the system can; ``partial`` then is the old one."""
    try:
        rename_with(_RENAME_EXCHANGE, partial, final)
    except OSError as error:
        if error.errno not in NO_RENAMEAT2:
            raise
        os.replace(final, _aside(final))
        os.replace(partial, final)
        os.replace(_aside(final), partial)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old{PARTIAL}")


def rename_with(flag: int, start: Path, end: Path) -> None:
    """Call renameat2(2) of Linux; OSError, one of NO_RENAMEAT2, where the system or the file system lacks it."""
    linux = sys.platform.startswith("linux")
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if linux else None
    if renameat2 is None:
        raise OSError(errno.ENOSYS, "no renameat2")
    if renameat2(_AT_FDCWD, os.fsencode(start), _AT_FDCWD, os.fsencode(end), flag) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(start))


def publish_file(partial: Path, final: Path) -> None:
    """Rename a completely written file of ours to its final name, durably."""
    with partial.open("rb+") as handle:
        os.fsync(handle.fileno())
    os.replace(partial, final)
    sync_folder(final.parent)


def copy_file(source: Path, target: Path, *, facts: os.stat_result) -> None:
    """Copy a user's file atomically, with its mode and modification time. For durability see ``GroupSync``.

    Btrfs, XFS and bcachefs share the content between both files, so that the copy takes no space.

    Args:
        source: a regular file; links are not followed.
        target: final name; its folder must exist.
        facts: stat result of the source from when the copy was decided.
    """
    partial = partial_path(target)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(source, flags), "rb") as original, open_partial(partial) as copy:
            if not _share_content(original.fileno(), copy.fileno()):
                shutil.copyfileobj(original, copy, 1 << 20)
        with suppress(PermissionError):  # FAT and some network file systems have no modes
            os.chmod(partial, stat.S_IMODE(facts.st_mode))
        os.utime(partial, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _share_content(original: int, copy: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    try:
        fcntl.ioctl(copy, _FICLONE, original)
    except OSError:
        return False
    return True
