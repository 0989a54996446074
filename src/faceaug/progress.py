"""Progress of long work: a bar on a terminal, a line now and then elsewhere, a widget in a notebook, log records.

::

    work --Progress.phase("reading", 5000, "pictures")--> Phase.advance() --> a view, once the phase lasts --> tqdm

Nothing here starts a thread or a timer: a view is drawn by the work itself, at most ten times a second.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.util import find_spec
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from faceaug.errors import ArgumentError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

T = TypeVar("T")
Callback: TypeAlias = Callable[[str, int, int, str], object]  # phase, done, total, what is counted or how it goes
Show: TypeAlias = "bool | Callback | Progress | None"

LOG = logging.getLogger("faceaug")
LOG.addHandler(logging.NullHandler())
DELAY = 2.0  # seconds: a phase that is over sooner is not shown
_REDRAW = 0.1  # seconds between two drawings of a bar
_FIRST_LINE, _NEXT_LINE = 10.0, 30.0  # seconds, where lines stay
_SMOOTHING = 0.03  # of the speed, for each drawing: worker processes hand in many pictures at once
_TELLING = 10  # items, or a hundredth of all: before, speed and time left are not estimated
_SPARE = 3  # columns left free for the terminal's ^C, so that clearing the line removes it too
_WIDE, _NARROW = 100, 60  # columns: from the first on more is shown, below the second less
_FULL = "{desc}: {percentage:3.0f}%|{bar}| {n:,}/{total:,}  {elapsed}  {speed}  {left}{words}"
_USUAL = "{desc}: {percentage:3.0f}%|{bar}| {n:,}/{total:,}  {speed}  {left}{words}"
_SHORT = "{desc}: {percentage:3.0f}%  {left}  {speed}{words}"


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
        done: how much is done in all.
        total: how much there is to do.
        words: further figures, such as losses.
        began: time by the clock.
    """

    def __init__(
        self, name: str, total: int, unit: str, *, start: int, limit: float, view: View | None,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.name, self.total, self.unit, self.start, self.limit = name, total, unit, start, limit
        self.done, self.words = start, ""
        self._view, self._clock = view, clock
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


class Progress:
    """Shows the phases of one call, one after the other.

    Args:
        view: shows them; None shows nothing.
        clock: seconds, as ``time.monotonic``.
    """

    def __init__(self, view: View | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._view, self._clock = view, clock

    @contextmanager
    def phase(self, name: str, total: int, unit: str, *, start: int = 0, limit: float = inf) -> Iterator[Phase]:
        """A phase of the work; see ``Phase``."""
        LOG.debug("%s: %s %s, from %s", name, total, unit, start)
        phase = Phase(name, total, unit, start=start, limit=limit, view=self._view, clock=self._clock)
        try:
            yield phase
        except BaseException:
            phase.end(failed=True)
            raise
        phase.end()


SILENT = Progress()


def open_progress(show: Show) -> Progress:
    """Decide how the progress of one call is shown.

    Args:
        show: None shows it on a terminal and in a notebook, not in a worker process. True shows it everywhere; where
            there is neither, as a line on stderr after 10 seconds and then every 30. False never shows it. A function
            is called with (phase, done, total, words) when a phase begins and after every step; ``words`` name what is
            counted or, in training, give the losses.

    Raises:
        ArgumentError: it is none of these.
    """
    if isinstance(show, Progress):
        return show
    if show is None or isinstance(show, bool):
        return Progress(_fitting_view(show))
    if not callable(show):
        raise ArgumentError(
            f"progress {show!r}: expected True, False, None or a function of (phase, done, total, words)"
        )
    return Progress(_Calls(show))


def aside() -> AbstractContextManager[None]:
    """Make room on the terminal for other lines; bars are redrawn afterwards."""
    if _Bar.kind is None:
        return nullcontext()
    found: AbstractContextManager[None] = _Bar.kind.external_write_mode(file=sys.stderr)
    return found


def _fitting_view(show: bool | None) -> View | None:
    # Of several processes that torchrun started, one speaks; workers of a DataLoader never do.
    if show is False or os.environ.get("RANK", "0") != "0":
        return None
    if show is None and multiprocessing.parent_process() is not None:
        return None
    if _in_notebook():
        return _Widget() if _has_widgets() else _Text()
    if _is_terminal():
        return _Bar()
    return _Lines() if show else None


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def _has_widgets() -> bool:
    if find_spec("ipywidgets") is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other packages say of one another is no news from us
        return import_module("tqdm.notebook").IProgress is not None


class _Calls:
    """A function of the caller."""

    def __init__(self, function: Callback) -> None:
        self._function = function

    def begin(self, phase: Phase, now: float) -> float:
        return self.draw(phase, now)

    def draw(self, phase: Phase, now: float) -> float:  # noqa: ARG002 - called with every step, whatever the time
        self._function(phase.name, phase.done, phase.total, phase.words or phase.unit)
        return -inf

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """The caller sees it in the next phase, or in the result."""


class _Lines:
    """Lines on stderr, for a log file or a pipe."""

    def __init__(self) -> None:
        self._due: float | None = None  # shared by all phases: ten short ones also deserve a line

    def begin(self, phase: Phase, now: float) -> float:  # noqa: ARG002
        if self._due is None:
            self._due = now + _FIRST_LINE
        return self._due

    def draw(self, phase: Phase, now: float) -> float:
        with suppress(OSError, ValueError, AttributeError):  # whoever read it is gone; the work is not
            sys.stderr.write(f"{describe(phase, now)}\n")
            sys.stderr.flush()
        self._due = now + _NEXT_LINE
        return self._due

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """The next line, or the summary, tells."""


class _Bar:
    """tqdm's bar on a terminal; cleared at the end of the phase."""

    kind: Any = None  # the class of bars, from the first one on

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, phase: Phase, now: float) -> float:  # noqa: ARG002
        return now + DELAY

    def draw(self, phase: Phase, now: float) -> float:
        if self._bar is None:
            if _Bar.kind is None:
                from tqdm import tqdm

                _Bar.kind = _worded(tqdm, on_terminal=True)
            self._bar = _begun(_Bar.kind, phase, now, leave=False)
        try:
            _moved(self._bar, phase)
        except OSError:  # the terminal is gone; the work is not
            return inf
        return now + _REDRAW

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:  # noqa: ARG002
        bar, self._bar = self._bar, None
        if bar is None:
            return
        alone = not bar.pos
        with suppress(OSError):
            bar.close()
            if alone:  # also what the terminal wrote beside it, such as ^C
                bar.fp.write(f"\r{' ' * (_columns(bar.fp) - 1)}\r")
                bar.fp.flush()


class _Widget:
    """tqdm's widget in a notebook; it stays below the cell."""

    kind: Any = None

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, phase: Phase, now: float) -> float:  # noqa: ARG002
        return now + DELAY

    def draw(self, phase: Phase, now: float) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._bar is None:
                if _Widget.kind is None:
                    from tqdm.notebook import tqdm

                    _Widget.kind = _worded(tqdm, on_terminal=False)
                self._bar = _begun(_Widget.kind, phase, now, leave=True)
            _moved(self._bar, phase)
        return now + _REDRAW

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:  # noqa: ARG002
        bar, self._bar = self._bar, None
        if bar is None:
            return
        _moved(bar, phase)
        bar.close()
        if not failed and bar.n < bar.total:  # stopped on purpose; tqdm would take it for an error
            bar.display(bar_style="info", check_delay=False)


