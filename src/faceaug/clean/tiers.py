"""Records of duplicates: groups, look-alikes, leaks, and the decision thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from faceaug.clean.verify import PairEvidence

# From certain to doubtful. All but the last are set aside, mirrored pictures only on request.
Tier: TypeAlias = Literal["same bytes", "same pixels", "same photo", "overlay", "mirrored"]
Alike: TypeAlias = Literal["mirrored", "burst", "overlay", "crop"]


@dataclass(frozen=True, slots=True)
class Member:
    """A duplicate in a group.

    Attributes:
        name: former path below the folder.
        tier: how it matches the picture that stays.
        distance: Hamming distance of the 64-bit pHashes of the two; -1 for the same bytes or pixels.
        evidence: the comparison with the picture that stays; None for the same bytes or pixels, and where a person
            chose another one to stay, with which it was not compared.
        content: BLAKE2b-128 of its bytes, hex.
    """

    name: str
    tier: Tier
    distance: int = -1
    evidence: PairEvidence | None = None
    content: str = ""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """The copies of one photo. Every member was compared with the keeper directly, so matches do not chain.

    Attributes:
        keeper: path below the folder of the picture that stays, after name repair.
        members: the duplicates to set aside, by name.
        file: former path of the picture that stays.
        content: BLAKE2b-128 of its bytes, hex.
        fixed: whether it has to stay: it is protected, the metadata names it, or it lies in a reference folder.
    """

    keeper: str
    members: tuple[Member, ...]
    file: str = ""
    content: str = ""
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two similar pictures that are reported and stay.

    Attributes:
        one: path below the folder.
        other: path below the folder.
        tier: "mirrored"; "burst", similar photos; "overlay", one photo with something laid over a face; "crop", a photo
            and a part of it that comes before the whole in the order in which one of a group stays.
        distance: Hamming distance of the 64-bit pHashes; for mirror images, with one of them mirrored.
        evidence: the comparison.
    """

    one: str
    other: str
    tier: Alike
    distance: int
    evidence: PairEvidence


@dataclass(frozen=True, slots=True)
class Leak:
    """One photo in two partitions.

    Attributes:
        name: one picture.
        partition: its partition: "train", "val" or "test".
        keeper: the picture that stays, or the other of two mirror images.
        keeper_partition: the partition of ``keeper``.
        tier: how the two match.
    """

    name: str
    partition: str
    keeper: str
    keeper_partition: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds for counting two pictures as one photo, with their error rates estimated on these pictures.

    Attributes:
        radius: Hamming distance of 64-bit pHashes within which candidates were searched.
        detail: least ``PairEvidence.detail``.
        parts: least ``PairEvidence.parts``.
        face_block: least ``PairEvidence.face_block``.
        broad_block: least ``PairEvidence.broad_block``.
        colour: least ``PairEvidence.colour``.
        expected_false: expected number of false positives, estimated from mirrored decoys.
        recall: share of copies made here (compressed, scaled, cropped, blurred, brightened) that would be found;
            -1 if none was made.
        candidates: number of pairs within the radius.
        compared: number of pairs whose files were opened and compared.
        null_pairs: number of mirrored decoy pairs opened and compared.
    """

    radius: int
    detail: float
    parts: float
    face_block: float
    broad_block: float
    colour: float
    expected_false: float
    recall: float
    candidates: int
    compared: int
    null_pairs: int
