"""What a comparison of arms found: figures with intervals, and a verdict that says what they do and do not show."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faceaug.evaluate.intervals import Estimate
from faceaug.mix.report import REASON_WORDS
from faceaug.presentation import Fact, Presentation
from faceaug.reports.plots import Intervals, Span
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block, Code, Notes, Paragraph, Strong, Table
from faceaug.reports.shell import table_cell

_COUNT = re.compile(r"(\d[\d,]*) faces")
_FEW_SEEDS = 3


@dataclass(frozen=True, slots=True)
class AttributeResult:
    """One attribute in one arm.

    Attributes:
        attribute: its name.
        shown: faces of its rarer side among those the arm had to show.
        balanced_accuracy: mean of the shares recognised of unseen faces with and without it.
        minority_recall: the share of the rarer side.
    """

    attribute: str
    shown: int
    balanced_accuracy: Estimate
    minority_recall: Estimate


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm.

    Attributes:
        arm: its name.
        faces: real, augmented and synthetic ones it had to show.
        balanced_accuracy: mean over the attributes.
        minority_recall: mean over the attributes.
        attributes: each of them, the rarest first.
    """

    arm: str
    faces: tuple[int, ...]
    balanced_accuracy: Estimate
    minority_recall: Estimate
    attributes: tuple[AttributeResult, ...]


