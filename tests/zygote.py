"""Started by tests/terminal.py: has everything imported, and runs each command line in a fork of itself.

A line of JSON on stdin asks for a run, a line on stdout says how it ended. Bars are shown at once and drawn with every
step, and what takes its time is made small.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# Everything that a command imports, or each run would import it again; the first optimizer imports torch._dynamo.
import torch._dynamo  # noqa: F401

import faceaug.augment.preview
import faceaug.clean
import faceaug.commands.demo
import faceaug.commands.doctor
import faceaug.commands.evaluate
import faceaug.commands.expand
import faceaug.synthesize.convert
import faceaug.synthesize.toggles
from faceaug.cli import main
from faceaug.progress import phases, views
from faceaug.train import TrainConfig, config, export

with suppress(ImportError):
    import faceaug.serve.server

views.DELAY = views._REDRAW = views._FIRST_LINE = views._NEXT_LINE = 0.0
faceaug.commands.demo.FACES = 120
export._STATISTICS_BATCHES = 2
config.PRESETS["tiny"] = TrainConfig(
    z_size=8, g_conv_dim=4, d_conv_dim=4, batch=8, images=32, precision="fp32", checkpoint_every=16, log_every=8
)


def wait_in(phase: str, file: str) -> None:
    """In the middle of a phase, after it was drawn, wait until a file is there."""
    reach = phases.Phase.reach

    def reach_and_wait(self: phases.Phase, done: int, words: str | None = None) -> None:
        reach(self, done, words)
        while self.name == phase and done > self.start and not Path(file).exists():
            time.sleep(0.01)

    phases.Phase.reach = reach_and_wait  # type: ignore[method-assign]


def become(run: dict[str, Any]) -> None:
    """Take the terminal, the streams and the environment of a run."""
    os.setsid()  # the next terminal that is opened is this process's own: ^C and its size reach it
    terminal = os.open(run["terminal"], os.O_RDWR)
    for number, name in enumerate((None, run["stdout"], run["stderr"])):
        target = terminal if name is None else os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest may be a job in the background
    os.chdir(run["cwd"])
    for name, value in run["env"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if run["wait_in"]:
        wait_in(run["wait_in"], run["go"])
    sys.argv = ["faceaug", *run["arguments"]]


def leave(command: Callable[[], NoReturn]) -> NoReturn:
    """Run to the end, clean up, and be gone: to take torch apart would take longer than most commands do."""
    try:
        command()
    except SystemExit as end:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


gc.freeze()  # pages that no collection touches are shared with all forks
answers = os.fdopen(os.dup(1), "w")
answers.write("ready\n")
answers.flush()
while line := sys.stdin.buffer.readline():
    child = os.fork()
    if not child:
        become(json.loads(line))
        leave(main)
    _, status = os.waitpid(child, 0)
    answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
    answers.flush()
os._exit(0)
