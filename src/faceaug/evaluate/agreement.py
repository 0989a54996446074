"""Attributes of generated faces: agreement with requests, effect of edits, and frequency compared with real faces.

A classifier judges the faces. Its answers are compared with those on real faces, so that its weakness at an attribute
does not count against the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.progress import SILENT, Progress
from faceaug.progress.phases import Phase
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.classifier import load_classifier
from faceaug.train.calibrate import balanced_accuracy

Judge = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]  # uint8 (n, 3, H, W) -> (n, 40), attributes present
RAREST = 10
_AT_ONCE = 256  # faces per batch of the classifier
_TRUSTED = 10  # real faces with and without an attribute needed to measure how well it is seen


class Obedient(Protocol):
    """A source whose model takes attributes."""

    def generate(self, n: int, attributes: NDArray[np.integer[Any]] | None = None, start: int = 0) -> Tensor:
        """Faces with these attributes, uint8 (n, 3, H, W)."""

    def edit(
        self, faces: int | Sequence[int] | Tensor, attribute: str, value: int | None = None, *, guided: bool = True
    ) -> Tensor:
        """The same faces with one attribute changed."""

    def attribute_rows(self, n: int, *, start: int = 0) -> NDArray[np.int8]:
        """Requested attributes of faces: int8 (n, 40)."""


@dataclass(frozen=True, slots=True)
class Obeyed:
    """Agreement with requests for one attribute.

    Attributes:
        attribute: name of the attribute.
        prevalence: share of the real rows that have it.
        present: share of the faces requested with it in which the judge sees it.
        absent: share of the faces requested without it in which the judge does not see it.
        trust: balanced accuracy of the judge on real faces.
    """

    attribute: str
    prevalence: float
    present: float
    absent: float
    trust: float

    @property
    def score(self) -> float:
        """Mean of both shares, divided by the judge's accuracy on real faces: 1 is as clear as in real faces."""
        return (self.present + self.absent) / 2 / self.trust


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement with requests for attributes.

    Attributes:
        requests: number of faces requested with each attribute, and of faces requested without it.
        judge: name of the judge.
        obeyed: agreement by attribute, the rarest first.
    """

    requests: int
    judge: str
    obeyed: tuple[Obeyed, ...]

    @property
    def mean(self) -> float:
        """Mean score of all attributes."""
        return float(np.mean([o.score for o in self.obeyed]))

    @property
    def rarest(self) -> float:
        """Mean score of the ten rarest attributes."""
        return float(np.mean([o.score for o in self.obeyed[:RAREST]]))

    def lines(self) -> list[str]:
        """Lines of the summary."""
        worst = sorted(self.obeyed, key=lambda o: o.score)[:3]
        named = ", ".join(f"{o.attribute} {o.score:.2f}" for o in worst)
        text = (
            f"attribute agreement ({self.judge}; 1 is as clear as in real faces): {self.mean:.3f}, "
            f"the {RAREST} rarest {self.rarest:.3f} ({self.requests} faces with and without each; lowest: {named})"
        )
        return [text]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        by_attribute = {
            o.attribute: {
                "present": round(o.present, 4),
                "absent": round(o.absent, 4),
                "judge": round(o.trust, 4),
                "score": round(o.score, 4),
                "prevalence": round(o.prevalence, 4),
            }
            for o in self.obeyed
        }
        return {
            "judge": self.judge,
            "requests": self.requests,
            "mean": round(self.mean, 4),
            "rarest": round(self.rarest, 4),
            "by_attribute": by_attribute,
        }


def measure_agreement(
    source: Obedient,
    judge: Judge,
    rows: NDArray[np.int8],
    trust: NDArray[np.floating],
    *,
    requests: int,
    name: str,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Agreement:
    """Request faces with and without each attribute; the other 39 are those of randomly drawn real rows.

    Args:
        source: source whose model takes attributes.
        judge: classifier of the faces; it must not have taken part in making them.
        rows: int8 (m, 40), attributes of real faces, preferably unseen ones.
        trust: (40,), balanced accuracy of the judge on real faces; attributes it cannot see (NaN) are skipped.
        requests: number of faces with each attribute, and of faces without it.
        name: name of the judge.
        seed: seed of the draws.
        progress: shows how many faces are done.

    Raises:
        ArgumentError: no requests or no rows.
    """
    if requests < 1 or not len(rows):
        raise ArgumentError(f"requests {requests}, {len(rows)} rows: expected at least one of each")
    shares = (rows > 0).mean(axis=0)
    found = []
    columns = [column for column in np.argsort(shares, kind="stable").tolist() if not np.isnan(trust[column])]
    with progress.phase("asking for attributes", 2 * requests * len(columns), "faces") as phase:
        for column in columns:
            hits = []
            for sign in (1, -1):
                draws = stream(seed, index=2 * column + (sign > 0), slot="evaluate/agreement")
                asked = rows[draws.integers(len(rows), size=requests)].copy()
                asked[:, column] = sign
                # Every request uses different faces, so that an odd face does not count 80 times.
                start = requests * (2 * column + (sign > 0))
                seen = judge(source.generate(requests, attributes=asked, start=start).numpy())[:, column]
                hits.append(float((seen == (sign > 0)).mean()))
                phase.advance(requests)
            found.append(Obeyed(ATTRIBUTES[column], float(shares[column]), hits[0], hits[1], float(trust[column])))
    return Agreement(requests, name, tuple(found))


@dataclass(frozen=True, slots=True)
class Edited:
    """Effect of editing one attribute.

    Attributes:
        attribute: name of the attribute.
        changed: share of the faces in which the judge sees the requested value after the edit.
        others: share of the other attributes that the judge sees change too, averaged over faces and attributes.
    """

    attribute: str
    changed: float
    others: float


def measure_edits(
    source: Obedient, judge: Judge, *, n: int, columns: Sequence[int] = range(len(ATTRIBUTES)), guided: bool = True
) -> tuple[Edited, ...]:
    """Invert each attribute of faces 0 to n - 1 and measure what changes; ``guided`` as in ``edit``."""
    asked = source.attribute_rows(n)
    before = judge(source.generate(n).numpy())
    found = []
    for column in columns:
        after = judge(source.edit(range(n), ATTRIBUTES[column], guided=guided).numpy())
        wanted = asked[:, column] <= 0
        others = np.delete(before != after, column, axis=1)
        found.append(Edited(ATTRIBUTES[column], float((after[:, column] == wanted).mean()), float(others.mean())))
    return tuple(found)


def judge_trust(judge: Judge, faces: NDArray[np.uint8], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Balanced accuracy of a judge on real faces: float64 (40,), NaN if all labels of an attribute are the same."""
    return trust_of(judge(faces), labels)


