"""What the journal is told to do and what it wrote down: plans, steps and records. Nothing here touches the disk.

A place is a path of the journal: ``a/b.jpg`` lies below the user's folder, ``/set-aside/0001/a/b.jpg`` below the
state folder. The leading slash tells them apart; no path below a folder can start with one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from faceaug.errors import JournalError, printable
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

GROUP = 256  # moves per fsync of the journal: durability then costs about a quarter of the time instead of nearly all


@dataclass(frozen=True, slots=True)
class Move:
    """One planned move of a user's file.

    Attributes:
        source: the file as it was when the decision was made.
        target: its new path below the folder; None to set it aside.
        reason: why, for the report.
        keeper: the file that stays in its stead and must still be as it was; None where nothing does.
    """

    source: File
    target: str | None
    reason: str
    keeper: File | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a name on the disk; a move takes one step, or two through a temporary name.

    Attributes:
        start: place of the file now.
        end: place it goes to.
        file: what ``start`` must look like directly before.
        keeper: what must still be there directly before, or None.
        final: for a step to a temporary name, where the file goes in the end.
        name: for a step to a short place, the path of the file below the folder.
    """

    start: str
    end: str
    file: File
    keeper: File | None = None
    final: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan.

    Attributes:
        run: name of the run; its report belongs into ``Journal.run_folder(run)``.
        moved: the moves that were made.
        skipped: the others, each with the reason; their files were left where they are.
        earlier: files moved before the run was stopped and continued.
    """

    run: str
    moved: tuple[Move, ...]
    skipped: tuple[tuple[Move, str], ...]
    earlier: int


@dataclass(frozen=True, slots=True, repr=False)
class UndoReport(Presentation):
    """What an undo put back.

    Attributes:
        runs: names of the runs undone, newest first.
        restored: number of files that have their old name again.
        left: (original name, why) of files that were not put back: changed since, gone, or their name is taken.
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
        """Plain values for one JSON document."""
        return asdict(self)

    def summary(self, *, verbose: bool = False) -> str:
        """What people read; with ``verbose`` every file that was left."""
        lines = [f"run {', '.join(self.runs)} undone: {self.restored:,} files have their old names again"]
        if self.left:
            lines.append(f"not put back: {len(self.left):,}")
            lines += [f"  {printable(name)} {why}" for name, why in (self.left if verbose else self.left[:3])]
        return "\n".join(lines)


def set_aside_place(run: str, name: str) -> str:
    """Where a file of the folder lies once a run has set it aside."""
    return f"{SET_ASIDE}{run}/{name}"


def short_place(run: str, name: str) -> str:
    """Where it lies if that path would be too long or is taken: under a short name; the journal keeps the real one.

    No picture of the folder can have that place, because hidden folders are not listed.
    """
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    suffix = dot + ending if stem and len(os.fsencode(ending)) < 16 else ""
    return f"{SET_ASIDE}{run}/.long/{hashlib.blake2b(os.fsencode(name), digest_size=12).hexdigest()}{suffix}"


def parent_of(place: str) -> str:
    """The folder a place lies in."""
    return place.rpartition("/")[0]


def order_steps(wanted: Sequence[Step]) -> list[Step]:
    """Put steps in an order in which every name is free before it is taken.

    Chains (a to b, b to c) run from their end; cycles, and names that differ only in case, go through a temporary
    name. The result depends on ``wanted`` alone.
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
    return ordered + later  # all away, then all back: steps that share no place are made durable together


def _through_temporary(cycle: list[Step], *, number: int) -> list[Step]:
    *others, last = cycle
    place = f"{TEMPORARY}{number}-{last.start.rsplit('/', 1)[-1][-16:]}"  # a name of 255 bytes has no room for more
    away = replace(last, end=place, final=last.end)
    return [away, *others, replace(last, start=place)]


def _differs_in_case(step: Step) -> bool:
    return step.start != step.end and step.start.casefold() == step.end.casefold()


def batches(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Cut steps into runs in which no place occurs twice, so that all can be linked before any is unlinked."""
    batch: list[Step] = []
    places: set[str] = set()
    for step in steps:
        if step.start in places or step.end in places:
            yield batch
            batch, places = [], set()
        batch.append(step)
        places |= {step.start, step.end}
    if batch:
        yield batch


