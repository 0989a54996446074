"""`faceaug clean --check-labels`: its options, and the report of a clean with that of the labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faceaug.commands.console import Console
from faceaug.commands.options import INPUT
from faceaug.commands.outputs import OutputFile
from faceaug.data.marks import PROPOSALS
from faceaug.errors import printable

if TYPE_CHECKING:
    from faceaug.clean import CleanReport
    from faceaug.labels import LabelReport

_RUN = "labels"  # folder of the reports, next to those of cleans
_TABLE, _PAGE, _DOCUMENT = "label-proposals.csv", "labels.html", "labels.json"


@dataclass(frozen=True, slots=True)
class CheckedClean:
    """The report of a clean, with that of the labels if they were checked.

    Attributes:
        clean: the report of the clean.
        labels: the report of the labels.
    """

    clean: CleanReport
    labels: LabelReport | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return self.clean.to_json() | ({} if self.labels is None else {"labels": self.labels.to_json()})

    def to_csv(self) -> bytes:
        """The table of the clean; the proposals have their own."""
        return self.clean.to_csv()

    def to_html(self, *, workers: int | None, progress: bool) -> str:
        """One self-contained page."""
        if self.labels is None:
            return self.clean.to_html(workers=workers, progress=progress)
        from faceaug.clean.page import clean_blocks
        from faceaug.progress import open_progress
        from faceaug.reports.render import render_page

        blocks = [*clean_blocks(self.clean), *self.labels.blocks()]
        title, shown = f"faceaug clean: {self.clean.folder}", open_progress(progress)
        return render_page(title, blocks, made_by="faceaug clean", workers=workers, progress=shown)


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The options of the check of labels.

    Attributes:
        asked: whether labels are checked.
        proposals: file of the proposals; None for the state folder.
        embedding: ONNX file that compares faces.
    """

    asked: bool
    proposals: Path | None
    embedding: Path | None

    def prepare(self, folder: Path) -> None:
        """Check everything that the check needs, before anything is cleaned.

        Raises:
            UsageError: options without --check-labels.
            FaceAugError: see ``check_labels``.
        """
        if not self.asked:
            for option, given in (("--proposals", self.proposals), ("--embedding", self.embedding)):
                if given is not None:
                    raise click.UsageError(f"{option}: only with --check-labels")
            return
        from faceaug.data.folder import FaceFolder
        from faceaug.labels.check import require_labels
        from faceaug.labels.disagreements import require_cleanlab

        require_cleanlab()
        require_labels(FaceFolder(folder), self.embedding)

    def check(self, found: CleanReport, *, workers: int | None, overwrite: bool, console: Console) -> CheckedClean:
        """Check the labels of what stays, and write the reports; in a dry run only those that the caller has named."""
        if not self.asked:
            return CheckedClean(found, None)
        from faceaug.labels import check_labels
        from faceaug.storage.outputs import write_output

        folder = Path(found.folder if found.dry_run or not found.out else found.out)
        report = check_labels(folder, embedding=self.embedding, workers=workers, progress=console.progress)
        console.say(report.summary(verbose=console.verbose))
        if not found.dry_run:
            place = _write_reports(folder, report, progress=console.progress)
            console.say(f"labels: {printable(place / _PAGE)}")
        if self.proposals is not None:
            write_output(self.proposals, report.to_csv(), [PROPOSALS], overwrite=overwrite)
            console.say(f"proposals: {printable(self.proposals)}")
        return CheckedClean(found, report)


def label_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the check of labels, passed to the command as one ``LabelOptions``."""

    @click.option(
        "--check-labels", is_flag=True, help="Also look for wrong labels, and people under wrong names; see the docs."
    )
    @click.option(
        "--proposals",
        type=OutputFile(PROPOSALS),
        metavar="FILE",
        help="Also write the proposals of --check-labels here (.csv).",
    )
    @click.option(
        "--embedding",
        type=INPUT,
        metavar="FILE",
        help="ONNX model that compares people for --check-labels.  [default: dlib's, if installed]",
    )
    @wraps(command)
    def run(*args: Any, check_labels: bool, proposals: Path | None, embedding: Path | None, **kwargs: Any) -> None:
        """The command with its options of labels as one."""
        command(*args, labels=LabelOptions(check_labels, proposals, embedding), **kwargs)

    return run


def _write_reports(folder: Path, report: LabelReport, *, progress: bool) -> Path:
    """Write the reports into the state folder, which the clean has made. Returns their folder."""
    from faceaug.storage.files import explained, write_bytes
    from faceaug.storage.state import state_folder

    place = state_folder(folder, beside=False) / "runs" / _RUN
    page = report.to_html(progress=progress).encode("utf-8", "backslashreplace")
    document = json.dumps(report.to_json(), indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
    with explained(folder):
        place.mkdir(parents=True, exist_ok=True)
        for name, data in ((_TABLE, report.to_csv()), (_PAGE, page), (_DOCUMENT, document)):
            write_bytes(place / name, data)
    return place
