"""Apply the near-duplicate search to a folder: which pictures are removed and which are only reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from faceaug.clean.cache import Cache
from faceaug.clean.duplicates import PARTITION_NAMES, Duplicate, Likeness, Links, Picture, keeping_order
from faceaug.clean.near import ComparedPair, Look, Near, find_near
from faceaug.clean.reading import Contents
from faceaug.clean.signatures import read_sharpness
from faceaug.clean.tiers import Alike, DuplicateGroup, Leak, LookAlike, Member, Tier
from faceaug.executor import Crew
from faceaug.progress import SILENT, Progress

_ROUNDS = 8  # crops of crops are followed so far; pairs that contradict each other would go on for ever


@dataclass(frozen=True, slots=True, eq=False)
class Resemblance:
    """The near duplicates of a folder.

    Attributes:
        pictures: all readable pictures, with their quality measures.
        links: pairs of pictures with different pixels that count as duplicates.
        near: the pairs found, as indices into ``shown``.
        shown: one picture for each distinct content, the one that would stay.
    """

    pictures: list[Picture]
    links: Links
    near: Near
    shown: tuple[Picture, ...]


def find_resemblance(
    root: Path,
    pictures: Sequence[Picture],
    contents: Contents,
    *,
    mirrored: Literal["report", "remove"],
    crew: Crew,
    cache: Cache,
    progress: Progress = SILENT,
) -> Resemblance:
    """Find the near duplicates among all pictures.

    Args:
        root: the folder.
        pictures: the readable pictures.
        contents: their signatures and looks; without looks nothing is found.
        mirrored: whether mirror images count as duplicates ("remove") or not ("report").
        crew: gives executors, see ``open_crew``.
        cache: earlier comparisons.
        progress: reports the phases.
    """
    if not len(contents.looks):
        return Resemblance(list(pictures), {}, Near(), ())
    pictures = _with_quality(pictures, contents)
    first: dict[str, Picture] = {}
    for picture in pictures:
        known = first.get(picture.signature.pixels)
        if known is None or keeping_order(picture) < keeping_order(known):
            first[picture.signature.pixels] = picture
    shown = tuple(sorted(first.values(), key=lambda picture: picture.signature.pixels))
    near = find_near(
        [Look(f"{root}/{picture.file.name}", picture.signature.pixels, picture.reference) for picture in shown],
        contents.looks[[contents.place[picture.file.name] for picture in shown]],
        crew,
        cache,
        progress,
    )
    links = _links(near.mirrored, shown, "mirrored") if mirrored == "remove" else {}
    links |= _links(near.overlaid, shown, "overlay") | _links(near.same, shown, "same photo")
    pictures = _ranked(pictures, near, shown)
    return Resemblance(_told_apart(root, pictures, links, crew), links, near, shown)


def groups_of(duplicates: Iterable[Duplicate], is_fixed: Callable[[Picture], bool]) -> tuple[DuplicateGroup, ...]:
    """The pictures to set aside, grouped by the picture that stays.

    Args:
        duplicates: the duplicates.
        is_fixed: whether a picture has to stay.
    """
    members: dict[str, list[Member]] = defaultdict(list)
    keepers: dict[str, Picture] = {}
    for duplicate in duplicates:
        copy, likeness = duplicate.copy, duplicate.likeness
        distance, evidence = (likeness.distance, likeness.evidence) if likeness else (-1, None)
        members[duplicate.keeper.name].append(
            Member(copy.file.name, duplicate.tier, distance, evidence, copy.signature.content)
        )
        keepers[duplicate.keeper.name] = duplicate.keeper
    return tuple(
        DuplicateGroup(name, tuple(found), keeper.file.name, keeper.signature.content, is_fixed(keeper))
        for name, found in sorted(members.items())
        for keeper in (keepers[name],)
    )


def look_alikes(found: Resemblance, gone: Collection[str], which: Alike) -> tuple[LookAlike, ...]:
    """Pairs to report, of which both pictures stay.

    Args:
        found: the near duplicates.
        gone: names of the files that are set aside.
        which: the kind of pairs to report.
    """
    near = found.near
    crops = tuple(link for link in (*near.same, *near.overlaid) if link.evidence.cropped)
    links = {"mirrored": near.mirrored, "burst": near.bursts, "overlay": near.covered, "crop": crops}[which]
    reported = []
    for link in links:
        pair = found.shown[link.one], found.shown[link.other]
        if not any(picture.file.name in gone for picture in pair):
            one, other = sorted(picture.name for picture in pair)
            reported.append(LookAlike(one, other, which, link.distance, link.evidence))
    return tuple(sorted(reported, key=lambda alike: (alike.one, alike.other)))


def leaks_of(duplicates: Iterable[Duplicate], found: Resemblance) -> tuple[Leak, ...]:
    """Photos in two partitions, including mirror images."""
    pairs: list[tuple[Picture, Picture, Tier]] = [(d.copy, d.keeper, d.tier) for d in duplicates]
    gone = {copy.file.name for copy, _, _ in pairs}
    staying: list[tuple[Tier, ComparedPair]] = [("mirrored", link) for link in found.near.mirrored]
    staying += [("same photo", link) for link in found.near.same if link.evidence.cropped]
    staying += [("overlay", link) for link in found.near.covered]
    for tier, link in staying:
        one, other = sorted((found.shown[link.one], found.shown[link.other]), key=keeping_order, reverse=True)
        if one.file.name not in gone and (tier == "mirrored" or other.file.name not in gone):
            pairs.append((one, other, tier))
    leaks = [
        Leak(copy.file.name, _partition(copy), keeper.name, _partition(keeper), tier)
        for copy, keeper, tier in pairs
        if copy.partition != keeper.partition and min(copy.partition, keeper.partition) >= 0
    ]
    return tuple(sorted(leaks, key=lambda leak: (leak.name, leak.keeper)))


def _partition(picture: Picture) -> str:
    return PARTITION_NAMES.get(picture.partition, str(picture.partition))


def _told_apart(root: Path, pictures: list[Picture], links: Links, crew: Crew) -> list[Picture]:
    """The pictures with their sharpness where nothing that counts more tells which one of several stays."""
    group = _connected(links)
    equals: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
    for picture in pictures:
        pixels = picture.signature.pixels
        if pixels in group:
            *before, _, _ = keeping_order(picture)
            equals[group[pixels], *before].setdefault(pixels, f"{root}/{picture.file.name}")
    paths = {pixels: path for tied in equals.values() if len(tied) > 1 for pixels, path in tied.items()}
    if not paths:
        return pictures
    sharpness = dict(zip(paths, crew(len(paths), native=True).map(read_sharpness, paths.values()), strict=True))
    return [
        replace(picture, sharpness=sharpness[picture.signature.pixels])
        if picture.signature.pixels in sharpness
        else picture
        for picture in pictures
    ]


def _connected(links: Links) -> dict[str, str]:
    """Digest of each linked picture -> one of those that links connect it with, the same for all of them."""
    above: dict[str, str] = {}

    def top(one: str) -> str:
        """The one that stands for a picture."""
        while (higher := above.setdefault(one, one)) != one:
            above[one] = above[higher]
            one = higher
        return one

    for pair in links:
        one, other = sorted(map(top, pair))
        above[other] = one
    return {one: top(one) for one in list(above)}


def _with_quality(pictures: Iterable[Picture], contents: Contents) -> list[Picture]:
    looks = contents.looks
    areas = (looks["height"].astype(np.int64) * looks["width"]).tolist()
    steps = looks["quantisation"].tolist()
    rated = []
    for p in pictures:  # ``replace`` would take five times as long, and there may be 200,000
        at = contents.place[p.file.name]
        quality = bool(p.signature.profile), areas[at], steps[at], 0.0
        known = p.protected, p.partition, p.rows, p.known
        rated.append(Picture(p.file, p.name, p.signature, *known, *quality, p.reference))
    return rated


def _links(links: Iterable[ComparedPair], shown: Sequence[Picture], tier: Tier) -> dict[frozenset[str], Likeness]:
    made = {}
    for link in links:
        one, other = shown[link.one].signature.pixels, shown[link.other].signature.pixels
        whole = ("", other, one)[link.evidence.cropped]
        made[frozenset((one, other))] = Likeness(tier, link.distance, link.evidence, whole)
    return made


def _ranked(pictures: Sequence[Picture], near: Near, shown: Sequence[Picture]) -> list[Picture]:
    """The pictures with what their pairs tell: the lesser one of a pair counts as slightly smaller than the other.

    The lesser one is an enlarged copy, a crop, or the one with something laid over it.
    """
    areas = {picture.signature.pixels: picture.area for picture in shown}
    lesser: list[tuple[str, str]] = []
    wrong: set[str] = set()
    for link in (*near.same, *near.overlaid):
        pair = shown[link.one].signature.pixels, shown[link.other].signature.pixels
        evidence = link.evidence
        which = evidence.cropped or evidence.overlaid or evidence.enlarged
        if which:
            lesser.append(pair if which == 1 else pair[::-1])
        if evidence.misread:
            wrong.add(pair[evidence.misread - 1])
    for _ in range(_ROUNDS):
        before = dict(areas)
        for less, more in lesser:
            areas[less] = min(areas[less], areas[more] - 1)
        if areas == before:
            break
    changed = {less for less, _ in lesser} | wrong
    return [
        replace(p, area=areas[p.signature.pixels], misread=p.misread or p.signature.pixels in wrong)
        if p.signature.pixels in changed
        else p
        for p in pictures
    ]
