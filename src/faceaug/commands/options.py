"""Shared options of the commands, and parsers for values that click has no type for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faceaug.commands.outputs import Input, OutputFolder
from faceaug.errors import ArgumentError

if TYPE_CHECKING:
    from faceaug.data.folder import FaceFolder

INPUT = Input()
LEAST = 8  # least side of a picture, pixels
_LAYOUT = click.option(
    "--layout", metavar="NAME", help="Layout of FOLDER if it is ambiguous; see `faceaug info FOLDER`."
)
_GROUND = click.option(
    "--ground", metavar="COLOUR", help="Colour under transparent pixels: a name, or #rrggbb.  [default: white]"
)
_PRECISION = click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="bf16 is faster on some processors; pixels differ by a grey level or two.",
)


def making_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of generated faces, passed to the command as ``making``: arguments of ``SyntheticFaceSource``."""

    @click.option(
        "--with", "present", multiple=True, metavar="ATTRIBUTE", help="Only faces with this attribute (repeatable)."
    )
    @click.option("--without", "absent", multiple=True, metavar="ATTRIBUTE", help="Only faces without it (repeatable).")
    @click.option(
        "--strength",
        type=click.FloatRange(0, 4),
        default=1.0,
        show_default=True,
        help="Strength of the requested attributes; above 1 exaggerates.",
    )
    @click.option(
        "--unasked",
        type=click.Choice(["typical", "kept", "free"]),
        default="typical",
        show_default=True,
        help="Other attributes: typical of real faces, kept from the same face without a request, or left free.",
    )
    @click.option(
        "--truncation", type=float, metavar="LIMIT", help="Squeeze latents into +-LIMIT: more ordinary, less diverse."
    )
    @_PRECISION
    @wraps(command)
    def run(*args: Any, present: tuple[str, ...], absent: tuple[str, ...], **kwargs: Any) -> Any:
        """The command with the attributes asked for as one argument."""
        from faceaug.synthesize.requests import named_attributes

        making = {name: kwargs.pop(name) for name in ("strength", "unasked", "truncation", "precision")}
        return command(*args, making=making | {"attributes": named_attributes(present, absent)}, **kwargs)

    return run


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of how a folder is read; the command gets it opened if any of them is given."""
    return _GROUND(layout_option(command))


def layout_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the layout of a folder alone."""

    @_LAYOUT
    @wraps(command)
    def run(*args: Any, folder: Path | None, layout: str | None, ground: str | None = None, **kwargs: Any) -> None:
        """The command with its folder opened as the options say."""
        from faceaug.data.folder import FaceFolder

        asked = {} if ground is None else {"ground": read_colour(ground)}
        opened = folder if folder is None or (layout is None and not asked) else FaceFolder(folder, layout, **asked)
        command(*args, folder=opened, **kwargs)

    return run


WRITTEN = "imagefolder, parquet, webdataset, celeba, coco, stylegan, splits or classes."


def beside(folder: Path | FaceFolder, layout: str) -> Path:
    """The default output of a conversion, next to the folder."""
    root = (folder if isinstance(folder, Path) else folder.root).absolute()
    return root.with_name(f"{root.stem if root.is_file() else root.name}-{layout}")


def read_colour(text: str) -> tuple[int, int, int]:
    """Parse a colour: a name of CSS, or #rrggbb."""
    from PIL import ImageColor

    try:
        found: tuple[int, ...] = ImageColor.getrgb(text)
    except ValueError:
        found = ()
    if len(found) != 3:
        raise click.BadParameter(f"{text!r} is neither a colour such as white nor #rrggbb", param_hint="--ground")
    return found[0], found[1], found[2]


def read_share(text: str) -> float:
    """Parse a share: 20% or 0.2 as 0.2."""
    number = text.removesuffix("%")
    try:
        value = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is not a share such as 20% or 0.2", param_hint="--max-remove")
    return value


