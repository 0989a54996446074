"""Frozen, pretrained networks as feature extractors: feature maps of four sizes, each half the size of the last."""

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

_CURE = "python -m pip install 'faceaug[train]', or do without the projected discriminator: projected=0"
_LEAST_SIDE = 64  # pixels; smaller faces are enlarged, because the networks were trained on larger pictures
# Standard deviations of the maps of 256 CelebA faces at 32 pixels; division by them gives all maps the same scale.
_SPREADS = (6.0, 11.0, 10.0, 9.0)


def require_backbone(name: BackboneName) -> None:
    """Check that the package of a network is installed, before a run begins.

    Raises:
        ArgumentError: it is not; the message says what to install.
    """
    if name != "attributes-64":
        find_efficientnet_lite(1, what="projected_on", cure=_CURE)


def open_backbone(name: BackboneName, device: torch.device) -> Backbone:
    """Open a network as a function of faces. Gradients flow through it; its weights are frozen.

    A function, because a module would become a submodule of its user, and be trained and saved with it.

    Args:
        name: "attributes-64", the bundled classifier, trained on CelebA; or "efficientnet-lite1", trained on ImageNet,
            and therefore on no particular faces.
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
        """The first map of each size."""
        maps = network.maps(as_wide(faces).contiguous(memory_format=torch.channels_last))
        sides = [m.shape[2] for m in maps]
        return [maps[sides.index(side)] for side in dict.fromkeys(sides)]

    return look


class _EfficientNetMaps(nn.Module):
    """EfficientNet-Lite1 up to its fourth map size, with batch norm folded into the convolutions: twice as fast.

    The maps are the last of each of the first four sizes, divided by their standard deviations.
    """

    def __init__(self) -> None:
        super().__init__()
        network: Any = load_efficientnet_lite(1, what="projected_on", cure=_CURE)
        self.stem = nn.Sequential(*_folded(network._conv_stem, network._bn0), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList(_Block(block) for block in network._blocks)

    def maps(self, faces: Tensor) -> list[Tensor]:
        """The last maps of each size, largest first."""
        x = self.stem(_as_imagenet(faces))
        maps: list[Tensor] = []
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
    """Convert faces from -1..1 to the network's input: enlarged if small, 0 = grey 127."""
    side = max(_LEAST_SIDE, faces.shape[2])
    x = faces.float()
    if x.shape[2] != side:
        x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return (x.mul(127.5 / STD) + (127.5 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class _Block(nn.Module):
    """An inverted bottleneck of the package's network, with batch norm folded in."""

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
        """See ``torch.nn.Module``."""
        made: Tensor = self.layers(x)
        return made + x if self.skips else made


def _folded(conv: Any, norm: nn.BatchNorm2d) -> list[nn.Module]:
    """Fold a batch norm into the convolution before it; equal padding on all sides becomes the convolution's own."""
    around = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    both = fuse_conv_bn_eval(conv, norm)
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups)
    folded.weight, folded.bias = both.weight, both.bias
    if len(set(around)) == 1:
        folded.padding = (around[0], around[0])
        return [folded]
    return [nn.ZeroPad2d(around), folded]
