"""The report of a clean, as text, JSON, CSV and HTML."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from faceaug.clean.decisions import Decisions, propose
from faceaug.clean.findings import Conflict, Findings, SetAside
from faceaug.clean.page import clean_blocks, clean_csv
from faceaug.clean.report_hashes import NO_HASHES
from faceaug.clean.summary import labels, sizes_of, summary_of
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Show, open_progress
from faceaug.reports.render import render_page

__all__ = ["CleanReport", "Conflict", "SetAside"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CleanReport(Findings, Presentation):
    """The result of cleaning a folder; ``faceaug.clean.findings.Findings`` describes the fields.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import CleanPolicy, clean_folder
        >>> Path("faces").mkdir()
        >>> for name in ("a.png", "b.png"):
        ...     Image.new("RGB", (64, 64), "red").save(Path("faces", name))
        >>> report = clean_folder("faces", CleanPolicy(max_remove=0.5), dry_run=True)
        >>> report.sizes()
        [('pictures', 2), ('to set aside', 1), ('would stay', 1)]
        >>> report.kinds()
        {'same bytes': 1}
    """

    def sizes(self) -> list[tuple[str, int]]:
        """Rows of the small table: pictures before, set aside (by kind, if there are several), and after."""
        return sizes_of(self)

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds().items())
        before, gone, after = labels(self)
        return [
            ("folder", self.folder),
            ("state", self.headline().removeprefix(f"{self.folder}: ")),
            (before, self.original),
            ("names repaired", self.renamed),
            (gone, f"{len(self.set_aside):,}{f' ({kinds})' if kinds else ''}"),
            (after, self.cleaned),
            ("left alone", self.skipped or None),
            ("notes", len(self.notes) or None),
            ("report", self.page),
        ]

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text: affected pictures, counts, the path of the report and how to undo.

        Args:
            verbose: list everything, not only the first of each kind.
        """
        return summary_of(self, verbose=verbose)

    def decisions(self) -> Decisions:
        """The proposals for all groups, or the decisions that this run obeyed.

        Change them with ``keep`` and ``release``, then ``clean_folder(decisions=)``. They fit the folder as it was
        before the run: after one that moved files, undo it first.
        """
        return self.decided or propose(self.groups, self.folder)

    def to_json(self) -> dict[str, Any]:
        """Plain values for one JSON document. Names that are not UTF-8 are decoded by ``os.fsdecode``."""
        values = asdict(replace(self, hashes=NO_HASHES, decided=None))
        del values["hashes"], values["decided"]
        if self.decided is not None:
            values["decided"] = [group.to_json() for group in self.decided.groups if group.verdict != "keep"]
        if self.checks is None:
            del values["checks"]
        else:
            values["checks"] |= {"counts": self.checks.counts()}
        return {"counts": self.counts()} | values

    def to_html(self, *, workers: int | None = 0, progress: Show = None) -> str:
        """One self-contained page with thumbnails of the pictures, read from their current places.

        Args:
            workers: processes that make the thumbnails, >= 0; None chooses.
            progress: see ``clean_folder``.
        """
        title = f"faceaug clean: {self.folder}"
        shown = open_progress(progress)
        return render_page(title, clean_blocks(self), made_by="faceaug clean", workers=workers, progress=shown)

    def to_csv(self) -> bytes:
        """One row per finding; names that are not UTF-8 keep their bytes."""
        return clean_csv(self)
