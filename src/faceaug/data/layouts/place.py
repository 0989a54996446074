"""The files of a folder, as input for the layout readers: their names, and what has been read of its tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from faceaug.data.annotations import SPLITS, Table
from faceaug.data.containers import kind_of, without_ending
from faceaug.data.metadata_files import Source, parse_metadata, read_source
from faceaug.data.tables import Kind, parse_table, read_text
from faceaug.storage.schema import parse_json
from faceaug.storage.walk import Listing

T = TypeVar("T")
_HEAD = 1 << 16  # bytes
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NOUNS = ("set", "data", "images", "image", "imgs", "img", "faces", "pictures", "pics", "split")
_SHORT = {"trn": 0, "tst": 2}
_WHOLE = {"publictest": 1, "privatetest": 2}  # of FER2013


@dataclass(frozen=True)
class Place:
    """The files of a folder or container.

    A table that is read through its place is read and parsed once, however many readers use it. What is returned is
    shared, so it must not be changed.

    Attributes:
        root: the folder or container.
        pictures: sorted paths below it of files with a picture suffix.
        others: sorted paths of all other files.
    """

    root: Path
    pictures: tuple[str, ...]
    others: tuple[str, ...]
    _read: dict[tuple[object, Path], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, listing: Listing) -> Place:
        """The names of a listed folder."""
        pictures = tuple(file.name for file in listing.files if file.is_picture)
        return cls(listing.root, pictures, tuple(file.name for file in listing.files if not file.is_picture))

    @cached_property
    def folders(self) -> dict[str, int]:
        """The folders that contain pictures ("" is the root), with the number of pictures in each."""
        return dict(Counter(name.rpartition("/")[0] for name in self.pictures))

    @cached_property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The path components of each of these folders; containers without their suffix."""
        return {folder: tuple(map(without_ending, folder.split("/"))) if folder else () for folder in self.folders}

    @cached_property
    def tables(self) -> dict[str, list[str]]:
        """Paths of other files by file name, the least nested first."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.others, key=lambda name: (name.count("/"), name)):
            found.setdefault(name.rpartition("/")[2], []).append(name)
        return found

    @cached_property
    def own_name(self) -> str:
        """The folder's real name, even if it was opened as "." or through a link."""
        return self.root.resolve().name

    @cached_property
    def _tails(self) -> dict[str, str]:
        """The picture of each end of a path (``1.jpg``, ``train/1.jpg``, ...); "" for ends of several pictures."""
        found: dict[str, str] = {}
        for name in self.pictures:
            starts = [0, *(k + 1 for k, c in enumerate(name) if c == "/")]
            for tail in (name[start:] for start in starts):
                found[tail] = "" if tail in found else name
        return found

    def named_in(self, table: str, names: Iterable[str]) -> list[str]:
        """The pictures that a table names by their path below its folder, or by the unique end of their path.

        Args:
            table: the table.
            names: names in it, with either separator.

        Returns:
            A picture for each name; "" for none.
        """
        here = frozenset(self.pictures)
        below = table[: table.rfind("/") + 1]
        plain = [name.replace("\\", "/").removeprefix("./") for name in names]
        single = len(self.folders) == 1  # else a name without folders may be that of another partition's picture
        tails = [self._tails.get(name, "") if single or "/" in name else "" for name in plain]
        return [below + name if below + name in here else tail for name, tail in zip(plain, tails, strict=True)]

    def file(self, name: str) -> Path:
        """The path of a file."""
        return self.root / name

    def once(self, read: Callable[[Path], T], path: Path) -> T:
        """The result of ``read`` for a file. It is called only the first time; errors are not remembered."""
        return self._once((read, path), lambda: read(path))

    def text(self, path: Path) -> str:
        """The text of a file; see ``read_text``."""
        return self.once(read_text, path)

    def head(self, path: Path) -> str:
        """The beginning of a file, from which a reader recognises its own."""
        return self.once(_read_head, path)

    def table(self, path: Path, kind: Kind | None = None) -> Table:
        """A CelebA table; see ``read_table``."""
        return self._once((kind, path), lambda: parse_table(path, self.text(path), kind))

    def json(self, path: Path) -> Any:
        """The content of a JSON file; see ``parse_json``."""
        return self.once(_read_json, path)

    def source(self, path: Path) -> Source:
        """The content of an imagefolder table; see ``read_source``."""
        return self.once(read_source, path)

    def rows(self, path: Path) -> list[dict[str, Any]]:
        """The rows of an imagefolder table; see ``read_metadata``."""
        return self._once((parse_metadata, path), lambda: parse_metadata(path, self.source(path)))

    def _once(self, key: tuple[object, Path], read: Callable[[], T]) -> T:
        if key not in self._read:
            self._read[key] = read()
        found: T = self._read[key]
        return found

    def has_folder(self, names: Iterable[str]) -> bool:
        """Whether pictures are in a folder with one of these names, or the root has one."""
        wanted = set(names)
        return self.own_name in wanted or any(not wanted.isdisjoint(parts) for parts in self.parts.values())

    def is_shard(self, folder: str, level: int) -> bool:
        """Whether that component of a folder's path is a container, which is not a class."""
        return kind_of(folder.split("/")[level]) is not None


def _read_head(path: Path) -> str:
    return read_text(path, _HEAD)


def _read_json(path: Path) -> Any:
    return parse_json(read_text(path))


def part_of(name: str) -> int | None:
    """The partition of a folder with this name: 0 train, 1 validation, 2 test; None for other names."""
    return SPLITS.get(name.lower())


def part_within(name: str) -> int | None:
    """The same for names that contain keywords of one partition.

    For example ``train_set``, ``data-test``, ``train-00001``, ``trainset``, ``TestImages`` and ``PublicTest``.
    """
    if name.lower() in _WHOLE:
        return _WHOLE[name.lower()]
    words = [word.lower() for word in _WORD.findall(name)]
    words += [word.removesuffix(noun) for word in words for noun in _NOUNS if word.endswith(noun)]
    words += "".join(c if c.isalpha() else " " for c in name.lower()).split()
    found = {part for word in words if (part := SPLITS.get(word, _SHORT.get(word))) is not None}
    return found.pop() if len(found) == 1 else None
