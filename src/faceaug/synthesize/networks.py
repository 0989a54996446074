"""The DCGAN: a generator from 100 numbers to a 32x32 face, and the discriminator that trained it.

After Radford, Metz and Chintala 2016, "Unsupervised representation learning with deep convolutional generative
adversarial networks", in the 32-pixel form used in teaching. Names and order of the layers are part of the file
format: a state dict of the original (``fc``, ``t_conv1.0``, ``t_conv1.1``, ...) loads unchanged.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.errors import ArgumentError

SIZE = 32  # pixels: three doublings of a 4x4 map
INIT_STD = 0.02  # of every convolution and linear weight; DCGAN, section 4
_LEAK = 0.2


class BatchNorm2d(nn.BatchNorm2d):
    """torch's own; only its text is fixed, so that a network prints alike under every version of torch."""

    def extra_repr(self) -> str:
        """The options, as torch printed them for years."""
        options = f"eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{self.num_features}, {options}, track_running_stats={self.track_running_stats}"


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 2, padding: int = 1, *, batch_norm: bool = True
) -> nn.Sequential:
    """A convolution without bias, with an optional batch norm behind it: halves height and width by default."""
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)]
    if batch_norm:
        layers.append(BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


def deconv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 2, padding: int = 1, *, batch_norm: bool = True
) -> nn.Sequential:
    """A transposed convolution without bias, with an optional batch norm: doubles height and width by default."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)]
    if batch_norm:
        layers.append(BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


class Discriminator(nn.Module):
    """Tells real faces from generated ones: float (n, 3, 32, 32) in -1..1 -> logits (n, 1), high = real."""

    def __init__(self, conv_dim: int) -> None:
        super().__init__()
        self.conv_dim = conv_dim
        self.conv1 = conv(3, conv_dim, 4, batch_norm=False)
        self.conv2 = conv(conv_dim, conv_dim * 2, 4)
        self.conv3 = conv(conv_dim * 2, conv_dim * 4, 4)
        self.fc = nn.Linear(conv_dim * 4 * 4 * 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float (n, 1)."""
        x = F.leaky_relu(self.conv1(x), _LEAK)  # (n, c, 16, 16)
        x = F.leaky_relu(self.conv2(x), _LEAK)  # (n, 2c, 8, 8)
        x = F.leaky_relu(self.conv3(x), _LEAK)  # (n, 4c, 4, 4)
        x = x.contiguous().view(-1, self.conv_dim * 4 * 4 * 4)
        logits: Tensor = self.fc(x)
        return logits


class Generator(nn.Module):
    """Makes faces: float (n, z_size) -> float (n, 3, 32, 32) in -1..1."""

    def __init__(self, z_size: int, conv_dim: int) -> None:
        super().__init__()
        self.z_size = z_size
        self.conv_dim = conv_dim
        self.fc = nn.Linear(z_size, conv_dim * 4 * 4 * 4)
        self.t_conv1 = deconv(conv_dim * 4, conv_dim * 2, 4)
        self.t_conv2 = deconv(conv_dim * 2, conv_dim, 4)
        self.t_conv3 = deconv(conv_dim, 3, 4, batch_norm=False)

    def forward(self, z: Tensor) -> Tensor:
        """Faces, float (n, 3, 32, 32), -1 = black, 1 = white."""
        x = self.fc(z).view(-1, self.conv_dim * 4, 4, 4)  # (n, 4c, 4, 4)
        x = F.relu(self.t_conv1(x))  # (n, 2c, 8, 8)
        x = F.relu(self.t_conv2(x))  # (n, c, 16, 16)
        return torch.tanh(self.t_conv3(x))  # (n, 3, 32, 32)


def build_network(d_conv_dim: int, g_conv_dim: int, z_size: int, *, seed: int = 0) -> tuple[Discriminator, Generator]:
    """Build both networks with fresh weights, N(0, 0.02) for convolutions and linear layers.

    Args:
        d_conv_dim: channels of the discriminator's first layer; 64 in the bundled models.
        g_conv_dim: channels before the generator's last layer; 64 in the bundled models.
        z_size: length of the latent vector; 100 in the bundled models.
        seed: of the weights. The global random state of torch is neither read nor changed.

    Returns:
        (discriminator, generator), in training mode, float32 on the CPU.
    """
    for name, value in (("d_conv_dim", d_conv_dim), ("g_conv_dim", g_conv_dim), ("z_size", z_size)):
        if value < 1:
            raise ArgumentError(f"{name} {value}: expected at least 1")
    with torch.device("meta"):  # no memory, no random numbers: the weights are drawn below
        discriminator, generator = Discriminator(d_conv_dim), Generator(z_size, g_conv_dim)
    _initialize(discriminator, seed, "discriminator")
    _initialize(generator, seed, "generator")
    return discriminator, generator


def _initialize(network: nn.Module, seed: int, slot: str) -> None:
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
