"""Query parsing, strict. Nothing here touches a disk, a model or a socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args
from urllib.parse import parse_qsl, unquote_plus

from faceaug.data.annotations import attribute_index
from faceaug.draws import MAX_SEED
from faceaug.errors import ArgumentError

AnswerFormat: TypeAlias = Literal["png", "webp", "zip"]
Others: TypeAlias = Literal["typical", "kept", "free"]  # see ``SyntheticFaceSource``, which is not imported here
FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)
OTHERS: tuple[Others, ...] = get_args(Others)
MAX_FACES = 64
MAX_QUERY = 2048  # bytes; the longest useful query, with all forty attributes, is shorter than 1,100
MAX_FACE = 2**31 - 1
DEFAULT_STEPS = 33
DIGEST = 16  # hexadecimal digits of a model digest in a URL
PARAMETERS = (
    "attributes",
    "digest",
    "face",
    "format",
    "model",
    "n",
    "seed",
    "steps",
    "to",
    "to_face",
    "unasked",
)
# Tracking parameters that sites and newsletters append to shared links; they do not change the request.
_TRACKING = re.compile(
    r"utm_\w+|mtm_\w+|pk_\w+|hsa_\w+|fbclid|gclid|dclid|msclkid|yclid|ttclid|twclid|gbraid|wbraid|gad_\w+|igshid?|li_fat_id"
    r"|mc_[ce]id|mkt_tok|_ga|_gl|_hsenc|_hsmi|srsltid|s_kwcid|epik|vero_id|oly_\w+_id|ref|ref_src|ref_url"
    r"|gclsrc|fb_\w+|mibextid|rdt_cid|sccid|irclickid|_branch_match_id|__hs\w+|hsctatracking|matomo_\w+|piwik_\w+"
    r"|_openstat|wickedid|ml_subscriber\w*|ck_subscriber_id|dm_i|zanpid|cmpid|ncid|trk|_ke|_kx|at_\w+",
    re.ASCII | re.IGNORECASE,
)


class ParameterError(ArgumentError):
    """One parameter of a query is invalid.

    Attributes:
        parameter: its name, or "query" for the whole query.
        reason: what is wrong and what is expected.

    Example:
        >>> from faceaug.serve import ParameterError, parse_query
        >>> try:
        ...     parse_query("n=65", models=("faces-64",))
        ... except ParameterError as error:
        ...     error.parameter
        'n'
    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter
        self.reason = reason


