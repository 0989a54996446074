"""A phase: one stretch of long work, and how far it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Protocol, TypeVar

T = TypeVar("T")
LOG = logging.getLogger("faceaug")
LOG.addHandler(logging.NullHandler())


class View(Protocol):
    """Shows phases. Times come from the clock of the ``Progress``."""

    def begin(self, phase: Phase, now: float) -> float:
        """A phase begins; returns when to draw it first."""
        ...

    def draw(self, phase: Phase, now: float) -> float:
        """Draw the phase; returns when to draw it next."""
        ...

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """The phase is over."""
        ...


class Phase:
    """One stretch of work of known length.

    Attributes:
        name: the work, such as "reading".
        unit: what is counted, such as "pictures".
        start: how much an earlier run had done.
        limit: seconds after which the work stops, complete or not.
        at_once: whether it is shown when it begins, for work with long steps; other phases once they last a while.
        done: how much is done in all.
        total: how much there is to do.
        words: further figures, such as losses.
        began: time by the clock.
    """

    def __init__(
        self, name: str, total: int, unit: str, *, start: int, limit: float, at_once: bool,
        view: View | None, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.name, self.total, self.unit = name, total, unit
        self.start, self.limit, self.at_once = start, limit, at_once
        self.done, self.words = start, ""
        self._view, self._clock = view, clock
        LOG.debug("%s: %s %s, from %s", name, total, unit, start)
        self.began = clock()
        self._due = inf if view is None else view.begin(self, self.began)

    def advance(self, count: int = 1) -> None:
        """Count this many more."""
        self.reach(self.done + count)

    def reach(self, done: int, words: str | None = None) -> None:
        """Set how much is done in all; ``words`` stay until they are replaced."""
        self.done = done
        if words is not None:
            self.words = words
        if self._view is not None and (now := self._clock()) >= self._due:
            self._due = self._view.draw(self, now)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; each is counted when the next one is requested."""
        for item in items:
            yield item
            self.advance()

    def end(self, *, failed: bool = False) -> None:
        """The work is complete, or it failed or was interrupted."""
        now = self._clock()
        state = "stopped" if failed else "done"
        LOG.info("%s %s: %s of %s %s, %.1f s", self.name, state, self.done, self.total, self.unit, now - self.began)
        if self._view is not None:
            self._view.end(self, now, failed=failed)
