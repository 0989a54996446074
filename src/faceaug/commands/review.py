"""`faceaug clean --review`: a local page on which a person decides, applies and undoes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faceaug.commands.console import Console
from faceaug.commands.server import missing_extra
from faceaug.errors import printable

if TYPE_CHECKING:
    from faceaug.clean import CleanReport

# Options that do not go with --review, and what to do instead.
_APART = {
    "dry_run": ("--dry-run", "the page changes nothing until you press apply"),
    "decisions": ("--decisions", "the page starts with the proposals; one of the two decides"),
    "out": ("--out", "save decisions.json on the page, then give --out DIR --decisions decisions.json"),
}


def check_review(given: dict[str, object], console: Console) -> None:
    """Refuse options that do not go with ``--review``, and a missing extra, before any work.

    Args:
        given: values of the other options of the command.
        console: the output.

    Raises:
        click.UsageError: two options do not go together.
        FaceAugError: the extra ``serve`` is missing.
    """
    for name, (option, instead) in _APART.items():
        if given[name]:
            raise click.UsageError(f"--review: not with {option}; {instead}")
    if console.quiet:
        raise click.UsageError("--review: not with -q, which hides the address of the page")
    with missing_extra("--review"):
        import_module("faceaug.serve.review_server")


def review_folder(folder: Path, clean: Callable[..., CleanReport], console: Console) -> CleanReport:
    """Show a plan on a local page until the person has finished; the report of what was applied, or the plan.

    Args:
        folder: the folder.
        clean: ``clean_folder`` with all arguments but ``dry_run`` and ``decisions``.
        console: the output.
    """
    from faceaug.clean import undo_clean
    from faceaug.serve.review import Review
    from faceaug.serve.review_server import run_review

    plan = clean(dry_run=True)
    if not plan.decisions().groups:
        if plan.finds:
            console.say(f"{printable(folder)}: no duplicates to decide about; run the same without --review")
        return plan
    review = Review(
        plan,
        apply=lambda decisions: clean(decisions=decisions),
        undo=lambda: undo_clean(folder, progress=console.progress),
    )

    def listening(url: str) -> None:
        """Say where the page is, and open it where there is a screen."""
        console.say(f"{url}  (finish on the page, or Ctrl-C)")
        if _has_screen():
            click.launch(url)

    with suppress(KeyboardInterrupt):  # Ctrl-C ends a review as "finish" does
        run_review(review, on_listening=listening)
    return review.applied or plan


def _has_screen() -> bool:
    """Whether a person at this terminal has a browser with windows; others would take over the terminal."""
    if not (sys.stdout.isatty() or sys.stderr.isatty()):
        return False
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
