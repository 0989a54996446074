"""Filters generated faces: which are good enough to train on, and which labels they get.

A face passes these tests, in this order: it is not flat; the attribute classifier confirms its requested attributes; it
is as close to real faces as real faces are to each other; it repeats no real face and no accepted face. The next face
of the stream replaces a rejected one, so the number of faces stays as requested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.image import Image8
from faceaug.mix.likeness import Known, hash_faces
from faceaug.mix.realism import Realism
from faceaug.mix.registration import Framing, measure_framing

REASONS = ("flat", "attribute", "agreement", "unrealistic", "copy", "repeat")
_FLAT = 12.0  # grey levels; the smallest standard deviation of 27,097 real faces at 32 pixels is well above
_MEAN_OF = 2_048  # faces in the mean face, which shows how the model frames faces
_AGREEMENT = 0.05  # quantile of the agreement of real faces that sets the limit


class AttributeClassifier(Protocol):
    """Recognises attributes in faces, like ``faceaug.synthesize.classifier``."""

    @property
    def balanced_accuracy(self) -> Sequence[float] | NDArray[np.float32]:
        """Balanced accuracy of each of the 40 attributes on unseen real faces, 0.5..1."""

    def logits(self, faces: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """uint8 (n, 3, H, W) -> float32 (n, 40); above 0 means that the attribute is present."""

    def probabilities(self, faces: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """Probabilities 0..1 for faces in which attributes are as frequent as in real ones."""


@dataclass(frozen=True, slots=True, eq=False)
class RealSide:
    """The real faces that synthetic ones are compared with, at the size of the model.

    Attributes:
        hashes: uint64 (n,), perceptual hashes of all real faces used.
        picture: returns face k, uint8 (H, W, 3), or None if it cannot be read.
        sample: uint8 (m, H, W, 3), evenly spaced faces.
        attributes: int8 (m, 40), attributes of the sample.
    """

    hashes: NDArray[np.uint64]
    picture: Callable[[int], Image8 | None]
    sample: NDArray[np.uint8]
    attributes: NDArray[np.int8]


class Agreement:
    """Agreement of the requested attributes with those that the classifier sees.

    The thresholds of the classifier balance both kinds of error, so it reports an attribute that one face in fifty has
    far too often: nearly every face requested without ten such attributes would fail. An answer therefore also agrees
    if it agrees at the odds of the real faces.

    Args:
        classifier: classifier of attributes.
        strict: columns of the attributes that must agree, the balanced ones.
        real: real faces that calibrate the usual overall agreement.
    """

    def __init__(self, classifier: AttributeClassifier, strict: Sequence[int], real: RealSide) -> None:
        self._classifier = classifier
        self._strict = list(strict)
        # Weighted by informedness: an attribute that the classifier guesses says nothing about a face.
        self._trust = np.clip(2 * np.asarray(classifier.balanced_accuracy, np.float64) - 1, 0, 1)
        yes, no = ((real.attributes == sign).sum(axis=0) for sign in (1, -1))
        self._odds = np.where(yes + no > 0, np.log((yes + 1) / (no + 1)), 0.0)
        self.least = 0.0
        known = (real.attributes != 0).any(axis=1)
        if known.any():
            seen = self.see(real.sample[known].transpose(0, 3, 1, 2), real.attributes[known])
            self.least = float(np.quantile(self._scores(real.attributes[known], seen), _AGREEMENT))

    def see(self, faces: NDArray[np.uint8], asked: NDArray[np.int8]) -> NDArray[np.int8]:
        """Attributes seen in faces, in the reading that favours the requested ones: int8 (n, 40), -1 or 1.

        Args:
            faces: uint8 (n, 3, H, W).
            asked: requested attributes, int8 (n, 40).
        """
        logits = self._classifier.logits(np.ascontiguousarray(faces))
        seen, likely = (np.where(values > 0, 1, -1).astype(np.int8) for values in (logits, logits + self._odds))
        return np.where(likely == asked, likely, seen)

    def certain(self, faces: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Most probable attributes of unconditioned faces: uint8 (n, 3, H, W) -> int8 (n, 40), -1 or 1."""
        return np.where(self._classifier.probabilities(np.ascontiguousarray(faces)) > 0.5, 1, -1).astype(np.int8)

    def judge(self, asked: NDArray[np.int8], seen: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each face has its balanced attributes, and whether it agrees overall: bool (n,) each."""
        part = asked[:, self._strict]
        exact = ((part == 0) | (part == seen[:, self._strict])).all(axis=1)
        return exact, self._scores(asked, seen) >= self.least

    def _scores(self, asked: NDArray[np.int8], seen: NDArray[np.int8]) -> NDArray[np.float64]:
        """Share of the requested attributes that agree, weighted by how well the classifier sees each."""
        weights = (asked != 0) * self._trust
        total = weights.sum(axis=1)
        scores: NDArray[np.float64] = np.where(
            total > 0, ((asked == seen) * weights).sum(axis=1) / np.maximum(total, 1e-9), 1.0
        )
        return scores


class FaceFilter:
    """Judges faces in order and accepts the good ones.

    Args:
        real: real faces to compare with; without them only flat faces and repeats are rejected.
        agreement: agreement of attributes; None if none are requested or there is no classifier.
        accepted: returns accepted face k, uint8 (3, H, W).

    Attributes:
        rejected: number of rejected faces by reason.
    """

    def __init__(
        self, real: RealSide | None, agreement: Agreement | None, accepted: Callable[[int], NDArray[np.uint8]]
    ) -> None:
        self.rejected = dict.fromkeys(REASONS, 0)
        self._agreement = agreement
        self._realism = None if real is None else Realism.fit(real.sample)
        self._training = None if real is None else Known(real.hashes, real.picture)
        self._real = real
        self._sum: NDArray[np.int64] | int = 0
        self._summed = 0
        self._accepted = accepted
        self._words = np.empty(1024, np.uint64)
        self._places: list[int] = []

    def judge(
        self, faces: NDArray[np.uint8], asked: NDArray[np.int8] | None
    ) -> tuple[list[str], NDArray[np.int8] | None, NDArray[np.uint64]]:
        """Apply all tests except the comparison with accepted faces.

        Args:
            faces: uint8 (n, 3, H, W).
            asked: requested attributes, int8 (n, 40), or None.

        Returns:
            Reason for rejecting each face ("" if it passes); attributes seen, int8 (n, 40) or None; hashes.
        """
        if not len(faces):
            return [], None, np.empty((0, 2), np.uint64)
        if self._summed < _MEAN_OF:
            self._sum = self._sum + faces.sum(axis=0, dtype=np.int64)
            self._summed += len(faces)
        grey = faces.mean(axis=1, dtype=np.float32)
        reasons = ["flat" if spread < _FLAT else "" for spread in grey.std(axis=(1, 2)).tolist()]
        seen = None
        if self._agreement is not None and asked is not None:
            seen = self._agreement.see(faces, asked)
            exact, enough = self._agreement.judge(asked, seen)
            _reject(reasons, ~exact, "attribute")
            _reject(reasons, ~enough, "agreement")
        pictures = np.ascontiguousarray(faces.transpose(0, 2, 3, 1))
        if self._realism is not None:
            _reject(reasons, ~self._realism.accepts(pictures), "unrealistic")
        words = hash_faces(pictures)
        if self._training is not None:
            for k in (k for k, reason in enumerate(reasons) if not reason):
                reasons[k] = "copy" if self._training.repeats(pictures[k], words[k]) else ""
        return reasons, seen, words

    def certain(self, faces: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Attributes of unconditioned faces: uint8 (n, 3, H, W) -> int8 (n, 40), -1, 0 or 1."""
        if self._agreement is None:
            return np.zeros((len(faces), len(ATTRIBUTES)), np.int8)
        return self._agreement.certain(faces)

    def framing(self) -> Framing | None:
        """Framing of the real faces compared with the generated ones; None if there are too few to tell."""
        if self._real is None or not self._summed:
            return None
        return measure_framing(self._real.sample, np.asarray(self._sum / self._summed), self._summed)

    def admits(self, face: NDArray[np.uint8], words: NDArray[np.uint64]) -> bool:
        """Whether a face differs from all accepted faces.

        Args:
            face: uint8 (3, H, W).
            words: uint64 (2,), its hashes, see ``hash_faces``.
        """
        count = len(self._places)
        known = Known(self._words[:count], lambda k: _picture(self._accepted(self._places[k])))
        return not known.repeats(_picture(face), words)

    def accept(self, place: int, words: NDArray[np.uint64]) -> None:
        """Remember the number and the hashes of an accepted face."""
        count = len(self._places)
        if count == len(self._words):
            self._words = np.concatenate([self._words, np.empty_like(self._words)])
        self._words[count] = words[0]
        self._places.append(place)


def unlike_share(rejected: Mapping[str, int], made: int) -> float:
    """Share of faces rejected as unlike real ones among those that passed the earlier tests, 0..1."""
    reached = made - sum(rejected.get(reason, 0) for reason in ("flat", "attribute", "agreement"))
    return rejected.get("unrealistic", 0) / reached if reached > 0 else 0.0


def _reject(reasons: list[str], where: NDArray[np.bool_], reason: str) -> None:
    for k in np.flatnonzero(where).tolist():
        reasons[k] = reasons[k] or reason


def _picture(face: NDArray[np.uint8]) -> Image8:
    return np.ascontiguousarray(face.transpose(1, 2, 0))
