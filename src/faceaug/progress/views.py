"""Views of a phase: tqdm's bar or widget, a line of text, a callback.

Nothing here starts a thread or a timer: the work itself draws the view, at most ten times a second.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from math import inf
from threading import RLock
from typing import Any, TypeAlias

from faceaug.progress.phases import Phase

Callback: TypeAlias = Callable[[str, int, int, str], object]  # phase, done, total, unit or figures

DELAY = 2.0  # seconds; shorter phases are not shown
_REDRAW = 0.1  # seconds between two updates of a bar
_FIRST_LINE = 10.0  # seconds before the first line of a log
_NEXT_LINE = 30.0  # seconds between further lines
_SMOOTHING = 0.03  # weight of a new speed in the moving average; low, because workers deliver in bursts
_TELLING = 10  # items, or a hundredth of all, before speed and time left are estimated
_SPARE = 3  # columns left free for the terminal's ^C, so that clearing the line removes it too
_WIDE, _NARROW = 100, 60  # columns from which the full, and below which the short, form is shown
_FULL = "{desc}: {percentage:3.0f}%|{bar}| {n:,}/{total:,}  {elapsed}  {speed}  {left}{words}"
_USUAL = "{desc}: {percentage:3.0f}%|{bar}| {n:,}/{total:,}  {speed}  {left}{words}"
_SHORT = "{desc}: {percentage:3.0f}%  {left}  {speed}{words}"


class Calls:
    """Calls a function with every step."""

    def __init__(self, function: Callback) -> None:
        self._function = function

    def begin(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        return self.draw(phase, now)

    def draw(self, phase: Phase, now: float) -> float:  # noqa: ARG002 - called with every step, whatever the time
        """See ``View``."""
        self._function(phase.name, phase.done, phase.total, phase.words or phase.unit)
        return -inf

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """Nothing to do: the caller sees the end by the next phase or the result."""


class Lines:
    """Lines on stderr, for a log file or a pipe."""

    def __init__(self) -> None:
        self._due: float | None = None  # shared by all phases, so that a series of short ones also prints lines

    def begin(self, phase: Phase, now: float) -> float:  # noqa: ARG002
        """See ``View``."""
        if self._due is None:
            self._due = now + _FIRST_LINE
        return self._due

    def draw(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        with suppress(OSError, ValueError, AttributeError):  # stderr is closed; the work continues
            sys.stderr.write(f"{phase_line(phase, now)}\n")
            sys.stderr.flush()
        self._due = now + _NEXT_LINE
        return self._due

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """Nothing to do: the next line or the summary shows it."""


class Bar:
    """tqdm's bar on a terminal; cleared at the end of the phase."""

    kind: Any = None  # the class of bars, set by the first one

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        return self.draw(phase, now) if phase.at_once else now + DELAY

    def draw(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        if self._bar is None:
            if Bar.kind is None:
                from tqdm import tqdm

                Bar.kind = _worded(tqdm, on_terminal=True)
            self._bar = _begun(Bar.kind, phase, now, leave=False)
        try:
            _moved(self._bar, phase)
        except OSError:  # the terminal is gone; the work continues
            return inf
        return now + _REDRAW

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:  # noqa: ARG002
        """See ``View``."""
        bar, self._bar = self._bar, None
        if bar is None:
            return
        alone = not bar.pos
        with suppress(OSError):
            bar.close()
            if alone:  # clear the whole line, including the terminal's own ^C
                bar.fp.write(f"\r{' ' * (_columns(bar.fp) - 1)}\r")
                bar.fp.flush()


class Widget:
    """tqdm's widget in a notebook; it stays in the cell's output."""

    kind: Any = None

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        return self.draw(phase, now) if phase.at_once else now + DELAY

    def draw(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._bar is None:
                if Widget.kind is None:
                    from tqdm.notebook import tqdm

                    Widget.kind = _worded(tqdm, on_terminal=False)
                self._bar = _begun(Widget.kind, phase, now, leave=True)
            _moved(self._bar, phase)
        return now + _REDRAW

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:  # noqa: ARG002
        """See ``View``."""
        bar, self._bar = self._bar, None
        if bar is None:
            return
        _moved(bar, phase)
        bar.close()
        if not failed and bar.n < bar.total:  # stopped on purpose; tqdm would show it as an error
            bar.display(bar_style="info", check_delay=False)


class Text:
    """A line of text in a notebook without widgets, updated in place; finally it shows how long the phase took."""

    def __init__(self) -> None:
        self._line: Any = None

    def begin(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        return self.draw(phase, now) if phase.at_once else now + DELAY

    def draw(self, phase: Phase, now: float) -> float:
        """See ``View``."""
        self._show(phase_line(phase, now))
        return now + 10 * _REDRAW

    def end(self, phase: Phase, now: float, *, failed: bool) -> None:
        """See ``View``."""
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


def phase_line(phase: Phase, now: float) -> str:
    """``reading: 1,280 of 5,000 pictures (26%), 256 pictures/s, 15 s left``."""
    counted = f"{phase.name}: {phase.done:,} of {phase.total:,} {phase.unit} ({phase.done / max(phase.total, 1):.0%})"
    fresh = phase.done - phase.start
    seconds = now - phase.began
    pace = _pace(fresh, fresh / max(seconds, 1e-9), phase.total - phase.done, phase.unit, phase.limit - seconds)
    return ", ".join(filter(None, [counted, *pace, phase.words]))


def duration(seconds: float) -> str:
    """``15 s``, ``14 min`` or ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _pace(fresh: int, rate: float, left: int, unit: str, limit: float) -> tuple[str, str]:
    """Speed and time left; empty while too few items are done for an estimate, because workers deliver in bursts.

    ``limit`` is in seconds from now. The last step may continue beyond it; then the work is "stopping".
    """
    if rate <= 0 or fresh < min(_TELLING, 0.01 * (fresh + left)):
        return "", "" if limit > 0 else "stopping"
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{speed} {unit}/s", _time_left(left / rate, limit)


def _time_left(estimate: float, limit: float) -> str:
    """The smaller of the two: at least 1 second while there is work, empty when all is done."""
    if limit <= 0:
        return "stopping"
    return f"{duration(max(min(estimate, limit), 1))} left" if estimate else ""


def _worded(kind: Any, *, on_terminal: bool) -> Any:
    """A subclass of a tqdm bar with our wording and without its monitor thread."""

    class Worded(kind):  # type: ignore[misc]
        monitor_interval = 0
        limit = inf
        columns = 0  # width of the terminal at the last draw

        def display(self, *args: Any, **kwargs: Any) -> Any:
            """Draw the bar again, after cleaning up if the terminal has become narrower."""
            if on_terminal:
                columns = _columns(self.fp)
                if columns < self.columns:  # tqdm would pad to the old width and wrap into the next line
                    self.fp.write(f"\r{' ' * (columns - 1)}")
                    self.sp = self.status_printer(self.fp)
                self.columns = columns
            return super().display(*args, **kwargs)

        @property
        def format_dict(self) -> dict[str, Any]:
            """The values of the bar, with pace and time left in our words."""
            found: dict[str, Any] = super().format_dict
            fresh = self.n - self.initial
            rate = found["rate"] or fresh / max(found["elapsed"], 1e-9)  # the first is the moving average
            speed, left = _pace(fresh, rate, self.total - self.n, self.unit, self.limit - found["elapsed"])
            found |= {"speed": speed, "left": left, "words": f"  {self.postfix}" if self.postfix else ""}
            if not on_terminal:
                return found | {"bar_format": _USUAL}
            columns = _columns(self.fp)
            layout = _FULL if columns >= _WIDE else _USUAL if columns >= _NARROW else _SHORT
            return found | {"bar_format": layout, "ncols": max(columns - _SPARE, 8)}

    # tqdm's default lock uses multiprocessing, which would fix the start method of the user's processes.
    Worded.set_lock(RLock())
    return Worded


def _begun(kind: Any, phase: Phase, now: float, *, leave: bool) -> Any:
    bar = kind(
        total=max(phase.total, 1),
        initial=phase.start,
        desc=phase.name,
        unit=phase.unit,
        leave=leave,
        file=sys.stderr,
        mininterval=0,
        miniters=0,
        smoothing=_SMOOTHING,
        delay=1e-9,  # > 0, so that nothing is drawn before the position is set
    )
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
    variable = os.environ.get("COLUMNS", "")
    return found or (int(variable) if variable.isdigit() else 0) or 80
