"""`faceaug evaluate`: which parts are wanted, and their reports as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError
from faceaug.evaluate import evaluate_memorisation, evaluate_source, evaluate_usefulness
from faceaug.evaluate.arms import Recipes
from faceaug.evaluate.features import CLASSIFIER, DEFAULT_EXTRACTOR
from faceaug.evaluate.report import EvaluationReport
from faceaug.evaluate.usefulness_report import UsefulnessReport
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Show
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block, Heading

Report = EvaluationReport | UsefulnessReport


@dataclass(frozen=True, slots=True, repr=False)
class Assessment(Presentation):
    """The reports that were asked for.

    Attributes:
        model: name.
        parts: by name: "memorisation", "usefulness".
    """

    model: str
    parts: dict[str, Report]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [("model", self.model), *(fact for part in self.parts.values() for fact in part.facts()[1:5])]

    def summary(self, *, verbose: bool = False) -> str:
        """What people read."""
        return "\n\n".join(part.summary(verbose=verbose) for part in self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """A document for each part."""
        return {"model": self.model} | {name: part.to_json() for name, part in self.parts.items()}

    def to_csv(self) -> bytes:
        """The table of the only part."""
        return next(iter(self.parts.values())).to_csv()

    def to_html(self) -> str:
        """One self-contained page."""
        blocks: list[Block] = []
        for part in self.parts.values():  # that of memorisation has headings of its own
            blocks += [*([Heading("Usefulness")] if isinstance(part, UsefulnessReport) else ()), *part.blocks()]
        return render_page(f"Evaluation of {self.model}", blocks)


def assess(
    model: str, folder: Path | FaceFolder, *, usefulness: bool, memorisation: bool, report: Path | None, n: int,
    extractor: str | None, weights: Path | None, download: bool, partition: str | None, against: str | None, real: int,
    seed: int, device: str | None, attributes: tuple[str, ...], fraction: float | int, synthetic: float | int,
    no_filter: bool, seeds: int, progress: Show = None,
) -> EvaluationReport | Assessment:  # fmt: skip
    """Do what `faceaug evaluate` was asked for: everything but usefulness, or the parts that were named.

    Args:
        model: see ``evaluate_source``, as for what is not described here.
        folder: of real faces.
        usefulness: compare what classifiers learn with and without generated faces.
        memorisation: look for training faces among the generated ones, and for nothing else.
        report: where the report will go; known to be possible before anything is computed.
        n: see there.
        extractor: see there; None is the default of each part.
        weights: see there.
        download: see there.
        partition: see there.
        against: see there.
        real: see there.
        seed: see there.
        device: see there.
        attributes: see ``evaluate_usefulness``; none is the ten rarest.
        fraction: see there.
        synthetic: generated faces beside the real ones: a share of them, or a count.
        no_filter: take generated faces as they come.
        seeds: see there.
        progress: see there.
    """
    if usefulness and memorisation and report is not None and report.suffix == ".csv":
        raise ArgumentError("--report: two parts do not fit into one table; write .html or .json")
    rows: dict[str, Any] = {"partition": partition, "against": against, "seed": seed, "download": download}
    common: dict[str, Any] = rows | {"n": n, "real": real, "weights": weights, "device": device}
    if not (usefulness or memorisation):
        return evaluate_source(model, folder, extractor=extractor or DEFAULT_EXTRACTOR, progress=progress, **common)
    parts: dict[str, Report] = {}
    if memorisation:
        parts["memorisation"] = evaluate_memorisation(
            model, folder, extractor=extractor or CLASSIFIER, progress=progress, **common
        )
    if usefulness:
        parts["usefulness"] = evaluate_usefulness(
            model, folder, attributes=attributes or None, fraction=fraction, seeds=seeds,
            recipes=Recipes(synthetic=synthetic, filter=not no_filter), device=device, progress=progress, **rows,
        )  # fmt: skip
    first = next(iter(parts.values()))
    return Assessment(first.model if isinstance(first, UsefulnessReport) else first.subject.model, parts)