def trust_of(answers: NDArray[np.bool_], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Balanced accuracy of given answers; see ``judge_trust``."""
    return np.array([balanced_accuracy(a, y) for a, y in zip(answers.T, labels.T, strict=True)])


@dataclass(frozen=True, slots=True)
class Shown:
    """Frequency of one attribute.

    Attributes:
        attribute: name of the attribute.
        generated: share of the generated faces in which the classifier sees it.
        real: share of the real faces in which the same classifier sees it.
    """

    attribute: str
    generated: float
    real: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Frequencies of attributes in generated and real faces.

    Attributes:
        n: number of generated faces.
        real_n: number of real faces.
        judge: name of the judge.
        shown: frequency by attribute, the largest difference first.
    """

    n: int
    real_n: int
    judge: str
    shown: tuple[Shown, ...]

    @property
    def mean_gap(self) -> float:
        """Mean absolute difference of the shares."""
        return float(np.mean([abs(s.generated - s.real) for s in self.shown]))

    def lines(self) -> list[str]:
        """Lines of the summary."""
        named = ", ".join(f"{s.attribute} {s.generated:.0%} (real {s.real:.0%})" for s in self.shown[:4])
        gap = f"on average {self.mean_gap:.1%} from real faces"
        return [f"attributes seen by {self.judge}: {gap}; largest differences: {named}"]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        shares = {s.attribute: {"generated": round(s.generated, 4), "real": round(s.real, 4)} for s in self.shown}
        return {
            "judge": self.judge,
            "n": self.n,
            "real_n": self.real_n,
            "mean_gap": round(self.mean_gap, 4),
            "by_attribute": shares,
        }


def compare_distributions(
    generated: NDArray[np.floating], real: NDArray[np.floating], attributes: Sequence[str], *, judge: str
) -> Distribution:
    """Compare the frequencies of attributes by a classifier's probabilities.

    Args:
        generated: (n, a), probabilities for generated faces.
        real: (m, a), probabilities for real faces by the same classifier, whose errors affect both sides.
        attributes: names of the columns.
        judge: name of the classifier.
    """
    shares = [(x > 0.5).mean(axis=0) for x in (generated, real)]
    shown = [Shown(name, float(a), float(b)) for name, a, b in zip(attributes, *shares, strict=True)]
    shown.sort(key=lambda s: -abs(s.generated - s.real))
    return Distribution(len(generated), len(real), judge, tuple(shown))


@dataclass(frozen=True, slots=True)
class AttributeCheck:
    """A classifier's findings on the attributes of a model's faces.

    Attributes:
        distribution: frequencies compared with real faces.
        agreement: agreement with requests; None for a model that takes none, or without labelled real faces.
    """

    distribution: Distribution
    agreement: Agreement | None

    def lines(self) -> list[str]:
        """Lines of the summary."""
        return [*self.distribution.lines(), *([] if self.agreement is None else self.agreement.lines())]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        agreement = None if self.agreement is None else self.agreement.to_json()
        return {"distribution": self.distribution.to_json(), "agreement": agreement}


def check_attributes(
    source: SyntheticFaceSource | None,
    generated: NDArray[np.uint8],
    real: NDArray[np.uint8],
    labels: NDArray[np.int8],
    *,
    requests: int,
    seed: int,
    progress: Progress = SILENT,
) -> AttributeCheck:
    """Compare the attributes of generated and real faces with the bundled classifier.

    Args:
        source: source of the generated faces; None if they have none, and then there are no requests.
        generated: uint8 (n, 3, H, W).
        real: uint8 (m, 3, H, W), preferably unseen faces.
        labels: int8 (m, 40), attributes of the real faces.
        requests: number of faces requested with each attribute, and without it; 0 skips this test.
        seed: seed of the requests.
        progress: shows the phases.
    """
    eye = load_classifier()
    name = eye.config.name
    with progress.phase("looking for attributes", len(real) + len(generated), "faces") as phase:
        logits, seen = (
            np.concatenate([eye.logits(part) for part in _counted(faces, phase)]) for faces in (real, generated)
        )
    shown = compare_distributions(eye.as_probabilities(seen), eye.as_probabilities(logits), eye.attributes, judge=name)
    known = (labels != 0).all(axis=1)
    if source is None or not (requests and source.config.attributes and known.any()):
        return AttributeCheck(shown, None)
    labels = labels[known]
    trust = trust_of(logits[known] > 0, labels)
    few = np.minimum((labels > 0).sum(axis=0), (labels < 0).sum(axis=0)) < _TRUSTED
    trust[few] = np.nan
    if np.isnan(trust).all():
        return AttributeCheck(shown, None)

    def judge(faces: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Whether the classifier sees each attribute: bool (n, 40)."""
        answers: NDArray[np.bool_] = eye.logits(faces) > 0
        return answers

    found = measure_agreement(source, judge, labels, trust, requests=requests, name=name, seed=seed, progress=progress)
    return AttributeCheck(shown, found)


def _counted(faces: NDArray[np.uint8], phase: Phase) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(faces), _AT_ONCE):
        part = faces[start : start + _AT_ONCE]
        yield part
        phase.advance(len(part))
