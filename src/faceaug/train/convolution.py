"""Convolutions with a faster weight gradient for small maps.

The weight gradient of a convolution is one matrix product: transposed patches of its larger map times its smaller map.
In bfloat16 on a CPU, oneDNN's own routine takes three to five times as long as this product if the smaller map is 4x4;
from 8x8 on it is faster (measured with 128 faces, 128 to 512 channels). Most weights of a DCGAN are in layers with 4x4
maps.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

_LARGEST = 4 * 4  # positions of the smaller map


def quicken(network: nn.Module) -> None:
    """Let a network's convolutions use the product, in place; names and values of the weights do not change.

    The product is used only on a CPU, under autocast to bfloat16, for trainable weights; everything else, including
    gradient penalties, uses torch's own convolution. The results differ by the order of summation.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = Conv2d
        elif type(module) is nn.ConvTranspose2d and _is_plain(module):
            module.__class__ = ConvTranspose2d


class Conv2d(nn.Conv2d):
    """A convolution with the faster weight gradient."""

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
    """A transposed convolution with the faster weight gradient."""

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
    trained = torch.is_grad_enabled() and weight.requires_grad
    bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return trained and bf16 and x.device.type == "cpu" and places[0] * places[1] <= _LARGEST


class _Shrink(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """See ``torch.autograd.Function``."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """See ``torch.autograd.Function``."""
        x, weight = ctx.saved_tensors
        back = None
        if ctx.needs_input_grad[0]:
            back = conv2d_input(x.shape, weight, gradient, ctx.stride, ctx.padding)  # type: ignore[no-untyped-call]
        return back, weight_gradient(x, gradient, weight, stride=ctx.stride, padding=ctx.padding), None, None


class _Grow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """See ``torch.autograd.Function``."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv_transpose2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """See ``torch.autograd.Function``."""
        x, weight = ctx.saved_tensors
        back = F.conv2d(gradient, weight, None, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        return back, weight_gradient(gradient, x, weight, stride=ctx.stride, padding=ctx.padding), None, None


def weight_gradient(large: Tensor, small: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """Compute the weight gradient of a convolution from the larger map to the smaller one as one matrix product.

    Args:
        large: (n, c, H, W), the convolution's input; of a transposed one the gradient of its output.
        small: (n, o, h, w), the gradient of its output; of a transposed one its input.
        weight: (o, c, k, k), for its shape.
        stride: of the convolution.
        padding: of the convolution.

    Returns:
        The gradient, (o, c, k, k).
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
