"""`faceaug align`: its options, and which of its two works they ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faceaug.commands.console import Console, common_options
from faceaug.commands.options import INPUT, read_size, reading_options
from faceaug.commands.outputs import CheckedCommand, OutputFolder

if TYPE_CHECKING:
    from faceaug.data.folder import FaceFolder

_OPTIONS = (
    click.option("--out", type=OutputFolder(), help="A new or empty folder outside FOLDER."),
    click.option(
        "--check", is_flag=True, help="Write nothing: only tell by which template the faces of FOLDER are aligned."
    ),
    click.option(
        "--template",
        type=click.Choice(["celeba", "celeba-square", "ffhq", "arcface"]),
        default="celeba",
        show_default=True,
        help="Where the face lies: 178x218, 178x178, 1024x1024 or 112x112 pixels unless --size is given.",
    ),
    click.option(
        "--size",
        callback=read_size,
        metavar="SIDE|WxH",
        help="Size of every picture, pixels; the template covers it.  [default: the template's]",
    ),
    click.option(
        "--faces",
        type=click.Choice(["largest", "all", "center"]),
        default="largest",
        show_default=True,
        help="Which faces of a photo.",
    ),
    click.option(
        "--padding",
        type=click.Choice(["replicate", "reflect", "blur"]),
        help="What lies outside a photo.  [default: blur with ffhq, else replicate]",
    ),
    click.option(
        "--min-eyes",
        type=click.FloatRange(min=0),
        default=10.0,
        show_default=True,
        help="Leave out faces whose eyes are closer together in the photo, pixels.",
    ),
    click.option("--format", "ending", type=click.Choice(["png", "jpg"]), default="png", show_default=True),
    click.option("--workers", type=click.IntRange(min=1), help="Processes that align.  [default: all cores]"),
)


def align_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug align`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=CheckedCommand, epilog="\b\nExample:\n  faceaug align ./photos --out ./faces")
@click.argument("folder", type=INPUT)
@align_options
@reading_options
@common_options
def align(
    folder: Path | FaceFolder, out: Path | None, check: bool, ending: Any, workers: int | None, console: Console,
    **options: Any,
) -> None:  # fmt: skip
    """Find the faces in a folder of photos, and write each aligned, with its landmarks. FOLDER stays unchanged.

    Photos with no face, several, a tiny or a turned one are shown in OUT/report.html.
    """
    if check == (out is not None):
        raise click.UsageError("expected --out OUT, or --check to look at faces that are aligned already")
    if check:
        from faceaug.faces.check import check_alignment

        found = check_alignment(folder, workers=workers, progress=console.progress)
        console.say(found.summary())
        console.document(found.to_json())
        return
    from faceaug.faces.align import align_folder

    report = align_folder(folder, out, format=ending, workers=workers, progress=console.progress, **options)
    console.say(report.summary(verbose=console.verbose))
    console.document(report.to_json())
