"""Checkpoints: tensors in safetensors, numbers in JSON, complete or absent; the last two are kept.

There is no random state to store: every draw depends on (seed, step), so a resumed run draws the same numbers as an
uninterrupted one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as dump_safetensors
from torch import Tensor
from torch.optim import Optimizer

from faceaug.errors import FaceAugError, WeightsError, printable
from faceaug.storage.files import publish_folder, remove_output, write_bytes, write_json
from faceaug.storage.schema import checked_fields, parse_object
from faceaug.synthesize.weights import parse_weights

KEPT = 2
STATE = "state.json"
TENSORS = "state.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run.

    Attributes:
        step: steps taken.
        images: real images shown.
        faces: fingerprint of the training faces.
        tensors: networks and optimizers, named "<part>/<name>".
        numbers: everything else, such as adaptive probabilities and rollbacks.
    """

    step: int
    images: int
    faces: str
    tensors: dict[str, Tensor]
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What state.json says."""

    step: int
    images: int
    faces: str
    sha256: str
    numbers: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint folder durably, then remove all but the newest two."""
    final = run / f"checkpoint-{checkpoint.images:09d}"
    partial = final.with_name(final.name + ".partial")
    remove_output(partial)
    partial.mkdir()
    data = dump_safetensors({name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()})
    write_bytes(partial / TENSORS, data)
    facts: dict[str, Any] = {
        "step": checkpoint.step,
        "images": checkpoint.images,
        "faces": checkpoint.faces,
        "numbers": checkpoint.numbers,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    write_json(partial / STATE, facts)
    publish_folder(partial, final)
    for old in checkpoints(run)[:-KEPT]:
        remove_output(old)
    return final


def checkpoints(run: Path) -> list[Path]:
    """List the complete checkpoint folders of a run, oldest first."""
    found = [path for path in run.glob("checkpoint-*") if path.suffix != ".partial" and path.is_dir()]
    return sorted(found, key=lambda path: (len(path.name), path.name))  # by number, also beyond 999,999,999


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        WeightsError: it is damaged.
    """
    return parse_checkpoint(checkpoint_bytes(folder), folder)


def checkpoint_bytes(folder: Path) -> tuple[bytes, bytes]:
    """Read the two files of a checkpoint without parsing them.

    Raises:
        WeightsError: a file cannot be read.
    """
    try:
        return (folder / STATE).read_bytes(), (folder / TENSORS).read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{printable(folder)}: not a readable checkpoint ({error}); remove it to use the one before"
        ) from error


def parse_checkpoint(files: tuple[bytes, bytes], folder: Path) -> Checkpoint:
    """Parse the two files that ``checkpoint_bytes`` read from a folder.

    Raises:
        WeightsError: they are damaged.
    """
    state, data = files
    try:
        facts = _Facts(**checked_fields(_Facts, parse_object(state)))
    except ValueError as error:
        raise WeightsError(
            f"{printable(folder)}: not a readable checkpoint ({error}); remove it to use the one before"
        ) from error
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise WeightsError(f"{printable(folder / TENSORS)}: damaged; remove {folder.name} to use the one before")
    tensors = {_renamed(name): tensor for name, tensor in parse_weights(data, folder / TENSORS).items()}
    return Checkpoint(facts.step, facts.images, facts.faces, tensors, facts.numbers)


def _renamed(name: str) -> str:
    """The name of a tensor today: 0.1.0, which had only Adam, named optimizers after it."""
    head, slash, rest = name.partition("/")
    return f"{head[0]}_optimizer/{rest}" if slash and head in {"d_adam", "g_adam"} else name


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return the state of an optimizer as tensors named "<prefix>/<parameter number>/<moment>"."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}/{number}/{name}": value for number, moments in state.items() for name, value in moments.items()}


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Restore the state that ``optimizer_tensors`` returned; it is empty before the first step."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in named(tensors, prefix).items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    # The fused Adam requires moments in the memory format of their parameter (channels last), and a checkpoint holds
    # them contiguous.
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part of a checkpoint, without the prefix.

    Raises:
        FaceAugError: the checkpoint has no such part.
    """
    found = named(tensors, prefix)
    if not found:
        raise FaceAugError(f"the checkpoint has no {prefix}")
    return found


def named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part of a checkpoint, without the prefix; empty if there is no such part."""
    return {name.removeprefix(f"{prefix}/"): t for name, t in tensors.items() if name.startswith(f"{prefix}/")}
