"""Which of a file's tensors are a generator, and the same function in one of faceaug's networks.

Programs wrap a generator (DataParallel, AveragedModel, torch.compile, a Lightning module) and save it beside a
discriminator, optimizers and counters. Every mapping in the file, and every common prefix of its names, is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceaug.errors import WeightsError, printable, some
from faceaug.synthesize.config import Architecture
from faceaug.synthesize.foreign import check_plain, held_bytes
from faceaug.synthesize.layers import EPSILON, Layer, Layers, find_layers
from faceaug.synthesize.reparametrized import put_together
from faceaug.synthesize.weights import ROWS

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_AVERAGE = re.compile(r"(^|[^a-z])(ema|average|averaged|avg|swa|shadow|smoothed)([^a-z]|$)")
_GENERATOR = re.compile(r"^(net_?)?g(en|enerator)?([^a-z]|$)")
_COUNTER = "n_averaged"  # of torch's AveragedModel
_DEPTH, _PLACES = 8, 10_000  # nested mappings that are looked at


class _TwiceError(ValueError):
    """Names that are equal without the prefixes of wrappers: which of them are meant cannot be told."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A generator that was found in a file.

    Attributes:
        part: where, such as "state_dict/generator"; empty for the whole file.
        architecture: of the network that computes the same function.
        size: height and width of a face, pixels.
        z_size: length of the latent vector.
        conv_dim: width of the network.
        channels: of the inner maps, if the architecture does not fix them.
        embedding: size of the attribute embedding; 0 for none.
        tensors: of the network, by its names.
        averaged: whether these are averages of weights.
        notes: what was assumed and changed, by a word for the model card.
    """

    part: str
    architecture: Architecture
    size: int
    z_size: int
    conv_dim: int
    tensors: dict[str, Tensor]
    channels: tuple[int, ...] = ()
    embedding: int = 0
    averaged: bool = False
    notes: dict[str, str] = field(default_factory=dict)


def find_generator(found: Mapping[Any, Any], path: Path, part: str | None = None) -> Recognised:
    """Find the generator in what a file holds; of weights and their average, the average.

    Args:
        found: from ``read_file``.
        path: the file, for errors.
        part: the one to take of several, as the error names them.

    Raises:
        WeightsError: there is none, or there are several.
    """
    reasons: dict[str, tuple[int, str]] = {}
    held = held_bytes(path)
    kept = [one for place, tensors in _places(found) for one in _candidates(tensors, place, held, reasons)]
    if not kept:
        raise WeightsError(f"{printable(path)}: {_why_none(found, reasons)}")
    names = [one.part or "the whole file" for one in kept]
    if part is not None:
        kept = [one for one, name in zip(kept, names, strict=True) if part in (name, name.rpartition("/")[2])]
        if len(kept) != 1:
            raise WeightsError(f"{printable(path)}: part {part!r}: its generators are {some(names)}")
    chosen = [one for one in kept if one.averaged] or kept
    if len(chosen) > 1 and all(_same(one, chosen[0]) for one in chosen):
        chosen = chosen[:1]
    if len(chosen) != 1:
        raise WeightsError(f"{printable(path)}: holds {len(kept)} generators, {some(names)}; choose one with --part")
    return _told(chosen[0], names)


def _told(chosen: Recognised, names: list[str]) -> Recognised:
    """Add what was taken to the notes, where there was a choice or a prefix."""
    facts = {}
    if chosen.part or len(names) > 1:
        kind = ", an average of weights" if chosen.averaged else ""
        others = [name for name in names if name != (chosen.part or "the whole file")]
        left = f"; not taken: {some(others)}" if others else ""
        facts["taken"] = f"{chosen.part or 'the whole file'}{kind}{left}"
    return replace(chosen, notes=facts | chosen.notes)


def _same(one: Recognised, other: Recognised) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def _places(found: Mapping[Any, Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every mapping of names to tensors in a nested one, with the keys that lead to it."""
    waiting: list[tuple[str, Mapping[Any, Any], int]] = [("", found, 0)]
    seen: set[int] = set()
    while waiting and len(seen) < _PLACES:
        place, mapping, depth = waiting.pop(0)
        if id(mapping) in seen or depth > _DEPTH:
            continue
        seen.add(id(mapping))
        tensors = {key: value for key, value in mapping.items() if isinstance(key, str) and isinstance(value, Tensor)}
        if tensors:
            yield place, tensors
        for key, value in mapping.items():
            if isinstance(key, str) and isinstance(value, Mapping):
                waiting.append((f"{place}/{key}" if place else key, value, depth + 1))


