"""Conditional networks: a generator that takes attributes, and a discriminator that checks face and attributes.

The generator is built for CPUs: maps grow by sub-pixel shuffles (Shi et al. 2016), which only move numbers, so every
convolution is a plain 3x3 one on few channels, and only the last, to three colours, runs at full size. The attributes
enter twice: concatenated with the latent vector, and in every layer as a scale and shift of each channel (FiLM, Perez
et al. 2018; because the latent vector takes part, also the self-modulation of Chen et al. 2019). The discriminator adds
the product of attributes and features to its verdict (projection, Miyato and Koyama 2018) and predicts the attributes.

Attributes are float (n, 40): -1 without, +1 with, 0 unspecified; larger numbers exaggerate.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceaug.data.tables import ATTRIBUTES
from faceaug.errors import ArgumentError
from faceaug.synthesize.networks import (
    SIZE,
    BatchNorm2d,
    Discriminator,
    Norm,
    check_widths,
    initialize_both,
    widths,
)

FILM = "film-subpixel"  # the architecture's name in config files
EMBEDDING = 64  # size of the generator's attribute embedding
_FEATURES = 256  # features behind the discriminator's outputs


class FilmGenerator(nn.Module):
    """Conditional generator: float (n, z_size), float (n, 40) -> float (n, 3, size, size) in -1..1.

    Args:
        z_size: length of the latent vector.
        conv_dim: channels of the map at half the size of a 64-pixel face; a multiple of 4, or of 16 above 64 pixels.
        size: height and width of the faces, 32, 64, 128 or 256 pixels.
        embedding: size of the attribute embedding.
    """

    def __init__(self, z_size: int, conv_dim: int, size: int = SIZE, *, embedding: int = EMBEDDING) -> None:
        super().__init__()
        if conv_dim % (4 if size <= 64 else 16):
            raise ArgumentError(f"g_conv_dim {conv_dim}: expected a multiple of 4, or of 16 above 64 pixels")
        self.z_size = z_size
        self.conv_dim = conv_dim
        self.size = size
        self.depth = len(widths(conv_dim, size)) - 1
        entering = [2 * conv_dim, conv_dim, conv_dim, conv_dim // 2, conv_dim // 4][: self.depth]
        leaving = [4 * width for width in entering[1:]] + [entering[-1]]
        # No bias: unspecified attributes add nothing, and half the strength adds half.
        self.embed = nn.Linear(len(ATTRIBUTES), embedding, bias=False)
        self.fc = nn.Linear(z_size + embedding, 4 * entering[0] * 4 * 4)
        for k in range(self.depth):
            layers = [nn.Conv2d(entering[k], leaving[k], 3, padding=1, bias=False), BatchNorm2d(leaving[k])]
            self.add_module(f"conv{k + 1}", nn.Sequential(*layers))
            self.add_module(f"film{k + 1}", nn.Linear(z_size + embedding, 2 * leaving[k], bias=False))
        self.paint = nn.Conv2d(leaving[-1] // 4, 3, 3, padding=1)

    def forward(self, z: Tensor, attributes: Tensor) -> Tensor:
        """Faces, float (n, 3, size, size), -1 = black, 1 = white."""
        style = torch.cat([z, self.embed(attributes).to(z.dtype)], 1)
        x = self.fc(style).view(len(z), 4, 4, -1).permute(0, 3, 1, 2)  # channels last in memory from here on
        for k in range(1, self.depth + 1):
            x = self.get_submodule(f"conv{k}")(enlarge(x))
            scale, shift = self.get_submodule(f"film{k}")(style)[:, :, None, None].chunk(2, 1)
            x = F.relu(torch.addcmul(shift, x, scale + 1))
        return torch.tanh(self.paint(enlarge(x)))


def enlarge(x: Tensor) -> Tensor:
    """Rearrange four channels into four neighbouring pixels: (n, 4c, h, w) -> (n, c, 2h, 2w).

    torch's ``pixel_shuffle`` with another channel order, in which whole rows are copied instead of numbers. Channels
    are last in memory.
    """
    n, channels, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).reshape(n, height, width, 2, 2, channels // 4).permute(0, 1, 3, 2, 4, 5)
    return parts.reshape(n, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


class ProjectionDiscriminator(Discriminator):
    """Conditional discriminator: tells real faces from generated ones and predicts their attributes.

    float (n, 3, size, size) in -1..1, float (n, 40) -> logits (n, 1), high = real, and (n, 40), high = yes.

    Args:
        conv_dim: see ``Discriminator``.
        size: see ``Discriminator``.
        norm: see ``Discriminator``.
        minibatch_stddev: see ``Discriminator``.
        contrast: see ``Discriminator``.
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
        super().__init__(conv_dim, size, norm=norm, minibatch_stddev=minibatch_stddev, contrast=contrast)
        self.features = nn.Linear(self.fc.in_features, _FEATURES)
        self.fc = nn.Linear(_FEATURES, 1)
        self.project = nn.Linear(len(ATTRIBUTES), _FEATURES, bias=False)
        self.name = nn.Linear(_FEATURES, len(ATTRIBUTES))

    def forward(self, x: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits, float (n, 1), and attribute logits, float (n, 40)."""
        features = F.leaky_relu(self.features(self.maps(x)), 0.2)
        match = (self.project(attributes) * features).sum(dim=1, keepdim=True) / math.sqrt(len(ATTRIBUTES))
        return self.fc(features) + match, self.name(features)


def build_conditional(
    d_conv_dim: int,
    g_conv_dim: int,
    z_size: int,
    *,
    seed: int = 0,
    size: int = SIZE,
    d_norm: Norm = "batch",
    minibatch_stddev: bool = False,
    d_contrast: bool = False,
    embedding: int = EMBEDDING,
) -> tuple[ProjectionDiscriminator, FilmGenerator]:
    """Build both networks with fresh weights; for the arguments see ``build_network``."""
    check_widths(d_conv_dim, g_conv_dim, z_size)
    with torch.device("meta"):
        discriminator = ProjectionDiscriminator(
            d_conv_dim, size, norm=d_norm, minibatch_stddev=minibatch_stddev, contrast=d_contrast
        )
        generator = FilmGenerator(z_size, g_conv_dim, size, embedding=embedding)
    initialize_both(discriminator, generator, seed, d_norm)
    with torch.no_grad():  # scale the embedding of a full row like the latent vector
        generator.embed.weight.div_(generator.embed.weight.std() * math.sqrt(len(ATTRIBUTES)))
    return discriminator, generator
