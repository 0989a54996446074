"""SIGINT and SIGTERM as requests to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Signals:
    """Records SIGINT and SIGTERM, so that the loop can save before it ends.

    Attributes:
        received: name of the last signal; empty if none arrived.
    """

    def __init__(self) -> None:
        self.received = ""

    def __enter__(self) -> Signals:
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # Python allows handlers in the main thread only
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number).name
