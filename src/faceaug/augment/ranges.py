"""Strengths: a number or a (low, high) pair, checked when a transform is created."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from faceaug.draws import Dice
from faceaug.errors import ArgumentError

Amount: TypeAlias = float | tuple[float, float]
Range: TypeAlias = tuple[float, float]


def symmetric(name: str, value: Amount, *, unit: str, limit: float = math.inf) -> Range:
    """Range of a symmetric strength: ``a`` means (-a, a); a pair is the range itself."""
    return _ranged(name, value, lambda a: (-a, a), unit=unit, low=-limit, high=limit)


def upto(name: str, value: Amount, *, unit: str, limit: float = math.inf) -> Range:
    """Range of a non-negative strength: ``a`` means (0, a); a pair is the range itself."""
    return _ranged(name, value, lambda a: (0.0, a), unit=unit, low=0.0, high=limit)


def factor(name: str, value: Amount) -> Range:
    """Range of a positive factor: ``f`` means (1/f, f); a pair is the range itself."""
    if isinstance(value, (int, float)) and value <= 0:
        raise ArgumentError(f"{name}={value!r}: a factor is positive; 1.15 stretches by 1/1.15 to 1.15, 1 does nothing")
    return _ranged(name, value, lambda f: (min(f, 1 / f), max(f, 1 / f)), unit="factor", low=0.05, high=20.0)


def probability(value: float) -> float:
    """Check a probability, 0..1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ArgumentError(f"p={value!r}: expected a probability from 0 (never) to 1 (always)")
    return float(value)


def one_of(name: str, value: str, valid: tuple[str, ...]) -> str:
    """Check that a word is one of the valid ones."""
    if value not in valid:
        raise ArgumentError(f"{name}={value!r}: expected one of {', '.join(map(repr, valid))}")
    return value


def ends(value: Amount) -> Range:
    """The range in a field set by ``symmetric``, ``upto`` or ``factor``."""
    return value if isinstance(value, tuple) else (value, value)


def uniform(dice: Dice, value: Amount) -> float:
    """Draw uniformly between the ends of a range; exactly the end where both are equal."""
    low, high = ends(value)
    return low + (high - low) * dice.random()


def set_field(instance: object, name: str, value: Any) -> None:
    """Set a field of a frozen dataclass from its ``__post_init__``."""
    object.__setattr__(instance, name, value)


def _ranged(name: str, value: Any, of_number: Any, *, unit: str, low: float, high: float) -> Range:
    if _is_number(value):
        if value < 0:
            raise ArgumentError(
                f"{name}={value!r}: a strength is not negative; write a range as a pair, ({value!r}, 0)"
            )
        start, stop = of_number(float(value))
    elif isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value)):
        start, stop = float(value[0]), float(value[1])
    else:
        raise ArgumentError(f"{name}={value!r}: expected a number ({unit}) or a pair (low, high)")
    if start > stop:
        raise ArgumentError(f"{name}={value!r}: the range is reversed; write ({stop:g}, {start:g})")
    if start < low or stop > high:
        bounds = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise ArgumentError(f"{name}={value!r}: expected {bounds} ({unit})")
    return start, stop


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
