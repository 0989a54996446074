"""The network that recognises attributes: three stages of residual blocks and a position-dependent head.

A residual network (He et al. 2016, "Deep residual learning for image recognition") of 1.6 million weights. It ends in a
depthwise convolution as large as the map instead of average pooling (Chen et al. 2018, "MobileFaceNets", section 3.1),
because on aligned faces the position of a feature matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceaug.draws import stream

SIDE = 64  # pixels: height and width of the network's input
STEM = 32  # channels
WIDTHS = (64, 128, 256)  # channels of each stage
BLOCKS = (2, 2, 1)  # residual blocks of each stage


class Block(nn.Module):
    """Residual block of two convolutions: (n, channels, H, W) -> (n, width, H / stride, W / stride)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != width:
            shrink = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(shrink, nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class AttributeNetwork(nn.Module):
    """Attribute classifier: float (n, 3, side, side) in -1..1 -> logits (n, outputs), high = yes.

    Args:
        outputs: number of attributes.
        side: height and width of the faces, pixels; the stem and each stage halve it.
        stem: channels of the first map.
        widths: channels of each stage.
        blocks: number of blocks in each stage.
    """

    def __init__(
        self,
        outputs: int,
        *,
        side: int = SIDE,
        stem: int = STEM,
        widths: Sequence[int] = WIDTHS,
        blocks: Sequence[int] = BLOCKS,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 4, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        made = []
        channels = stem
        for width, count in zip(widths, blocks, strict=True):
            for k in range(count):
                made.append(Block(channels, width, 1 if k else 2))
                channels = width
        self.blocks = nn.Sequential(*made)
        last = side // 2 ** (1 + len(widths))
        self.places = nn.Conv2d(channels, channels, last, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, outputs)

    def features(self, x: Tensor) -> Tensor:
        """Input of the last layer: float (n, last width)."""
        return self.described(self.blocks(self.stem(x)))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Intermediate maps: the stem's, then every block's; the first has half the side."""
        found = [self.stem(x)]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found

    def described(self, last: Tensor) -> Tensor:
        """Features of the last map, by default (n, 256, 4, 4)."""
        features: Tensor = self.norm(self.places(last)).flatten(1)
        return features

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits, float (n, outputs).

        Args:
            x: float (n, 3, side, side), -1 = black, 1 = white.
            kept: dropout factors of the features, float (n, last width) (Srivastava et al. 2014), drawn by the caller.
        """
        features = self.features(x)
        logits: Tensor = self.fc(features if kept is None else features * kept)
        return logits


FEATURES = WIDTHS[-1]


def build_attribute_network(
    outputs: int,
    *,
    seed: int,
    side: int = SIDE,
    stem: int = STEM,
    widths: Sequence[int] = WIDTHS,
    blocks: Sequence[int] = BLOCKS,
) -> AttributeNetwork:
    """Build a network with fresh weights (He et al. 2015) in training mode, without touching torch's random state.

    The second norm of every block starts at zero, so that a block starts as its shortcut (Goyal et al. 2017, 5.1).

    Args:
        outputs: see ``AttributeNetwork``.
        seed: seed of the weights.
        side: see ``AttributeNetwork``.
        stem: see ``AttributeNetwork``.
        widths: see ``AttributeNetwork``.
        blocks: see ``AttributeNetwork``.
    """
    with torch.device("meta"):  # no memory, no random numbers: the weights are drawn below
        network = AttributeNetwork(outputs, side=side, stem=stem, widths=widths, blocks=blocks)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
                if name.endswith("norm2"):
                    module.weight.zero_()
            elif isinstance(module, nn.Conv2d | nn.Linear):
                shape = tuple(module.weight.shape)
                numbers = stream(seed, slot=f"init/classifier/{name}").standard_normal(shape, "f4")
                spread = 0.1 if module is network.fc else 1.0  # small initial logits
                module.weight.copy_(torch.from_numpy(numbers) * (spread * math.sqrt(2 / math.prod(shape[1:]))))
                if module.bias is not None:
                    module.bias.zero_()
    return network
