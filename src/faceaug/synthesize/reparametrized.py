"""Weights that a program stores in parts and puts together before every use: spectral norm and weight norm.

They are put together by the formulas, and in the order, in which torch computes them in evaluation mode, so the result
is torch's to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_OLD_SPECTRAL = {"weight_orig", "weight_u", "weight_v"}  # torch.nn.utils.spectral_norm
_OLD_WEIGHT = {"weight_g", "weight_v"}  # torch.nn.utils.weight_norm
_NEW_SPECTRAL = {"parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v"}
_NEW_WEIGHT = {"parametrizations.weight.original0", "parametrizations.weight.original1"}
_PARTS = sorted(_OLD_SPECTRAL | _OLD_WEIGHT | _NEW_SPECTRAL | _NEW_WEIGHT, key=len, reverse=True)


def put_together(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Replace the parts of reparametrized weights by the weights; the order of the names stays.

    Args:
        tensors: a state dict.

    Returns:
        (the plain state dict, what was put together: "", "spectral norm", "weight norm" or both).

    Raises:
        ValueError: parts are missing, do not fit together, or are those of another parametrization.
    """
    found: dict[str, Tensor] = {}
    kinds: dict[str, str] = {}
    for name, tensor in tensors.items():
        module, part = _split(name)
        if not part:
            if ".parametrizations." in f".{name}":
                raise ValueError(f"{name}: a parametrization other than spectral or weight norm")
            found.setdefault(name, tensor)  # a weight that was put together before stays: see _spectral
            continue
        weight = f"{module}weight"
        if weight not in kinds:
            parts = {key: tensors[module + key] for key in _PARTS if module + key in tensors}
            found[weight], kinds[weight] = _weight(module, parts, tensors.get(weight))
    return found, " and ".join(sorted(set(kinds.values())))


def _split(name: str) -> tuple[str, str]:
    """Split main.0.weight_orig into main.0. and weight_orig; the part is empty for a name that is none."""
    for part in _PARTS:
        if name == part or name.endswith(f".{part}"):
            return name[: len(name) - len(part)], part
    return name, ""


def _weight(module: str, parts: dict[str, Tensor], stored: Tensor | None) -> tuple[Tensor, str]:
    keys = set(parts)
    if any(not tensor.is_floating_point() for tensor in parts.values()):
        raise ValueError(f"{module}weight: stored as whole numbers")
    values = {key: tensor.detach().float() for key, tensor in parts.items()}
    if keys == _OLD_SPECTRAL:
        return _spectral(module, values["weight_orig"], values["weight_u"], values["weight_v"]), "spectral norm"
    if keys == _NEW_SPECTRAL:
        original, u, v = (values[f"parametrizations.weight.{key}"] for key in ("original", "0._u", "0._v"))
        return _spectral(module, original, u, v), "spectral norm"
    if keys == {"weight_orig", "weight_u"} and stored is not None:  # before torch 1.0, with the quotient beside them
        return stored.detach().float(), "spectral norm"
    if keys == _OLD_WEIGHT:
        return _normed(module, values["weight_v"], values["weight_g"]), "weight norm"
    if keys == _NEW_WEIGHT:
        scale, direction = (values[f"parametrizations.weight.original{k}"] for k in (0, 1))
        return _normed(module, direction, scale), "weight norm"
    if keys == {"parametrizations.weight.original"}:
        raise ValueError(f"{module}weight: a parametrization other than spectral or weight norm")
    raise ValueError(f"{module}weight: stored in parts that do not belong together ({', '.join(sorted(keys))})")


def _spectral(module: str, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """The weight divided by u'Wv, as torch divides it in evaluation mode."""
    if weight.ndim not in (2, 4):
        raise ValueError(f"{module}weight: spectral norm of {weight.ndim} dimensions")
    # By default torch's matrix has a row for every output: dimension 1 of a transposed convolution, else 0. Which of
    # the two it was is in the lengths of the vectors.
    for dim in (1, 0) if weight.ndim == 4 else (0, 1):
        rows = weight.shape[dim]
        if u.shape == (rows,) and v.shape == (weight.numel() // max(rows, 1),):
            matrix = weight.transpose(0, dim).reshape(rows, -1) if dim else weight.reshape(rows, -1)
            return weight / torch.dot(u, torch.mv(matrix, v))
    raise ValueError(f"{module}weight: the vectors of its spectral norm do not fit its shape {tuple(weight.shape)}")


def _normed(module: str, direction: Tensor, scale: Tensor) -> Tensor:
    """Directions of length 1 along every dimension but one, times the scale."""
    kept = [dim for dim in range(scale.ndim) if scale.shape[dim] != 1]
    shapes_fit = scale.ndim in (0, direction.ndim) and all(scale.shape[d] == direction.shape[d] for d in kept)
    if not shapes_fit or len(kept) > 1:
        raise ValueError(f"{module}weight: the scales of its weight norm do not fit its shape {tuple(direction.shape)}")
    dim = -1 if scale.ndim == 0 else kept[0] if kept else 0
    found: Tensor = torch._weight_norm(direction, scale, dim)
    return found
