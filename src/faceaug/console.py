"""Where a command's words go."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import click


class Advance(Protocol):
    """Tells a progress bar where the work is."""

    def __call__(self, done: int, words: str = ..., /) -> None:
        """So much is done in all; words for the end of the line."""
        ...


class Console:
    """Where a command's words go: the summary to stdout, or to stderr when stdout carries JSON."""

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        # Of several processes that torchrun started, one speaks.
        silent = os.environ.get("RANK", "0") != "0"
        self.as_json, self.quiet, self.verbose = as_json and not silent, quiet or silent, verbose

    def say(self, text: str) -> None:
        """A line for people; nothing with -q."""
        if not self.quiet:
            click.echo(text, err=self.as_json)

    def note(self, text: str) -> None:
        """Something odd that is not an error, on stderr."""
        if not self.quiet:
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

    @contextmanager
    def progress(self, label: str, total: int, unit: str, *, eta: bool = True) -> Iterator[Advance]:
        """A bar on a terminal; yields a function that takes the number done, and words.

        Without words the bar shows the rate; without ``eta`` the caller's words say how long it will take, which the
        bar cannot know of work that began in the middle.
        """
        if self.quiet or not sys.stderr.isatty():
            yield lambda _done, _words="", /: None
            return
        began = time.monotonic()
        said = [""]

        def item(_: object) -> str:
            return said[0] or f"{bar.pos / max(time.monotonic() - began, 1e-3):,.0f} {unit}/s"

        def advance(done: int, words: str = "", /) -> None:
            said[0] = words
            bar.update(done - bar.pos, done)

        with click.progressbar(
            length=total, label=label, file=sys.stderr, show_pos=True, item_show_func=item, update_min_steps=1,
            show_eta=eta,
        ) as bar:  # fmt: skip
            yield advance


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
