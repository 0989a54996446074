"""Models on disk: a folder with config.json, model.safetensors and README.md. The only weight loader.

The same for bundled models, models from the trainer and models from elsewhere. The file's SHA-256 is checked before
it is parsed, its shapes before anything is copied. There is no pickle anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors, save as dump_safetensors
from torch import Tensor, nn

from faceaug.data.crop import CROPS
from faceaug.data.image import Limits, read_bytes
from faceaug.data.tables import ATTRIBUTES
from faceaug.errors import ArgumentError, ImageError, WeightsError, printable
from faceaug.storage.files import write_bytes, write_json
from faceaug.storage.schema import checked_fields, parse_object
from faceaug.synthesize.cards import model_card
from faceaug.synthesize.conditional import FilmGenerator
from faceaug.synthesize.config import ARCHITECTURES, FORMAT, ModelConfig
from faceaug.synthesize.networks import SIZES, Generator

DEFAULT_MODEL = "faces-64"  # where neither a model nor a size is named
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
BUNDLED_FOLDER = Path(__file__).with_name("models")
# SHA-256 of each config.json in the wheel, which holds that of the weights: a bundled model is what was reviewed.
BUNDLED = {
    "dcgan-32": "18182b9b2c5de99983c39e93a0f2a6012da84d474184beaa40eef60b42b057f5",
    "dcgan-32-report": "1f44b2b3412e00aaf5297b356d8245a67e2287c2508b79a247b4a18f08db87fa",
    "faces-64": "8dbaed65b61b79f9bf20a46acaeb8e76b5868b389d613a75023097c4c287b994",
}
AnyGenerator: TypeAlias = Generator | FilmGenerator
_LIMITS = Limits(max_bytes=2**30)
_ROWS = "attributes.rows"


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model.

    Attributes:
        config: what it is.
        generator: in evaluation mode, float32.
        rows: int8 (m, 40), attributes of faces like those it learnt from, for a generator that obeys attributes; the
            rows of a table, -1, 0 or 1, without names and pictures. None where there are none.
    """

    config: ModelConfig
    generator: AnyGenerator
    rows: NDArray[np.int8] | None = None


def load_model(model: str | Path | None = None) -> Model:
    """Load a model.

    Args:
        model: a bundled name, a model folder or a trainer's run folder; None is ``default_model()``.

    Raises:
        ArgumentError: no such model; the message lists the bundled names.
        WeightsError: the model is damaged, altered or not what its config says.
    """
    return load_folder(find_model(model))


def load_folder(folder: Path) -> Model:
    """Load the model in a folder; see ``load_model``."""
    if folder.parent == BUNDLED_FOLDER:
        check_pin(folder, BUNDLED[folder.name])
    config = read_config(folder)
    tensors = read_weights(folder, config.sha256)
    rows = tensors.pop(_ROWS, None)
    generator = build_generator(config, tensors, where=folder / WEIGHTS)
    return Model(config, generator, None if rows is None else _checked_rows(rows, folder / WEIGHTS))


def _checked_rows(rows: Tensor, where: Path) -> NDArray[np.int8]:
    fits = rows.dtype == torch.int8 and rows.ndim == 2 and rows.shape[1] == len(ATTRIBUTES)
    if not fits or bool((rows.abs() > 1).any()):
        raise WeightsError(f"{printable(where)}: {_ROWS} is no table of {len(ATTRIBUTES)} attributes")
    return rows.numpy()


