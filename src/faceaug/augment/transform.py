"""The base of all transforms: draw random numbers first, apply them second.

Random numbers become plain data, the parameters, and ``apply`` uses them without randomness; calling a transform does
one after the other, step by step, so that every step is drawn for the picture that reaches it. Parameters can be logged
as JSON and replayed with ``render``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from faceaug.augment.batch import batch_size, change_batch
from faceaug.augment.lattice import Size
from faceaug.augment.outline import Outline
from faceaug.augment.ranges import probability, set_field
from faceaug.augment.registry import register, transforms
from faceaug.augment.sample import Sample, Sides, open_sample
from faceaug.augment.unkeyed import any_seed
from faceaug.draws import MAX_SEED, Dice, Words, check_seed
from faceaug.errors import ArgumentError

Params: TypeAlias = dict[str, Any]  # JSON data: "name" of the transform and its drawn numbers
Key: TypeAlias = int | tuple[int, int, int] | tuple[int, int, int, int]
Stage: TypeAlias = Sample | Outline  # what steps act on: a picture with its targets, or its size alone
_Draw = TypeVar("_Draw", bound=Callable[..., Params])
_NO_SIZE: Size = (0, 0)


def any_size(draw: _Draw) -> _Draw:
    """Mark a ``_draw`` that does not look at the size, so that nobody needs to find it out."""
    draw.any_size = True  # type: ignore[attr-defined]
    return draw


@dataclass(frozen=True, kw_only=True)
class Transform(ABC):
    """One random change of a picture and its targets.

    A call returns the type it was given: arrays (height, width, 1|3|4) or (height, width), PIL pictures (L, RGB, RGBA;
    also 1, LA, CMYK, YCbCr, I;16 and F), tensors (1|3|4, height, width), ``tv_tensors.Image``; uint8, or float32 in
    0..1. A dict, list, tuple or several arguments (as inside ``torchvision.transforms.v2.Compose``) form one sample:
    every picture, ``KeyPoints``, ``BoundingBoxes`` and ``Mask`` in it, and the values named "landmarks", "boxes",
    "mask", "attributes" and "visible", change together with one draw; everything else passes unchanged.

    A batch, as an array (n, height, width, 1|3|4) or a tensor (n, 1|3|4, height, width), alone or in a sample, comes
    back as a batch: every picture with its own draw and its part of the targets, (n, ...) each.

    Args of the call:
        x: a picture, a sample or a batch.
        key: determines the draw: an index >= 0, or (seed, epoch, index). The same key gives the same result in any
            process. Picture b of a batch is drawn with the key (seed, epoch, index, b). With None, one number is taken
            from torch's global generator if torch is imported, so that worker seeding and ``torch.manual_seed`` work as
            usual, and otherwise from the operating system.
        landmarks: (n, 2), x and y in pixel indices. n come back in the same order; under a mirror the left and right
            ones of 5 or 68 landmarks are exchanged.
        boxes: (n, 4), edges x1, y1, x2, y2; returns the bounding box of each moved box, not clipped.
        mask: (..., height, width), any dtype; moved by nearest neighbour. Under a mirror, labels are exchanged
            according to ``label_swap`` of the flip or the Compose.
        attributes: (40,), in CelebA's order.
        visible: (n,), of the landmarks or else the boxes: False, or 0, for those that are hidden, and they stay so.
            Under a mirror the flags change sides with their landmarks.
        image: the picture, by name in place of ``x``; the answer is then a dict, so that ``t(**answer)`` goes on.

    Returns of the call: the picture, or with targets a dict of ``image``, the targets and ``visible``, bool (n,): which
        landmarks (or else boxes) are known, inside the frame and not given as hidden.

    Raises of the call:
        ArgumentError: a picture of another dtype, range or layout, or an empty one; targets of a wrong shape.

    Attributes:
        p: probability of acting, 0..1.

    Example:
        A transform of your own draws in ``_draw``, for the (height, width) that reaches it, and works in ``apply``; as
        a dataclass it can be named in recipes.

        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from faceaug.augment import Transform
        >>> @dataclass(frozen=True)
        ... class Darken(Transform):
        ...     most: float = 0.5
        ...     def _draw(self, dice, size):
        ...         return {"factor": 1 - self.most * dice.random()}
        ...     def apply(self, sample, params):
        ...         sample.filter(lambda image: (image * params["factor"]).astype(image.dtype))
        >>> face = np.full((64, 64, 3), 200, np.uint8)
        >>> int(Darken()(face, key=0).max()) < 200
        True
    """

    p: float = 1.0
    _sized: ClassVar[bool] = True  # whether ``_draw`` looks at the size

    def __init_subclass__(cls, *, in_recipes: bool = True, **kwargs: Any) -> None:
        """Register the class for recipes, unless ``in_recipes=False``; see ``faceaug.augment.registry``."""
        super().__init_subclass__(**kwargs)
        cls._sized = not getattr(cls._draw, "any_size", False)
        if in_recipes:
            register(cls)

    def __post_init__(self) -> None:
        set_field(self, "p", probability(self.p))

    @property
    def name(self) -> str:
        """Name in parameters and recipes."""
        return type(self).__name__

    @property
    def sides(self) -> Sides:
        """Landmarks and mask labels exchanged by a mirror; None: the defaults for 5 and 68 landmarks, no labels."""
        return None, None

    def draw(self, dice: Dice, size: Size) -> Params | None:
        """Draw all random numbers.

        Args:
            dice: the random numbers of this decision.
            size: (height, width) of the picture.

        Returns:
            JSON data for ``apply``, or None if the transform does not act.
        """
        return self.act(Outline(size), dice)

    def act(self, stage: Stage, dice: Dice) -> Params | None:
        """Draw and apply, with the size that the picture has here.

        Args:
            stage: the sample, or the outline of one.
            dice: the random numbers of this decision.

        Returns:
            What was drawn, or None if the transform does not act.
        """
        if self.p < 1 and dice.random() >= self.p:
            return None
        return self._act(stage, dice)

    def _act(self, stage: Stage, dice: Dice) -> Params:
        """``act``, whatever ``p`` says."""
        drawn = {"name": self.name, **self._draw(dice, stage.size if self._sized else _NO_SIZE)}
        stage.take(self, drawn)
        return drawn

    @abstractmethod
    def _draw(self, dice: Dice, size: Size) -> Params:
        """Draw the numbers of a transform that acts."""

    @abstractmethod
    def apply(self, sample: Sample, params: Params) -> None:
        """Apply drawn parameters to a sample, without randomness."""

    def resized(self, params: Params, size: Size) -> Size | None:  # noqa: ARG002
        """Size of a picture of (height, width) after the drawn change; None where only a picture shows it."""
        return None

    def params(self, key: Key, size: Size) -> list[Params]:
        """Parameters that a call with this key draws for a picture of this size, as JSON data for ``render``.

        Behind a step of torchvision's or your own, a size that matters is found out with a blank picture.

        Args:
            key: an index, or (seed, epoch, index).
            size: (height, width), pixels.

        Raises:
            ArgumentError: not a size, or one that depends on the picture or its boxes; use ``traced`` then.
        """
        if len(size) != 2 or min(size) < 1:
            raise ArgumentError(f"size {size!r}: expected (height, width), both at least 1")
        return self._run(Outline((int(size[0]), int(size[1]))), self._words(key))

    def traced(
        self,
        x: Any = None,
        *,
        key: Key | None = None,
        image: Any = None,
        landmarks: Any = None,
        boxes: Any = None,
        mask: Any = None,
        attributes: Any = None,
        visible: Any = None,
    ) -> tuple[Any, list[Params]]:
        """Draw and apply as a call does, and also return what was drawn, as JSON data for ``render``.

        Args:
            x: a picture or a sample, see the class; no batch.
            key: see the class.
            image: see the class.
            landmarks: see the class.
            boxes: see the class.
            mask: see the class.
            attributes: see the class.
            visible: see the class.

        Returns:
            (result of the call, parameters).
        """
        named = _given(landmarks, boxes, mask, attributes, visible)
        opened = open_sample(_one_picture(x, image, ()), named, by_name=image is not None)
        drawn = self._run(opened.sample, self._words(key) if key is not None else Words(any_seed))
        return opened.close(self.sides), drawn

    def render(
        self,
        x: Any = None,
        params: list[Params] | None = None,
        *,
        image: Any = None,
        landmarks: Any = None,
        boxes: Any = None,
        mask: Any = None,
        attributes: Any = None,
        visible: Any = None,
    ) -> Any:
        """Replay drawn parameters.

        Args:
            x: a picture or a sample, see the class.
            params: from ``params`` or ``traced`` of an equal transform, directly or through JSON.
            image: see the class.
            landmarks: see the class.
            boxes: see the class.
            mask: see the class.
            attributes: see the class.
            visible: see the class.

        Returns:
            The result of the original call.

        Raises:
            ArgumentError: the parameters are missing, or were drawn by another transform.
        """
        if params is None:
            raise ArgumentError("render without params: give what params or traced returned")
        named = _given(landmarks, boxes, mask, attributes, visible)
        opened = open_sample(_one_picture(x, image, ()), named, by_name=image is not None)
        self._perform(opened.sample, params)
        return opened.close(self.sides)

    def __call__(
        self,
        x: Any = None,
        *more: Any,
        key: Key | None = None,
        image: Any = None,
        landmarks: Any = None,
        boxes: Any = None,
        mask: Any = None,
        attributes: Any = None,
        visible: Any = None,
    ) -> Any:
        """Draw and apply; see the class."""
        if not more and landmarks is boxes is mask is attributes is visible is image is None:
            done = self._bare(x, key)
            if done is not None:
                return done
        tree = _one_picture(x, image, more)
        named = _given(landmarks, boxes, mask, attributes, visible)
        words = self._words(key) if key is not None else Words(any_seed)
        count = batch_size(tree)
        if count is not None:
            change = partial(self._change_one, words, image is not None)
            return change_batch(tree, count, named, change, by_name=image is not None)
        opened = open_sample(tree, named, by_name=image is not None)
        self._run(opened.sample, words)
        return opened.close(self.sides)

    def _bare(self, x: Any, key: Key | None) -> Any:  # noqa: ARG002
        """A shortcut for one value without targets; None takes the usual way."""
        return None

    def _change_one(self, words: Words, by_name: bool, position: int, tree: Any, named: dict[str, Any]) -> Any:
        """Draw and apply for one picture of a batch."""
        try:
            opened = open_sample(tree, named, by_name=by_name)
            self._run(opened.sample, words.at(position))
            return opened.close(self.sides)
        except ArgumentError as error:
            raise ArgumentError(f"picture {position} of the batch: {error}") from error

    def to_json(self) -> str:
        """Write the recipe as JSON, for logs and ``Compose.from_json``; see ``transform_data``."""
        return json.dumps(transform_data(self))

    def _words(self, key: Key) -> Words:
        return checked_key(key, seed=0)

    def _run(self, stage: Stage, words: Words) -> list[Params]:
        """Draw and apply all steps; what was drawn, by those that act."""
        drawn = self.act(stage, Dice(words, slot_name(self, 0)))
        return [] if drawn is None else [drawn]

    def _perform(self, sample: Sample, params: list[Params]) -> None:
        for step in params:
            if step.get("name") != self.name:
                raise ArgumentError(f"the parameters belong to {step.get('name')!r}, not to {self.name}")
            self.apply(sample, step)


def transform_data(transform: Transform) -> dict[str, Any]:
    """Describe a transform as JSON data: its name and all options.

    A transform that a recipe cannot name, such as a torchvision step or a class whose ``__init__`` hides its options,
    is described by its text, for logs.
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
            known["transform"] = [transform_data(inner) for inner in value]
        elif value is not None or option.default is not None:
            known[option.name] = value
    return known


