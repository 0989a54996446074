"""Where the files of a stopped group are now, and what has to be tidied so that each has one name again.

Each file of the group may be in one of a few places. Its number on the disk tells which, but only until the disk is
mounted again or the folder is copied, so the number counts only together with the content; without it content alone
decides, and a place that only one file can be in is no longer free for the others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from faceaug.storage.disk import Disk
from faceaug.storage.identity import digest_of, facts_of
from faceaug.storage.mover import Mover, are_one, trouble_with_one
from faceaug.storage.moves import History, Record, follow_files, remembered
from faceaug.storage.walk import File

_PLACEHOLDER = 60 * 10**9  # ns; an empty file that held a name was made directly after the journal was written


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the last group of a stopped run.

    Attributes:
        done: numbers of the steps that were made.
        skipped: numbers of the others.
        lost: places of files that are in none of theirs.
        problems: what could not be tidied, a line each.
    """

    done: tuple[int, ...]
    skipped: tuple[int, ...]
    lost: tuple[str, ...]
    problems: tuple[str, ...]


class _Journey:
    """One file of the group: its steps, and the places it may be in."""

    def __init__(self, numbers: list[int], pending: dict[int, Record]) -> None:
        self.numbers = numbers
        self.steps = [pending[number] for number in numbers]
        self.places: list[str] = [self.steps[0]["start"], *(step["end"] for step in self.steps)]
        self.file: File = remembered(self.steps[0]["start"], self.steps[0])
        self.there: list[int] = []  # positions in ``places``


class Recovery:
    """Looks at the disk and completes what was half done.

    Args:
        mover: knows where places are.
        disk: the calls that change the disk.
        history: of the journal; its pending steps are those of the stopped group.
        written_ns: when the journal was last written, before this run touched it.
    """

    def __init__(self, mover: Mover, disk: Disk, history: History, *, written_ns: int) -> None:
        self._mover, self._disk, self._history, self._written = mover, disk, history, written_ns
        self._problems: list[str] = []

    def run(self) -> Found:
        """Find every file of the group and leave it with one name."""
        pending = self._history.pending
        journeys = [_Journey(numbers, pending) for numbers in follow_files(pending)]
        for journey in journeys:
            self._remove_unfinished(journey)
            journey.there = self._places_of(journey)
        self._tell_apart(journeys)
        done: list[int] = []
        lost: list[str] = []
        for journey in journeys:
            arrived = self._settle(journey)
            done += journey.numbers[: arrived or 0]
            if arrived is None and not self._mover.exists(journey.places[0]):
                lost.append(journey.places[0])
        skipped = sorted(set(pending) - set(done))
        return Found(tuple(sorted(done)), tuple(skipped), tuple(sorted(lost)), tuple(self._problems))

    def _places_of(self, journey: _Journey) -> list[int]:
        """Where the file may be: by number and content, else by content, else by number (it was edited since)."""
        numbered = [i for i, place in enumerate(journey.places) if self._has_number(place, journey.file)]
        holding = [i for i, place in enumerate(journey.places) if self._mover.holds(place, journey.file)]
        both = [i for i in numbered if i in holding]
        if self._was_copied(journey):
            return holding
        if both or holding or numbered:
            return both or holding or numbered
        last = len(journey.places) - 1
        ours = journey.places[last][0] == "/" and not self._mover.exists(journey.places[0])
        return [last] if ours and self._is_file(journey.places[last]) else []  # nobody else puts files there

    def _tell_apart(self, journeys: Sequence[_Journey]) -> None:
        """Give each place to one file: one with a single possible place has it, the others have to be elsewhere."""
        undecided = list(journeys)
        while settled := [journey for journey in undecided if len(journey.there) == 1]:
            taken = {journey.places[journey.there[0]] for journey in settled}
            undecided = [journey for journey in undecided if journey not in settled]
            for journey in undecided:
                journey.there = [i for i in journey.there if journey.places[i] not in taken] or journey.there[:1]

    def _settle(self, journey: _Journey) -> int | None:
        """How many steps a file has made, None if it is nowhere; of two names of one file the older goes."""
        if not journey.there:
            return None
        newest = journey.there[-1]
        for old in journey.there[:-1]:
            try:
                self._drop_older(journey, old, newest)
            except OSError as error:
                problem = trouble_with_one(error)
                self._problems.append(f"{journey.places[old]} {problem}")
                self._drop_newer(journey, old, newest)
                return old
        return newest

    def _drop_older(self, journey: _Journey, old: int, newest: int) -> None:
        one, other = self._mover.path(journey.places[old]), self._mover.path(journey.places[newest])
        self._disk.sync_folder(other.parent)
        copied = self._was_copied(journey) and digest_of(one) == digest_of(other)
        if copied or are_one(one, other):
            with suppress(FileNotFoundError):
                self._disk.unlink(one)
            self._disk.sync_folder(one.parent)

    def _drop_newer(self, journey: _Journey, old: int, newest: int) -> None:
        one, other = self._mover.path(journey.places[old]), self._mover.path(journey.places[newest])
        try:
            if are_one(one, other):
                self._disk.unlink(other)
        except OSError as error:
            trouble_with_one(error)

    def _remove_unfinished(self, journey: _Journey) -> None:
        """Remove a copy that was not whole, and the empty file that held a name where there are no hard links."""
        for step in journey.steps:
            partial = self._mover.partial(step["end"])
            try:
                if os.path.lexists(partial):
                    self._disk.unlink(partial)
                if self._is_placeholder(step):
                    self._disk.unlink(self._mover.path(step["end"]))
            except OSError as error:
                self._problems.append(f"{step['end']} {trouble_with_one(error)}")

    def _is_placeholder(self, step: Record) -> bool:
        facts = facts_of(self._mover.path(step["end"]))
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size or not self._mover.exists(step["start"]):
            return False
        if step["size"] == 0 and self._mover.holds(step["end"], remembered("", {**step, "digest": ""})):
            return False  # the file itself, which is empty
        return step["end"][0] == "/" or abs(facts.st_mtime_ns - self._written) < _PLACEHOLDER

    def _was_copied(self, journey: _Journey) -> bool:
        return not self._history.copied.isdisjoint(journey.numbers)

    def _has_number(self, place: str, file: File) -> bool:
        facts = self._facts(place)
        return facts is not None and stat.S_ISREG(facts.st_mode) and facts.st_ino == file.inode

    def _is_file(self, place: str) -> bool:
        facts = self._facts(place)
        return facts is not None and stat.S_ISREG(facts.st_mode)

    def _facts(self, place: str) -> os.stat_result | None:
        try:
            return facts_of(self._mover.path(place))
        except OSError as error:
            trouble_with_one(error)
            return None
