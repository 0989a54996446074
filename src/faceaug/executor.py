"""Executors: ``map(function, tasks)`` with results in task order, in this process, its threads, or other processes.

A cluster takes part by offering the same method; ``faceaug.cluster`` does so with Ray, see docs/cluster.md.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import wait
from typing import Protocol, TypeAlias, TypeVar

from faceaug.errors import ArgumentError, FaceAugError

Task = TypeVar("Task")
Result = TypeVar("Result")
Lost: TypeAlias = Callable[[Task, str], Result]  # task, why it was given up -> what stands for its result
CHUNK = 64  # tasks per message: sending one costs about as much as decoding a small picture
_FEW = 400  # tasks of a millisecond or two that finish before worker processes would have started
_MANY = 12_000  # tasks from which threads that wait for each other lose more than the start of processes takes
AHEAD = 4  # chunks in flight per worker, so that memory stays constant whatever the number of tasks


class Executor(Protocol):
    """Applies a function to many tasks.

    An executor may have an attribute ``notes``, a list of remarks for the user, a line each, that grows while it works;
    reports show them, see ``notes_of``.
    """

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        chunk: int | None = None,
        lost: Lost[Task, Result] | None = None,
    ) -> Iterator[Result]:
        """Apply ``function`` to every task and yield the results in the order of the tasks.

        A task may run twice, also at the same time, so a function that writes gives each file its name last and in one
        step (``faceaug.storage.files.write_bytes``) and writes the same bytes again. Errors of a task reach the caller.

        Args:
            function: defined at the top level of a module, or a ``functools.partial`` of such a function; arguments and
                results must be picklable.
            tasks: consumed as needed, a bounded number ahead of the results.
            chunk: tasks per message, 1 for expensive ones; None leaves it to the executor.
            lost: the result of a task that ended its worker process each time it ran. An executor that cannot find
                such a task, or gets None, raises FaceAugError.
        """
        ...


class SerialExecutor:
    """Runs tasks in this process."""

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        chunk: int | None = None,  # noqa: ARG002 - one task after the other
        lost: Lost[Task, Result] | None = None,  # noqa: ARG002 - this process would end with the task
    ) -> Iterator[Result]:
        """See ``Executor``."""
        return map(function, tasks)


class ThreadExecutor:
    """Runs tasks in threads of this process, for functions that spend their time in OpenCV, in hashing or on the disk.

    Args:
        workers: number of threads, >= 1.
        chunk: see ``ProcessExecutor``.
    """

    def __init__(self, workers: int, *, chunk: int = CHUNK) -> None:
        self.workers = workers
        self.chunk = chunk

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        chunk: int | None = None,
        lost: Lost[Task, Result] | None = None,  # noqa: ARG002 - this process would end with the task
    ) -> Iterator[Result]:
        """See ``Executor``."""
        chunks = batches(tasks, chunk or self.chunk)
        under_way: deque[Future[list[Result]]] = deque()
        with ThreadPoolExecutor(self.workers) as threads:
            try:
                for tasks_of_one in islice(chunks, self.workers * AHEAD):
                    under_way.append(threads.submit(_run_chunk, function, tasks_of_one))
                while under_way:
                    yield from under_way.popleft().result()
                    for tasks_of_one in islice(chunks, 1):
                        under_way.append(threads.submit(_run_chunk, function, tasks_of_one))
            finally:  # the caller stopped iterating, or a task failed: drop the rest
                for future in under_way:
                    future.cancel()


class ProcessExecutor:
    """Runs tasks in freshly started processes (never forked: OpenCV's and torch's threads do not survive a fork).

    The processes start with the first task and serve every ``map`` until the end of the ``with`` block.

    Args:
        workers: number of processes, >= 1.
        chunk: tasks per message; 1 for expensive tasks.
    """

    def __init__(self, workers: int, *, chunk: int = CHUNK) -> None:
        self.workers = workers
        self.chunk = chunk
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            _end(pool)

    @property
    def started(self) -> bool:
        """Whether the processes have been started."""
        return self._pool is not None

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        chunk: int | None = None,
        lost: Lost[Task, Result] | None = None,  # noqa: ARG002 - the pool does not tell which task ended a process
    ) -> Iterator[Result]:
        """See ``Executor``.

        Raises:
            FaceAugError: a worker process died.
        """
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
            )
        under_way: deque[Future[list[Result]]] = deque()
        try:
            yield from self._collect(self._pool, under_way, function, batches(tasks, chunk or self.chunk))
        except BrokenProcessPool as error:
            raise FaceAugError(
                "a worker process died: it was killed, or the machine ran out of memory. Nothing was changed; run "
                "again, with fewer workers if memory is short"
            ) from error
        finally:  # the caller stopped iterating, or a task failed: drop the rest
            for future in under_way:
                future.cancel()

    def _collect(
        self,
        pool: ProcessPoolExecutor,
        under_way: deque[Future[list[Result]]],
        function: Callable[[Task], Result],
        chunks: Iterator[list[Task]],
    ) -> Iterator[Result]:
        with _without_main(function):
            for chunk in islice(chunks, self.workers * AHEAD):
                under_way.append(pool.submit(_run_chunk, function, chunk))
        while under_way:
            yield from under_way.popleft().result()
            for chunk in islice(chunks, 1):
                under_way.append(pool.submit(_run_chunk, function, chunk))


@contextmanager
def open_executor(workers: int | None, *, chunk: int = CHUNK, executor: Executor | None = None) -> Iterator[Executor]:
    """Open an executor with a given number of workers.

    Args:
        workers: processes; 0 or 1 runs in this process; None takes one per available processor.
        chunk: see ``ProcessExecutor``.
        executor: the one to use in place of processes here, such as a cluster; it stays open.

    Raises:
        ArgumentError: ``workers`` is negative.
    """
    if workers is not None and workers < 0:
        raise ArgumentError(f"workers {workers}: expected 0 or more")
    if executor is not None:
        yield executor
        return
    count = processors() if workers is None else workers
    if count <= 1:
        yield SerialExecutor()
        return
    with ProcessExecutor(count, chunk=chunk) as processes:
        yield processes


class Crew(Protocol):
    """Gives executors. Get one from ``open_crew``."""

    def __call__(self, tasks: int, *, native: bool = False) -> Executor:
        """The executor for a job.

        Args:
            tasks: number of tasks, in units of a millisecond or two.
            native: whether they spend most of their time in libraries that let other threads run.
        """
        ...


@contextmanager
def open_crew(workers: int | None, *, executor: Executor | None = None) -> Iterator[Crew]:
    """Open executors for jobs of known length; they share one set of worker processes.

    Args:
        workers: the most that work at once, see ``open_executor``. Jobs that finish before worker processes would have
            started run in this process, in its threads if that helps.
        executor: see ``open_executor``; with one, every job with tasks runs there.
    """
    with open_executor(workers, executor=executor) as opened:

        def choose(tasks: int, *, native: bool = False) -> Executor:
            """The executor for a job of this many tasks."""
            if executor is not None:
                return opened if tasks else SerialExecutor()
            if not isinstance(opened, ProcessExecutor) or opened.started:
                return opened
            if tasks <= _FEW:
                return SerialExecutor()
            return ThreadExecutor(opened.workers) if native and tasks <= _MANY else opened

        yield choose


def processors() -> int:
    """Number of processors available to this process."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def notes_of(executor: Executor | None, start: int = 0) -> tuple[str, ...]:
    """The notes of an executor from number ``start`` on; none where it takes none."""
    return tuple(getattr(executor, "notes", ())[start:])


