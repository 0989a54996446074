"""Parsing and type checks of JSON documents from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

_LARGEST = 2**63
_CHECKS: dict[type, tuple[Callable[[Any], bool], str]] = {
    str: (lambda value: isinstance(value, str) and _is_text(value), "a string"),
    int: (lambda value: type(value) is int and abs(value) < _LARGEST, "a whole number"),
    float: (lambda value: type(value) in (int, float) and abs(value) < _LARGEST and math.isfinite(value), "a number"),
    dict: (lambda value: isinstance(value, dict), "an object"),
}


def parse_json(data: bytes | str) -> Any:
    """Parse a JSON document.

    Raises:
        ValueError: it is not JSON, or is nested deeper than anything faceaug writes.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_object(data: bytes | str) -> dict[str, Any]:
    """Parse a JSON document that is an object.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    found = parse_json(data)
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object")
    return found


def checked_fields(kind: type[Any], found: dict[str, Any]) -> dict[str, Any]:
    """The values of a document for the fields of a dataclass, type-checked; other keys are ignored.

    Args:
        kind: a dataclass whose fields are str, int, float, dict, Literal, or tuples of these of any length.
        found: a parsed document.

    Raises:
        ValueError: a value has the wrong type, or a field without a default is missing.
    """
    hints = get_type_hints(kind)
    known: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in found:
            known[field.name] = _checked(field.name, found[field.name], hints[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{field.name} is missing")
    return known


def _checked(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name}: expected a list")
        return tuple(_checked(name, part, get_args(hint)[0]) for part in value)
    if get_origin(hint) is Literal:
        if not any(type(value) is type(option) and value == option for option in get_args(hint)):
            raise ValueError(f"{name}: expected one of {', '.join(map(str, get_args(hint)))}")
        return value
    is_right, words = _CHECKS[get_origin(hint) or hint]
    if not is_right(value):
        raise ValueError(f"{name}: expected {words}")
    return value


def _is_text(value: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
