"""Combining transforms: one after another (``Compose``), one of several (``OneOf``), and recipes."""

from __future__ import annotations

import bisect
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from faceaug.augment.labels import LabelSwap, checked_label_swap
from faceaug.augment.lattice import Size
from faceaug.augment.outline import Outline
from faceaug.augment.ranges import set_field
from faceaug.augment.registry import transforms
from faceaug.augment.sample import Sample, Sides, Swap, checked_swap
from faceaug.augment.torchvision import TorchvisionStep, is_v2
from faceaug.augment.transform import Key, Params, Stage, Transform, checked_key, first_sides, slot_name
from faceaug.draws import MAX_SEED, Dice, Words, check_seed
from faceaug.errors import ArgumentError
from faceaug.storage.schema import parse_json


@dataclass(frozen=True)
class Compose(Transform):
    """Applies transforms one after another.

    Consecutive geometric transforms with the same border, fill and interpolation become one map and are resampled once;
    flips merge with any of them. A blur, a torchvision transform or another border ends such a run. Each transform has
    its own random stream, named by its class and its position among the transforms of that class, so adding one never
    changes what another draws.

    Attributes:
        transforms: faceaug transforms and transforms of ``torchvision.transforms.v2``; the latter draw from torch's
            global generator, which is seeded from the key and restored afterwards.
        seed: completes integer keys: key 7 means (seed, 0, 7).
        swap: pairs of landmarks to exchange under a mirror, for other numbers than 5 and 68; () where no landmark has a
            side. None uses the ``swap`` of the flips in it.
        label_swap: mask labels to exchange under a mirror, see ``HorizontalFlip``. None uses that of the flips in it.

    Example:
        >>> import numpy as np
        >>> from faceaug import Compose, HorizontalFlip, Rotate
        >>> augment = Compose([HorizontalFlip(), Rotate(12)], seed=1)
        >>> face = np.zeros((64, 48, 3), np.uint8)
        >>> augment(face, key=0).shape
        (64, 48, 3)
        >>> [step["name"] for step in augment.params(0, (64, 48))]
        ['Rotate']
    """

    transforms: Sequence[Any] = ()
    seed: int = field(default=0, kw_only=True)
    swap: Swap | None = field(default=None, kw_only=True)
    label_swap: LabelSwap | str | None = field(default=None, kw_only=True)
    _sides: ClassVar[Sides]
    _slots: ClassVar[tuple[tuple[bytes, Transform], ...]]  # stream names and transforms; set on each instance

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "transforms", _checked(self.transforms, "Compose"))
        set_field(self, "_slots", tuple(_slots(self.transforms)))
        set_field(self, "label_swap", checked_label_swap(self.label_swap))
        set_field(self, "seed", check_seed(self.seed))
        set_field(self, "swap", checked_swap(self.swap))
        landmarks, labels = first_sides(self.transforms)
        set_field(
            self,
            "_sides",
            (landmarks if self.swap is None else self.swap, labels if self.label_swap is None else self.label_swap),
        )

    @property
    def sides(self) -> Sides:
        """``swap`` and ``label_swap``, its own or else the first found in its transforms."""
        return self._sides

    def _words(self, key: Key) -> Words:
        return checked_key(key, seed=self.seed)

    def _run(self, stage: Stage, words: Words) -> list[Params]:
        return self._steps(stage, words) if self._acts(words) else []

    def _acts(self, words: Words) -> bool:
        return self.p >= 1 or Dice(words, b"augment/Compose/p").random() < self.p

    def _steps(self, stage: Stage, words: Words) -> list[Params]:
        """Draw and apply each transform in turn; what was drawn, with the position of the transform."""
        made = []
        for number, (slot, transform) in enumerate(self._slots):
            drawn = transform.act(stage, Dice(words, slot))
            if drawn is not None:
                made.append({"step": number, **drawn})
        return made

    def _perform(self, sample: Sample, params: list[Params]) -> None:
        for drawn in params:
            step: Any = drawn.get("step")
            if not _is_step(step, len(self.transforms)) or drawn.get("name") != self.transforms[step].name:
                raise ArgumentError(
                    f"step {step!r} ({drawn.get('name')!r}) is not in this Compose of "
                    f"{', '.join(t.name for t in self.transforms) or 'nothing'}: replay with the recipe that drew it"
                )
            self.transforms[step].apply(sample, drawn)

    def _act(self, stage: Stage, dice: Dice) -> Params:
        return {"name": self.name, "steps": self._steps(stage, Words(dice.integer(MAX_SEED)))}

    def _draw(self, dice: Dice, size: Size) -> Params:
        return self._act(Outline(size), dice)

    def apply(self, sample: Sample, params: Params) -> None:
        """Apply the steps that were drawn."""
        self._perform(sample, params["steps"])

    @classmethod
    def from_json(cls, text: str) -> Compose:
        """Read the Compose that ``to_json`` wrote.

        Raises:
            ArgumentError: not JSON, or an unknown name or option; the message lists the valid ones.
        """
        try:
            recipe = parse_json(text)
        except ValueError as error:
            raise ArgumentError(f"the recipe is not JSON ({error})") from error
        return build(recipe)


