"""The report of an evaluation as text, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from faceaug.evaluate.findings import (
    GENERATED,
    RESIZING,
    TRAINING,
    UNSEEN,
    FaceNames,
    Figures,
    Findings,
    Memorisation,
    Pictures,
    Subject,
)
from faceaug.evaluate.page import evaluation_blocks
from faceaug.presentation import Fact, Presentation
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block
from faceaug.reports.shell import table_cell

__all__ = [
    "GENERATED",
    "TRAINING",
    "UNSEEN",
    "EvaluationReport",
    "Figures",
    "Memorisation",
    "FaceNames",
    "Pictures",
    "Subject",
]


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationReport(Findings, Presentation):
    """The report of ``evaluate_source``; ``faceaug.evaluate.findings.Findings`` describes the fields."""

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        s = self.subject
        m = self.memorisation
        first = self.figures[0] if self.figures else None
        return [
            ("folder", s.source) if s.source else ("model", s.model),
            ("faces", s.n),
            (f"copies of {s.names.reference}", len(m.copies)),
            ("authenticity", f"{m.authenticity:.1%}"),
            (s.frechet_name, None if first is None else round(first.frechet, 2)),
            ("precision", None if first is None else round(first.precision, 3)),
            ("recall", None if first is None else round(first.recall, 3)),
            ("against", "" if first is None else f"{first.reference_n:,} {first.against}"),
            ("notes", len(self.notes)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values; every figure has its full name."""
        s = self.subject
        names = ("model", "sha256", "seed", "n", "size", "crop", "folder", "partition", "against", "extractor")
        return {
            **{name: getattr(s, name) for name in names},
            "source_folder": s.source or None,
            "resize": f"to {s.size} px, {RESIZING}",
            "extractor_resize": s.extractor_resizing,
            "reference": f"{s.folder}, rows {s.partition}",
            "features": s.dimension,
            "constant_features": s.constant,
            "figures": [self._figures_json(figures) for figures in self.figures],
            "attributes": None if self.attributes is None else self.attributes.to_json(),
            "memorisation": self._memorisation_json(),
            "notes": list(self.notes),
            "unreadable": list(self.unreadable),
        }

    def to_csv(self) -> bytes:
        """The figures as a table, or the memorisation values if there are none."""
        rows = [self._figures_json(figures) for figures in self.figures] or [self._flat_memorisation()]
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: table_cell(value) for name, value in row.items()} for row in rows)
        return buffer.getvalue().encode("utf-8", "backslashreplace")

    def to_html(self) -> str:
        """A self-contained page with pictures, including real training faces."""
        return render_page(f"Evaluation of {self.subject.model}", self.blocks(), made_by="faceaug evaluate")

    def blocks(self) -> list[Block]:
        """The blocks of the page."""
        return evaluation_blocks(self)

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text; ``verbose`` lists all copies and unreadable pictures."""
        s = self.subject
        lines = [
            f"{s.source or s.model}, seed {s.seed}: {s.n:,} faces, {s.size} px, crop {s.crop}; features: {s.extractor}",
            f"reference: {s.folder}, rows {s.partition}; resized to {s.size} px ({RESIZING})"
            + (f", then {s.extractor_resizing}" if s.extractor_resizing else ""),
            *(_aligned([self.heading(), *(self.cells(f) for f in self.figures)]) if self.figures else ()),
            *([] if self.attributes is None else self.attributes.lines()),
            *self.memorisation_lines(),
            *(f"note: {note}" for note in self.notes),
        ]
        copies = [f"  {one} copies {name}{' mirrored' * m}" for one, name, m in self.memorisation.named_copies()]
        details = copies + [f"  left out: {line}" for line in self.unreadable]
        return "\n".join(lines + (details if verbose else details[:5]))

    def _flat_memorisation(self) -> dict[str, Any]:
        found = self._memorisation_json()
        return found | {"copies": len(found["copies"])}

    def _figures_json(self, f: Figures) -> dict[str, Any]:
        frechet, kernel = (
            name.lower().replace(" ", "_") for name in (self.subject.frechet_name, self.subject.kernel_name)
        )
        return {
            "figure": self.subject.figure(f),
            "of": f.of,
            "n": f.n,
            "against": f.against,
            "reference_n": f.reference_n,
            "control": f.control,
            frechet: round(f.frechet, 4),
            kernel: round(f.kernel.mean, 7),
            f"{kernel}_std": round(f.kernel.std, 7),
            f"{kernel}_subset": f.kernel.size,
            "precision": round(f.precision, 5),
            "recall": round(f.recall, 5),
            "density": round(f.density, 5),
            "coverage": round(f.coverage, 5),
        }

    def _memorisation_json(self) -> dict[str, Any]:
        m = self.memorisation
        pictures = [{"picture": name} for name in m.files] or [{}] * len(m.copies)
        return {
            "median_distance": round(m.distance, 5),
            "unseen_median_distance": _rounded(m.unseen_distance),
            "closer_than_99_percent_of_unseen": _rounded(m.closer),
            "authenticity": round(m.authenticity, 5),
            "unseen_authenticity": _rounded(m.unseen_authenticity),
            "copies": [
                {"face": k, "training_picture": name, "mirrored": mirrored} | picture
                for (k, name, mirrored), picture in zip(m.copies, pictures, strict=True)
            ],
            "unseen_copies": m.search.unseen_copies if m.search.unseen_copies >= 0 else None,
            "candidates": m.search.candidates,
            "compared": m.search.compared,
            "radius_bits": m.search.radius,
            "detail_threshold": m.search.detail,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Align columns: the first two left, numbers right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    sides = ["<", "<", *">" * len(widths[2:])]
    form = "  " + "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [form.format(*row) for row in rows]
