"""Model conversion: import the weights of another program's generator, export a model folder or ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from faceaug.data.crop import Crop
from faceaug.data.marks import ONNX
from faceaug.data.tables import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import ArgumentError, FaceAugError, WeightsError, printable
from faceaug.storage.files import explained
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import check_output, write_output
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.foreign import read_file
from faceaug.synthesize.graph import onnx_graph
from faceaug.synthesize.recognition import Recognised, find_generator
from faceaug.synthesize.render import draw_latents, to_uint8
from faceaug.synthesize.weights import (
    CONFIG,
    FULL,
    ROWS,
    AnyGenerator,
    Model,
    build_generator,
    check_plausible,
    checked_rows,
    dump_network,
    load_folder,
    parse_weights,
    save_model,
)

PARITY = 1e-4  # largest difference between the two runtimes, in the generator's units of -1 to 1
_TRIAL = 64  # faces that are compared
_NEAR = 1  # grey level by which half precision may change a pixel; otherwise float32 is written
_FLAT = 1.0  # grey levels; faces that differ by less, on average, are all alike
NOTES = {  # facts of an imported model, and how they are told
    "taken": "taken from the file",
    "folded": "folded into the weights",
    "colours": "colours",
    "assumed": "assumed",
    FULL: "precision",
    "warning": "warning",
}


def import_state_dict(
    path: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    crop: Crop = "center178",
    latent: str = "normal",
    license: str = "unknown",
    part: str | None = None,
) -> ModelConfig:
    """Convert a file with generator weights, of ``torch.save`` or safetensors, into a model folder.

    It may hold tensors, never code. The generator is that of ``build_network`` or another DCGAN: a linear layer or a
    1x1 to 4x4 transposed convolution, then 4x4 transposed convolutions with stride 2 and padding 1. Prefixes, wrappers
    (DataParallel, AveragedModel, torch.compile), nesting, and other networks in the file do not matter; spectral and
    weight norm are folded. Faces of the written model are compared with those of the file's weights.

    Args:
        path: file written by ``torch.save(generator.state_dict(), path)``, a checkpoint that holds such a state
            dict, or safetensors.
        out: a new or empty folder.
        name: name of the model; the file's name by default.
        crop: crop of the training pictures.
        latent: distribution it was trained with: "normal", N(0, 1), or "uniform", U(-1, 1).
        license: licence of the weights.
        part: which generator to take if the file holds several; None for the only one, or the only average of weights.

    Returns:
        The written config. ``training`` says what was taken, assumed and changed.

    Raises:
        ArgumentError: no such file.
        WeightsError: the file is damaged, holds code, or its network is another one; the message says which.
        RefusedError: ``out`` is not empty.
    """
    if latent not in {"normal", "uniform"}:
        raise ArgumentError(f"latent {latent!r}: expected normal or uniform")
    source, folder = Path(path), Path(out)
    found = find_generator(read_file(source), source, part)
    config = ModelConfig(
        name=printable(name or source.stem),
        architecture=found.architecture,
        size=found.size,
        crop=crop,
        z_size=found.z_size,
        conv_dim=found.conv_dim,
        channels=found.channels,
        attributes=ATTRIBUTES if found.embedding else (),
        embedding=found.embedding,
        latent=latent,
        license=printable(license),
        training={"imported_from": printable(source.name)} | found.notes,
    )
    check_plausible(config, source)
    model, facts = _tried(config, found, source)
    config = replace(config, training=config.training | facts)
    claim = claimed_output(folder, marker=CONFIG, identity={"import": source.name}, purpose="import-model")
    with claim, explained(folder):
        written = save_model(folder, model.generator, config, model.rows)
    load_folder(folder)
    return written


def _tried(config: ModelConfig, found: Recognised, source: Path) -> tuple[Model, dict[str, str]]:
    """Build the generator, and look whether half precision keeps its faces, and whether these are faces at all."""
    tensors = dict(found.tensors)
    stored = tensors.pop(ROWS, None)
    rows = None if stored is None else checked_rows(stored, source)
    generator = build_generator(config, tensors, where=source)
    if not torch.isfinite(_outputs(generator, config)).all():
        raise WeightsError(
            f"{printable(source)}: makes faces of NaN, as a negative variance in a batch norm does; it is damaged "
            "or not of a trained generator"
        )
    faces = _faces(generator, config)
    facts = {}
    halved = build_generator(config, parse_weights(dump_network(generator), source), where=source)
    if int((_faces(halved, config).int() - faces.int()).abs().max()) > _NEAR:
        facts[FULL] = "float32, since half precision would change the faces"
    if float(faces.float().std(dim=0).mean()) < _FLAT:
        facts["warning"] = "its faces are all alike: it is untrained, has collapsed, or is another network"
    return Model(config, generator, rows), facts


def _faces(generator: AnyGenerator, config: ModelConfig) -> torch.Tensor:
    """The first faces, without attributes: uint8 (64, 3, H, W)."""
    return to_uint8(_outputs(generator, config))


@torch.inference_mode()
def _outputs(generator: AnyGenerator, config: ModelConfig) -> torch.Tensor:
    """The same as float (64, 3, H, W) in -1..1."""
    latents = draw_latents(0, range(_TRIAL), config.z_size, config.latent)
    given = (latents, torch.zeros(_TRIAL, len(ATTRIBUTES))) if config.attributes else (latents,)
    faces: torch.Tensor = generator(*given)
    return faces


def export_folder(model: Model, out: str | Path) -> ModelConfig:
    """Write a model as a separate folder in the layout of the Hugging Face hub: config, weights, card.

    Args:
        model: from ``load_model``.
        out: a new or empty folder.

    Raises:
        RefusedError: ``out`` holds something.
    """
    folder = Path(out)
    claim = claimed_output(folder, marker=CONFIG, identity={"export": model.config.name}, purpose="export")
    with claim, explained(folder):
        return save_model(folder, model.generator, model.config, model.rows)


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
