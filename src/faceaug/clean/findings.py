"""The findings of a clean, as data. ``words`` puts them into text, ``page`` into a report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias

from faceaug.clean.conflicts import Proposal
from faceaug.clean.decisions import Decisions
from faceaug.clean.faults import FAULTS, FaceChecks, Fault
from faceaug.clean.names import Rename, Unclear
from faceaug.clean.report_hashes import NO_HASHES, Hashes
from faceaug.clean.tiers import DuplicateGroup, Leak, LookAlike, Thresholds
from faceaug.errors import some

Kind: TypeAlias = Literal["unreadable", "same bytes", "same pixels", "same photo", "overlay", "mirrored"] | Fault
KINDS: tuple[Kind, ...] = ("unreadable", "same bytes", "same pixels", "same photo", "overlay", "mirrored", *FAULTS)
_PARTS = {"overlay": "something over a face", "crop": "one is cropped"}
_List: TypeAlias = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, header, rows


@dataclass(frozen=True, slots=True)
class SetAside:
    """A picture that was set aside.

    Attributes:
        name: former path below the folder.
        kind: category of the reason.
        reason: the reason in words.
        keeper: the picture that stays, under its repaired name; empty for unreadable files and faults of faces.
    """

    name: str
    kind: Kind
    reason: str
    keeper: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two duplicates with contradicting annotations or classes.

    Attributes:
        name: the picture set aside.
        keeper: the picture that stays.
        says: the contradiction, with the value of ``name`` first.
    """

    name: str
    keeper: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Findings:
    """The result of cleaning a folder.

    Attributes:
        folder: the folder as the caller spelled it.
        run: name of the run, for ``undo``; None if nothing was changed.
        dry_run: whether this is only a plan.
        original: number of pictures before.
        cleaned: number of pictures after.
        renames: repaired names.
        set_aside: pictures that were set aside.
        unclear: damaged names with several possible numbers, or none.
        conflicts: duplicates with contradicting annotations or classes.
        left: (name, reason) of files that were left alone.
        rows_without_file: table -> number of its rows that now have no picture. Tables are never changed.
        notes: other remarks for the user, a line each.
        out: folder of the (planned) cleaned copy; empty when the folder itself is cleaned.
        page: path of ``report.html``; empty if none was written, as in a dry run or if there was nothing to do.
        proposals: fields on which a group disagrees, with the majority value; also in ``conflicts.csv``.
        groups: the duplicates, each with the picture that stays and the comparison that proves it.
        mirrored: pairs of mirror images of which both stay.
        bursts: pairs of similar but different photos; both stay.
        partial: pairs of one photo of which both stay all the same: a crop that would stay in place of the whole, or
            something laid over a face.
        leaks: photos in two partitions.
        thresholds: decision thresholds of near duplicates; None if none were searched for.
        histogram: number of pairs whose 64-bit pHashes differ in 0, 1, 2 ... bits.
        hashes: former name of a readable picture -> its pHash as ``imagehash.ImageHash``, computed when it is asked
            for; empty without a search for near duplicates. Not in the JSON.
        checks: what the checks of faces found; None if they were not asked for, and then not in the JSON.
        decided: the decisions that were obeyed; None if there were none. The JSON has those that differ from the
            proposals.
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
    partial: tuple[LookAlike, ...] = ()
    leaks: tuple[Leak, ...] = ()
    thresholds: Thresholds | None = None
    histogram: tuple[int, ...] = ()
    hashes: Hashes = field(default_factory=lambda: NO_HASHES, repr=False, compare=False)
    checks: FaceChecks | None = None
    decided: Decisions | None = None

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
        """Number of files set aside as byte-identical to another."""
        return len(self.of("same bytes"))

    @property
    def pixel_duplicates(self) -> int:
        """Number of files set aside as pixel-identical to another with different bytes."""
        return len(self.of("same pixels"))

    @property
    def near_duplicates(self) -> int:
        """Number of files set aside as the same photo as another with different pixels."""
        return sum(len(self.of(kind)) for kind in ("same photo", "overlay", "mirrored"))

    @property
    def faulty(self) -> int:
        """Number of pictures set aside for faults of their faces."""
        return sum(entry.kind in FAULTS for entry in self.set_aside)

    @property
    def skipped(self) -> int:
        """Number of faulty files that were left alone."""
        return len(self.left)

    def counts(self) -> dict[str, int]:
        """The counts of the summary, in its order."""
        return {
            "original": self.original,
            "renamed": self.renamed,
            "unreadable": self.unreadable,
            "byte duplicates": self.byte_duplicates,
            "pixel duplicates": self.pixel_duplicates,
            "near duplicates": self.near_duplicates,
            **({} if self.checks is None else {"faulty": self.faulty}),
            "skipped": self.skipped,
            "cleaned": self.cleaned,
        }

    def kinds(self) -> dict[str, int]:
        """Kind -> number of pictures set aside for it, without the zeros."""
        return {kind: len(found) for kind in KINDS if (found := self.of(kind))}

    def without(self, left: dict[str, str]) -> Self:
        """The report after some planned moves were not made (name -> reason)."""
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
        """The result in one sentence."""
        if not self.finds and not self.out and self.run is None:
            return f"{self.folder}: nothing to repair and nothing to set aside among {self.original:,} pictures"
        return f"{self.folder}: {'a plan; nothing was changed' if self.dry_run else self._where()}"

    def lists(self) -> list[_List]:
        """(title, header, rows) of every list that has rows."""
        return [entry for entry in self._lists() if entry[2]]

    def of(self, kind: Kind) -> list[SetAside]:
        """The pictures set aside as one kind."""
        return [entry for entry in self.set_aside if entry.kind == kind]

    def _lists(self) -> list[_List]:
        unclear: list[tuple[str, ...]] = [(u.name, u.why, some(list(u.candidates)), u.hint) for u in self.unclear]
        doubts: list[tuple[str, ...]] = [(c.name, c.keeper, c.says) for c in self.conflicts]
        parts: list[tuple[str, ...]] = [(p.one, p.other, _PARTS[p.tier]) for p in self.partial]
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
            ("set aside, one has an overlay", ("file", "stays"), [(e.name, e.keeper) for e in self.of("overlay")]),
            ("set aside, mirrored", ("file", "stays"), [(e.name, e.keeper) for e in self.of("mirrored")]),
            ("set aside, faults", ("file", "why"), [(e.name, e.reason) for e in self.set_aside if e.kind in FAULTS]),
            ("mirror images that stay", ("one", "other"), [(m.one, m.other) for m in self.mirrored]),
            ("similar but different photos", ("one", "other"), [(b.one, b.other) for b in self.bursts]),
            ("one photo but for a part, both stay", ("one", "other", "part"), parts),
            ("one photo in two partitions", ("file", "in", "and", "in"), leaks),
            ("names left unclear", ("file", "why", "could be", "hint"), unclear),
            ("one picture, two labels", ("gone", "stays", "says"), doubts),
            ("labels most copies agree on", ("stays", "field", "proposal", "votes", "all say"), votes),
            ("left alone", ("file", "why"), list(self.left)),
        ]

    def _where(self) -> str:
        if self.out:
            return f"cleaned copy in {self.out}; the folder itself is unchanged"
        return f"cleaned, run {self.run}"


def _said(proposal: Proposal) -> str:
    return ", ".join(f"{name} {value}" for name, value in proposal.values if value)


def _without(group: DuplicateGroup, left: dict[str, str]) -> DuplicateGroup:
    return replace(group, members=tuple(member for member in group.members if member.name not in left))
