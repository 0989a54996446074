"""Pictures with transparency: what they show on white and on black.

A drawing in white on a transparent ground is blank on white, and so is every other one. Two such pictures are the same
only if they are the same on both grounds; the look is taken from the ground on which there is something to see.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from faceaug.data.image import Image8, decode, may_be_transparent

Layers: TypeAlias = tuple[Image8, ...]
JPEG = b"\xff\xd8\xff"  # the first bytes of a format without transparency
_BLACK = (0, 0, 0)
_FLAT = 8  # levels between the darkest and the brightest value of a picture without content


def read_layers(data: bytes, *, name: str = "picture") -> Layers:
    """Decode a picture on white and, if transparency makes a difference, on black.

    Raises:
        ImageError: see ``decode``.
    """
    image = decode(data, name=name)
    if data[:3] == JPEG or not may_be_transparent(data, name=name):
        return (image,)
    other = decode(data, name=name, ground=_BLACK)
    return (image,) if np.array_equal(image, other) else (image, other)


def shown_layer(layers: Layers) -> Image8:
    """The picture on white, as a viewer shows it; on black if there is nothing to see on white."""
    return layers[1] if len(layers) > 1 and np.ptp(layers[0]) < _FLAT else layers[0]


def same_layers(one: Layers, other: Layers) -> bool:
    """Whether two pictures are the same on every ground."""
    return len(one) == len(other) and all(map(np.array_equal, one, other))
