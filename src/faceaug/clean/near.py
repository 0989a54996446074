"""Find near duplicates: pairs that show one photo, mirror images, and pairs that are merely similar.

::

    hashes within a radius -> thumbnails that explain each other -> both files opened, aligned, compared -> thresholds
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cache import Cache
from faceaug.clean.calibrate import (
    BROAD_BLOCK,
    BURST,
    COLOUR,
    FACE_BLOCK,
    LOOSE,
    PARTS,
    STEPS,
    choose_threshold,
    is_copy,
    is_same_photo,
    judge_copies,
)
from faceaug.clean.candidates import AGAINST, RADIUS, Candidates, find_candidates
from faceaug.clean.compression import compression_of
from faceaug.clean.cutouts import read_layers, shown_layer
from faceaug.clean.grids import Sample
from faceaug.clean.parts import Box, agree_unmoved, examine
from faceaug.clean.thumbnail_pairs import agreements
from faceaug.clean.tiers import Thresholds
from faceaug.clean.verify import PairEvidence, compare_aligned, compare_unmoved
from faceaug.data.image import Image8, read_bytes
from faceaug.errors import ImageError
from faceaug.executor import Crew
from faceaug.progress import SILENT, Progress

if TYPE_CHECKING:
    from faceaug.faces.finder import FaceFinder

_LIKE = 0.80  # share of a thumbnail's variance that must be explained
_GLANCE = 0.70  # detail correlation of thumbnails; copies have >= 0.9, nine in ten other pairs less than this
_COMPARED = (20_000, 4)  # at most max(20_000, pictures // 4) pairs of files are opened, the most similar ones
_TOGETHER = 16  # pairs of thumbnails compared at once: their arrays fit into a processor's cache
_COARSE = 30  # JPEG quality below which copies may differ more as a whole
_SAMPLE = 12  # pictures of which copies are made to measure recall


@dataclass(frozen=True, slots=True)
class Look:
    """A readable picture that represents all pictures with its pixels.

    Attributes:
        path: path of the file.
        pixels: digest of its pixels.
        reference: whether it is only compared with pictures that are none.
    """

    path: str
    pixels: str
    reference: bool = False


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """Two pictures that were compared.

    Attributes:
        one: index of a picture.
        other: index of the other picture, > ``one``.
        distance: Hamming distance of the 64-bit pHashes; for mirror images, with one of them mirrored.
        evidence: the comparison.
    """

    one: int
    other: int
    distance: int
    evidence: PairEvidence


@dataclass(frozen=True, slots=True)
class Near:
    """The near duplicates of a folder.

    Attributes:
        same: pairs that show one photo.
        overlaid: pairs of one photo with something laid over one of them, but over no face.
        covered: the same, over a face.
        mirrored: pairs of mirror images.
        bursts: pairs of similar but different photos.
        histogram: number of pairs whose whole pictures differ in 0, 1, 2 ... bits, up to the radius.
        thresholds: the decision thresholds; None if there were no pairs.
        notes: remarks for the user, a line each.
    """

    same: tuple[ComparedPair, ...] = ()
    overlaid: tuple[ComparedPair, ...] = ()
    covered: tuple[ComparedPair, ...] = ()
    mirrored: tuple[ComparedPair, ...] = ()
    bursts: tuple[ComparedPair, ...] = ()
    histogram: tuple[int, ...] = ()
    thresholds: Thresholds | None = None
    notes: tuple[str, ...] = ()


def find_near(
    pictures: Sequence[Look], looks: NDArray[np.void], crew: Crew, cache: Cache, progress: Progress = SILENT
) -> Near:
    """Find near duplicates. The result does not depend on the number of workers.

    Args:
        pictures: the pictures, in a fixed order.
        looks: ``LOOKS`` records, one for each.
        crew: gives executors, see ``open_crew``.
        cache: earlier comparisons, and the threshold used last.
        progress: reports the phases.
    """
    if len(pictures) < 2:
        return Near()
    fixed = np.array([picture.reference for picture in pictures])
    search = find_candidates(looks, [picture.pixels for picture in pictures], cache, progress, fixed=fixed)
    notes = list(search.notes())
    histogram = tuple(np.bincount(search.plain.distance, minlength=RADIUS + 1)[: RADIUS + 1].tolist())
    thumbnails = looks["thumbnail"]
    turned = thumbnails[:, :, ::-1]
    # What a search among references teaches is not valid for one without them.
    facts = f"{AGAINST} " if fixed.any() else ""
    pairs = _screened(search.plain, len(pictures), cache, notes, fact=f"{facts}like")
    decoys = _screened(search.mirrored, len(pictures), Cache(None), notes, fact="like")
    compared = _compare(pictures, (thumbnails, thumbnails), pairs, crew, cache, progress, mirrored=False)
    null = _compare(pictures, (turned, thumbnails), decoys, crew, cache, progress, mirrored=True)
    if not compared and not null:
        return Near(histogram=histogram, notes=tuple(notes))
    before = cache.fact(f"{facts}detail", 0.0)
    detail, expected = choose_threshold(
        [pair.evidence for pair in compared], [pair.evidence for pair in null], at_least=before
    )
    cache.set_fact(f"{facts}detail", detail)
    if expected > 1:
        notes.append(f"about {expected:.0f} pairs of different photos may count as duplicates; check the groups")
    thresholds = Thresholds(
        radius=search.radius,
        detail=detail,
        parts=PARTS,
        face_block=FACE_BLOCK,
        broad_block=BROAD_BLOCK,
        colour=COLOUR,
        expected_false=round(expected, 4),
        recall=_recall(pictures, detail, crew),
        candidates=len(search.plain.first),
        compared=len(compared),
        null_pairs=len(null),
    )
    alike = copies_among(compared, detail)
    same = tuple(link for link in alike if not link.evidence.overlaid)
    overlaid = tuple(link for link in alike if link.evidence.overlaid and not link.evidence.covers_face)
    covered = tuple(link for link in alike if link.evidence.covers_face)
    known = set(alike)
    bursts = tuple(link for link in compared if link.evidence.detail >= BURST and link not in known)
    reflections = tuple(link for link in null if is_copy(link.evidence, detail))
    return Near(same, overlaid, covered, reflections, bursts, histogram, thresholds, tuple(notes))


def copies_among(compared: Sequence[ComparedPair], detail: float) -> list[ComparedPair]:
    """The pairs that are copies of each other, by themselves or because both are copies of a third picture.

    Two copies differ by the noise of both; a third picture that is proven to be the same as each of them explains it.
    """
    proven = [link for link in compared if is_copy(link.evidence, detail)]
    near: dict[int, set[int]] = defaultdict(set)
    for link in proven:
        if link.evidence.overlaid:  # what is laid over may be what tells two pictures apart
            continue
        near[link.one].add(link.other)
        near[link.other].add(link.one)
    return [
        link
        for link in compared
        if is_copy(link.evidence, detail)
        or (is_same_photo(link.evidence, detail) and link.evidence.parts > LOOSE and near[link.one] & near[link.other])
    ]


def _screened(candidates: Candidates, pictures: int, cache: Cache, notes: list[str], *, fact: str) -> Candidates:
    """The candidates worth opening: with similar thumbnails, and if there are too many, the most similar ones."""
    most = max(_COMPARED[0], pictures // _COMPARED[1])
    like = candidates.like
    # A second run uses the limit of the first; with fewer pairs left it would otherwise find new duplicates.
    chosen = np.flatnonzero(like >= max(_LIKE, cache.fact(fact, 0.0)))
    if len(chosen) > most:
        order = np.lexsort((candidates.second[chosen], candidates.first[chosen], -like[chosen]))[:most]
        chosen = chosen[order]
        least = float(like[chosen[-1]])
        cache.set_fact(fact, least)
        notes.append(f"only the {most:,} most similar pairs were compared (thumbnails agree to at least {least:.0%})")
    return candidates.some(np.sort(chosen))


def _compare(
    pictures: Sequence[Look],
    thumbnails: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    candidates: Candidates,
    crew: Crew,
    cache: Cache,
    progress: Progress,
    *,
    mirrored: bool,
) -> list[ComparedPair]:
    """Compare all pairs that are not cached, thumbnails first, then files. Returns the related pairs."""
    places = list(zip(candidates.first.tolist(), candidates.second.tolist(), strict=True))
    if not places:
        return []
    keys = [(pictures[i].pixels, pictures[j].pixels, mirrored) for i, j in places]
    known = cache.evidence()
    open_ = [at for at, key in enumerate(keys) if key not in known]
    one, other = thumbnails
    fresh: dict[tuple[str, str, bool], PairEvidence | None] = {}
    tasks = (np.array([places[at] for at in open_[k : k + _TOGETHER]]).T for k in range(0, len(open_), _TOGETHER))
    batches = crew(len(open_) // 4).map(glance_at, ((one[i], other[j]) for i, j in tasks))
    glances = (detail for batch in batches for detail in batch)
    name = "comparing mirror images" if mirrored else "comparing"
    with progress.phase(f"{name} at a glance", len(open_), "pairs") as phase:
        promising = [at for at, detail in phase.over(zip(open_, glances, strict=True)) if detail >= _GLANCE]
    fresh |= dict.fromkeys((keys[at] for at in set(open_) - set(promising)), None)
    work = ((pictures[i].path, pictures[j].path, mirrored) for i, j in (places[at] for at in promising))
    executor = crew(4 * len(promising))
    with progress.phase(name, len(promising), "pairs") as phase:
        for at, evidence in phase.over(zip(promising, executor.map(compare_files, work), strict=True)):
            if evidence is not None:
                fresh[keys[at]] = evidence
    _picture.cache_clear()  # files may change before a later run in this process
    cache.add_evidence(fresh.items())
    known |= fresh
    distances = candidates.distance.tolist()
    links = []
    for (i, j), key, distance in zip(places, keys, distances, strict=True):
        evidence = known.get(key)
        if evidence is not None:
            links.append(ComparedPair(i, j, distance, evidence))
    return links


def glance_at(task: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> list[float]:
    """Compare pairs of thumbnails."""
    found: list[float] = agreements(*task).tolist()
    return found


def compare_files(task: tuple[str, str, bool]) -> PairEvidence | None:
    """Compare two files, the first optionally mirrored; None if one cannot be read."""
    one, other, mirrored = task
    try:
        first, second = _picture(one), _picture(other)
    except ImageError:
        return None
    return compare_closely(first.mirrored() if mirrored else first, second)


def compare_closely(one: Sample, other: Sample) -> PairEvidence:
    """Compare two pictures as a whole and, if they agree, in every part."""
    if not one.grounds and not other.grounds:
        unmoved = compare_unmoved(one.image, other.image, STEPS[-1])
        if unmoved is not None and is_same_photo(unmoved, STEPS[-1]):
            agreed = agree_unmoved(one, other, _faces)
            if agreed is not None:
                return replace(unmoved, parts=agreed.agreement, misread=agreed.misread)
    evidence, affine = compare_aligned(one.image, other.image)
    coarse = min(one.compression.quality, other.compression.quality) < _COARSE
    if not is_same_photo(evidence) and not (coarse and evidence.detail >= BURST):
        return evidence
    parts = examine(one, other, affine, _faces, plainly=evidence.detail >= STEPS[-1] and not one.grounds)
    grounds = [Sample(a) for a in one.grounds], [Sample(b) for b in other.grounds]
    also = [examine(a, b, affine, _faces).agreement for a, b in zip(*grounds, strict=False)]
    return replace(
        evidence,
        parts=min([parts.agreement, *also]),
        cropped=parts.cropped,
        enlarged=0 if parts.cropped else evidence.enlarged,
        overlaid=parts.overlaid,
        covers_face=int(parts.covers_face),
        misread=parts.misread,
    )


def _faces(image: Image8) -> list[Box]:
    """The boxes of the faces in a picture."""
    return [face.box for face in _finder().find(image)]


@lru_cache(maxsize=1)
def _finder() -> FaceFinder:
    """The finder of this process, imported only where two pictures may be copies and their faces decide it."""
    from faceaug.faces.finder import FaceFinder

    return FaceFinder()


def judge_file(path: str) -> list[PairEvidence]:
    """Compare a file with copies of it made here; empty if it cannot be read."""
    try:
        return judge_copies(_picture(path).image)
    except ImageError:
        return []


def _recall(pictures: Sequence[Look], detail: float, crew: Crew) -> float:
    step = max(1, len(pictures) // _SAMPLE)
    found = [e for judged in crew(0).map(judge_file, _paths(pictures[::step])) for e in judged]
    passed = sum(is_same_photo(evidence, detail) for evidence in found)
    return round(passed / len(found), 4) if found else -1.0


def _paths(pictures: Iterable[Look]) -> Iterator[str]:
    return (picture.path for picture in pictures)


@lru_cache(maxsize=8)
def _picture(path: str) -> Sample:
    """Decode a file. Pairs are sorted by their first picture, so the cache decodes it once."""
    data = read_bytes(path)
    layers = read_layers(data, name=path)
    return Sample(shown_layer(layers), compression_of(data), layers if len(layers) > 1 else ())
