"""The report of ``save``, as text and as JSON data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faceaug.data.crop import Size, words_of
from faceaug.errors import counted, printable
from faceaug.mix.filter import unlike_share
from faceaug.mix.registration import Framing, why_unlike
from faceaug.mix.shares import TELLING, Share
from faceaug.mix.synthetic import MANY
from faceaug.presentation import Fact, Presentation, argument, text_table
from faceaug.reports.sections import Block

REASON_WORDS = {
    "flat": "flat",
    "attribute": "without a balanced attribute that was requested",
    "agreement": "otherwise not as requested",
    "unrealistic": "unlike real faces",
    "copy": "copies of real faces",
    "repeat": "repeats of each other",
}
_UNREADABLE = (
    "picture cannot be read and was left out with its copies",
    "pictures cannot be read and were left out with their copies",
)
_FRAMED_WORDS = {"cropped": "cropped", "padded": "padded", "reduced": "made smaller", "enlarged": "made larger"}


@dataclass(frozen=True, slots=True)
class Appendix:
    """Further findings about a dataset, contributed by the caller of ``save_dataset``.

    Attributes:
        name: key in the JSON data.
        document: findings as plain values.
        lines: findings for the summary.
        blocks: findings for the page.
    """

    name: str
    document: dict[str, Any]
    lines: tuple[str, ...]
    blocks: tuple[Block, ...]


SIZE_WORDS = {"original": "in the folder", "real": "real, used"}


def balance_lines(shares: Sequence[Share]) -> list[str]:
    """The result of balancing in words: a line for each attribute, and a note if only the weights achieve it."""
    lines = [str(share) for share in shares]
    lines += [
        f"{share.attribute}: unknown for {share.unknown[2]:,} synthetic faces" for share in shares if share.unknown[2]
    ]
    telling = [share for share in shares if share.origin_accuracy_unweighted > TELLING]
    if telling:
        worst = max(telling, key=lambda share: share.origin_accuracy_unweighted)
        lines.append(
            f"use the weights (in the loss or for sampling): without them origin predicts {worst.attribute} with "
            f"{worst.origin_accuracy_unweighted:.1%}"
        )
    return lines


@dataclass(frozen=True, slots=True, repr=False)
class ExpandReport(Presentation):
    """The report of ``save``.

    Attributes:
        out: output folder.
        sizes: (name, count): original (pictures found), real (used), augmented, synthetic, total, without unreadable
            ones.
        size: (width, height) of every picture; None if each keeps its own.
        crop: crop of the real pictures.
        framed: names of the real pictures that were "cropped", "padded", "reduced" or "enlarged" to fit.
        model: model and size of the synthetic faces; empty if there are none.
        no_synthetic: why there are no synthetic faces although they were not switched off; else "".
        shares: shares of the balanced attributes, before and after, and how well origin predicts them.
        rejected: number of synthetic faces rejected by the filter, by reason.
        looked_at: number of synthetic faces that the filter examined.
        files: number of pictures or shards written.
        unreadable: unreadable pictures, left out with their copies, a line each.
        notes: oddities of the folder.
        seconds: duration in seconds.
        appendix: further findings, if any.
        generator: name of the generator; empty if there is none.
        folder: folder of the real pictures; None for other datasets.
        cleaned: whether the folder was cleaned and not undone; None for other datasets.
        repeated: real pictures identical to another after cropping and resizing: (name, name of the first).
        registration: framing of the real faces relative to the generated ones, if many of these were rejected as unlike
            real faces; else None.
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
        """The sizes with readable names."""
        return [(SIZE_WORDS.get(name, name), count) for name, count in self.sizes]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
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
        """The report as text: sizes, shares reached and what was left out; ``verbose`` lists every picture."""
        lines = [*self.framing(verbose=verbose), text_table(self.rows())]
        lines += [f"synthetic faces: {self.model}"] if self.model else []
        lines += [f"no synthetic faces: {self.no_synthetic}"] if self.no_synthetic else []
        lines += balance_lines(self.shares)
        lines += [f"synthetic faces left out: {self.left_out()}"] if sum(self.rejected.values()) else []
        lines += [f"{'  ' if k else 'note: '}{line}" for k, line in enumerate(self.refusal())]
        lines += self.appendix.lines if self.appendix else ()
        if self.unreadable:
            lines.append(f"{counted(len(self.unreadable), *_UNREADABLE)}:")
            lines += [f"  {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in (self.notes if verbose else self.notes[:3])]
        lines.append(f"{self.out}: written in {self.seconds:.1f} s")
        return "\n".join(lines)

    def framing(self, *, verbose: bool = False) -> list[str]:
        """The size of the pictures, and the real pictures that were cropped, padded or resized."""
        real = dict(self.sizes)["real"]
        done = {name: found for name, found in self.framed.items() if found}
        size = f"pictures of {words_of(self.size)} pixels" if self.size else "every picture keeps its own size"
        crop = f", crop {self.crop}" if self.crop != "none" else ""
        counts = "".join(f", {len(found):,} {_FRAMED_WORDS[name]}" for name, found in done.items())
        lines = [size + crop + (f"; of {real:,} real ones{counts.removeprefix(',')}" if counts else "")]
        for name, found in done.items():
            if len(found) < real:  # names only if it is not all of them
                shown = list(map(printable, found if verbose else found[:3]))
                more = ["..."] if len(shown) < len(found) else []
                lines.append(f"  {_FRAMED_WORDS[name]}: {', '.join(shown + more)}")
        return lines

    def _some_of(self, name: str) -> dict[str, Any]:
        """Number and names of pictures; names are omitted if it is all of them."""
        found = self.framed[name]
        names = found if len(found) < dict(self.sizes)["real"] else ()
        return {"count": len(found), "pictures": list(names)}

    def refusal(self) -> list[str]:
        """Why many generated faces were rejected as unlike real ones, and what to do; empty if few were."""
        share = unlike_share(self.rejected, self.looked_at)
        if share <= MANY:
            return []
        folder = "FOLDER" if self.folder is None else argument(self.folder)
        training = f"faceaug train {folder} --init {argument(self.generator)} --out RUN"
        return [
            f"{100 * share:.0f} % of the generated faces look unlike your pictures and were left out.",
            *why_unlike(self.registration, self.generator),
            f"A model trained on your pictures frames faces as they do: {training}, then --model RUN.",
            "--synthetic 0 adds no generated faces; filter=False, in Python, keeps them all.",
        ]

    def left_out(self) -> str:
        """The filter's counts in words."""
        found = [f"{count:,} {REASON_WORDS[name]}" for name, count in self.rejected.items() if count]
        return f"{', '.join(found)} (of {self.looked_at:,} examined)"
