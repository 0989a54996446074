"""From looks to pairs: which pictures show one photo, which are mirror images, which are merely alike.

::

    hashes within a radius -> thumbnails that explain each other -> both files opened, aligned, compared -> thresholds
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cache import Cache
from faceaug.clean.calibrate import (
    BROAD_BLOCK,
    BURST,
    COLOUR,
    FACE_BLOCK,
    choose_threshold,
    is_same_photo,
    judge_copies,
)
from faceaug.clean.candidates import RADIUS, Candidates, find_candidates
from faceaug.clean.tiers import Thresholds
from faceaug.clean.verify import PairEvidence, compare, glance
from faceaug.errors import ImageError
from faceaug.executor import Crew
from faceaug.data.image import Image8, read_image

_LIKE = 0.80  # share of a thumbnail that must be explained
_GLANCE = 0.70  # correlation of the detail of thumbnails; copies have 0.9 and more, nine in ten strangers less
_COMPARED = 20_000, 4  # pairs of files opened: so many, or one for every so many pictures; the most alike first
_SAMPLE = 12  # pictures of which copies are made


@dataclass(frozen=True, slots=True)
class Look:
    """A readable picture, one for all that have its pixels.

    Attributes:
        path: where it is.
        pixels: digest of its pixels.
    """

    path: str
    pixels: str


@dataclass(frozen=True, slots=True)
class Link:
    """Two pictures that were compared.

    Attributes:
        one: place in the pictures given.
        other: place in the pictures given, above ``one``.
        distance: bits of the 64-bit pHash that differ, of the mirrored picture for mirror images.
        evidence: how they compare.
    """

    one: int
    other: int
    distance: int
    evidence: PairEvidence


@dataclass(frozen=True, slots=True)
class Near:
    """What was found.

    Attributes:
        same: pairs that show one photo.
        mirrored: pairs of mirror images.
        bursts: pairs that are alike and not the same.
        histogram: number of pairs whose whole pictures differ in 0, 1, 2 ... bits, up to the radius.
        thresholds: what decided; None if there was nothing to decide.
        notes: what is worth telling.
    """

    same: tuple[Link, ...] = ()
    mirrored: tuple[Link, ...] = ()
    bursts: tuple[Link, ...] = ()
    histogram: tuple[int, ...] = ()
    thresholds: Thresholds | None = None
    notes: tuple[str, ...] = ()


def find_near(pictures: Sequence[Look], looks: NDArray[np.void], crew: Crew, cache: Cache) -> Near:
    """Find the pairs. The same for any number of workers.

    Args:
        pictures: in a fixed order.
        looks: ``LOOKS`` records, one for each.
        crew: gives executors, see ``open_crew``.
        cache: earlier comparisons, and the threshold used last.
    """
    if len(pictures) < 2:
        return Near()
    search = find_candidates(looks, [picture.pixels for picture in pictures], cache)
    notes = list(search.notes())
    histogram = tuple(np.bincount(search.plain.distance, minlength=RADIUS + 1)[: RADIUS + 1].tolist())
    thumbnails = looks["thumbnail"]
    turned = thumbnails[:, :, ::-1]
    alike = _screened(search.plain, len(pictures), cache, notes)
    decoys = _screened(search.mirrored, len(pictures), Cache(None), notes)
    compared = _compare(pictures, (thumbnails, thumbnails), alike, crew, cache, mirrored=False)
    null = _compare(pictures, (turned, thumbnails), decoys, crew, cache, mirrored=True)
    if not compared and not null:
        return Near(histogram=histogram, notes=tuple(notes))
    before = cache.fact("detail", 0.0)
    detail, expected = choose_threshold(
        [pair.evidence for pair in compared], [pair.evidence for pair in null], at_least=before
    )
    cache.set_fact("detail", detail)
    if expected > 1:
        notes.append(f"about {expected:.0f} pairs of different photos may pass as one; look at the groups before use")
    thresholds = Thresholds(
        radius=search.radius,
        detail=detail,
        face_block=FACE_BLOCK,
        broad_block=BROAD_BLOCK,
        colour=COLOUR,
        expected_false=round(expected, 4),
        recall=_recall(pictures, detail, crew),
        candidates=len(search.plain.first),
        compared=len(compared),
        null_pairs=len(null),
    )
    same = tuple(link for link in compared if is_same_photo(link.evidence, detail))
    bursts = tuple(
        link for link in compared if link.evidence.detail >= BURST and not is_same_photo(link.evidence, detail)
    )
    reflections = tuple(link for link in null if is_same_photo(link.evidence, detail))
    return Near(same, reflections, bursts, histogram, thresholds, tuple(notes))


def _screened(candidates: Candidates, pictures: int, cache: Cache, notes: list[str]) -> Candidates:
    """Those worth opening: alike in their thumbnails, and if there are too many the most alike ones."""
    most = max(_COMPARED[0], pictures // _COMPARED[1])
    like = candidates.like
    # A second run looks no deeper than the first, or it would find what that one had no time for.
    chosen = np.flatnonzero(like >= max(_LIKE, cache.fact("like", 0.0)))
    if len(chosen) > most:
        order = np.lexsort((candidates.second[chosen], candidates.first[chosen], -like[chosen]))[:most]
        chosen = chosen[order]
        least = float(like[chosen[-1]])
        cache.set_fact("like", least)
        notes.append(f"the {most:,} pairs that are most alike were compared (thumbnails agree to {least:.0%} and more)")
    return candidates.some(np.sort(chosen))


def _compare(
    pictures: Sequence[Look],
    thumbnails: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    candidates: Candidates,
    crew: Crew,
    cache: Cache,
    *,
    mirrored: bool,
) -> list[Link]:
    """Compare every pair, those of the cache aside: thumbnails first, then files. Strangers are left out."""
    places = list(zip(candidates.first.tolist(), candidates.second.tolist(), strict=True))
    if not places:
        return []
    keys = [(pictures[i].pixels, pictures[j].pixels, mirrored) for i, j in places]
    known = cache.evidence()
    open_ = [at for at, key in enumerate(keys) if key not in known]
    one, other = thumbnails
    fresh: dict[tuple[str, str, bool], PairEvidence | None] = {}
    executor = crew(4 * len(open_))
    glances = executor.map(glance_at, ((one[i], other[j]) for i, j in (places[at] for at in open_)))
    worth = [at for at, detail in zip(open_, glances, strict=True) if detail >= _GLANCE]
    fresh |= dict.fromkeys((keys[at] for at in set(open_) - set(worth)), None)
    work = ((pictures[i].path, pictures[j].path, mirrored) for i, j in (places[at] for at in worth))
    for at, evidence in zip(worth, executor.map(compare_files, work), strict=True):
        if evidence is not None:
            fresh[keys[at]] = evidence
    _picture.cache_clear()  # a later run in this process must read the files again
    cache.add_evidence(fresh.items())
    known |= fresh
    distances = candidates.distance.tolist()
    links = []
    for (i, j), key, distance in zip(places, keys, distances, strict=True):
        evidence = known.get(key)
        if evidence is not None:
            links.append(Link(i, j, distance, evidence))
    return links


def glance_at(task: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> float:
    """Compare two thumbnails."""
    return glance(*task)


def compare_files(task: tuple[str, str, bool]) -> PairEvidence | None:
    """Compare two files, the first mirrored if asked; None if one cannot be read."""
    one, other, mirrored = task
    try:
        first, second = _picture(one), _picture(other)
    except ImageError:
        return None
    return compare(np.ascontiguousarray(first[:, ::-1]) if mirrored else first, second)


def judge_file(path: str) -> list[PairEvidence]:
    """Compare a file with copies of it made here; nothing if it cannot be read."""
    try:
        return judge_copies(read_image(path))
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
def _picture(path: str) -> Image8:
    """Pairs come sorted by their first picture, which so is decoded once."""
    return read_image(path)
