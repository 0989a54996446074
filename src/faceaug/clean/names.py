"""Repair damaged file names where exactly one number fits. Pure: names in, renames out.

Unpacking, copying and editing damage names in these ways: a digit is lost (``00123.jpg``), leading zeros are lost
(``123.jpg``, often in a whole set), the ending changes (``000123.JPG``, ``.jpeg``, ``.jpg.jpg``, ``.png`` on a JPEG),
a file manager adds ``(1)`` or ``- Copy``, two names are swapped.

A name is repaired only if the result is unambiguous: the number is known, no other file has it, and no other damaged
name needs it. Between several readings the content decides (``evidence``); without such evidence the name is reported
with its readings, never guessed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

CELEBA_SIZE = 202_599
_GOOD = re.compile(r"[0-9]{6}\.jpg")
_ENDING = re.compile(r"\.(jpe?g|png|webp|bmp)$", re.IGNORECASE)
_COPY = re.compile(r"\s*(\([0-9]{1,3}\)|[-_ ]+copy([ -][0-9]{1,3})?|\s)$", re.IGNORECASE)  # of the common file managers
_COPY_BEFORE = re.compile(r"^(copy of |\s+)", re.IGNORECASE)
_SHORT = re.compile(r"[0-9]{1,5}")
_MOSTLY = 0.5  # share of six-digit names from which a folder without tables counts as CelebA
_WHOLE_SET = (10, 0.2)  # least number, and least share, of short names from which the whole set lost its zeros


@dataclass(frozen=True, slots=True)
class Rename:
    """A repaired name: paths below the folder."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """A damaged name that is not repaired.

    Attributes:
        name: path below the folder.
        candidates: the names that it could stand for, sorted; may be empty.
        why: the reason why it is not repaired.
        hint: the most likely candidate, with the reason; not certain enough to rename the file.
    """

    name: str
    candidates: tuple[str, ...]
    why: str
    hint: str = ""


@dataclass(slots=True)
class _Claim:
    """Names with the same content and readings, the numbers still possible (``left``) and at first (``first``)."""

    paths: list[str]
    left: set[str]
    first: frozenset[str]


def known_names(
    tables: Iterable[Sequence[str]], names: Iterable[str], *, archive: Iterable[str] = ()
) -> frozenset[str]:
    """The file names that a folder should have.

    Args:
        tables: the row names of each table.
        names: the pictures, as paths below the folder.
        archive: the names in the archive the folder was unpacked from; used if there are no tables.

    Returns:
        All names of the tables, else of the archive; without either, CelebA's 000001.jpg to 202599.jpg if at least
        half of the pictures have six-digit names; else nothing, and then no name counts as damaged.
    """
    said = frozenset(name for table in tables for name in table) or frozenset(archive)
    if said:
        return said
    bare = [_bare(name) for name in names]
    good = sum(_GOOD.fullmatch(name) is not None for name in bare)
    if not bare or good < _MOSTLY * len(bare):
        return frozenset()
    return frozenset(map("{:06d}.jpg".format, range(1, CELEBA_SIZE + 1)))


def repair_names(
    names: Iterable[str],
    known: frozenset[str],
    *,
    held: Collection[str] = (),
    contents: Mapping[str, str] | None = None,
    evidence: Mapping[str, frozenset[str]] | None = None,
) -> tuple[list[Rename], list[Unclear]]:
    """Find the names that can be repaired with certainty.

    The repair is idempotent: after the renames, a second call finds nothing.

    Args:
        names: all pictures, as paths below the folder.
        known: names without folders that pictures may have; see ``known_names``.
        held: paths that compete for numbers but are not renamed: set aside, unreadable, or not JPEG.
        contents: path -> digest; names with the same content and readings count as one, and the first is repaired.
        evidence: path -> the known names with exactly its content. It overrides the name: a file under another's name
            (two swapped names, a chain of shifted names) is renamed too.

    Returns:
        (renames, unclear), both sorted by path. A damaged name whose number belongs to a file with the same content is
        in neither: it is a copy, which duplicate detection handles.
    """
    every = sorted({*names, *held})
    same = contents or {}
    kept = set(held)
    sure = {path: fits for path, fits in (evidence or {}).items() if path not in kept}
    moved, unclear = _follow_evidence(every, known, sure, same)
    settled = moved.keys() | {entry.name for entry in unclear}
    taken = {moved.get(path, _bare(path)) for path in every}
    wrong = [path for path in every if _bare(path) not in known and path not in settled]
    wrong = [path for path in wrong if sure.get(path, frozenset()).isdisjoint(taken)]  # else a copy
    exact, vague = _readings(wrong, known, sure, zeros=_lost_zeros(every, known, taken, same))
    unclear += _collisions(exact, taken, moved, same)
    exact = {path: found for path, found in exact.items() if not found & taken}
    given, more = _settle(_claims(exact, same))
    spoken_for = taken | {number for numbers in exact.values() for number in numbers}
    last, others = _settle(_claims({path: found - spoken_for for path, found in vague.items()}, same))
    fitting = moved | given | last
    renames = [Rename(path, _with_name(path, number)) for path, number in fitting.items() if path not in kept]
    left = [entry for entry in unclear + more + others if entry.name not in kept]
    return sorted(renames, key=lambda rename: rename.old), sorted(left, key=lambda entry: entry.name)


def is_well_formed(name: str) -> bool:
    """Whether a path ends in six digits and ``.jpg``."""
    return _GOOD.fullmatch(_bare(name)) is not None


def _follow_evidence(
    every: list[str],
    known: frozenset[str],
    evidence: Mapping[str, frozenset[str]],
    contents: Mapping[str, str],
) -> tuple[dict[str, str], list[Unclear]]:
    """Renames decided by content alone, path -> name; and files whose content names another file, but cannot move."""
    wrong = [path for path in every if path in evidence and _bare(path) not in evidence[path]]
    right = {_bare(path) for path in every if _bare(path) in evidence.get(path, ())}
    wishes = _wishes(wrong, known, evidence, contents, right)
    moved = _possible(every, wishes)
    why = "has the content of another picture, whose name is taken"
    blocked = [path for path in wrong if path not in moved and (path in wishes or _bare(path) in known)]
    return moved, [Unclear(path, tuple(sorted(evidence[path])), why) for path in blocked]


def _wishes(
    paths: list[str],
    known: frozenset[str],
    evidence: Mapping[str, frozenset[str]],
    contents: Mapping[str, str],
    right: set[str],
) -> dict[str, str]:
    """Path -> the only name that fits its content, or both its content and its damaged name; without copies."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        likely = evidence[path] & _reading(_bare(path), known, zeros=False)[0]
        for name in likely if len(likely) == 1 else evidence[path] if len(evidence[path]) == 1 else ():
            if name not in right:
                wanted[name].insert(0 if likely else len(wanted[name]), path)
    return {paths[0]: name for name, paths in wanted.items() if len({contents.get(p, p) for p in paths}) == 1}