@dataclass(frozen=True, slots=True, repr=False)
class UsefulnessReport(Presentation):
    """What ``evaluate_usefulness`` found.

    Attributes:
        model: name of the generator.
        conditional: whether it was asked for attributes.
        folder: of the real faces.
        attributes: what was learnt, the rarest first.
        taught: real faces all arms were shown.
        held: real faces that set thresholds.
        unseen: real faces that were asked about.
        seeds: how often each arm was taught.
        images: faces shown to each pupil.
        seed: of the draws.
        arms: see ``ArmResult``.
        over_real: by arm, how much higher its balanced accuracy is than that of real faces alone.
        over_classical: how much higher that of all is than that of real faces and their copies.
        generator_saw: faces the generator has learnt from; None if its config does not say.
        classifier: what looked at the generated faces before they were shown; "" if nothing did.
        classifier_saw: faces with labels that this classifier has learnt from.
        labels: where the labels of the generated faces come from; "" if there are none.
        rejected: generated faces that were left out, by reason.
        notes: what to keep in mind.
    """

    model: str
    conditional: bool
    folder: str
    attributes: tuple[str, ...]
    taught: int
    held: int
    unseen: int
    seeds: int
    images: int
    seed: int
    arms: tuple[ArmResult, ...]
    over_real: dict[str, Estimate]
    over_classical: Estimate
    generator_saw: int | None
    classifier: str
    classifier_saw: int | None
    labels: str
    rejected: dict[str, int]
    notes: tuple[str, ...]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        arms = [(arm.arm, f"balanced accuracy {arm.balanced_accuracy.percent()}") for arm in self.arms]
        return [
            ("model", self.model),
            *arms,
            ("real faces taught", self.taught),
            ("unseen faces", self.unseen),
            ("seeds", self.seeds),
            ("notes", len(self.notes)),
        ]

    def verdict(self) -> list[str]:
        """What the figures say, in sentences; the last says what the generator knew already."""
        what = f"the balanced accuracy of {self.attributes[0]}"
        if len(self.attributes) > 1:
            what = f"the mean balanced accuracy of {len(self.attributes)} attributes"
        generated, copies, both = (self.over_real[a] for a in ("real + synthetic", "real + classical", "all"))
        first = f"beside {self.taught:,} labelled real faces, {_effect('generated faces', generated, what)}"
        lines = [
            f"{first}; {_effect('augmented copies', copies)}; {_effect('both together', both)}",
            f"beside augmented copies, {_effect('generated faces', self.over_classical)}",
            self._knowledge(),
        ]
        if self.seeds < _FEW_SEEDS:
            lines.append(
                f"{self.seeds} seed{'s' * (self.seeds > 1)}: too few to know how much a result depends on the seed"
            )
        return lines

    def _knowledge(self) -> str:
        had = self.taught + self.held
        seen = "an unknown number of" if self.generator_saw is None else f"{self.generator_saw:,}"
        kind = "labelled " if self.conditional else ""
        text = f"the generator itself has seen {seen} {kind}faces"
        if self.classifier:
            looked = "an unknown number of" if self.classifier_saw is None else f"{self.classifier_saw:,}"
            text += f", and the classifier that looked at its faces ({self.classifier}) {looked} labelled ones"
        known = [n for n in (self.generator_saw, self.classifier_saw) if n is not None]
        if known and max(known) > had:
            return (
                f"{text}; the arms had {had:,}: a gain is also what those other faces taught it, and says nothing of a "
                "generator that has seen these alone"
            )
        return f"{text}; the arms had {had:,}"

    def lines(self) -> list[str]:
        """The figures, for people."""
        head = (
            f"usefulness of {self.model}: {self.taught:,} real faces taught, {self.held:,} set thresholds, "
            f"{self.unseen:,} unseen ones asked about; {self.seeds} seeds, {self.images:,} faces shown to each pupil"
        )
        found = [head]
        width = max(len(arm.arm) for arm in self.arms)
        for arm in self.arms:
            counts = " + ".join(
                f"{n:,} {kind}" for n, kind in zip(arm.faces, ("real", "copies", "generated"), strict=True) if n
            )
            found.append(
                f"  {arm.arm:<{width}}  balanced accuracy {arm.balanced_accuracy.percent()}, recall of the rarer side "
                f"{arm.minority_recall.percent()}  ({counts})"
            )
        return found

    def summary(self, *, verbose: bool = False) -> str:
        """What people read; with ``verbose`` every attribute."""
        lines = self.lines()
        if verbose:
            for k, name in enumerate(self.attributes):
                cells = ", ".join(f"{a.arm} {a.attributes[k].balanced_accuracy.percent()}" for a in self.arms)
                lines.append(f"  {name}: {cells}")
        return "\n".join([*lines, *self.verdict(), *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "folder": self.folder,
            "seed": self.seed,
            "attributes": list(self.attributes),
            "taught": self.taught,
            "held_back": self.held,
            "unseen": self.unseen,
            "seeds": self.seeds,
            "images": self.images,
            "arms": [_arm_json(arm) for arm in self.arms],
            "over_real": {arm: gain.to_json() for arm, gain in self.over_real.items()},
            "all_over_classical": self.over_classical.to_json(),
            "generator_saw": self.generator_saw,
            "generator_obeys_attributes": self.conditional,
            "classifier": self.classifier or None,
            "classifier_saw": self.classifier_saw,
            "labels": self.labels,
            "rejected": self.rejected,
            "verdict": self.verdict(),
            "notes": list(self.notes),
        }

    def to_csv(self) -> bytes:
        """A line for every arm and attribute, with intervals."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        figures = ("balanced_accuracy", "minority_recall")
        head = [f"{figure}{part}" for figure in figures for part in ("", "_low", "_high")]
        writer.writerow(["arm", "attribute", "shown", *head])
        for arm in self.arms:
            for one in arm.attributes:
                cells = [e for f in figures for e in getattr(one, f).to_json().values()]
                writer.writerow(map(table_cell, [arm.arm, one.attribute, one.shown, *cells]))
        return buffer.getvalue().encode()

    def to_html(self) -> str:
        """One self-contained page with a plot. It shows no faces."""
        return render_page(f"Usefulness of {self.model}", self.blocks())

    def blocks(self) -> list[Block]:
        """What the page shows."""
        question = ("Does adding faces of ", Code(self.model), " to real ones make a classifier better?")
        answered = (
            f"The same small network was taught by four sets of faces, {self.seeds} times each, with {self.images:,} "
            f"faces shown each time. {self.taught:,} real faces are in all sets, {self.held:,} more set the "
            f"thresholds, and {self.unseen:,} that nothing has learnt from were asked about. Steps, rates, loss and "
            "balanced draws are the same; only the faces differ. The real faces: "
        )
        rows = [
            (arm.arm, *arm.faces, arm.balanced_accuracy.percent(), arm.minority_recall.percent()) for arm in self.arms
        ]
        header = ("faces shown", "real", "copies", "generated", "balanced accuracy", "recall of the rarer side")
        return [
            Notes([(Strong(f"{line[:1].upper()}{line[1:]}."),) for line in self.verdict()]),
            Paragraph(question),
            Paragraph((answered, Code(self.folder), ".")),
            Table(header, rows, texts=1),
            self._plot(),
            Paragraph(self._terms()),
            Notes(self.notes),
        ]

    def _plot(self) -> Intervals:
        """A row for every attribute, a line for every arm: balanced accuracy with its interval."""
        rows = [("mean", [_span(arm.balanced_accuracy) for arm in self.arms])]
        rows += [
            (name, [_span(arm.attributes[k].balanced_accuracy) for arm in self.arms])
            for k, name in enumerate(self.attributes)
        ]
        title = "Balanced accuracy on unseen faces, by what the classifier was shown; lines are 95 % intervals."
        return Intervals(title, [arm.arm for arm in self.arms], rows)

    def _terms(self) -> str:
        left_out = ", ".join(f"{count:,} {REASON_WORDS[name]}" for name, count in self.rejected.items() if count)
        return (
            "Balanced accuracy is the mean of the shares recognised of faces with and without an attribute; 50 % is "
            "guessing. In brackets, and as lines, the 95 % intervals over other unseen faces and other seeds "
            "(bootstrap); the draw of real faces itself is one."
            + (f" Labels of generated faces: {self.labels}." if self.labels else "")
            + (f" Generated faces that were left out and replaced: {left_out}." if left_out else "")
        )


def seen_faces(training: Mapping[str, Any]) -> int | None:
    """How many faces a model has learnt from, as its config tells: "faces" (and "faces_held_back"), or its data."""
    if isinstance(training.get("faces"), int):
        return int(training["faces"]) + int(training.get("faces_held_back", 0))
    found = _COUNT.search(str(training.get("data", "")))
    return int(found[1].replace(",", "")) if found else None


def _span(estimate: Estimate) -> Span:
    return estimate.low, estimate.value, estimate.high


def _effect(what: str, gain: Estimate, figure: str = "it") -> str:
    """What happened to a figure: raised, lowered, or nothing that can be told."""
    if gain.low > 0:
        return f"{what} raise {figure} by {gain.points()}"
    if gain.high < 0:
        return f"{what} lower {figure}: {gain.points()}"
    return f"{what} do not change {figure} as far as can be told: {gain.points()}"


def _arm_json(arm: ArmResult) -> dict[str, Any]:
    return {
        "arm": arm.arm,
        "real": arm.faces[0],
        "augmented": arm.faces[1],
        "synthetic": arm.faces[2],
        "balanced_accuracy": arm.balanced_accuracy.to_json(),
        "minority_recall": arm.minority_recall.to_json(),
        "by_attribute": {
            one.attribute: {
                "shown": one.shown,
                "balanced_accuracy": one.balanced_accuracy.to_json(),
                "minority_recall": one.minority_recall.to_json(),
            }
            for one in arm.attributes
        },
    }
