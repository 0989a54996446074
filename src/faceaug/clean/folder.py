"""Clean a folder, or write a cleaned copy of it, and undo a clean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from faceaug.clean.against import check_apart, check_references, stamp_references
from faceaug.clean.cache import open_cache
from faceaug.clean.conflicts import conflicts_csv
from faceaug.clean.copy import MARKER, CopyReport, LinkKind, build_copy, check_link, plan_copy
from faceaug.clean.decisions import Decisions, read_decisions
from faceaug.clean.faults import FaceChecking, Fault, read_faults
from faceaug.clean.plan import Decision, decide
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.report import CleanReport
from faceaug.clean.scene import Scene, look
from faceaug.clean.summary import grouped
from faceaug.data.cleaned_state import forget_clean, record_clean
from faceaug.data.folder import CLASS_FOLDERS
from faceaug.errors import Interrupted, RefusedError, counted, printable
from faceaug.executor import Executor
from faceaug.progress import Progress, Show, open_progress
from faceaug.storage.files import existing_folder, explained, finish_output, write_bytes
from faceaug.storage.journal import Journal, UndoReport, open_journal, read_journal
from faceaug.storage.moves import History
from faceaug.storage.state import explained_disk, interruptible, journal_stamp, state_folder, without_journal

_DEFAULT = CleanPolicy()
PAGE = "report.html"
FACES = "faces"  # folder of the reports of a clean that moved nothing but found faults of faces


@dataclass(frozen=True, slots=True)
class _Task:
    """How a clean is carried out.

    Attributes:
        policy: limits on what is set aside.
        workers: processes that read pictures; None chooses.
        progress: shows the phases.
        against: reference folders.
        index: file of their signatures; None for one beside each.
        checking: what is done about faces; None does not look at them.
        decisions: what a person decided about the groups; None for the proposals.
        executor: reads and compares the pictures; None for processes here.
    """

    policy: CleanPolicy
    workers: int | None
    progress: Progress
    against: tuple[Path, ...] = ()
    index: Path | None = None
    checking: FaceChecking | None = None
    decisions: Decisions | None = None
    executor: Executor | None = None

    def decide(self, scene: Scene, history: History, *, keep_cache: bool, keep_index: bool) -> Decision:
        """Decide the moves, with the cache of earlier runs."""
        state = state_folder(scene.listing.root, beside=scene.layout in CLASS_FOLDERS)
        with open_cache(state / "cache.sqlite", write=keep_cache) as cache:
            return decide(
                scene,
                self.policy,
                history=history,
                workers=self.workers,
                progress=self.progress,
                cache=cache,
                against=self.against,
                index=self.index,
                keep_index=keep_index,
                checking=self.checking,
                decisions=self.decisions,
                executor=self.executor,
            )

    def arguments(self) -> dict[str, Any]:
        """What decides a copy, as plain values."""
        chosen: dict[str, Any] = {"policy": asdict(self.policy)}
        if self.checking is not None:
            chosen["faces"] = asdict(self.checking)
        if self.decisions is not None:
            chosen["decisions"] = self.decisions.to_json()["groups"]
        if self.against:
            chosen |= {"against": list(map(str, self.against)), "references_sha256": stamp_references(self.against)}
        plain: dict[str, Any] = json.loads(json.dumps(chosen))
        return plain


def clean_folder(
    path: Path | str,
    policy: CleanPolicy = _DEFAULT,
    *,
    dry_run: bool = False,
    out: Path | str | None = None,
    link: LinkKind = "copy",
    against: Sequence[Path | str] = (),
    index: Path | str | None = None,
    workers: int | None = None,
    faces: bool = False,
    set_aside: Sequence[Fault] = (),
    decisions: Decisions | Path | str | None = None,
    executor: Executor | None = None,
    progress: Show = None,
) -> CleanReport:
    """Repair names and set aside unreadable files and duplicates. ``undo_clean`` reverts it.

    Args:
        path: the folder, in any layout that ``FaceFolder`` reads.
        policy: limits on what is set aside.
        dry_run: write nothing; the report says what would happen.
        out: leave the folder unchanged and write a cleaned copy here, with matching tables. A new or empty folder
            outside ``path``, or an interrupted copy with the same arguments, which is continued.
        link: how ``out`` gets its files: "copy" them, or "hard" link them (takes no space, but both names share one
            file).
        against: reference folders, such as the pictures you have already or the test set. Pictures that show one of
            theirs are set aside, too. They are only read.
        index: file that keeps what was read of the references, ``NAME.faceaug-index``; None for one beside each. A
            later run reads only what has changed since. A dry run writes only the one that is named.
        workers: processes that read pictures, >= 0; None chooses.
        faces: also check the faces of the pictures that stay: none, several, turned, tiny, cut off, blurred, dark and
            so on; ``report.checks`` has what was found. Finding them takes most of the time.
        set_aside: faults for which pictures are set aside, such as ("blurred", "no-face"); it implies ``faces``.
            ``faceaug.clean.faults.FAULTS`` lists them.
        decisions: what you decided about the groups of duplicates: a ``decisions.json`` saved from a report, or
            ``report.decisions()`` with your changes. They are obeyed as a whole or not at all.
        executor: reads and compares the pictures in place of processes here, as on a cluster
            (``faceaug.cluster.open_ray``); everything is decided and moved by this process.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

    Returns:
        The report. It is also written to ``runs/<run>/report.{json,csv,html}`` and ``conflicts.csv`` in the state
        folder (of ``out``, if given).

    Raises:
        ArgumentError: a folder does not exist, a reference shares pictures with the folder, ``index`` is another file,
            an entry of ``policy.protect`` matches no picture, there is no such fault, or ``decisions`` is another
            file.
        RefusedError: nothing was changed: no pictures, more than ``policy.max_remove`` to set aside, pictures or
            groups are not those that were decided about, the folder is in use, read-only, or the disk is full.
        AnnotationError: a table contradicts itself; nothing was changed.
        JournalError: the folder is not in the state the journal recorded.
        Interrupted: SIGINT or SIGTERM arrived; the next run continues.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import CleanPolicy, clean_folder
        >>> Path("faces").mkdir()
        >>> for name, colour in [("a.png", "red"), ("b.png", "red"), ("c.png", "blue")]:
        ...     Image.new("RGB", (64, 64), colour).save(Path("faces", name))
        >>> report = clean_folder("faces", CleanPolicy(max_remove=0.5))
        >>> [(entry.name, entry.kind, entry.keeper) for entry in report.set_aside]
        [('b.png', 'same bytes', 'a.png')]
    """
    check_link(link)
    chosen = read_faults(set_aside)
    root = existing_folder(path)
    references = check_references(root, _as_list(against))
    checking = FaceChecking(chosen) if faces or chosen else None
    place = None if index is None else Path(index)
    if place is not None:
        check_apart(place, [root, *references], what="the index")
    if out is not None:
        check_apart(Path(out), references, what="a copy")
    decided = read_decisions(decisions) if isinstance(decisions, str | Path) else decisions
    task = _Task(policy, workers, open_progress(progress), references, place, checking, decided, executor)
    recorded = journal_stamp(root)
    scene = look(path, copying=out is not None)
    beside = scene.layout in CLASS_FOLDERS
    with _stoppable():
        if dry_run or out is not None:  # the folder is only read
            decision = task.decide(scene, read_journal(root, beside=beside), keep_cache=False, keep_index=not dry_run)
            if dry_run or out is None:
                notes = decision.report.notes + _too_many(decision, policy)
                return replace(decision.report, dry_run=True, out="" if out is None else str(out), notes=notes)
            _check_share(scene, decision, policy)
            return _copy(scene, decision, task, Path(out), link)
        with open_journal(root, beside=beside, purpose="clean") as journal:
            if journal_stamp(root) != recorded:  # another run has just ended, or an interrupted one been completed
                scene = look(path)
            decision = task.decide(scene, journal.history, keep_cache=True, keep_index=True)
            _check_share(scene, decision, policy)
            return _perform(journal, root, decision, task)


def undo_clean(path: Path | str, *, all_runs: bool = False, progress: Show = None) -> UndoReport:
    """Restore what the last clean of a folder moved: names, bytes, modes and times.

    Args:
        path: the folder that was given to ``clean_folder``.
        all_runs: undo every run, not only the last.
        progress: as for ``clean_folder``.

    Returns:
        The number of restored files, and the files that could not be restored: changed since, missing, or their name
        is taken.

    Raises:
        ArgumentError: the folder does not exist.
        RefusedError: there is nothing to undo, or the folder is in use, read-only, or the disk is full.
        JournalError: the folder is not in the state the journal recorded.
        Interrupted: SIGINT or SIGTERM arrived; the next undo continues.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import CleanPolicy, clean_folder, undo_clean
        >>> Path("faces").mkdir()
        >>> for name in ("a.png", "b.png"):
        ...     Image.new("RGB", (64, 64), "red").save(Path("faces", name))
        >>> clean_folder("faces", CleanPolicy(max_remove=0.5)).cleaned
        1
        >>> undo_clean("faces").restored
        1
    """
    root = existing_folder(path)
    state = state_folder(root, beside=False)
    if not (state / "journal.jsonl").is_file():
        kept = without_journal(state) if (state / "set-aside").is_dir() else "give the folder that was cleaned"
        raise RefusedError(f"{printable(root)}: no run to undo; {kept}")
    with _stoppable(), open_journal(root, beside=False, purpose="undo") as journal:
        if any(not run.undone for run in journal.history.runs):
            with explained_disk(root):
                forget_clean(state)
        return journal.undo(all_runs=all_runs, progress=open_progress(progress))


def _perform(journal: Journal, root: Path, decision: Decision, task: _Task) -> CleanReport:
    report = replace(decision.report, notes=(*decision.report.notes, *journal.notes))
    state = state_folder(root, beside=False)
    if not decision.plan and journal.history.open_run is None:
        if report.checks is not None and report.checks.faulty:  # no run, but something to look at
            report = replace(report, page=_as_given(report.folder, journal.run_folder(FACES) / PAGE))
        with explained_disk(root):
            if report.page:
                _write_reports(journal.run_folder(FACES), report, task)
            record_clean(state, report.cleaned)
        return report
    outcome = journal.apply(decision.plan, known=decision.known, progress=task.progress)
    left = {move.source.name: why for move, why in outcome.skipped}
    if not outcome.moved and not outcome.earlier:
        return report.without(left)
    earlier = (f"continues a run that was interrupted after {outcome.earlier} moves",) if outcome.earlier else ()
    report = replace(report, run=outcome.run, notes=report.notes + earlier).without(left)
    folder = journal.run_folder(outcome.run)
    report = replace(report, page=_as_given(report.folder, folder / PAGE))
    with explained_disk(root):
        _write_reports(folder, report, task)
        if not left:
            record_clean(state, report.cleaned)
    return report


def _as_list(against: Sequence[Path | str]) -> Sequence[Path | str]:
    return [against] if isinstance(against, str | Path) else against


def _as_given(folder: str, place: Path) -> str:
    """A path in or next to a folder, spelled as the caller spelled the folder."""
    named, real = Path(folder), Path(folder).resolve()
    if place.is_relative_to(real):
        return str(named / place.relative_to(real))
    if place.is_relative_to(real.parent) and named.name == real.name and named.parent.resolve() == real.parent:
        return str(named.parent / place.relative_to(real.parent))
    return str(place)


def _copy(scene: Scene, decision: Decision, task: _Task, out: Path, link: LinkKind) -> CleanReport:
    plan = plan_copy(scene.listing, scene.originals, decision.plan)
    report = decision.report
    folder = state_folder(out, beside=scene.layout in CLASS_FOLDERS) / "runs" / "copy"

    def finish(made: CopyReport) -> None:
        """Write the reports and mark the copy as complete."""
        nonlocal report
        gone = tuple(
            f"{tables}: {counted(n, 'row is', 'rows are')} not in the copy" for tables, n in grouped(made.rows_left)
        )
        report = replace(
            decision.report,
            out=str(out),
            rows_without_file={},
            notes=decision.report.notes + made.notes + gone,
            page=_as_given(str(out), folder / PAGE),
        )
        with explained(out):
            folder.mkdir(parents=True, exist_ok=True)
            _write_reports(folder, report, task)
            run = {"command": "clean", "folder": str(scene.listing.root)}
            finish_output(out, marker=MARKER, document={"run": run, "pictures": report.cleaned})

    build_copy(scene.listing, plan, out, link=link, arguments=task.arguments(), on_built=finish, progress=task.progress)
    return report


def _write_reports(folder: Path, report: CleanReport, task: _Task) -> None:
    write_bytes(folder / "report.json", json.dumps(report.to_json(), indent=2).encode())
    write_bytes(folder / "report.csv", report.to_csv())
    write_bytes(folder / PAGE, _page(report, task))
    if report.proposals:
        write_bytes(folder / "conflicts.csv", conflicts_csv(report.proposals))


def _page(report: CleanReport, task: _Task) -> bytes:
    return report.to_html(workers=task.workers, progress=task.progress).encode("utf-8", "backslashreplace")


def _too_many(decision: Decision, policy: CleanPolicy) -> tuple[str, ...]:
    aside = len(decision.report.set_aside)
    original = decision.report.original
    if aside <= policy.max_remove * original:
        return ()
    refusal = (
        f"{aside} of {original} pictures would be set aside ({aside / original:.0%}), more than the "
        f"{policy.max_remove:.0%} allowed. Check them with a dry run, then raise the limit with --max-remove "
        "(max_remove in Python)"
    )
    return (refusal,)


def _check_share(scene: Scene, decision: Decision, policy: CleanPolicy) -> None:
    for refusal in _too_many(decision, policy):
        raise RefusedError(f"{printable(scene.folder)}: {refusal}")


@contextmanager
def _stoppable() -> Iterator[None]:
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:  # raised by a handler that is not ours, for example a notebook's
        raise Interrupted("stopped; run again to continue") from None
