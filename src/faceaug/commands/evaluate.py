"""`faceaug evaluate`: run the requested parts and join their reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from faceaug.commands.options import read_number
from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError
from faceaug.evaluate.evaluation import report_evaluation, report_memorisation
from faceaug.evaluate.options import EvaluationOptions, Recipes, UsefulnessOptions
from faceaug.evaluate.report import EvaluationReport
from faceaug.evaluate.usefulness import report_usefulness
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


def read_options(given: Mapping[str, Any]) -> EvaluationOptions:
    """Put the options of `faceaug evaluate`, as click parses them, into one object.

    Raises:
        ArgumentError: an option is out of its range.
    """
    usefulness = UsefulnessOptions(
        attributes=given["attributes"] or None,
        fraction=read_number(given["fraction"], "--fraction"),
        seeds=given["seeds"],
        recipes=Recipes(synthetic=read_number(given["synthetic"]), filter=not given["no_filter"]),
    )
    shared = [field.name for field in fields(EvaluationOptions) if field.name in given]
    return EvaluationOptions(**{name: given[name] for name in shared}, usefulness=usefulness)


def assess(
    model: str,
    folder: Path | FaceFolder,
    options: EvaluationOptions,
    *,
    memorisation: bool = False,
    usefulness: bool = False,
    report: Path | None = None,
    progress: Show = None,
) -> EvaluationReport | Assessment:
    """Run `faceaug evaluate`: everything except usefulness, or only the requested parts.

    Args:
        model: see ``evaluate_source``.
        folder: folder of real faces.
        options: options of all parts.
        memorisation: search for training faces among the generated ones.
        usefulness: compare classifiers trained with and without generated faces.
        report: path of the report; its format is checked before anything is computed.
        progress: see ``evaluate_source``.

    Raises:
        ArgumentError: a CSV report of two parts was requested.
    """
    if usefulness and memorisation and report is not None and report.suffix == ".csv":
        raise ArgumentError("--report: two parts do not fit into one table; choose .html or .json")
    if not (usefulness or memorisation):
        return report_evaluation(model, folder, options, progress)
    parts: dict[str, Report] = {}
    if memorisation:
        parts["memorisation"] = report_memorisation(model, folder, options, progress)
    if usefulness:
        parts["usefulness"] = report_usefulness(model, folder, options, progress)
    first = next(iter(parts.values()))
    return Assessment(first.model if isinstance(first, UsefulnessReport) else first.subject.model, parts)
