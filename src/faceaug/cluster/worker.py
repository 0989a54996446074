"""What a process of a cluster does: run the tasks of a chunk, and say where that was and what it could not read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from faceaug.cluster.nodes import Versions, versions_here
from faceaug.data.unread import UNREAD
from faceaug.errors import FaceAugError
from faceaug.executor import quiet_process
from faceaug.storage.partial import name_writer

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result]):
    """The outcome of a chunk.

    Attributes:
        node: id of the node that it ran on.
        versions: of the libraries there that decide results.
        results: of the tasks, in order, up to the one that failed.
        error: what that one raised; None if none did.
        unread: number of files that could not be opened or read.
        example: one of them; "" if there is none.
    """

    node: str
    versions: Versions
    results: list[Result]
    error: FaceAugError | OSError | None = None
    unread: int = 0
    example: str = ""


def run_chunk(node: str, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Answer[Result]:
    """Run tasks one after the other.

    An error of ours is returned, because an engine would wrap it and lengthen its message; any other one is a fault of
    the program and is left to the engine, with its traceback.

    Args:
        node: id of the node on which this process runs.
        function: what to apply.
        tasks: arguments, one each.
    """
    prepare_process()
    before = UNREAD.count
    results: list[Result] = []
    failure: FaceAugError | OSError | None = None
    try:
        results.extend(map(function, tasks))
    except (FaceAugError, OSError) as error:
        failure = error
    unread = UNREAD.count - before
    return Answer(node, versions_here(), results, failure, unread, UNREAD.last if unread else "")


@lru_cache(maxsize=1)
def prepare_process() -> None:
    """Set up a process of a cluster, once: one thread, nothing on stderr, partial files under names of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported
    quiet_process()
    name_writer()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
