"""What stands for the result of a picture that ends the process that works on it, as a cluster finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from faceaug.clean.near import compare_files
from faceaug.clean.signatures import Signature, read_exact_signature, read_signature
from faceaug.executor import Crew, Executor, Lost

Task = TypeVar("Task")
Result = TypeVar("Result")


def surviving(crew: Crew, *, faces: bool) -> Crew:
    """A crew whose jobs leave such pictures where they are, unread, and go on.

    Args:
        crew: gives executors, see ``open_crew``.
        faces: whether faces are looked for, which takes the finder.
    """
    results: dict[object, Callable[[Any, str], Any]] = {
        read_signature: _unread,
        read_exact_signature: _unread,
        compare_files: lambda *_: None,
    }
    if faces:
        from faceaug.clean.face_looks import read_face_look

        results[read_face_look] = lambda *_: ("", b"")

    def choose(tasks: int, *, native: bool = False) -> Executor:
        """The executor for a job of this many tasks."""
        return _Surviving(crew(tasks, native=native), results)

    return choose


@dataclass(frozen=True, slots=True)
class _Surviving:
    executor: Executor
    results: Mapping[object, Callable[[Any, str], Any]]

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        chunk: int | None = None,
        lost: Lost[Task, Result] | None = None,
    ) -> Iterator[Result]:
        """See ``Executor``."""
        return self.executor.map(function, tasks, chunk=chunk, lost=lost or self.results.get(function))


def _unread(_: str, why: str) -> Signature:
    return Signature("", "", False, why)
