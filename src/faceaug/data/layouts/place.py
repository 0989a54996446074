"""The file names of a folder, as input for the layout readers. No file is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from faceaug.data.annotations import SPLITS
from faceaug.data.containers import kind_of, without_ending
from faceaug.storage.walk import Listing


@dataclass(frozen=True)
class Place:
    """The files of a folder or container.

    Attributes:
        root: the folder or container.
        pictures: sorted paths below it of files with a picture suffix.
        others: sorted paths of all other files.
    """

    root: Path
    pictures: tuple[str, ...]
    others: tuple[str, ...]

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

    def file(self, name: str) -> Path:
        """The path of a file."""
        return self.root / name

    def has_folder(self, names: Iterable[str]) -> bool:
        """Whether pictures are in a folder with one of these names, or the root has one."""
        wanted = set(names)
        return self.own_name in wanted or any(not wanted.isdisjoint(parts) for parts in self.parts.values())

    def is_shard(self, folder: str, level: int) -> bool:
        """Whether that component of a folder's path is a container, which is not a class."""
        return kind_of(folder.split("/")[level]) is not None


def part_of(name: str) -> int | None:
    """The partition of a folder with this name: 0 train, 1 validation, 2 test; None for other names."""
    return SPLITS.get(name.lower())


def part_within(name: str) -> int | None:
    """The same for names that contain keywords of one partition (``train_set``, ``data-test``, ``train-00001``)."""
    words = "".join(c if c.isalpha() else " " for c in name.lower()).split()
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None
