"""Data of the journal: plans, steps and the recorded history. Nothing here touches the disk.

A place is a path in the journal: ``a/b.jpg`` is below the user's folder, ``/set-aside/0001/a/b.jpg`` below the state
folder. The leading slash distinguishes them, because no path below a folder can start with one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from faceaug.errors import JournalError, counted, printable
from faceaug.presentation import Fact, Presentation
from faceaug.storage.records import SET_ASIDE, TEMPORARY, Record, decode_record, encode_record, problem_of
from faceaug.storage.walk import File

__all__ = [
    "GROUP",
    "SET_ASIDE",
    "TEMPORARY",
    "Displaced",
    "History",
    "Move",
    "Outcome",
    "Record",
    "Run",
    "Step",
    "UndoReport",
    "batches",
    "encode_record",
    "follow_files",
    "order_steps",
    "parent_of",
    "read_history",
    "remembered",
    "set_aside_place",
    "short_place",
    "step_record",
    "way_back",
]

GROUP = 256  # moves per fsync of the journal: durability then takes about a quarter of the time instead of nearly all


@dataclass(frozen=True, slots=True)
class Move:
    """One planned move of a user's file.

    Attributes:
        source: the file as it was when the move was decided.
        target: its new path below the folder; None to set it aside.
        reason: why, for the report.
        keeper: the file that is kept instead and must be unchanged; None if there is none.
    """

    source: File
    target: str | None
    reason: str
    keeper: File | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One rename on the disk; a move takes one step, or two through a temporary name.

    Attributes:
        start: present place of the file.
        end: its new place.
        file: the file expected at ``start`` right before the step.
        keeper: the kept file expected right before the step, or None.
        final: the final place, for a step to a temporary name.
        name: the path of the file below the folder, for a step to a short place.
    """

    start: str
    end: str
    file: File
    keeper: File | None = None
    final: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a plan.

    Attributes:
        run: name of the run; its report belongs in ``Journal.run_folder(run)``.
        moved: the completed moves.
        skipped: the other moves, each with the reason; their files were left in place.
        earlier: number of files moved before the run was stopped and continued.
    """

    run: str
    moved: tuple[Move, ...]
    skipped: tuple[tuple[Move, str], ...]
    earlier: int


@dataclass(frozen=True, slots=True, repr=False)
class UndoReport(Presentation):
    """The result of an undo.

    Attributes:
        runs: names of the undone runs, newest first.
        restored: number of files that have their original name again.
        left: (original name, reason) of files that were not restored: changed since, gone, or their name is taken.
    """

    runs: tuple[str, ...]
    restored: int
    left: tuple[tuple[str, str], ...]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("runs undone", ", ".join(self.runs)),
            ("files put back", self.restored),
            ("files left", len(self.left)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values for a JSON document."""
        return asdict(self)

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text; with ``verbose`` it names every file that was not restored."""
        back = counted(self.restored, "file has its old name", "files have their old names")
        lines = [f"run {', '.join(self.runs)} undone: {back} again"]
        if self.left:
            lines.append(f"not put back: {len(self.left):,}")
            lines += [f"  {printable(name)} {why}" for name, why in (self.left if verbose else self.left[:3])]
        return "\n".join(lines)


def set_aside_place(run: str, name: str) -> str:
    """The place of a file that a run has set aside."""
    return f"{SET_ASIDE}{run}/{name}"


def short_place(run: str, name: str) -> str:
    """The place of a set-aside file whose path is too long or taken: a short name; the journal records the real one.

    It cannot clash with the place of another picture, because hidden folders are not listed.
    """
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    suffix = dot + ending if stem and len(os.fsencode(ending)) < 16 else ""
    return f"{SET_ASIDE}{run}/.long/{hashlib.blake2b(os.fsencode(name), digest_size=12).hexdigest()}{suffix}"


def parent_of(place: str) -> str:
    """The folder of a place."""
    return place.rpartition("/")[0]


def order_steps(wanted: Sequence[Step]) -> list[Step]:
    """Order steps so that every name is free before it is used.

    Chains (a to b, b to c) start at their end; cycles, and renames that change only the case, use a temporary name. The
    result depends only on ``wanted``.
    """
    by_start = {step.start: i for i, step in enumerate(wanted)}
    ordered: list[Step] = []
    later: list[Step] = []
    settled: set[int] = set()
    for first in range(len(wanted)):
        chain: list[int] = []
        at: int | None = first
        while at is not None and at not in settled and at not in chain:
            chain.append(at)
            at = by_start.get(wanted[at].end)
        if at is not None and at in chain:
            cut = chain.index(at)
            ordered += _through_temporary([wanted[i] for i in reversed(chain[cut:])], number=at)
            settled.update(chain[cut:])
            chain = chain[:cut]
        for i in reversed(chain):
            if _differs_in_case(wanted[i]):
                away, back = _through_temporary([wanted[i]], number=i)
                ordered.append(away)
                later.append(back)
            else:
                ordered.append(wanted[i])
        settled.update(chain)
    return ordered + later  # first all to temporary names, then all from there: fewer batches, fewer syncs


def _through_temporary(cycle: list[Step], *, number: int) -> list[Step]:
    *others, last = cycle
    place = f"{TEMPORARY}{number}-{last.start.rsplit('/', 1)[-1][-16:]}"  # a whole name could exceed 255 bytes
    away = replace(last, end=place, final=last.end)
    return [away, *others, replace(last, start=place)]


def _differs_in_case(step: Step) -> bool:
    return step.start != step.end and step.start.casefold() == step.end.casefold()


def batches(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Split steps into batches in which no place occurs twice, so that all links can precede all unlinks."""
    batch: list[Step] = []
    places: set[str] = set()
    for step in steps:
        if step.start in places or step.end in places:
            yield batch
            batch = []
            places = set()
        batch.append(step)
        places |= {step.start, step.end}
    if batch:
        yield batch


