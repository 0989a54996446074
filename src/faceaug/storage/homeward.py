"""The way back of a file that a run moved: where it is now, whether it is still the same, what is to be done."""

from __future__ import annotations

import stat

from faceaug.storage.identity import facts_of, file_of, is_remembered
from faceaug.storage.mover import Mover, trouble_with_one
from faceaug.storage.moves import Displaced, Run, Step, remembered


def step_back(mover: Mover, place: str, moved: Displaced) -> tuple[Step | None, str]:
    """The step that brings a file home; or None, and why there is none.

    If nothing is at ``place`` and the file is at home already (somebody put it back by hand), the step is only to be
    recorded.
    """
    path, home = mover.path(place), mover.path(moved.origin)
    try:
        facts = facts_of(path)
        if facts is None and is_remembered(home, moved.file):
            return Step(place, moved.origin, moved.file), ""
        if facts is None or not stat.S_ISREG(facts.st_mode):
            return None, "is gone from where the run put it"
        if not is_remembered(path, moved.file):
            return None, "has changed since the run"
    except OSError as error:
        return None, trouble_with_one(error)
    return Step(place, moved.origin, file_of(moved.origin, facts, digest=moved.file.digest)), ""


def find_doubtful(mover: Mover, run: Run) -> None:
    """Take up files that lie where a step was to bring them although the journal says that it was not made.

    Version 0.1.0 lost count of files when their disk was mounted again between a crash and the next run.
    """
    for place, record in run.doubtful.items():
        ours = place not in run.moved and place[0] == "/" and record["start"][0] != "/"
        file = remembered(record["start"], record)
        if ours and not mover.exists(record["start"]) and mover.holds(place, file):
            run.moved[place] = Displaced(record["start"], file)
