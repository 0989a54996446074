"""The precision of networks, and whether they are compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from faceaug.synthesize.render import has_bfloat16
from faceaug.train.settings import Precision

Network: TypeAlias = Callable[..., Any]


def resolve_precision(wanted: Precision, device: torch.device | None = None) -> Precision:
    """Resolve "auto": bf16 if the processor or CUDA device computes in it itself, otherwise fp32."""
    if wanted != "auto":
        return wanted
    place = device or torch.device("cpu")
    return "bf16" if place.type in {"cpu", "cuda"} and has_bfloat16(place) else "fp32"


def compiled_or_not(network: nn.Module) -> Network:
    """Compile a network with torch.compile; without a working compiler, warn and return it unchanged."""
    try:
        torch.compile(_doubled)(torch.ones(2))  # a cheap test of the compiler, before it is needed
    except Exception as error:  # noqa: BLE001 - torch reports a missing compiler by almost any error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"compile: not possible here ({reason}); continuing without it", stacklevel=2)
        return network
    return torch.compile(network)


def _doubled(x: Tensor) -> Tensor:
    return x.exp() * 2