def follow_files(pending: dict[int, Record]) -> list[list[int]]:
    """The numbers of recorded steps, one list per file, in order: a file may take several steps in a group."""
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
        origin: the place it came from.
        file: what it was like then, under the name ``origin``.
        final: where it was to go, if it is on its way.
        name: the path of the file below the folder, if it lies under a short name.
    """

    origin: str
    file: File
    final: str | None = None
    name: str = ""


@dataclass(slots=True)
class Run:
    """One clean of a folder as the journal tells it.

    Attributes:
        name: four digits.
        moved: place now -> what was moved there and is not back yet.
        before: folder -> mtime in ns before the run.
        after: the same when the run ended; None while it has not.
        undo_before: the same when its undo began.
        undone: whether an undo of it ended.
        doubtful: place -> the step that should have brought a file there and was recorded as not made.
    """

    name: str
    moved: dict[str, Displaced] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] | None = None
    undo_before: dict[str, int] | None = None
    undone: bool = False
    doubtful: dict[str, Record] = field(default_factory=dict)

    def record(self, step: Record) -> None:
        """Follow a step that was done, forward or back."""
        known = self.moved.pop(step["start"], None)
        origin = known.origin if known else step["start"]
        if step["end"] != origin:
            file = remembered(origin, step)
            self.moved[step["end"]] = Displaced(origin, file, step.get("final"), step.get("name", ""))


@dataclass(slots=True)
class History:
    """All that a journal tells.

    Attributes:
        runs: the cleans, oldest first.
        pending: steps of the last session that may or may not have happened, by number.
        active: the run the last session worked on.
        copied: numbers of pending steps whose file was copied, because it lies on another file system.
        steps: how many steps were ever recorded.
        length: bytes of the journal that are whole lines; what follows was torn by a crash.
    """

    runs: list[Run] = field(default_factory=list)
    pending: dict[int, Record] = field(default_factory=dict)
    active: Run | None = None
    copied: set[int] = field(default_factory=set)
    steps: int = 0
    length: int = 0

    @property
    def open_run(self) -> Run | None:
        """The last run, if it was stopped before its end and not undone: the next clean continues it."""
        last = self.runs[-1] if self.runs else None
        return last if last and last.after is None and not last.undone else None

    def set_aside(self) -> list[str]:
        """Every path that the files now set aside had in the folder, sorted."""
        found: set[str] = set()
        for run in self.runs:
            for place, moved in run.moved.items():
                if place.startswith(SET_ASIDE):
                    # A run that was stopped and continued may have renamed the file first: both names were its own.
                    found |= {moved.origin, moved.name or place.removeprefix(SET_ASIDE).split("/", 1)[1]}
        return sorted(found)

    def take(self, record: Record) -> None:
        """Follow one record of the journal."""
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
                    step = self.pending.pop(number, None)
                    if step is not None:
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
    """The steps that bring a file home, last first: what the run put into its place has to go home before it."""
    steps: list[tuple[str, str]] = []
    while place in run.moved and (place, run.moved[place].origin) not in steps:
        steps.append((place, run.moved[place].origin))
        place = run.moved[place].origin
    return steps


def step_record(number: int, step: Step) -> Record:
    """What the journal says of a step before it is taken."""
    file = step.file
    facts = {"inode": file.inode, "size": file.size, "mtime_ns": file.mtime_ns}
    more = {"final": step.final, "digest": file.digest, "name": step.name}
    told = {key: value for key, value in more.items() if value}
    return {"op": "step", "step": number, "start": step.start, "end": step.end} | facts | told


def remembered(name: str, step: Record) -> File:
    """The file of a recorded step; the journal does not keep the number of its file system."""
    return File(name, -1, step["inode"], step["size"], step["mtime_ns"], step.get("digest", ""))


def read_history(data: bytes, *, where: str) -> History:
    """Follow a whole journal; a torn last line is left out.

    Raises:
        JournalError: a line before the last is damaged.
    """
    history = History()
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        record = decode_record(line)
        if record is None:
            if history.length + len(line) < len(data):
                raise JournalError(
                    f"{where}: line {number} is damaged; nothing was moved. The files set aside lie in set-aside/ "
                    "beside it, under the paths they had"
                )
            break
        if problem := problem_of(record):
            raise JournalError(f"{where}: line {number} is not as faceaug writes it: {problem}; nothing was moved")
        try:
            history.take(record)
        except (KeyError, TypeError) as error:
            raise JournalError(f"{where}: line {number} does not follow from those before it") from error
        history.length += len(line)
    return history
