"""The journal: the only code that moves or renames a user's file.

A plan is data (``faceaug.storage.moves``). It is carried out in groups: append the intents to ``journal.jsonl`` and
sync it, move the files without overwriting anything, sync the folders, record the group as done. Nothing is deleted: a
file set aside keeps its bytes, mode and times below ``set-aside/``. A file that cannot be moved is reported and left,
and the next run tries it again; the other moves are made. After an interruption of any kind the next run first locates
every file of the last group and completes the record. ``undo`` plays the journal backwards.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from faceaug.errors import Interrupted, JournalError, RefusedError, printable, some
from faceaug.progress import SILENT, Progress
from faceaug.storage.disk import Disk
from faceaug.storage.identity import same_time
from faceaug.storage.locks import locked
from faceaug.storage.mover import BEHIND_LINK, Mover
from faceaug.storage.moves import (
    GROUP,
    TEMPORARY,
    History,
    Move,
    Outcome,
    Record,
    Run,
    Step,
    UndoReport,
    batches,
    encode_record,
    order_steps,
    parent_of,
    read_history,
    set_aside_place,
    short_place,
    step_record,
    way_back,
)
from faceaug.storage.recovery import Recovery
from faceaug.storage.restore import find_doubtful, step_back
from faceaug.storage.state import deferred_signals, explained_disk, make_state, state_folder, without_journal
from faceaug.storage.state_owner import check_tie, write_tie
from faceaug.storage.walk import File

__all__ = ["Journal", "Move", "Outcome", "UndoReport", "open_journal", "read_journal"]

_Wanted = TypeVar("_Wanted", Move, Step)
_UNWRITABLE = "lies in a folder that cannot be written"


def read_journal(root: Path, *, beside: bool) -> History:
    """Read the history of a folder from its journal, without locking or changing anything.

    Raises:
        JournalError: the journal is damaged.
        RefusedError: the state belongs to another folder.
    """
    state = state_folder(root, beside=beside)
    check_tie(root, state)
    path = state / "journal.jsonl"
    return read_history(path.read_bytes(), where=printable(path)) if path.is_file() else History()


@contextmanager
def open_journal(root: Path, *, beside: bool, purpose: str, disk: Disk | None = None) -> Iterator[Journal]:
    """Lock a folder, complete the record of a stopped run, and yield its journal.

    Args:
        root: the user's folder.
        beside: see ``state_folder``.
        purpose: what the lock is for, shown to a second process.
        disk: the calls that change the disk.

    Raises:
        RefusedError: another run holds the folder, it is read-only, there is no space, or the state belongs to
            another folder.
        JournalError: a file of a stopped run is at neither of its locations, or the journal is damaged.
    """
    disk = disk or Disk()
    state = state_folder(root, beside=beside)
    with explained_disk(root):
        make_state(root, state, disk)
    with locked(state, purpose):
        check_tie(root, state)
        with explained_disk(root):
            descriptor = os.open(state / "journal.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            with explained_disk(root):
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise RefusedError(f"{printable(state / 'journal.jsonl')} is in the way: it is not a regular file")
                if os.fstat(descriptor).st_size == 0:  # new: its name must survive a power cut before anything moves
                    disk.sync_folder(state)
                journal = Journal(root, state, descriptor, disk)
                journal.recover()
            yield journal
        finally:
            os.close(descriptor)


class Journal:
    """The locked journal of one folder. Open it with ``open_journal``.

    Attributes:
        history: the recorded runs.
        notes: observations from completing a stopped run, one line each.
    """

    def __init__(self, root: Path, state: Path, descriptor: int, disk: Disk) -> None:
        self._root = root
        self._state = state
        self._descriptor = descriptor
        self._disk = disk
        self._mover = Mover(root, state, disk)
        self.history = History()
        self.notes: list[str] = []
        self._restored_late: UndoReport | None = None  # files that a finished undo had left and recovery restored

    def run_folder(self, run: str) -> Path:
        """The folder for the reports of a run; created if missing."""
        with explained_disk(self._root):
            return self._mover.make_run_folder(run)

    def apply(self, plan: Sequence[Move], *, known: Sequence[File] = (), progress: Progress = SILENT) -> Outcome:
        """Carry out a plan: first set files aside, then rename.

        A move is skipped if its file or its keeper changed after planning, if the new name is taken, or if the file
        cannot be moved. A stopped run is continued under its name.

        Args:
            plan: the moves.
            known: some files that stay, with their digests; they identify the folder later.
            progress: shows the number of moves made, updated after each group.

        Raises:
            RefusedError: the folder cannot be written, or there is no space (completed moves are recorded).
            Interrupted: SIGINT or SIGTERM arrived; only complete groups were moved, and the next run continues.
            JournalError: the disk failed.
        """
        run = self.history.open_run
        name = run.name if run else f"{self._mover.last_run(run.name for run in self.history.runs) + 1:04d}"
        earlier = {place: moved.origin for place, moved in run.moved.items()} if run else {}
        ends = {move.source.name: move.target or self._set_aside_place(name, move.source.name) for move in plan}
        movable, skipped = self._writable([(move, {parent_of(move.source.name)}) for move in plan])
        wanted = [
            _step_of(move, ends[move.source.name]) for move in sorted(movable, key=lambda move: move.target is not None)
        ]
        folders = sorted({parent_of(place) for step in wanted for place in (step.start, step.end) if place[0] != "/"})
        with explained_disk(self._root), deferred_signals() as signals:
            write_tie(self._root, self._state, known)
            self._append({"op": "begin", "what": "clean", "run": name, "folders": self._mover.mtimes(folders)})
            skipped |= self._perform_all(order_steps(wanted), signals, progress)
            if not signals:
                self._append({"op": "end", "folders": self._mover.mtimes(self._active.before)}, durable=True)
        if signals:
            made = f"{len(self._active.moved) - len(earlier)} of {len(plan)} moves"
            raise Interrupted(f"{printable(self._root)}: stopped after {made}; run again to continue, or undo")
        return self._outcome(plan, ends, earlier, skipped)

    def _outcome(
        self, plan: Sequence[Move], ends: dict[str, str], earlier: dict[str, str], skipped: dict[str, str]
    ) -> Outcome:
        moved: list[Move] = []
        left: list[tuple[Move, str]] = []
        for move in plan:
            name = move.source.name
            arrived = self._active.moved.get(ends[name])
            if arrived is not None and arrived.origin == earlier.get(name, name):
                moved.append(move)
            else:
                left.append((move, skipped.get(name, "was left")))
        return Outcome(self._active.name, tuple(moved), tuple(left), len(earlier))

    def _set_aside_place(self, run: str, name: str) -> str:
        """Where a file is set aside: under its path, or under a short name if that is too long or already used."""
        place = set_aside_place(run, name)
        used = any(place in earlier.moved for earlier in self.history.runs if earlier.name == run)
        return short_place(run, name) if used or self._mover.is_too_long(place) else place

    def _writable(self, wanted: Sequence[tuple[_Wanted, set[str]]]) -> tuple[list[_Wanted], dict[str, str]]:
        """Split moves: those that touch only writable folders, and the others by name with the reason.

        Raises:
            RefusedError: no move is possible and the folder itself cannot be written.
        """
        every = sorted(set().union(*(folders for _, folders in wanted)))
        blocked = {folder for folder in every if self._mover.is_unwritable(folder)}
        possible = [move for move, folders in wanted if not folders & blocked]
        if wanted and not possible and self._mover.is_unwritable(""):
            raise RefusedError(f"{printable(self._root)}: cannot be written; check its permissions. Nothing was moved")
        return possible, {_name_of(move): _UNWRITABLE for move, folders in wanted if folders & blocked}

    def undo(self, *, all_runs: bool = False, progress: Progress = SILENT) -> UndoReport:
        """Restore the files of the last run (or of every run) and the modification times of their folders.

        A file that has changed since, or whose old name is taken, stays where it is and is reported.

        Args:
            all_runs: undo every run, not only the last.
            progress: see ``apply``.

        Raises:
            RefusedError: there is nothing to undo, or the folder cannot be written.
            Interrupted: SIGINT or SIGTERM arrived; the next undo continues.
            JournalError: the disk failed.
        """
        runs = self.history.runs
        whole = [run for run in runs if not run.undone and (run.moved or run.undo_before is not None)]
        remains = [run for run in runs if run.undone and run.moved]
        chosen = [run for run in runs if run in whole or run in remains] if all_runs else (whole or remains)[-1:]
        if not chosen and self._restored_late is not None:
            return self._restored_late
        if not chosen:
            raise RefusedError(f"{printable(self._root)}: no run to undo")
        restored = 0
        left: list[tuple[str, str]] = []
        for run in reversed(chosen):
            count, problems = self._undo_run(run, progress)
            restored += count
            left += problems
        return UndoReport(tuple(run.name for run in reversed(chosen)), restored, tuple(left))

    def recover(self) -> None:
        """Complete the record of a stopped run by locating its files. Calling it again changes nothing."""
        path = self._state / "journal.jsonl"
        written, data = path.stat().st_mtime_ns, path.read_bytes()
        self.history = read_history(data, where=printable(path))
        if self.history.length < len(data):
            os.ftruncate(self._descriptor, self.history.length)
        if not self.history.runs and self._mover.last_run():
            self.notes.append(without_journal(self._state))
        if self.history.pending:
            self._complete_group(written)
        self._return_late_strays()
        run = self.history.open_run
        self.notes += [
            f"moved before the run was stopped: {printable(moved.origin)} to {printable(place)}"
            for place, moved in sorted(run.moved.items() if run else ())
        ]

    def _complete_group(self, written_ns: int) -> None:
        found = Recovery(self._mover, self._disk, self.history, written_ns=written_ns).run()
        self._record_done(found.done, found.skipped)
        self.notes.append(f"an earlier run was stopped: {len(found.done)} of its last moves are complete and recorded")
        self.notes += map(printable, found.problems)
        if found.lost:
            raise JournalError(
                f"{printable(self._root)}: a stopped run was moving {some(list(found.lost))}, which is now at neither "
                "its old nor its new location. If you removed it, run again to clean the rest"
            )

    def _undo_run(self, run: Run, progress: Progress) -> tuple[int, list[tuple[str, str]]]:
        find_doubtful(self._mover, run)
        left: list[tuple[str, str]] = []
        back: list[Step] = []
        wanted: list[tuple[Step, set[str]]] = []
        for place, moved in sorted(run.moved.items()):
            step, problem = step_back(self._mover, place, moved)
            if step is None:
                left.append((moved.origin, problem))
            elif self._mover.exists(place):
                wanted.append((step, {parent_of(moved.origin)} if moved.origin[0] != "/" else set()))
            else:
                back.append(step)
        count = len(run.moved)
        steps, skipped = self._writable(wanted)
        with explained_disk(self._root), deferred_signals() as signals:
            self._append({"op": "begin", "what": "undo", "run": run.name, "folders": self._mover.mtimes(run.before)})
            self._record_back(back)
            skipped |= self._perform_all(order_steps(steps), signals, progress)
            if signals:
                raise Interrupted(f"{printable(self._root)}: the undo was stopped; undo again to continue")
            if not run.moved:
                self._restore_mtimes(run)
            self._append({"op": "undone", "run": run.name}, durable=True)
        return count - len(run.moved), left + sorted(skipped.items())

    def _record_back(self, steps: Sequence[Step]) -> None:
        """Record files that the user has already restored."""
        if steps:
            first = self.history.steps
            self._append(*(step_record(number, step) for number, step in enumerate(steps, start=first)))
            self._record_done(range(first, first + len(steps)), ())

    def _restore_mtimes(self, run: Run) -> None:
        """Restore the modification times of folders, except of those that the user changed after the run."""
        for folder, before in run.before.items():
            now, then = (run.undo_before or {}).get(folder), (run.after or {}).get(folder)
            same = now == then or (now is not None and then is not None and same_time(now, then))
            if (run.after is None or same) and not self._mover.is_behind_link(f"{folder}/-"):
                self._disk.set_mtime(self._root / folder, before)

    def _perform_all(self, steps: list[Step], signals: list[int], progress: Progress) -> dict[str, str]:
        skipped: dict[str, str] = {}
        with progress.phase("moving", len(steps), "moves") as phase:
            for first in range(0, len(steps), GROUP):
                if signals:
                    break
                skipped |= self._perform(steps[first : first + GROUP])
                phase.reach(min(first + GROUP, len(steps)))
        self._return_strays()
        return skipped

    def _perform(self, group: list[Step]) -> dict[str, str]:
        """Move one group: intents, moves, record. Returns the skipped files by name, with the reason."""
        first = self.history.steps
        records: list[Record] = [step_record(number, step) for number, step in enumerate(group, start=first)]
        self._append(*records, durable=True)
        reasons: dict[int, str] = {}
        numbers = iter(range(first, first + len(group)))
        for batch in batches(group):
            self._perform_batch([(next(numbers), step) for step in batch], reasons)
        self._record_done([r["step"] for r in records if r["step"] not in reasons], list(reasons))
        return {group[number - first].file.name: why for number, why in reasons.items()}

    def _perform_batch(self, batch: list[tuple[int, Step]], reasons: dict[int, str]) -> None:
        """Create the new names, sync them, then remove the old: a crash or power cut never leaves a file nameless."""
        named: list[tuple[int, Step]] = []
        for number, step in batch:
            problem = self._mover.give_name(step, on_copy=partial(self._append_copy, number))
            if problem:
                reasons[number] = problem
            else:
                named.append((number, step))
        self._mover.sync_parents(step.end for _, step in named)
        for number, step in named:
            problem = self._mover.drop_old(step)
            if problem:
                reasons[number] = problem
        self._mover.sync_parents(step.start for _, step in named)

    def _append_copy(self, number: int) -> None:
        self._append({"op": "copy", "step": number}, durable=True)

    def _return_strays(self) -> None:
        """Move files left under a temporary name to their destination, or back to their origin."""
        run = self.history.active
        for place, moved in sorted(run.moved.items()) if run else ():
            if run is None or not place.startswith(TEMPORARY):
                continue
            straight = moved.final and not self._mover.exists(moved.final)
            steps = [(place, moved.final)] if moved.final and straight else way_back(run, place)
            problem = ""
            while steps and not self._mover.exists(steps[-1][1]):
                start, end = steps.pop()
                step, problem = step_back(self._mover, start, run.moved[start])
                if self._mover.is_behind_link(start):
                    problem = BEHIND_LINK
                elif step is not None and self._mover.exists(start):
                    self._perform([replace(step, end=end)])
            if self._mover.exists(place):
                why = f"it {problem}" if problem else "its name is taken"
                self.notes.append(f"{printable(moved.origin)} is kept at {printable(self._mover.path(place))}: {why}")

    def _return_late_strays(self) -> None:
        """Move strays of a finished run, and record folder times as if the run had ended only now."""
        run = self.history.active
        if run is None or not any(place.startswith(TEMPORARY) for place in run.moved):
            return
        before = self._mover.mtimes(run.before)
        waiting = len(run.moved)
        self._return_strays()
        if run.undone and not run.moved:
            self._restore_mtimes(run)
            self._restored_late = UndoReport((run.name,), waiting, ())
        elif run.after is not None:
            now, then = self._mover.mtimes(run.before), run.after
            self._append({"op": "end", "folders": then | {f: now[f] for f in now if before.get(f) == then.get(f)}})

    @property
    def _active(self) -> Run:
        if self.history.active is None:
            raise JournalError(f"{printable(self._root)}: no run was begun")
        return self.history.active

    def _append(self, *records: Record, durable: bool = False) -> None:
        self._disk.append(self._descriptor, b"".join(map(encode_record, records)))
        if durable:
            self._disk.sync(self._descriptor)
        for record in records:
            self.history.take(record)

    def _record_done(self, steps: Iterable[int], skipped: Iterable[int]) -> None:
        self._append({"op": "done", "steps": list(steps), "skipped": list(skipped)})


def _step_of(move: Move, end: str) -> Step:
    name = move.source.name
    return Step(name, end, move.source, move.keeper, name=name if "/.long/" in end and move.target is None else "")


def _name_of(wanted: Move | Step) -> str:
    return wanted.source.name if isinstance(wanted, Move) else wanted.file.name
