"""What was found about pictures that look alike: groups, look-alikes, leaks, and the thresholds that decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from faceaug.clean.verify import PairEvidence

# From certain to doubtful: the first three are set aside, mirrored pictures on request.
Tier: TypeAlias = Literal["same bytes", "same pixels", "same photo", "mirrored"]


@dataclass(frozen=True, slots=True)
class Member:
    """A picture that leaves a group.

    Attributes:
        name: path it had below the folder.
        tier: what it shares with the picture that stays.
        distance: bits of the 64-bit pHash that differ from the picture that stays; -1 where none was needed.
        evidence: the comparison with the picture that stays; None for the same bytes or pixels.
    """

    name: str
    tier: Tier
    distance: int = -1
    evidence: PairEvidence | None = None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """One photo that is there several times: every member was compared with the keeper itself, so nothing chains.

    Attributes:
        keeper: path below the folder of the picture that stays, after repair.
        members: those that leave, by name.
    """

    keeper: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two pictures that are told of and stay: mirror images, or moments of one session.

    Attributes:
        one: path below the folder.
        other: path below the folder.
        tier: "mirrored" or "burst".
        distance: bits of the 64-bit pHash that differ (of the mirrored picture, where it is one).
        evidence: how they compare.
    """

    one: str
    other: str
    tier: Literal["mirrored", "burst"]
    distance: int
    evidence: PairEvidence


@dataclass(frozen=True, slots=True)
class Leak:
    """One photo in two partitions.

    Attributes:
        name: one picture.
        partition: where it is: "train", "val" or "test".
        keeper: the picture that stays, or the other of two mirror images.
        keeper_partition: where that one is.
        tier: what they share.
    """

    name: str
    partition: str
    keeper: str
    keeper_partition: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What decided that two pictures show one photo, and how sure that is on these pictures.

    Attributes:
        radius: bits of the 64-bit pHash within which pairs were looked for.
        detail: smallest correlation of detail.
        face_block: smallest agreement of the worst block in the middle.
        broad_block: smallest agreement of the seventh worst block.
        colour: smallest correlation of colour.
        expected_false: pairs of different photos expected to pass, from pairs of mirrored pictures that look alike.
        recall: share of copies made here (compressed, scaled, cropped, blurred, brightened) that would be found;
            -1 if none was made.
        candidates: pairs within the radius.
        compared: pairs whose files were opened and compared.
        null_pairs: mirrored pairs opened and compared, to know what chance can do.
    """

    radius: int
    detail: float
    face_block: float
    broad_block: float
    colour: float
    expected_false: float
    recall: float
    candidates: int
    compared: int
    null_pairs: int