def batches(tasks: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """Tasks in lists of ``size``; the last may be shorter."""
    left = iter(tasks)
    while chunk := list(islice(left, size)):
        yield chunk


def _run_chunk(function: Callable[[Task], Result], chunk: list[Task]) -> list[Result]:
    return [function(task) for task in chunk]


@contextmanager
def _without_main(function: Callable[[Task], Result]) -> Iterator[None]:
    """Keep new workers from running the user's script again.

    A new process imports the main module, so a script that calls us at its top level, without
    ``if __name__ == "__main__"``, would start itself over and over. Our functions live in importable modules, so
    workers need no main module.
    """
    if getattr(function, "__module__", "__main__") == "__main__":
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _begin_worker() -> None:
    """Set up a worker: one thread, no output, Ctrl-C ignored (the parent decides); it exits when the parent exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    quiet_process()


def quiet_process() -> None:
    """Set up a process that works for another one: one thread, and nothing on stderr."""
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    # libjpeg prints warnings about damaged files; the result already reports the damage.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    from faceaug.data.image import load_cv2

    with suppress(FaceAugError):  # without OpenCV the first decode reports what is missing; here nobody would hear it
        load_cv2().setNumThreads(1)


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _end(pool: ProcessPoolExecutor) -> None:
    workers = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    pool.shutdown(wait=True)
