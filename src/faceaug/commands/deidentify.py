"""`faceaug deidentify`: its options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faceaug.commands.console import Console, common_options
from faceaug.commands.options import INPUT, reading_options
from faceaug.commands.outputs import CheckedCommand, OutputFolder

if TYPE_CHECKING:
    from faceaug.data.folder import FaceFolder

_VALUES = {"1": 1, "-1": -1}


def read_attributes(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    """Parse ``Smiling=1`` and ``Eyeglasses=-1``; a name alone means 1."""
    found: dict[str, int] = {}
    for text in (part.strip() for given in texts for part in given.split(",")):
        name, equals, value = text.partition("=")
        if not name or (equals and value not in _VALUES):
            raise click.BadParameter(f"{text!r}: expected NAME=1 (with) or NAME=-1 (without)")
        found[name] = _VALUES.get(value, 1)
    return found


def read_names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """Parse names with commas between them; "none" is an empty list, None stays None."""
    if text is None:
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(","))


_OPTIONS = (
    click.option("--out", type=OutputFolder(), required=True, help="A new or empty folder outside FOLDER."),
    click.option(
        "--with",
        "how",
        type=click.Choice(["blur", "mosaic", "fill", "synthetic"]),
        default="blur",
        show_default=True,
        help="What hides a face; fill is one grey, synthetic a generated face.",
    ),
    click.option(
        "--drop",
        type=click.Choice(["names", "identities", "labels", "columns"]),
        multiple=True,
        help="Leave out what may name people (repeatable); without names, pictures are numbered.",
    ),
    click.option(
        "--attributes",
        multiple=True,
        callback=read_attributes,
        metavar="NAME=1|-1,...",
        help="Attributes of every synthetic face, such as Smiling=1,Eyeglasses=-1 (repeatable).",
    ),
    click.option(
        "--keep",
        callback=read_names,
        metavar="NAME,...|none",
        help="Attributes that a synthetic face takes over from the real one.  [default: Male,Young,Smiling,Eyeglasses]",
    ),
    click.option(
        "--threshold",
        type=click.FloatRange(0.1, 1),
        help="Hide what the detector gives this score, and the network that reads landmarks 0.6 of it, or more; "
        "doubtful faces are listed.  [default: 0.35]",
    ),
    click.option("--min-face", type=click.IntRange(min=8), help="Size of the smallest faces, pixels.  [default: 16]"),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of synthetic faces."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: all cores]"),
)


def deidentify_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug deidentify`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=CheckedCommand, epilog="\b\nExample:\n  faceaug deidentify ./photos --out ./hidden --with mosaic")
@click.argument("folder", type=INPUT)
@deidentify_options
@reading_options
@common_options
def deidentify(folder: Path | FaceFolder, out: Path, console: Console, **options: Any) -> None:
    """Hide every face in a folder of photos, and write it as a new folder without EXIF.

    OUT/report.html shows the pictures in which nothing was found, or that are in doubt: look at them before you pass
    the pictures on. If you see a face, lower --threshold, or delete the picture and its row. report.html (it shows
    pictures as they are in OUT), deidentify.json and metadata.csv are for you, and not to be passed on. FOLDER stays
    unchanged. --with synthetic is not anonymity: hair, clothes and place remain.
    """
    from faceaug.deidentify import deidentify_folder

    given = {name: value for name, value in options.items() if value is not None}
    report = deidentify_folder(folder, out, progress=console.progress, **given)
    console.say(report.summary(verbose=console.verbose))
    console.document(report.to_json())
