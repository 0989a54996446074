"""What of an expanded folder is written already, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faceaug.data.manifest import METADATA, csv_head
from faceaug.storage.files import PARTIAL, remove_output, write_bytes

FRAMINGS = ("cropped", "padded", "reduced", "enlarged")  # what a frame does to a picture


@dataclass(frozen=True, slots=True)
class Written:
    """One item that was handled.

    Attributes:
        index: of the item.
        line: of ``metadata.csv``; empty if there is no file.
        problem: why there is none.
        hashes: of the picture, of a real one: perceptual, of itself; empty for others.
        framed: what was done to a real picture: first letters of ``FRAMINGS``.
        digest: of the file's bytes, of a real one; empty for others.
    """

    index: int
    line: str = ""
    problem: str = ""
    hashes: tuple[int, ...] = ()
    framed: str = ""
    digest: str = ""


class Ledger:
    """The items handled so far, a line of JSON each in ``metadata.csv.partial``, written after their files.

    Args:
        folder: that is filled.

    Attributes:
        items: in the order they were handled.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder / (METADATA + PARTIAL)
        self.items = self._read_back()
        write_bytes(self._partial, "".join(map(_text, self.items)).encode())
        self._handle = self._partial.open("a", encoding="utf-8")

    def add(self, items: Sequence[Written]) -> None:
        """Take the items of one block, whose files are complete."""
        self.items.extend(items)
        self._handle.write("".join(map(_text, items)))
        self._handle.flush()

    def truncate(self, count: int) -> None:
        """Forget all but the first items: the others belong to a block that was cut off."""
        self._handle.close()
        del self.items[count:]
        write_bytes(self._partial, "".join(map(_text, self.items)).encode())
        self._handle = self._partial.open("a", encoding="utf-8")

    def close(self) -> None:
        """Stop here; another may go on."""
        self._handle.close()

    def finish(self, requested: Sequence[str], *, table: bool, named: bool = False) -> None:
        """Write ``metadata.csv`` in the order of the items, complete or absent, and drop the partial one.

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
            write_bytes(self._folder / METADATA, text.encode("utf-8", "backslashreplace"), durable=True)
        remove_output(self._partial)

    def _read_back(self) -> list[Written]:
        """The complete lines of an interrupted run; a torn last line is as if it had never been begun."""
        text = self._partial.read_text("utf-8") if self._partial.is_file() else ""
        found = []
        for line in text.split("\n")[:-1]:
            index, row, problem, hashes, framed, digest = json.loads(line)
            found.append(Written(index, row, problem, tuple(hashes), framed, digest))
        return found


def _text(item: Written) -> str:
    return json.dumps((item.index, item.line, item.problem, item.hashes, item.framed, item.digest)) + "\n"
