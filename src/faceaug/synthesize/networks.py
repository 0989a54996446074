"""The DCGAN: a generator from 100 random numbers to a 32x32 face, and its discriminator.

After Radford, Metz and Chintala 2016, "Unsupervised representation learning with deep convolutional generative
adversarial networks", in the 32-pixel form of the project report (INSAT 2023; see docs/train.md). Names and order of
the layers are part of the file format: a state dict of the original (``fc``, ``t_conv1.0``, ``t_conv1.1``, ...) loads
unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from faceaug.draws import stream
from faceaug.errors import ArgumentError

SIZE = 32  # pixels: three doublings of a 4x4 map; the project report (INSAT 2023)
SIZES = (32, 64, 128, 256)  # the same network, with more doublings above 32
Norm: TypeAlias = Literal["batch", "none", "spectral"]
NORMS: tuple[Norm, ...] = get_args(Norm)
INIT_STD = 0.02  # standard deviation of convolution and linear weights; DCGAN, section 4
_LEAK = 0.2
_WIDEST = 8  # times conv_dim; more would spend most weights at 128 and 256 pixels
_GROUP = 4  # group size of the deviation map; Karras et al. 2018, section 3
_POWER_STEPS = 15  # power iterations for the first estimate of a spectral norm, as in torch


class BatchNorm2d(nn.BatchNorm2d):
    """torch's batch norm with a fixed text, so that a network prints alike under every version of torch."""

    def extra_repr(self) -> str:
        """The options as older versions of torch print them."""
        options = f"eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{self.num_features}, {options}, track_running_stats={self.track_running_stats}"


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 2,
    padding: int = 1,
    *,
    batch_norm: bool = True,
    bias: bool = False,
) -> nn.Sequential:
    """A convolution without bias and with optional batch norm; halves height and width by default.

    Example:
        >>> import torch
        >>> from faceaug.synthesize import conv
        >>> conv(3, 8, 4)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 8, 16, 16])
    """
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)]
    if batch_norm:
        layers.append(BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


def deconv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 2, padding: int = 1, *, batch_norm: bool = True
) -> nn.Sequential:
    """A transposed convolution without bias and with optional batch norm; doubles height and width by default.

    Example:
        >>> import torch
        >>> from faceaug.synthesize import deconv
        >>> deconv(8, 3, 4)(torch.zeros(1, 8, 16, 16)).shape
        torch.Size([1, 3, 32, 32])
    """
    layers: list[nn.Module] = [nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)]
    if batch_norm:
        layers.append(BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


def widths(conv_dim: int, size: int) -> list[int]:
    """Channels of the inner maps from largest to 4x4: c, 2c, 4c at 32 pixels; never more than 8c."""
    if size not in SIZES:
        raise ArgumentError(f"size {size}: expected {', '.join(map(str, SIZES))} pixels")
    return [conv_dim * min(2**k, _WIDEST) for k in range(size.bit_length() - 3)]


class Discriminator(nn.Module):
    """Tells real faces from generated ones: float (n, 3, size, size) in -1..1 -> logits (n, 1), high = real.

    Args:
        conv_dim: channels of the first layer.
        size: height and width of the faces, 32, 64, 128 or 256 pixels.
        norm: "batch", as in the project report (INSAT 2023), puts batch norm behind every convolution but the first.
            "none" and "spectral" use biases instead; ``build_network`` adds the spectral norm.
        minibatch_stddev: show the last layer how much the faces of a batch differ, which penalises mode collapse.
        contrast: show the last layer the mean and the standard deviation of each face's pixels, and give the first
            convolution a bias. Without it, batch norm removes contrast from every batch, so a difference in contrast
            between real and generated faces goes unnoticed and the generator's colours fade during training.

    Example:
        >>> import torch
        >>> from faceaug.synthesize import Discriminator
        >>> Discriminator(8, size=64)(torch.zeros(4, 3, 64, 64)).shape
        torch.Size([4, 1])
    """

    def __init__(
        self,
        conv_dim: int,
        size: int = SIZE,
        *,
        norm: Norm = "batch",
        minibatch_stddev: bool = False,
        contrast: bool = False,
    ) -> None:
        super().__init__()
        self.conv_dim = conv_dim
        self.minibatch_stddev = minibatch_stddev
        self.contrast = contrast
        channels = [3, *widths(conv_dim, size)]
        self.depth = len(channels) - 1
        for k in range(1, self.depth + 1):
            batch_norm = norm == "batch" and k > 1
            bias = norm != "batch" or (contrast and k == 1)
            layer = conv(channels[k - 1], channels[k], 4, batch_norm=batch_norm, bias=bias)
            self.add_module(f"conv{k}", layer)
        self.fc = nn.Linear((channels[-1] + int(minibatch_stddev)) * 4 * 4 + 6 * int(contrast), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float (n, 1)."""
        logits: Tensor = self.fc(self.maps(x))
        return logits

    def maps(self, x: Tensor) -> Tensor:
        """Features of each face: the last maps, flattened, and optional statistics, float (n, channels * 16 + ...)."""
        pixels = x
        for k in range(1, self.depth + 1):
            x = F.leaky_relu(self.get_submodule(f"conv{k}")(x), _LEAK)  # (n, c, 16, 16), (n, 2c, 8, 8), (n, 4c, 4, 4)
        if self.minibatch_stddev:
            x = torch.cat([x, deviation(x)], 1)
        row = x.contiguous().view(len(x), -1)
        return torch.cat([row, tone(pixels).to(row.dtype)], 1) if self.contrast else row


def tone(x: Tensor) -> Tensor:
    """Mean and standard deviation of each face's pixels by channel: (n, 3, H, W) -> float32 (n, 6)."""
    pixels = x.float().flatten(2)
    spread = (pixels.var(dim=2, unbiased=False) + 1e-8).sqrt()  # keeps the gradient finite on a flat face
    return torch.cat([pixels.mean(dim=2), spread], 1)


def deviation(x: Tensor) -> Tensor:
    """Mean standard deviation over groups of the batch as an extra map: (n, c, 4, 4) -> (n, 1, 4, 4)."""
    group = _GROUP if len(x) % _GROUP == 0 else len(x)
    grouped = x.float().flatten(1).reshape(-1, group, x[0].numel())
    spread = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1)
    spread = (spread + 1e-8).sqrt().mean(dim=1)  # (n / group,)
    return spread.repeat_interleave(group).to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])


