"""Which generated faces are good enough to train on, and what may be believed of them.

Every face passes, in this order: not flat; has the attributes it was asked for, as the attribute classifier sees it;
as likely as real faces are; shows what no real face and no accepted face shows. A rejected face is replaced by the next
of the stream, so the counts stay as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.image import Image8
from faceaug.mix.likeness import Known, hash_faces
from faceaug.mix.realism import Realism

REASONS = ("flat", "attribute", "agreement", "unrealistic", "copy", "repeat")
_FLAT = 12.0  # grey levels; over 27,097 real faces at 32 pixels the least standard deviation is well above
_AGREEMENT = 0.05  # share of real faces that the classifier agrees with less than this


class AttributeClassifier(Protocol):
    """Sees attributes in faces, as ``faceaug.synthesize.classifier`` does."""

    @property
    def balanced_accuracy(self) -> Sequence[float] | NDArray[np.float32]:
        """Of each of the 40 attributes on real faces it has not seen, 0.5..1."""

    def logits(self, faces: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """uint8 (n, 3, H, W) -> float32 (n, 40); above 0 means the attribute is there."""

    def probabilities(self, faces: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """The same as 0..1, for faces in which attributes are as frequent as in real ones."""


@dataclass(frozen=True, slots=True, eq=False)
class RealSide:
    """What is known of the real faces that synthetic ones are held against, at the size of the model.

    Attributes:
        hashes: uint64 (n,), perceptual, of all that are used.
        picture: face k of them, uint8 (H, W, 3), or None if it cannot be read.
        sample: uint8 (m, H, W, 3), some of them, evenly spaced.
        attributes: int8 (m, 40), of the sample.
    """

    hashes: NDArray[np.uint64]
    picture: Callable[[int], Image8 | None]
    sample: NDArray[np.uint8]
    attributes: NDArray[np.int8]


class Agreement:
    """How far the classifier sees what was asked for.

    Its thresholds balance two kinds of error, so it says yes to an attribute that one face in fifty has far more often
    than the attribute is there. Faces asked to be without ten such attributes would nearly all fail. So an answer
    also agrees where it does at the odds of the real faces; for what is asked and rare, that is the stricter reading.

    Args:
        classifier: what sees.
        strict: columns of attributes that must agree: the balanced ones.
        real: calibrates how much agreement in all is ordinary.
    """

    def __init__(self, classifier: AttributeClassifier, strict: Sequence[int], real: RealSide) -> None:
        self._classifier, self._strict = classifier, list(strict)
        # An attribute the classifier guesses says nothing about a face: informedness is its weight.
        self._trust = np.clip(2 * np.asarray(classifier.balanced_accuracy, np.float64) - 1, 0, 1)
        yes, no = ((real.attributes == sign).sum(axis=0) for sign in (1, -1))
        self._odds = np.where(yes + no > 0, np.log((yes + 1) / (no + 1)), 0.0)
        self.least = 0.0
        known = (real.attributes != 0).any(axis=1)
        if known.any():
            seen = self.see(real.sample[known].transpose(0, 3, 1, 2), real.attributes[known])
            self.least = float(np.quantile(self._scores(real.attributes[known], seen), _AGREEMENT))

    def see(self, faces: NDArray[np.uint8], asked: NDArray[np.int8]) -> NDArray[np.int8]:
        """What faces show, in the reading that favours what was asked: int8 (n, 40), -1 or 1.

        Args:
            faces: uint8 (n, 3, H, W).
            asked: int8 (n, 40).
        """
        logits = self._classifier.logits(np.ascontiguousarray(faces))
        seen, likely = (np.where(values > 0, 1, -1).astype(np.int8) for values in (logits, logits + self._odds))
        return np.where(likely == asked, likely, seen)

    def certain(self, faces: NDArray[np.uint8]) -> NDArray[np.int8]:
        """What is more probable, in faces nobody asked for anything: uint8 (n, 3, H, W) -> int8 (n, 40), -1 or 1."""
        return np.where(self._classifier.probabilities(np.ascontiguousarray(faces)) > 0.5, 1, -1).astype(np.int8)

    def judge(self, asked: NDArray[np.int8], seen: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each face has the balanced attributes, and whether it agrees in all: bool (n,) twice."""
        part = asked[:, self._strict]
        exact = ((part == 0) | (part == seen[:, self._strict])).all(axis=1)
        return exact, self._scores(asked, seen) >= self.least

    def _scores(self, asked: NDArray[np.int8], seen: NDArray[np.int8]) -> NDArray[np.float64]:
        """Share of the attributes that agree, each weighed by how well the classifier sees it."""
        weights = (asked != 0) * self._trust
        total = weights.sum(axis=1)
        scores: NDArray[np.float64] = np.where(
            total > 0, ((asked == seen) * weights).sum(axis=1) / np.maximum(total, 1e-9), 1.0
        )
        return scores


