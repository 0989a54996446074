"""Executors: ``map(function, tasks)`` with results in task order, in this process, its threads, or other processes.

A cluster engine takes part by offering the same method.
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
from typing import Protocol, TypeVar

from faceaug.errors import ArgumentError, FaceAugError

Task = TypeVar("Task")
Result = TypeVar("Result")
_CHUNK = 64  # tasks per message: sending one costs about as much as decoding a small picture
_FEW = 400  # tasks of a millisecond or two that finish before worker processes would have started
_MANY = 12_000  # tasks from which threads that wait for each other lose more than the start of processes takes
_AHEAD = 4  # chunks in flight per worker, so that memory stays constant whatever the number of tasks


class Executor(Protocol):
    """Applies a function to many tasks."""

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Apply ``function`` to every task and yield the results in the order of the tasks.

        Args:
            function: defined at the top level of a module; arguments and results must be picklable.
            tasks: consumed as needed.
        """
        ...


class SerialExecutor:
    """Runs tasks in this process."""

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """See ``Executor``."""
        return map(function, tasks)


class ThreadExecutor:
    """Runs tasks in threads of this process, for functions that spend their time in OpenCV, in hashing or on the disk.

    Args:
        workers: number of threads, >= 1.
        chunk: see ``ProcessExecutor``.
    """

    def __init__(self, workers: int, *, chunk: int = _CHUNK) -> None:
        self.workers = workers
        self.chunk = chunk

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """See ``Executor``."""
        chunks = _chunks(iter(tasks), self.chunk)
        under_way: deque[Future[list[Result]]] = deque()
        with ThreadPoolExecutor(self.workers) as threads:
            try:
                for chunk in islice(chunks, self.workers * _AHEAD):
                    under_way.append(threads.submit(_run_chunk, function, chunk))
                while under_way:
                    yield from under_way.popleft().result()
                    for chunk in islice(chunks, 1):
                        under_way.append(threads.submit(_run_chunk, function, chunk))
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

    def __init__(self, workers: int, *, chunk: int = _CHUNK) -> None:
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

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
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
            yield from self._collect(self._pool, under_way, function, iter(tasks))
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
        tasks: Iterator[Task],
    ) -> Iterator[Result]:
        with _without_main(function):
            for chunk in islice(_chunks(tasks, self.chunk), self.workers * _AHEAD):
                under_way.append(pool.submit(_run_chunk, function, chunk))
        while under_way:
            yield from under_way.popleft().result()
            for chunk in islice(_chunks(tasks, self.chunk), 1):
                under_way.append(pool.submit(_run_chunk, function, chunk))


@contextmanager
def open_executor(workers: int | None, *, chunk: int = _CHUNK) -> Iterator[Executor]:
    """Open an executor with a given number of workers.

    Args:
        workers: processes; 0 or 1 runs in this process; None takes one per available processor.
        chunk: see ``ProcessExecutor``.

    Raises:
        ArgumentError: ``workers`` is negative.
    """
    if workers is not None and workers < 0:
        raise ArgumentError(f"workers {workers}: expected 0 or more")
    count = processors() if workers is None else workers
    if count <= 1:
        yield SerialExecutor()
        return
    with ProcessExecutor(count, chunk=chunk) as executor:
        yield executor


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
def open_crew(workers: int | None) -> Iterator[Crew]:
    """Open executors for jobs of known length; they share one set of worker processes.

    Args:
        workers: the most that work at once, see ``open_executor``. Jobs that finish before worker processes would have
            started run in this process, in its threads if that helps.
    """
    with open_executor(workers) as executor:

        def choose(tasks: int, *, native: bool = False) -> Executor:
            """The executor for a job of this many tasks."""
            if not isinstance(executor, ProcessExecutor) or executor.started:
                return executor
            if tasks <= _FEW:
                return SerialExecutor()
            return ThreadExecutor(executor.workers) if native and tasks <= _MANY else executor

        yield choose


def processors() -> int:
    """Number of processors available to this process."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _chunks(tasks: Iterator[Task], size: int) -> Iterator[list[Task]]:
    while chunk := list(islice(tasks, size)):
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
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # heeded by NumPy, which is imported after this
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
