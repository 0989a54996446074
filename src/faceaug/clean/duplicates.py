"""Which pictures are the same, and which of them stays. Pure: signatures in, decisions out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from faceaug.annotations import ATTRIBUTES, PARTITIONS, Annotations
from faceaug.clean.signatures import Signature
from faceaug.folder import File

_PARTITION_NAMES = {number: name for name, number in PARTITIONS.items()}


@dataclass(frozen=True, slots=True)
class Picture:
    """A readable picture and all that decides whether it stays.

    Attributes:
        file: as listed.
        name: path below the folder after the names are repaired.
        signature: its content.
        protected: never set aside.
        partition: 0 train, 1 validation, 2 test, -1 unknown.
        rows: number of tables that have a row for it.
        known: whether its name is one the folder should have.
    """

    file: File
    name: str
    signature: Signature
    protected: bool = False
    partition: int = -1
    rows: int = 0
    known: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A picture to set aside because another with the same pixels stays."""

    copy: Picture
    keeper: Picture

    @property
    def same_bytes(self) -> bool:
        """Whether the files are the same to the byte, not only decoded."""
        return self.copy.signature.content == self.keeper.signature.content


def find_duplicates(pictures: Iterable[Picture]) -> list[Duplicate]:
    """Group pictures with the same shape and pixels; in each group the first by ``keeping_order`` stays.

    Protected pictures and hard links of one file are never duplicates. The order of ``pictures`` does not matter.

    Returns:
        Sorted by the name of the copy.
    """
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.signature.pixels].append(picture)
    found = []
    for group in groups.values():
        keeper, *others = sorted(group, key=keeping_order)
        staying = {_identity(picture) for picture in group if picture.protected} | {_identity(keeper)}
        found += [Duplicate(copy, keeper) for copy in others if _identity(copy) not in staying]
    return sorted(found, key=lambda duplicate: os.fsencode(duplicate.copy.file.name))


def keeping_order(picture: Picture) -> tuple[bool, int, int, bool, bytes]:
    """Sorts the picture that stays first.

    Protected ones, then test before validation before train (so that a picture in two partitions leaves the train
    set), then the most annotation rows, then a name the folder should have, then the lowest name.
    """
    name = os.fsencode(picture.name)
    return not picture.protected, -picture.partition, -picture.rows, not picture.known, name


def hard_links(pictures: Iterable[Picture]) -> int:
    """How many pictures are further names of a file that another picture names too."""
    identities = [_identity(picture) for picture in pictures]
    return len(identities) - len(set(identities))


def label_conflict(known: Annotations, copy: int, keeper: int) -> str:
    """What the tables say differently about two rows that show the same picture; empty if nothing."""
    parts = []
    for name in ("identity", "label"):
        values = getattr(known, name)
        if values[copy] != values[keeper] and min(values[copy], values[keeper]) >= 0:
            parts.append(f"{name} {values[copy]} and {values[keeper]}")
    one, other = int(known.partition[copy]), int(known.partition[keeper])
    if one != other and min(one, other) >= 0:
        parts.append(f"partition {_PARTITION_NAMES.get(one, one)} and {_PARTITION_NAMES.get(other, other)}")
    opposed = np.flatnonzero(known.attributes[copy].astype(int) * known.attributes[keeper] == -1)
    parts += [f"{ATTRIBUTES[k]} {known.attributes[copy, k]:+d} and {known.attributes[keeper, k]:+d}" for k in opposed]
    return "; ".join(parts)


def _identity(picture: Picture) -> tuple[int, int]:
    return picture.file.device, picture.file.inode
