"""Models on disk: folders with config.json, model.safetensors and README.md. The only weight loader.

It loads bundled, trained and foreign models alike. The file's SHA-256 is checked before it is parsed, and shapes before
anything is copied. There is no pickle anywhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors, save as dump_safetensors
from torch import Tensor, nn

from faceaug.data.crop import CROPS
from faceaug.data.image import Limits, read_bytes
from faceaug.data.tables import ATTRIBUTES
from faceaug.errors import ArgumentError, ImageError, RefusedError, WeightsError, printable
from faceaug.storage.files import write_bytes, write_json
from faceaug.storage.schema import checked_fields, parse_object
from faceaug.synthesize.cards import model_card
from faceaug.synthesize.conditional import FILM, FilmGenerator
from faceaug.synthesize.config import ARCHITECTURES, FORMAT, ModelConfig
from faceaug.synthesize.networks import SIZES, Generator, RectifiedGenerator

DEFAULT_MODEL = "faces-64"  # default where neither model nor size is given
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
MODEL_FILES = (CONFIG, WEIGHTS, CARD)
BUNDLED_FOLDER = Path(__file__).with_name("models")
# SHA-256 of each config.json in the wheel, which holds that of the weights: a bundled model is what was reviewed.
BUNDLED = {
    "dcgan-32": "18182b9b2c5de99983c39e93a0f2a6012da84d474184beaa40eef60b42b057f5",
    "dcgan-32-report": "1f44b2b3412e00aaf5297b356d8245a67e2287c2508b79a247b4a18f08db87fa",
    "faces-64": "8dbaed65b61b79f9bf20a46acaeb8e76b5868b389d613a75023097c4c287b994",
}
AnyGenerator: TypeAlias = Generator | FilmGenerator
_LIMITS = Limits(max_bytes=2**30)
ROWS = "attributes.rows"
FULL = "precision"  # fact of a model whose faces half precision would change
_WIDEST = 4096  # numbers of a latent vector, or channels of a map
_HALF_ERROR = 2**-10  # of the norm of a tensor; twice what rounding costs where half precision has its full width


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model.

    Attributes:
        config: config of the model.
        generator: in evaluation mode, float32.
        rows: int8 (m, 40), attributes of faces like the training faces, for a conditional generator; table rows of -1,
            0 or 1 without names or pictures. None if there are none.

    Example:
        >>> from faceaug.synthesize import load_model
        >>> load_model("dcgan-32").config.size
        32
    """

    config: ModelConfig
    generator: AnyGenerator
    rows: NDArray[np.int8] | None = None


def load_model(model: str | Path | None = None) -> Model:
    """Load a generator.

    Args:
        model: a bundled name, a model folder or a trainer's run folder; None means ``default_model()``.

    Raises:
        ArgumentError: no such model; the message lists the bundled names.
        WeightsError: the model is damaged, altered or does not match its config.

    Example:
        >>> from faceaug.synthesize import load_model
        >>> load_model("faces-64").config.attributes[:2]
        ('5_o_Clock_Shadow', 'Arched_Eyebrows')
    """
    return load_folder(find_model(model))


def load_folder(folder: Path, *, sha256: str | None = None) -> Model:
    """Load the model in a folder; see ``load_model``.

    Args:
        folder: with config.json and model.safetensors.
        sha256: load only the model with this digest, see ``check_pin``. Bundled models have theirs in the code.
    """
    if folder.parent == BUNDLED_FOLDER and folder.name in BUNDLED:
        check_pin(folder, BUNDLED[folder.name])
    if sha256 is not None:
        check_pin(folder, sha256)
    config = read_config(folder)
    tensors = read_weights(folder, config.sha256)
    rows = tensors.pop(ROWS, None)
    generator = build_generator(config, tensors, where=folder / WEIGHTS)
    return Model(config, generator, None if rows is None else checked_rows(rows, folder / WEIGHTS))


def checked_rows(rows: Tensor, where: Path) -> NDArray[np.int8]:
    """The attribute rows of a model as an array; WeightsError if they are none."""
    fits = rows.dtype == torch.int8 and rows.ndim == 2 and rows.shape[1] == len(ATTRIBUTES)
    if not fits or bool((rows.abs() > 1).any()):
        raise WeightsError(f"{printable(where)}: {ROWS} is not a table of {len(ATTRIBUTES)} attributes")
    return rows.numpy()


