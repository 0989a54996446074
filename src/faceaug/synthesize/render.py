"""Rendering: latent vectors to pixels, in blocks of a fixed size, so that a face does not depend on its batch."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.synthesize.weights import AnyGenerator

RenderPrecision: TypeAlias = Literal["fp32", "bf16"]
RENDER_PRECISIONS: tuple[RenderPrecision, ...] = get_args(RenderPrecision)
_LOG = logging.getLogger(__name__)
# Libraries round differently for different batch sizes, so face 7 would depend on the number of faces requested.
# Faces are therefore always computed in these blocks: block b holds faces 64 b to 64 b + 63.
BLOCK = 64
_PARTS = (1, 2, 4, 8, 16, 24, 32)  # smaller pass sizes that ``Renderer.allow_parts`` tries


def to_uint8(faces: Tensor) -> Tensor:
    """Convert generator output to pixels: float (n, 3, H, W) in -1..1 -> uint8, rounded to the nearest level."""
    return faces.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).contiguous()


def available_precision(wanted: RenderPrecision, device: torch.device) -> RenderPrecision:
    """The precision that a device can compute in: "bf16" becomes "fp32", and a log entry, where it has no bfloat16.

    Raises:
        ArgumentError: an unknown precision.
    """
    if wanted not in RENDER_PRECISIONS:
        raise ArgumentError(f"precision {wanted!r}: expected one of {', '.join(RENDER_PRECISIONS)}")
    if wanted == "fp32" or has_bfloat16(device):
        return wanted
    _LOG.warning("precision bf16: %s has no bfloat16 arithmetic; float32 is used, which is faster here", device)
    return "fp32"


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself, without emulating it."""
    if device.type == "cuda":
        native: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return native
    if device.type != "cpu":
        return True
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call] # then the function below is missing
        return False
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported


def fold_batch_norm(generator: AnyGenerator) -> AnyGenerator:
    """Fold batch norm into the convolutions before it: the same function with fewer operations.

    Args:
        generator: in evaluation mode.

    Returns:
        A copy whose outputs differ only by rounding.
    """
    folded = copy.deepcopy(generator)
    for name, block in list(folded.named_children()):
        layers = list(block.children())
        if len(layers) == 2 and isinstance(layers[1], nn.BatchNorm2d):
            grows = isinstance(layers[0], nn.ConvTranspose2d)
            fused = fuse_conv_bn_eval(layers[0], layers[1], transpose=grows)  # type: ignore[type-var]
            folded.add_module(name, nn.Sequential(fused))
    return folded


class Renderer:
    """Renders latent vectors to pixels.

    Args:
        generator: in evaluation mode; moved to ``device`` if it is elsewhere.
        precision: "fp32" is the reference. "bf16" computes in bfloat16: three to four times as fast on processors with
            matrix instructions, and most pixels differ by a grey level or two. On a processor without bfloat16
            arithmetic, which would emulate it at a fiftieth of the speed, it computes in float32.
        device: where to compute.

    Attributes:
        precision: the precision in use.
    """

    def __init__(self, generator: AnyGenerator, precision: RenderPrecision, device: torch.device) -> None:
        self.precision = available_precision(precision, device)
        self._generator = generator
        self._device = device
        self._z_size = generator.z_size
        self._sizes: tuple[int, ...] = (BLOCK,)

    @cached_property
    def _network(self) -> nn.Module:
        """The generator as it is computed: batch norm folded, and the maps' channels last in memory on a processor.

        Built at the first pass, since servers make sources that only draw latent vectors.
        """
        folded: nn.Module = fold_batch_norm(self._generator).to(self._device, self._dtype)
        return folded.to(memory_format=torch.channels_last) if self._device.type == "cpu" else folded

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @torch.inference_mode()
    def block(self, latents: Tensor) -> Tensor:
        """Render at most 64 faces, computed as 64: latents float32 (n, width) -> uint8 (n, 3, H, W) on the CPU.

        A conditional generator takes the attributes behind the latent vector: width is then z_size + 40.
        """
        return torch.cat([to_uint8(self._pass(part)).cpu() for part in torch.split(latents, self._sizes[-1])])

    @torch.inference_mode()
    def allow_parts(self, latents: Tensor) -> tuple[int, ...]:
        """Compute few faces in smaller passes from now on, where that changes no bit.

        Rounding depends on shapes, threads and processor, not on the numbers. So each pass size is tried once, and used
        if every number equals that of a pass of 64, to the last bit.

        Args:
            latents: float32 (64, width) to try, not constant.

        Returns:
            The pass sizes in use.
        """
        self._sizes = (BLOCK,)
        whole = self._pass(latents)
        same = tuple(size for size in _PARTS if self._alike(whole, latents, size))
        # Two passes of 32 are also faster than one of 64: their maps stay in the processor's cache.
        self._sizes = same if _PARTS[-1] in same else (*same, BLOCK)
        return self._sizes

    def _alike(self, whole: Tensor, latents: Tensor, size: int) -> bool:
        self._sizes = (size,)
        ends = (slice(0, size), slice(BLOCK - size, BLOCK))
        return all(torch.equal(self._pass(latents[end]), whole[end]) for end in ends)

    def _pass(self, latents: Tensor) -> Tensor:
        """Run one pass over at most as many vectors as the largest pass holds, padded to a pass size."""
        size = next(size for size in self._sizes if size >= len(latents))
        full = latents.new_zeros(size, latents.shape[1])
        full[: len(latents)] = latents
        return generate(self._network, full.to(self._device, self._dtype), self._z_size)[: len(latents)]


