"""`--on ray`: the option with which a command works on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from faceaug.errors import ArgumentError


def on_option(*, torch: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --on; the command gets ``executor``, None without the option.

    Args:
        torch: whether the processes of the cluster use torch, so that its versions are compared, too.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        """The command with the option."""

        @click.option(
            "--on",
            metavar="ray[:ADDRESS]",
            callback=_read,
            help="Work on Ray: ray starts it on this machine, ray:auto and ray:HOST:PORT join a cluster whose machines "
            "see the folders under the same paths.",
        )
        @wraps(command)
        def run(*args: Any, on: tuple[str | None] | None, **kwargs: Any) -> Any:
            """The command with its executor."""
            if on is None:
                return command(*args, executor=None, **kwargs)
            from faceaug.cluster import open_ray

            workers = kwargs.get("workers")
            if on[0] is not None and workers is not None:
                raise click.UsageError("--workers has no effect on a cluster, which has its own; leave it out")
            with open_ray(on[0], workers=workers, torch=torch) as executor:
                return command(*args, executor=executor, **kwargs)

        return run

    return add


def _read(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str | None] | None:
    """Parse --on: (address,), or None if it is not given."""
    if text is None:
        return None
    from faceaug.cluster.ray_engine import read_address

    try:
        return (read_address(text),)
    except ArgumentError as error:
        raise click.BadParameter(str(error)) from error
