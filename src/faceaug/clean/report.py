"""What a clean did, or would do: as data, as words, as JSON, as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from faceaug.clean.names import Rename, Unclear
from faceaug.errors import printable, some
from faceaug.pages import html_page, html_table, text_table

Kind: TypeAlias = Literal["unreadable", "same bytes", "same pixels"]
_List: TypeAlias = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, header, rows
_ROWS = 2_000  # of one list on the page; the JSON has them all
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
            left=tuple(sorted({*self.left, *left.items()})),
        )

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: what was found, the first few of each, and the table of sizes.

        Args:
            verbose: list everything.
        """
        limit = None if verbose else _SHOWN
        lines = [f"{printable(self.folder)}: {'a plan; nothing was changed' if self.dry_run else self._where()}"]
        for title, _, rows in self._lists():
            if rows:
                lines.append(f"{title}: {len(rows):,}")
                lines += [f"  {' | '.join(printable(text) for text in row)}" for row in rows[:limit]]
                lines += [f"  ... and {len(rows) - _SHOWN:,} more"] if limit and len(rows) > limit else []
        missing = {table: count for table, count in self.rows_without_file.items() if count}
        lines += [f"{printable(table)}: {count:,} rows have no picture now" for table, count in missing.items()]
        return "\n".join([*lines, text_table(self.sizes())])

    def to_json(self) -> dict[str, Any]:
        """Plain values for one JSON document. Names that are not UTF-8 are as ``os.fsdecode`` gives them."""
        return {"counts": self.counts()} | asdict(self)

    def to_html(self) -> str:
        """One self-contained page."""
        intro = "A plan: nothing was changed." if self.dry_run else self._where()
        counts = html_table(list(self.counts().items()))
        missing = html_table(list(self.rows_without_file.items()), header=("table", "rows without a picture"))
        sections = "".join(_section(*entry) for entry in self._lists() if entry[2])
        body = f"<p>{intro}</p>{counts}{missing if any(self.rows_without_file.values()) else ''}{sections}"
        return html_page(f"faceaug clean: {printable(self.folder)}", body)

    def _of(self, kind: Kind) -> list[SetAside]:
        return [entry for entry in self.set_aside if entry.kind == kind]

    def _lists(self) -> list[_List]:
        unclear: list[tuple[str, ...]] = [(u.name, u.why, some(list(u.candidates))) for u in self.unclear]
        doubts: list[tuple[str, ...]] = [(c.name, c.keeper, c.says) for c in self.conflicts]
        return [
            ("names repaired", ("was", "is"), [(r.old, r.new) for r in self.renames]),
            ("set aside, unreadable", ("file", "why"), [(e.name, e.reason) for e in self._of("unreadable")]),
            ("set aside, same bytes", ("file", "stays"), [(e.name, e.keeper) for e in self._of("same bytes")]),
            ("set aside, same pixels", ("file", "stays"), [(e.name, e.keeper) for e in self._of("same pixels")]),
            ("names left unclear", ("file", "why", "could be"), unclear),
            (
                "one picture, two labels",
                ("gone", "stays", "says"),
                doubts,
            ),
            ("left alone", ("file", "why"), list(self.left)),
            ("notes", ("",), [(note,) for note in self.notes]),
        ]

    def _where(self) -> str:
        return "nothing to do" if self.run is None else f"run {self.run}; undo puts everything back"


def _section(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    shown = [tuple(printable(text) for text in row) for row in rows[:_ROWS]]
    more = f"<p>and {len(rows) - _ROWS:,} more, in report.json</p>" if len(rows) > _ROWS else ""
    return f"<h2>{title} ({len(rows):,})</h2>{html_table(shown, header=header)}{more}"
