"""A phase: one stage of long work, and its progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Protocol, TypeVar

T = TypeVar("T")
LOG = logging.getLogger("faceaug")
LOG.addHandler(logging.NullHandler())


class View(Protocol):
    """Draws phases. All times come from the clock of the ``Progress``."""

    def begin(self, phase: Phase, now: float) -> float:
        """Begin a phase; returns the time of the first ``draw``."""
        ...

    def draw(self, phase: Phase, now: float) -> float:
        """Draw the phase; returns the time of the next ``draw``."""
        ...

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """End the phase."""
        ...


class Phase:
    """One stage of work of known length.

    Attributes:
        name: the work, such as "reading".
        unit: plural name of the items, such as "pictures".
        start: number of items done by an earlier run.
        limit: seconds after which the work stops, complete or not.
        at_once: whether to show it immediately, for work with long steps; other phases appear once they last a while.
        done: number of items done, including ``start``.
        total: number of items in all.
        words: further figures, such as losses.
        began: time by the clock.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        *,
        start: int,
        limit: float,
        at_once: bool,
        view: View | None,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.start = start
        self.limit = limit
        self.at_once = at_once
        self.done = start
        self.words = ""
        self._view = view
        self._clock = clock
        LOG.debug("%s: %s %s, from %s", name, total, unit, start)
        self.began = clock()
        self._due = inf if view is None else view.begin(self, self.began)

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more items."""
        self.reach(self.done + count)

    def reach(self, done: int, words: str | None = None) -> None:
        """Set the number of items done; ``words`` stays until it is replaced."""
        self.done = done
        if words is not None:
            self.words = words
        if self._view is not None and (now := self._clock()) >= self._due:
            self._due = self._view.draw(self, now)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and count each when the next one is requested."""
        for item in items:
            yield item
            self.advance()

    def end(self, *, failed: bool = False) -> None:
        """End the phase: the work is complete, or it failed or was interrupted."""
        now = self._clock()
        state = "stopped" if failed else "done"
        LOG.info("%s %s: %s of %s %s, %.1f s", self.name, state, self.done, self.total, self.unit, now - self.began)
        if self._view is not None:
            self._view.end(self, now, failed=failed)
