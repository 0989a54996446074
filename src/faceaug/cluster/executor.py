"""The executor of a cluster: chunks ahead of their results, in order, again where a process or a node was lost.

::

    chunk --> result
      | its process died                 | its node was lost
      v                                  v
    each task alone, thrice at most    the chunk again, elsewhere
      | one died each time
      v
    it is named and given up; the caller says what stands for its result
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from faceaug.cluster.nodes import check_versions, versions_here
from faceaug.cluster.worker import Answer
from faceaug.errors import FaceAugError, counted, printable
from faceaug.executor import AHEAD, CHUNK, Lost, batches

Task = TypeVar("Task")
Result = TypeVar("Result")
_ATTEMPTS = 3  # of a task alone: a machine short of memory kills processes that did nothing wrong
_MOVES = 10  # of a chunk whose node was lost: beyond that the cluster is falling apart
_UNREAD = 0.01  # share of the files of a node that it may fail to read
_FEWEST = 10  # files: fewer say nothing
_RECENT = 10_000  # files of a node after which its tally counts half, so that a disk lost late is noticed
_SHOWN = 120  # characters of a task in a message


class WorkerDied(Exception):  # noqa: N818 - an event between engine and executor, never shown
    """The process that ran a chunk ended; ``str`` says what is known."""


class NodeLost(Exception):  # noqa: N818 - likewise
    """The machine that ran a chunk is gone, or the result that lay there."""


class Engine(Protocol):
    """What a cluster engine has to offer."""

    @property
    def slots(self) -> int:
        """Number of chunks that run at the same time."""

    def share(self, function: Callable[[Any], Any]) -> Any:
        """Send a function to the cluster once; what ``send`` takes for it."""

    def send(self, shared: Any, tasks: Sequence[Any]) -> Any:
        """Begin ``faceaug.cluster.worker.run_chunk`` somewhere, with one processor; what ``wait`` and ``drop`` take."""

    def wait(self, sent: Any) -> Answer[Any]:
        """Wait for a chunk.

        Raises:
            WorkerDied: the process ended.
            NodeLost: the machine did.
        """

    def drop(self, sent: Any) -> None:
        """Stop a chunk that nobody waits for."""

    def name(self, node: str) -> str:
        """Name of a node by its id, as its administrator knows it."""


@dataclass(slots=True)
class _Sent(Generic[Task]):
    """A chunk under way."""

    tasks: list[Task]
    handle: Any
    attempt: int = 1
    moves: int = 0


@dataclass(slots=True)
class _Tally:
    """Recent files of a node, and those of them that it could not read."""

    files: int = 0
    unread: int = 0


class ClusterExecutor:
    """Runs tasks on a cluster; see ``faceaug.executor.Executor``. ``open_ray`` makes one.

    Args:
        engine: of the cluster.
        torch: whether the tasks use torch, so that its version has to be the same on every node.

    Attributes:
        notes: remarks for the user: tasks that were given up.
    """

    def __init__(self, engine: Engine, *, torch: bool = False) -> None:
        self.engine = engine
        self.notes: list[str] = []
        self._torch = torch
        self._checked: set[str] = set()
        self._tallies: dict[str, _Tally] = {}

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        chunk: int | None = None,
        lost: Lost[Task, Result] | None = None,
    ) -> Iterator[Result]:
        """See ``faceaug.executor.Executor``.

        Raises:
            FaceAugError: a node cannot open the files; or a task ended its process each time, and ``lost`` is None.
            RefusedError: a node has other versions.
        """
        under_way: deque[_Sent[Task]] = deque()
        chunks = batches(tasks, chunk or CHUNK)
        shared: Any = None
        try:
            for chunk_ in chunks:
                shared = self.engine.share(function) if shared is None else shared
                under_way.append(_Sent(chunk_, self.engine.send(shared, chunk_)))
                if len(under_way) >= self.engine.slots * AHEAD:
                    yield from self._results(shared, under_way.popleft(), lost)
            while under_way:
                yield from self._results(shared, under_way.popleft(), lost)
        finally:  # the caller stopped iterating, or a task failed: drop the rest
            for sent in under_way:
                self.engine.drop(sent.handle)

    def check(self, node: str, versions: Any) -> None:
        """Compare the versions of a node with those here, once; see ``check_versions``."""
        if node not in self._checked:
            check_versions(self.engine.name(node), versions, versions_here(), torch=self._torch)
            self._checked.add(node)

    def _results(self, shared: Any, sent: _Sent[Task], lost: Lost[Task, Result] | None) -> Iterator[Result]:
        while True:
            try:
                answer: Answer[Result] = self.engine.wait(sent.handle)
            except NodeLost as error:
                sent.moves += 1
                if sent.moves > _MOVES:
                    raise FaceAugError(
                        f"the cluster lost {sent.moves} nodes one after the other ({error}); mend it and run again, "
                        "which continues"
                    ) from error
            except WorkerDied as error:
                if len(sent.tasks) > 1:
                    yield from self._one_by_one(shared, sent.tasks, lost)
                    return
                if sent.attempt == _ATTEMPTS:
                    yield self._given_up(sent.tasks[0], str(error), lost)
                    return
                sent.attempt += 1
            else:
                self.check(answer.node, answer.versions)
                self._count(answer)
                yield from answer.results
                if answer.error is not None:
                    raise answer.error
                return
            sent.handle = self.engine.send(shared, sent.tasks)

    def _one_by_one(self, shared: Any, tasks: Sequence[Task], lost: Lost[Task, Result] | None) -> Iterator[Result]:
        """Run the tasks of a chunk whose process died each by itself, to find out which one is to blame."""
        alone = deque(_Sent([task], self.engine.send(shared, [task])) for task in tasks)
        try:
            while alone:
                yield from self._results(shared, alone.popleft(), lost)
        finally:
            for sent in alone:
                self.engine.drop(sent.handle)

    def _given_up(self, task: Task, why: str, lost: Lost[Task, Result] | None) -> Result:
        reason = f"ended the process that worked on it, {_ATTEMPTS} times{f' ({why})' if why else ''}"
        if lost is None:
            raise FaceAugError(f"{_words_of(task)}: {reason}; its node may be short of memory")
        self.notes.append(f"{_words_of(task)}: {reason}")
        return lost(task, reason)

    def _count(self, answer: Answer[Result]) -> None:
        """Count what a node could not read. Files that this machine cannot read either are not the node's fault."""
        tally = self._tallies.setdefault(answer.node, _Tally())
        tally.files += answer.files
        tally.unread += answer.unread
        too_many = tally.unread >= _FEWEST and tally.unread > _UNREAD * tally.files
        if answer.example and too_many and os.access(answer.example, os.R_OK):
            raise FaceAugError(
                f"node {self.engine.name(answer.node)}: could not read {tally.unread:,} of its last "
                f"{counted(tally.files, 'file')}, such as {printable(answer.example)}, which this machine can; mount "
                "the folder there under the same path (`python -m faceaug.cluster check FOLDER`), then run again"
            )
        if tally.files >= _RECENT:
            tally.files, tally.unread = tally.files // 2, tally.unread // 2


def _words_of(task: object) -> str:
    """A task in words: the paths in it, or else the start of what it says of itself."""
    parts = task if isinstance(task, tuple | list) else (task,)
    names = [printable(part) for part in parts if isinstance(part, str)]
    text = " and ".join(names) or printable(str(task))
    return text if names or len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
