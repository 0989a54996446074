"""The ledger of an output folder: which work is finished, so that a stopped run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
    """The finished entries of a folder, one line of JSON each, added once their files are durable.

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
        self.entries = whole_lines(path, lambda line: read(parse_json(line)))
        self.damaged = self._find_damaged()
        self._remove_damaged()
        self._tally = Tally(path, map(_line, self.entries))

    def add(self, entries: Sequence[E]) -> None:
        """Add entries whose files are written."""
        self.entries.extend(entries)
        self._tally.add([_line(entry) for entry in entries], self._paths(entries))

    def replace(self, first: int, entries: Sequence[E]) -> None:
        """Replace entries whose files were written again, from position ``first`` on."""
        self.entries[first : first + len(entries)] = entries
        self._tally.add([], self._paths(entries))

    def truncate(self, count: int) -> None:
        """Keep the first ``count`` entries."""
        self._tally.close()
        del self.entries[count:]
        self._tally = Tally(self._path, map(_line, self.entries))

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


def _line(entry: Entry) -> str:
    return json.dumps(entry.to_json()) + "\n"
