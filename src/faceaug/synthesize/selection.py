"""Rejection sampling: faces with attributes from an unconditional generator, accepted by the classifier.

Block b of the accepted faces is searched from face b * 2**18 of the generator's stream onwards. So accepted face k
depends only on (model, seed, k, attributes), and a block is found without those before it. A rare attribute needs many
candidates for each accepted face; the report counts them, and there is a limit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.presentation import Fact, Presentation
from faceaug.synthesize.classifier import AttributeClassifier, load_classifier
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.render import BLOCK

Make: TypeAlias = Callable[[int, int], Tensor]
RANGE = 2**18  # faces of the stream reserved for one block of accepted faces
EFFORT = 500  # candidates per accepted face; beyond this the model cannot make such faces
CERTAINTY = 0.5  # least probability of each requested attribute at training prevalence
_AT_ONCE = 4 * BLOCK
_HOPELESS = 64 * BLOCK  # candidates without a single acceptance before giving up


@dataclass(frozen=True, slots=True, repr=False)
class SelectionReport(Presentation):
    """Cost of the selection so far.

    Attributes:
        asked: requested attributes, 1 with and -1 without.
        looked_at: number of candidates shown to the classifier.
        kept: number of accepted faces.
        passed: number of candidates with each requested attribute, by name.
        seconds: time spent generating and classifying.
    """

    asked: dict[str, int]
    looked_at: int
    kept: int
    passed: dict[str, int]
    seconds: float

    @property
    def acceptance(self) -> float:
        """Share of candidates that were accepted."""
        return self.kept / max(self.looked_at, 1)

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        asked = ", ".join(f"{'with' if value > 0 else 'without'} {name}" for name, value in self.asked.items())
        return [
            ("requested", asked),
            ("candidates", self.looked_at),
            ("kept", self.kept),
            ("share kept", f"{self.acceptance:.2%}"),
            ("seconds", round(self.seconds, 1)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "asked": self.asked,
            "looked_at": self.looked_at,
            "kept": self.kept,
            "acceptance": round(self.acceptance, 5),
            "acceptance_by_attribute": {k: round(v / max(self.looked_at, 1), 5) for k, v in self.passed.items()},
            "seconds": round(self.seconds, 2),
        }

    def line(self) -> str:
        """The report as one line of text."""
        return (
            f"selected by the classifier: {self.kept:,} of {self.looked_at:,} candidates ({self.acceptance:.1%}; "
            f"{self.shares()}) in {self.seconds:.1f} s"
        )

    def shares(self) -> str:
        """Share of candidates with each requested attribute, as text."""
        return ", ".join(
            f"{'with' if self.asked[name] > 0 else 'without'} {name} {count / max(self.looked_at, 1):.2%}"
            for name, count in self.passed.items()
        )


def spent_since(before: Sequence[SelectionReport], after: Sequence[SelectionReport]) -> tuple[SelectionReport, ...]:
    """The cost of a selection between two moments, for each request that had any."""
    earlier = {tuple(report.asked.items()): report for report in before}
    changed = (report for report in after if report != earlier.get(tuple(report.asked.items())))
    return tuple(_combined(report, earlier.get(tuple(report.asked.items())), -1) for report in changed)


def added(reports: Iterable[SelectionReport]) -> tuple[SelectionReport, ...]:
    """The costs of several selections as one for each request."""
    sums: dict[tuple[tuple[str, int], ...], SelectionReport] = {}
    for report in reports:
        key = tuple(report.asked.items())
        sums[key] = _combined(report, sums.get(key), 1)
    return tuple(sums.values())


def _combined(one: SelectionReport, other: SelectionReport | None, sign: int) -> SelectionReport:
    if other is None:
        return one
    return SelectionReport(
        one.asked,
        one.looked_at + sign * other.looked_at,
        one.kept + sign * other.kept,
        {name: count + sign * other.passed[name] for name, count in one.passed.items()},
        one.seconds + sign * other.seconds,
    )


class Selection:
    """Selects faces of a stream for one request.

    Args:
        make: generates faces ``start`` to ``start + n - 1`` of the stream: (n, start) -> uint8 (n, 3, H, W).
        classifier: decides which faces are accepted.
        asked: requested attributes, 1 with and -1 without.
        model: name of the model, for messages.

    Raises:
        ArgumentError: the classifier does not know an attribute.
    """

    def __init__(self, make: Make, classifier: AttributeClassifier, asked: Mapping[str, int], *, model: str) -> None:
        self.asked = dict(asked)
        if unknown := sorted(set(self.asked) - set(classifier.attributes)):
            raise ArgumentError(
                f"attribute {unknown[0]!r}: model {model} takes no attributes, and classifier {classifier.config.name} "
                f"does not know this one; it knows {', '.join(classifier.attributes)}"
            )
        self._make = make
        self._classifier = classifier
        self._model = model
        self._columns = [classifier.attributes.index(name) for name in self.asked]
        self._signs = np.array(list(self.asked.values()))
        self._looked_at = self._kept = 0
        self._passed = np.zeros(len(self.asked), np.int64)
        self._seconds = 0.0
        self._last: tuple[int, NDArray[np.int64]] | None = None  # neighbours are usually requested together

    def block(self, number: int) -> NDArray[np.int64]:
        """Stream positions of accepted faces 64 ``number`` to 64 ``number`` + 63: int64 (64,).

        Raises:
            FaceAugError: the limit is reached; the message states how frequent each attribute is.
        """
        if self._last is None or self._last[0] != number:
            self._last = (number, self._search(number))
        return self._last[1]

    @property
    def report(self) -> SelectionReport:
        """Cost of the selection so far."""
        return SelectionReport(self.asked, self._looked_at, self._kept, self._by_name(self._passed), self._seconds)

    def _search(self, number: int) -> NDArray[np.int64]:
        began = time.monotonic()
        places: list[int] = []
        looked_at = 0
        passed = np.zeros(len(self.asked), np.int64)
        while len(places) < BLOCK:
            if looked_at >= EFFORT * BLOCK or (looked_at >= _HOPELESS and not places):
                shares = SelectionReport(self.asked, looked_at, len(places), self._by_name(passed), 0.0).shares()
                raise FaceAugError(
                    f"model {self._model} takes no attributes, and only {len(places)} of {looked_at:,} of its faces "
                    f"have the requested ones ({shares}); request fewer, or use a model that takes attributes"
                )
            start = number * RANGE + looked_at
            as_asked = self._as_asked(self._make(_AT_ONCE, start))
            good = np.flatnonzero(as_asked.all(axis=1))[: BLOCK - len(places)]
            done = len(places) + len(good) == BLOCK
            needed = int(good[-1]) + 1 if done else _AT_ONCE
            looked_at += needed
            passed += as_asked[:needed].sum(axis=0)
            places += (start + good).tolist()
        self._looked_at += looked_at
        self._kept += BLOCK
        self._passed += passed
        self._seconds += time.monotonic() - began
        return np.array(places, np.int64)

    def _as_asked(self, faces: Tensor) -> NDArray[np.bool_]:
        """Whether each face has each attribute as requested: bool (n, asked)."""
        probable = self._classifier.probabilities(faces)[:, self._columns]
        found: NDArray[np.bool_] = np.where(self._signs > 0, probable, 1 - probable) > CERTAINTY
        return found

    def _by_name(self, passed: NDArray[np.int64]) -> dict[str, int]:
        return dict(zip(self.asked, passed.tolist(), strict=True))


class Selector:
    """Selects faces of a stream, each by its own request; the classifier is loaded when first needed.

    Args:
        make: see ``Selection``.
        config: config of the model.
    """

    def __init__(self, make: Make, config: ModelConfig) -> None:
        self._make = make
        self._config = config
        self._classifier: AttributeClassifier | None = None
        self._selections: dict[bytes, Selection] = {}

    def numbers(self, requests: NDArray[np.int8], start: int) -> list[int]:
        """Stream positions of faces ``start`` and following.

        Args:
            requests: int8 (n, 40), the request of each; with an empty request, face k is face k of the stream.
            start: number of the first face.
        """
        found = []
        for k, request in enumerate(requests, start=start):
            found.append(int(self._selection(request).block(k // BLOCK)[k % BLOCK]) if request.any() else k)
        return found

    @property
    def reports(self) -> tuple[SelectionReport, ...]:
        """Cost of the selection so far, for each request."""
        return tuple(selection.report for selection in self._selections.values())

    def provenance(self) -> dict[str, Any]:
        """What selected faces depend on, as JSON data."""
        config = self._loaded_classifier().config
        return {"classifier": config.name, "classifier_sha256": config.sha256}

    def _selection(self, request: NDArray[np.int8]) -> Selection:
        found = self._selections.get(request.tobytes())
        if found is None:
            asked = {ATTRIBUTES[column]: int(request[column]) for column in np.flatnonzero(request)}
            found = Selection(self._make, self._loaded_classifier(), asked, model=self._config.name)
            self._selections[request.tobytes()] = found
        return found

    def _loaded_classifier(self) -> AttributeClassifier:
        if self._classifier is None:
            self._classifier = load_classifier()
            crops = (self._config.crop, self._classifier.config.crop)
            if crops[0] != crops[1]:
                warnings.warn(
                    f"model {self._config.name} was trained with crop {crops[0]}, the selecting classifier with "
                    f"{crops[1]}: it may recognise less",
                    stacklevel=2,
                )
        return self._classifier
