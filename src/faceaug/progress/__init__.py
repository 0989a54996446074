"""Progress of long work: a bar on a terminal, a widget in a notebook, periodic lines elsewhere, and log records.

::

    work --Progress.phase("reading", 5000, "pictures")--> Phase.advance() --> a view, once the phase lasts --> tqdm
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from faceaug.errors import ArgumentError
from faceaug.progress.phases import Phase, View
from faceaug.progress.views import Bar, Callback, Calls, Lines, Text, Widget

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Show: TypeAlias = "bool | Callback | Progress | None"


class Progress:
    """Shows the phases of one call, one after another.

    Args:
        view: draws them; None shows nothing.
        clock: returns seconds, like ``time.monotonic``.
    """

    def __init__(self, view: View | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._clock = clock

    @contextmanager
    def phase(
        self, name: str, total: int, unit: str, *, start: int = 0, limit: float = inf, at_once: bool = False
    ) -> Iterator[Phase]:
        """Open a phase of the work; see ``Phase``."""
        phase = Phase(name, total, unit, start=start, limit=limit, at_once=at_once, view=self._view, clock=self._clock)
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
        show: None shows it on a terminal and in a notebook, but not in worker processes. True also shows it elsewhere,
            as a line on stderr after 10 seconds and then every 30. False never shows it. A function is called with
            (phase, done, total, words) when a phase begins and after every step; ``words`` is the unit or, in
            training, the losses.

    Raises:
        ArgumentError: ``show`` is none of these.
    """
    if isinstance(show, Progress):
        return show
    if show is None or isinstance(show, bool):
        return Progress(_fitting_view(show))
    if not callable(show):
        raise ArgumentError(
            f"progress {show!r}: expected True, False, None or a function of (phase, done, total, words)"
        )
    return Progress(Calls(show))


def aside() -> AbstractContextManager[None]:
    """Make room on the terminal for other lines; bars are redrawn afterwards."""
    if Bar.kind is None:
        return nullcontext()
    found: AbstractContextManager[None] = Bar.kind.external_write_mode(file=sys.stderr)
    return found


def _fitting_view(show: bool | None) -> View | None:
    # Under torchrun only rank 0 prints; DataLoader workers never do.
    if show is False or os.environ.get("RANK", "0") != "0":
        return None
    if show is None and multiprocessing.parent_process() is not None:
        return None
    if _in_notebook():
        return Widget() if _has_widgets() else Text()
    if _is_terminal():
        return Bar()
    return Lines() if show else None


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
        warnings.simplefilter("ignore")  # warnings of other packages about each other
        return import_module("tqdm.notebook").IProgress is not None