def default_model(*, attributes: object = None, size: int | None = None) -> str:
    """Choose the bundled model where none is given.

    Without a size this is ``faces-64``; with one, the smallest whose faces are at least as large. If attributes are
    requested, conditional models are preferred.

    Args:
        attributes: requested attributes; only their truth value counts.
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
        f"the largest faces of a bundled model have {config.size}x{config.size} pixels ({name}), but {size} were "
        "requested"
    )


def parse_pin(text: str, *, where: object) -> str:
    """Check the form of a digest that a user gives; ``where`` is the model that it belongs to.

    Raises:
        ArgumentError: not 64 hexadecimal digits.
    """
    digest = text.strip().lower()
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ArgumentError(
            f"{printable(where)}: expected the SHA-256 of its {CONFIG}, 64 hexadecimal digits, got {printable(text)!r}"
        )
    return digest


def pin_of(folder: Path) -> str:
    """The digest by which a model is pinned: the SHA-256 of config.json, which holds that of the weights."""
    return hashlib.sha256(read_part((folder / CONFIG).resolve())).hexdigest()


def check_pin(folder: Path, sha256: str) -> None:
    """Make sure that a model folder is the pinned one. The digest covers everything that is loaded, so not the card.

    Args:
        folder: with both files.
        sha256: see ``pin_of``; 64 hexadecimal digits.

    Raises:
        WeightsError: it is another model, or was altered; or the digest is one of the weights alone.
    """
    found = pin_of(folder)
    if found == sha256:
        return
    if hashlib.sha256(read_part((folder / WEIGHTS).resolve())).hexdigest() == sha256:
        raise WeightsError(
            f"{printable(folder)}: {sha256} is the SHA-256 of {WEIGHTS} alone, which faceaug 0.1.0 used to identify a "
            f"model; {CONFIG} also decides what its faces mean. Check that file, then pin its own SHA-256, {found}"
        )
    raise WeightsError(f"{printable(folder / CONFIG)}: SHA-256 is {found}, expected {sha256}: altered or another model")


def read_weights(folder: Path, expected: str) -> dict[str, Tensor]:
    """Read the tensors of a model folder; WeightsError unless the file has the expected SHA-256."""
    # The hub's cache consists of links; their targets are checked by hash like any file.
    data = read_part((folder / WEIGHTS).resolve())
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(f"{printable(folder / WEIGHTS)}: damaged or altered: its SHA-256 is not the recorded one")
    return parse_weights(data, folder / WEIGHTS)


def find_model(model: str | Path | None, *, bundled: Collection[str] = BUNDLED) -> Path:
    """Find the folder of a model, see ``load_model``; ``bundled`` lists the bundled names of its kind."""
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
    """Read and check a model's config.json; unknown keys are ignored."""
    path = folder / CONFIG
    try:
        found = parse_object(read_part(path.resolve()))
        form = found.get("format", FORMAT)
        architecture = found.get("architecture", ARCHITECTURES[0])
        if form != FORMAT or architecture not in ARCHITECTURES:
            raise WeightsError(
                f"{printable(path)}: format {_told(form)}, architecture {_told(architecture)}: this faceaug reads "
                f"format {FORMAT}, architecture {' or '.join(map(repr, ARCHITECTURES))}; a newer faceaug may read it"
            )
        config = ModelConfig(**checked_fields(ModelConfig, found))
    except ValueError as error:
        raise WeightsError(f"{printable(path)}: not a faceaug model config ({error})") from error
    check_plausible(config, path)
    return config


def check_plausible(config: ModelConfig, path: Path) -> None:
    """Raise WeightsError if a network of this config would be none, or too large to build."""
    sizes = (config.z_size, config.conv_dim, *config.channels)
    plausible = all(isinstance(v, int) and 1 <= v <= _WIDEST for v in sizes) and config.size in SIZES
    if not plausible or config.crop not in CROPS or config.latent not in {"normal", "uniform"}:
        raise WeightsError(f"{printable(path)}: size, crop, z_size, conv_dim, channels or latent is out of range")
    conditional = config.architecture == FILM
    if config.attributes != (ATTRIBUTES if conditional else ()) or not (1 <= config.embedding <= 4096) == conditional:
        raise WeightsError(f"{printable(path)}: attributes or embedding do not fit architecture {config.architecture}")
    maps = len(config.channels) if config.architecture == "dcgan-relu" else 0
    if len(config.channels) != maps or (maps and (4 * 2**maps, config.channels[-1]) != (config.size, config.conv_dim)):
        raise WeightsError(f"{printable(path)}: channels do not fit architecture {config.architecture}")
    if config.architecture == "dcgan-relu" and not maps:
        raise WeightsError(f"{printable(path)}: architecture {config.architecture} without channels")


def _told(value: object) -> str:
    return printable(repr(value))[:60]


def empty_generator(config: ModelConfig) -> AnyGenerator:
    """Build the network of a config on torch's meta device: names and shapes without numbers."""
    with torch.device("meta"):
        if config.architecture == "dcgan":
            return Generator(config.z_size, config.conv_dim, config.size)
        if config.architecture == "dcgan-relu":
            return RectifiedGenerator(config.z_size, config.channels)
        return FilmGenerator(config.z_size, config.conv_dim, config.size, embedding=config.embedding)


