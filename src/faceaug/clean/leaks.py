"""Find photos that two folders share, such as a train set and a test set. Nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from faceaug.clean.against import check_references
from faceaug.clean.plan import Decision, decide
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.scene import look
from faceaug.clean.tiers import Tier
from faceaug.errors import printable
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
    decision = decide(
        look(other),
        CleanPolicy(max_remove=1, near=near, repair_names=False, mirrored="report"),
        set_aside=(),
        workers=workers,
        progress=open_progress(progress),
        against=references,
        index=None if index is None else Path(index),
    )
    found: dict[Path, SharedPhoto] = {}
    for shared in _shared(decision, root.resolve(), references[0]):
        found.setdefault(shared.other, shared)
    return tuple(sorted(found.values(), key=lambda leak: leak.other.as_posix()))


def _shared(decision: Decision, root: Path, reference: Path) -> Iterator[SharedPhoto]:
    """All pairs, the most certain first."""
    report = decision.report
    for group in report.groups:
        if (keeper := _plain(root, group.keeper)).is_relative_to(reference):
            for member in group.members:
                yield SharedPhoto(keeper, root / member.name, member.tier)
    for pair in (*report.partial, *report.mirrored):
        one, other = _plain(root, pair.one), _plain(root, pair.other)
        if other.is_relative_to(reference):
            one, other = other, one
        if one.is_relative_to(reference) and pair.tier != "burst":
            yield SharedPhoto(one, other, pair.tier)


def _plain(root: Path, name: str) -> Path:
    return Path(os.path.normpath(root / name))
