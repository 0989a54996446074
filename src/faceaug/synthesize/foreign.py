"""Files with weights that other programs wrote: torch.save's and safetensors. The only place that reads a pickle.

torch's restricted reader is used, which builds tensors and plain containers and runs nothing else. What a file declares
is compared with what it holds before anything is copied.
"""

from __future__ import annotations

import argparse
import mmap
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceaug.errors import ArgumentError, WeightsError, printable, some
from faceaug.synthesize.weights import parse_weights, read_part

_LARGEST = 2**30  # bytes of a safetensors header
_PACKED = 2**26  # bytes of an archive, unpacked, whatever its own size; beyond, 4 times its size
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began files before it wrote ZIP archives
_SAVE = "save torch.save(network.state_dict(), ...) again"
_CLASS = re.compile(r"GLOBAL ([\w.]+)")  # how torch's errors name what they do not build
# Called with a number, bytearray fills that much memory, and nothing in a file of weights needs one.
_FILLS_MEMORY = (b"cbuiltins\nbytearray\n", b"c__builtin__\nbytearray\n")
_NESTS = ("state_dict", "model_state_dict", "generator", "generator_state_dict", "netG", "G")
_PREFIX = re.compile(r"^(module|generator|netG|G)\.")


def read_file(path: Path) -> Mapping[Any, Any]:
    """Read a file of ``torch.save`` or safetensors as it is: names and tensors, possibly nested, with other values.

    Raises:
        ArgumentError: no such file, or a folder.
        WeightsError: it is empty, cut off, of another kind, or holds code.
    """
    try:
        if path.is_dir():
            raise ArgumentError(f"{printable(path)}: a folder; give the file with the weights that is in it")
        with path.open("rb") as handle:
            start = handle.read(64)
    except FileNotFoundError as error:
        raise ArgumentError(f"{printable(path)}: no such file") from error
    except OSError as error:
        raise ArgumentError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    if not start:
        raise WeightsError(f"{printable(path)}: is empty")
    if _is_safetensors(start):
        return parse_weights(read_part(path), path)
    if not zipfile.is_zipfile(path):
        _check_start(path, start)
    found = _load(path)
    if isinstance(found, Tensor) or not isinstance(found, Mapping):
        raise WeightsError(
            f"{printable(path)}: not a plain state dict: expected names and tensors, found {type(found).__name__}"
        )
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.pth`` state dict by name; remove a prefix such as ``module.`` and one level of nesting.

    Raises:
        ArgumentError: no such file.
        WeightsError: it is damaged or holds more than tensors.
    """
    found = read_file(path)
    for nest in _NESTS:
        if isinstance(found.get(nest), Mapping):
            found = found[nest]
    if not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(f"{printable(path)}: not a plain state dict: expected names and tensors only")
    try:
        check_plain(found, held_bytes(path))
    except ValueError as error:
        raise WeightsError(f"{printable(path)}: {error}") from error
    return {_PREFIX.sub("", str(key)): value.detach().clone() for key, value in found.items()}


def check_plain(tensors: Mapping[Any, Tensor], held: int) -> None:
    """Raise ValueError unless all tensors are arrays of numbers that the file, of ``held`` bytes, holds in full."""
    if odd := [str(key) for key, value in tensors.items() if not _is_plain(value)]:
        raise ValueError(
            f"{some(odd)}: sparse, quantized, or declared larger than what the file holds; save plain tensors: "
            "{name: tensor.contiguous() ...}"
        )
    declared = sum(value.numel() * value.element_size() for value in tensors.values())
    if declared > held:
        raise ValueError(
            f"declares {declared:,} bytes of tensors, more than the {held:,} that the file holds; save plain tensors: "
            "{name: tensor.clone() ...}"
        )


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is an array of numbers in memory: a view may declare any size over a few stored numbers."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def held_bytes(path: Path) -> int:
    """Bytes that a file holds: of an archive, those of its members, by its directory."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _is_safetensors(start: bytes) -> bool:
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < _LARGEST


def _check_start(path: Path, start: bytes) -> None:
    """Refuse what no reader of weights would take, in words of its own."""
    if start.startswith(_LEGACY):
        return
    if start.startswith(b"PK"):
        raise WeightsError(f"{printable(path)}: damaged: the end of the archive is missing; copy the file again")
    if re.match(rb"\x80[\x02-\x05]", start):
        raise WeightsError(
            f"{printable(path)}: a plain pickle, which runs code when it is read, so it is not; in the program "
            f"that wrote it, {_SAVE}"
        )
    raise WeightsError(
        f"{printable(path)}: neither a file of torch.save nor a safetensors file; export the weights of the generator "
        "as one of them"
    )


def _load(path: Path) -> Any:
    try:
        _refuse_bombs(path)
        with warnings.catch_warnings():  # slow checks of sparse tensors, old storages: both end as errors
            warnings.simplefilter("ignore")
            with torch.serialization.safe_globals([argparse.Namespace]):  # options; values only
                return torch.load(path, map_location="cpu", weights_only=True)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # torch's readers raise any type on a damaged file
        raise WeightsError(f"{printable(path)}: {_reason(str(error).strip() or type(error).__name__)}") from error


def _refuse_bombs(path: Path) -> None:
    """An archive of ``torch.save`` stores tensors as they are; one that unpacks to more than a model is none."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            fills = any(data.find(call) >= 0 for call in _FILLS_MEMORY)
    else:
        unpacked = held_bytes(path)
        if unpacked > max(_PACKED, 4 * path.stat().st_size):
            raise WeightsError(
                f"{printable(path)}: unpacks to {unpacked:,} bytes, far more than it has; {_SAVE}, which packs nothing"
            )
        with zipfile.ZipFile(path) as archive:
            pickles = [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
        fills = any(call in data for data in pickles for call in _FILLS_MEMORY)
    if fills:
        raise WeightsError(f"{printable(path)}: not a plain state dict (it holds a bytearray); {_SAVE}")


def _reason(message: str) -> str:
    """What went wrong, from the text of torch's error."""
    if "TorchScript" in message:
        return "a TorchScript archive, which is a program; save torch.jit.load(...).state_dict() with torch.save"
    if found := _CLASS.search(message):
        return (
            f"not a plain state dict: it holds an object of {found[1]}, whose code is not run; in the program that "
            f"wrote it, {_SAVE}"
        )
    return f"not a plain state dict, or damaged ({message.splitlines()[0][:200]}); copy the file again, or {_SAVE}"
