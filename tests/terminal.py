"""Commands as a person runs them: on a pseudo-terminal, whose screen is what a terminal would show."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyte

ENVIRONMENT = {"TERM": "xterm-256color", "NO_COLOR": None, "COLUMNS": None, "RANK": None}
_ROWS = 24
_PATIENCE = 300  # seconds


@dataclass(frozen=True)
class Seen:
    """How a run ended.

    Attributes:
        code: exit code.
        written: everything that was sent to the terminal.
        screen: what was left on it, line by line as wide as it is, without the spaces at the end.
        stdout: where it was piped; empty otherwise.
        stderr: the same.
    """

    code: int
    written: str
    screen: str
    stdout: str
    stderr: str


@dataclass
class Terminal:
    """A terminal while a command runs on it."""

    master: int
    columns: int
    written: bytearray = field(default_factory=bytearray)
    grown: threading.Condition = field(default_factory=threading.Condition)

    def read(self, over: Callable[[], bool]) -> None:
        """Take what is written until the command is over and nothing more comes."""
        while True:
            ready = select.select([self.master], [], [], 0.02)[0]
            if ready:
                with self.grown:
                    self.written += os.read(self.master, 1 << 16)
                    self.grown.notify_all()
            elif over():
                return

    def wait_for(self, text: str) -> None:
        """Until this was written."""
        with self.grown:
            found = self.grown.wait_for(lambda: text.encode() in self.written, timeout=_PATIENCE)
            assert found, f"{text!r} did not come: {self.written!r}"

    def wait_for_file(self, path: Path) -> None:
        """Until something was written there."""
        end = time.monotonic() + _PATIENCE
        while not (path.is_file() and path.stat().st_size):
            assert time.monotonic() < end, path
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def resize(self, columns: int) -> None:
        """Drag the window; the kernel sends SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))

    def screen(self) -> str:
        """What is on it, as long as nothing was resized."""
        screen = pyte.Screen(self.columns, 500)
        pyte.Stream(screen).feed(self.written.decode())
        return "".join(screen.display).rstrip()


class Zygote:
    """Runs command lines on terminals, in forks of one process that has everything imported."""

    def __init__(self, *paths: Path) -> None:
        """``paths`` come before all others where modules are looked for."""
        environment = os.environ | {"PYTHONPATH": ":".join([*map(str, paths), *sys.path]), "OMP_NUM_THREADS": "1"}
        script = Path(__file__).with_name("zygote.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._answer() == "ready"

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def run(
        self, *arguments: str | Path, cwd: Path, columns: int = 80, env: Mapping[str, str | None] | None = None,
        piped: str = "", wait_in: str = "", meanwhile: Callable[[Terminal, Path], None] = lambda _, __: None,
    ) -> Seen:  # fmt: skip
        """Run `faceaug` with these arguments.

        Args:
            arguments: of the command line.
            cwd: the current folder.
            columns: of the terminal.
            env: changes to the environment.
            piped: "stdout" or "stderr" where it does not go to the terminal.
            wait_in: a phase in whose middle the command waits for the file that ``meanwhile`` is given.
            meanwhile: what a person does while it runs.
        """
        streams = {name: str(cwd / f".{name}") if name == piped else None for name in ("stdout", "stderr")}
        with _terminal(columns) as (terminal, name):
            request = streams | {
                "arguments": [*map(str, arguments)], "cwd": str(cwd), "env": ENVIRONMENT | dict(env or {}),
                "terminal": name, "wait_in": wait_in, "go": str(cwd / ".go"),
            }  # fmt: skip
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            codes: list[int] = []
            waiter = threading.Thread(target=lambda: codes.append(int(self._answer())))
            reader = threading.Thread(target=terminal.read, args=(lambda: bool(codes),))
            waiter.start()
            reader.start()
            meanwhile(terminal, cwd / ".go")
            waiter.join()
            reader.join()
        texts = [Path(path).read_text() if path else "" for path in streams.values()]
        return Seen(codes[0], terminal.written.decode(), terminal.screen(), *texts)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()


@contextmanager
def _terminal(columns: int) -> Iterator[tuple[Terminal, str]]:
    master, slave = pty.openpty()  # the slave stays open, or the terminal would be gone between two writers
    terminal = Terminal(master, columns)
    terminal.resize(columns)
    try:
        yield terminal, os.ttyname(slave)
    finally:
        os.close(slave)
        os.close(master)