def follow_files(pending: dict[int, Record]) -> list[list[int]]:
    """The numbers of recorded steps, in order, as one list per file: a file may take several steps in a group."""
    chains: list[list[int]] = []
    last: dict[tuple[str, int], list[int]] = {}
    for number, step in pending.items():
        chain = last.pop((step["start"], step["inode"]), None)
        if chain is None:
            chain = []
            chains.append(chain)
        chain.append(number)
        last[step["end"], step["inode"]] = chain
    return chains


@dataclass(frozen=True, slots=True)
class Displaced:
    """A file that a run moved.

    Attributes:
        origin: its original place.
        file: the file as it was there, with ``origin`` as its name.
        final: its destination, if it is under a temporary name.
        name: the path of the file below the folder, if it is under a short name.
    """

    origin: str
    file: File
    final: str | None = None
    name: str = ""


@dataclass(slots=True)
class Run:
    """One clean of a folder, as recorded in the journal.

    Attributes:
        name: four digits.
        moved: present place -> the file moved there and not yet restored.
        before: folder -> mtime (ns) before the run.
        after: folder -> mtime (ns) at the end of the run; None if it has not ended.
        undo_before: folder -> mtime (ns) when its undo began.
        undone: whether its undo is complete.
        doubtful: place -> the step to that place which was recorded as skipped.
    """

    name: str
    moved: dict[str, Displaced] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] | None = None
    undo_before: dict[str, int] | None = None
    undone: bool = False
    doubtful: dict[str, Record] = field(default_factory=dict)

    def record(self, step: Record) -> None:
        """Apply a completed step, forward or back."""
        known = self.moved.pop(step["start"], None)
        origin = known.origin if known else step["start"]
        if step["end"] != origin:
            file = remembered(origin, step)
            self.moved[step["end"]] = Displaced(origin, file, step.get("final"), step.get("name", ""))


