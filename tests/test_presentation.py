from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import faceaug
from faceaug.clean.copy import CopyReport
from faceaug.clean.names import Rename
from faceaug.clean.report import CleanReport, SetAside
from faceaug.commands.demo import DemoReport
from faceaug.commands.doctor import Findings
from faceaug.commands.evaluate import Assessment
from faceaug.data.convert_report import ConvertReport
from faceaug.data.overview import Overview
from faceaug.data.split import SplitReport
from faceaug.deidentify import DeidentifyOptions, DeidentifyReport
from faceaug.deidentify.deidentify_report import KINDS as DOUBTS
from faceaug.evaluate.copies import CopySearch
from faceaug.evaluate.findings import FaceNames
from faceaug.evaluate.intervals import Estimate
from faceaug.evaluate.report import EvaluationReport, Memorisation, Pictures, Subject
from faceaug.evaluate.usefulness_report import ArmResult, UsefulnessReport
from faceaug.faces import AlignmentCheck, AlignOptions, AlignReport, LandmarkReport
from faceaug.faces.align_report import KINDS
from faceaug.faces.framing import Framing
from faceaug.labels import LabelReport
from faceaug.labels.correlations import Correlations
from faceaug.mix.replay import Replayed
from faceaug.mix.report import ExpandReport
from faceaug.presentation import Fact, Presentation, argument
from faceaug.storage.moves import UndoReport
from faceaug.synthesize.saving import SynthesisReport
from faceaug.synthesize.selection import SelectionReport
from faceaug.train.reports import ClassifierReport, TrainReport

SOURCE = Path(faceaug.__file__).parent
MANY = tuple(f"<b>&{k:06d}\udcff\n.jpg: is cut off" for k in range(5_000))
ROWS = tuple((name, "why") for name in MANY)


def selection() -> SelectionReport:
    asked = dict.fromkeys(map(str, range(5_000)), 1)
    return SelectionReport(asked, 10, 1, asked, 1.0)


def usefulness() -> UsefulnessReport:
    some = Estimate(0.5, 0.4, 0.6)
    arms = tuple(ArmResult(f"arm {k}", (1, 2, 3), some, some, ()) for k in range(4))
    return UsefulnessReport(
        model="m" * 300, conditional=False, folder="f", attributes=("Bald",) * 40, taught=1, held=1, unseen=1, seeds=1,
        images=1, seed=0, arms=arms, over_real={}, over_classical=some, generator_saw=None, classifier="",
        classifier_saw=None, labels="", rejected={}, notes=MANY,
    )  # fmt: skip


def evaluation() -> EvaluationReport:
    subject = replace(_filled(Subject), names=FaceNames())
    nothing = np.empty(0)
    pictures = Pictures((), (), (), (), (), nothing, nothing)
    memorisation = replace(_filled(Memorisation), copies=((1, "a", False),) * 5_000, search=_filled(CopySearch))
    return EvaluationReport(subject, (), memorisation, MANY, MANY, pictures)


def _filled(kind: type[Any]) -> Any:
    """An instance of a dataclass with something harmless in every field."""
    return kind(**dict.fromkeys(kind.__dataclass_fields__, 1))


