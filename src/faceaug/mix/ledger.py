"""What of an expanded folder is written already, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.data.manifest import METADATA, csv_head
from faceaug.storage.durable import Tally, whole_lines
from faceaug.storage.files import PARTIAL, has_digest, remove_output, write_bytes
from faceaug.storage.schema import parse_json

FRAMINGS = ("cropped", "padded", "reduced", "enlarged")  # what a frame does to a picture


@dataclass(frozen=True, slots=True)
class Written:
    """One item that was handled.

    Attributes:
        index: of the item.
        file: that holds it, a path below the folder; empty if there is none.
        sha256: of that file.
        line: of ``metadata.csv``; empty if it has none.
        problem: why there is no file.
        hashes: of the picture, of a real one: perceptual, of itself; empty for others.
        framed: what was done to a real picture: first letters of ``FRAMINGS``.
        digest: of the picture's bytes, of a real one; empty for others.
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
    """The items handled so far, a line of JSON each in ``metadata.csv.partial``, written once their files are durable.

    Args:
        folder: that is filled.

    Attributes:
        items: in the order they were handled.
        damaged: indices of those of an earlier run whose file is not as it was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder / (METADATA + PARTIAL)
        self.items = [_item(parse_json(line)) for line in whole_lines(self._partial, _is_whole)]
        self.damaged = self._find_damaged()
        self._tally = Tally(self._partial, map(_text, self.items))

    def add(self, items: Sequence[Written]) -> None:
        """Take the items of one block, whose files are complete."""
        self.items.extend(items)
        self._tally.add([_text(item) for item in items], self._paths(items))

    def replace(self, first: int, items: Sequence[Written]) -> None:
        """Take the items of a block that was written again, from position ``first`` on."""
        self.items[first : first + len(items)] = items
        self._tally.add([], self._paths(items))

    def truncate(self, count: int) -> None:
        """Forget all but the first items: the others belong to a block that was cut off."""
        self._tally.close()
        del self.items[count:]
        self._tally = Tally(self._partial, map(_text, self.items))

    def close(self) -> None:
        """Stop here; another may go on."""
        self._tally.close()

    def finish(self, requested: Sequence[str], *, table: bool, named: bool = False) -> None:
        """Write ``metadata.csv`` in the order of the items, once the disk has all their files.

        Args:
            requested: attributes with a column ``requested_...``.
            table: whether there is a table; shards hold their facts themselves.
            named: whether labels have names.
        """
        self.close()
        if table:
            head = csv_head(named=named, requested=requested)
            lines = (item.line for item in sorted(self.items, key=lambda item: item.index))
            text = head + "".join(lines)
            write_bytes(self._folder / METADATA, text.encode("utf-8", "backslashreplace"))

    def remove(self) -> None:
        """Remove the ledger of a folder that is complete."""
        self.close()
        remove_output(self._partial)

    def _paths(self, items: Sequence[Written]) -> list[Path]:
        return [self._folder / name for name in dict.fromkeys(item.file for item in items if item.file)]

    def _find_damaged(self) -> frozenset[int]:
        """All are looked at: reading takes a fraction of the time that making took."""
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
