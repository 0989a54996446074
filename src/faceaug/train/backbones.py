"""Networks that were taught elsewhere and stay as they are: what they see in a face, from edges to shapes.

Each makes maps of four sizes of a face, every one half as high and wide as the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from faceaug.synthesize.classifier import as_wide, load_classifier
from faceaug.synthesize.efficientnet import MEAN, STD, find_efficientnet_lite, load_efficientnet_lite

BackboneName: TypeAlias = Literal["attributes-64", "efficientnet-lite1"]
BACKBONES: tuple[BackboneName, ...] = get_args(BackboneName)
Backbone: TypeAlias = Callable[[Tensor], list[Tensor]]  # float (n, 3, H, W) in -1..1 -> four maps (n, c, h, w)

_CURE = "python -m pip install 'faceaug[train]', or do without it: projected=0"
_LEAST_SIDE = 64  # pixels; smaller faces are enlarged, since the networks were taught with larger pictures
# Standard deviation of the maps of real faces, 256 of CelebA at 32 pixels: divided by it, all count alike.
_SPREADS = (6.0, 11.0, 10.0, 9.0)


def require_backbone(name: BackboneName) -> None:
    """Raises ArgumentError where a network's package is not installed; what to do is said before anything is done."""
    if name != "attributes-64":
        find_efficientnet_lite(1, what="projected_on", cure=_CURE)


def open_backbone(name: BackboneName, device: torch.device) -> Backbone:
    """A network as a function of faces; gradients go through it, its weights never move.

    Not as a module, which would become part of the one that looks through it, and be taught and saved with it.

    Args:
        name: "attributes-64", the bundled classifier, which was taught with CelebA; or "efficientnet-lite1", which was
            taught with ImageNet and so knows of no particular faces.
        device: where the faces are.

    Raises:
        ArgumentError: the package of the weights is not installed.
    """
    if name == "attributes-64":
        return _classifier(device)
    network = _EfficientNetMaps().requires_grad_(False)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.maps


def _classifier(device: torch.device) -> Backbone:
    network = load_classifier(device=device).network.requires_grad_(False)

    def look(faces: Tensor) -> list[Tensor]:
        maps = network.maps(as_wide(faces).contiguous(memory_format=torch.channels_last))
        sides = [m.shape[2] for m in maps]
        return [maps[sides.index(side)] for side in dict.fromkeys(sides)]  # the first of every size

    return look


class _EfficientNetMaps(nn.Module):
    """EfficientNet-Lite1 without its end, batch norm folded into the convolutions: twice as fast as the whole.

    The last map of each of the first four sizes, divided by its spread.
    """

    def __init__(self) -> None:
        super().__init__()
        network: Any = load_efficientnet_lite(1, what="projected_on", cure=_CURE)
        self.stem = nn.Sequential(*_folded(network._conv_stem, network._bn0), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList(_Block(block) for block in network._blocks)

    def maps(self, faces: Tensor) -> list[Tensor]:
        x, maps = self.stem(_as_imagenet(faces)), list[Tensor]()
        for block in self.blocks:
            x = block(x)
            if maps and x.shape[2] == maps[-1].shape[2]:
                maps[-1] = x
            elif len(maps) == len(_SPREADS):
                break
            else:
                maps.append(x)
        return [m / spread for m, spread in zip(maps, _SPREADS, strict=True)]


def _as_imagenet(faces: Tensor) -> Tensor:
    """Faces in -1..1 as the network was taught to see pictures: enlarged if small, 0 = grey 127."""
    side, x = max(_LEAST_SIDE, faces.shape[2]), faces.float()
    if x.shape[2] != side:
        x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return (x.mul(127.5 / STD) + (127.5 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class _Block(nn.Module):
    """An inverted bottleneck of the package's network, folded."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        wide: list[nn.Module] = []
        if hasattr(block, "_expand_conv"):
            wide = [*_folded(block._expand_conv, block._bn0), nn.ReLU6(inplace=True)]
        deep = [*_folded(block._depthwise_conv, block._bn1), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*wide, *deep, *_folded(block._project_conv, block._bn2))
        before, after = self.layers[0], self.layers[-1]
        self.skips = block._depthwise_conv.stride == (1, 1) and before.in_channels == after.out_channels

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return made + x if self.skips else made


def _folded(conv: Any, norm: nn.BatchNorm2d) -> list[nn.Module]:
    """A convolution with the batch norm behind it in its weights; padding that is the same on all sides is its own."""
    around = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    both = fuse_conv_bn_eval(conv, norm)
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups)
    folded.weight, folded.bias = both.weight, both.bias
    if len(set(around)) == 1:
        folded.padding = (around[0], around[0])
        return [folded]
    return [nn.ZeroPad2d(around), folded]