REPORTS: dict[str, Callable[[], Presentation]] = {
    "CleanReport": lambda: CleanReport(
        folder=MANY[0], run="0001", dry_run=False, original=9_000, cleaned=4_000,
        renames=tuple(Rename(name, name) for name in MANY),
        set_aside=tuple(SetAside(name, "same bytes", "why", name) for name in MANY), unclear=(), conflicts=(),
        left=ROWS, rows_without_file=dict.fromkeys(MANY, 1), notes=MANY, page="report.html",
    ),
    "ConvertReport": lambda: ConvertReport(
        Path(MANY[0]), "coco", "flat", 9, 8, dict.fromkeys(MANY, 1), MANY, dict.fromkeys(MANY, 1), MANY, 1.0
    ),
    "AlignReport": lambda: AlignReport(
        Path(MANY[0]), Path(MANY[1]), AlignOptions(), 9, 8, 7, dict.fromkeys(KINDS, MANY), MANY, MANY, 1.0
    ),
    "DeidentifyReport": lambda: DeidentifyReport(
        Path(MANY[0]), Path(MANY[1]), DeidentifyOptions(), 9, 8, 7, 6, dict.fromkeys(DOUBTS, MANY), ({},), MANY, 1.0,
        MANY,
    ),
    "AlignmentCheck": lambda: AlignmentCheck(
        Path(MANY[0]), 9, 8, (64, 64), np.zeros((5, 2), np.float32), 0.1, 1.0, (_filled(Framing),)
    ),
    "LandmarkReport": lambda: LandmarkReport(Path(MANY[0]), 9, 8, 7, MANY, MANY, MANY, 1.0),
    "LabelReport": lambda: LabelReport(
        MANY[0], 9, "attributes-64", (), (), (), Correlations((), np.zeros((0, 0)), (), ()), None, MANY, MANY
    ),
    "SplitReport": lambda: SplitReport(
        Path(MANY[0]), Path(MANY[1]), "identity", dict.fromkeys(("train", "val", "test"), 9),
        dict.fromkeys(("train", "val", "test"), 1), 5_000, 0.5, MANY[0], 1, MANY,
    ),
    "CopyReport": lambda: CopyReport("out", 1, 2, 3, dict.fromkeys(MANY, 1), MANY),
    "UndoReport": lambda: UndoReport(MANY, 5, ROWS),
    "ExpandReport": lambda: ExpandReport(
        out=Path(MANY[0]), sizes=(("original", 9), ("real", 8)), size=(32, 32), crop="none", framed={}, model="",
        no_synthetic="", shares=(), rejected={}, looked_at=0, files=9, unreadable=MANY, notes=MANY, seconds=1.0,
        repeated=ROWS,
    ),
    "Replayed": lambda: Replayed("a.png", "real", np.zeros((4, 6, 3), np.uint8), b"x" * 10_000, True),
    "SynthesisReport": lambda: SynthesisReport(Path("out"), 1, 1, "m", 0, (selection(),) * 5_000),
    "SelectionReport": selection,
    "TrainReport": lambda: TrainReport(Path("run"), Path("model"), 9, True, 9, MANY, 1.0, 9, notes=MANY),
    "ClassifierReport": lambda: ClassifierReport(
        Path("run"), None, 9, False, 9, MANY, 1.0, 9, held_back=9, attributes=MANY, metrics={"a": MANY}
    ),
    "DemoReport": lambda: DemoReport(Path("out"), (("original", 1),), 1, dict.fromkeys(MANY, 1), 1, {}),
    "Findings": lambda: Findings({"faceaug": "1"}, {"serve": True}, (), {}, MANY),
    "Overview": lambda: Overview(
        folder=MANY[0], layout="classes", evidence="folders", pictures=9, classes=dict.fromkeys(MANY, 1), labelled=9,
        partitions={"train": 9}, identities=0, attributes=0, landmarks=0, points=0, boxes=0, masks=0, columns=MANY,
        notes=MANY,
    ),
    "UsefulnessReport": usefulness,
    "EvaluationReport": evaluation,
    "Assessment": lambda: Assessment("m", {"memorisation": evaluation(), "usefulness": usefulness()}),
}  # fmt: skip


def report_classes() -> list[type]:
    """Every class of the package that is a report by its name or by what it offers."""
    found = []
    for path in SOURCE.rglob("*.py"):
        module = ".".join(("faceaug", *path.relative_to(SOURCE).with_suffix("").parts))
        for node in ast.parse(path.read_text("utf-8")).body:
            methods = {part.name for part in getattr(node, "body", ()) if isinstance(part, ast.FunctionDef)}
            if isinstance(node, ast.ClassDef) and (node.name.endswith("Report") or {"summary", "to_json"} <= methods):
                found.append(getattr(importlib.import_module(module), node.name))
    return [kind for kind in found if not inspect.isabstract(kind)]


def test_every_report_of_the_package_is_tried_here() -> None:
    assert {kind.__name__ for kind in report_classes()} == REPORTS.keys()
    assert all(issubclass(kind, Presentation) for kind in report_classes())


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_of_thousands_of_entries_is_ten_short_lines_at_a_prompt(name: str) -> None:
    lines = repr(REPORTS[name]()).splitlines()
    assert lines[0] == name
    assert 3 <= len(lines) <= 10
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_a_small_escaped_table_in_a_notebook(name: str) -> None:
    page = REPORTS[name]()._repr_html_()
    page.encode()  # what a notebook is sent has no lone surrogates
    assert 2 <= page.count("<tr>") <= 9
    assert "<b>" not in page
    assert len(page) < 3_000


def test_what_is_not_known_is_not_shown() -> None:
    @dataclass(frozen=True, slots=True, repr=False)
    class Small(Presentation):
        def facts(self) -> list[Fact]:
            return [("a", 0), ("b", None), ("c", ""), ("d", 1_234), ("e", 0.123456), ("f", True)]

    assert repr(Small()) == "Small\n  a  0\n  d  1,234\n  e  0.1235\n  f  True"


@pytest.mark.parametrize(
    ("path", "shown"),
    [("a/b", "a/b"), ("my faces", "'my faces'"), ("-x", "./-x"), ("it's", "'it'\"'\"'s'"), ("a\x1b", r"'a\x1b'")],
)
def test_a_path_in_a_command_is_quoted_as_a_shell_needs_it(path: str, shown: str) -> None:
    assert argument(path) == shown
