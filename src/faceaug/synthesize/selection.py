"""Faces with attributes from a generator that knows none: make faces, keep those in which the classifier sees them.

Block b of the chosen faces is looked for among faces b * 2**18 onwards of the generator's stream, in order. So chosen
face k depends on (model, seed, k, attributes) alone, and any block is found without those before it. It costs what it
costs: a rare attribute needs many faces made for one that is kept, which the report tells, and there is a limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceaug.errors import ArgumentError, FaceAugError
from faceaug.synthesize.classifier import AttributeClassifier
from faceaug.synthesize.render import BLOCK

RANGE = 2**18  # faces of the stream that belong to one block of chosen ones
EFFORT = 500  # faces looked at for one that is kept; beyond, the model cannot be said to make such faces
CERTAINTY = 0.5  # least probability of every attribute asked for, at the frequencies of the training faces
_AT_ONCE = 4 * BLOCK
_HOPELESS = 64 * BLOCK  # faces looked at without keeping one before giving up


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """What choosing cost so far.

    Attributes:
        asked: attributes, 1 with and -1 without.
        looked_at: faces made and shown to the classifier.
        kept: of them.
        passed: by attribute, how many of the faces looked at had it as asked.
        seconds: spent making and looking.
    """

    asked: dict[str, int]
    looked_at: int
    kept: int
    passed: dict[str, int]
    seconds: float

    @property
    def acceptance(self) -> float:
        """Share of the faces looked at that were kept."""
        return self.kept / max(self.looked_at, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "asked": self.asked, "looked_at": self.looked_at, "kept": self.kept,
            "acceptance": round(self.acceptance, 5),
            "acceptance_by_attribute": {k: round(v / max(self.looked_at, 1), 5) for k, v in self.passed.items()},
            "seconds": round(self.seconds, 2),
        }  # fmt: skip

    def line(self) -> str:
        """For people."""
        return (
            f"chosen by the classifier: {self.kept:,} of {self.looked_at:,} faces looked at ({self.acceptance:.1%}; "
            f"{self.shares()}) in {self.seconds:.1f} s"
        )

    def shares(self) -> str:
        """How often each attribute was as asked, for people."""
        return ", ".join(
            f"{'with' if self.asked[name] > 0 else 'without'} {name} {count / max(self.looked_at, 1):.2%}"
            for name, count in self.passed.items()
        )


class Selection:
    """Chooses faces of a stream.

    Args:
        make: faces ``start`` to ``start + n - 1`` of the stream: (n, start) -> uint8 (n, 3, H, W).
        classifier: looks at them.
        asked: attributes, 1 with and -1 without; 0 is anything.
        model: name, for messages.

    Raises:
        ArgumentError: the classifier does not know an attribute.
    """

    def __init__(
        self, make: Callable[[int, int], Tensor], classifier: AttributeClassifier, asked: Mapping[str, int], *,
        model: str,
    ) -> None:  # fmt: skip
        self.asked = {name: int(value) for name, value in asked.items() if value}
        if strange := sorted(set(self.asked) - set(classifier.attributes)):
            raise ArgumentError(
                f"attribute {strange[0]!r}: model {model} takes no attributes, and classifier {classifier.config.name} "
                f"cannot choose by this one; it knows {', '.join(classifier.attributes)}"
            )
        self._make, self._classifier, self._model = make, classifier, model
        self._columns = [classifier.attributes.index(name) for name in self.asked]
        self._signs = np.array(list(self.asked.values()))
        self._looked_at = self._kept = 0
        self._passed = np.zeros(len(self.asked), np.int64)
        self._seconds = 0.0

    def block(self, number: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Chosen faces 64 ``number`` to 64 ``number`` + 63.

        Returns:
            (faces, numbers): uint8 (64, 3, H, W), and which faces of the stream they are, int64 (64,).

        Raises:
            FaceAugError: the limit is reached; the message names how often each attribute is there.
        """
        began = time.monotonic()
        parts: list[Tensor] = []
        places: list[int] = []
        looked_at, passed = 0, np.zeros(len(self.asked), np.int64)
        while len(places) < BLOCK:
            if looked_at >= EFFORT * BLOCK or (looked_at >= _HOPELESS and not places):
                raise FaceAugError(self._too_rare(looked_at, len(places), passed))
            start = number * RANGE + looked_at
            faces = self._make(_AT_ONCE, start)
            as_asked = self._as_asked(faces)
            good = np.flatnonzero(as_asked.all(axis=1))[: BLOCK - len(places)]
            seen = int(good[-1]) + 1 if len(places) + len(good) == BLOCK else _AT_ONCE  # the rest was not needed
            looked_at += seen
            passed += as_asked[:seen].sum(axis=0)
            parts.append(faces[good])
            places += (start + good).tolist()
        self._looked_at += looked_at
        self._kept += BLOCK
        self._passed += passed
        self._seconds += time.monotonic() - began
        return torch.cat(parts), np.array(places, np.int64)

    @property
    def report(self) -> SelectionReport:
        """What choosing cost so far."""
        passed = dict(zip(self.asked, self._passed.tolist(), strict=True))
        return SelectionReport(self.asked, self._looked_at, self._kept, passed, self._seconds)

    def _as_asked(self, faces: Tensor) -> NDArray[np.bool_]:
        """Whether each face has each attribute as asked: bool (n, asked)."""
        probable = self._classifier.probabilities(faces)[:, self._columns]
        found: NDArray[np.bool_] = np.where(self._signs > 0, probable, 1 - probable) > CERTAINTY
        return found

    def _too_rare(self, looked_at: int, kept: int, passed: NDArray[np.int64]) -> str:
        counts = dict(zip(self.asked, passed.tolist(), strict=True))
        shares = SelectionReport(self.asked, looked_at, kept, counts, 0.0).shares()
        return (
            f"model {self._model} takes no attributes, and only {kept} of {looked_at:,} of its faces have those asked "
            f"for ({shares}); ask for fewer, or take a model that obeys attributes"
        )
