"""Types of the options that name files and folders, and the one check of all output files before a command's work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from faceaug.errors import ArgumentError, printable
from faceaug.storage.outputs import Kind, check_output


class Input(click.Path):
    """A file or folder that a command reads."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


class OutputFolder(click.Path):
    """A folder that a command fills; the command itself refuses one that holds anything else.

    Args:
        or_file: kinds of the file that some calls write instead; the command then checks it.
    """

    def __init__(self, *or_file: Kind) -> None:
        super().__init__(path_type=Path)
        self.kinds = or_file


class OutputFile(click.Path):
    """A file that a command writes, checked before its work.

    Args:
        kinds: the kinds that it can be, by ending.
        later: whether the command itself checks it, once it has opened the folder that it reads.
    """

    def __init__(self, *kinds: Kind, later: bool = False) -> None:
        super().__init__(path_type=Path)
        self.kinds = kinds
        self.later = later


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a file in the way that this command did not write."
)


class CheckedCommand(click.Command):
    """A command that checks all its output files before it does anything else."""

    def invoke(self, ctx: click.Context) -> Any:
        """Check every ``OutputFile`` that the command does not check itself, then run the command."""
        given = [(option, ctx.params.get(option.name or "")) for option in self.params]
        folders = [path for option, path in given if path and isinstance(option.type, Input | OutputFolder)]
        taken: dict[Path, click.Parameter] = {}
        for option, path in given:
            if path and isinstance(option.type, OutputFile) and not option.type.later:
                self._check(ctx, option, option.type, path, folders)
                other = taken.setdefault(path.absolute(), option)
                if other is not option:
                    raise click.BadParameter(f"{printable(path)}: {other.opts[0]} writes the same file", ctx, option)
        return super().invoke(ctx)

    @staticmethod
    def _check(ctx: click.Context, option: click.Parameter, type: OutputFile, path: Path, folders: list[Path]) -> None:
        try:
            check_output(path, type.kinds, overwrite=ctx.params["overwrite"], apart_from=folders)
        except ArgumentError as error:
            raise click.BadParameter(str(error), ctx, option) from error