class Generator(nn.Module):
    """DCGAN generator: float (n, z_size) -> float (n, 3, size, size) in -1..1.

    Args:
        z_size: length of the latent vector.
        conv_dim: channels before the last layer.
        size: height and width of the faces, 32, 64, 128 or 256 pixels.

    Example:
        >>> import torch
        >>> from faceaug.synthesize import Generator
        >>> Generator(100, 8)(torch.zeros(4, 100)).shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(self, z_size: int, conv_dim: int, size: int = SIZE) -> None:
        super().__init__()
        self.z_size = z_size
        self.conv_dim = conv_dim
        self.size = size
        channels = [*reversed(widths(conv_dim, size)), 3]
        self.depth = len(channels) - 1
        self.fc = nn.Linear(z_size, channels[0] * 4 * 4)
        for k in range(1, self.depth + 1):
            layer = deconv(channels[k - 1], channels[k], 4, batch_norm=k < self.depth)
            self.add_module(f"t_conv{k}", layer)

    def forward(self, z: Tensor) -> Tensor:
        """Faces, float (n, 3, size, size), -1 = black, 1 = white."""
        return self.paint(self.fc(z))

    def paint(self, x: Tensor) -> Tensor:
        """Faces from the numbers of the first layer, float (n, 4c * 16)."""
        x = x.view(len(x), -1, 4, 4)  # (n, 4c, 4, 4)
        for k in range(1, self.depth):
            x = F.relu(self.get_submodule(f"t_conv{k}")(x))  # (n, 2c, 8, 8), (n, c, 16, 16)
        return torch.tanh(self.get_submodule(f"t_conv{self.depth}")(x))  # (n, 3, 32, 32)


class RectifiedGenerator(Generator):
    """The DCGAN generator as its paper and most programs have it: a ReLU behind the first layer too.

    Batch norm is folded into weights and biases, so it is for making faces, not for training.

    Args:
        z_size: length of the latent vector.
        channels: of the inner maps, from 4x4 on: three at 32 pixels, one more for each doubling.
    """

    def __init__(self, z_size: int, channels: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.z_size = z_size
        self.conv_dim = channels[-1]
        self.size = 4 * 2 ** len(channels)
        self.depth = len(channels)
        self.fc = nn.Linear(z_size, channels[0] * 4 * 4)
        for k, (entering, leaving) in enumerate(pairwise([*channels, 3]), start=1):
            self.add_module(f"t_conv{k}", nn.Sequential(nn.ConvTranspose2d(entering, leaving, 4, 2, 1)))

    def forward(self, z: Tensor) -> Tensor:
        """Faces, float (n, 3, size, size), -1 = black, 1 = white."""
        return self.paint(F.relu(self.fc(z)))


def build_network(
    d_conv_dim: int,
    g_conv_dim: int,
    z_size: int,
    *,
    seed: int = 0,
    size: int = SIZE,
    d_norm: Norm = "batch",
    minibatch_stddev: bool = False,
    d_contrast: bool = False,
) -> tuple[Discriminator, Generator]:
    """Build discriminator and generator with fresh weights, N(0, 0.02) for convolutions and linear layers.

    Args:
        d_conv_dim: channels of the discriminator's first layer; 64 in the bundled models.
        g_conv_dim: channels before the generator's last layer; 64 in the bundled models.
        z_size: length of the latent vector; 100 in the bundled models.
        seed: seed of the weights. The global random state of torch is neither read nor changed.
        size: height and width of the faces, 32, 64, 128 or 256 pixels.
        d_norm: normalisation of the discriminator's layers; see ``Discriminator``.
        minibatch_stddev: see ``Discriminator``.
        d_contrast: see ``Discriminator``.

    Returns:
        (discriminator, generator), in training mode, float32 on the CPU.

    Raises:
        ArgumentError: a width below 1, or an unsupported size.

    Example:
        >>> import torch
        >>> from faceaug import build_network
        >>> discriminator, generator = build_network(8, 8, 100, seed=0)
        >>> discriminator(generator(torch.zeros(4, 100))).shape
        torch.Size([4, 1])
    """
    check_widths(d_conv_dim, g_conv_dim, z_size)
    with torch.device("meta"):  # no memory, no random numbers: the weights are drawn below
        discriminator = Discriminator(
            d_conv_dim, size, norm=d_norm, minibatch_stddev=minibatch_stddev, contrast=d_contrast
        )
        generator = Generator(z_size, g_conv_dim, size)
    initialize_both(discriminator, generator, seed, d_norm)
    return discriminator, generator


def check_widths(d_conv_dim: int, g_conv_dim: int, z_size: int) -> None:
    """Raise ArgumentError if a width is below 1."""
    for name, value in (("d_conv_dim", d_conv_dim), ("g_conv_dim", g_conv_dim), ("z_size", z_size)):
        if value < 1:
            raise ArgumentError(f"{name} {value}: expected at least 1")


def divide_by_spectral_norm(network: nn.Module, seed: int) -> None:
    """Divide every weight by a running estimate of its largest singular value (Miyato et al. 2018)."""
    for name, module in list(network.named_modules()):
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        with torch.random.fork_rng(devices=[]):  # torch draws its own start vector, which is replaced
            spectral_norm(module)
        parametrized: Any = module.parametrizations
        norm = parametrized.weight[0]
        matrix = parametrized.weight.original.detach().flatten(1)
        start = stream(seed, slot=f"init/spectral/{name}").standard_normal(len(matrix), "f4")
        u = F.normalize(torch.from_numpy(start), dim=0)
        for _ in range(_POWER_STEPS):
            v = F.normalize(matrix.T @ u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
        norm._u.copy_(u)
        norm._v.copy_(v)


def initialize_both(discriminator: nn.Module, generator: nn.Module, seed: int, d_norm: Norm) -> None:
    """Initialise both networks from the meta device; add the discriminator's spectral norm if it has one."""
    initialize(discriminator, seed, "discriminator")
    initialize(generator, seed, "generator")
    if d_norm == "spectral":
        divide_by_spectral_norm(discriminator, seed)


def initialize(network: nn.Module, seed: int, slot: str) -> None:
    """Initialise a network from the meta device with weights N(0, 0.02) on the CPU."""
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()  # weight 1, bias 0, mean 0, variance 1: nothing random
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                numbers = stream(seed, slot=f"init/{slot}/{name}").standard_normal(tuple(module.weight.shape), "f4")
                module.weight.copy_(torch.from_numpy(numbers) * INIT_STD)
                if module.bias is not None:
                    module.bias.zero_()
