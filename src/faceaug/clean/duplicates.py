"""Decide which pictures are duplicates and which of them stays. Pure: signatures and comparisons in, decisions out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from faceaug.clean.signatures import Signature
from faceaug.clean.tiers import Tier
from faceaug.clean.verify import PairEvidence
from faceaug.data.annotations import ATTRIBUTES, PARTITIONS, Annotations
from faceaug.storage.walk import File

PARTITION_NAMES = {number: name for name, number in PARTITIONS.items()}


@dataclass(frozen=True, slots=True)
class Picture:
    """A readable picture, with everything that decides whether it stays.

    Attributes:
        file: the listed file.
        name: path below the folder, after name repair.
        signature: its content.
        protected: whether it is never set aside.
        partition: 0 train, 1 validation, 2 test, -1 unknown.
        rows: number of tables that have a row for it.
        known: whether its name is one that the folder should have.
        misread: whether its colours are wrong because its ICC profile was ignored or is missing.
        area: pixels; an enlarged or cropped copy, and one with something laid over it, counts one pixel less than the
            other.
        quantisation: mean quantisation step of its compression; 0 if lossless.
        sharpness: standard deviation of its Laplacian, grey levels.
        reference: whether it lies in a reference folder, and not in the one that is cleaned.
    """

    file: File
    name: str
    signature: Signature
    protected: bool = False
    partition: int = -1
    rows: int = 0
    known: bool = False
    misread: bool = False
    area: int = 0
    quantisation: float = 0.0
    sharpness: float = 0.0
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Likeness:
    """The reason why two pictures with different pixels are duplicates.

    Attributes:
        tier: "same photo", "overlay" or "mirrored".
        distance: Hamming distance of the 64-bit pHashes.
        evidence: the comparison of their pixels.
        whole: pixel digest of the one that shows more of the scene, and is never set aside for the other; empty if
            neither is a crop.
    """

    tier: Tier
    distance: int
    evidence: PairEvidence
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A picture to set aside, and the duplicate of it that stays.

    Attributes:
        copy: the picture to set aside.
        keeper: the picture that stays; the two were compared directly.
        likeness: the reason, if their pixels differ.
        chosen: what they share, if a person chose the picture that stays and the two were not compared: both are
            duplicates of a third.
    """

    copy: Picture
    keeper: Picture
    likeness: Likeness | None = None
    chosen: Tier | None = None

    @property
    def same_bytes(self) -> bool:
        """Whether the files are byte-identical, not only their pixels."""
        return self.copy.signature.content == self.keeper.signature.content

    @property
    def tier(self) -> Tier:
        """What they share."""
        if self.chosen is not None:
            return self.chosen
        if self.likeness is not None:
            return self.likeness.tier
        return "same bytes" if self.same_bytes else "same pixels"

    def without_repair(self) -> Duplicate:
        """The same with the keeper under its present name, because it is set aside as well."""
        return replace(self, keeper=replace(self.keeper, name=self.keeper.file.name))


Links = Mapping[frozenset[str], Likeness]  # pixel digests of two pictures -> why they are duplicates


def find_duplicates(pictures: Iterable[Picture], links: Links | None = None) -> list[Duplicate]:
    """Group duplicates around the pictures that stay, chosen by ``keeping_order``.

    A picture is set aside only if it has the pixels of the one that stays, or was compared with it directly: likeness
    is not transitive. A whole photo is never set aside for a crop of it. Protected pictures and hard links of one file
    are never duplicates; a hard link of a reference is one. The order of ``pictures`` does not matter.

    Returns:
        The duplicates, sorted by the name of the copy.
    """
    by_pixels = _by_pixels(pictures)
    neighbours: dict[str, list[tuple[str, Likeness]]] = defaultdict(list)
    for pair, likeness in (links or {}).items():
        one, other = sorted(pair)
        if one in by_pixels and other in by_pixels:
            neighbours[one].append((other, likeness))
            neighbours[other].append((one, likeness))
    found: list[Duplicate] = []
    taken: set[str] = set()
    shared = [pixels for pixels, group in by_pixels.items() if len(group) > 1 or pixels in neighbours]
    for pixels in sorted(shared, key=lambda pixels: keeping_order(by_pixels[pixels][0])):
        keeper = by_pixels[pixels][0]
        if pixels in taken and not keeper.protected:
            continue
        if pixels not in taken:
            found += _copies(by_pixels[pixels], keeper, None)
            taken.add(pixels)
        for other, likeness in neighbours[pixels]:
            if other not in taken and likeness.whole != other:
                taken.add(other)
                found += _copies(by_pixels[other], keeper, likeness)
    return in_order(found)


