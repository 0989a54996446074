"""Where a command's words go, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import click

from faceaug.errors import FaceAugError, Interrupted, printable
from faceaug.progress import aside


class Console:
    """Where a command's words go: the summary to stdout, or to stderr when stdout carries JSON.

    Attributes:
        began: ``time.monotonic()`` when the command began.
    """

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        # Of several processes that torchrun started, one speaks.
        silent = os.environ.get("RANK", "0") != "0"
        self.began = time.monotonic()
        self.as_json, self.quiet, self.verbose = as_json and not silent, quiet or silent, verbose

    def say(self, text: str) -> None:
        """A line for people; nothing with -q."""
        if not self.quiet:
            with aside():
                click.echo(text, err=self.as_json)

    def note(self, text: str) -> None:
        """Something odd that is not an error, on stderr."""
        if not self.quiet:
            with aside():
                click.echo(f"note: {text}", err=True)

    def detail(self, lines: list[str] | tuple[str, ...], *, limit: int = 10) -> None:
        """A list of findings: the first few, all with -v."""
        shown = lines if self.verbose else lines[:limit]
        for line in shown:
            self.say(f"  {line}")
        if len(shown) < len(lines):
            self.say(f"  ... and {len(lines) - len(shown)} more (-v shows all)")

    def document(self, value: dict[str, Any]) -> None:
        """The one JSON document on stdout, with --json."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace"))

    @property
    def progress(self) -> bool:
        """Whether long work shows its progress: a bar on a terminal, a line now and then elsewhere."""
        return not self.quiet


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --json, -q and -v, handed to the command as one Console."""

    def with_console(*args: Any, as_json: bool, quiet: bool, verbose: bool, **kwargs: Any) -> None:
        command(*args, console=Console(as_json=as_json, quiet=quiet, verbose=verbose), **kwargs)

    with_console.__doc__ = command.__doc__
    with_console.__name__ = command.__name__
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="List everything; tracebacks for unexpected errors."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; words go to stderr."),
    ):
        with_console = option(with_console)
    return with_console


def use_large_pages() -> None:
    """Let torch keep its large arrays in large pages of memory, where the system has them; before it makes the first.

    Every layer takes new memory for what it makes, and the system hands it out page by page: measuring faces spent half
    of its time in that. Whoever has set the variable already is left alone.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def run_to_the_end(command: click.Group) -> NoReturn:
    """Run a command line; every ending has one clear line on stderr and the exit code of its error."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code, message = _ending(command)
    finally:
        signal.signal(signal.SIGTERM, before)
    if message:
        over = "\r" if code == Interrupted.exit_code and sys.stderr.isatty() else ""  # the terminal's own ^C
        click.echo(f"{over}faceaug: {' '.join(message.split())}", err=True)
        if "--json" in sys.argv:
            click.echo(json.dumps({"error": message, "exit_code": code}))
    sys.exit(code)


def _ending(command: click.Group) -> tuple[int, str]:
    """Run the command; its exit code, and what to say of it where it failed."""
    try:
        command.main(args=sys.argv[1:] or ["--help"], prog_name="faceaug", standalone_mode=False)
    except click.UsageError as error:
        place = error.ctx.command_path if error.ctx else "faceaug"
        return 2, f"{error.format_message()} See: {place} --help"
    except click.ClickException as error:
        return error.exit_code, error.format_message()
    except FaceAugError as error:
        return error.exit_code, str(error)
    except (KeyboardInterrupt, click.Abort):
        return Interrupted.exit_code, "interrupted"
    except BrokenPipeError:
        return 1, ""
    except Exception as error:  # noqa: BLE001 - a fault of ours: still one line, and the traceback on request
        if "-v" in sys.argv or "--verbose" in sys.argv:
            traceback.print_exc()
        return 1, _explain(error)
    return 0, ""


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # a failing disk or terminal, outside what the journal does
        place = f" for {printable(error.filename)}" if error.filename else ""
        return f"the system reports {error.strerror!r}{place}; -v shows where"
    return f"unexpected {type(error).__name__}: {error}; -v shows where"


def _terminate(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    if "-q" not in sys.argv and "--quiet" not in sys.argv:
        with aside():
            click.echo(f"note: {message}", err=True)
