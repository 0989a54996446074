"""The report of ``check_labels``, as text, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from typing import Any

from faceaug.data.marks import PROPOSAL_COLUMNS
from faceaug.errors import counted, printable
from faceaug.labels.findings import LabelFindings, attribute_words, in_order
from faceaug.labels.page import label_blocks
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Show, open_progress
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block
from faceaug.reports.shell import table_cell

MADE_BY = "faceaug clean"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LabelReport(LabelFindings, Presentation):
    """The result of ``check_labels``; ``faceaug.labels.findings.LabelFindings`` describes the fields.

    Example:
        >>> from faceaug import SyntheticFaceSource, check_labels
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("faces", 60)
        >>> report = check_labels("faces", ["Bald"])
        >>> report.skipped[0].why
        '2 labels say yes, at least 20 are needed'
    """

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        pairs = self.correlations.pairs
        return [
            ("folder", self.folder),
            ("pictures", self.pictures),
            ("attributes checked", len(self.attributes)),
            ("skipped", len(self.skipped) or None),
            ("labels in doubt", len(self.proposals)),
            ("strongest correlation", f"{pairs[0].one} and {pairs[0].other}" if pairs else None),
            ("people", None if self.people is None else self.people.headline()),
            ("notes", len(self.notes) or None),
        ]

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text; ``verbose`` lists every attribute and correlation."""
        lines = [f"labels: {counted(len(self.proposals), 'label')} in doubt among {counted(self.pictures, 'picture')}"]
        found = [one for one in in_order(self.attributes) if one.proposals]
        shown = found if verbose else found[:10]
        lines += [f"  {attribute_words(one)}" for one in shown]
        lines += [f"  ... and {len(found) - len(shown)} more (-v shows all)"] if len(shown) < len(found) else []
        few = self.skipped if verbose else self.skipped[:5]
        lines += [f"  {one.attribute}: not checked, {one.why}" for one in few]
        if len(few) < len(self.skipped):
            lines.append(f"  ... and {len(self.skipped) - len(few)} more were not checked (-v shows all)")
        pairs = self.correlations.pairs
        if pairs:
            lines.append(f"attributes that go together ({len(pairs):,}; a network may learn one instead of the other):")
            lines += [f"  {pair.words()}" for pair in (pairs if verbose else pairs[:5])]
        uneven = [one for one in self.correlations.partitions if one.uneven]
        if uneven:
            lines.append(f"spread unevenly over the partitions: {', '.join(one.attribute for one in uneven)}")
        lines += [] if self.people is None else self.people.lines(verbose=verbose)
        lines += [f"note: {printable(note)}" for note in self.notes]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "folder": self.folder,
            "pictures": self.pictures,
            "classifier": self.classifier or None,
            "attributes": [asdict(one) | {"share": round(one.share, 4), "accuracy": round(one.accuracy, 4)}
                           for one in self.attributes],
            "skipped": {one.attribute: one.why for one in self.skipped},
            "proposals": [asdict(one) | {"confidence": round(one.confidence, 4)} for one in self.proposals],
            "correlations": self.correlations.to_json(),
            "people": None if self.people is None else self.people.to_json(),
            "notes": list(self.notes),
            "unreadable": list(self.unreadable),
        }  # fmt: skip

    def to_csv(self) -> bytes:
        """The proposals, one row each; names that are not UTF-8 keep their bytes."""
        page = io.StringIO(newline="")
        writer = csv.writer(page, lineterminator="\n")
        writer.writerow(PROPOSAL_COLUMNS)
        for one in self.proposals:
            row = (one.name, one.attribute, one.given, one.proposed, round(one.confidence, 4), one.rank)
            writer.writerow(map(table_cell, row))
        return page.getvalue().encode("utf-8", "surrogateescape")

    def blocks(self) -> list[Block]:
        """The blocks of the page."""
        return label_blocks(self)

    def to_html(self, *, progress: Show = None) -> str:
        """One self-contained page with the pictures in doubt, read from the folder.

        Args:
            progress: see ``check_labels``.
        """
        title = f"faceaug clean --check-labels: {self.folder}"
        return render_page(title, self.blocks(), made_by=MADE_BY, progress=open_progress(progress))
