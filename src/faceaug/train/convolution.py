"""Convolutions whose weights are taught several times faster where their maps are small.

The slope of a convolution's weights is one matrix product: patches of its larger map, turned, times its smaller map.
In bfloat16 on a CPU, oneDNN's own routine for it takes three to five times as long as the product where the smaller
map is 4x4, and from 8x8 on it is the faster of the two (measured with 128 faces, 128 to 512 channels). Such layers
hold most of a DCGAN's weights.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

_LARGEST = 4 * 4  # places of the smaller map


def quicken(network: nn.Module) -> None:
    """Let a network's convolutions use the product, in place; names and values of its weights stay as they are.

    It is used only on a CPU, under autocast to bfloat16, while the weights are taught; everything else, penalties on
    slopes too, goes through torch's own convolution. The values differ by the order of the additions.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = Conv2d
        elif type(module) is nn.ConvTranspose2d and _is_plain(module):
            module.__class__ = ConvTranspose2d


class Conv2d(nn.Conv2d):
    """A convolution that knows the quicker way."""

    def forward(self, input: Tensor) -> Tensor:
        """As ``nn.Conv2d``."""
        stride, padding, kernel = self.stride[0], int(self.padding[0]), self.kernel_size[0]
        places = [(side + 2 * padding - kernel) // stride + 1 for side in input.shape[2:]]
        if not _pays(self.weight, input, places):
            return super().forward(input)
        x, weight = input.to(torch.bfloat16), self.weight.to(torch.bfloat16)
        made: Tensor = _Shrink.apply(x, weight, stride, padding)
        return made if self.bias is None else made + self.bias.to(made.dtype)[:, None, None]


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that knows the quicker way."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As ``nn.ConvTranspose2d``."""
        if output_size is not None or not _pays(self.weight, input, list(input.shape[2:])):
            return super().forward(input, output_size)
        x, weight = input.to(torch.bfloat16), self.weight.to(torch.bfloat16)
        stride, padding = self.stride[0], int(self.padding[0])
        made: Tensor = _Grow.apply(x, weight, stride, padding)
        return made if self.bias is None else made + self.bias.to(made.dtype)[:, None, None]


def _is_plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    square = len(set(module.kernel_size)) == len(set(module.stride)) == 1
    even = not isinstance(module.padding, str) and len(set(module.padding)) == 1
    simple = module.groups == 1 and set(module.dilation) == {1} and set(module.output_padding) == {0}
    return square and even and simple and module.padding_mode == "zeros"


def _pays(weight: Tensor, x: Tensor, places: list[int]) -> bool:
    taught = torch.is_grad_enabled() and weight.requires_grad
    bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return taught and bf16 and x.device.type == "cpu" and places[0] * places[1] <= _LARGEST


class _Shrink(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        back = None
        if ctx.needs_input_grad[0]:
            back = conv2d_input(x.shape, weight, slope, ctx.stride, ctx.padding)  # type: ignore[no-untyped-call]
        return back, weight_slope(x, slope, weight, stride=ctx.stride, padding=ctx.padding), None, None


class _Grow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv_transpose2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        back = F.conv2d(slope, weight, None, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        return back, weight_slope(slope, x, weight, stride=ctx.stride, padding=ctx.padding), None, None


def weight_slope(large: Tensor, small: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """Slope of the weights of a convolution from the larger map to the smaller one, as one matrix product.

    Args:
        large: (n, c, H, W), what the convolution sees; for a transposed one the slope of what it made.
        small: (n, o, h, w), the slope of what it made; for a transposed one what it saw.
        weight: (o, c, k, k), for its shape.
        stride: of the convolution.
        padding: of the convolution.

    Returns:
        (o, c, k, k).
    """
    outputs, inputs, side, _ = weight.shape
    count, _, height, width = small.shape
    padded = F.pad(large, (padding, padding, padding, padding)).permute(0, 2, 3, 1).contiguous()
    face, row, column, channel = padded.stride()
    patches = padded.as_strided(
        (count, height, width, side, side, inputs), (face, stride * row, stride * column, row, column, channel)
    )
    columns = patches.reshape(count * height * width, side * side * inputs)
    found = columns.t() @ small.permute(0, 2, 3, 1).reshape(-1, outputs)
    return found.view(side, side, inputs, outputs).permute(3, 2, 0, 1)
