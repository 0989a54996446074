"""Adapter for torchvision.transforms.v2: its transforms as seeded steps of a Compose.

The other direction needs no adapter: a faceaug transform is a callable that takes what ``v2.Compose`` passes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from faceaug.augment.lattice import Size
from faceaug.augment.ranges import set_field
from faceaug.augment.sample import Sample, Sides
from faceaug.augment.seeding import globally_seeded, is_alone, torch_seeded
from faceaug.augment.transform import Params, Transform, any_size, first_sides
from faceaug.augment.unkeyed import drawn_by_key
from faceaug.draws import MAX_SEED, Dice, Words


def is_v2(transform: object) -> bool:
    """Whether a value is a torchvision v2 transform; never imports torchvision."""
    v2 = sys.modules.get("torchvision.transforms.v2")
    return v2 is not None and isinstance(transform, v2.Transform)


def draws_privately(*functions: object) -> bool:
    """Whether functions on pictures draw from torch alone, so that a generator of their own can be given to them."""
    if not all(function is None or isinstance(function, Transform) or is_v2(function) for function in functions):
        return False
    from faceaug.augment.steps import draws_by_torch_alone

    return all(function is None or draws_by_torch_alone(function) for function in functions)


@contextmanager
def seeded(seed: int, *functions: object) -> Iterator[None]:
    """Seed what functions draw in a block.

    torchvision's own draw from torch's global generator, or where other threads might draw from it too, from a private
    one: the same numbers, but every call of torch takes longer. For any other function all global generators are
    seeded, one thread at a time.

    Args:
        seed: 0..2**63-1.
        functions: those that the block calls; None for none.
    """
    if not draws_privately(*functions):
        with globally_seeded(seed):
            yield
    elif is_alone():
        with torch_seeded(seed):
            yield
    else:
        from faceaug.augment.private import PrivateDraws

        with PrivateDraws(seed), drawn_by_key():
            yield


@dataclass(frozen=True, eq=False)
class TorchvisionStep(Transform, in_recipes=False):
    """A torchvision v2 transform inside a faceaug Compose.

    It receives tv_tensors (PIL pictures stay PIL, except where a frame grows with a rotation), draws from the key, and
    may change the size of the picture, or make it float at the end of the Compose. Beside other threads, torchvision's
    own transforms draw from a generator of their own. Any other transform finds the global generators of torch, NumPy
    and Python, and those that it owns, seeded from the key; threads wait for each other.
    Targets follow the pixels, see ``steps``; landmarks and labels swap under a mirror, which torchvision itself does
    not do.

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

    def certain(self) -> TorchvisionStep:
        """This step with torchvision's probability of acting taken over as ``p``."""
        from faceaug.augment.steps import acting

        transform, p = acting(self.transform)
        return self if transform is self.transform else TorchvisionStep(transform, p=p)

    @any_size
    def _draw(self, dice: Dice, size: Size) -> Params:  # noqa: ARG002
        return {"torch_seed": dice.integer(MAX_SEED)}

    def apply(self, sample: Sample, params: Params) -> None:
        """Run the torchvision transform on the current pixels and targets."""
        from faceaug.augment.work import Work

        work = Work(sample)
        with self._seeded(params["torch_seed"]):
            self._step(work)
        work.finish()

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """Seed whatever the transform may draw from; torchvision's own draw from torch alone."""
        from faceaug.augment.own_draws import own_generators, tied

        own = [] if draws_privately(self.transform) else own_generators(self.transform)
        with seeded(seed, self.transform), tied(own, Words(seed)):
            yield
