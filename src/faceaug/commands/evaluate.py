"""`faceaug evaluate`: run the requested parts and join their reports."""

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
    """The reports of the requested parts.

    Attributes:
        model: name of the model.
        parts: "memorisation" or "usefulness" -> report.
    """

    model: str
    parts: dict[str, Report]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [("model", self.model), *(fact for part in self.parts.values() for fact in part.facts()[1:5])]

    def summary(self, *, verbose: bool = False) -> str:
        """The reports as text."""
        return "\n\n".join(part.summary(verbose=verbose) for part in self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values, by part."""
        return {"model": self.model} | {name: part.to_json() for name, part in self.parts.items()}

    def to_csv(self) -> bytes:
        """The table of the first part; ``assess`` refuses a table of two."""
        return next(iter(self.parts.values())).to_csv()

    def to_html(self) -> str:
        """One self-contained page."""
        blocks: list[Block] = []
        for part in self.parts.values():  # memorisation brings its own headings
            blocks += [*([Heading("Usefulness")] if isinstance(part, UsefulnessReport) else ()), *part.blocks()]
        return render_page(f"Evaluation of {self.model}", blocks, made_by="faceaug evaluate")


def assess(
    model: str,
    folder: Path | FaceFolder,
    *,
    usefulness: bool,
    memorisation: bool,
    report: Path | None,
    n: int,
    extractor: str | None,
    weights: Path | None,
    download: bool,
    partition: str | None,
    against: str | None,
    real: int,
    seed: int,
    device: str | None,
    attributes: tuple[str, ...],
    fraction: float | int,
    synthetic: float | int,
    no_filter: bool,
    seeds: int,
    progress: Show = None,
) -> EvaluationReport | Assessment:
    """Run `faceaug evaluate`: everything except usefulness, or only the requested parts.

    Args:
        model: see ``evaluate_source``, which also describes the arguments marked "as there".
        folder: folder of real faces.
        usefulness: compare classifiers trained with and without generated faces.
        memorisation: search for training faces among the generated ones.
        report: path of the report; its format is checked before anything is computed.
        n: as there.
        extractor: as there; None is the default of each part.
        weights: as there.
        download: as there.
        partition: as there.
        against: as there.
        real: as there.
        seed: as there.
        device: as there.
        attributes: see ``evaluate_usefulness``; an empty tuple means the ten rarest.
        fraction: see ``evaluate_usefulness``.
        synthetic: generated faces added to the real ones: a share of them, or a count.
        no_filter: use generated faces unfiltered.
        seeds: see ``evaluate_usefulness``.
        progress: as there.

    Raises:
        ArgumentError: a CSV report of two parts was requested.
    """
    if usefulness and memorisation and report is not None and report.suffix == ".csv":
        raise ArgumentError("--report: two parts do not fit into one table; choose .html or .json")
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
            model,
            folder,
            attributes=attributes or None,
            fraction=fraction,
            seeds=seeds,
            recipes=Recipes(synthetic=synthetic, filter=not no_filter),
            device=device,
            progress=progress,
            **rows,
        )
    first = next(iter(parts.values()))
    return Assessment(first.model if isinstance(first, UsefulnessReport) else first.subject.model, parts)
