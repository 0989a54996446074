"""Cleaning: repair names, set aside unreadable files and duplicates, undo all of it.

::

    list the folder -> read every picture once -> repair names -> find duplicates -> plan -> the journal performs it

Everything before the journal only looks. Nothing is deleted, tables are never changed, and a second clean finds
nothing to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from faceaug.clean.names import Rename, Unclear
from faceaug.clean.plan import Decision, Progress, decide, look
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.report import CleanReport, Conflict, SetAside
from faceaug.errors import Interrupted, RefusedError, printable
from faceaug.files import existing_folder, write_bytes
from faceaug.journal import Journal, UndoReport, open_journal, read_journal
from faceaug.state import explained_disk, interruptible, state_folder

__all__ = [
    "CleanPolicy",
    "CleanReport",
    "Conflict",
    "Rename",
    "SetAside",
    "Unclear",
    "UndoReport",
    "clean_folder",
    "undo_clean",
]

_DEFAULT = CleanPolicy()


def clean_folder(
    path: Path | str,
    policy: CleanPolicy = _DEFAULT,
    *,
    dry_run: bool = False,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> CleanReport:
    """Repair names and set aside unreadable files and duplicates; ``undo_clean`` puts everything back.

    Args:
        path: the folder, in any layout of ``FaceFolder``.
        policy: how much may be set aside, and what never.
        dry_run: change nothing and write nothing; the report says what would happen.
        workers: processes that read pictures, >= 0; None decides by itself.
        on_progress: called with the number of pictures read so far.

    Returns:
        What was done. The same is written to ``runs/<run>/report.json`` and ``report.html`` of the state folder.

    Raises:
        ArgumentError: there is no such folder, or ``policy.protect`` names no picture.
        RefusedError: nothing was changed: no pictures, more than ``policy.max_remove`` to set aside, the folder is
            in use, read-only, or the disk is full.
        AnnotationError: a table contradicts itself; nothing was changed.
        JournalError: the folder is not as the journal left it.
        Interrupted: SIGINT or SIGTERM arrived; the next run goes on.
    """
    scene = look(path)
    beside = scene.layout == "classes"
    root = scene.listing.root
    with _stoppable():
        if dry_run:
            earlier = read_journal(root, beside=beside).set_aside()
            planned = decide(scene, policy, set_aside=earlier, workers=workers, on_progress=on_progress)
            return replace(planned.report, dry_run=True, notes=planned.report.notes + _too_many(planned, policy))
        with open_journal(root, beside=beside, purpose="clean") as journal:
            scene = look(path)  # again under the lock: another run may just have ended, or a stopped one been completed
            earlier = journal.history.set_aside()
            decision = decide(scene, policy, set_aside=earlier, workers=workers, on_progress=on_progress)
            for refusal in _too_many(decision, policy):
                raise RefusedError(f"{printable(path)}: {refusal}")
            return _perform(journal, root, decision)


def undo_clean(path: Path | str, *, all_runs: bool = False) -> UndoReport:
    """Put back what the last clean of a folder moved: names, bytes, modes and times.

    Args:
        path: the folder, as it was given to ``clean_folder``.
        all_runs: undo every run, not only the last.

    Returns:
        How many files are back, and which could not be put back: changed since, gone, or their name is taken.

    Raises:
        ArgumentError: there is no such folder.
        RefusedError: there is nothing to undo, or the folder is in use, read-only, or the disk is full.
        JournalError: the folder is not as the journal left it.
        Interrupted: SIGINT or SIGTERM arrived; the next undo goes on.
    """
    root = existing_folder(path)
    if not (state_folder(root, beside=False) / "journal.jsonl").is_file():
        raise RefusedError(f"{printable(root)}: no run to undo; give the folder that was cleaned")
    with _stoppable(), open_journal(root, beside=False, purpose="undo") as journal:
        return journal.undo(all_runs=all_runs)


def _perform(journal: Journal, root: Path, decision: Decision) -> CleanReport:
    report = replace(decision.report, notes=(*decision.report.notes, *journal.notes))
    if not decision.plan and journal.history.open_run is None:
        return report
    outcome = journal.apply(decision.plan)
    earlier = (f"goes on with a run that was stopped after {outcome.earlier} moves",) if outcome.earlier else ()
    left = {move.source.name: why for move, why in outcome.skipped}
    report = replace(report, run=outcome.run, notes=report.notes + earlier).without(left)
    folder = journal.run_folder(outcome.run)
    with explained_disk(root):
        write_bytes(folder / "report.json", json.dumps(report.to_json(), indent=2).encode())
        write_bytes(folder / "report.html", report.to_html().encode("utf-8", "backslashreplace"))
    return report


def _too_many(decision: Decision, policy: CleanPolicy) -> tuple[str, ...]:
    aside, original = len(decision.report.set_aside), decision.report.original
    if aside <= policy.max_remove * original:
        return ()
    refusal = (
        f"{aside} of {original} pictures would be set aside ({aside / original:.0%}), more than the "
        f"{policy.max_remove:.0%} allowed. Look at them with a dry run, then allow more with --max-remove "
        "(max_remove in Python)"
    )
    return (refusal,)


@contextmanager
def _stoppable() -> Iterator[None]:
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:  # outside the main thread's handlers, for example in a notebook's own
        raise Interrupted("stopped; run again to go on") from None
