"""What ``save`` wrote, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.mix.balance import Share
from faceaug.reports.shell import text_table

REASON_WORDS = {
    "flat": "flat",
    "attribute": "without a balanced attribute they were asked for",
    "agreement": "otherwise not as asked for",
    "unrealistic": "unlike real faces",
    "copy": "copies of real faces",
    "repeat": "repeats of each other",
}


@dataclass(frozen=True, slots=True)
class Appendix:
    """What somebody above found out about a dataset that is being written.

    Attributes:
        name: key in the JSON.
        document: plain values.
        lines: for the summary.
        page: HTML for the report, escaped.
    """

    name: str
    document: dict[str, Any]
    lines: tuple[str, ...]
    page: str


@dataclass(frozen=True, slots=True)
class ExpandReport:
    """What ``save`` wrote.

    Attributes:
        out: the folder.
        sizes: (name, count): original, cleaned, augmented, synthetic, total; as written, unreadable ones left out.
        size: (height, width) of every picture.
        crop: how the real ones were cut.
        shares: of the balanced attributes, before and after.
        rejected: synthetic faces left out by the filter, by reason.
        looked_at: synthetic faces that were made for that.
        files: pictures or shards written.
        unreadable: pictures that cannot be read and were left out with their copies, a line each.
        notes: what was odd about the folder.
        seconds: this took.
        appendix: what was found out about it.
    """

    out: Path
    sizes: tuple[tuple[str, int], ...]
    size: tuple[int, int]
    crop: str
    shares: tuple[Share, ...]
    rejected: dict[str, int]
    looked_at: int
    files: int
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    appendix: Appendix | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out), "sizes": dict(self.sizes), "size": list(self.size), "crop": self.crop,
            "shares": {s.attribute: {"wanted": s.wanted, "before": s.before, "after": s.after} for s in self.shares},
            "rejected": self.rejected, "looked_at": self.looked_at, "files": self.files,
            "unreadable": list(self.unreadable), "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
        } | ({self.appendix.name: self.appendix.document} if self.appendix else {})  # fmt: skip

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: the table of sizes, the shares reached, what was left out."""
        lines = [f"pictures of {self.size[0]}x{self.size[1]} pixels, crop {self.crop}", text_table(self.sizes)]
        lines += [
            f"{s.attribute}: {s.before:.1%} before, {s.after:.1%} now, wanted {s.wanted:.0%}" for s in self.shares
        ]
        lines += [f"synthetic faces left out: {self.left_out()}"] if sum(self.rejected.values()) else []
        lines += self.appendix.lines if self.appendix else ()
        if self.unreadable:
            lines.append(f"{len(self.unreadable)} pictures cannot be read and were left out with their copies:")
            lines += [f"  {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in (self.notes if verbose else self.notes[:3])]
        lines.append(f"{self.out}: written in {self.seconds:.1f} s")
        return "\n".join(lines)

    def left_out(self) -> str:
        """The filter's counts in words."""
        found = [f"{count:,} {REASON_WORDS[name]}" for name, count in self.rejected.items() if count]
        return f"{', '.join(found)} (of {self.looked_at:,} looked at)"
