"""The output of a command, and its exit code."""

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

from faceaug.commands.outputs import CheckedCommand
from faceaug.errors import FaceAugError, Interrupted, printable
from faceaug.progress import aside


class Commands(click.Group):
    """A group of commands that check their outputs first; Ctrl-C ends it with one line."""

    command_class = CheckedCommand

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        # Caught here, because click would print an empty line first.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; finished work is kept, run the same command to continue") from None


class Console:
    """The output of a command: text goes to stdout, or to stderr when stdout carries JSON.

    Attributes:
        began: ``time.monotonic()`` at the start of the command.
    """

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        silent = os.environ.get("RANK", "0") != "0"  # under torchrun only rank 0 prints
        self.began = time.monotonic()
        self.as_json = as_json and not silent
        self.quiet = quiet or silent
        self.verbose = verbose

    def say(self, text: str) -> None:
        """Print a line of text, unless -q is given."""
        if not self.quiet:
            with aside():
                click.echo(text, err=self.as_json)

    def note(self, text: str) -> None:
        """Print a warning on stderr, unless -q is given."""
        if not self.quiet:
            with aside():
                click.echo(f"note: {text}", err=True)

    def detail(self, lines: list[str] | tuple[str, ...], *, limit: int = 10) -> None:
        """Print a list of findings: the first few, or all with -v."""
        shown = lines if self.verbose else lines[:limit]
        for line in shown:
            self.say(f"  {line}")
        if len(shown) < len(lines):
            self.say(f"  ... and {len(lines) - len(shown)} more (-v shows all)")

    def document(self, value: dict[str, Any]) -> None:
        """Print the JSON document on stdout, with --json."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace"))

    @property
    def progress(self) -> bool:
        """Whether to show the progress of long work."""
        return not self.quiet


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --json, -q and -v, passed to the command as one ``Console``."""

    def with_console(*args: Any, as_json: bool, quiet: bool, verbose: bool, **kwargs: Any) -> None:
        """The command with its three options as one console."""
        command(*args, console=Console(as_json=as_json, quiet=quiet, verbose=verbose), **kwargs)

    with_console.__doc__ = command.__doc__
    with_console.__name__ = command.__name__
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="List everything; show tracebacks of unexpected errors."),
        click.option("-q", "--quiet", is_flag=True, help="Print only errors."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout; text goes to stderr."),
    ):
        with_console = option(with_console)
    return with_console


def use_large_pages() -> None:
    """Let torch allocate large tensors in huge pages, if the system has them. Call it before torch is used.

    Every layer allocates its output anew, and the kernel maps it page by page: evaluation spent half of its time on
    that. A value set by the user is kept.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def run_to_the_end(command: click.Group) -> NoReturn:
    """Run a command line; every failure prints one line on stderr and exits with the code of its error."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code, message = _ending(command)
    finally:
        signal.signal(signal.SIGTERM, before)
    if message:
        over = "\r" if code == Interrupted.exit_code and sys.stderr.isatty() else ""  # overwrite the terminal's ^C
        click.echo(f"{over}faceaug: {' '.join(message.split())}", err=True)
        if "--json" in sys.argv:
            click.echo(json.dumps({"error": message, "exit_code": code}))
    sys.exit(code)


def _ending(command: click.Group) -> tuple[int, str]:
    """Run the command. Returns the exit code and an error message, empty on success."""
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
    except Exception as error:  # noqa: BLE001 - a bug: one line, and the traceback with -v
        if "-v" in sys.argv or "--verbose" in sys.argv:
            traceback.print_exc()
        return 1, _explain(error)
    return 0, ""


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # a failing disk or terminal
        place = f" for {printable(error.filename)}" if error.filename else ""
        return f"the system reports {error.strerror!r}{place}; -v shows where"
    return f"unexpected {type(error).__name__}: {error}; -v shows where"


def _terminate(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    if "-q" not in sys.argv and "--quiet" not in sys.argv:
        with aside():
            click.echo(f"note: {message}", err=True)