@dataclass(slots=True)
class History:
    """The content of a journal.

    Attributes:
        runs: the cleans, oldest first.
        pending: steps of the last session, by number, that may or may not have been made.
        active: the run of the last session.
        copied: numbers of pending steps whose file was copied to another file system.
        steps: number of all recorded steps.
        length: bytes of the journal that are complete lines; the rest was torn by a crash.
    """

    runs: list[Run] = field(default_factory=list)
    pending: dict[int, Record] = field(default_factory=dict)
    active: Run | None = None
    copied: set[int] = field(default_factory=set)
    steps: int = 0
    length: int = 0

    @property
    def open_run(self) -> Run | None:
        """The last run if it was stopped before its end and not undone; the next clean continues it."""
        last = self.runs[-1] if self.runs else None
        return last if last and last.after is None and not last.undone else None

    def set_aside(self) -> list[str]:
        """All paths that the files now set aside had in the folder, sorted."""
        found: set[str] = set()
        for run in self.runs:
            for place, moved in run.moved.items():
                if place.startswith(SET_ASIDE):
                    # A run that was stopped and continued may have renamed the file first, so it had both names.
                    found |= {moved.origin, moved.name or place.removeprefix(SET_ASIDE).split("/", 1)[1]}
        return sorted(found)

    def take(self, record: Record) -> None:
        """Apply one record of the journal."""
        match record["op"]:
            case "begin":
                self._begin(record)
            case "step":
                self.pending[record["step"]] = record
                self.steps = record["step"] + 1
            case "copy":
                self.copied.add(record["step"])
            case "done":
                for number in record["steps"]:
                    self._current().record(self.pending.pop(number))
                for number in record["skipped"]:
                    if (step := self.pending.pop(number, None)) is not None:
                        self._current().doubtful[step["end"]] = step
            case "end":
                self._current().after = record["folders"]
            case "undone":
                self._current().undone = True

    def _begin(self, record: Record) -> None:
        run = next((run for run in self.runs if run.name == record["run"]), None)
        if run is None:
            run = Run(record["run"])
            self.runs.append(run)
        if record["what"] == "clean":
            run.before = record["folders"] | run.before
            run.undo_before = None
        elif run.undo_before is None:
            run.undo_before = record["folders"]
        self.active, self.pending, self.copied = run, {}, set()

    def _current(self) -> Run:
        if self.active is None:
            raise JournalError("the journal does not begin with a run")
        return self.active


def way_back(run: Run, place: str) -> list[tuple[str, str]]:
    """The steps that restore a file, last first: a file that the run moved into its place must be restored before."""
    steps: list[tuple[str, str]] = []
    while place in run.moved and (place, run.moved[place].origin) not in steps:
        steps.append((place, run.moved[place].origin))
        place = run.moved[place].origin
    return steps


def step_record(number: int, step: Step) -> Record:
    """The journal record of a step, written before it is made."""
    file = step.file
    facts = {"inode": file.inode, "size": file.size, "mtime_ns": file.mtime_ns}
    optional = {"final": step.final, "digest": file.digest, "name": step.name}
    given = {key: value for key, value in optional.items() if value}
    return {"op": "step", "step": number, "start": step.start, "end": step.end} | facts | given


def remembered(name: str, step: Record) -> File:
    """The file of a recorded step; the journal does not store the number of its device."""
    return File(name, -1, step["inode"], step["size"], step["mtime_ns"], step.get("digest", ""))


def read_history(data: bytes, *, where: str) -> History:
    """Parse a whole journal; a torn last line is ignored.

    Raises:
        JournalError: a line before the last is damaged.
    """
    history = History()
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        record = decode_record(line)
        if record is None:
            if history.length + len(line) < len(data):
                raise JournalError(
                    f"{where}: line {number} is damaged; nothing was moved. The files set aside are in set-aside/ in "
                    "the same folder, under their original paths"
                )
            break
        if problem := problem_of(record):
            raise JournalError(f"{where}: line {number} is not a valid record: {problem}; nothing was moved")
        try:
            history.take(record)
        except (KeyError, TypeError) as error:
            raise JournalError(f"{where}: line {number} contradicts the lines before it") from error
        history.length += len(line)
    return history
