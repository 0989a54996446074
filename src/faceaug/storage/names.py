"""Check file names against a file system (illegal, changed or merged names) by trying them on the disk itself."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from faceaug.errors import RefusedError, printable
from faceaug.storage.temporary import make_temporary

_ODD = re.compile(r'[\x00-\x1f<>:"\\|?*\udc80-\udcff]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
_LONG = 100  # bytes; names above this are tried, because encrypted file systems may allow only 143


def check_names(out: Path, names: Iterable[str]) -> None:
    """Check that a folder can hold all names, each as a separate file. Leaves nothing behind.

    Args:
        out: the folder; it need not exist yet.
        names: paths below it, with "/".

    Raises:
        RefusedError: a name is not possible, or two names denote the same file.
    """
    known = sorted(set(names))
    parts = sorted({part for name in known for part in name.split("/") if _is_odd(part)})
    twins = sorted(_twins(known))
    problems = list(_too_long(out, known))
    if parts or twins:
        with _Probe(out) as probe:
            problems += [f"{printable(part)} ({why})" for part in parts if (why := probe.refuses(part))]
            problems += [
                f"{printable(one)} and {printable(other)} would be the same file"
                for one, other in twins
                if probe.merges(one.rpartition("/")[2], other.rpartition("/")[2])
            ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise RefusedError(
            f"{printable(out)}: its file system cannot hold these names: {'; '.join(problems[:3])}{more}. "
            "Nothing was written; rename them in the original, or choose a folder on another disk"
        )


def _is_odd(part: str) -> bool:
    return len(os.fsencode(part)) > _LONG or _ODD.search(part) is not None


def _twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of files or folders in one folder whose names differ only in case or Unicode normalisation."""
    seen: set[str] = set()
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        path = name
        while path and path not in seen:  # the file and its parent folders
            seen.add(path)
            folder, _, last = path.rpartition("/")
            alike[f"{folder}/{folded_name(last)}"].append(path)
            path = folder
    for group in alike.values():
        first, *others = sorted(group)
        yield from ((first, other) for other in others)


def folded_name(name: str) -> str:
    """A name or path as the most tolerant disk compares it: without case, and in one normal form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name.upper()).casefold())


def _too_long(out: Path, names: Iterable[str]) -> Iterator[str]:
    try:
        place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
        room = os.pathconf(place, "PC_PATH_MAX") - len(os.fsencode(out)) - 2
    except (AttributeError, OSError, ValueError):  # systems without pathconf, or without a limit
        return
    yield from (f"{printable(name)} (the path is too long)" for name in names if len(os.fsencode(name)) > room)


class _Probe:
    """A temporary folder for trying names, in ``out`` or its nearest existing parent."""

    def __init__(self, out: Path) -> None:
        near = next(path for path in (out.absolute(), *out.absolute().parents) if path.is_dir())
        try:
            self._temporary = make_temporary(near)
            self._folder = self._temporary.path / "names"  # next to the lock
            self._folder.mkdir()
        except OSError as error:
            raise RefusedError(
                f"{printable(near)}: cannot be written ({error.strerror}); check its permissions"
            ) from error

    def __enter__(self) -> _Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.remove()

    def refuses(self, part: str) -> str:
        """Why a file cannot have exactly this name; empty if it can."""
        path = self._folder / part
        try:
            path.touch(exist_ok=False)
            kept = part in os.listdir(self._folder)
            path.unlink()
        except (OSError, ValueError) as error:
            return "too long" if getattr(error, "errno", 0) == errno.ENAMETOOLONG else "not a legal name there"
        return "" if kept else "it would be changed"

    def merges(self, one: str, other: str) -> bool:
        """Whether two names denote the same file."""
        with suppress(OSError):
            (self._folder / one).touch()
            found = os.path.lexists(self._folder / other)
            (self._folder / one).unlink()
            return found
        return False
