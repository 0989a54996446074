"""Which number a damaged file name stood for, where exactly one fits. Pure: names in, renames out.

What happens to names on the way (unpacking, copying, editing by hand): a digit is lost (``00123.jpg``), leading zeros
are lost (``123.jpg``), the ending changes (``000123.JPG``, ``.jpeg``, ``.jpg.jpg``), a file manager adds ``(1)``.

A number is given only to a name that nothing else could be: it must be known, no other file may have it, and no
other damaged name may need it. Where two readings are left, the name is reported with them, never guessed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

CELEBA_SIZE = 202_599
_GOOD = re.compile(r"[0-9]{6}\.jpg")
_ENDING = re.compile(r"\.jpe?g$", re.IGNORECASE)
_COPY = re.compile(r" ?\([0-9]{1,3}\)$")
_SHORT = re.compile(r"[0-9]{1,5}")
_MOSTLY = 0.5  # share of six-digit names from which a folder without tables counts as CelebA


@dataclass(frozen=True, slots=True)
class Rename:
    """A repaired name: paths below the folder."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """A damaged name that was left.

    Attributes:
        name: path below the folder.
        candidates: the names it could stand for, sorted; may be empty.
        why: what keeps it from being repaired.
    """

    name: str
    candidates: tuple[str, ...]
    why: str


@dataclass(slots=True)
class _Claim:
    """Names with one content that read the same way, and the numbers left for them."""

    paths: list[str]
    left: set[str]
    first: frozenset[str]


def known_names(tables: Iterable[Sequence[str]], names: Iterable[str]) -> frozenset[str]:
    """The file names a folder should have.

    Args:
        tables: the names of each table's rows.
        names: the pictures, as paths below the folder.

    Returns:
        Every name of the tables; without tables CelebA's 000001.jpg to 202599.jpg if at least half of the pictures
        have six-digit names; else nothing, and then no name is damaged.
    """
    said = frozenset(name for table in tables for name in table)
    if said:
        return said
    bare = [_bare(name) for name in names]
    good = sum(_GOOD.fullmatch(name) is not None for name in bare)
    if not bare or good < _MOSTLY * len(bare):
        return frozenset()
    return frozenset(f"{number:06d}.jpg" for number in range(1, CELEBA_SIZE + 1))


def repair_names(
    names: Iterable[str],
    known: frozenset[str],
    *,
    held: Collection[str] = (),
    contents: Mapping[str, str] | None = None,
) -> tuple[list[Rename], list[Unclear]]:
    """Find the names that can be repaired with certainty.

    Repairing is its own fixed point: after the renames, a second call finds nothing more.

    Args:
        names: all pictures, as paths below the folder.
        known: names without folders that pictures may have; see ``known_names``.
        held: paths that keep their claim but are not renamed: set aside, unreadable, or no JPEG.
        contents: path -> digest; names with one content that read the same way count as one, the first is repaired.

    Returns:
        (renames, unclear), both sorted by path. A damaged name whose number has its file already is in neither:
        it is a copy, which is the business of duplicate detection.
    """
    every = sorted({*names, *held})
    taken = {_bare(path) for path in every}
    readings = {path: _reading(_bare(path), known) for path in every if _bare(path) not in known}
    exact = {path: found for path, (found, sure) in readings.items() if sure and found and not found & taken}
    vague = {path: found for path, (found, sure) in readings.items() if not sure}
    given, unclear = _settle(_claims(exact, contents or {}))
    spoken_for = taken | {number for numbers in exact.values() for number in numbers}
    more, others = _settle(_claims({path: found - spoken_for for path, found in vague.items()}, contents or {}))
    kept = set(held)
    renames = [Rename(path, _beside(path, number)) for path, number in (given | more).items() if path not in kept]
    left = [entry for entry in unclear + others if entry.name not in kept]
    return sorted(renames, key=lambda rename: rename.old), sorted(left, key=lambda entry: entry.name)


def is_well_formed(name: str) -> bool:
    """Whether a path ends in six digits and ``.jpg``."""
    return _GOOD.fullmatch(_bare(name)) is not None


def _reading(name: str, known: frozenset[str]) -> tuple[frozenset[str], bool]:
    """What a name could stand for, and whether all its digits are there. Nothing for names of other kinds."""
    stem, before = name, ""
    while stem != before and _ENDING.search(name):
        before, stem = stem, _COPY.sub("", _ENDING.sub("", stem))
    if f"{stem}.jpg" in known:
        return frozenset({f"{stem}.jpg"}), True
    if not _ENDING.search(name) or not _SHORT.fullmatch(stem):
        return frozenset(), True
    longer = {stem.zfill(6)}
    if len(stem) == 5:
        longer |= {stem[:at] + digit + stem[at:] for at in range(6) for digit in "0123456789"}
    return frozenset(f"{number}.jpg" for number in longer) & known, False


def _claims(found: Mapping[str, frozenset[str]], contents: Mapping[str, str]) -> list[_Claim]:
    alike: dict[tuple[str, frozenset[str]], _Claim] = {}
    for path, numbers in found.items():
        same = alike.setdefault((contents.get(path, path), numbers), _Claim([], set(numbers), numbers))
        same.paths.append(path)
    return list(alike.values())


def _settle(claims: list[_Claim]) -> tuple[dict[str, str], list[Unclear]]:
    given: dict[str, str] = {}
    unclear: list[Unclear] = []
    for group in _connected(claims):
        result = _eliminate(group)
        for claim in group:
            if result is None:
                why = "more damaged names than free numbers" if claim.first else "no free number fits"
                unclear += [Unclear(path, tuple(sorted(claim.first)), why) for path in claim.paths]
            elif claim.paths[0] in result:
                given[claim.paths[0]] = result[claim.paths[0]]
            else:
                unclear += [Unclear(path, tuple(sorted(claim.left)), "several numbers fit") for path in claim.paths]
    return given, unclear


def _eliminate(group: list[_Claim]) -> dict[str, str] | None:
    """Give numbers to claims that have one left, until none has; None if that leaves a claim with nothing."""
    users: dict[str, list[_Claim]] = defaultdict(list)
    for claim in group:
        for number in claim.left:
            users[number].append(claim)
    given: dict[str, str] = {}
    sure = [claim for claim in group if len(claim.left) == 1]
    contradiction = any(not claim.left for claim in group)
    while sure and not contradiction:
        claim = sure.pop()
        (number,) = claim.left
        given[claim.paths[0]] = number
        for other in users[number]:
            if other is not claim and number in other.left:
                other.left.discard(number)
                contradiction |= not other.left
                if len(other.left) == 1:
                    sure.append(other)
    return None if contradiction else given


def _connected(claims: list[_Claim]) -> list[list[_Claim]]:
    """Groups of claims that share a number, directly or through others: what one is given concerns all of them."""
    users: dict[str, list[int]] = defaultdict(list)
    for i, claim in enumerate(claims):
        for number in claim.first:
            users[number].append(i)
    seen: set[int] = set()
    groups: list[list[_Claim]] = []
    for start in range(len(claims)):
        waiting, group = [start], []
        while waiting:
            i = waiting.pop()
            if i not in seen:
                seen.add(i)
                group.append(i)
                waiting += [j for number in claims[i].first for j in users[number]]
        if group:
            groups.append([claims[i] for i in sorted(group)])
    return groups


def _bare(path: str) -> str:
    return path.rpartition("/")[2]


def _beside(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"
