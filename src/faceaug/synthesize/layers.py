"""The layers of a DCGAN generator, told from the names and shapes of its tensors.

Such a generator is a linear layer, or a transposed convolution of a 1x1 map, which is one, to a map of 4x4; then
transposed convolutions with a kernel of 4x4, stride 2 and padding 1, each of which doubles it; optional batch norm
behind each. The programs that write one differ in names, widths, biases and the ReLU behind the first layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from faceaug.synthesize.networks import SIZES

Kind: TypeAlias = Literal["convolution", "linear", "batch norm"]
EPSILON = 1e-5  # of torch's batch norm; files of weights do not hold it
_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
_OWN = re.compile(r"^(fc|t_conv\d+\.[01])$")  # as build_network names the layers
_KERNEL, _FIRST_MAP = 4, 4
_MOST_LAYERS = 64


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch norm in evaluation mode, which maps x to (x - mean) / sqrt(var + EPSILON) * weight + bias: float (c,)."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights.

    Attributes:
        weight: of a transposed convolution (in, out, 4, 4); of the first layer (out * 16, z_size).
        bias: (out,), of the first layer (out * 16,); None for none.
        norm: the batch norm behind it; of the first layer of (out,) or (out * 16,) numbers.
    """

    weight: Tensor
    bias: Tensor | None
    norm: Norm | None


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a generator.

    Attributes:
        first: from latents to the map of 4x4.
        rest: transposed convolutions; the last one makes the colours.
        rectified: whether a ReLU follows the first layer.
        assumed: what a file of weights does not hold, in words; empty if its names say it.
    """

    first: Layer
    rest: tuple[Layer, ...]
    rectified: bool
    assumed: str

    @property
    def size(self) -> int:
        """Height and width of a face, pixels."""
        return _FIRST_MAP << len(self.rest)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the inner maps, from 4x4 on."""
        return tuple(layer.weight.shape[0] for layer in self.rest)


@dataclass(frozen=True, slots=True)
class _Module:
    path: str
    kind: Kind
    parts: dict[str, Tensor]

    @property
    def weight(self) -> Tensor:
        """The weight of the layer."""
        return self.parts["weight"]


def find_layers(tensors: Mapping[str, Tensor]) -> Layers:
    """Find the layers of a generator.

    Args:
        tensors: floating-point weights by name, without prefixes.

    Raises:
        ValueError: it is no such generator; the message says what is different.
    """
    modules = _modules(tensors)
    reasons = []
    for order in _orders(modules):
        try:
            return _chain(order)
        except ValueError as error:
            reasons.append(error)
    raise reasons[0]


def _modules(tensors: Mapping[str, Tensor]) -> list[_Module]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        path, _, leaf = name.rpartition(".")
        parts.setdefault(path, {})[leaf] = tensor
    if len(parts) > _MOST_LAYERS:
        raise ValueError(f"{len(parts)} layers with weights, where such a generator has at most 13")
    return [_Module(path, _kind(path, leaves), leaves) for path, leaves in parts.items()]


def _kind(path: str, leaves: dict[str, Tensor]) -> Kind:
    if {"running_mean", "running_var"} <= set(leaves) <= _NORM:
        return "batch norm"
    weight = leaves.get("weight")
    where = path or next(iter(leaves))
    if weight is None or set(leaves) - {"weight", "bias"}:
        extra = sorted(set(leaves) - {"weight", "bias"})
        raise ValueError(f"{where}: {extra[0] if extra else 'bias'} belongs to no layer of such a generator")
    if weight.ndim == 4:
        return "convolution"
    if weight.ndim == 2:
        return "linear"
    if weight.ndim == 1:
        raise ValueError(f"{where}: a norm without running statistics, such as instance or group norm")
    raise ValueError(f"{where}: weights of {weight.ndim} dimensions")


def _orders(modules: list[_Module]) -> Iterator[list[_Module]]:
    """Orders in which the layers may follow one another: as in the file, by name, each norm behind its convolution."""
    yield modules
    named = sorted(modules, key=lambda module: _natural(module.path))
    yield named
    norms = [module for module in named if module.kind == "batch norm"]
    others = [module for module in named if module.kind != "batch norm"]
    others.sort(key=lambda module: module.kind != "linear")
    if len(norms) in (len(others) - 1, len(others) - 2):
        skipped = len(others) - 1 - len(norms)  # the first layer may have none
        paired = list(others[:skipped])
        for k, module in enumerate(others[skipped:]):
            paired += [module, *norms[k : k + 1]]
        yield paired


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d{1,9}|\D+", path)]


def _chain(modules: list[_Module]) -> Layers:
    """The layers of modules in this order."""
    blocks: list[list[_Module]] = []
    for module in modules:
        if module.kind != "batch norm":
            blocks.append([module])
        elif not blocks or len(blocks[-1]) == 2:
            raise ValueError(f"{module.path}: batch norm that follows no layer")
        else:
            blocks[-1].append(module)
    _check_shapes([block[0] for block in blocks])
    rest = tuple(_layer(block, block[0].weight, block[0].weight.shape[1]) for block in blocks[1:])
    first = _first(blocks[0], blocks[1][0].weight.shape[0])
    own = all(_OWN.match(module.path) for module in modules)
    inner = [layer.norm for layer in rest[:-1]]
    if own and None in inner and any(inner):
        raise ValueError(f"t_conv{inner.index(None) + 1}.1 is missing, the batch norm of a layer")
    rectified = not own and _is_rectified(blocks)
    found = Layers(first, rest, rectified, "" if own else _assumed(modules))
    if found.size not in SIZES:
        raise ValueError(f"makes {found.size}x{found.size} faces; expected {', '.join(map(str, SIZES))} pixels")
    return found


