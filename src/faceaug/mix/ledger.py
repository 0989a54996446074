"""The ledger of an expanded folder: which items are written, so that a stopped run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.data.manifest import METADATA, csv_head, write_table
from faceaug.storage.durable import Tally, whole_lines
from faceaug.storage.files import PARTIAL, has_digest, remove_output
from faceaug.storage.schema import parse_json

FRAMINGS = ("cropped", "padded", "reduced", "enlarged")  # what a frame does to a picture


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one item.

    Attributes:
        index: index of the item.
        file: path in the folder of the file that holds it; empty if there is none.
        sha256: SHA-256 of that file.
        line: line of ``metadata.csv``; empty if there is none.
        problem: why there is no file; empty if there is one.
        hashes: perceptual hash of a real picture; empty for other items.
        framed: changes made to a real picture, as first letters of ``FRAMINGS``.
        digest: digest of the encoded bytes of a real picture; empty for other items.
    """

    index: int
    file: str = ""
    sha256: str = ""
    line: str = ""
    problem: str = ""
    hashes: tuple[int, ...] = ()
    framed: str = ""
    digest: str = ""


class Ledger:
    """The finished items, one line of JSON each in ``metadata.csv.partial``, added once their files are durable.

    Args:
        folder: output folder.

    Attributes:
        items: finished items, in the order in which they were added.
        damaged: indices of items of an earlier run whose file is missing or has changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder / (METADATA + PARTIAL)
        self.items = [_item(parse_json(line)) for line in whole_lines(self._partial, _is_whole)]
        self.damaged = self._find_damaged()
        self._tally = Tally(self._partial, map(_text, self.items))

    def begin(self, requested: Sequence[str], *, named: bool = False) -> None:
        """Write ``metadata.csv`` without rows: nobody can take the unfinished folder for a set without labels."""
        write_table(self._folder, csv_head(named=named, requested=requested))

    def add(self, items: Sequence[Written]) -> None:
        """Add the items of a block whose files are complete."""
        self.items.extend(items)
        self._tally.add([_text(item) for item in items], self._paths(items))

    def replace(self, first: int, items: Sequence[Written]) -> None:
        """Replace the items of a block that was written again, from position ``first`` on."""
        self.items[first : first + len(items)] = items
        self._tally.add([], self._paths(items))

    def truncate(self, count: int) -> None:
        """Keep the first ``count`` items; the others belong to an interrupted block."""
        self._tally.close()
        del self.items[count:]
        self._tally = Tally(self._partial, map(_text, self.items))

    def close(self) -> None:
        """Close the file, so that another ledger can continue it."""
        self._tally.close()

    def finish(self, requested: Sequence[str], *, table: bool, named: bool = False) -> None:
        """Write ``metadata.csv`` in the order of the items, once all their files are durable.

        Args:
            requested: attributes with a column ``requested_...``.
            table: whether there is a table; shards contain their annotations themselves.
            named: whether labels have names.
        """
        self.close()
        if table:
            head = csv_head(named=named, requested=requested)
            lines = (item.line for item in sorted(self.items, key=lambda item: item.index))
            text = head + "".join(lines)
            write_table(self._folder, text)

    def remove(self) -> None:
        """Remove the ledger of a complete folder."""
        self.close()
        remove_output(self._partial)

    def _paths(self, items: Sequence[Written]) -> list[Path]:
        return [self._folder / name for name in dict.fromkeys(item.file for item in items if item.file)]

    def _find_damaged(self) -> frozenset[int]:
        """Check every file: reading takes a fraction of the time of making."""
        expected = {item.file: item.sha256 for item in self.items if item.file}
        wrong = {name for name, digest in expected.items() if not has_digest(self._folder / name, digest)}
        return frozenset(item.index for item in self.items if item.file in wrong)


def _text(item: Written) -> str:
    return json.dumps(tuple(getattr(item, name) for name in Written.__dataclass_fields__)) + "\n"


def _item(cells: list[Any]) -> Written:
    index, file, sha256, line, problem, hashes, framed, digest = cells
    return Written(index, file, sha256, line, problem, tuple(hashes), framed, digest)


def _is_whole(line: str) -> bool:
    try:
        item = _item(parse_json(line))
    except (ValueError, TypeError):
        return False
    texts = (item.file, item.sha256, item.line, item.problem, item.framed, item.digest)
    whole = type(item.index) is int and all(type(word) is int for word in item.hashes)
    return whole and all(isinstance(text, str) and "\0" not in text for text in texts)
