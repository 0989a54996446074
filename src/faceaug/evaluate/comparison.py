"""The comparison of candidates with real faces: features once, then the figures, controls and pictures of a report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8
from faceaug.draws import permutation
from faceaug.errors import printable
from faceaug.evaluate.agreement import AttributeCheck, check_attributes
from faceaug.evaluate.candidates import Candidates
from faceaug.evaluate.copies import find_copies
from faceaug.evaluate.features import Extractor, Features, describe
from faceaug.evaluate.kernel import kernel_distance
from faceaug.evaluate.neighbours import Balls, Meeting, meet, surround
from faceaug.evaluate.real import Pixels, RealSets
from faceaug.evaluate.report import (
    GENERATED,
    TRAINING,
    UNSEEN,
    EvaluationReport,
    Figures,
    Memorisation,
    Pictures,
    Subject,
)
from faceaug.progress import Progress
from faceaug.progress.phases import Phase
from faceaug.synthesize.frechet import Statistics, feature_statistics, frechet_distance

_RANDOM, _WORST, _CLOSEST = 100, 16, 16  # faces on the sheets of the page


@dataclass(eq=False)
class _Set:
    """Faces of one kind, with values that are computed once."""

    kind: str
    features: Features

    @cached_property
    def statistics(self) -> Statistics:
        return feature_statistics(self.features)

    @cached_property
    def balls(self) -> Balls:
        return surround(self.features)


class Comparison:
    """Candidates and real faces with their features, and the reports that they give.

    Args:
        candidates: the faces to judge.
        folder: folder of the real faces.
        real: real faces of that folder.
        eye: extractor of the features.
        seed: seed of all draws.
        progress: shows the phases.
    """

    def __init__(
        self,
        candidates: Candidates,
        folder: FaceFolder,
        real: RealSets,
        eye: Extractor,
        *,
        seed: int,
        progress: Progress,
    ) -> None:
        self.source = candidates.source
        self.faces = candidates.pixels
        self.folder = folder
        self.real = real
        self.eye = eye
        self.seed = seed
        self._progress = progress
        total = len(real.training) + len(self.faces) + (0 if real.unseen is None else len(real.unseen))
        with progress.phase("describing", total, "faces") as phase:
            self.training = _Set(TRAINING, describe(eye, real.training, phase.advance))
            self.generated = _Set(GENERATED, describe(eye, self.faces, phase.advance))
            self.unseen = None if real.unseen is None else _Set(UNSEEN, describe(eye, real.unseen, phase.advance))
        self.part, self.rest = self._parts()

    def report(self, requests: int) -> EvaluationReport:
        """The whole evaluation, in the order of the report."""
        with self._progress.phase("comparing", 3 * (2 if self.unseen is None else 5), "figures") as phase:
            met, figures = self._compare(self.generated, self.training, phase)
            met_unseen = None
            lines = [figures]
            if self.unseen is not None:
                met_unseen, figures = self._compare(self.unseen, self.training, phase)
                lines.append(figures)
            lines.append(self._compare(self.part, self.rest, phase)[1])
            if self.unseen is not None:
                lines += [self._compare(x, self.unseen, phase)[1] for x in (self.generated, self.part)]
        attributes = self._attributes(requests)
        memorisation = self._memorisation(met, met_unseen)
        return EvaluationReport(
            subject=self._subject(),
            figures=tuple(lines),
            memorisation=memorisation,
            attributes=attributes,
            notes=(*self.real.notes, *self._notes()),
            unreadable=self.real.unreadable,
            pictures=self._pictures(met, met_unseen, memorisation),
        )

    def audit(self) -> EvaluationReport:
        """Only the test for memorisation."""
        sets = [self.generated] if self.unseen is None else [self.generated, self.unseen]
        with self._progress.phase("looking for neighbours", len(sets), "kinds of faces") as phase:
            met, *others = [meet(of.balls, self.training.balls) for of in phase.over(sets)]
        met_unseen = others[0] if others else None
        memorisation = self._memorisation(met, met_unseen)
        return EvaluationReport(
            subject=self._subject(),
            figures=(),
            memorisation=memorisation,
            notes=self.real.notes,
            unreadable=self.real.unreadable,
            pictures=self._pictures(met, met_unseen, memorisation),
        )

    def _parts(self) -> tuple[_Set, _Set]:
        """Split the training faces: as many as were generated, at most half, and all others."""
        order = permutation(len(self.training.features), self.seed, slot="evaluate/halves")
        count = min(len(self.faces), len(order) // 2)
        part, rest = (np.sort(rows) for rows in (order[:count], order[count:]))
        return _Set(TRAINING, self.training.features[part]), _Set(f"other {TRAINING}", self.training.features[rest])

    def _compare(self, of: _Set, against: _Set, phase: Phase) -> tuple[Meeting, Figures]:
        met = meet(of.balls, against.balls)
        phase.advance()
        frechet = frechet_distance(of.statistics, against.statistics)
        phase.advance()
        figures = Figures(
            of=of.kind,
            n=len(of.features),
            against=against.kind,
            reference_n=len(against.features),
            control=of is not self.generated,
            frechet=frechet,
            kernel=kernel_distance(of.features, against.features, seed=self.seed),
            precision=met.precision,
            recall=met.recall,
            density=met.density,
            coverage=met.coverage,
        )
        phase.advance()
        return met, figures

    def _notes(self) -> list[str]:
        n = len(self.faces)
        dimension = self.training.features.shape[1]
        notes = []
        smallest = min(len(s.features) for s in (self.generated, self.training, self.unseen or self.training))
        if smallest <= dimension:
            notes.append(
                f"{smallest:,} faces are fewer than the {dimension:,} features, so {self.eye.frechet_name} is biased "
                "upwards; compare it only with figures of the same n. The kernel distance does not depend on n"
            )
        controls = [len(self.part.features), *([] if self.unseen is None else [len(self.unseen.features)])]
        if min(controls) < n:
            notes.append(
                f"a control has fewer faces than were generated ({min(controls):,} and {n:,}), which by itself lowers "
                "its recall and coverage"
            )
        return notes

    def _attributes(self, requests: int) -> AttributeCheck:
        real = self.real.training if self.real.unseen is None else self.real.unseen
        rows = self.real.rows if self.real.unseen is None else self.real.unseen_rows
        some = np.sort(permutation(len(real), self.seed, slot="evaluate/attributes")[: len(self.faces)])
        labels = self.folder.annotations.attributes[rows[some]]
        return check_attributes(
            self.source, self.faces, real[some], labels, requests=requests, seed=self.seed, progress=self._progress
        )

    def _memorisation(self, met: Meeting, unseen: Meeting | None) -> Memorisation:
        own = self.training.balls.nearest
        search = find_copies(self.faces, self.real.training, self.real.unseen, self._progress)
        rows = self.real.rows[np.array([copy.row for copy in search.copies], np.int64)]
        names = [self.folder.path(row).relative_to(self.folder.root) for row in rows.tolist()]
        found = zip(search.copies, names, strict=True)
        return Memorisation(
            distance=float(np.median(met.distance)),
            unseen_distance=None if unseen is None else float(np.median(unseen.distance)),
            closer=None if unseen is None else float((met.distance < np.quantile(unseen.distance, 0.01)).mean()),
            authenticity=_authenticity(met, own),
            unseen_authenticity=None if unseen is None else _authenticity(unseen, own),
            search=search,
            copies=tuple((copy.face, printable(name), copy.mirrored) for copy, name in found),
        )

    def _pictures(self, met: Meeting, unseen: Meeting | None, memorisation: Memorisation) -> Pictures:
        training = self.real.training
        shown = np.sort(permutation(len(self.faces), self.seed, slot="evaluate/sheet")[:_RANDOM])
        pairs = [(_image(self.faces[c.face]), _image(training[c.row])) for c in memorisation.search.copies[:_WORST]]
        return Pictures(
            random=tuple(_image(self.faces[k]) for k in shown),
            worst=tuple(_image(self.faces[k]) for k in np.argsort(met.realism, kind="stable")[:_WORST]),
            closest=_closest(self.faces, training, met),
            unseen_closest=_closest(self.real.unseen, training, unseen),
            copies=tuple(pairs),
            distances=met.distance,
            unseen_distances=np.empty(0) if unseen is None else unseen.distance,
        )

    def _subject(self) -> Subject:
        config = self.source.config
        return Subject(
            model=config.name,
            sha256=config.sha256,
            seed=self.source.seed,
            n=len(self.faces),
            size=config.size,
            crop=config.crop,
            folder=printable(self.folder.root),
            partition=self.real.partition,
            against=self.real.against,
            extractor=self.eye.label,
            dimension=self.training.features.shape[1],
            frechet_name=self.eye.frechet_name,
            kernel_name=self.eye.kernel_name,
        )


def _authenticity(met: Meeting, own: NDArray[np.float64]) -> float:
    return float((met.distance > own[met.nearest]).mean())


def _closest(faces: Pixels | None, training: Pixels, met: Meeting | None) -> tuple[tuple[Image8, Image8, float], ...]:
    if faces is None or met is None:
        return ()
    order = np.argsort(met.distance, kind="stable")[:_CLOSEST]
    return tuple((_image(faces[k]), _image(training[met.nearest[k]]), float(met.distance[k])) for k in order)


def _image(face: Pixels) -> Image8:
    return np.ascontiguousarray(face.transpose(1, 2, 0))