def generate(network: nn.Module, latents: Tensor, z_size: int) -> Tensor:
    """Run a generator on latents, float (n, 3, H, W); attributes, if any, follow the latent vector."""
    z, attributes = latents[:, :z_size], latents[:, z_size:]
    faces: Tensor = network(z, attributes) if attributes.shape[1] else network(z)
    return faces


def draw_latents(seed: int, numbers: Iterable[int], z_size: int, latent: str) -> Tensor:
    """Draw the latent vectors of faces of a stream: float32 (n, z_size).

    Args:
        seed: of the stream.
        numbers: of the faces.
        z_size: length of a vector.
        latent: "normal" or "uniform".
    """
    draws = [stream(seed, index=k, slot="face/latent") for k in numbers]
    if latent == "uniform":
        return torch.from_numpy(np.stack([draw.random((z_size,), "f4") * 2 - 1 for draw in draws]))
    return torch.from_numpy(np.stack([draw.standard_normal((z_size,), "f4") for draw in draws]))


def truncate(latents: Tensor, limit: float, latent: str) -> Tensor:
    """Squeeze latent numbers into -limit..limit, keeping the order and the shape of the distribution.

    A normal number is mapped to the same quantile of the normal distribution truncated at the limit (the truncation
    trick of Brock et al. 2019, without redrawing); a uniform one is scaled. A lower limit gives more ordinary faces.

    Args:
        latents: float32 (n, z_size).
        limit: above 0; 2 changes little, 0.5 a lot.
        latent: "normal" or "uniform".
    """
    if not 0 < limit < math.inf:
        raise ArgumentError(f"truncation {limit}: expected a number above 0, such as 1.5")
    if latent == "uniform":
        return latents * min(limit, 1.0)
    wide = latents.double()
    low = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
    squeezed: Tensor = torch.special.ndtri(low + torch.special.ndtr(wide) * (1 - 2 * low))
    return squeezed.float()


def between(first: Tensor, second: Tensor, steps: int, latent: str, *, z_size: int | None = None) -> Tensor:
    """Interpolate between two latent vectors: float32 (width,) twice -> (steps, width), ends included.

    Normal vectors follow the arc (Shoemake 1985, slerp): the straight line leads through shorter vectors than the
    generator was trained on. Attributes, which follow the first ``z_size`` numbers, are interpolated linearly.
    """
    if z_size is not None and len(first) > z_size:
        arc = between(first[:z_size], second[:z_size], steps, latent)
        return torch.cat([arc, between(first[z_size:], second[z_size:], steps, "uniform")], 1)
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    a, b = first.double(), second.double()
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if latent == "uniform" or not 1e-4 < float(angle) < math.pi - 1e-4:
        way = (1 - t) * a + t * b
    else:
        way = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    way[0], way[-1] = a, b  # exact ends, without rounding
    return way.float()
