"""The user's choices for cleaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal

from faceaug.errors import ArgumentError, printable


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPolicy:
    """The user's choices for cleaning a folder.

    Attributes:
        max_remove: largest share of the pictures that may be set aside, 0..1; above it, nothing is changed. Losing
            more than a fifth usually means that the wrong folder was given.
        protect: paths (relative to the folder, or absolute), folders or globs of pictures that are never set aside.
        repair_names: whether to repair damaged names.
        near: whether to set aside copies of a photo that differ in compression, size, brightness or by a small crop,
            after comparing their pixels; otherwise only byte- and pixel-identical copies.
        mirrored: "report" mirror images, or "remove" them like other copies.

    Raises:
        ArgumentError: ``max_remove`` is outside 0..1, or ``mirrored`` is neither.

    Example:
        >>> from faceaug import CleanPolicy
        >>> policy = CleanPolicy(protect=("favourites/*.jpg",), mirrored="remove")
        >>> policy.max_remove
        0.2
    """

    max_remove: float = 0.2
    protect: Sequence[str] = ()
    repair_names: bool = True
    near: bool = True
    mirrored: Literal["report", "remove"] = "report"

    def __post_init__(self) -> None:
        if not 0 <= self.max_remove <= 1:
            raise ArgumentError(f"max_remove {self.max_remove!r}: expected a share from 0 to 1, like 0.2")
        if self.mirrored not in ("report", "remove"):
            raise ArgumentError(f"mirrored {self.mirrored!r}: expected 'report' or 'remove'")
        if isinstance(self.protect, str):
            raise ArgumentError(f"protect {self.protect!r}: expected a tuple of paths, not one string")

    def protected(self, root: Path, names: Iterable[str]) -> frozenset[str]:
        """The pictures that are protected.

        Raises:
            ArgumentError: an entry of ``protect`` matches no picture. It is probably misspelt, and the pictures it was
                meant for would be unprotected.
        """
        every = list(names)
        found: set[str] = set()
        for entry in self.protect:
            pattern = _below(root, str(entry))
            matching = {name for name in every if _matches(name, pattern)}
            if not matching:
                raise ArgumentError(f"protect {printable(entry)}: matches no picture of {printable(root)}")
            found |= matching
        return frozenset(found)


def _below(root: Path, entry: str) -> str:
    for base in (root, root.resolve()):
        if Path(entry).is_relative_to(base):
            return str(PurePosixPath(Path(entry).relative_to(base).as_posix()))
    return str(PurePosixPath(entry))


def _matches(name: str, pattern: str) -> bool:
    whole = pattern == "." or name == pattern or name.startswith(f"{pattern}/")
    return whole or fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)
