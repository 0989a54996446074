"""The command `faceaug convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from faceaug.commands import options as parsing
from faceaug.commands.console import Console, common_options
from faceaug.commands.outputs import CheckedCommand, OutputFolder


@click.command(cls=CheckedCommand, epilog="\b\nExample:\n  faceaug convert ./celeba --to coco --out ./celeba-coco")
@click.argument("folder", type=parsing.INPUT)
@click.option("--to", "kind", required=True, metavar="LAYOUT", help=parsing.WRITTEN)
@click.option("--out", type=OutputFolder(), help="A new or empty folder outside FOLDER.  [default: FOLDER-LAYOUT]")
@parsing.reading_options
@common_options
def convert(folder: Any, kind: str, out: Path | None, console: Console) -> None:
    """Write a folder of faces in another layout, for another program. FOLDER stays unchanged.

    Files of JPEG, PNG and WebP are copied where every program shows them alike; others become PNG. What the layout
    cannot hold is named.
    """
    from faceaug.data.convert import convert_folder

    report = convert_folder(
        folder, parsing.beside(folder, kind) if out is None else out, kind, progress=console.progress
    )
    console.say(report.summary())
    console.document(report.to_json())
