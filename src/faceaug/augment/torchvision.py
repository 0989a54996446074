"""Adapter for torchvision.transforms.v2: its transforms as seeded steps of a Compose.

The other direction needs no adapter: a faceaug transform is a callable that takes what ``v2.Compose`` passes on.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from faceaug.augment.lattice import Size
from faceaug.augment.ranges import set_field
from faceaug.augment.sample import Sample, Sides
from faceaug.augment.transform import Params, Transform, first_sides
from faceaug.draws import MAX_SEED, Dice


def is_v2(transform: object) -> bool:
    """Whether a value is a torchvision v2 transform; never imports torchvision."""
    v2 = sys.modules.get("torchvision.transforms.v2")
    return v2 is not None and isinstance(transform, v2.Transform)


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Seed torch's global (CPU) generator for a block and restore its state afterwards.

    Args:
        seed: 0..2**63-1.

    Example:
        >>> import torch
        >>> from faceaug.augment import torch_seeded
        >>> with torch_seeded(7):
        ...     first = torch.rand(3)
        >>> with torch_seeded(7):
        ...     bool((torch.rand(3) == first).all())
        True
    """
    import torch

    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch (CPU), NumPy and Python for a block and restore them afterwards.

    Args:
        seed: 0..2**63-1.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002, TID251
    try:
        with torch_seeded(seed):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


@dataclass(frozen=True, eq=False)
class TorchvisionStep(Transform, in_recipes=False):
    """A torchvision v2 transform inside a faceaug Compose.

    It receives tv_tensors (PIL pictures stay PIL), draws from the key, and may change the size of the picture, or make
    it float at the end of the Compose. Targets follow the pixels, see ``steps``; landmarks and labels swap under a
    mirror, which torchvision itself does not do.

    Attributes:
        transform: the torchvision transform.
    """

    transform: Any = None

    _step: ClassVar[Any]  # (work) -> work; set on each instance

    def __post_init__(self) -> None:
        from faceaug.augment.steps import as_step  # imports torchvision, which the transform already loaded

        super().__post_init__()
        set_field(self, "_step", as_step(self.transform))

    @property
    def sides(self) -> Sides:
        """Sides of the faceaug transforms inside it."""
        from faceaug.augment.steps import parts

        return first_sides([part for part in parts(self.transform) if isinstance(part, Transform)])

    @property
    def name(self) -> str:
        """The class of the torchvision transform."""
        return type(self.transform).__name__

    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {"torch_seed": dice.integer(MAX_SEED)}

    def apply(self, sample: Sample, params: Params) -> None:
        """Run the torchvision transform on the current pixels and targets."""
        from faceaug.augment.work import Work

        work = Work(sample)
        with torch_seeded(params["torch_seed"]):
            self._step(work)
        work.finish()
