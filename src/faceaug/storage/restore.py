"""Undo of one file: find where it is now, check that it is unchanged, and plan the step that restores it."""

from __future__ import annotations

import stat

from faceaug.storage.identity import facts_of, file_of, is_remembered
from faceaug.storage.mover import Mover, single_file_problem
from faceaug.storage.moves import Displaced, Run, Step, remembered


def step_back(mover: Mover, place: str, moved: Displaced) -> tuple[Step | None, str]:
    """The step that moves a file back to its origin; or None, with the reason.

    If ``place`` is empty and the file is already back at its origin (the user restored it by hand), the step needs
    only to be recorded.
    """
    path, origin = mover.path(place), mover.path(moved.origin)
    try:
        facts = facts_of(path)
        if facts is None and is_remembered(origin, moved.file):
            return Step(place, moved.origin, moved.file), ""
        if facts is None or not stat.S_ISREG(facts.st_mode):
            return None, "is gone from where the run put it"
        if not is_remembered(path, moved.file):
            return None, "has changed since the run"
    except OSError as error:
        return None, single_file_problem(error)
    return Step(place, moved.origin, file_of(moved.origin, facts, digest=moved.file.digest)), ""


def find_doubtful(mover: Mover, run: Run) -> None:
    """Adopt files that are at the end of a step which the journal records as skipped.

    Version 0.1.0 lost track of files if their disk was mounted again between a crash and the next run.
    """
    for place, record in run.doubtful.items():
        ours = place not in run.moved and place[0] == "/" and record["start"][0] != "/"
        file = remembered(record["start"], record)
        if ours and not mover.exists(record["start"]) and mover.holds(place, file):
            run.moved[place] = Displaced(record["start"], file)