def _generated(kind: type[Transform]) -> set[str]:
    """Methods that ``dataclass`` generated for a class."""
    own = vars(kind).get("__dataclass_params__")
    return {"__init__"} if own is not None and own.init else set()


def first_sides(transforms: Iterable[Transform]) -> Sides:
    """The first landmark pairs and the first label pairs that any transform names for a mirror."""
    known = [transform.sides for transform in transforms]
    landmarks = next((swap for swap, _ in known if swap is not None), None)
    return landmarks, next((labels for _, labels in known if labels is not None), None)


def checked_key(key: Key, *, seed: int) -> Words:
    """Check a key and convert it to words; an int is an index under the given seed."""
    if type(key) is int and 0 <= key <= MAX_SEED:  # the usual case
        return Words(seed, 0, key)
    words = (seed, 0, key) if isinstance(key, (int, np.integer)) else key
    usual = isinstance(words, (tuple, list)) and len(words) in {3, 4}
    if not usual or not all(_is_word(word) for word in words):
        raise ArgumentError(
            f"key {key!r}: expected an index, (seed, epoch, index) or (seed, epoch, index, position), integers "
            "from 0 to 2**63-1"
        )
    found = Words(check_seed(words[0]), int(words[1]), int(words[2]))
    return found.at(int(words[3])) if len(words) == 4 else found


