"""What a clean did, or would do: as data, as words, as JSON, as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from faceaug.clean.conflicts import Proposal
from faceaug.clean.hashes import NO_HASHES, Hashes
from faceaug.clean.names import Rename, Unclear
from faceaug.reports.gallery import Bars
from faceaug.clean.page import report_csv, report_html
from faceaug.clean.tiers import DuplicateGroup, Leak, LookAlike, Thresholds
from faceaug.errors import printable, some
from faceaug.reports.shell import text_table

Kind: TypeAlias = Literal["unreadable", "same bytes", "same pixels", "same photo", "mirrored"]
_List: TypeAlias = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, header, rows
_SHOWN = 3  # of one list in the summary


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanReport:
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
        out: the folder a cleaned copy was written to; empty when the folder itself was cleaned.
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
    proposals: tuple[Proposal, ...] = ()
    groups: tuple[DuplicateGroup, ...] = ()
    mirrored: tuple[LookAlike, ...] = ()
    bursts: tuple[LookAlike, ...] = ()
    leaks: tuple[Leak, ...] = ()
    thresholds: Thresholds | None = None
    histogram: tuple[int, ...] = ()
    hashes: Hashes = field(default_factory=lambda: NO_HASHES, repr=False, compare=False)

    @property
    def renamed(self) -> int:
        """Number of repaired names."""
        return len(self.renames)

    @property
    def unreadable(self) -> int:
        """Number of files set aside because they are no pictures."""
        return len(self._of("unreadable"))

    @property
    def byte_duplicates(self) -> int:
        """Number of files set aside because another has the same bytes."""
        return len(self._of("same bytes"))

    @property
    def pixel_duplicates(self) -> int:
        """Number of files set aside because another has the same pixels in other bytes."""
        return len(self._of("same pixels"))

    @property
    def near_duplicates(self) -> int:
        """Number of files set aside because another shows the same photo in other pixels."""
        return len(self._of("same photo")) + len(self._of("mirrored"))

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

    def sizes(self) -> list[tuple[str, int]]:
        """Rows for the small table of a dataset: original, cleaned, augmented, synthetic, total."""
        sizes = {"original": self.original, "cleaned": self.cleaned, "augmented": 0, "synthetic": 0}
        return [*sizes.items(), ("total", self.cleaned)]

    def without(self, left: dict[str, str]) -> CleanReport:
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

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: what was found, the first few of each, and the table of sizes.

        Args:
            verbose: list everything.
        """
        limit = None if verbose else _SHOWN
        lines = [printable(self.headline())]
        for title, header, rows in self._lists():
            if rows:
                between = " -> " if header == ("was", "is") else " | "
                lines.append(f"{title}: {len(rows):,}")
                lines += [f"  {between.join(printable(text) for text in row if text)}" for row in rows[:limit]]
                lines += [f"  ... and {len(rows) - _SHOWN:,} more"] if limit and len(rows) > limit else []
        missing = {table: count for table, count in self.rows_without_file.items() if count}
        lines += [f"{printable(table)}: {count:,} rows have no picture now" for table, count in missing.items()]
        return "\n".join([*lines, text_table(self.sizes())])

    def to_json(self) -> dict[str, Any]:
        """Plain values for one JSON document. Names that are not UTF-8 are as ``os.fsdecode`` gives them."""
        values = asdict(replace(self, hashes=NO_HASHES))
        del values["hashes"]
        return {"counts": self.counts()} | values

    def to_html(self, *, workers: int | None = 0) -> str:
        """One self-contained page with the pictures in it, read from where they lie now.

        Args:
            workers: processes that make its thumbnails, >= 0; None decides by itself.
        """
        return report_html(self, workers=workers)

    def to_csv(self) -> bytes:
        """One row per file about which there is something to say; names that are not UTF-8 keep their bytes."""
        return report_csv(self)

    def headline(self) -> str:
        """What happened, in a sentence."""
        return f"{self.folder}: {'a plan; nothing was changed' if self.dry_run else self._where()}"

    def histograms(self) -> list[Bars]:
        """How far apart pictures are, and where the line was drawn."""
        if not any(self.histogram):
            return []
        marks = ((float(self.thresholds.radius) + 1, "compared up to here"),) if self.thresholds else ()
        edges = range(len(self.histogram) + 1)
        title = "pairs of pictures by the bits in which their pHashes differ"
        return [Bars(title, tuple(map(float, edges)), {"pairs": self.histogram}, marks, "bits of 64")]

    def lists(self) -> list[_List]:
        """(title, header, rows) of everything found."""
        return [entry for entry in self._lists() if entry[2]]

    def _of(self, kind: Kind) -> list[SetAside]:
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
            ("set aside, unreadable", ("file", "why"), [(e.name, e.reason) for e in self._of("unreadable")]),
            ("set aside, same bytes", ("file", "stays"), [(e.name, e.keeper) for e in self._of("same bytes")]),
            ("set aside, same pixels", ("file", "stays"), [(e.name, e.keeper) for e in self._of("same pixels")]),
            ("set aside, same photo", ("file", "stays"), [(e.name, e.keeper) for e in self._of("same photo")]),
            ("set aside, mirrored", ("file", "stays"), [(e.name, e.keeper) for e in self._of("mirrored")]),
            ("mirror images that stay", ("one", "other"), [(m.one, m.other) for m in self.mirrored]),
            ("alike, but different photos", ("one", "other"), [(b.one, b.other) for b in self.bursts]),
            ("one photo in two partitions", ("file", "in", "and", "in"), leaks),
            ("names left unclear", ("file", "why", "could be", "hint"), unclear),
            ("one picture, two labels", ("gone", "stays", "says"), doubts),
            ("labels most copies agree on", ("stays", "field", "proposal", "votes", "all say"), votes),
            ("left alone", ("file", "why"), list(self.left)),
            ("notes", ("",), [(note,) for note in self.notes]),
        ]

    def _where(self) -> str:
        if self.out:
            return f"cleaned copy in {self.out}; the folder itself is as it was"
        return "nothing to do" if self.run is None else f"run {self.run}; undo puts everything back"


def _said(proposal: Proposal) -> str:
    return ", ".join(f"{name} {value}" for name, value in proposal.values if value)


def _without(group: DuplicateGroup, left: dict[str, str]) -> DuplicateGroup:
    return replace(group, members=tuple(member for member in group.members if member.name not in left))
