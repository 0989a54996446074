"""Meaning of folder names: wrappers, partitions (``train``, ``test``), classes.

A level at which all folders have names such as ``train``, ``val`` and ``test`` is the partition, above or below the
classes. Folders shared by all pictures, and containers, have no meaning. The first remaining level with different names
is the class.
"""

from __future__ import annotations

from dataclasses import dataclass

from faceaug.data.layouts.place import Place, part_of, part_within
from faceaug.errors import counted

FEW = 8  # maximum names at a level of partitions: two or three partitions, each in a few pieces


@dataclass(frozen=True, slots=True)
class Levels:
    """Folders by their meaning.

    Attributes:
        part: folder -> 0 train, 1 validation, 2 test; -1 for other folders.
        label: folder -> class; empty if the folders are not classes.
        parts: names read as partitions; empty if there is no such level.
        plain: whether every name at that level is exactly a partition keyword.
        open: other names at that level, because of which it may be a level of classes.
        wrapper: path of the folders shared by all pictures.
        loose: whether pictures are next to folders that would otherwise be classes.
        single: the folders below partitions of which each has one, which are therefore no classes.
    """

    part: dict[str, int]
    label: dict[str, str]
    parts: tuple[str, ...]
    plain: bool
    open: tuple[str, ...]
    wrapper: str
    loose: bool
    single: tuple[str, ...] = ()


def find_levels(place: Place, *, partial: bool = False) -> Levels:
    """Interpret the folder names.

    Args:
        place: the folder.
        partial: accept a level as partitions even if some of its names are not partitions.
    """
    level, plain = _part_level(place, partial=partial)
    part = {folder: _part(parts, level) for folder, parts in place.parts.items()}
    names = sorted({parts[level] for parts in place.parts.values() if len(parts) > level}) if level is not None else []
    taken = tuple(name for name in names if part_within(name) is not None)
    paths = _paths(place, level)
    label, wrapper, loose = _classes(paths)
    single: tuple[str, ...] = ()
    if level is not None and _one_each(label, part):
        single = tuple(sorted(set(label.values())))
        label, _, loose = _classes(_without_own(paths, part))
    others = tuple(name for name in names if name not in taken)
    return Levels(part, label, taken, plain, others, wrapper, loose, single)


def _part(parts: tuple[str, ...], level: int | None) -> int:
    if level is None or len(parts) <= level:
        return -1
    found = part_within(parts[level])
    return -1 if found is None else found


def _part_level(place: Place, *, partial: bool) -> tuple[int | None, bool]:
    """The level of the partitions, and whether its names are exactly the keywords."""
    deepest = max(map(len, place.parts.values()), default=0)
    for read, plain in ((part_of, True), (part_within, False)):
        for level in range(min(deepest, FEW)):
            names = {parts[level] for parts in place.parts.values() if len(parts) > level}
            found = {name: read(name) for name in names} if plain or len(names) <= FEW else {}
            parts = set(found.values()) - {None}
            loose = sum(count for folder, count in place.folders.items() if len(place.parts[folder]) <= level)
            complete = bool(parts) and None not in found.values()
            few = loose == 0 or (loose < len(place.pictures) / 2 and len(parts) > 1)
            if complete and few and (plain or len(parts) > 1):
                return level, plain
            if partial and parts:
                return level, plain
    return None, True


def _paths(place: Place, level: int | None) -> dict[str, tuple[str, ...]]:
    """Folder -> its path without partition and containers."""
    return {
        folder: tuple(name for k, name in enumerate(parts) if k != level and not (place.is_shard(folder, k)))
        for folder, parts in place.parts.items()
        if level is None or len(parts) > level
    }


def _without_own(paths: dict[str, tuple[str, ...]], part: dict[str, int]) -> dict[str, tuple[str, ...]]:
    """The same paths without the folders that all pictures of a partition share (``train/train/ann``)."""
    found: dict[str, tuple[str, ...]] = {}
    for number in sorted(set(part.values())):
        own = {folder: path for folder, path in paths.items() if part[folder] == number}
        shared = len(_common_prefix(list(own.values())))
        found |= {folder: path[shared:] for folder, path in own.items()}
    return found


def _classes(left: dict[str, tuple[str, ...]]) -> tuple[dict[str, str], str, bool]:
    """(folder -> class, path of the shared folders, whether pictures are next to folders)."""
    shared = _common_prefix(list(left.values()))
    depth = len(shared)
    loose = any(len(parts) == depth for parts in left.values())
    if not left or loose:
        return {}, "/".join(shared), loose and any(len(parts) > depth for parts in left.values())
    return {folder: parts[depth] for folder, parts in left.items()}, "/".join(shared), False


def _common_prefix(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    if not paths:
        return ()
    first, last = min(paths), max(paths)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


def _one_each(label: dict[str, str], part: dict[str, int]) -> bool:
    """Whether each partition has a single folder: these are wrappers (``train/images``), not classes."""
    within: dict[int, set[str]] = {}
    for folder, name in label.items():
        within.setdefault(part[folder], set()).add(name)
    return len(within) > 1 and all(len(names) == 1 for names in within.values())


def part_note(levels: Levels) -> list[str]:
    """The note on folders read as partitions."""
    if not levels.parts:
        return []
    shown = ", ".join(f"{name}/" for name in levels.parts[:6])
    guess = "" if levels.plain else ", by a word in their names"
    folders = counted(len(levels.parts), "folder is read as a partition", "folders are read as partitions")
    return [f"{folders}{guess} ({shown})"]