def in_order(duplicates: Iterable[Duplicate]) -> list[Duplicate]:
    """Duplicates by the name of the copy."""
    return sorted(duplicates, key=lambda duplicate: os.fsencode(duplicate.copy.file.name))


# The order in which one of a group stays, in the words of docs/clean.md; ``keeping_order`` has one value for each.
KEEPING = (
    "protected files",
    "test before validation before train, so that a picture in two partitions leaves the train set",
    "the one that more tables know",
    "a name that belongs there",
    "colours read with the right profile",
    "more pixels, where an enlarged or cropped copy and one with something laid over it come after the other",
    "less compression",
    "more sharpness",
    "the lowest name",
)


def keeping_order(picture: Picture) -> tuple[bool, int, int, bool, bool, int, float, float, bytes]:
    """Sort key of the pictures in a group; the first one stays. ``KEEPING`` says it in words."""
    return (
        not picture.protected,
        -picture.partition,
        -picture.rows,
        not picture.known,
        picture.misread,
        -picture.area,
        round(picture.quantisation, 2),
        -round(picture.sharpness, 2),
        os.fsencode(picture.name),
    )


def hard_links(pictures: Iterable[Picture]) -> int:
    """The number of surplus names: pictures that are hard links of a file listed under another name."""
    identities = [identity(picture) for picture in pictures if not picture.reference]
    return len(identities) - len(set(identities))


def label_conflict(known: Annotations, copy: int, keeper: int) -> str:
    """The annotations in which two pictures contradict each other, in words; empty if they agree."""
    parts = []
    for name in ("identity", "label"):
        values = getattr(known, name)
        if values[copy] != values[keeper] and min(values[copy], values[keeper]) >= 0:
            parts.append(f"{name} {values[copy]} and {values[keeper]}")
    one, other = int(known.partition[copy]), int(known.partition[keeper])
    if one != other and min(one, other) >= 0:
        parts.append(f"partition {PARTITION_NAMES.get(one, one)} and {PARTITION_NAMES.get(other, other)}")
    opposed = np.flatnonzero(known.attributes[copy].astype(int) * known.attributes[keeper] == -1)
    parts += [f"{ATTRIBUTES[k]} {known.attributes[copy, k]:+d} and {known.attributes[keeper, k]:+d}" for k in opposed]
    return "; ".join(parts)


def _by_pixels(pictures: Iterable[Picture]) -> dict[str, list[Picture]]:
    """Pixel digest -> the pictures that have it, in ``keeping_order``."""
    by_pixels: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_pixels[picture.signature.pixels].append(picture)
    for group in by_pixels.values():
        if len(group) > 1:
            group.sort(key=keeping_order)
    return by_pixels


def _copies(group: list[Picture], keeper: Picture, likeness: Likeness | None) -> Iterator[Duplicate]:
    """The duplicates among pictures with the same pixels: all but the keeper, protected ones and their hard links."""
    staying = {identity(picture) for picture in (*group, keeper) if picture.protected and not picture.reference}
    staying |= set() if keeper.reference else {identity(keeper)}
    copies = (copy for copy in group if not copy.reference)
    yield from (Duplicate(copy, keeper, likeness) for copy in copies if identity(copy) not in staying)


def identity(picture: Picture) -> tuple[int, int]:
    """What hard links of one file share."""
    return picture.file.device, picture.file.inode