class _Text:
    """A line of text in a notebook without widgets, updated in place; at the end it says how long the phase took."""

    def __init__(self) -> None:
        self._line: Any = None

    def begin(self, phase: Phase, now: float) -> float:  # noqa: ARG002
        return now + DELAY

    def draw(self, phase: Phase, now: float) -> float:
        self._show(describe(phase, now))
        return now + 10 * _REDRAW

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        if self._line is not None:
            state = " (stopped)" if failed else ""
            self._show(f"{phase.name}: {phase.done:,} {phase.unit} in {duration(now - phase.began)}{state}")
        self._line = None

    def _show(self, line: str) -> None:
        display: Any = import_module("IPython.display").display
        data = {"text/plain": line}
        if self._line is None:
            self._line = display(data, raw=True, display_id=True)
        else:
            self._line.update(data, raw=True)


def describe(phase: Phase, now: float) -> str:
    """``reading: 1,280 of 5,000 pictures (26%), 256 pictures/s, 15 s left``."""
    counted = f"{phase.name}: {phase.done:,} of {phase.total:,} {phase.unit} ({phase.done / max(phase.total, 1):.0%})"
    gone, seconds = phase.done - phase.start, now - phase.began
    pace = _pace(gone, gone / max(seconds, 1e-9), phase.total - phase.done, phase.unit, phase.limit - seconds)
    return ", ".join(filter(None, [counted, *pace, phase.words]))