def default_model(*, attributes: object = None, size: int | None = None) -> str:
    """The bundled model to take where none is named.

    Without a size ``faces-64``; with one the smallest whose faces are at least as large; where attributes are asked
    for, of those that obey attributes, if there are any.

    Args:
        attributes: whatever is asked for; true where anything is.
        size: side that the faces should have, pixels.

    Raises:
        ArgumentError: no bundled model makes faces of that size.
    """
    models = [(name, read_config(BUNDLED_FOLDER / name)) for name in BUNDLED]
    obedient = [model for model in models if model[1].attributes] if attributes else []
    offered = sorted(obedient or models, key=lambda model: model[1].size)  # stable: the first of equals
    if size is None:
        largest = max(offered, key=lambda model: model[1].size)[0]  # the first of equals
        return DEFAULT_MODEL if DEFAULT_MODEL in dict(offered) else largest
    for name, config in offered:
        if config.size >= size:
            return name
    name, config = offered[-1]
    raise ArgumentError(
        f"the largest faces a bundled model makes have {config.size}x{config.size} pixels ({name}), and {size} were "
        "asked for"
    )


def check_pin(folder: Path, sha256: str) -> None:
    """Make sure that a model folder is the one that was pinned: everything that is loaded, not the card.

    What is pinned is the SHA-256 of config.json, which itself holds that of the weights.

    Args:
        folder: with both files.
        sha256: 64 hexadecimal digits.

    Raises:
        WeightsError: it is another model, or was altered; or the digest is one of the weights alone.
    """
    found = hashlib.sha256(read_part((folder / CONFIG).resolve())).hexdigest()
    if found == sha256:
        return
    if hashlib.sha256(read_part((folder / WEIGHTS).resolve())).hexdigest() == sha256:
        raise WeightsError(
            f"{printable(folder)}: {sha256} is the SHA-256 of {WEIGHTS} alone, by which faceaug 0.1.0 knew a model; "
            f"{CONFIG} decides too what its faces mean. Look at that file, then give its own SHA-256, {found}"
        )
    raise WeightsError(
        f"{printable(folder / CONFIG)}: SHA-256 is {found}, expected {sha256}: altered, or another model"
    )


def read_weights(folder: Path, expected: str) -> dict[str, Tensor]:
    """The tensors of a model folder, if the file's SHA-256 is the expected one; WeightsError if not."""
    # The hub's cache is made of links; what they lead to is checked by its hash like anything else.
    data = read_part((folder / WEIGHTS).resolve())
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(f"{printable(folder / WEIGHTS)}: damaged or altered: its SHA-256 is not the recorded one")
    return parse_weights(data, folder / WEIGHTS)


def find_model(model: str | Path | None, *, bundled: Collection[str] = BUNDLED) -> Path:
    """The folder of a model: see ``load_model``; ``bundled`` are the names there are for its kind."""
    name = default_model() if model is None else model
    if str(name) in bundled:
        return BUNDLED_FOLDER / str(name)
    folder = Path(name)
    for candidate in (folder, folder / "model"):
        if (candidate / CONFIG).is_file() and (candidate / WEIGHTS).is_file():
            return candidate
    raise ArgumentError(
        f"model {printable(name)}: neither a bundled model ({', '.join(bundled) or 'there is none yet'}) "
        f"nor a folder with {CONFIG} and {WEIGHTS}"
    )


def read_config(folder: Path) -> ModelConfig:
    """Read and check a model's config.json; unknown keys are left alone."""
    path = folder / CONFIG
    try:
        found = parse_object(read_part(path.resolve()))
        form, architecture = found.get("format", FORMAT), found.get("architecture", ARCHITECTURES[0])
        if form != FORMAT or architecture not in ARCHITECTURES:
            raise WeightsError(
                f"{printable(path)}: format {_told(form)}, architecture {_told(architecture)}: this faceaug reads "
                f"format {FORMAT}, architecture {' or '.join(map(repr, ARCHITECTURES))}; a newer faceaug may read it"
            )
        config = ModelConfig(**checked_fields(ModelConfig, found))
    except ValueError as error:
        raise WeightsError(f"{printable(path)}: not a faceaug model config ({error})") from error
    sizes = (config.z_size, config.conv_dim)
    plausible = all(isinstance(v, int) and 1 <= v <= 4096 for v in sizes) and config.size in SIZES
    if not plausible or config.crop not in CROPS or config.latent not in {"normal", "uniform"}:
        raise WeightsError(f"{printable(path)}: size, crop, z_size, conv_dim or latent is out of range")
    conditional = config.architecture != "dcgan"
    if config.attributes != (ATTRIBUTES if conditional else ()) or not (1 <= config.embedding <= 4096) == conditional:
        raise WeightsError(f"{printable(path)}: attributes or embedding do not fit architecture {config.architecture}")
    return config


