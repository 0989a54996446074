"""The command `faceaug split`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from faceaug.commands import options as parsing
from faceaug.commands.console import Console, common_options
from faceaug.commands.outputs import CheckedCommand, OutputFile, overwrite_option
from faceaug.data.marks import SPLIT


@click.command(cls=CheckedCommand, epilog="\b\nExample:\n  faceaug split ./celeba --parts 80/10/10")
@click.argument("folder", type=parsing.INPUT)
@click.option("--parts", default="80/10/10", show_default=True, metavar="SHARES", help="Shares of train, val and test.")
@click.option(
    "--by",
    type=click.Choice(["identity", "class", "picture"]),
    default="identity",
    show_default=True,
    help="What is kept together in one part.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed gives another split.")
@click.option("--out", type=OutputFile(SPLIT, later=True), help="The table.  [default: FOLDER/faceaug-split.csv]")
@overwrite_option
@parsing.layout_option
@common_options
def split(folder: Any, parts: str, by: Any, seed: int, out: Path | None, overwrite: bool, console: Console) -> None:
    """Split a folder into train, val and test by a table; no picture is moved.

    Pictures of one identity stay together, and every part gets its share of each attribute. All commands read the table
    from the folder.
    """
    from faceaug.data.split import parse_shares, split_folder

    report = split_folder(
        folder, parse_shares(parts), by=by, seed=seed, out=out, overwrite=overwrite, progress=console.progress
    )
    console.say(report.summary())
    console.document(report.to_json())