def read_number(text: str, option: str = "--synthetic") -> float | int:
    """Parse a share, or digits alone as a count."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a share nor a count", param_hint=option) from None


def read_size(_: click.Context, __: click.Parameter, text: str | None) -> int | tuple[int, int] | None:
    """Parse a size: 64 as a side, 178x218 as (width, height)."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and int(side) >= LEAST for side in sides):
        raise click.BadParameter(
            f"{text!r} is neither a side such as 64 nor WIDTHxHEIGHT such as 178x218, each at least {LEAST} pixels"
        )
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def read_faults(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Parse --set-aside: names of faults of faces, separated by commas."""
    from faceaug.clean.faults import read_faults as known

    try:
        return known(filter(None, (name.strip() for name in (text or "").split(","))))
    except ArgumentError as error:
        raise click.BadParameter(str(error)) from error


def read_balance(text: str) -> tuple[str, float]:
    """Parse NAME=SHARE; NAME alone means a share of 0.5."""
    name, _, share = text.partition("=")
    try:
        return name, float(share) if share else 0.5
    except ValueError:
        raise click.BadParameter(f"{text!r}: the share is not a number", param_hint="--balance") from None


def read_models(texts: tuple[str, ...]) -> str | dict[str, str] | None:
    """Parse one model, or CLASS=MODEL for each class."""
    if not texts:
        return None
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).exists()):
        return texts[0]
    pairs = [text.partition("=") for text in texts]
    if not all(name and model for name, _, model in pairs):
        raise click.BadParameter("several models: expected CLASS=MODEL for each", param_hint="--model")
    return {name: model for name, _, model in pairs}


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug expand`."""
    for option in reversed(_EXPAND):
        command = option(command)
    return command


_EXPAND = (
    click.option(
        "--copies", type=click.IntRange(min=0), default=1, show_default=True, help="Augmented copies of each face."
    ),
    click.option(
        "--synthetic",
        metavar="SHARE|COUNT",
        help="Generated faces to add.  [default: 0.25 if a bundled model makes faces as large as the pictures, "
        "else none]",
    ),
    click.option(
        "--balance",
        multiple=True,
        metavar="ATTRIBUTE[=SHARE]",
        help="Share of an attribute among copies and generated faces, and by weight overall; 0.5 if not given.",
    ),
    click.option(
        "--recipe", type=INPUT, metavar="PATH|PRESET", help="recipe.toml, light, document or strong.  [default: light]"
    ),
    click.option(
        "--model",
        multiple=True,
        metavar="NAME|PATH",
        help="Model of the generated faces, or CLASS=MODEL for each class folder.  [default: the smallest bundled "
        "model as large as --size, or faces-64]",
    ),
    click.option(
        "--size",
        callback=read_size,
        metavar="SIDE|WxH",
        help="Size of every picture, pixels; other shapes are padded.  [default: unchanged]",
    ),
    click.option(
        "--crop",
        type=click.Choice(["center178", "center140", "square", "none"]),
        help="Part of a picture to use.  [default: the model's if faces are generated, else none]",
    ),
    click.option(
        "--partition", type=click.Choice(["train", "val", "test", "all"]), help="Rows to use.  [default: train]"
    ),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option(
        "--format", "ending", type=click.Choice(["png", "jpg", "webdataset"]), default="png", show_default=True
    ),
    click.option("--only-synthetic", is_flag=True, help="Leave out real faces and audit the rest; needs --copies 0."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes that write.  [default: all cores]"),
    click.option("--replay", metavar="ROW", help="Regenerate one row of an expanded FOLDER, as the picture --out."),
    click.option("--faces", type=INPUT, help="With --replay: current folder of the real faces."),
)


def evaluate_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug evaluate`."""
    for option in reversed(_EVALUATE):
        command = option(command)
    return command


def train_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug train`."""
    for option in reversed(_TRAIN):
        command = option(command)
    return command


def serve_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug serve`."""
    for option in reversed(_SERVE):
        command = option(command)
    return command


_EVALUATE = (
    click.option("--n", type=int, default=5000, show_default=True, help="Number of faces to evaluate."),
    click.option(
        "--extractor",
        type=click.Choice(["efficientnet-lite0", "inception", "attributes-64"]),
        help="Feature extractor.  [default: efficientnet-lite0; for --memorisation attributes-64]",
    ),
    click.option("--weights", type=INPUT, help="File with the weights of inception."),
    click.option("--download", is_flag=True, help="Allow fetching a model OWNER/NAME or the weights of inception."),
    click.option(
        "--partition",
        type=click.Choice(["train", "val", "test", "all"]),
        help="Rows the model was trained on.  [default: train]",
    ),
    click.option(
        "--against",
        type=click.Choice(["train", "val", "test"]),
        help="Rows held out from training.  [default: val, or test]",
    ),
    click.option("--real", type=int, default=25_000, show_default=True, help="Most real faces of each kind to use."),
    click.option(
        "--crop",
        type=click.Choice(["center178", "center140", "square", "none"]),
        help="For two folders: crop of OTHER's pictures.  [default: square]",
    ),
    click.option(
        "--size",
        type=click.IntRange(min=LEAST),
        help="For two folders: side to which all pictures are resized.  [default: the smallest of their usual sides "
        "and the extractor's]",
    ),
    click.option("--memorisation", is_flag=True, help="Only search for training faces among the generated ones."),
    click.option(
        "--usefulness",
        is_flag=True,
        help="Only compare classifiers trained with and without copies and generated faces.",
    ),
    click.option(
        "--attribute",
        "attributes",
        multiple=True,
        metavar="NAME",
        help="For --usefulness: attribute to learn (repeatable).  [default: the ten rarest]",
    ),
    click.option(
        "--fraction",
        default="1.0",
        show_default=True,
        metavar="SHARE|COUNT",
        help="For --usefulness: real faces to use.",
    ),
    click.option(
        "--synthetic",
        default="1.0",
        show_default=True,
        metavar="SHARE|COUNT",
        help="For --usefulness: generated faces to add.",
    ),
    click.option("--no-filter", is_flag=True, help="For --usefulness: use generated faces unfiltered."),
    click.option(
        "--seeds",
        type=click.IntRange(min=1),
        default=3,
        show_default=True,
        help="For --usefulness: training runs of each classifier.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of the faces and of all sampling."),
    click.option("--device", help="Device to compute on.  [default: cpu]"),
)
_SERVE = (
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 admits other machines."
    ),
    click.option(
        "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 chooses a free one."
    ),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME|PATH",
        help="Model to offer (repeatable; the first is the default).  [default: the bundled ones]",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(min=0),
        default=20,
        show_default=True,
        help="Requests for faces per second and client; 0 for no limit.",
    ),
    click.option(
        "--root-path",
        default="",
        metavar="PATH",
        help="URL path of the page behind a reverse proxy, such as /faces.",
    ),
    click.option(
        "--allow-host",
        "allowed_hosts",
        multiple=True,
        metavar="NAME",
        help="Host name that a reverse proxy forwards (repeatable; *.NAME for all subdomains).",
    ),
    _PRECISION,
)
_TRAIN = (
    click.option(
        "--out", "run", type=OutputFolder(), required=True, metavar="RUN", help="Run folder: new, or with --resume."
    ),
    click.option("--classifier", is_flag=True, help="Train an attribute classifier instead of a generator."),
    click.option("--preset", help="Defaults of all fields.  [default: dcgan-32, or what matches --init or --resume]"),
    click.option("--images", type=click.IntRange(min=1), help="Real images to train on.  [default: the preset's]"),
    click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Time limit, saving included."),
    click.option("--resume", is_flag=True, help="Continue the newest checkpoint in RUN."),
    click.option("--init", metavar="MODEL", help="Start from this model's weights."),
    click.option("--size", type=int, help="Side of the faces.  [default: the preset's]"),
    click.option(
        "--crop", type=click.Choice(["center178", "center140", "square", "none"]), help="Part of a picture to use."
    ),
    click.option(
        "--partition", type=click.Choice(["train", "val", "test", "all"]), help="Rows to use.  [default: train]"
    ),
    click.option("--seed", type=int, help="Seed of weights, order and latents.  [default: 0]"),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="[default: auto]"),
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any field of the config (repeatable)."
    ),
    click.option("--device", help="Device to compute on.  [default: the GPU if there is one, else cpu]"),
    click.option("--tensorboard", is_flag=True, help="Also write RUN/tensorboard (needs faceaug[tensorboard])."),
)
