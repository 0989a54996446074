"""The outcome of one item of an expanded folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FRAMINGS = ("cropped", "padded", "reduced", "enlarged")  # what a frame does to a picture


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one item: an entry of the ledger of an unfinished folder.

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

    def to_json(self) -> tuple[object, ...]:
        """The line of the ledger."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)


def read_written(values: Any) -> Written:
    """Read the outcome of an item from the line of a ledger.

    Raises:
        ValueError: the values are not those of an item.
        TypeError: likewise.
    """
    index, file, sha256, line, problem, hashes, framed, digest = values
    whole = type(index) is int and all(type(word) is int for word in hashes)
    texts = (file, sha256, line, problem, framed, digest)
    if not whole or not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise ValueError("not an item")
    return Written(index, file, sha256, line, problem, tuple(hashes), framed, digest)
