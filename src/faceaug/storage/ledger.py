"""The ledger of an output folder: which work is finished, so that a stopped run can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from faceaug.storage.durable import Tally, whole_lines
from faceaug.storage.files import has_digest, remove_output
from faceaug.storage.schema import parse_json


class Entry(Protocol):
    """A finished piece of work."""

    @property
    def file(self) -> str:
        """Path in the folder of the file that holds it, with "/"; empty if there is none."""

    @property
    def sha256(self) -> str:
        """SHA-256 of that file, hex."""

    def to_json(self) -> Sequence[object]:
        """Plain values: the line of the ledger."""


E = TypeVar("E", bound=Entry)


class Ledger(Generic[E]):
    """The finished entries of a folder, one line each, added once their files are durable.

    Each line has a checksum over its position and content. A line that was damaged, moved or edited, or that names a
    file elsewhere, ends the ledger, so the work of that line and of those after it is done again. The lines of version
    0.1 had no checksum; they get one when the ledger is opened.

    Args:
        path: file of the ledger, in the output folder.
        read: makes an entry of the values of a line; raises ValueError or TypeError if they are not those of an entry.

    Attributes:
        entries: finished entries, in the order in which they were added.
        damaged: positions of entries of an earlier run whose file was missing or had changed; it is removed.
    """

    def __init__(self, path: Path, read: Callable[[Any], E]) -> None:
        self._path = path
        self._folder = path.parent
        self._checked: dict[str, bool] = {}
        positions = count()
        plain = _is_plain(path)
        self.entries = whole_lines(
            path, lambda line: self._inside(read(parse_json(line) if plain else _content(line, next(positions))))
        )
        self.damaged = self._find_damaged()
        self._remove_damaged()
        self._tally = Tally(path, self._lines(0))

    def add(self, entries: Sequence[E]) -> None:
        """Add entries whose files are written."""
        first = len(self.entries)
        self.entries.extend(entries)
        self._tally.add(self._lines(first), self._paths(entries))

    def replace(self, first: int, entries: Sequence[E], *, count: int | None = None) -> None:
        """Replace entries whose files were written again, from position ``first`` on.

        Args:
            first: position of the first.
            entries: the new ones.
            count: number of entries that they replace; by default as many as they are.
        """
        count = len(entries) if count is None else count
        self._tally.add([], self._paths(entries))
        if count == len(entries):
            self.entries[first : first + count] = entries
            return
        self._tally.close()  # the files are durable before the lines that name them
        self.entries[first : first + count] = entries
        self._tally = Tally(self._path, self._lines(0))

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` entries."""
        self._tally.close()
        del self.entries[length:]
        self._tally = Tally(self._path, self._lines(0))

    def close(self) -> None:
        """Wait until every file is durable, and release the ledger, so that another one can continue it.

        Raises:
            OSError: the disk is full or fails.
        """
        self._tally.close()

    def remove(self) -> None:
        """Remove the ledger of a complete folder."""
        self.close()
        remove_output(self._path)

    def _inside(self, entry: E) -> E:
        """The entry; ValueError if its file is not in this folder."""
        parent = entry.file[: entry.file.rfind("/") + 1]
        if parent not in self._checked:
            place = os.path.realpath(self._folder / parent)
            self._checked[parent] = Path(place).is_relative_to(os.path.realpath(self._folder))
        if not self._checked[parent] or entry.file.endswith("..") or "\\" in entry.file:
            raise ValueError("a file elsewhere")
        return entry

    def _lines(self, first: int) -> list[str]:
        """The lines of the entries from position ``first`` on."""
        return [_line(entry, position) for position, entry in enumerate(self.entries[first:], start=first)]

    def _paths(self, entries: Sequence[E]) -> list[Path]:
        return [self._folder / name for name in dict.fromkeys(entry.file for entry in entries if entry.file)]

    def _find_damaged(self) -> frozenset[int]:
        """Check every file: reading takes a fraction of the time of making."""
        expected = {entry.file: entry.sha256 for entry in self.entries if entry.file}
        wrong = {name for name, digest in expected.items() if not has_digest(self._folder / name, digest)}
        return frozenset(position for position, entry in enumerate(self.entries) if entry.file in wrong)

    def _remove_damaged(self) -> None:
        """Remove what is in the place of damaged files: their names are ours, so they are written again."""
        for path in self._paths([self.entries[k] for k in sorted(self.damaged)]):
            if path.is_file() or path.is_symlink():
                remove_output(path)


def _is_plain(path: Path) -> bool:
    """Whether a ledger is one of version 0.1, without checksums."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"["


def _line(entry: Entry, position: int) -> str:
    text = json.dumps(entry.to_json())
    return f"{_checksum(text, position)} {text}\n"


def _content(line: str, position: int) -> Any:
    """The content of a line; raises ValueError if it is not the line that was written there."""
    claimed, _, text = line.partition(" ")
    if claimed != _checksum(text, position):
        raise ValueError("damaged")
    return parse_json(text)


def _checksum(text: str, position: int) -> str:
    return hashlib.blake2b(f"{position} {text}".encode(), digest_size=8).hexdigest()
