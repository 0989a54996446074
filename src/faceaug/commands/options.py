"""How the command line reads values that click has no type for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from faceaug.errors import printable

FOLDER = click.Path(path_type=Path)
_PRECISION = click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True,
    help="bf16 is faster on some processors, and a grey level or two off.",
)  # fmt: skip


def making_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What generated faces should be like; the command gets it as ``making``, arguments of ``SyntheticFaceSource``."""

    @click.option("--with", "present", multiple=True, metavar="ATTRIBUTE", help="Only faces with it (repeatable).")
    @click.option("--without", "absent", multiple=True, metavar="ATTRIBUTE", help="Only faces without it (repeatable).")
    @click.option(
        "--strength",
        type=click.FloatRange(0, 4),
        default=1.0,
        show_default=True,
        help="How strongly attributes are asked for; above 1 exaggerates.",
    )
    @click.option(
        "--unasked",
        type=click.Choice(["typical", "kept", "free"]),
        default="typical",
        show_default=True,
        help="Other attributes: those of real faces that fit, of the face without the wish, or left to the generator.",
    )
    @click.option(
        "--truncation", type=float, metavar="LIMIT", help="Cut latent numbers off here: plainer, less diverse."
    )
    @_PRECISION
    @wraps(command)
    def run(*args: Any, present: tuple[str, ...], absent: tuple[str, ...], **kwargs: Any) -> Any:
        from faceaug.synthesize.asking import named_attributes

        making = {name: kwargs.pop(name) for name in ("strength", "unasked", "truncation", "precision")}
        return command(*args, making=making | {"attributes": named_attributes(present, absent)}, **kwargs)

    return run


def in_a_folder(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Find out before the work, not after it, that a file cannot be written."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise click.BadParameter(f"{printable(path)}: expected the name of a file in a folder that exists")
    return path


def read_share(text: str) -> float:
    """20% or 0.2 as 0.2."""
    number = text.removesuffix("%")
    try:
        value = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is not a share such as 20% or 0.2", param_hint="--max-remove")
    return value


def read_number(text: str, option: str = "--synthetic") -> float | int:
    """A share, or digits alone as a count."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a share nor a count", param_hint=option) from None


def read_balance(text: str) -> tuple[str, float]:
    """NAME=SHARE, or NAME for a half."""
    name, _, share = text.partition("=")
    try:
        return name, float(share) if share else 0.5
    except ValueError:
        raise click.BadParameter(f"{text!r}: the share is not a number", param_hint="--balance") from None


def read_models(texts: tuple[str, ...]) -> str | dict[str, str] | None:
    """One model, or CLASS=MODEL for each class."""
    if not texts:
        return None
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).exists()):
        return texts[0]
    pairs = [text.partition("=") for text in texts]
    if not all(name and model for name, _, model in pairs):
        raise click.BadParameter("several models: write CLASS=MODEL for each", param_hint="--model")
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
        "--synthetic", default="0.25", show_default=True, metavar="SHARE|COUNT", help="Generated faces to add."
    ),
    click.option(
        "--balance",
        multiple=True,
        metavar="ATTRIBUTE[=SHARE]",
        help="Copy rare faces up to this share, 0.5 if not given.",
    ),
    click.option(
        "--recipe", type=FOLDER, metavar="PATH|PRESET", help="recipe.toml, light, document or strong.  [default: light]"
    ),
    click.option(
        "--model",
        multiple=True,
        metavar="NAME|PATH",
        help="Of the generated faces; CLASS=MODEL for each class of class folders.  [default: dcgan-32]",
    ),
    click.option("--size", type=click.IntRange(min=8), help="Side of every picture.  [default: the model's]"),
    click.option(
        "--partition", type=click.Choice(["train", "val", "test", "all"]), help="Rows to use.  [default: train]"
    ),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option(
        "--format", "ending", type=click.Choice(["png", "jpg", "webdataset"]), default="png", show_default=True
    ),
    click.option("--only-synthetic", is_flag=True, help="Leave real faces out, audit the others; needs --copies 0."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes that write.  [default: all cores]"),
    click.option("--replay", metavar="ROW", help="FOLDER was written by this: make that row's picture again as --out."),
    click.option("--faces", type=FOLDER, help="With --replay: where the real faces lie now."),
)


def evaluate_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug evaluate`."""
    for option in reversed(_EVALUATE):
        command = option(command)
    return command


def serve_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `faceaug serve`."""
    for option in reversed(_SERVE):
        command = option(command)
    return command


_EVALUATE = (
    click.option("--n", type=int, default=5000, show_default=True, help="Generated faces to look at."),
    click.option(
        "--extractor", type=click.Choice(["efficientnet-lite0", "inception", "attributes-64"]),
        help="The network that compares faces.  [default: efficientnet-lite0; for --memorisation attributes-64]",
    ),
    click.option("--weights", type=FOLDER, help="File with the weights of inception."),
    click.option("--download", is_flag=True, help="A model OWNER/NAME or the weights of inception may be fetched."),
    click.option(
        "--partition", type=click.Choice(["train", "val", "test", "all"]), help="Rows it learnt from.  [default: train]"
    ),
    click.option(
        "--against", type=click.Choice(["train", "val", "test"]), help="Rows it has not seen.  [default: val, or test]"
    ),
    click.option(
        "--real", type=int, default=25_000, show_default=True, help="Use at most so many real faces of each kind."
    ),
    click.option("--memorisation", is_flag=True, help="Only look for training faces among the generated ones."),
    click.option(
        "--usefulness", is_flag=True, help="Teach classifiers with and without copies and generated faces; compare."
    ),
    click.option(
        "--attribute", "attributes", multiple=True, metavar="NAME",
        help="For --usefulness: what is learnt (repeatable).  [default: the ten rarest]",
    ),
    click.option(
        "--fraction", default="1.0", show_default=True, metavar="SHARE|COUNT",
        help="For --usefulness: real faces to use.",
    ),
    click.option(
        "--synthetic", default="1.0", show_default=True, metavar="SHARE|COUNT",
        help="For --usefulness: generated faces beside them.",
    ),
    click.option(
        "--no-filter", is_flag=True, help="For --usefulness: take generated faces and their labels as they come."
    ),
    click.option(
        "--seeds", type=click.IntRange(min=1), default=3, show_default=True,
        help="For --usefulness: how often each classifier is taught.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the faces and of what is drawn."),
    click.option("--device", help="Where to compute.  [default: cpu]"),
)  # fmt: skip
_SERVE = (
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets others in."
    ),
    click.option(
        "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
    ),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME|PATH",
        help="Offer this one; repeatable, the first is the default.  [default: the bundled ones]",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(min=0),
        default=20,
        show_default=True,
        help="Requests for faces per second and client; 0 for no limit.",
    ),
    _PRECISION,
)