def slot_name(transform: Transform, number: int) -> bytes:
    """Stream name of a transform: its class and its position among the transforms of that class."""
    return _slot_name(transform.name, number)


@lru_cache(maxsize=256)
def _slot_name(name: str, number: int) -> bytes:
    return f"augment/{name}/{number}".encode()


def _given(landmarks: Any, boxes: Any, mask: Any, attributes: Any, visible: Any) -> dict[str, Any]:
    """Targets by name, without those that are None."""
    if landmarks is boxes is mask is attributes is visible is None:
        return {}
    named = {"landmarks": landmarks, "boxes": boxes, "mask": mask, "attributes": attributes, "visible": visible}
    return {name: value for name, value in named.items() if value is not None}


def _one_picture(x: Any, image: Any, more: tuple[Any, ...]) -> Any:
    """The picture, sample or batch, given as the first argument, as several, or by name."""
    if image is None:
        if x is None and not more:
            raise ArgumentError("no picture: give one as the first argument or as image=")
        return (x, *more) if more else x
    if x is not None or more:
        raise ArgumentError("a picture as the first argument and another as image=: give one of them")
    if isinstance(image, (dict, list, tuple)):
        raise ArgumentError(f"image= of type {type(image).__name__}: give a whole sample as the first argument")
    return image


def _is_word(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return bool(whole and 0 <= value <= MAX_SEED)
