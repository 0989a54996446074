"""What ``save`` wrote, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faceaug.data.crop import Size, words_of
from faceaug.errors import printable
from faceaug.mix.filter import unlike_share
from faceaug.mix.registration import Framing, why_unlike
from faceaug.mix.shares import TELLING, Share
from faceaug.mix.synthetic import MANY
from faceaug.presentation import Fact, Presentation, argument, text_table
from faceaug.reports.sections import Block

REASON_WORDS = {
    "flat": "flat",
    "attribute": "without a balanced attribute they were asked for",
    "agreement": "otherwise not as asked for",
    "unrealistic": "unlike real faces",
    "copy": "copies of real faces",
    "repeat": "repeats of each other",
}
_FRAMED_WORDS = {"cropped": "cropped", "padded": "padded", "reduced": "made smaller", "enlarged": "made larger"}


@dataclass(frozen=True, slots=True)
class Appendix:
    """What somebody above found out about a dataset that is being written.

    Attributes:
        name: key in the JSON.
        document: plain values.
        lines: for the summary.
        blocks: for the page.
    """

    name: str
    document: dict[str, Any]
    lines: tuple[str, ...]
    blocks: tuple[Block, ...]


SIZE_WORDS = {"original": "in the folder", "real": "real, used"}


def balance_lines(shares: Sequence[Share]) -> list[str]:
    """What balancing came to, for people: a line for each attribute, and what only the weights bring about."""
    lines = [str(share) for share in shares]
    lines += [
        f"{share.attribute}: not known of {share.unknown[2]:,} synthetic faces" for share in shares if share.unknown[2]
    ]
    telling = [share for share in shares if share.origin_accuracy_unweighted > TELLING]
    if telling:
        worst = max(telling, key=lambda share: share.origin_accuracy_unweighted)
        lines.append(
            f"use the weights (in the loss, or to draw by): without them origin predicts {worst.attribute} with "
            f"{worst.origin_accuracy_unweighted:.1%}"
        )
    return lines


@dataclass(frozen=True, slots=True, repr=False)
class ExpandReport(Presentation):
    """What ``save`` wrote.

    Attributes:
        out: the folder.
        sizes: (name, count): original (all pictures found), real (those used), augmented, synthetic, total; as written,
            unreadable ones left out.
        size: (width, height) of every picture; None: each keeps its own.
        crop: how the real ones were cut.
        framed: names of the real pictures that were "cropped", "padded", "reduced" or "enlarged" for that.
        model: that made the synthetic faces, with their size; empty where there are none.
        no_synthetic: why there are none, where nobody said that there should be none.
        shares: of the balanced attributes, before and after, and how far origin gives them away.
        rejected: synthetic faces left out by the filter, by reason.
        looked_at: synthetic faces that were made for that.
        files: pictures or shards written.
        unreadable: pictures that cannot be read and were left out with their copies, a line each.
        notes: what was odd about the folder.
        seconds: this took.
        appendix: what was found out about it.
        generator: name of the generator; empty where there is none.
        folder: of the real pictures; None for datasets that are no folder.
        cleaned: whether a clean of the folder stands; None for datasets that are no folder.
        repeated: real pictures that are another one over again, pixel for pixel once cut and sized: (name, the first).
        registration: how the real faces are framed compared with the generated ones, where many of these were left out
            as unlike real ones; else None.
    """

    out: Path
    sizes: tuple[tuple[str, int], ...]
    size: Size | None
    crop: str
    framed: dict[str, tuple[str, ...]]
    model: str
    no_synthetic: str
    shares: tuple[Share, ...]
    rejected: dict[str, int]
    looked_at: int
    files: int
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    appendix: Appendix | None = None
    generator: str = ""
    folder: Path | None = None
    cleaned: bool | None = None
    repeated: tuple[tuple[str, str], ...] = ()
    registration: Framing | None = None

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        size = words_of(self.size) if self.size else "each its own"
        return [
            ("folder", self.out),
            *self.rows(),
            ("size", f"{size}, crop {self.crop}"),
            ("unreadable", len(self.unreadable) or None),
            ("notes", len(self.notes) or None),
        ]

    def rows(self) -> list[tuple[str, int]]:
        """The sizes for people."""
        return [(SIZE_WORDS.get(name, name), count) for name, count in self.sizes]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out),
            "sizes": dict(self.sizes),
            "size": self.size and words_of(self.size),
            "crop": self.crop,
            "framed": {name: self._some_of(name) for name in self.framed},
            "model": self.model,
            "no_synthetic": self.no_synthetic,
            "shares": {share.attribute: share.to_json() for share in self.shares},
            "rejected": self.rejected,
            "looked_at": self.looked_at,
            "files": self.files,
            "unreadable": list(self.unreadable),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
            "cleaned": self.cleaned,
            "repeated": [list(p) for p in self.repeated],
            "registration": None if self.registration is None else asdict(self.registration),
        } | ({self.appendix.name: self.appendix.document} if self.appendix else {})

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: the table of sizes, the shares reached, what was left out."""
        lines = [*self.framing(verbose=verbose), text_table(self.rows())]
        lines += [f"synthetic faces: {self.model}"] if self.model else []
        lines += [f"no synthetic faces: {self.no_synthetic}"] if self.no_synthetic else []
        lines += balance_lines(self.shares)
        lines += [f"synthetic faces left out: {self.left_out()}"] if sum(self.rejected.values()) else []
        lines += [f"{'  ' if k else 'note: '}{line}" for k, line in enumerate(self.refusal())]
        lines += self.appendix.lines if self.appendix else ()
        if self.unreadable:
            lines.append(f"{len(self.unreadable)} pictures cannot be read and were left out with their copies:")
            lines += [f"  {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in (self.notes if verbose else self.notes[:3])]
        lines.append(f"{self.out}: written in {self.seconds:.1f} s")
        return "\n".join(lines)

    def framing(self, *, verbose: bool = False) -> list[str]:
        """The size of the pictures, and how many of the real ones were cropped, padded or resized for it."""
        real, done = dict(self.sizes)["real"], {name: found for name, found in self.framed.items() if found}
        size = f"pictures of {words_of(self.size)} pixels" if self.size else "every picture keeps its own size"
        crop = f", crop {self.crop}" if self.crop != "none" else ""
        counts = "".join(f", {len(found):,} {_FRAMED_WORDS[name]}" for name, found in done.items())
        lines = [size + crop + (f"; of {real:,} real ones{counts.removeprefix(',')}" if counts else "")]
        for name, found in done.items():
            if len(found) < real:  # which, where it is not all of them
                shown = list(map(printable, found if verbose else found[:3]))
                more = ["..."] if len(shown) < len(found) else []
                lines.append(f"  {_FRAMED_WORDS[name]}: {', '.join(shown + more)}")
        return lines

    def _some_of(self, name: str) -> dict[str, Any]:
        """How many pictures, and which; where it is all of them their names say nothing."""
        found = self.framed[name]
        names = found if len(found) < dict(self.sizes)["real"] else ()
        return {"count": len(found), "pictures": list(names)}

    def refusal(self) -> list[str]:
        """Why so many generated faces were refused as unlike real ones, and what to do; empty where few were."""
        share = unlike_share(self.rejected, self.looked_at)
        if share <= MANY:
            return []
        folder = "FOLDER" if self.folder is None else argument(self.folder)
        training = f"faceaug train {folder} --init {argument(self.generator)} --out RUN"
        return [
            f"{100 * share:.0f} % of the generated faces look unlike your pictures and were left out.",
            *why_unlike(self.registration, self.generator),
            f"A model trained on your pictures frames faces as they do: {training}, then --model RUN.",
            "--synthetic 0 goes without generated faces; filter=False, in Python, keeps them all.",
        ]

    def left_out(self) -> str:
        """The filter's counts in words."""
        found = [f"{count:,} {REASON_WORDS[name]}" for name, count in self.rejected.items() if count]
        return f"{', '.join(found)} (of {self.looked_at:,} looked at)"