def _possible(every: list[str], wishes: dict[str, str]) -> dict[str, str]:
    """The renames whose target is free, or becomes free because its holder is renamed too."""
    wishing = {name: path for path, name in wishes.items()}
    holders: dict[str, list[str]] = defaultdict(list)
    for path in every:
        if _bare(path) in wishing:
            holders[_bare(path)].append(path)
    moved = dict(wishes)
    waiting = list(wishes)
    while waiting:
        path = waiting.pop()
        if path in moved and any(holder not in moved for holder in holders[moved[path]]):
            del moved[path]
            waiting += [wishing[_bare(path)]] if _bare(path) in wishing else []
    return moved


def _readings(
    paths: list[str], known: frozenset[str], evidence: Mapping[str, frozenset[str]], *, zeros: bool
) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """The possible readings of damaged names: of names with all their digits, and of the others."""
    exact: dict[str, frozenset[str]] = {}
    vague: dict[str, frozenset[str]] = {}
    for path in paths:
        found, sure = _reading(_bare(path), known, zeros=zeros)
        if path in evidence:
            vague[path] = found & evidence[path] or evidence[path]
        elif not sure:
            vague[path] = found
        elif found:
            exact[path] = found
    return exact, vague


def _lost_zeros(every: list[str], known: frozenset[str], taken: set[str], contents: Mapping[str, str]) -> bool:
    """Whether the whole set lost its leading zeros, so that 12345.jpg can only mean 012345.jpg."""
    if any(_bare(path).startswith("0") for path in every):
        return False
    stems = {path: _stem(_bare(path)) for path in every}
    numbers = {path: stem for path, stem in stems.items() if stem.isascii() and stem.isdigit()}
    short = {path: stem for path, stem in numbers.items() if _SHORT.fullmatch(stem)}
    least, share = _WHOLE_SET
    if len(short) < max(least, share * len(numbers)):
        return False
    owner: dict[str, str] = {}
    for path, stem in short.items():
        name = f"{stem:0>6}.jpg"
        content = contents.get(path, path)
        if name not in known or name in taken or owner.setdefault(name, content) != content:
            return False
    return True


def _collisions(
    exact: Mapping[str, frozenset[str]], taken: set[str], moved: Mapping[str, str], contents: Mapping[str, str]
) -> list[Unclear]:
    """Damaged names whose number belongs to a file with different content."""
    if not contents:
        return []
    holders = defaultdict(set)
    for path, content in contents.items():
        holders[moved.get(path, _bare(path))].add(content)
    why = "another picture has this name"
    return [
        Unclear(path, tuple(sorted(found)), why)
        for path, found in exact.items()
        if found & taken and not any(contents.get(path) in holders[name] for name in found & taken)
    ]


def _stem(name: str) -> str:
    """A name without its endings and without the additions of file managers."""
    stem = name
    before = ""
    while stem != before and _ENDING.search(name):
        before, stem = stem, _COPY_BEFORE.sub("", _COPY.sub("", _ENDING.sub("", stem)))
    return stem


def _reading(name: str, known: frozenset[str], *, zeros: bool) -> tuple[frozenset[str], bool]:
    """The names that a damaged name could stand for, and whether it has all its digits; none for other patterns."""
    stem = _stem(name)
    if f"{stem}.jpg" in known:
        return frozenset({f"{stem}.jpg"}), True
    if not _ENDING.search(name) or not _SHORT.fullmatch(stem):
        return frozenset(), True
    longer = {stem.zfill(6)}
    if len(stem) == 5 and not zeros:
        longer |= {stem[:at] + digit + stem[at:] for at in range(6) for digit in "0123456789"}
    return frozenset(f"{number}.jpg" for number in longer) & known, zeros


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
    """Assign numbers to claims with one possibility, repeatedly; None if a claim ends up with none."""
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
    """Connected components of claims that share numbers: an assignment in a component affects all of it."""
    users: dict[str, list[int]] = defaultdict(list)
    for i, claim in enumerate(claims):
        for number in claim.first:
            users[number].append(i)
    seen: set[int] = set()
    groups: list[list[_Claim]] = []
    for start in range(len(claims)):
        waiting = [start]
        group: list[int] = []
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


def _with_name(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"
