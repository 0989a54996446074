"""What a process of a cluster does: run the tasks of a chunk, and say where that was and what it could not read."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from faceaug.cluster.nodes import Versions, versions_here
from faceaug.data.reads import READS
from faceaug.errors import FaceAugError, printable
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
        files: number of files that were read, or could not be.
        unread: number of those that could not.
        example: one of them; "" if there is none.
    """

    node: str
    versions: Versions
    results: list[Result]
    error: FaceAugError | OSError | None = None
    files: int = 0
    unread: int = 0
    example: str = ""


def run_chunk(node: str, folder: str, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Answer[Result]:
    """Run tasks one after the other.

    An error of ours is returned, because an engine would wrap it and lengthen its message; any other one is a fault of
    the program and is left to the engine, with its traceback.

    Args:
        node: id of the node on which this process runs.
        folder: working folder of the command, from which relative paths lead.
        function: what to apply.
        tasks: arguments, one each.
    """
    prepare_process()
    tried, failed = READS.tried, READS.failed
    results: list[Result] = []
    failure: FaceAugError | OSError | None = None
    try:
        _enter(folder)
        results.extend(map(function, tasks))
    except (FaceAugError, OSError) as error:
        failure = error
    unread = READS.failed - failed
    last = READS.last if unread else ""
    return Answer(node, versions_here(), results, failure, READS.tried - tried, unread, last)


def _enter(folder: str) -> None:
    """Go to the working folder of the command; elsewhere, relative paths would be others."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise FaceAugError(
            f"{platform.node()}: cannot enter {printable(folder)}, where the command was started ({error.strerror}); "
            "start it in a folder that every machine has, such as the one that they share"
        ) from error


@lru_cache(maxsize=1)
def prepare_process() -> None:
    """Set up a process of a cluster, once: one thread, nothing on stderr, partial files under names of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported
    quiet_process()
    name_writer()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