class OtherModelError(ParameterError):
    """The URL's digest names a model that has been replaced by another of the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRequest:
    """A valid request.

    Attributes:
        n: number of faces, 1..64; for a walk, number of steps.
        seed: 0..2**63-1, or None if the service is to choose one.
        face: number of the first face in the seed's sequence, from 0.
        to: seed of the last face of a walk, or None for faces.
        to_face: number of that face in the sequence of ``to``.
        attributes: requested attributes by name in alphabetical order, each -1 or 1.
        unasked: values of the other attributes, see ``SyntheticFaceSource``.
        model: name of an offered model.
        format: "png" or "webp", one picture of all faces, or "zip", one picture per face and metadata.csv.
        digest: hash of the expected model, see ``FaceService.digest``; "" accepts any model of that name.

    Example:
        >>> from faceaug.serve import parse_query
        >>> request = parse_query("n=9&seed=7&attributes=Smiling:1", models=("faces-64",))
        >>> request.attributes, request.columns
        ((('Smiling', 1),), 3)
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
    digest: str = ""

    @property
    def columns(self) -> int:
        """Columns of the sprite: a walk is one row, faces form a square."""
        return self.n if self.to is not None else next(c for c in range(1, MAX_FACES) if c * c >= self.n)

    @property
    def rows(self) -> int:
        """Rows of the sprite."""
        return -(-self.n // self.columns)


def parse_query(query: str, *, models: tuple[str, ...], conditional: str = "") -> FaceRequest:
    """Parse the part of a URL after the question mark.

    Args:
        query: percent-encoded. An empty value counts as missing, because forms send empty fields.
        models: names of the offered models; the first is the default.
        conditional: default model if attributes are requested and it is offered.

    Raises:
        ParameterError: an unknown, repeated, unreadable or impossible parameter, with its name.

    Example:
        >>> from faceaug.serve import parse_query
        >>> parse_query("seed=7", models=("faces-64",)).n
        1
    """
    given = read_fields(query)
    take = _Fields(given)
    steps = take.number("steps", 2, MAX_FACES)
    n = take.number("n", 1, MAX_FACES)
    to = take.number("to", 0, MAX_SEED)
    to_face = take.number("to_face", 0, MAX_FACE)
    if to is None:
        for name, value in (("steps", steps), ("to_face", to_face)):
            if value is not None:
                raise ParameterError(
                    name, "only applies to a walk between two faces; give the other face's seed as to="
                )
    elif n is not None:
        raise ParameterError("n", "a walk (to=) takes steps=, not n=")
    seed = take.number("seed", 0, MAX_SEED)
    attributes = take.attributes()
    model = conditional if attributes and conditional in models else models[0]
    request = FaceRequest(
        n=(n or 1) if to is None else (steps or DEFAULT_STEPS),
        seed=seed,
        face=take.number("face", 0, MAX_FACE) or 0,
        to=to,
        to_face=to_face or 0,
        attributes=attributes,
        unasked=cast("Others", take.choice("unasked", OTHERS, OTHERS[0])),
        model=take.choice("model", models, model),
        format=cast("AnswerFormat", take.choice("format", FORMATS, FORMATS[0])),
        digest=take.digest(),
    )
    if unknown := sorted(set(given) - set(PARAMETERS)):
        raise ParameterError(shown(unknown[0]), f"unknown parameter; expected {', '.join(PARAMETERS)}")
    return request


def own_part(query: str) -> tuple[str, tuple[str, ...]]:
    """Split a query into our parameters and the names of foreign ones, tracking parameters excepted.

    For the page: people share its URL, and whatever other sites append must not break it.
    """
    parts = [(part, unquote_plus(part.partition("=")[0])) for part in query.split("&") if part]
    strange = sorted({shown(name) for _, name in parts if name not in PARAMETERS and not _TRACKING.fullmatch(name)})
    return "&".join(part for part, name in parts if name in PARAMETERS), tuple(strange)


def read_fields(query: str) -> dict[str, str]:
    """Fields of a query, each given once and non-empty, without tracking parameters; raises ParameterError."""
    if len(query) > MAX_QUERY:
        raise ParameterError("query", f"longer than {MAX_QUERY} characters")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise ParameterError("query", "expected name=value pairs joined by &, percent-encoded UTF-8") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if _TRACKING.fullmatch(name):
            continue
        if name in fields:
            raise ParameterError(shown(name), "given more than once")
        fields[name] = value
    return {name: value for name, value in fields.items() if value}


class _Fields:
    """Reads typed values from the fields of a query."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def _text(self, name: str) -> str | None:
        return self._given.get(name)

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number between two limits; None if it is not given."""
        text = self._text(name)
        if text is None:
            return None
        # Plain digits only: int() also accepts "1_0", " 7" and digits of other scripts, and is slow on long ones.
        if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise ParameterError(name, f"{shown(text)}: expected an integer from {low} to {high}")
        return int(text)

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        """One of the options."""
        text = self._text(name)
        if text is not None and text not in options:
            raise ParameterError(name, f"{shown(text)}: expected one of {', '.join(options)}")
        return text or default

    def digest(self) -> str:
        """The digest of a model; "" if it is not given."""
        text = self._text("digest") or ""
        if text and not re.fullmatch(f"[0-9a-f]{{{DIGEST}}}", text):
            raise ParameterError(
                "digest", f"{shown(text)}: expected {DIGEST} hexadecimal digits, as in X-Faceaug-Digest"
            )
        return text

    def attributes(self) -> tuple[tuple[str, int], ...]:
        """(attribute, -1 or 1) pairs."""
        wanted: dict[str, int] = {}
        for part in (self._text("attributes") or "").split(","):
            name, _, sign = part.strip().partition(":")
            if not part.strip():
                continue
            if sign not in {"1", "-1"} or name in wanted:
                raise ParameterError("attributes", f"{shown(part)}: expected NAME:1 or NAME:-1, each name once")
            _check_attribute(shown(name))
            wanted[name] = int(sign)
        return tuple(sorted(wanted.items()))


def _check_attribute(name: str) -> None:
    try:
        attribute_index(name)
    except ArgumentError as error:
        raise ParameterError("attributes", str(error)) from None


def shown(text: str, limit: int = 40) -> str:
    """Quote untrusted text in a message: shortened, printable ASCII only."""
    short = text if len(text) <= limit else text[:limit] + "..."
    return ascii(short)[1:-1] if short else "nothing"
