"""What every transform is: draw the numbers first, apply them second.

``draw`` makes plain data from a random stream, ``apply`` uses it without any randomness; calling a transform does one
after the other. What was drawn can be logged as JSON and replayed with ``render``.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from faceaug.augment.batch import batch_size, change_batch
from faceaug.augment.lattice import Size
from faceaug.augment.ranges import probability, set_field
from faceaug.augment.registry import register, transforms
from faceaug.augment.sample import Sample, Sides, open_sample
from faceaug.draws import MAX_SEED, Dice, Words, check_seed
from faceaug.errors import ArgumentError

Params: TypeAlias = dict[str, Any]  # JSON: "name" of the transform and the numbers it drew
Key: TypeAlias = int | tuple[int, int, int] | tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Transform(ABC):
    """One random change of a picture and of what is known about it.

    Calling it gives back the type it got: arrays (height, width, 1|3|4) or (height, width), PIL pictures (L, RGB,
    RGBA; also 1, LA, CMYK, YCbCr, I;16 and F), tensors (1|3|4, height, width), ``tv_tensors.Image``; uint8, or
    float32 in 0..1. A dict, list, tuple or several arguments (as inside ``torchvision.transforms.v2.Compose``) are one
    sample: every picture, ``KeyPoints``, ``BoundingBoxes`` and ``Mask`` in it, and the values under the names
    "landmarks", "boxes", "mask", "attributes" and "visible" change together, by one draw; anything else passes.

    A batch, as an array (n, height, width, 1|3|4) or a tensor (n, 1|3|4, height, width), alone or in a sample, comes
    back as one: every picture by a draw of its own, with its part of the targets, (n, ...) each.

    Args of the call:
        x: a picture, a sample or a batch.
        key: what decides the draw: an index >= 0, or (seed, epoch, index). The same key gives the same result in any
            process. Picture b of a batch is drawn as (seed, epoch, index, b) alone would be. None takes one number
            from torch's global generator where torch is imported, so worker seeding and ``torch.manual_seed`` act as
            usual, and else from the operating system.
        landmarks: (n, 2), x and y, pixel index. n come back, in the same order; under a mirror the left and right
            ones of 5 or 68 change places.
        boxes: (n, 4), edges x1, y1, x2, y2; the hull of each moved box comes back, not clipped.
        mask: (..., height, width), any dtype; takes the nearest pixel. Under a mirror, labels change places as
            ``label_swap`` of the flip or the Compose says.
        attributes: (40,), in CelebA's order.

    Returns of the call: the picture, or with any of these targets a dict of ``image``, them and ``visible``: bool (n,),
        which landmarks (or, without landmarks, boxes) are known and in the frame.

    Raises of the call:
        ArgumentError: a picture of another dtype, range or layout, or an empty one; targets of the wrong shape.

    Attributes:
        p: how often it acts, 0..1.
    """

    p: float = 1.0

    def __init_subclass__(cls, *, in_recipes: bool = True, **kwargs: Any) -> None:
        """Make the class known to recipes, unless ``in_recipes=False``; see ``faceaug.augment.registry``."""
        super().__init_subclass__(**kwargs)
        if in_recipes:
            register(cls)

    def __post_init__(self) -> None:
        set_field(self, "p", probability(self.p))

    @property
    def name(self) -> str:
        """How parameters and recipes call it."""
        return type(self).__name__

    @property
    def sides(self) -> Sides:
        """Landmarks and mask labels that a mirror exchanges; None: 5 and 68 landmarks as is usual, no labels."""
        return None, None

    def draw(self, dice: Dice, size: Size) -> Params | None:
        """Decide everything random.

        Args:
            dice: the random numbers of this decision.
            size: (height, width) of the picture.

        Returns:
            JSON data for ``apply``, or None when the transform does not act.
        """
        if self.p < 1 and dice.random() >= self.p:
            return None
        return {"name": self.name, **self._draw(dice, size)}

    @abstractmethod
    def _draw(self, dice: Dice, size: Size) -> Params:
        """The numbers alone, for a transform that acts."""

    @abstractmethod
    def apply(self, sample: Sample, params: Params) -> None:
        """Change a sample by what was drawn; no randomness."""

    def params(self, key: Key, size: Size) -> list[Params]:
        """What a call with this key draws for a picture of this size, as JSON data for ``render``.

        Args:
            key: an index, or (seed, epoch, index).
            size: (height, width), pixels.
        """
        if len(size) != 2 or min(size) < 1:
            raise ArgumentError(f"size {size!r}: expected (height, width), both at least 1")
        return self._plan(self._words(key), (int(size[0]), int(size[1])))

    def render(
        self,
        x: Any,
        params: list[Params],
        *,
        landmarks: Any = None,
        boxes: Any = None,
        mask: Any = None,
        attributes: Any = None,
    ) -> Any:
        """Replay what was drawn.

        Args:
            x: a picture or a sample, see the class.
            params: from ``params`` of this transform or an equal one, straight or through JSON.
            landmarks: see the class.
            boxes: see the class.
            mask: see the class.
            attributes: see the class.

        Returns:
            What the call returned.

        Raises:
            ArgumentError: the parameters belong to another transform.
        """
        opened = open_sample(x, landmarks=landmarks, boxes=boxes, mask=mask, attributes=attributes)
        self._perform(opened.sample, params)
        return opened.close(self.sides)

    def __call__(
        self,
        x: Any,
        *more: Any,
        key: Key | None = None,
        landmarks: Any = None,
        boxes: Any = None,
        mask: Any = None,
        attributes: Any = None,
    ) -> Any:
        """Draw and apply; see the class."""
        tree = (x, *more) if more else x
        words = self._words(key) if key is not None else Words(any_seed)
        count = batch_size(tree)
        if count is not None:
            named = {"landmarks": landmarks, "boxes": boxes, "mask": mask, "attributes": attributes}
            known = {name: value for name, value in named.items() if value is not None}
            return change_batch(tree, count, known, partial(self._change_one, words))
        opened = open_sample(tree, landmarks=landmarks, boxes=boxes, mask=mask, attributes=attributes)
        self._act(opened.sample, words)
        return opened.close(self.sides)

    def _change_one(self, words: Words, position: int, tree: Any, named: dict[str, Any]) -> Any:
        """Draw for one picture of a batch and apply it."""
        given = {"landmarks": None, "boxes": None, "mask": None, "attributes": None, **named}
        try:
            opened = open_sample(tree, **given)
            self._act(opened.sample, words.at(position))
            return opened.close(self.sides)
        except ArgumentError as error:
            raise ArgumentError(f"picture {position} of the batch: {error}") from error

    def to_json(self) -> str:
        """The recipe as JSON, for logs and ``Compose.from_json``; see ``describe``."""
        return json.dumps(describe(self))

    def _words(self, key: Key) -> Words:
        return checked_key(key, seed=0)

    def _plan(self, words: Words, size: Size) -> list[Params]:
        drawn = self.draw(Dice(words, slot_name(self, 0)), size)
        return [] if drawn is None else [drawn]

    def _act(self, sample: Sample, words: Words) -> None:
        """``_plan`` and ``_perform`` in one, without the checks that parameters from outside need."""
        drawn = self.draw(Dice(words, slot_name(self, 0)), sample.size)
        if drawn is not None:
            self.apply(sample, drawn)

    def _perform(self, sample: Sample, params: list[Params]) -> None:
        for step in params:
            if step.get("name") != self.name:
                raise ArgumentError(f"the parameters are of {step.get('name')!r}, not of {self.name}")
            self.apply(sample, step)


def describe(transform: Transform) -> dict[str, Any]:
    """A transform as JSON data: its name and every option.

    Of what a recipe cannot name, such as a step of torchvision or a class whose ``__init__`` hides its options, the
    text, for logs.
    """
    kind = type(transform)
    if kind is not transforms().get(transform.name) or "__init__" in vars(kind).keys() - _generated(kind):
        step = getattr(transform, "transform", None)
        shown = {"text": repr(transform)} if step is None else {"torchvision": repr(step)}
        return {"name": transform.name} | shown
    known: dict[str, Any] = {"name": transform.name}
    for option in fields(transform):
        value = getattr(transform, option.name)
        if option.name == "transforms":
            known["transform"] = [describe(inner) for inner in value]
        elif value is not None or option.default is not None:
            known[option.name] = value
    return known


def _generated(kind: type[Transform]) -> set[str]:
    """Methods that ``dataclass`` wrote for a class."""
    own = vars(kind).get("__dataclass_params__")
    return {"__init__"} if own is not None and own.init else set()


def first_sides(transforms: Iterable[Transform]) -> Sides:
    """The first landmarks and the first labels that any of them says are exchanged under a mirror."""
    known = [transform.sides for transform in transforms]
    landmarks = next((swap for swap, _ in known if swap is not None), None)
    return landmarks, next((labels for _, labels in known if labels is not None), None)


def checked_key(key: Key, *, seed: int) -> Words:
    """A key as the words of its dice; an int is an index under the given seed."""
    if type(key) is int and 0 <= key <= MAX_SEED:  # most calls
        return Words(seed, 0, key)
    words = (seed, 0, key) if isinstance(key, (int, np.integer)) else key
    usual = isinstance(words, (tuple, list)) and len(words) in {3, 4}
    if not usual or not all(_is_word(word) for word in words):
        raise ArgumentError(
            f"key {key!r}: expected an index or (seed, epoch, index), perhaps with the position in a batch, integers "
            "from 0 to 2**63-1"
        )
    found = Words(check_seed(words[0]), int(words[1]), int(words[2]))
    return found.at(int(words[3])) if len(words) == 4 else found


def slot_name(transform: Transform, number: int) -> bytes:
    """What a transform's random numbers are called: its class, and its number among those of its class."""
    return _slot_name(transform.name, number)


@lru_cache(maxsize=256)
def _slot_name(name: str, number: int) -> bytes:
    return f"augment/{name}/{number}".encode()


def any_seed() -> int:
    """A seed nobody chose: from torch's global generator where torch is imported, else from the system."""
    torch = sys.modules.get("torch")
    if torch is None:
        return secrets.randbelow(MAX_SEED)
    if _NUMBER.place is None:
        _NUMBER.place = torch.empty((), dtype=torch.int64, device="cpu")
    return int(_NUMBER.place.random_())  # a third of the time of ``torch.randint``, which a flip would feel


class _Number(threading.local):
    place: Any = None  # of each thread: a tensor to draw into


_NUMBER = _Number()


def _is_word(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return bool(whole and 0 <= value <= MAX_SEED)
