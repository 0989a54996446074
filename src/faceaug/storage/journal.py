"""The journal: the only code that moves or renames a user's file.

A plan is data (``faceaug.storage.moves``). It is performed in groups: the intents are appended to ``journal.jsonl``
and made durable, the names are changed by moves that cannot overwrite, the folders are made durable, the group is
recorded as done. A move is ``link``, then ``unlink`` of the old name: ``rename`` would overwrite silently. Nothing is
deleted: a file set aside keeps its bytes, mode and times below ``set-aside/``. Whatever stops a run, the next one
first looks where every file of the last group is and completes the record; ``undo`` plays it backwards.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from faceaug.errors import Interrupted, JournalError, RefusedError, printable, some
from faceaug.progress import SILENT, Progress
from faceaug.storage.disk import Disk, facts_of, file_of, is_as_planned
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
    follow_files,
    order_steps,
    parent_of,
    read_history,
    set_aside_place,
    step_record,
    way_back,
)
from faceaug.storage.state import deferred_signals, explained_disk, locked, make_state, state_folder

__all__ = ["Journal", "Move", "Outcome", "UndoReport", "open_journal", "read_journal"]

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
_NO_MOVE = (errno.EPERM, errno.EACCES)


def read_journal(root: Path, *, beside: bool) -> History:
    """What the journal of a folder tells, without locking or changing anything.

    Raises:
        JournalError: the journal is damaged.
    """
    path = state_folder(root, beside=beside) / "journal.jsonl"
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
        RefusedError: another run holds the folder, it is read-only, or there is no space.
        JournalError: a file of a stopped run is in neither of its places, or the journal is damaged.
    """
    disk = disk or Disk()
    state = state_folder(root, beside=beside)
    with explained_disk(root):
        make_state(root, state, disk)
    with locked(state, purpose):
        with explained_disk(root):
            descriptor = os.open(state / "journal.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            with explained_disk(root):
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
        self.history = History()
        self.notes: list[str] = []

    def run_folder(self, run: str) -> Path:
        """The folder for the reports of a run, made when missing."""
        path = self._state / "runs" / run
        with explained_disk(self._root):
            self._make_folders(path)
        return path

    def apply(self, plan: Sequence[Move], *, progress: Progress = SILENT) -> Outcome:
        """Perform a plan; set files aside first, then rename.

        A file that is not as the plan saw it, or whose keeper is not, is skipped; so is a rename to a name that is
        taken. A run that was stopped is continued under its name.

        Args:
            plan: the moves.
            progress: shows how many moves are made, after each group of them.

        Raises:
            RefusedError: the folder cannot be written, or there is no space (what was done is recorded).
            Interrupted: SIGINT or SIGTERM arrived; whole groups were done, and the next run continues.
            JournalError: the disk failed.
        """
        run = self.history.open_run
        name = run.name if run else f"{len(self.history.runs) + 1:04d}"
        earlier = {place: moved.origin for place, moved in run.moved.items()} if run else {}
        wanted = [
            Step(move.source.name, move.target or set_aside_place(name, move.source.name), move.source, move.keeper)
            for move in sorted(plan, key=lambda move: move.target is not None)
        ]
        folders = sorted({parent_of(place) for step in wanted for place in (step.start, step.end) if place[0] != "/"})
        self._check_writable(folders)
        with explained_disk(self._root), deferred_signals() as signals:
            self._append({"op": "begin", "what": "clean", "run": name, "folders": self._mtimes(folders)})
            skipped = self._perform_all(order_steps(wanted), signals, progress)
            if not signals:
                self._append({"op": "end", "folders": self._mtimes(self._active.before)}, durable=True)
        if signals:
            made = f"{len(self._active.moved) - len(earlier)} of {len(plan)} moves"
            raise Interrupted(f"{printable(self._root)}: stopped after {made}; run again to go on, or undo")
        moved: list[Move] = []
        left: list[tuple[Move, str]] = []
        for move in plan:
            name = move.source.name
            arrived = self._active.moved.get(move.target or set_aside_place(self._active.name, name))
            if arrived is not None and arrived.origin == earlier.get(name, name):
                moved.append(move)
            else:
                left.append((move, skipped.get(name, "was left")))
        return Outcome(self._active.name, tuple(moved), tuple(left), len(earlier))

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
        data = (self._state / "journal.jsonl").read_bytes()
        self.history = read_history(data, where=printable(self._state / "journal.jsonl"))
        if self.history.length < len(data):
            os.ftruncate(self._descriptor, self.history.length)
        if self.history.pending:
            self._complete_group()
        self._return_strays()
        run = self.history.open_run
        self.notes += [
            f"moved before the run was stopped: {printable(moved.origin)} to {printable(place)}"
            for place, moved in sorted(run.moved.items() if run else ())
        ]

    def _complete_group(self) -> None:
        pending = self.history.pending
        done: list[int] = []
        lost: list[str] = []
        for numbers in follow_files(pending):
            steps = [pending[number] for number in numbers]
            arrived = self._steps_taken(steps)
            done += numbers[: arrived or 0]
            if arrived is None and not os.path.lexists(self._path(steps[0]["start"])):
                lost.append(steps[0]["start"])
            elif not arrived:
                self._drop_placeholder(steps[0])
        self._record_done(sorted(done), sorted(set(pending) - set(done)))
        self.notes.append(f"a run was stopped: {len(done)} of its last moves had been made and are recorded")
        if lost:
            raise JournalError(
                f"{printable(self._root)}: a stopped run was moving {some(lost)}, now in neither of its places. If you "
                "removed it, run again: what is left will be cleaned"
            )

    def _steps_taken(self, steps: list[Record]) -> int | None:
        """How many steps one file has made; None if it is in none of its places. Drops the older of two names."""
        places = [steps[0]["start"], *(step["end"] for step in steps)]
        facts = [facts_of(self._path(place)) for place in places]
        there = [i for i, found in enumerate(facts) if found is not None and found.st_ino == steps[0]["inode"]]
        for old in there[:-1]:
            self._disk.sync_folder(self._path(places[there[-1]]).parent)
            now = facts_of(self._path(places[old]))
            if now is not None and now.st_ino == steps[0]["inode"]:
                self._drop(places[old])
            self._disk.sync_folder(self._path(places[old]).parent)
        return there[-1] if there else None

    def _drop_placeholder(self, step: Record) -> None:
        """Remove the empty file that held a name on a file system without hard links."""
        facts = facts_of(self._path(step["end"]))
        if facts is not None and facts.st_size == 0 != step["size"] and step["end"][0] == "/":
            self._disk.unlink(self._path(step["end"]))

    def _undo_run(self, run: Run, progress: Progress) -> tuple[int, list[tuple[str, str]]]:
        left: list[tuple[str, str]] = []
        steps: list[Step] = []
        for place, moved in sorted(run.moved.items()):
            facts = facts_of(self._path(place))
            if facts is None or not stat.S_ISREG(facts.st_mode):
                left.append((moved.origin, "is gone from where the run put it"))
            elif (facts.st_size, facts.st_mtime_ns) != (moved.size, moved.mtime_ns):
                left.append((moved.origin, "has changed since the run"))
            else:
                steps.append(Step(place, moved.origin, file_of(moved.origin, facts)))
        count = len(run.moved)
        self._check_writable(list(run.before))
        with explained_disk(self._root), deferred_signals() as signals:
            self._append({"op": "begin", "what": "undo", "run": run.name, "folders": self._mtimes(run.before)})
            skipped = self._perform_all(order_steps(steps), signals, progress)
            if signals:
                raise Interrupted(f"{printable(self._root)}: the undo was stopped; undo again to go on")
            if not run.moved:
                self._restore_mtimes(run)
            self._append({"op": "undone", "run": run.name}, durable=True)
        return count - len(run.moved), left + sorted(skipped.items())

    def _restore_mtimes(self, run: Run) -> None:
        """Put folder times back, except where the user changed the folder after the run."""
        for folder, before in run.before.items():
            untouched = run.after is None or (run.undo_before or {}).get(folder) == run.after.get(folder)
            if untouched:
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
        named: list[Step] = []
        for number, step in batch:
            problem = self._give_name(step)
            if problem:
                reasons[number] = problem
            else:
                named.append(step)
        for folder in sorted({self._path(step.end).parent for step in named}):
            self._disk.sync_folder(folder)
        for step in named:
            if is_as_planned(self._path(step.start), step.file):
                self._drop(step.start)
        for folder in sorted({self._path(step.start).parent for step in named}):
            self._disk.sync_folder(folder)

    def _give_name(self, step: Step) -> str:
        """Give a file its new name beside (or, without hard links, instead of) the old; or say why not."""
        start, end = self._path(step.start), self._path(step.end)
        if not is_as_planned(start, step.file):
            return "has changed since it was looked at" if os.path.lexists(start) else "is no longer there"
        if step.keeper is not None and not is_as_planned(self._path(step.keeper.name), step.keeper):
            return f"the file kept in its stead, {step.keeper.name}, has changed since it was looked at"
        self._make_folders(end.parent)
        try:
            self._disk.link(start, end)
        except FileExistsError:
            return "its new name is taken"
        except FileNotFoundError:
            return "is no longer there"
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._rename(start, end)
        if not is_as_planned(end, step.file):  # exchanged between the look and the link: give the newcomer its peace
            self._disk.unlink(end)
            return "has changed since it was looked at"
        return ""

    def _drop(self, place: str) -> None:
        """Drop the old name of a file that has a new one; somebody else may have been quicker."""
        with suppress(FileNotFoundError):
            self._disk.unlink(self._path(place))

    def _rename(self, start: Path, end: Path) -> str:
        try:
            self._disk.rename(start, end)
        except FileExistsError:
            return "its new name is taken"
        except FileNotFoundError:
            return "is no longer there"
        except OSError as error:
            if error.errno not in _NO_MOVE:
                raise
            return f"cannot be moved ({error.strerror})"
        return ""

    def _return_strays(self) -> None:
        """Files left under a temporary name go where they were going, or back to where they came from."""
        run = self.history.active
        for place, moved in sorted(run.moved.items()) if run else ():
            if run is None or not place.startswith(TEMPORARY):
                continue
            steps = [(place, moved.final)] if moved.final and not self._exists(moved.final) else way_back(run, place)
            while steps and not self._exists(steps[-1][1]):
                start, end = steps.pop()
                facts = facts_of(self._path(start))
                if facts is not None:
                    self._perform([Step(start, end, file_of(moved.origin, facts))])
            if self._exists(place):
                self.notes.append(
                    f"{printable(moved.origin)} waits at {printable(self._path(place))}: its name is taken"
                )

    def _exists(self, place: str) -> bool:
        return os.path.lexists(self._path(place))

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

    def _record_done(self, steps: list[int], skipped: list[int]) -> None:
        self._append({"op": "done", "steps": steps, "skipped": skipped})

    def _path(self, place: str) -> Path:
        return self._state / place[1:] if place[0] == "/" else self._root / place

    def _mtimes(self, folders: Sequence[str] | dict[str, int]) -> dict[str, int]:
        found = {folder: facts_of(self._root / folder) for folder in folders}
        return {folder: facts.st_mtime_ns for folder, facts in found.items() if facts is not None}

    def _make_folders(self, path: Path) -> None:
        if not path.is_dir():
            self._make_folders(path.parent)
            self._disk.make_folder(path)
            self._disk.sync_folder(path.parent)

    def _check_writable(self, folders: Sequence[str]) -> None:
        for folder in folders:
            path = self._root / folder
            if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
                raise RefusedError(f"{printable(path)}: cannot be written; check its permissions. Nothing was moved")
