"""What ``save`` wrote, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faceaug.mix.balance import Share
from faceaug.mix.filter import unlike_share
from faceaug.mix.framing import Framing, why_unlike
from faceaug.mix.synthetic import MANY
from faceaug.pages import text_table
from faceaug.presentation import Fact, Presentation, argument

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


SIZE_WORDS = {"original": "in the folder", "real": "real, used"}


@dataclass(frozen=True, slots=True, repr=False)
class ExpandReport(Presentation):
    """What ``save`` wrote.

    Attributes:
        out: the folder.
        sizes: (name, count): original (all pictures found), real (those used), augmented, synthetic, total; as written,
            unreadable ones left out.
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
        model: name of the generator; empty where there is none.
        folder: of the real pictures; None for datasets that are no folder.
        cleaned: whether a clean of the folder stands; None for datasets that are no folder.
        repeated: real pictures that are another one over again, pixel for pixel once cut and sized: (name, the first).
        framing: how the real faces are framed beside the generated ones, where many of these were left out as unlike
            real ones; else None.
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
    model: str = ""
    folder: Path | None = None
    cleaned: bool | None = None
    repeated: tuple[tuple[str, str], ...] = ()
    framing: Framing | None = None

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        height, width = self.size
        return [
            ("folder", self.out), *self.rows(), ("size", f"{width} x {height}, crop {self.crop}"),
            ("unreadable", len(self.unreadable) or None), ("notes", len(self.notes) or None),
        ]  # fmt: skip

    def rows(self) -> list[tuple[str, int]]:
        """The sizes for people."""
        return [(SIZE_WORDS.get(name, name), count) for name, count in self.sizes]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out), "sizes": dict(self.sizes), "size": list(self.size), "crop": self.crop,
            "shares": {s.attribute: {"wanted": s.wanted, "before": s.before, "after": s.after} for s in self.shares},
            "rejected": self.rejected, "looked_at": self.looked_at, "files": self.files,
            "unreadable": list(self.unreadable), "notes": list(self.notes),
            "seconds": round(self.seconds, 2), "cleaned": self.cleaned, "repeated": [list(p) for p in self.repeated],
            "framing": None if self.framing is None else asdict(self.framing),
        } | ({self.appendix.name: self.appendix.document} if self.appendix else {})  # fmt: skip

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: the table of sizes, the shares reached, what was left out."""
        lines = [f"pictures of {self.size[0]}x{self.size[1]} pixels, crop {self.crop}", text_table(self.rows())]
        lines += [
            f"{s.attribute}: {s.before:.1%} before, {s.after:.1%} now, wanted {s.wanted:.0%}" for s in self.shares
        ]
        lines += [f"synthetic faces left out: {self.left_out()}"] if sum(self.rejected.values()) else []
        lines += [f"{'  ' if k else 'note: '}{line}" for k, line in enumerate(self.refusal())]
        lines += self.appendix.lines if self.appendix else ()
        if self.unreadable:
            lines.append(f"{len(self.unreadable)} pictures cannot be read and were left out with their copies:")
            lines += [f"  {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in (self.notes if verbose else self.notes[:3])]
        lines.append(f"{self.out}: written in {self.seconds:.1f} s")
        return "\n".join(lines)

    def refusal(self) -> list[str]:
        """Why so many generated faces were refused as unlike real ones, and what to do; empty where few were."""
        share = unlike_share(self.rejected, self.looked_at)
        if share <= MANY:
            return []
        folder = "FOLDER" if self.folder is None else argument(self.folder)
        training = f"faceaug train {folder} --init {argument(self.model)} --out RUN"
        return [
            f"{100 * share:.0f} % of the generated faces look unlike your pictures and were left out.",
            *why_unlike(self.framing, self.model),
            f"A model trained on your pictures frames faces as they do: {training}, then --model RUN.",
            "--synthetic 0 goes without generated faces; filter=False, in Python, keeps them all.",
        ]

    def left_out(self) -> str:
        """The filter's counts in words."""
        found = [f"{count:,} {REASON_WORDS[name]}" for name, count in self.rejected.items() if count]
        return f"{', '.join(found)} (of {self.looked_at:,} looked at)"
