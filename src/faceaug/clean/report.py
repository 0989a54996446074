"""The report of a clean: what was found, in words, as JSON, as a table and as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from faceaug.clean.findings import Conflict, Findings, SetAside
from faceaug.clean.hashes import NO_HASHES
from faceaug.clean.page import clean_blocks, clean_csv
from faceaug.clean.words import labels, sizes_of, summary_of
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Show, open_progress
from faceaug.reports.render import render_page

__all__ = ["CleanReport", "Conflict", "SetAside"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CleanReport(Findings, Presentation):
    """What happened to a folder; ``faceaug.clean.findings.Findings`` describes the fields."""

    def sizes(self) -> list[tuple[str, int]]:
        """Rows for the small table: pictures before, set aside (by kind, where there are several), and left."""
        return sizes_of(self)

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds().items())
        before, gone, after = labels(self)
        return [
            ("folder", self.folder), ("state", self.headline().removeprefix(f"{self.folder}: ")),
            (before, self.original), ("names repaired", self.renamed),
            (gone, f"{len(self.set_aside):,}{f' ({kinds})' if kinds else ''}"), (after, self.cleaned),
            ("left alone", self.skipped or None), ("notes", len(self.notes) or None), ("report", self.page),
        ]  # fmt: skip

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: what happened to which picture, the numbers, where the report lies and how to undo.

        Args:
            verbose: list everything, not only the first of each kind.
        """
        return summary_of(self, verbose=verbose)

    def to_json(self) -> dict[str, Any]:
        """Plain values for one JSON document. Names that are not UTF-8 are as ``os.fsdecode`` gives them."""
        values = asdict(replace(self, hashes=NO_HASHES))
        del values["hashes"]
        return {"counts": self.counts()} | values

    def to_html(self, *, workers: int | None = 0, progress: Show = None) -> str:
        """One self-contained page with the pictures in it, read from where they lie now.

        Args:
            workers: processes that make its thumbnails, >= 0; None decides by itself.
            progress: see ``clean_folder``.
        """
        title = f"faceaug clean: {self.folder}"
        return render_page(title, clean_blocks(self), workers=workers, progress=open_progress(progress))

    def to_csv(self) -> bytes:
        """One row per file about which there is something to say; names that are not UTF-8 keep their bytes."""
        return clean_csv(self)