def _candidates(
    tensors: dict[str, Tensor], place: str, held: int, reasons: dict[str, tuple[int, str]], depth: int = 0
) -> Iterator[Recognised]:
    """Generators among tensors: all of them together, or those behind one of their prefixes."""
    try:
        yield _recognise(tensors, place, held)
    except _TwiceError as error:
        reasons[place] = (len(tensors), str(error))
        return
    except ValueError as error:
        reasons[place] = (len(tensors), str(error))
    else:
        return
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        first, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = tensor
    if depth < _DEPTH:
        for first, group in groups.items():
            if len(group) >= 4:  # no generator has fewer tensors
                yield from _candidates(group, f"{place}/{first}" if place else first, held, reasons, depth + 1)


def _recognise(tensors: dict[str, Tensor], place: str, held: int) -> Recognised:
    """The generator that these tensors are; ValueError if they are none."""
    check_plain(tensors, held)
    plain = _unwrapped({name: tensor for name, tensor in tensors.items() if name != _COUNTER})
    averaged = _COUNTER in tensors or _AVERAGE.search(place.lower()) is not None
    whole, folded = put_together(plain)
    numbers = {name: _numbers(name, tensor) for name, tensor in whole.items() if not name.endswith("_tracked")}
    notes = {"folded": folded} if folded else {}
    if "embed.weight" in numbers and "paint.weight" in numbers:
        return replace(_conditional(numbers), part=place, averaged=averaged, notes=notes)
    layers = find_layers(numbers)
    found = _rectified(layers) if layers.rectified else _plain(layers)
    if layers.assumed:
        notes["assumed"] = layers.assumed
    if layers.rest[-1].weight.shape[1] == 1:
        notes["colours"] = "one grey channel, repeated"
    return replace(found, part=place, averaged=averaged, notes=notes)


def _unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the components that wrappers add."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if short in found:
            raise _TwiceError(f"{short} is there twice, with and without a wrapper's prefix")
        found[short] = tensor
    return found


def _numbers(name: str, tensor: Tensor) -> Tensor:
    if name == ROWS:
        return tensor
    if not tensor.is_floating_point():
        raise ValueError(f"{name}: {str(tensor.dtype).removeprefix('torch.')}, expected floating-point weights")
    found = tensor.detach().float().contiguous()
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"{name}: contains NaN or infinite numbers, so the training that wrote it had diverged")
    return found


def _plain(layers: Layers) -> Recognised:
    """In the network of the project report, batch norm included."""
    last = layers.rest[-1]
    if last.bias is not None and bool(last.bias.any()):
        raise ValueError(
            "a last layer with a bias, and no activation behind the first layer: faceaug has no such network"
        )
    weight, bias = _folded_linear(layers.first)
    tensors = {"fc.weight": weight, "fc.bias": bias}
    for k, layer in enumerate(layers.rest[:-1], start=1):
        n = layer.weight.shape[1]
        shift = torch.zeros(n) if layer.bias is None else layer.bias
        ones, zeros, norm = torch.ones(n), torch.zeros(n), layer.norm
        tensors |= {
            f"t_conv{k}.0.weight": layer.weight,
            f"t_conv{k}.1.weight": ones if norm is None else norm.weight,
            f"t_conv{k}.1.bias": zeros if norm is None else norm.bias,
            f"t_conv{k}.1.running_mean": (zeros if norm is None else norm.mean) - shift,
            f"t_conv{k}.1.running_var": ones - EPSILON if norm is None else norm.var,
            f"t_conv{k}.1.num_batches_tracked": torch.tensor(0),
        }
    colours, _ = _folded(last) if last.norm is not None else (last.weight, None)
    tensors[f"t_conv{len(layers.rest)}.0.weight"] = _in_colour(colours, dim=1)
    return Recognised("", "dcgan", layers.size, weight.shape[1], last.weight.shape[0], tensors)


