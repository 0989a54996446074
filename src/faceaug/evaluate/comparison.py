"""The comparison of evaluated faces with real ones: features once, then figures, controls and pictures for a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Crop
from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8
from faceaug.draws import permutation
from faceaug.errors import FaceAugError, printable
from faceaug.evaluate.agreement import AttributeCheck, check_attributes
from faceaug.evaluate.copies import as_picture, find_copies
from faceaug.evaluate.evaluated import EvaluatedFaces
from faceaug.evaluate.features import Extractor, Features, describe, unvaried
from faceaug.evaluate.kernel import kernel_distance
from faceaug.evaluate.neighbours import Balls, Meeting, meet, surround
from faceaug.evaluate.real import Pixels, RealSets
from faceaug.evaluate.report import EvaluationReport, FaceNames, Figures, Memorisation, Pictures, Subject
from faceaug.progress import Progress
from faceaug.progress.phases import Phase
from faceaug.synthesize.frechet import Statistics, feature_statistics, frechet_distance

_RANDOM, _WORST, _CLOSEST = 100, 16, 16  # faces on the sheets of the page
_WORTH_TELLING = 0.01  # share of constant features; efficientnet-lite0 always has a few


@dataclass(eq=False)
class _Set:
    """Faces of one kind, with values that are computed once."""

    kind: str
    features: Features

    @cached_property
    def statistics(self) -> Statistics:
        """Mean and covariance of the features, computed once."""
        return feature_statistics(self.features)

    @cached_property
    def balls(self) -> Balls:
        """The neighbourhoods of the features, computed once."""
        return surround(self.features)


class Comparison:
    """The evaluated faces and real ones with their features, and the reports that they give.

    Args:
        evaluated: the faces to judge.
        folder: folder of the real faces.
        real: real faces of that folder.
        eye: extractor of the features.
        names: what the kinds of faces are called.
        crop: crop of the real faces.
        seed: seed of all draws.
        progress: shows the phases.
    """

    def __init__(
        self,
        evaluated: EvaluatedFaces,
        folder: FaceFolder,
        real: RealSets,
        eye: Extractor,
        *,
        names: FaceNames,
        crop: Crop,
        seed: int,
        progress: Progress,
    ) -> None:
        self.evaluated = evaluated
        self.faces = evaluated.pixels
        self.folder = folder
        self.real = real
        self.eye = eye
        self.names = names
        self.crop = crop
        self.seed = seed
        self._progress = progress
        total = len(real.training) + len(self.faces) + (0 if real.unseen is None else len(real.unseen))
        with progress.phase("describing", total, "faces") as phase:
            self.training = _Set(names.reference, describe(eye, real.training, phase.advance))
            self.generated = _Set(names.evaluated, describe(eye, self.faces, phase.advance))
            self.unseen: _Set | None = None
            if real.unseen is not None:
                self.unseen = _Set(names.control, describe(eye, real.unseen, phase.advance))
        self._sets = [s for s in (self.generated, self.training, self.unseen) if s is not None]
        widths = {s.features.shape[1] for s in self._sets}
        if len(widths) > 1:
            counts = " and ".join(map(str, sorted(widths)))
            raise FaceAugError(f"extractor {eye.name}: made {counts} features; expected the same number for all faces")
        self.constant = unvaried([s.features for s in self._sets])
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
            notes=(*self._remarks(), *self._notes()),
            unreadable=(*self.evaluated.unreadable, *self.real.unreadable),
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
            notes=self._remarks(),
            unreadable=(*self.evaluated.unreadable, *self.real.unreadable),
            pictures=self._pictures(met, met_unseen, memorisation),
        )

    def _parts(self) -> tuple[_Set, _Set]:
        """Split the training faces: as many as were generated, at most half, and all others."""
        order = permutation(len(self.training.features), self.seed, slot="evaluate/halves")
        count = min(len(self.faces), len(order) // 2)
        part, rest = (np.sort(rows) for rows in (order[:count], order[count:]))
        features = self.training.features
        return _Set(self.names.reference, features[part]), _Set(f"other {self.names.reference}", features[rest])

    def _compare(self, of: _Set, against: _Set, phase: Phase) -> tuple[Meeting, Figures]:
        met = meet(of.balls, against.balls)
        phase.advance()
        frechet = max(0.0, frechet_distance(of.statistics, against.statistics))  # rounding may make it negative
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

    def _remarks(self) -> tuple[str, ...]:
        """Notes on the faces and their features."""
        return (*_constancy(self.constant, self._sets, self.eye), *self.evaluated.notes, *self.real.notes)

    def _notes(self) -> list[str]:
        """Notes on the figures."""
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
                f"a control has fewer faces ({min(controls):,}) than there are {self.names.evaluated} ({n:,}), which "
                "by itself lowers its recall and coverage"
            )
        return notes

    def _attributes(self, requests: int) -> AttributeCheck:
        real = self.real.training if self.real.unseen is None else self.real.unseen
        rows = self.real.rows if self.real.unseen is None else self.real.unseen_rows
        chosen = np.sort(permutation(len(real), self.seed, slot="evaluate/attributes")[: len(self.faces)])
        labels = self.folder.annotations.attributes[rows[chosen]]
        return check_attributes(
            self.evaluated.source,
            self.faces,
            real[chosen],
            labels,
            requests=requests,
            seed=self.seed,
            progress=self._progress,
        )

    def _memorisation(self, met: Meeting, unseen: Meeting | None) -> Memorisation:
        own = self.training.balls
        search = find_copies(self.faces, self.real.training, self.real.unseen, self._progress)
        rows = self.real.rows[np.array([copy.row for copy in search.copies], np.int64)]
        names = [self.folder.path(row).relative_to(self.folder.root) for row in rows.tolist()]
        found = zip(search.copies, names, strict=True)
        return Memorisation(
            distance=float(np.median(met.distance)),
            unseen_distance=None if unseen is None else float(np.median(unseen.distance)),
            closer=None if unseen is None else float((met.distance < np.quantile(unseen.distance, 0.01)).mean()),
            authenticity=met.authenticity(own),
            unseen_authenticity=None if unseen is None else unseen.authenticity(own),
            search=search,
            copies=tuple((copy.face, printable(name), copy.mirrored) for copy, name in found),
            files=tuple(self.evaluated.files[copy.face] for copy in search.copies if self.evaluated.files),
        )

    def _pictures(self, met: Meeting, unseen: Meeting | None, memorisation: Memorisation) -> Pictures:
        training = self.real.training
        shown = np.sort(permutation(len(self.faces), self.seed, slot="evaluate/sheet")[:_RANDOM])
        pairs = [
            (as_picture(self.faces[c.face]), as_picture(training[c.row])) for c in memorisation.search.copies[:_WORST]
        ]
        return Pictures(
            random=tuple(as_picture(self.faces[k]) for k in shown),
            worst=tuple(as_picture(self.faces[k]) for k in np.argsort(met.realism, kind="stable")[:_WORST]),
            closest=_closest(self.faces, training, met),
            unseen_closest=_closest(self.real.unseen, training, unseen),
            copies=tuple(pairs),
            distances=met.distance,
            unseen_distances=np.empty(0) if unseen is None else unseen.distance,
        )

    def _subject(self) -> Subject:
        made = self.evaluated
        return Subject(
            model=made.name,
            sha256="" if made.source is None else made.source.config.sha256,
            seed=made.seed,
            n=len(self.faces),
            size=self.faces.shape[-1],
            crop=self.crop,
            folder=printable(self.folder.root),
            partition=self.real.partition,
            against=self.real.against,
            extractor=self.eye.label,
            dimension=self.training.features.shape[1],
            frechet_name=self.eye.frechet_name,
            kernel_name=self.eye.kernel_name,
            extractor_resizing=self.eye.resizing,
            constant=int(self.constant.sum()),
            source="" if made.folder is None else printable(made.folder),
            names=self.names,
        )


def _constancy(constant: NDArray[np.bool_], sets: Sequence[_Set], eye: Extractor) -> list[str]:
    """Notes on features that are the same for every face."""
    if constant.all():
        what = f"all {len(constant):,} features of {eye.name} are the same for every face"
        return [f"{what}: it does not tell faces apart, so these figures mean nothing; check its weights and its input"]
    alike = [s.kind for s in sets if unvaried([s.features]).all()]
    notes = [f"{eye.name} makes the same features of all {kind}: they are one picture, or nearly so" for kind in alike]
    if constant.mean() >= _WORTH_TELLING:
        count = f"{constant.sum():,} of {len(constant):,} features of {eye.name}"
        notes.append(f"{count} are the same for every face and add nothing")
    return notes


def _closest(faces: Pixels | None, training: Pixels, met: Meeting | None) -> tuple[tuple[Image8, Image8, float], ...]:
    if faces is None or met is None:
        return ()
    order = np.argsort(met.distance, kind="stable")[:_CLOSEST]
    return tuple((as_picture(faces[k]), as_picture(training[met.nearest[k]]), float(met.distance[k])) for k in order)
