"""`--report PATH`: the supported formats, and their writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import click

from faceaug.commands.outputs import OutputFile
from faceaug.data.marks import document_with, report_kinds
from faceaug.storage.outputs import Kind, write_output

# First columns of the tables that a command writes; its own earlier tables are recognised by them.
_TABLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "faceaug clean": (("file", "what", "why", "other_file", "bits", "detail", "face_block", "broad_block", "colour"),),
    "faceaug evaluate": (
        ("figure", "of", "n", "against", "reference_n", "control"),
        ("median_distance", "unseen_median_distance", "closer_than_99_percent_of_unseen", "authenticity"),
        ("arm", "attribute", "shown", "balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high"),
    ),
}


class _Found(Protocol):
    def to_json(self) -> dict[str, Any]:
        """The findings as JSON data."""

    def to_csv(self) -> bytes:
        """The findings as a table."""


def report_option(command: str) -> Callable[..., Any]:
    """The option ``--report`` of a command, such as "faceaug clean"."""
    kinds = _kinds(command)
    *first, last = (kind.ending for kind in kinds)
    text = f"Also write the report to this file ({', '.join(first)} or {last})."
    return click.option("--report", type=OutputFile(*kinds), help=text)


def write_report(path: Path, report: _Found, page: Callable[[], str], *, command: str, overwrite: bool) -> None:
    """Write a report in the format given by the file name extension.

    Args:
        path: a path that ``report_option`` has accepted.
        report: the report.
        page: makes the HTML; called only for that format.
        command: the command, such as "faceaug clean".
        overwrite: replace any file.
    """
    if path.suffix == ".json":
        data = document_with(command, report.to_json())
    elif path.suffix == ".csv":
        data = report.to_csv()
    else:
        data = page().encode("utf-8", "backslashreplace")
    write_output(path, data, _kinds(command), overwrite=overwrite)


def _kinds(command: str) -> tuple[Kind, ...]:
    return report_kinds(command, _TABLES[command])