def _rectified(layers: Layers) -> Recognised:
    """In the network with a ReLU behind the first layer too, batch norm folded into biases."""
    weight, bias = _folded_linear(layers.first)
    tensors = {"fc.weight": weight, "fc.bias": bias}
    for k, layer in enumerate(layers.rest, start=1):
        weights, biases = _folded(layer)
        if layer is layers.rest[-1]:
            weights, biases = _in_colour(weights, dim=1), _in_colour(biases, dim=0)
        tensors |= {f"t_conv{k}.0.weight": weights, f"t_conv{k}.0.bias": biases}
    found = Recognised("", "dcgan-relu", layers.size, weight.shape[1], layers.channels[-1], tensors)
    return replace(found, channels=layers.channels)


def _folded_linear(layer: Layer) -> tuple[Tensor, Tensor]:
    weight, bias = layer.weight, torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    if layer.norm is None:
        return weight.contiguous(), bias
    times = len(weight) // len(layer.norm.mean)  # one norm for all cells of a channel
    scale, shift = (part.repeat_interleave(times) for part in _affine(layer))
    return (weight * scale[:, None]).float(), (bias * scale + shift).float()


def _folded(layer: Layer) -> tuple[Tensor, Tensor]:
    bias = torch.zeros(layer.weight.shape[1]) if layer.bias is None else layer.bias
    if layer.norm is None:
        return layer.weight, bias
    scale, shift = _affine(layer)
    return (layer.weight * scale[None, :, None, None]).float(), (bias * scale + shift).float()


def _affine(layer: Layer) -> tuple[Tensor, Tensor]:
    """Scale and shift of a layer's batch norm, float64."""
    if (norm := layer.norm) is None:
        raise ValueError("a layer without batch norm")
    scale = norm.weight.double() / torch.sqrt(norm.var.double() + EPSILON)
    return scale, norm.bias.double() - norm.mean.double() * scale


def _in_colour(tensor: Tensor, *, dim: int) -> Tensor:
    """Repeat one grey channel as red, green and blue."""
    return tensor if tensor.shape[dim] == 3 else tensor.repeat_interleave(3, dim)


def _conditional(tensors: dict[str, Tensor]) -> Recognised:
    """The conditional network of faceaug itself; its names and shapes are checked when it is built."""
    depth = sum(re.fullmatch(r"conv\d+\.0\.weight", name) is not None for name in tensors)
    embed, first = tensors["embed.weight"], tensors.get("fc.weight")
    if first is None or first.ndim != 2 or embed.ndim != 2:
        raise ValueError("fc.weight: expected the first layer of faceaug's conditional generator")
    counters = {f"conv{k}.1.num_batches_tracked": torch.tensor(0) for k in range(1, depth + 1)}
    return Recognised(
        "",
        "film-subpixel",
        4 * 2 ** (depth + 1),
        first.shape[1] - embed.shape[0],
        first.shape[0] // 128,
        tensors | counters,
        embedding=embed.shape[0],
    )


def _why_none(found: Mapping[Any, Any], reasons: dict[str, tuple[int, str]]) -> str:
    """Why no generator was found, in the place with most tensors."""
    if "generator/fc.weight" in found:
        return "a checkpoint of faceaug train: its run folder is a model, and faceaug.train.export_model writes others"
    if not reasons:
        if {"state", "param_groups"} <= set(found):
            return "holds the state of an optimizer, not the weights of a network"
        return f"holds no tensors by name{' (' + some([str(key) for key in found]) + ')' if found else ''}"
    named = {place: found for place, found in reasons.items() if _GENERATOR.search(place.rpartition("/")[2].lower())}
    place, (_, reason) = max((named or reasons).items(), key=lambda item: item[1][0])
    return f"not a generator that faceaug knows: {place + ': ' if place else ''}{reason}; see docs/synthesize.md"
