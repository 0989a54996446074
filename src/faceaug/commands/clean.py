"""`faceaug clean` and `faceaug undo`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faceaug.commands import options as parsing
from faceaug.commands.cluster import on_option
from faceaug.commands.console import Console, common_options
from faceaug.commands.labels import LabelOptions, label_options
from faceaug.commands.outputs import CheckedCommand, OutputFile, OutputFolder, overwrite_option
from faceaug.commands.report import report_option, write_report
from faceaug.commands.review import check_review, review_folder
from faceaug.data.marks import INDEX
from faceaug.errors import printable
from faceaug.storage.files import remove_output
from faceaug.storage.outputs import read_head

if TYPE_CHECKING:
    from faceaug.executor import Executor

_EXAMPLES = "\b\nExample:\n  "


@click.command(cls=CheckedCommand, epilog=_EXAMPLES + "faceaug clean ./celeba --dry-run")
@click.argument("folder", type=parsing.INPUT)
@click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
@click.option("--max-remove", default="20%", show_default=True, help="Refuse to set aside more than this share.")
@click.option("--protect", multiple=True, metavar="PATH", help="Never set these aside (file or pattern; repeatable).")
@click.option("--out", type=OutputFolder(), metavar="DIR", help="Write a cleaned copy with matching tables instead.")
@click.option(
    "--link", type=click.Choice(["copy", "hard"]), default="copy", show_default=True, help="How --out gets its files."
)
@click.option("--no-near", is_flag=True, help="Only set aside byte- or pixel-identical duplicates.")
@click.option(
    "--mirrored",
    type=click.Choice(["report", "remove"]),
    default="report",
    show_default=True,
    help="What to do with mirror images.",
)
@click.option("--faces", is_flag=True, help="Also check faces: none, several, turned, tiny, blurred, dark ...")
@click.option(
    "--set-aside",
    callback=parsing.read_faults,
    metavar="FAULT,...",
    help="Set aside pictures with these faults, such as blurred,no-face; implies --faces.",
)
@click.option(
    "--against",
    type=parsing.INPUT,
    multiple=True,
    metavar="REFERENCE",
    help="Set aside what this folder has already (repeatable). It is only read.",
)
@click.option(
    "--index",
    type=OutputFile(INDEX),
    metavar="FILE",
    help="Keep what was read of --against here.  [default: REFERENCE.faceaug-index]",
)
@click.option(
    "--decisions",
    type=parsing.INPUT,
    metavar="FILE",
    help="Do what you decided in a report and saved as decisions.json.",
)
@click.option("--review", is_flag=True, help="Decide on a local page, and apply it there. Needs faceaug[serve].")
@label_options
@click.option("--workers", type=click.IntRange(min=1), help="Processes that read pictures.  [default: all cores]")
@on_option(torch=False)
@report_option("faceaug clean")
@overwrite_option
@common_options
def clean(
    folder: Path, dry_run: bool, max_remove: str, protect: tuple[str, ...], out: Path | None, link: Any,
    no_near: bool, mirrored: Any, against: tuple[Path, ...], index: Path | None, faces: bool,
    set_aside: Any, decisions: Path | None, review: bool, labels: LabelOptions, workers: int | None,
    executor: Executor | None, report: Path | None, overwrite: bool, console: Console,
) -> None:  # fmt: skip
    """Repair names, set aside unreadable files and duplicates.

    Does not ask first, because nothing is deleted: files are moved to FOLDER/.faceaug/set-aside, and
    `faceaug undo FOLDER` restores them all. With --out, FOLDER itself stays unchanged.

    With --faces, pictures with a fault are reported and stay; --set-aside names the faults whose pictures leave.

    You decide about groups of duplicates with --review, or in a report: save decisions.json there, and give it with
    --decisions.

    With --check-labels, labels that seem wrong are proposed in label-proposals.csv; tables stay as they are.
    """
    from faceaug.clean import CleanPolicy, clean_folder

    limit = parsing.read_share(max_remove)
    policy = CleanPolicy(max_remove=limit, protect=protect, near=not no_near, mirrored=mirrored)
    if index is not None and not against:
        raise click.UsageError("--index: only with --against")
    if review:
        check_review({"dry_run": dry_run, "out": out, "decisions": decisions}, console)
    labels.prepare(folder)
    if index is not None and overwrite and index.is_file() and not INDEX.is_ours(read_head(index)):
        remove_output(index)
    cleaning = partial(
        clean_folder, folder, policy, against=against, index=index, workers=workers, faces=faces, set_aside=set_aside,
        executor=executor, progress=console.progress,
    )  # fmt: skip
    if review:
        found = review_folder(folder, cleaning, console)
    else:
        found = cleaning(dry_run=dry_run, out=out, link=link, decisions=decisions)
    if review and found.finds and found.run is None:
        console.say(f"{printable(found.folder)}: nothing was applied, and nothing was changed")
    else:
        console.say(found.summary(verbose=console.verbose))
    checked = labels.check(found, workers=workers, overwrite=overwrite, console=console)
    if report is not None:
        page = partial(checked.to_html, workers=workers, progress=console.progress)
        write_report(report, checked, page, command="faceaug clean", overwrite=overwrite)
        console.say(f"report: {report}")
    console.document(checked.to_json())


@click.command(cls=CheckedCommand, epilog=_EXAMPLES + "faceaug undo ./celeba")
@click.argument("folder", type=parsing.INPUT)
@click.option("--all", "all_runs", is_flag=True, help="Undo every run, not only the last.")
@common_options
def undo(folder: Path, all_runs: bool, console: Console) -> None:
    """Restore what the last clean moved: names, bytes, modes and times."""
    from faceaug.clean import undo_clean

    done = undo_clean(folder, all_runs=all_runs, progress=console.progress)
    console.say(done.summary(verbose=console.verbose))
    console.document(done.to_json())
