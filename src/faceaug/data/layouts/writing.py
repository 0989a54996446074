"""What a layout's writer is: which annotations the layout holds, where pictures go, and its tables or shards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, Annotations
from faceaug.data.containers import without_ending
from faceaug.data.layouts.place import part_of, part_within
from faceaug.errors import printable, some

Fact: TypeAlias = Literal[
    "attributes", "identities", "names of identities", "labels", "names of labels", "partitions", "landmarks", "boxes",
    "points", "masks", "weights", "origins", "further columns",
]  # fmt: skip
Tables: TypeAlias = Mapping[str, bytes]  # path below the output folder -> content
PART_NAMES = {number: name for name, number in PARTITIONS.items()}
_FOLDER_NAME = re.compile(r"[^/\\\0]{1,100}")
_FORBIDDEN = frozenset('<>:"|?*')  # in names on Windows


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces to write.

    Attributes:
        names: their paths in the folder they come from.
        known: their annotations.
        classes: names of the labels; empty if labels are numbers.
        identities: names of the identities; empty if identities are numbers.
        sources: for each face the real picture from which it was made, or itself; empty if all are real.
    """

    names: tuple[str, ...]
    known: Annotations
    classes: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> Faces:
        """Some of the faces."""
        known = self.known.take(np.array(rows, np.int64))
        names = tuple(self.names[k] for k in rows)
        sources = tuple(self.sources[k] for k in rows) if self.sources else ()
        return Faces(names, known, self.classes, self.identities, sources)


def name_sources(names: Sequence[str], known: Annotations) -> tuple[str, ...]:
    """The field ``sources`` of ``Faces``."""
    if not (known.origin > 0).any():
        return ()
    rows = np.where(known.origin == 0, np.arange(len(names)), known.source).tolist()
    return tuple(printable(names[k]) if k >= 0 else "" for k in rows)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each face goes.

    Attributes:
        stems: path of each picture below the output folder, or in its shard, without suffix; None for faces that the
            layout cannot hold.
        notes: what was decided, and what is not held.
        shards: (path, faces) of each shard; empty if pictures are files.
    """

    stems: tuple[str | None, ...]
    notes: tuple[str, ...] = ()
    shards: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was written.

    Attributes:
        row: which face.
        name: path below the output folder, or in the shard.
        width: pixels.
        height: pixels.
        sha256: digest of its bytes, hex.
    """

    row: int
    name: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Writer:
    """How a layout is written.

    Attributes:
        holds: the annotations that it can hold; others are named in the report.
        plan: decides where each face goes.
        tables: makes the tables when all pictures are written: path -> content.
        pack: makes a shard of its pictures; None if pictures are files.
        rgb: whether all pictures must have three channels.
        needs: module that must be installed, and the extra that has it; empty if none.
    """

    holds: frozenset[Fact]
    plan: Callable[[Faces], Plan]
    tables: Callable[[Faces, Sequence[Picture]], Tables]
    pack: Callable[[Faces, Sequence[tuple[Picture, bytes]]], bytes] | None = None
    rgb: bool = False
    needs: tuple[str, str] | tuple[()] = ()


def count_facts(faces: Faces) -> dict[Fact, int]:
    """The number of faces of which something is known, for each kind of annotation that is known for any."""
    known = faces.known
    labelled, identified = known.label >= 0, known.identity >= 0
    counts: dict[Fact, int | np.int64] = {
        "attributes": (known.attributes != 0).any(axis=1).sum(),
        "identities": identified.sum(),
        "names of identities": identified.sum() if faces.identities else 0,
        "labels": labelled.sum(),
        "names of labels": labelled.sum() if faces.classes else 0,
        "partitions": (known.partition >= 0).sum(),
        "landmarks": (~np.isnan(known.landmarks)).any(axis=(1, 2)).sum(),
        "boxes": 0 if known.boxes is None else (~np.isnan(known.boxes)).any(axis=1).sum(),
        "points": 0 if known.points is None else (~np.isnan(known.points)).any(axis=(1, 2)).sum(),
        "masks": 0 if known.masks is None else sum(map(bool, known.masks)),
        "weights": (known.weight != 1).sum(),
        "origins": (known.origin > 0).sum(),
        "further columns": max((sum(v is not None for v in values) for values in known.columns.values()), default=0),
    }
    return {name: int(count) for name, count in counts.items() if count}


def in_parts(faces: Faces, stems: Sequence[str | None], *, unknown: str) -> tuple[str | None, ...]:
    """Put each picture into the folder of its partition, if any partition is known.

    Args:
        faces: the faces.
        stems: paths to put there.
        unknown: folder for pictures in no partition, if others are in one.
    """
    parts = faces.known.partition.tolist()
    if all(part < 0 for part in parts):
        return tuple(stems)
    folders = (PART_NAMES.get(part, unknown) for part in parts)
    return tuple(None if stem is None else f"{folder}/{stem}" for folder, stem in zip(folders, stems, strict=True))


def plain_stems(
    faces: Faces, *, within: Sequence[object] = (), flat: bool = False, blanks: bool = True
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths without suffix, of the original names where possible, else numbers.

    Shared folders, containers and folders of partitions are left out of the paths.

    Args:
        faces: the faces.
        within: for each face what its path will be put into; paths in different ones may be the same.
        flat: without folders.
        blanks: whether blanks are allowed.

    Returns:
        (paths, notes): unique even where upper and lower case are the same, and in UTF-8.
    """
    paths = [_path(name) for name in faces.names]
    shared = _shared([path[:-1] for path in paths])
    short = [path[-1:] if flat else (*path[shared:-1], path[-1]) for path in paths]
    stems = ["/".join(path) for path in short]
    places = within or [None] * len(stems)
    unique = len({(place, stem.casefold()) for place, stem in zip(places, stems, strict=True)}) == len(stems)
    fitting = all(map(_is_safe, stems)) and (blanks or not any(re.search(r"\s", stem) for stem in stems))
    if unique and fitting:
        return tuple(stems), ()
    digits = max(6, len(str(len(stems))))
    numbers = tuple(f"{k:0{digits}d}" for k in range(1, len(stems) + 1))
    why = "their names are not unique, not UTF-8 or not allowed there"
    return numbers, (f"pictures are numbered because {why} ({some([faces.names[0]])} is {numbers[0]})",)


def folder_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names that cannot be folders of classes: not portable, hidden, or words for partitions."""
    return tuple(name for name in names if not _is_class_folder(name))


def _is_class_folder(name: str) -> bool:
    return _is_safe(name) and _FOLDER_NAME.fullmatch(name) is not None and part_within(name) is None


def _is_safe(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and all(map(_is_safe_part, parts)) and len(path) <= 1000


def _is_safe_part(part: str) -> bool:
    return (
        bool(part) and part[0] not in ". " and part[-1] not in ". " and len(part) <= 100 and _FORBIDDEN.isdisjoint(part)
    )


def _path(name: str) -> tuple[str, ...]:
    """The path of a picture without suffix, without folders that are words for partitions."""
    pure = PurePosixPath(name)
    folders = [without_ending(part) for part in pure.parts[:-1]]
    return (*(part for part in folders if part_of(part) is None), pure.stem)


def _shared(paths: Sequence[tuple[str, ...]]) -> int:
    first, last = min(paths), max(paths)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return same


def shards_of(rows: NDArray[np.int64], size: int) -> list[tuple[int, ...]]:
    """Consecutive groups of at most ``size`` rows."""
    return [tuple(rows[k : k + size].tolist()) for k in range(0, len(rows), size)]