def _told(value: object) -> str:
    return printable(repr(value))[:60]


def empty_generator(config: ModelConfig) -> AnyGenerator:
    """The network a config describes, on torch's meta device: names and shapes without numbers."""
    with torch.device("meta"):
        if config.architecture == "dcgan":
            return Generator(config.z_size, config.conv_dim, config.size)
        return FilmGenerator(config.z_size, config.conv_dim, config.size, embedding=config.embedding)


def parse_weights(data: bytes, where: Path) -> dict[str, Tensor]:
    """Parse a safetensors file's bytes; raises WeightsError if they are damaged."""
    try:
        return dict(parse_safetensors(data))
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise WeightsError(f"{printable(where)}: not a readable safetensors file ({error})") from error


def build_generator(config: ModelConfig, tensors: dict[str, Tensor], *, where: Path) -> AnyGenerator:
    """A generator in evaluation mode with these weights, after checking every name and shape."""
    generator = empty_generator(config)
    fill_network(generator, tensors, where=where)
    return generator


def fill_network(network: nn.Module, tensors: dict[str, Tensor], *, where: Path) -> None:
    """Give a network these weights, in float32 and evaluation mode, after checking every name and shape."""
    expected = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if expected != found:
        wrong = min(set(expected.items()) ^ set(found.items()))[0]
        raise WeightsError(
            f"{printable(where)}: {wrong} has shape {found.get(wrong)}, the config asks for {expected.get(wrong)}"
        )
    full = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    network.load_state_dict(full, assign=True)
    if not all(bool(torch.isfinite(t).all()) for t in full.values()):
        raise WeightsError(f"{printable(where)}: holds numbers that are not finite")
    network.eval().requires_grad_(False)


def save_model(
    folder: Path, generator: AnyGenerator, config: ModelConfig, rows: NDArray[np.int8] | None = None
) -> ModelConfig:
    """Write a model folder: fp16 weights, config with their hash, card. Returns the config as written.

    Args:
        folder: made if it is not there.
        generator: whose weights are written.
        config: of the model; the hash in it is replaced.
        rows: see ``Model``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = dump_network(generator, {} if rows is None else {_ROWS: torch.from_numpy(np.ascontiguousarray(rows))})
    written = ModelConfig(**(asdict(config) | {"sha256": hashlib.sha256(data).hexdigest()}))
    write_bytes(folder / WEIGHTS, data)
    write_json(folder / CONFIG, asdict(written))
    write_bytes(folder / CARD, model_card(written).encode())
    return written


def dump_network(network: nn.Module, more: dict[str, Tensor] | None = None) -> bytes:
    """The weights as a safetensors file, in half precision; ``more`` tensors are stored as they are."""
    tensors = {name: _stored(name, tensor) for name, tensor in network.state_dict().items()}
    return dump_safetensors(tensors | (more or {}), metadata={"format": "pt"})


def _stored(name: str, tensor: Tensor) -> Tensor:
    """Half precision halves the wheel and costs less than one grey level; running statistics keep theirs."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() and "running_" not in name else tensor


def read_part(path: Path) -> bytes:
    """The bytes of one file of a model folder; WeightsError if it cannot be read."""
    try:
        return read_bytes(path, _LIMITS)
    except ImageError as error:
        raise WeightsError(str(error)) from error


def bundled_models() -> list[ModelConfig]:
    """The configs of the models in this installation."""
    return [read_config(BUNDLED_FOLDER / name) for name in BUNDLED]
