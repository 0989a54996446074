"""Combinations: one after another, and one of several."""

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
from faceaug.augment.ranges import set_field
from faceaug.augment.registry import transforms
from faceaug.augment.sample import Sample, Sides, Swap, checked_swap
from faceaug.augment.torchvision import TorchvisionStep, is_v2
from faceaug.augment.transform import Key, Params, Transform, checked_key, first_sides, slot_name
from faceaug.draws import MAX_SEED, Dice, Words, check_seed
from faceaug.errors import ArgumentError
from faceaug.storage.schema import parse_json


@dataclass(frozen=True)
class Compose(Transform):
    """Transforms one after another.

    Neighbouring geometric transforms with the same border, fill and interpolation are resampled once, as one map;
    flips fit any neighbour. A blur, a torchvision transform or another border ends such a run. Each transform has a
    random stream of its own, named by its class and its number among those of that class, so that adding one never
    changes what another draws.

    Attributes:
        transforms: faceaug transforms, and transforms of ``torchvision.transforms.v2``; the latter draw from torch's
            global generator, which is set from the key for them and put back after.
        seed: goes with integer keys: key 7 is (seed, 0, 7).
        swap: pairs of landmarks that change places under a mirror, for other counts than 5 and 68; () where none has
            a side. None: what the flips in it say.
        label_swap: labels that change places in masks under a mirror, see ``HorizontalFlip``. None: what the flips in
            it say.
    """

    transforms: Sequence[Any] = ()
    seed: int = field(default=0, kw_only=True)
    swap: Swap | None = field(default=None, kw_only=True)
    label_swap: LabelSwap | str | None = field(default=None, kw_only=True)
    _sides: ClassVar[Sides]
    _slots: ClassVar[tuple[tuple[bytes, Transform], ...]]  # the transforms with their streams; set on each instance

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
        """Its own ``swap`` and ``label_swap``, else the first ones in it."""
        return self._sides

    def _words(self, key: Key) -> Words:
        return checked_key(key, seed=self.seed)

    def _plan(self, words: Words, size: Size) -> list[Params]:
        if self.p < 1 and Dice(words, b"augment/Compose/p").random() >= self.p:
            return []
        plan = []
        for number, (slot, transform) in enumerate(self._slots):
            drawn = transform.draw(Dice(words, slot), size)
            if drawn is not None:
                plan.append({"step": number, **drawn})
        return plan

    def _act(self, sample: Sample, words: Words) -> None:
        if self.p < 1 and Dice(words, b"augment/Compose/p").random() >= self.p:
            return
        size = sample.size
        for slot, transform in self._slots:
            drawn = transform.draw(Dice(words, slot), size)
            if drawn is not None:
                transform.apply(sample, drawn)

    def _perform(self, sample: Sample, params: list[Params]) -> None:
        for drawn in params:
            step: Any = drawn.get("step")
            if not _is_step(step, len(self.transforms)) or drawn.get("name") != self.transforms[step].name:
                raise ArgumentError(
                    f"step {step!r} ({drawn.get('name')!r}) is not in this Compose of "
                    f"{', '.join(t.name for t in self.transforms) or 'nothing'}: replay with the recipe that drew it"
                )
            self.transforms[step].apply(sample, drawn)

    def _draw(self, dice: Dice, size: Size) -> Params:
        inner = Words(dice.integer(MAX_SEED))
        plan = []
        for number, (slot, transform) in enumerate(self._slots):
            drawn = transform.draw(Dice(inner, slot), size)
            if drawn is not None:
                plan.append({"step": number, **drawn})
        return {"steps": plan}

    def apply(self, sample: Sample, params: Params) -> None:
        """Apply what was drawn for a Compose inside another."""
        self._perform(sample, params["steps"])

    @classmethod
    def from_json(cls, text: str) -> Compose:
        """The Compose that ``to_json`` described.

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
    """Exactly one of several transforms, when it acts.

    Attributes:
        transforms: what to choose from; as in ``Compose``. The chosen one still acts by its own ``p``.
        p: how often it acts, 0..1.
        weights: how likely each is, relative to the others; None for equally.
    """

    transforms: Sequence[Any] = ()
    p: float = field(default=1.0, kw_only=True)
    weights: Sequence[float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "transforms", _checked(self.transforms, "OneOf"))
        if not self.transforms:
            raise ArgumentError("OneOf of nothing: give at least one transform")
        if self.weights is not None:
            set_field(self, "weights", _checked_weights(self.weights, len(self.transforms)))

    @property
    def sides(self) -> Sides:
        """The first ``swap`` and ``label_swap`` in it."""
        return first_sides(self.transforms)

    def _draw(self, dice: Dice, size: Size) -> Params:
        weights = self.weights or [1.0] * len(self.transforms)
        edges = list(accumulate(weights))
        choice = bisect.bisect_right(edges, dice.random() * edges[-1])
        choice = min(choice, max(k for k, weight in enumerate(weights) if weight > 0))  # rounding at the last edge
        return {"choice": choice, "of": self.transforms[choice].draw(dice, size)}

    def apply(self, sample: Sample, params: Params) -> None:
        """Apply the chosen one."""
        choice, drawn = params["choice"], params["of"]
        if drawn is None:
            return
        if not 0 <= choice < len(self.transforms) or self.transforms[choice].name != drawn["name"]:
            raise ArgumentError(
                f"choice {choice} ({drawn['name']!r}) is not in this OneOf: replay with the recipe that drew it"
            )
        self.transforms[choice].apply(sample, drawn)


def _slots(transforms: Sequence[Transform]) -> Iterator[tuple[bytes, Transform]]:
    """Each transform with the name of its random stream: its class, and its number among those of its class."""
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
        f"write {named}(...) with brackets" if isinstance(transform, type) else "torchvision's are from transforms.v2"
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
    """The Compose that a recipe describes: a mapping with ``transform``, a list of mappings, or ``preset``, or both.

    Raises:
        ArgumentError: an unknown name or option; the message lists the valid ones.
    """
    if isinstance(recipe, dict) and "preset" in recipe and "name" not in recipe:
        others = {key: value for key, value in recipe.items() if key != "preset"}
        first = {"name": "Preset", "preset": recipe["preset"]}
        recipe = {**others, "transform": [first, *_listed(others.get("transform", []))]}
    if not isinstance(recipe, dict) or not recipe.keys() & {"transform", "name"}:
        raise ArgumentError(
            'a recipe lists transforms: in TOML a [[transform]] with name = "Rotate" for each; or preset = "light"'
        )
    made = _build({"name": "Compose", **recipe}, "recipe")
    return made if isinstance(made, Compose) else Compose([made])


def _build(entry: Any, where: str) -> Transform:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ArgumentError(f'{where}: expected a mapping with a name, such as name = "Rotate"')
    name = entry["name"]
    known = transforms()
    if "torchvision" in entry:
        raise ArgumentError(f"{where}: {name} is torchvision's; a recipe file holds transforms of faceaug and your own")
    if "text" in entry:
        raise ArgumentError(
            f"{where}: {name} was written for the log only, because its options are not the fields of a dataclass; "
            "make it one, without an __init__ of its own"
        )
    if name not in known:
        raise ArgumentError(
            f"{where}: unknown transform {name!r}{_meant(name, known)}; known: {', '.join(known)}. One of your own is "
            "known once the module that defines it is imported"
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
        raise ArgumentError(f"{where}: transform: expected a list; in TOML write it in double brackets")
    return value


def _meant(word: str, valid: Any) -> str:
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
