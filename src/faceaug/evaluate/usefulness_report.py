"""The report of a comparison of arms: figures with intervals, and a verdict on what they do and do not show."""

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
    """Result for one attribute in one arm.

    Attributes:
        attribute: name of the attribute.
        shown: number of training faces of its rarer side in the arm.
        balanced_accuracy: mean of the recalls of unseen faces with and without it.
        minority_recall: recall of the rarer side.
    """

    attribute: str
    shown: int
    balanced_accuracy: Estimate
    minority_recall: Estimate


@dataclass(frozen=True, slots=True)
class ArmResult:
    """Result of one arm.

    Attributes:
        arm: name of the arm.
        faces: numbers of real, augmented and synthetic training faces.
        balanced_accuracy: mean over the attributes.
        minority_recall: mean over the attributes.
        attributes: result for each attribute, the rarest first.
    """

    arm: str
    faces: tuple[int, ...]
    balanced_accuracy: Estimate
    minority_recall: Estimate
    attributes: tuple[AttributeResult, ...]


@dataclass(frozen=True, slots=True, repr=False)
class UsefulnessReport(Presentation):
    """The report of ``evaluate_usefulness``.

    Attributes:
        model: name of the generator.
        conditional: whether the generator takes attributes.
        folder: folder of the real faces.
        attributes: learnt attributes, the rarest first.
        taught: number of real training faces in all arms.
        held: number of real faces that set thresholds.
        unseen: number of real test faces.
        seeds: number of trainings per arm.
        images: number of faces shown to each classifier.
        seed: seed of the draws.
        arms: results of the arms.
        over_real: gain in balanced accuracy of each arm over real faces alone.
        over_classical: gain in balanced accuracy of the arm with all faces over real faces and copies.
        generator_saw: number of training faces of the generator; None if its config does not say.
        classifier: classifier that filtered or labelled the generated faces; "" if there was none.
        classifier_saw: number of labelled training faces of this classifier; None if its config does not say.
        labels: origin of the labels of the generated faces; "" if there are none.
        rejected: number of rejected generated faces, by reason.
        notes: remarks on the result.
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
        """Conclusions in sentences; one of them states the training data of the generator."""
        what = f"the balanced accuracy of {self.attributes[0]}"
        if len(self.attributes) > 1:
            what = f"the mean balanced accuracy of {len(self.attributes)} attributes"
        generated, copies, both = (self.over_real[a] for a in ("real + synthetic", "real + classical", "all"))
        first = f"added to {self.taught:,} labelled real faces, {_effect('generated faces', generated, what)}"
        lines = [
            f"{first}; {_effect('augmented copies', copies)}; {_effect('both together', both)}",
            f"added to real faces and augmented copies, {_effect('generated faces', self.over_classical)}",
            self._knowledge(),
        ]
        if self.seeds < _FEW_SEEDS:
            lines.append(
                f"{self.seeds} seed{'s' * (self.seeds > 1)}: too few to tell how much a result depends on the seed"
            )
        return lines

    def _knowledge(self) -> str:
        had = self.taught + self.held
        seen = "an unknown number of" if self.generator_saw is None else f"{self.generator_saw:,}"
        kind = "labelled " if self.conditional else ""
        text = f"the generator itself has seen {seen} {kind}faces"
        if self.classifier:
            looked = "an unknown number of" if self.classifier_saw is None else f"{self.classifier_saw:,}"
            text += f", and the classifier that judged its faces ({self.classifier}) {looked} labelled ones"
        known = [n for n in (self.generator_saw, self.classifier_saw) if n is not None]
        if known and max(known) > had:
            return (
                f"{text}; the arms had {had:,}: a gain may come from those additional faces, and says nothing about a "
                "generator trained only on these"
            )
        return f"{text}; the arms had {had:,}"

    def lines(self) -> list[str]:
        """The figures as lines of text."""
        head = (
            f"usefulness of {self.model}: {self.taught:,} real faces for training, {self.held:,} for thresholds, "
            f"{self.unseen:,} unseen for the test; {self.seeds} seeds, {self.images:,} faces shown to each classifier"
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
        """The report as text; ``verbose`` lists every attribute."""
        lines = self.lines()
        if verbose:
            for k, name in enumerate(self.attributes):
                cells = ", ".join(f"{a.arm} {a.attributes[k].balanced_accuracy.percent()}" for a in self.arms)
                lines.append(f"  {name}: {cells}")
        return "\n".join([*lines, *self.verdict(), *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
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
        """A row for every arm and attribute, with intervals."""
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
        """A self-contained page with a plot and without faces."""
        return render_page(f"Usefulness of {self.model}", self.blocks(), made_by="faceaug evaluate")

    def blocks(self) -> list[Block]:
        """The blocks of the page."""
        question = ("Does adding faces of ", Code(self.model), " to real ones improve a classifier?")
        answered = (
            f"The same small network was trained on four sets of faces, {self.seeds} times each, with {self.images:,} "
            f"faces shown each time. {self.taught:,} real faces are in all sets, {self.held:,} more set the "
            f"thresholds, and {self.unseen:,} unseen faces are the test. Steps, learning rates, loss and balanced "
            "draws are the same; only the faces differ. The real faces: "
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
        """Balanced accuracy with its interval: a row for every attribute, a line for every arm."""
        rows = [("mean", [_span(arm.balanced_accuracy) for arm in self.arms])]
        rows += [
            (name, [_span(arm.attributes[k].balanced_accuracy) for arm in self.arms])
            for k, name in enumerate(self.attributes)
        ]
        title = "Balanced accuracy on unseen faces, by training faces; lines are 95 % intervals."
        return Intervals(title, [arm.arm for arm in self.arms], rows)

    def _terms(self) -> str:
        left_out = ", ".join(f"{count:,} {REASON_WORDS[name]}" for name, count in self.rejected.items() if count)
        return (
            "Balanced accuracy is the mean recall of faces with and without an attribute; 50 % is guessing. Brackets "
            "and lines show 95 % intervals over other unseen faces and other seeds (bootstrap); all arms use one draw "
            "of real faces, so its variation is not included."
            + (f" Labels of generated faces: {self.labels}." if self.labels else "")
            + (f" Generated faces rejected and replaced: {left_out}." if left_out else "")
        )


def seen_faces(training: Mapping[str, Any]) -> int | None:
    """Number of training faces in a model's config: "faces" (plus "faces_held_back"), or a number in "data"."""
    if isinstance(training.get("faces"), int):
        return int(training["faces"]) + int(training.get("faces_held_back", 0))
    found = _COUNT.search(str(training.get("data", "")))
    return int(found[1].replace(",", "")) if found else None


def _span(estimate: Estimate) -> Span:
    return estimate.low, estimate.value, estimate.high


def _effect(what: str, gain: Estimate, figure: str = "it") -> str:
    """Describe the effect on a figure: raised, lowered, or not significant."""
    if gain.low > 0:
        return f"{what} raise {figure} by {gain.points()}"
    if gain.high < 0:
        return f"{what} lower {figure}: {gain.points()}"
    return f"{what} have no significant effect on {figure}: {gain.points()}"


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
