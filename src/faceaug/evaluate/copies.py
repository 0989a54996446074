"""Finds generated faces that copy training faces: candidates by perceptual hash, verified as in cleaning.

Unseen real faces, which are not copies but as similar to training faces as photos are, show what chance produces. The
detail threshold is raised until at most one pair is expected to pass by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.clean.calibrate import choose_threshold, is_same_photo
from faceaug.clean.hashes import hash_words, small_grey
from faceaug.clean.search import Hashes, Pairs, TooManyPairs, near_pairs_between
from faceaug.clean.verify import PairEvidence, compare
from faceaug.data.image import Image8
from faceaug.progress import SILENT, Progress
from faceaug.progress.phases import Phase

RADIUS = 6  # bits of the 64-bit pHash
_COMPARED = 4_000  # pairs whose pixels are compared, the nearest first


@dataclass(frozen=True, slots=True)
class Copy:
    """A generated face that copies a training face.

    Attributes:
        face: index of the generated face.
        row: index of the training face.
        mirrored: whether it is the mirror image.
        bits: number of pHash bits that differ.
        detail: correlation of detail after alignment, see ``faceaug.clean.verify``.
    """

    face: int
    row: int
    mirrored: bool
    bits: int
    detail: float


@dataclass(frozen=True, slots=True)
class CopySearch:
    """Result of a search for copies.

    Attributes:
        copies: best pair of each copied face, ordered by generated face.
        candidates: number of pairs within the radius.
        compared: number of pairs whose pixels were compared.
        unseen_copies: number of unseen real faces that the same test calls copies; -1 without unseen faces.
        radius: search radius in bits.
        detail: detail threshold used.
    """

    copies: tuple[Copy, ...]
    candidates: int
    compared: int
    unseen_copies: int
    radius: int
    detail: float


@dataclass(frozen=True, slots=True)
class _Pair:
    one: int
    other: int
    mirrored: bool
    bits: int
    evidence: PairEvidence


def find_copies(
    faces: NDArray[np.uint8],
    training: NDArray[np.uint8],
    unseen: NDArray[np.uint8] | None,
    progress: Progress = SILENT,
) -> CopySearch:
    """Compare generated faces and their mirror images with training faces.

    Args:
        faces: generated faces, uint8 (n, 3, H, W).
        training: training faces, uint8 (m, 3, H, W).
        unseen: real faces the model has not seen, uint8 (u, 3, H, W), or None.
        progress: shows the phases.
    """
    others = faces[:0] if unseen is None else unseen
    with progress.phase("hashing", len(training) + len(faces) + len(others), "faces") as phase:
        known = _hashes(training, phase)[0]
        hashes = _hashes(faces, phase)
        other_hashes = _hashes(others, phase)
    pairs, candidates, radius = _compared(faces, hashes, training, known, progress)
    control = _compared(others, other_hashes, training, known, progress)[0]
    detail, _ = choose_threshold([p.evidence for p in pairs], [p.evidence for p in control])
    return CopySearch(
        copies=tuple(_best(pairs, detail)),
        candidates=candidates,
        compared=len(pairs),
        unseen_copies=-1 if unseen is None else len(_best(control, detail)),
        radius=radius,
        detail=detail,
    )


def _best(pairs: Sequence[_Pair], detail: float) -> list[Copy]:
    found: dict[int, Copy] = {}
    for pair in sorted(pairs, key=lambda p: -p.evidence.detail):
        if is_same_photo(pair.evidence, detail):
            copy = Copy(pair.one, pair.other, pair.mirrored, pair.bits, round(pair.evidence.detail, 4))
            found.setdefault(pair.one, copy)
    return [found[face] for face in sorted(found)]


def _compared(
    faces: NDArray[np.uint8],
    hashes: tuple[Hashes, Hashes],
    training: NDArray[np.uint8],
    known: Hashes,
    progress: Progress,
) -> tuple[list[_Pair], int, int]:
    """(pairs with evidence, number of candidates, radius)."""
    found = []
    radius = RADIUS
    for mirrored, words in enumerate(hashes):
        pairs, within = _near(words, known, progress)
        radius = min(radius, within)
        lines = zip(pairs.distance.tolist(), pairs.first.tolist(), pairs.second.tolist(), strict=True)
        found += [(bits, one, other, bool(mirrored)) for bits, one, other in lines]
    with progress.phase("comparing", min(len(found), _COMPARED), "pairs") as phase:
        made = [
            _Pair(one, other, mirrored, bits, compare(as_picture(faces[one], mirrored), as_picture(training[other])))
            for bits, one, other, mirrored in phase.over(sorted(found)[:_COMPARED])
        ]
    return made, len(found), radius


def _near(one: Hashes, other: Hashes, progress: Progress) -> tuple[Pairs, int]:
    """Pairs within the largest affordable radius; blank faces form millions of pairs."""
    for radius in range(RADIUS, 0, -2):
        try:
            return near_pairs_between(one, other, radius, progress=progress), radius
        except TooManyPairs:
            continue
    return near_pairs_between(one, other, -1), -1


def _hashes(faces: NDArray[np.uint8], phase: Phase) -> tuple[Hashes, Hashes]:
    """Perceptual hashes of the faces and of their mirror images: uint64 (n,) each."""
    small = [small_grey(Image.fromarray(as_picture(face)).convert("L"), 32) for face in phase.over(faces)]
    words = hash_words(np.stack(small))[..., 0] if small else np.empty((0, 2), np.uint64)
    return words[:, 0], words[:, 1]


def as_picture(face: NDArray[np.uint8], mirrored: bool = False) -> Image8:
    """A face, uint8 (3, H, W), or its mirror image, as a picture, (H, W, 3)."""
    image = face.transpose(1, 2, 0)
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image)
