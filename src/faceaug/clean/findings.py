"""What a clean found, as data: what is said of it is in ``words``, what is drawn of it in ``page``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias, get_args

from faceaug.clean.conflicts import Proposal
from faceaug.clean.hashes import NO_HASHES, Hashes
from faceaug.clean.names import Rename, Unclear
from faceaug.clean.tiers import DuplicateGroup, Leak, LookAlike, Thresholds
from faceaug.errors import some

Kind: TypeAlias = Literal["unreadable", "same bytes", "same pixels", "same photo", "mirrored"]
_List: TypeAlias = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, header, rows


@dataclass(frozen=True, slots=True)
class SetAside:
    """A picture that left the folder.

    Attributes:
        name: path it had below the folder.
        kind: why, in a word.
        reason: why, in a sentence.
        keeper: the picture that stays, under its repaired name; empty for unreadable files.
    """

    name: str
    kind: Kind
    reason: str
    keeper: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rows or classes that show one picture and say different things.

    Attributes:
        name: the picture set aside.
        keeper: the picture that stays.
        says: what differs, the value of ``name`` first.
    """

    name: str
    keeper: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Findings:
    """What happened to a folder.

    Attributes:
        folder: as the caller named it.
        run: name of the run, for ``undo``; None if nothing was changed.
        dry_run: whether this only says what would happen.
        original: pictures before.
        cleaned: pictures after.
        renames: repaired names.
        set_aside: pictures that left the folder.
        unclear: damaged names that could stand for several numbers, or for none.
        conflicts: duplicates about which the tables or classes disagree.
        left: (name, why) of files that were left alone.
        rows_without_file: table -> number of its rows that have no picture now. Tables are never changed.
        notes: anything else worth telling, a line each.
        out: the folder a cleaned copy was, or would be, written to; empty when the folder itself is cleaned.
        page: path of ``report.html``; empty if none was written, as in a dry run or where there was nothing to do.
        proposals: what the members of a group disagree on, and what most of them say; also ``conflicts.csv``.
        groups: the duplicates, each with the picture that stays and the comparison that proves it.
        mirrored: pairs of mirror images that were left.
        bursts: pairs that look alike and are different photos; left.
        leaks: photos in two partitions.
        thresholds: what decided about duplicates that are not the same in every pixel; None if none were looked for.
        histogram: number of pairs whose 64-bit pHashes differ in 0, 1, 2 ... bits.
        hashes: name a readable picture had -> its pHash as ``imagehash.ImageHash``; empty without a search for near
            duplicates. Not in the JSON.
    """

    folder: str
    run: str | None
    dry_run: bool
    original: int
    cleaned: int
    renames: tuple[Rename, ...]
    set_aside: tuple[SetAside, ...]
    unclear: tuple[Unclear, ...]
    conflicts: tuple[Conflict, ...]
    left: tuple[tuple[str, str], ...]
    rows_without_file: dict[str, int]
    notes: tuple[str, ...]
    out: str = ""
    page: str = ""
    proposals: tuple[Proposal, ...] = ()
    groups: tuple[DuplicateGroup, ...] = ()
    mirrored: tuple[LookAlike, ...] = ()
    bursts: tuple[LookAlike, ...] = ()
    leaks: tuple[Leak, ...] = ()
    thresholds: Thresholds | None = None
    histogram: tuple[int, ...] = ()
    hashes: Hashes = field(default_factory=lambda: NO_HASHES, repr=False, compare=False)

    @property
    def finds(self) -> bool:
        """Whether there is a name to repair or a picture to set aside."""
        return bool(self.renames or self.set_aside)

    @property
    def renamed(self) -> int:
        """Number of repaired names."""
        return len(self.renames)

    @property
    def unreadable(self) -> int:
        """Number of files set aside because they are no pictures."""
        return len(self.of("unreadable"))

    @property
    def byte_duplicates(self) -> int:
        """Number of files set aside because another has the same bytes."""
        return len(self.of("same bytes"))

    @property
    def pixel_duplicates(self) -> int:
        """Number of files set aside because another has the same pixels in other bytes."""
        return len(self.of("same pixels"))

    @property
    def near_duplicates(self) -> int:
        """Number of files set aside because another shows the same photo in other pixels."""
        return len(self.of("same photo")) + len(self.of("mirrored"))

    @property
    def skipped(self) -> int:
        """Number of files that were left alone although something is wrong with them."""
        return len(self.left)

    def counts(self) -> dict[str, int]:
        """The numbers of the summary, in the order they are told."""
        return {
            "original": self.original,
            "renamed": self.renamed,
            "unreadable": self.unreadable,
            "byte duplicates": self.byte_duplicates,
            "pixel duplicates": self.pixel_duplicates,
            "near duplicates": self.near_duplicates,
            "skipped": self.skipped,
            "cleaned": self.cleaned,
        }

    def kinds(self) -> dict[str, int]:
        """Why pictures left the folder -> how many; without the reasons that no picture had."""
        return {kind: len(found) for kind in get_args(Kind) if (found := self.of(kind))}

    def without(self, left: dict[str, str]) -> Self:
        """The report after some planned moves were not made: name -> why."""
        gone = tuple(entry for entry in self.set_aside if entry.name not in left)
        return replace(
            self,
            cleaned=self.original - len(gone),
            renames=tuple(rename for rename in self.renames if rename.old not in left),
            set_aside=gone,
            conflicts=tuple(conflict for conflict in self.conflicts if conflict.name not in left),
            groups=tuple(group for group in (_without(g, left) for g in self.groups) if group.members),
            left=tuple(sorted({*self.left, *left.items()})),
        )

    def headline(self) -> str:
        """What happened, in a sentence."""
        if not self.finds and not self.out and self.run is None:
            return f"{self.folder}: nothing to repair and nothing to set aside among {self.original:,} pictures"
        return f"{self.folder}: {'a plan; nothing was changed' if self.dry_run else self._where()}"

    def lists(self) -> list[_List]:
        """(title, header, rows) of everything found."""
        return [entry for entry in self._lists() if entry[2]]

    def of(self, kind: Kind) -> list[SetAside]:
        """The pictures that left for one reason."""
        return [entry for entry in self.set_aside if entry.kind == kind]

    def _lists(self) -> list[_List]:
        unclear: list[tuple[str, ...]] = [(u.name, u.why, some(list(u.candidates)), u.hint) for u in self.unclear]
        doubts: list[tuple[str, ...]] = [(c.name, c.keeper, c.says) for c in self.conflicts]
        leaks: list[tuple[str, ...]] = [(k.name, k.partition, k.keeper, k.keeper_partition) for k in self.leaks]
        votes: list[tuple[str, ...]] = [
            (p.keeper, p.field, p.proposal, f"{p.votes} of {p.of}", _said(p)) for p in self.proposals if p.proposal
        ]
        return [
            ("names repaired", ("was", "is"), [(r.old, r.new) for r in self.renames]),
            ("set aside, unreadable", ("file", "why"), [(e.name, e.reason) for e in self.of("unreadable")]),
            ("set aside, same bytes", ("file", "stays"), [(e.name, e.keeper) for e in self.of("same bytes")]),
            ("set aside, same pixels", ("file", "stays"), [(e.name, e.keeper) for e in self.of("same pixels")]),
            ("set aside, same photo", ("file", "stays"), [(e.name, e.keeper) for e in self.of("same photo")]),
            ("set aside, mirrored", ("file", "stays"), [(e.name, e.keeper) for e in self.of("mirrored")]),
            ("mirror images that stay", ("one", "other"), [(m.one, m.other) for m in self.mirrored]),
            ("alike, but different photos", ("one", "other"), [(b.one, b.other) for b in self.bursts]),
            ("one photo in two partitions", ("file", "in", "and", "in"), leaks),
            ("names left unclear", ("file", "why", "could be", "hint"), unclear),
            ("one picture, two labels", ("gone", "stays", "says"), doubts),
            ("labels most copies agree on", ("stays", "field", "proposal", "votes", "all say"), votes),
            ("left alone", ("file", "why"), list(self.left)),
        ]

    def _where(self) -> str:
        if self.out:
            return f"cleaned copy in {self.out}; the folder itself is as it was"
        return f"cleaned, run {self.run}"


def _said(proposal: Proposal) -> str:
    return ", ".join(f"{name} {value}" for name, value in proposal.values if value)


def _without(group: DuplicateGroup, left: dict[str, str]) -> DuplicateGroup:
    return replace(group, members=tuple(member for member in group.members if member.name not in left))