def _check_shapes(layers: list[_Module]) -> None:
    if len(layers) < 2:
        raise ValueError("expected a linear layer and transposed convolutions")
    if _narrows(layers):
        raise ValueError("looks like a discriminator: from colours to one number")
    for layer in layers[1:]:
        if layer.kind == "linear":
            raise ValueError(f"{layer.path}: a linear layer, where only the first can be one")
    for layer in layers:
        kernel = tuple(layer.weight.shape[2:])
        if layer.kind == "convolution" and kernel != (_KERNEL, _KERNEL):
            raise ValueError(
                f"{layer.path}: kernel {kernel[0]}x{kernel[1]}, expected a transposed convolution with 4x4"
            )
    for before, layer in pairwise(layers[1:] if layers[0].kind == "linear" else layers):
        if before.weight.shape[1] != layer.weight.shape[0]:
            raise ValueError(
                f"{layer.path}: takes {layer.weight.shape[0]} channels, {before.path} makes {before.weight.shape[1]}"
            )
    if (colours := layers[-1].weight.shape[1]) not in (1, 3):
        raise ValueError(f"{layers[-1].path}: makes {colours} channels, expected 3 colours or 1 grey")


def _narrows(layers: list[_Module]) -> bool:
    """Whether these are the convolutions of a discriminator, whose weights are (out, in, height, width)."""
    first, last = layers[0].weight, layers[-1].weight
    if layers[0].kind != "convolution" or first.shape[1] not in (1, 3):
        return False
    return last.shape[0] == 1


def _first(block: list[_Module], channels: int) -> Layer:
    """The first layer as a linear one: number c * 16 + 4 y + x is channel c of the map at (x, y)."""
    module, cells = block[0], _FIRST_MAP**2
    weight, bias = module.weight, module.parts.get("bias")
    if module.kind == "convolution":
        if bias is not None:
            bias = _vector(module, "bias", channels).repeat_interleave(cells)
        weight = weight.permute(1, 2, 3, 0).reshape(channels * cells, -1)
    elif weight.shape[0] != channels * cells:
        raise ValueError(
            f"{module.path}: makes {weight.shape[0]} numbers, expected {channels * cells}, a map of 4x4 of the "
            f"{channels} channels that the next layer takes"
        )
    elif bias is not None:
        bias = _vector(module, "bias", channels * cells)
    if len(block) == 1:
        return Layer(weight, bias, None)
    by_cell = module.kind == "linear" and len(block[1].parts["running_mean"]) == channels * cells
    return Layer(weight, bias, _norm(block[1], channels * cells if by_cell else channels))


def _layer(block: list[_Module], weight: Tensor, out: int) -> Layer:
    bias = _vector(block[0], "bias", out) if "bias" in block[0].parts else None
    return Layer(weight, bias, _norm(block[1], out) if len(block) > 1 else None)


def _norm(module: _Module, n: int) -> Norm:
    weight = _vector(module, "weight", n) if "weight" in module.parts else torch.ones(n)  # it may learn neither
    bias = _vector(module, "bias", n) if "bias" in module.parts else torch.zeros(n)
    return Norm(weight, bias, _vector(module, "running_mean", n), _vector(module, "running_var", n))


def _vector(module: _Module, leaf: str, n: int) -> Tensor:
    found = module.parts[leaf]
    if found.shape != (n,):
        raise ValueError(f"{module.path}.{leaf}: shape {tuple(found.shape)}, expected ({n},)")
    return found


def _gap(before: _Module, after: _Module) -> int | None:
    """Number of layers without weights between two modules of one nn.Sequential; None where the names do not say it."""
    (parent, _, one), (other, _, two) = (module.path.rpartition(".") for module in (before, after))
    if parent != other or not (one.isdecimal() and two.isdecimal()):
        return None
    return int(two) - int(one) - 1


def _is_rectified(blocks: list[list[_Module]]) -> bool:
    """Whether an activation follows the first layer; every other one but the last must have one behind batch norm."""
    reshapes = blocks[0][0].kind == "linear"  # one layer without weights makes a map of the numbers
    found = True
    for k, (block, following) in enumerate(pairwise(blocks)):
        views = int(reshapes and k == 0)
        if len(block) == 2:
            inside = _gap(*block)
            is_map = len(block[1].parts["running_mean"]) == following[0].weight.shape[0]
            if inside is not None and inside != views * is_map:
                raise ValueError(f"{block[1].path}: batch norm behind an activation, expected it in front of one")
            views -= views * is_map
        gap = _gap(block[-1], following[0])
        if k == 0:
            if gap is None and len(block) == 1 and reshapes:
                raise ValueError(
                    f"{block[0].path}: the names do not say whether an activation follows. If none does, name the "
                    "layers fc, t_conv1.0, t_conv1.1 ... like build_network; if one does, save an nn.Sequential"
                )
            found = gap is None or gap > views
        elif gap == 0:
            raise ValueError(f"{following[0].path}: no activation in front of it")
    return found


def _assumed(modules: list[_Module]) -> str:
    norm = f", batch norm with eps {EPSILON:g}" if any(module.kind == "batch norm" for module in modules) else ""
    return f"ReLU between the layers{norm}, tanh at the end: a file of weights does not hold these"
