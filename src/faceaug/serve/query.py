"""What a request asks for: the query, read strictly. Nothing here touches a disk, a model or a socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args
from urllib.parse import parse_qsl

from faceaug.data.annotations import attribute_index
from faceaug.draws import MAX_SEED
from faceaug.errors import ArgumentError

AnswerFormat: TypeAlias = Literal["png", "webp", "zip"]
Others: TypeAlias = Literal["typical", "kept", "free"]  # see ``SyntheticFaceSource``, which is not imported here
FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)
OTHERS: tuple[Others, ...] = get_args(Others)
MAX_FACES = 64
MAX_QUERY = 2048  # bytes; the longest meaningful query, all forty attributes, has under 1,100
MAX_FACE = 2**31 - 1
DEFAULT_STEPS = 33


class ParameterError(ArgumentError):
    """One parameter of a query cannot be used.

    Attributes:
        parameter: its name, or "query" for the query as a whole.
        reason: what is wrong and what is expected.
    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter, self.reason = parameter, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRequest:
    """A valid request.

    Attributes:
        n: number of faces, 1..64; for a walk, of its steps.
        seed: 0..2**63-1, or None: the service chooses one.
        face: number of the first face in the sequence of the seed, from 0.
        to: seed of the face a walk ends at, or None: faces, not a walk.
        to_face: number of that face in the sequence of ``to``.
        attributes: what was asked for, by name in alphabetical order, each -1 or 1.
        unasked: what the model is told of the other attributes.
        model: one of the names the service offers.
        format: "png" or "webp", one picture with all faces, or "zip", a picture for each and metadata.csv.
    """

    n: int
    seed: int | None
    face: int
    to: int | None
    to_face: int
    attributes: tuple[tuple[str, int], ...]
    unasked: Others
    model: str
    format: AnswerFormat

    @property
    def columns(self) -> int:
        """Faces in a row of the sprite: a walk is one row, faces make a square."""
        return self.n if self.to is not None else next(c for c in range(1, MAX_FACES) if c * c >= self.n)

    @property
    def rows(self) -> int:
        """Rows of the sprite."""
        return -(-self.n // self.columns)


def parse_query(query: str, *, models: tuple[str, ...], obedient: str = "") -> FaceRequest:
    """Read the part of a URL behind the question mark.

    Args:
        query: percent-encoded, as it came. An empty value counts as not given, as forms send it.
        models: the names on offer; the first is the default.
        obedient: the default where attributes are asked for, if it is on offer.

    Raises:
        ParameterError: an unknown, repeated, unreadable or impossible parameter; names it.
    """
    given = read_fields(query)
    take = _Fields(given)
    steps, n = take.number("steps", 2, MAX_FACES), take.number("n", 1, MAX_FACES)
    to, to_face = take.number("to", 0, MAX_SEED), take.number("to_face", 0, MAX_FACE)
    if to is None:
        for name, value in (("steps", steps), ("to_face", to_face)):
            if value is not None:
                raise ParameterError(name, "belongs to a walk between two faces; give the other face's seed as to=")
    elif n is not None:
        raise ParameterError("n", "a walk (to=) has steps=, not n=")
    seed, attributes = take.number("seed", 0, MAX_SEED), take.attributes()
    model = obedient if attributes and obedient in models else models[0]
    request = FaceRequest(
        n=(n or 1) if to is None else (steps or DEFAULT_STEPS),
        seed=seed, face=take.number("face", 0, MAX_FACE) or 0, to=to, to_face=to_face or 0,
        attributes=attributes,
        unasked=cast("Others", take.choice("unasked", OTHERS, OTHERS[0])),
        model=take.choice("model", models, model),
        format=cast("AnswerFormat", take.choice("format", FORMATS, FORMATS[0])),
    )  # fmt: skip
    if unknown := sorted(set(given) - take.known):
        raise ParameterError(_shown(unknown[0]), f"no such parameter; there are {', '.join(sorted(take.known))}")
    return request


def read_fields(query: str) -> dict[str, str]:
    """The fields of a query, each given once and not empty; raises ParameterError."""
    if len(query) > MAX_QUERY:
        raise ParameterError("query", f"longer than {MAX_QUERY} characters")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise ParameterError("query", "expected name=value pairs joined by &, percent-encoded UTF-8") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise ParameterError(_shown(name), "given more than once")
        fields[name] = value
    return {name: value for name, value in fields.items() if value}


class _Fields:
    """Takes typed values out of the fields and remembers which names exist."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self.known: set[str] = set()

    def _text(self, name: str) -> str | None:
        self.known.add(name)
        return self._given.get(name)

    def number(self, name: str, low: int, high: int) -> int | None:
        text = self._text(name)
        if text is None:
            return None
        # Only plain digits: int() also takes "1_0", " 7" and digits of other scripts, and is slow on long ones.
        if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise ParameterError(name, f"{_shown(text)}: expected a whole number from {low} to {high}")
        return int(text)

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        text = self._text(name)
        if text is not None and text not in options:
            raise ParameterError(name, f"{_shown(text)}: expected one of {', '.join(options)}")
        return text or default

    def attributes(self) -> tuple[tuple[str, int], ...]:
        wanted: dict[str, int] = {}
        for part in (self._text("attributes") or "").split(","):
            name, _, sign = part.strip().partition(":")
            if not part.strip():
                continue
            if sign not in {"1", "-1"} or name in wanted:
                raise ParameterError("attributes", f"{_shown(part)}: expected NAME:1 or NAME:-1, each name once")
            _check_attribute(_shown(name))
            wanted[name] = int(sign)
        return tuple(sorted(wanted.items()))


def _check_attribute(name: str) -> None:
    try:
        attribute_index(name)
    except ArgumentError as error:
        raise ParameterError("attributes", str(error)) from None


def _shown(text: str, limit: int = 40) -> str:
    """A stranger's text in a message: short, and nothing in it but printable ASCII."""
    short = text if len(text) <= limit else text[:limit] + "..."
    return ascii(short)[1:-1] if short else "nothing"