def parse_weights(data: bytes, where: Path) -> dict[str, Tensor]:
    """Parse the bytes of a safetensors file; WeightsError if they are damaged."""
    try:
        return dict(parse_safetensors(data))
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise WeightsError(f"{printable(where)}: not a readable safetensors file ({error})") from error


def build_generator(config: ModelConfig, tensors: dict[str, Tensor], *, where: Path) -> AnyGenerator:
    """Build a generator with these weights in evaluation mode; every name and shape is checked."""
    generator = empty_generator(config)
    fill_network(generator, tensors, where=where)
    return generator


def fill_network(network: nn.Module, tensors: dict[str, Tensor], *, where: Path) -> None:
    """Load weights into a network in float32 and evaluation mode; every name and shape is checked."""
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
        raise WeightsError(f"{printable(where)}: contains NaN or infinite numbers")
    network.eval().requires_grad_(False)


def save_model(
    folder: Path,
    generator: AnyGenerator,
    config: ModelConfig,
    rows: NDArray[np.int8] | None = None,
    *,
    overwrite: bool = False,
) -> ModelConfig:
    """Write a model folder: weights, config with their hash, card.

    Weights are in half precision where it can hold them, unless ``config.training`` has an entry ``precision``.

    Args:
        folder: created if missing; an earlier model in it is replaced.
        generator: the generator to write.
        config: config of the model; its hash is replaced.
        rows: see ``Model``.
        overwrite: replace any files of these names.

    Raises:
        RefusedError: the folder holds files of these names that are no model.

    Returns:
        The config as written.

    Example:
        >>> from pathlib import Path
        >>> from faceaug.synthesize import load_model, save_model
        >>> model = load_model("dcgan-32")
        >>> save_model(Path("my-model"), model.generator, model.config).name
        'dcgan-32'
    """
    if not overwrite:
        check_model_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    more = {} if rows is None else {ROWS: torch.from_numpy(np.ascontiguousarray(rows))}
    data = dump_network(generator, more, half=FULL not in config.training)
    written = ModelConfig(**(asdict(config) | {"sha256": hashlib.sha256(data).hexdigest()}))
    write_bytes(folder / WEIGHTS, data)
    write_json(folder / CONFIG, config_document(written))
    write_bytes(folder / CARD, model_card(written).encode())
    return written


def config_document(config: ModelConfig) -> dict[str, Any]:
    """The fields of a config.json; ``channels`` only where the architecture has them."""
    document = asdict(config)
    if not config.channels:
        del document["channels"]
    return document


def check_model_folder(folder: Path, *more: str) -> None:
    """Refuse a folder in which files with the names of a model's, or ``more`` names, belong to something else."""
    taken = [name for name in (CONFIG, WEIGHTS, CARD, *more) if os.path.lexists(folder / name)]
    if taken and not _holds_model(folder):
        raise RefusedError(
            f"{printable(folder / taken[0])}: in the way, and not a part of a faceaug model; choose another folder, or "
            "set overwrite=True"
        )


def _holds_model(folder: Path) -> bool:
    """Whether config.json is that of a model, or says that one is being written; see ``prepare_output``."""
    try:
        found = parse_object(read_part(folder / CONFIG))
    except (WeightsError, ValueError):
        return False
    return {"sha256", "size", "crop"} <= found.keys() or found.keys() == {"run", "finished"}


def dump_network(network: nn.Module, more: dict[str, Tensor] | None = None, *, half: bool = True) -> bytes:
    """Serialise weights as safetensors, in half precision where it can hold them; ``more`` tensors keep their dtype."""
    tensors = {name: _stored(name, tensor, half=half) for name, tensor in network.state_dict().items()}
    return dump_safetensors(tensors | (more or {}), metadata={"format": "pt"})


def _stored(name: str, tensor: Tensor, *, half: bool) -> Tensor:
    """Convert to half precision, which halves the wheel at less than a grey level.

    Running statistics keep float32, and so do numbers beyond half precision, which ends at 65,504 and at 6e-8.
    """
    tensor = tensor.detach().cpu().contiguous()
    if not half or not tensor.is_floating_point() or "running_" in name:
        return tensor
    halved = tensor.half()
    error = torch.linalg.vector_norm(halved.double() - tensor.double())  # not finite beyond 65,504
    return halved if bool(error <= _HALF_ERROR * torch.linalg.vector_norm(tensor.double())) else tensor


def read_part(path: Path) -> bytes:
    """Read one file of a model folder; WeightsError if it cannot be read."""
    try:
        return read_bytes(path, _LIMITS)
    except ImageError as error:
        raise WeightsError(str(error)) from error


def bundled_models() -> list[ModelConfig]:
    """Configs of the bundled generators.

    Example:
        >>> from faceaug.synthesize import bundled_models
        >>> [config.name for config in bundled_models()]
        ['dcgan-32', 'dcgan-32-report', 'faces-64']
    """
    return [read_config(BUNDLED_FOLDER / name) for name in BUNDLED]
