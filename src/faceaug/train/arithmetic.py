"""How networks are computed: in which precision, compiled or as they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from faceaug.train.settings import Precision

Network: TypeAlias = Callable[..., Any]


def resolve_precision(wanted: Precision, device: torch.device | None = None) -> Precision:
    """What "auto" means here: bf16 where the processor has matrix instructions for it, else fp32."""
    if wanted != "auto":
        return wanted
    if device is not None and device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    capable = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    capable = capable and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if capable else "fp32"


def compiled_or_not(network: nn.Module) -> Network:
    """The network through torch.compile; as it is, with a warning, where nothing can be compiled."""
    try:
        torch.compile(_doubled)(torch.ones(2))  # finds out now, and cheaply, whether there is a compiler
    except Exception as error:  # noqa: BLE001 - a missing compiler shows as almost any error of torch's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"compile: not possible here ({reason}); the networks run as they are", stacklevel=2)
        return network
    return torch.compile(network)


def _doubled(x: Tensor) -> Tensor:
    return x.exp() * 2
