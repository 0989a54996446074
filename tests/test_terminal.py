"""Commands as a person runs them: on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path


def on_a_terminal(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Run faceaug with a pseudo-terminal as its input, output and errors: exit code and what was on the screen."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "faceaug", *arguments]
    with subprocess.Popen(command, cwd=cwd, stdin=child, stdout=child, stderr=child) as process:
        os.close(child)
        screen = b""
        try:
            while part := os.read(parent, 4096):
                screen += part
        except OSError:  # Linux says so when the last writer is gone
            pass
        os.close(parent)
    return process.returncode, screen.decode()


def test_a_command_with_a_progress_bar_works_on_a_terminal(tmp_path: Path) -> None:
    code, screen = on_a_terminal("synth", "--n", "3", "--out", "extra", cwd=tmp_path)
    assert code == 0, screen
    assert "faces/s" in screen
    assert screen.rstrip().endswith("in extra")
