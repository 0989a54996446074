"""Model conversion: import a plain state dict, export a model folder or ONNX.

The only place that reads a pickle, with torch's restricted reader, which builds tensors and nothing else.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from faceaug.data.crop import Crop
from faceaug.data.marks import ONNX
from faceaug.draws import stream
from faceaug.errors import ArgumentError, FaceAugError, WeightsError, printable, some
from faceaug.storage.files import explained, prepare_output
from faceaug.storage.outputs import check_output, write_output
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.graph import onnx_graph
from faceaug.synthesize.networks import SIZES
from faceaug.synthesize.weights import CONFIG, Model, build_generator, save_model

_LARGEST = 2**30  # bytes of an archive, unpacked
PARITY = 1e-4  # largest difference between the two runtimes, in the generator's units of -1 to 1
_NESTS = ("state_dict", "model_state_dict", "generator", "generator_state_dict", "netG", "G")
_PREFIX = re.compile(r"^(module|generator|netG|G)\.")


def import_state_dict(
    path: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    crop: Crop = "center178",
    latent: str = "normal",
    license: str = "unknown",
) -> ModelConfig:
    """Convert a ``.pth`` file with generator weights into a model folder.

    The file is read with ``weights_only=True``: it may hold tensors, never code. The names must be those of
    ``build_network``'s generator (``fc``, ``t_conv1.0`` ...); a prefix such as ``module.`` and one level of nesting are
    removed.

    Args:
        path: file written by ``torch.save(generator.state_dict(), path)``.
        out: a new or empty folder.
        name: name of the model; the file's name by default.
        crop: crop of the training pictures.
        latent: distribution it was trained with: "normal", N(0, 1), or "uniform", U(-1, 1).
        license: licence of the weights.

    Returns:
        The written config.

    Raises:
        WeightsError: the file is damaged, holds more than tensors, or belongs to another network.
        RefusedError: ``out`` is not empty.
    """
    source = Path(path)
    folder = Path(out)
    tensors = read_tensors(source)
    z_size, conv_dim, size = _shape_of(tensors, source)
    facts = {"imported_from": source.name}
    config = ModelConfig(
        name=name or source.stem,
        size=size,
        crop=crop,
        z_size=z_size,
        conv_dim=conv_dim,
        latent=latent,
        license=license,
        training=facts,
    )
    if latent not in {"normal", "uniform"}:
        raise ArgumentError(f"latent {latent!r}: expected normal or uniform")
    generator = build_generator(config, tensors, where=source)
    prepare_output(folder, marker=CONFIG, identity={"import": source.name})
    with explained(folder):
        return save_model(folder, generator, config)


def export_folder(model: Model, out: str | Path) -> ModelConfig:
    """Write a model as a separate folder in the layout of the Hugging Face hub: config, weights, card.

    Args:
        model: from ``load_model``.
        out: a new or empty folder.

    Raises:
        RefusedError: ``out`` holds something.
    """
    folder = Path(out)
    prepare_output(folder, marker=CONFIG, identity={"export": model.config.name})
    with explained(folder):
        return save_model(folder, model.generator, model.config, model.rows)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.pth`` state dict by name; remove a prefix such as ``module.`` and one level of nesting.

    Raises:
        ArgumentError: no such file.
        WeightsError: it is damaged or holds more than tensors.
    """
    try:
        _refuse_bombs(path)
        with warnings.catch_warnings():  # torch warns that checking sparse tensors is slow; they are refused below
            warnings.filterwarnings("ignore", "Validating sparse tensor invariants", UserWarning)
            found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ArgumentError(f"{printable(path)}: no such file") from error
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"{printable(path)}: not a plain state dict ({reason}); save torch.save(network.state_dict(), ...) again"
        ) from error
    for nest in _NESTS:
        if isinstance(found, Mapping) and isinstance(found.get(nest), Mapping):
            found = found[nest]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(f"{printable(path)}: not a plain state dict: expected names and tensors only")
    if odd := [str(key) for key, value in found.items() if not _is_plain(value)]:
        raise WeightsError(
            f"{printable(path)}: {some(odd)}: sparse, quantized, or declared larger than what the file holds; save "
            "plain tensors: {name: tensor.contiguous() ...}"
        )
    return {_PREFIX.sub("", str(key)): value.detach().clone() for key, value in found.items()}


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is an array of numbers in memory: a view may declare any size over a few stored numbers."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _refuse_bombs(path: Path) -> None:
    """An archive of ``torch.save`` stores tensors as they are; one that unpacks to more than a model is none."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(_LARGEST, 2 * path.stat().st_size):
        raise WeightsError(f"{printable(path)}: unpacks to {unpacked:,} bytes, which is no generator")


def _shape_of(tensors: dict[str, Tensor], path: Path) -> tuple[int, int, int]:
    """Infer (z_size, conv_dim, size) from the shapes."""
    depth = sum(re.fullmatch(r"t_conv\d+\.0\.weight", key) is not None for key in tensors)
    first, last = tensors.get("fc.weight"), tensors.get(f"t_conv{depth}.0.weight")
    if first is None or last is None or first.ndim != 2 or last.ndim != 4 or 4 * 2**depth not in SIZES:
        raise WeightsError(
            f"{printable(path)}: not a generator of faceaug: expected fc, t_conv1.0, t_conv1.1 ... as "
            "faceaug.build_network names them"
        )
    return first.shape[1], last.shape[0], 4 * 2**depth


def export_onnx(model: Model, path: str | Path, *, overwrite: bool = False) -> float:
    """Write a generator as ONNX and verify it: float32 ``latents`` (n, z_size) -> ``faces`` (n, 3, H, W) in -1..1.

    A generator that takes attributes has a second input, float32 ``attributes`` (n, 40). Batch norm is folded. Before
    the file gets its name, onnxruntime runs it next to the original.

    Args:
        model: from ``load_model``.
        path: the file to write; an earlier export is replaced.
        overwrite: replace any file.

    Returns:
        The largest difference between the runtimes over 64 faces.

    Raises:
        ArgumentError: the extra ``onnx`` is not installed, or the name does not end in .onnx.
        RefusedError: the path is another file, which stays, or cannot be written.
        FaceAugError: the difference is above 1e-4; nothing is written.
    """
    check_output(Path(path), [ONNX], overwrite=overwrite)
    try:
        import onnxruntime
        from onnx import checker
    except ImportError as error:
        raise ArgumentError("onnx and onnxruntime are not installed: python -m pip install 'faceaug[onnx]'") from error
    graph = onnx_graph(model)
    checker.check_model(graph)
    data = graph.SerializeToString()
    draws = stream(0, slot="export/onnx")
    given = {"latents": draws.standard_normal((64, model.config.z_size), "f4")}
    if model.config.attributes:
        given["attributes"] = draws.integers(-1, 2, (64, len(model.config.attributes))).astype(np.float32)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, given)
    with torch.inference_mode():
        expected = model.generator(*map(torch.from_numpy, given.values())).numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= PARITY:
        raise FaceAugError(f"{printable(path)}: onnxruntime's faces differ by {difference:.2g}; nothing was written")
    write_output(Path(path), data, [ONNX], overwrite=overwrite)
    return difference
