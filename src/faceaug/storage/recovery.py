"""Recovery of an interrupted group: locate its files, and clean up so that each has one name again.

Each file of the group may be at one of several places. The inode number identifies it, but only until the disk is
mounted again or the folder is copied, so the number counts only together with the content. Without a matching number
the content decides alone, and a place that only one file can occupy is ruled out for the others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from faceaug.storage.disk import Disk
from faceaug.storage.identity import digest_of, facts_of
from faceaug.storage.mover import Mover, are_one, single_file_problem
from faceaug.storage.moves import History, Record, follow_files, remembered
from faceaug.storage.names import folded_name
from faceaug.storage.walk import File

_PLACEHOLDER_AGE = 60 * 10**9  # ns; a placeholder is created right after the journal was written


@dataclass(frozen=True, slots=True)
class Found:
    """The state of the last group of a stopped run.

    Attributes:
        done: numbers of the completed steps.
        skipped: numbers of the other steps.
        lost: original places of files that were not found anywhere.
        problems: failed clean-ups, one line each.
    """

    done: tuple[int, ...]
    skipped: tuple[int, ...]
    lost: tuple[str, ...]
    problems: tuple[str, ...]


class _Journey:
    """One file of the group: its steps, and the places where it may be."""

    def __init__(self, numbers: list[int], pending: dict[int, Record]) -> None:
        self.numbers = numbers
        self.steps = [pending[number] for number in numbers]
        self.places: list[str] = [self.steps[0]["start"], *(step["end"] for step in self.steps)]
        self.file: File = remembered(self.steps[0]["start"], self.steps[0])
        self.candidates: list[int] = []  # positions in ``places`` where the file may be


class Recovery:
    """Examines the disk and completes half-made moves.

    Args:
        mover: maps places to paths.
        disk: the calls that change the disk.
        history: the history of the journal; its pending steps are those of the stopped group.
        written_ns: modification time of the journal before this run.
    """

    def __init__(self, mover: Mover, disk: Disk, history: History, *, written_ns: int) -> None:
        self._mover = mover
        self._disk = disk
        self._history = history
        self._written = written_ns
        self._problems: list[str] = []

    def run(self) -> Found:
        """Locate every file of the group and leave it with one name."""
        pending = self._history.pending
        journeys = [_Journey(numbers, pending) for numbers in follow_files(pending)]
        for journey in journeys:
            self._remove_unfinished(journey)
            journey.candidates = self._places_of(journey)
        self._disambiguate(journeys)
        done: list[int] = []
        lost: list[str] = []
        for journey in journeys:
            arrived = self._keep_one_name(journey)
            done += journey.numbers[: arrived or 0]
            if arrived is None and not self._mover.exists(journey.places[0]):
                lost.append(journey.places[0])
        skipped = sorted(set(pending) - set(done))
        return Found(tuple(sorted(done)), tuple(skipped), tuple(sorted(lost)), tuple(self._problems))

    def _places_of(self, journey: _Journey) -> list[int]:
        """Where the file may be: by inode and content, else by content, else by inode (edited since)."""
        numbered = [i for i, place in enumerate(journey.places) if self._has_number(place, journey.file)]
        holding = [i for i, place in enumerate(journey.places) if self._mover.holds(place, journey.file)]
        both = [i for i in numbered if i in holding]
        if self._was_copied(journey):
            return holding
        if both or holding or numbered:
            return both or holding or numbered
        last = len(journey.places) - 1
        ours = journey.places[last][0] == "/" and not self._mover.exists(journey.places[0])
        return [last] if ours and self._is_file(journey.places[last]) else []  # only faceaug puts files there

    def _disambiguate(self, journeys: Sequence[_Journey]) -> None:
        """Assign each place to one file: a file with a single candidate gets it, and others lose that candidate."""
        undecided = list(journeys)
        while settled := [journey for journey in undecided if len(journey.candidates) == 1]:
            taken = {journey.places[journey.candidates[0]] for journey in settled}
            undecided = [journey for journey in undecided if journey not in settled]
            for journey in undecided:
                free = [i for i in journey.candidates if journey.places[i] not in taken]
                journey.candidates = free or journey.candidates[:1]

    def _keep_one_name(self, journey: _Journey) -> int | None:
        """Remove the older of two names of a file; returns its number of completed steps, None if it is missing."""
        if not journey.candidates:
            return None
        newest = journey.candidates[-1]
        for old in journey.candidates[:-1]:
            try:
                self._drop_older(journey, old, newest)
            except OSError as error:
                problem = single_file_problem(error)
                self._problems.append(f"{journey.places[old]} {problem}")
                self._drop_newer(journey, old, newest)
                return old
        return newest

    def _drop_older(self, journey: _Journey, old: int, newest: int) -> None:
        one, other = self._mover.path(journey.places[old]), self._mover.path(journey.places[newest])
        self._disk.sync_folder(other.parent)
        # A backup or copy of the folder may have made two files of two hard links. But on a disk that folds case, two
        # names may be one file, whatever their inode numbers: then nothing may be removed.
        apart = folded_name(journey.places[old]) != folded_name(journey.places[newest])
        copied = (apart or self._was_copied(journey)) and digest_of(one) == digest_of(other)
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
            single_file_problem(error)

    def _remove_unfinished(self, journey: _Journey) -> None:
        """Remove an incomplete copy, and the empty placeholder used where there are no hard links."""
        for step in journey.steps:
            if self._mover.is_behind_link(step["end"]):
                continue
            partial = self._mover.partial(step["end"])
            try:
                if os.path.lexists(partial):
                    self._disk.unlink(partial)
                if self._is_placeholder(step):
                    self._disk.unlink(self._mover.path(step["end"]))
            except OSError as error:
                self._problems.append(f"{step['end']} {single_file_problem(error)}")

    def _is_placeholder(self, step: Record) -> bool:
        facts = facts_of(self._mover.path(step["end"]))
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size or not self._mover.exists(step["start"]):
            return False
        if step["size"] == 0 and self._mover.holds(step["end"], remembered("", {**step, "digest": ""})):
            return False  # the moved file itself is empty
        return step["end"][0] == "/" or abs(facts.st_mtime_ns - self._written) < _PLACEHOLDER_AGE

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
            return None if self._mover.is_behind_link(place) else facts_of(self._mover.path(place))
        except OSError as error:
            single_file_problem(error)
            return None