class FaceFilter:
    """Looks at faces in order and accepts the good ones.

    Args:
        real: what they are held against; None: nothing, only flat faces and repeats are found.
        agreement: of attributes; None where nothing is asked or nothing can see.
        accepted: accepted face k, uint8 (3, H, W).

    Attributes:
        rejected: how many were left out, by reason.
    """

    def __init__(
        self, real: RealSide | None, agreement: Agreement | None, accepted: Callable[[int], NDArray[np.uint8]]
    ) -> None:
        self.rejected = dict.fromkeys(REASONS, 0)
        self._agreement = agreement
        self._realism = None if real is None else Realism.fit(real.sample)
        self._training = None if real is None else Known(real.hashes, real.picture)
        self._accepted = accepted
        self._words = np.empty(1024, np.uint64)
        self._places: list[int] = []

    def judge(
        self, faces: NDArray[np.uint8], asked: NDArray[np.int8] | None
    ) -> tuple[list[str], NDArray[np.int8] | None, NDArray[np.uint64]]:
        """What can be said of faces without the ones accepted before.

        Args:
            faces: uint8 (n, 3, H, W).
            asked: int8 (n, 40) or None.

        Returns:
            Why each is left out ("" if it is not), what the classifier sees, int8 (n, 40) or None, and hashes.
        """
        if not len(faces):
            return [], None, np.empty((0, 2), np.uint64)
        grey = faces.mean(axis=1, dtype=np.float32)
        reasons = ["flat" if spread < _FLAT else "" for spread in grey.std(axis=(1, 2)).tolist()]
        seen = None
        if self._agreement is not None and asked is not None:
            seen = self._agreement.see(faces, asked)
            exact, enough = self._agreement.judge(asked, seen)
            _mark(reasons, ~exact, "attribute")
            _mark(reasons, ~enough, "agreement")
        pictures = np.ascontiguousarray(faces.transpose(0, 2, 3, 1))
        if self._realism is not None:
            _mark(reasons, ~self._realism.accepts(pictures), "unrealistic")
        words = hash_faces(pictures)
        if self._training is not None:
            for k in (k for k, reason in enumerate(reasons) if not reason):
                reasons[k] = "copy" if self._training.repeats(pictures[k], words[k]) else ""
        return reasons, seen, words

    def certain(self, faces: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Which attributes faces have that were not asked for any: uint8 (n, 3, H, W) -> int8 (n, 40), -1, 0 or 1."""
        if self._agreement is None:
            return np.zeros((len(faces), len(ATTRIBUTES)), np.int8)
        return self._agreement.certain(faces)

    def admits(self, face: NDArray[np.uint8], words: NDArray[np.uint64]) -> bool:
        """Whether a face shows something new beside those accepted before: uint8 (3, H, W), its hashes."""
        count = len(self._places)
        known = Known(self._words[:count], lambda k: _picture(self._accepted(self._places[k])))
        return not known.repeats(_picture(face), words)

    def accept(self, place: int, words: NDArray[np.uint64]) -> None:
        """Remember an accepted face: its number, and its hashes."""
        count = len(self._places)
        if count == len(self._words):
            self._words = np.concatenate([self._words, np.empty_like(self._words)])
        self._words[count] = words[0]
        self._places.append(place)


def _mark(reasons: list[str], where: NDArray[np.bool_], reason: str) -> None:
    for k in np.flatnonzero(where).tolist():
        reasons[k] = reasons[k] or reason


def _picture(face: NDArray[np.uint8]) -> Image8:
    return np.ascontiguousarray(face.transpose(1, 2, 0))
