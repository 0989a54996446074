"""SIGINT and SIGTERM as a wish, not a death."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Signals:
    """Notes SIGINT and SIGTERM instead of dying from them; the loop looks after each step.

    Attributes:
        received: name of the last one, empty if none came.
    """

    def __init__(self) -> None:
        self.received = ""

    def __enter__(self) -> Signals:
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number).name
