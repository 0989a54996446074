"""Find photos that two folders share, such as a train set and a test set. Nothing is changed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from faceaug.clean.against import check_apart, check_references, read_references
from faceaug.clean.cache import Cache
from faceaug.clean.duplicates import Picture
from faceaug.clean.near import ComparedPair, Near
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.scene import look
from faceaug.clean.survey import Survey, survey
from faceaug.clean.tiers import Tier
from faceaug.errors import printable
from faceaug.executor import open_crew
from faceaug.progress import Show, open_progress
from faceaug.storage.files import existing_folder

LeakTier: TypeAlias = Tier | Literal["crop"]


@dataclass(frozen=True, slots=True)
class SharedPhoto:
    """One photo in two folders.

    Attributes:
        one: path in the first folder.
        other: path in the second folder.
        tier: how the two match: "same bytes", "same pixels", "same photo", "overlay" (something is laid over one of
            them), "crop" (one shows a part of the other), or "mirrored".
    """

    one: Path
    other: Path
    tier: LeakTier

    def __str__(self) -> str:
        return f"{printable(self.other)}: {self.tier} as {printable(self.one)}"


def find_leaks(
    one: Path | str,
    other: Path | str,
    *,
    near: bool = True,
    index: Path | str | None = None,
    workers: int | None = None,
    progress: Show = None,
) -> tuple[SharedPhoto, ...]:
    """Find the photos of a folder that another one has too.

    Args:
        one: a folder of known pictures, such as the train set.
        other: the folder that should share none with it, such as the test set. Each of its pictures comes once.
        near: also find copies that differ in compression, size, brightness or by a small crop, and mirror images.
        index: file that keeps what was read of ``one``, ``NAME.faceaug-index``; None for the one that a clean has
            left beside it, if any.
        workers: see ``clean_folder``.
        progress: see ``clean_folder``.

    Returns:
        The shared photos, by their path in ``other``.

    Raises:
        ArgumentError: a folder does not exist, one lies in the other, or ``index`` is another file.
        RefusedError: a folder has no pictures.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import find_leaks
        >>> for name, colour in [("train/1.png", "red"), ("test/7.png", "red"), ("test/8.png", "blue")]:
        ...     Path(name).parent.mkdir(exist_ok=True)
        ...     Image.new("RGB", (64, 64), colour).save(name)
        >>> [(leak.one.name, leak.other.name, leak.tier) for leak in find_leaks("train", "test")]
        [('1.png', '7.png', 'same bytes')]
    """
    root = existing_folder(other)
    references = check_references(root, [one])
    place = None if index is None else Path(index)
    if place is not None:
        check_apart(place, [root, *references], what="the index")
    shown = open_progress(progress)
    policy = CleanPolicy(max_remove=1, near=near, repair_names=False)
    with open_crew(workers) as crew:
        known = read_references(references, root=root, index=place, keep=False, crew=crew, progress=shown)
        found = survey(look(other), policy, (), known, crew, shown, Cache(None))
    best: dict[Path, SharedPhoto] = {}
    for shared in _shared(found, root.resolve()):
        best.setdefault(shared.other, shared)
    return tuple(best[path] for path in sorted(best))


def _shared(found: Survey, root: Path) -> Iterator[SharedPhoto]:
    """All pairs of a picture in the first folder and one in the second, the most certain first."""
    theirs: dict[str, list[Picture]] = defaultdict(list)
    ours: dict[str, list[Picture]] = defaultdict(list)
    for picture in found.alike.pictures:
        (theirs if picture.reference else ours)[picture.signature.pixels].append(picture)
    for pixels in ours.keys() & theirs.keys():
        for picture in ours[pixels]:
            same = [other for other in theirs[pixels] if other.signature.content == picture.signature.content]
            yield _pair(root, _first(same or theirs[pixels]), picture, "same bytes" if same else "same pixels")
    for tier, link in _links(found.alike.near):
        one, other = (found.alike.shown[k].signature.pixels for k in (link.one, link.other))
        for first, second in ((one, other), (other, one)):
            for picture in ours[second] if theirs[first] else ():
                yield _pair(root, _first(theirs[first]), picture, tier)


def _first(pictures: list[Picture]) -> Picture:
    return min(pictures, key=lambda picture: picture.file.name)


def _links(near: Near) -> Iterator[tuple[LeakTier, ComparedPair]]:
    yield from (("crop" if link.evidence.cropped else "same photo", link) for link in near.same)
    yield from (("overlay", link) for link in (*near.overlaid, *near.covered))
    yield from (("mirrored", link) for link in near.mirrored)


def _pair(root: Path, one: Picture, other: Picture, tier: LeakTier) -> SharedPhoto:
    return SharedPhoto(Path(os.path.normpath(root / one.file.name)), root / other.file.name, tier)