@dataclass(frozen=True)
class OneOf(Transform):
    """Applies exactly one of several transforms.

    Attributes:
        transforms: to choose from, as in ``Compose``. The chosen one acts for certain, whatever its ``p``, also one of
            torchvision's.
        p: probability of acting, 0..1.
        weights: relative probability of each transform to be chosen; None takes the ``p`` of each.

    Example:
        >>> import numpy as np
        >>> from faceaug import Elastic, GaussianBlur, OneOf
        >>> face = np.zeros((64, 64, 3), np.uint8)
        >>> OneOf([Elastic(2), GaussianBlur(1.5)], p=0.3)(face, key=0).shape
        (64, 64, 3)
    """

    transforms: Sequence[Any] = ()
    p: float = field(default=1.0, kw_only=True)
    weights: Sequence[float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        adopted = _checked(self.transforms, "OneOf")
        # What acts is decided here alone: torchvision's own ``p`` becomes the step's.
        set_field(self, "transforms", tuple(t.certain() if isinstance(t, TorchvisionStep) else t for t in adopted))
        if not self.transforms:
            raise ArgumentError("OneOf of nothing: give at least one transform")
        if self.weights is not None:
            set_field(self, "weights", _checked_weights(self.weights, len(self.transforms)))
        elif not any(transform.p for transform in self.transforms):
            raise ArgumentError("OneOf of transforms with p=0: none could be chosen; give one a p above 0, or weights")

    @property
    def sides(self) -> Sides:
        """The first ``swap`` and the first ``label_swap`` of its transforms."""
        return first_sides(self.transforms)

    def _act(self, stage: Stage, dice: Dice) -> Params:
        weights = self.weights or [transform.p for transform in self.transforms]
        edges = list(accumulate(weights))
        choice = bisect.bisect_right(edges, dice.random() * edges[-1])
        # Rounding may pass the last edge.
        choice = min(choice, max(k for k, weight in enumerate(weights) if weight > 0))
        return {"name": self.name, "choice": choice, "of": self.transforms[choice]._act(stage, dice)}

    def _draw(self, dice: Dice, size: Size) -> Params:
        return self._act(Outline(size), dice)

    def apply(self, sample: Sample, params: Params) -> None:
        """Apply the chosen transform."""
        choice, drawn = params["choice"], params["of"]
        if drawn is None:
            return
        if not 0 <= choice < len(self.transforms) or self.transforms[choice].name != drawn["name"]:
            raise ArgumentError(
                f"choice {choice} ({drawn['name']!r}) is not in this OneOf: replay with the recipe that drew it"
            )
        self.transforms[choice].apply(sample, drawn)


def _slots(transforms: Sequence[Transform]) -> Iterator[tuple[bytes, Transform]]:
    """Pair each transform with its stream name: its class and its position among the transforms of that class."""
    seen: Counter[str] = Counter()
    for transform in transforms:
        yield slot_name(transform, seen[transform.name]), transform
        seen[transform.name] += 1


def _checked(transforms: Any, owner: str) -> tuple[Transform, ...]:
    if not isinstance(transforms, (list, tuple)):
        raise ArgumentError(f"{owner} of a {type(transforms).__name__}: expected a list of transforms")
    return tuple(_adopted(transform, owner) for transform in transforms)


def _adopted(transform: Any, owner: str) -> Transform:
    if isinstance(transform, Transform):
        return transform
    if is_v2(transform):
        return TorchvisionStep(transform)
    named = transform.__name__ if isinstance(transform, type) else type(transform).__name__
    advice = (
        f"write {named}(...) with parentheses"
        if isinstance(transform, type)
        else "torchvision's must come from transforms.v2"
    )
    raise ArgumentError(f"{owner} with a {named}: expected faceaug or torchvision.transforms.v2 transforms; {advice}")


def _is_step(step: Any, count: int) -> bool:
    return isinstance(step, int) and 0 <= step < count


def _checked_weights(weights: Any, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(weight) for weight in weights)
    except (TypeError, ValueError):
        values = ()
    if len(values) != count or not all(0 <= v < np.inf for v in values) or sum(values) <= 0:
        raise ArgumentError(f"weights={weights!r}: expected {count} numbers, none negative, not all 0")
    return values


_NESTED = ("Compose", "OneOf")


def build(recipe: Any) -> Compose:
    """Build the Compose of a recipe: a mapping with ``transform``, ``preset`` or both, or a list of mappings.

    Raises:
        ArgumentError: an unknown name or option; the message lists the valid ones.
    """
    if isinstance(recipe, dict) and "preset" in recipe and "name" not in recipe:
        others = {key: value for key, value in recipe.items() if key != "preset"}
        first = {"name": "Preset", "preset": recipe["preset"]}
        recipe = {**others, "transform": [first, *_listed(others.get("transform", []))]}
    if not isinstance(recipe, dict) or not recipe.keys() & {"transform", "name"}:
        raise ArgumentError(
            'a recipe lists transforms: in TOML, one [[transform]] with name = "Rotate" each; or preset = "light"'
        )
    made = _build({"name": "Compose", **recipe}, "recipe")
    return made if isinstance(made, Compose) else Compose([made])


def _build(entry: Any, where: str) -> Transform:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ArgumentError(f'{where}: expected a mapping with a name, such as name = "Rotate"')
    name = entry["name"]
    known = transforms()
    if "torchvision" in entry:
        raise ArgumentError(f"{where}: {name} is a torchvision transform; a recipe may hold faceaug's and your own")
    if "text" in entry:
        raise ArgumentError(
            f"{where}: {name} is in the log only, because its options are not dataclass fields; "
            "make the class a dataclass without an __init__ of its own"
        )
    if name not in known:
        raise ArgumentError(
            f"{where}: unknown transform {name!r}{_meant(name, known)}; known: {', '.join(known)}. Your own "
            "transforms are known once the module that defines them is imported"
        )
    valid = [option.name for option in fields(known[name]) if option.name != "transforms"]
    valid += ["transform"] if name in _NESTED else []
    options = {key: value for key, value in entry.items() if key != "name"}
    for key in options:
        if key not in valid:
            raise ArgumentError(f"{where}: {name} has no option {key!r}{_meant(key, valid)}; it has {', '.join(valid)}")
    if name in _NESTED:
        inner = _listed(options.pop("transform", []), where)
        options["transforms"] = [_build(each, f"transform {k + 1}") for k, each in enumerate(inner)]
    made: Transform = known[name](**options)
    return made


def _listed(value: Any, where: str = "recipe") -> list[Any]:
    if not isinstance(value, list):
        raise ArgumentError(f"{where}: transform: expected a list; in TOML, write [[transform]]")
    return value


def _meant(word: str, valid: Any) -> str:
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