def duration(seconds: float) -> str:
    """``15 s``, ``14 min`` or ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _pace(gone: int, rate: float, left: int, unit: str, limit: float) -> tuple[str, str]:
    """Speed and time left; empty while too little is done to estimate them: worker processes deliver in bursts."""
    if rate <= 0 or gone < min(_TELLING, 0.01 * (gone + left)):
        return "", ""
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{speed} {unit}/s", f"{duration(max(min(left / rate, limit), 0))} left"


def _worded(kind: Any, *, on_terminal: bool) -> Any:
    """A class of tqdm's bars with our words and without its thread."""

    class Worded(kind):  # type: ignore[misc]
        monitor_interval = 0
        limit = inf
        columns = 0  # of the terminal when it was drawn last

        def display(self, *args: Any, **kwargs: Any) -> Any:
            if on_terminal:
                columns = _columns(self.fp)
                if columns < self.columns:  # tqdm would fill the line up to its old width, and so into the next one
                    self.fp.write(f"\r{' ' * (columns - 1)}")
                    self.sp = self.status_printer(self.fp)
                self.columns = columns
            return super().display(*args, **kwargs)

        @property
        def format_dict(self) -> dict[str, Any]:
            found: dict[str, Any] = super().format_dict
            gone = self.n - self.initial
            rate = found["rate"] or gone / max(found["elapsed"], 1e-9)  # the first is that of late
            speed, left = _pace(gone, rate, self.total - self.n, self.unit, self.limit - found["elapsed"])
            found |= {"speed": speed, "left": left, "words": f"  {self.postfix}" if self.postfix else ""}
            if not on_terminal:
                return found | {"bar_format": _USUAL}
            columns = _columns(self.fp)
            layout = _FULL if columns >= _WIDE else _USUAL if columns >= _NARROW else _SHORT
            return found | {"bar_format": layout, "ncols": max(columns - _SPARE, 8)}

    # tqdm's own lock is also one between processes, which would settle how the user's processes start.
    Worded.set_lock(RLock())
    return Worded


def _begun(kind: Any, phase: Phase, now: float, *, leave: bool) -> Any:
    bar = kind(
        total=max(phase.total, 1), initial=phase.start, desc=phase.name, unit=phase.unit, leave=leave, file=sys.stderr,
        mininterval=0, miniters=0, smoothing=_SMOOTHING, delay=1e-9,  # nothing is drawn before it knows its place
    )  # fmt: skip
    bar.limit = phase.limit
    bar.start_t -= now - phase.began  # the phase began before its bar
    bar.last_print_t = bar.start_t
    return bar


def _moved(bar: Any, phase: Phase) -> None:
    bar.set_postfix_str(phase.words, refresh=False)
    bar.update(min(phase.done, bar.total) - bar.n)


def _columns(stream: Any) -> int:
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        found = 0
    told = os.environ.get("COLUMNS", "")
    return found or (int(told) if told.isdigit() else 0) or 80
