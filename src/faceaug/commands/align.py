"""`faceaug align`: its options, and which of its works they ask for; and --align of other commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from faceaug.commands.cluster import on_option
from faceaug.commands.console import Console, common_options
from faceaug.commands.options import INPUT, read_size, reading_options
from faceaug.commands.outputs import CheckedCommand, OutputFolder, overwrite_option
from faceaug.data.marks import LANDMARK_KIND
from faceaug.errors import RefusedError, printable

if TYPE_CHECKING:
    from faceaug.data.folder import FaceFolder
    from faceaug.executor import Executor
    from faceaug.faces import AlignmentCheck, AlignReport, LandmarkReport

TEMPLATES = ("celeba", "celeba-square", "ffhq", "arcface")
_OPTIONS = (
    click.option(
        "--out",
        type=OutputFolder(LANDMARK_KIND),
        help="A new or empty folder outside FOLDER; with --only-landmarks the table.  [default of that: "
        "FOLDER/landmarks.csv]",
    ),
    click.option(
        "--check", is_flag=True, help="Write nothing: only tell by which template the faces of FOLDER are aligned."
    ),
    click.option(
        "--only-landmarks",
        is_flag=True,
        help="Align nothing: only add a table of landmarks for the pictures of FOLDER that have none.",
    ),
    click.option(
        "--template",
        type=click.Choice(TEMPLATES),
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

_OF_ALIGNING = ("template", "size", "faces", "padding", "min_eyes", "ending")  # options that change aligned pictures


def align_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug align`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def photo_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of how a folder is read, and --align, which opens a folder of photos as their aligned faces."""
    return reading_options(_align_option(command))


def _align_option(command: Callable[..., None]) -> Callable[..., None]:
    @click.option(
        "--align",
        "template",
        type=click.Choice(TEMPLATES),
        help="FOLDER holds photos: use their largest faces, aligned like this. They are kept in a cache.",
    )
    @wraps(command)
    def run(*args: Any, folder: Path | FaceFolder, template: Any, **kwargs: Any) -> None:
        """The command with its folder aligned."""
        if template is not None:
            from faceaug.faces.align_cache import open_aligned

            _refuse_inside(folder, kwargs.get("out") or kwargs.get("run"))
            console = Console(**{name: kwargs[name] for name in ("as_json", "quiet", "verbose")})
            folder = open_aligned(folder, template=template, progress=console.progress)
            console.note(f"{len(folder):,} aligned faces, in {printable(folder.root)}")
        command(*args, folder=folder, **kwargs)

    return run


def _refuse_inside(folder: Path | FaceFolder, out: Path | None) -> None:
    """Refuse an output in the folder of photos; later checks know only that of the aligned faces."""
    photos = folder if isinstance(folder, Path) else folder.root
    if out is not None and out.resolve().is_relative_to(photos.resolve()):
        raise RefusedError(f"{printable(out)} lies inside {printable(photos)}: choose an output folder outside it")


def _check_work(context: click.Context, out: Path | None, *, check: bool, only_landmarks: bool) -> None:
    """Refuse options that exclude each other, or that have no effect on what is done."""
    if check and only_landmarks:
        raise click.UsageError("--check writes nothing and --only-landmarks a table: give one of them")
    if check and out:
        raise click.UsageError("--check writes nothing: leave out --out")
    if not (check or only_landmarks or out):
        raise click.UsageError(
            "expected one of --out OUT (write the faces aligned), --check (say how faces are aligned) and "
            "--only-landmarks (add a table of landmarks)"
        )
    work = "--check" if check else "--only-landmarks" if only_landmarks else "--out"
    idle = {
        "--check": (*_OF_ALIGNING, "overwrite", "on"),
        "--only-landmarks": (*_OF_ALIGNING, "on"),
        "--out": ("overwrite",),
    }[work]
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name in idle and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        are = "has" if len(given) == 1 else "have"
        other = " without --only-landmarks" if work == "--out" else f" with {work}"
        raise click.UsageError(f"{', '.join(given)} {are} no effect{other}")


@click.command(cls=CheckedCommand, epilog="\b\nExample:\n  faceaug align ./photos --out ./faces")
@click.argument("folder", type=INPUT)
@align_options
@on_option(torch=False)
@overwrite_option
@reading_options
@common_options
def align(
    folder: Path | FaceFolder, out: Path | None, check: bool, only_landmarks: bool, ending: Any, workers: int | None,
    executor: Executor | None, overwrite: bool, console: Console, **options: Any,
) -> None:  # fmt: skip
    """Find the faces in a folder of photos, and write each aligned, with its landmarks.

    Photos with no face, several, a tiny or a turned one are shown in OUT/report.html. FOLDER stays unchanged, except
    that --only-landmarks adds a file to it.
    """
    _check_work(click.get_current_context(), out, check=check, only_landmarks=only_landmarks)
    report: AlignmentCheck | LandmarkReport | AlignReport
    if check:
        from faceaug.faces.check import check_alignment

        report = check_alignment(folder, workers=workers, progress=console.progress)
    elif only_landmarks:
        from faceaug.faces.landmarks_only import find_landmarks

        report = find_landmarks(folder, out, workers=workers, overwrite=overwrite, progress=console.progress)
    else:
        from faceaug.faces.align import align_folder

        report = align_folder(
            folder,
            cast("Path", out),
            format=ending,
            workers=workers,
            executor=executor,
            progress=console.progress,
            **options,
        )
    console.say(report.summary(verbose=console.verbose))
    console.document(report.to_json())
