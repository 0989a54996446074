"""The journal: the only code that moves or renames a user's file.

A plan is data (``faceaug.storage.moves``). It is performed in groups: the intents are appended to ``journal.jsonl``
and made durable, the names are changed by moves that cannot overwrite, the folders are made durable, the group is
recorded as done. Nothing is deleted: a file set aside keeps its bytes, mode and times below ``set-aside/``. What cannot
be done for one file is told and left, and tried again by the next run; the rest is done. Whatever stops a run, the next
one first looks where every file of the last group is and completes the record; ``undo`` plays it backwards.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from faceaug.errors import Interrupted, JournalError, RefusedError, printable, some
from faceaug.progress import SILENT, Progress
from faceaug.storage.disk import Disk
from faceaug.storage.homeward import find_doubtful, step_back
from faceaug.storage.identity import facts_of, file_of, same_time
from faceaug.storage.locks import locked
from faceaug.storage.mover import Mover
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
from faceaug.storage.state import deferred_signals, explained_disk, make_state, state_folder
from faceaug.storage.tie import check_tie, write_tie
from faceaug.storage.walk import File

__all__ = ["Journal", "Move", "Outcome", "UndoReport", "open_journal", "read_journal"]

_Wanted = TypeVar("_Wanted", Move, Step)
_UNWRITABLE = "lies in a folder that cannot be written"


def read_journal(root: Path, *, beside: bool) -> History:
    """What the journal of a folder tells, without locking or changing anything.

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
    """Lock a folder, complete what a stopped run left open, and hand out its journal.

    Args:
        root: the user's folder.
        beside: see ``state_folder``.
        purpose: what the lock is for, named to whoever comes second.
        disk: the calls that change the disk.

    Raises:
        RefusedError: another run holds the folder, it is read-only, there is no space, or the state belongs to
            another folder.
        JournalError: a file of a stopped run is in neither of its places, or the journal is damaged.
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
                if os.fstat(descriptor).st_size == 0:  # a journal whose name a power cut can take explains nothing
                    disk.sync_folder(state)
                journal = Journal(root, state, descriptor, disk)
                journal.recover()
            yield journal
        finally:
            os.close(descriptor)


class Journal:
    """The journal of one folder, locked. Open it with ``open_journal``.

    Attributes:
        history: what it tells.
        notes: what completing a stopped run found worth telling, a line each.
    """

    def __init__(self, root: Path, state: Path, descriptor: int, disk: Disk) -> None:
        self._root, self._state, self._descriptor, self._disk = root, state, descriptor, disk
        self._mover = Mover(root, state, disk)
        self.history = History()
        self.notes: list[str] = []
        self._came_home: UndoReport | None = None  # what an undo that is over had left, and recovery put back

    def run_folder(self, run: str) -> Path:
        """The folder for the reports of a run, made when missing."""
        path = self._state / "runs" / run
        with explained_disk(self._root):
            self._mover.make_folders(path)
        return path

    def apply(self, plan: Sequence[Move], *, known: Sequence[File] = (), progress: Progress = SILENT) -> Outcome:
        """Perform a plan; set files aside first, then rename.

        A file that is not as the plan saw it, or whose keeper is not, is skipped; so is a rename to a name that is
        taken, and every file that cannot be moved. A run that was stopped is continued under its name.

        Args:
            plan: the moves.
            known: some files that stay, with their digests: by them the state knows its folder again.
            progress: shows how many moves are made, after each group of them.

        Raises:
            RefusedError: the folder cannot be written, or there is no space (what was done is recorded).
            Interrupted: SIGINT or SIGTERM arrived; whole groups were done, and the next run continues.
            JournalError: the disk failed.
        """
        run = self.history.open_run
        name = run.name if run else f"{len(self.history.runs) + 1:04d}"
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
            raise Interrupted(f"{printable(self._root)}: stopped after {made}; run again to go on, or undo")
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
        """Where a file goes: under its path, or under a short name where that would be too long or is used already."""
        place = set_aside_place(run, name)
        used = any(place in earlier.moved for earlier in self.history.runs if earlier.name == run)
        return short_place(run, name) if used or self._mover.is_too_long(place) else place

    def _writable(self, wanted: Sequence[tuple[_Wanted, set[str]]]) -> tuple[list[_Wanted], dict[str, str]]:
        """Those that lie in (or go to) folders that can be written; the others by name, with the reason.

        Raises:
            RefusedError: the folder itself cannot be written, and there is no other.
        """
        every = sorted(set().union(*(folders for _, folders in wanted)))
        blocked = {folder for folder in every if self._mover.is_unwritable(folder)}
        free = [move for move, folders in wanted if not folders & blocked]
        if wanted and not free and self._mover.is_unwritable(""):
            raise RefusedError(f"{printable(self._root)}: cannot be written; check its permissions. Nothing was moved")
        return free, {_name_of(move): _UNWRITABLE for move, folders in wanted if folders & blocked}

    def undo(self, *, all_runs: bool = False, progress: Progress = SILENT) -> UndoReport:
        """Put the files of the last run (or of every run) back, with the times of their folders.

        A file that changed since, or whose old name is taken, stays and is reported.

        Args:
            all_runs: every run, not only the last.
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
        if not chosen and self._came_home is not None:
            return self._came_home
        if not chosen:
            raise RefusedError(f"{printable(self._root)}: no run to undo")
        restored, left = 0, []
        for run in reversed(chosen):
            count, problems = self._undo_run(run, progress)
            restored += count
            left += problems
        return UndoReport(tuple(run.name for run in reversed(chosen)), restored, tuple(left))

    def recover(self) -> None:
        """Complete the record of a stopped run by looking where its files are; changes nothing the second time."""
        path = self._state / "journal.jsonl"
        written, data = path.stat().st_mtime_ns, path.read_bytes()
        self.history = read_history(data, where=printable(path))
        if self.history.length < len(data):
            os.ftruncate(self._descriptor, self.history.length)
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
        self.notes.append(f"a run was stopped: {len(found.done)} of its last moves had been made and are recorded")
        self.notes += map(printable, found.problems)
        if found.lost:
            raise JournalError(
                f"{printable(self._root)}: a stopped run was moving {some(list(found.lost))}, now in neither of its "
                "places. If you removed it, run again: what is left will be cleaned"
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
                raise Interrupted(f"{printable(self._root)}: the undo was stopped; undo again to go on")
            if not run.moved:
                self._restore_mtimes(run)
            self._append({"op": "undone", "run": run.name}, durable=True)
        return count - len(run.moved), left + sorted(skipped.items())

    def _record_back(self, steps: Sequence[Step]) -> None:
        """Record files that are home already."""
        if steps:
            first = self.history.steps
            self._append(*(step_record(number, step) for number, step in enumerate(steps, start=first)))
            self._record_done(range(first, first + len(steps)), ())

    def _restore_mtimes(self, run: Run) -> None:
        """Put folder times back, except where the user changed the folder after the run."""
        for folder, before in run.before.items():
            now, then = (run.undo_before or {}).get(folder), (run.after or {}).get(folder)
            if run.after is None or now == then or (now is not None and then is not None and same_time(now, then)):
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
        """One group: intents, moves, record. Returns why files were skipped, by the name of the file."""
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
        """New names first, all durable, then the old names go: no crash and no power cut finds a file without one."""
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
        """Files left under a temporary name go where they were going, or back to where they came from."""
        run = self.history.active
        for place, moved in sorted(run.moved.items()) if run else ():
            if run is None or not place.startswith(TEMPORARY):
                continue
            straight = moved.final and not self._mover.exists(moved.final)
            steps = [(place, moved.final)] if moved.final and straight else way_back(run, place)
            while steps and not self._mover.exists(steps[-1][1]):
                start, end = steps.pop()
                facts = facts_of(self._mover.path(start))
                digest = run.moved[start].file.digest if start in run.moved else ""
                if facts is not None:
                    self._perform([Step(start, end, file_of(moved.origin, facts, digest=digest))])
            if self._mover.exists(place):
                self.notes.append(
                    f"{printable(moved.origin)} waits at {printable(self._mover.path(place))}: its name is taken"
                )

    def _return_late_strays(self) -> None:
        """Files that waited since their run ended; the times of folders go on as if it had ended only now."""
        run = self.history.active
        if run is None or not any(place.startswith(TEMPORARY) for place in run.moved):
            return
        before, waiting = self._mover.mtimes(run.before), len(run.moved)
        self._return_strays()
        if run.undone and not run.moved:
            self._restore_mtimes(run)
            self._came_home = UndoReport((run.name,), waiting, ())
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
