"""evaluate_source: figures and controls for the faces of a generator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8
from faceaug.draws import check_seed, permutation
from faceaug.errors import ArgumentError, printable
from faceaug.evaluate.agreement import AttributeCheck, check_attributes
from faceaug.evaluate.copies import find_copies
from faceaug.evaluate.features import CLASSIFIER, DEFAULT_EXTRACTOR, Extractor, Features, describe, open_extractor
from faceaug.evaluate.kernel import kernel_distance
from faceaug.evaluate.neighbours import Balls, Meeting, meet, surround
from faceaug.evaluate.real import LEAST, Pixels, RealSets, choose_real
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
from faceaug.progress import Progress, Show, open_progress
from faceaug.progress.phases import Phase
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.frechet import Statistics, feature_statistics, frechet_distance
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.weights import default_model

REAL = 25_000
REQUESTS = 50
_RANDOM, _WORST, _CLOSEST = 100, 16, 16  # faces on the sheets of the page


def evaluate_source(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    *,
    n: int = 5000,
    extractor: str | Extractor | nn.Module = DEFAULT_EXTRACTOR,
    partition: str | None = None,
    against: str | None = None,
    real: int = REAL,
    seed: int = 0,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
    requests: int = REQUESTS,
    progress: Show = None,
) -> EvaluationReport:
    """Compare generated faces with real ones: fidelity, diversity, attributes and memorisation, with controls.

    Args:
        source: a source, or an argument of ``SyntheticFaceSource.from_pretrained``; None is "faces-64".
        faces: folder of the training faces, cropped and resized as the model's config says.
        n: number of generated faces, the first of the stream; at least 10.
        extractor: "efficientnet-lite0", "inception", "attributes-64", a torch module or an ``Extractor``; see
            ``faceaug.evaluate.open_extractor``.
        partition: rows the model may have been trained on: "train", "val", "test" or "all"; None is the train rows if a
            table marks any, else all.
        against: unseen rows for the controls; None is the val rows, or the test rows if there are fewer than 10.
        real: largest number of training faces, and of unseen faces, drawn at random.
        seed: seed of the draws, and of the faces if ``source`` is not a source yet.
        weights: file with the extractor's weights, if they are not bundled.
        download: whether models and weights may be downloaded.
        device: device of the model and the named extractors; the CPU by default.
        requests: number of faces requested with each attribute, and without it, from a model that takes attributes; 0
            skips this test.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

    Raises:
        ArgumentError: n < 10, an unknown model, partition or extractor, or one that is not installed.
        RefusedError: fewer than 10 real faces.
        WeightsError: the model is damaged.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import evaluate_source
        >>> Path("faces").mkdir()
        >>> for k, face in enumerate(np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)):
        ...     Image.fromarray(face).save(f"faces/{k}.png")
        >>> report = evaluate_source("dcgan-32", "faces", n=20, extractor="attributes-64", progress=False)
        >>> len(report.memorisation.copies)
        0
    """
    return _prepared(
        source,
        faces,
        n=n,
        extractor=extractor,
        partition=partition,
        against=against,
        real=real,
        seed=seed,
        weights=weights,
        download=download,
        device=device,
        progress=progress,
    ).report(requests)


def evaluate_memorisation(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    *,
    n: int = 5000,
    extractor: str | Extractor | nn.Module = CLASSIFIER,
    partition: str | None = None,
    against: str | None = None,
    real: int = REAL,
    seed: int = 0,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
    progress: Show = None,
) -> EvaluationReport:
    """Test whether generated faces copy training faces: the memorisation part of ``evaluate_source``.

    Every generated face is compared with its nearest training face by features of the bundled classifier, which needs
    no extra; unseen real faces are the control. Copies are found by perceptual hash and verified as in cleaning.

    The arguments are those of ``evaluate_source``.

    Returns:
        A report without fidelity figures.
    """
    return _prepared(
        source,
        faces,
        n=n,
        extractor=extractor,
        partition=partition,
        against=against,
        real=real,
        seed=seed,
        weights=weights,
        download=download,
        device=device,
        progress=progress,
    ).audit()


def _prepared(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    *,
    n: int,
    extractor: str | Extractor | nn.Module,
    partition: str | None,
    against: str | None,
    real: int,
    seed: int,
    weights: str | Path | None,
    download: bool,
    device: str | torch.device | None,
    progress: Show,
) -> _Evaluation:
    """Generate and read the faces, and compute their features."""
    if n < LEAST or real < LEAST:
        raise ArgumentError(f"n {n}, real {real}: expected at least {LEAST} faces of each")
    check_seed(seed)
    shown = open_progress(progress)
    if not isinstance(source, SyntheticFaceSource):
        source = SyntheticFaceSource.from_pretrained(
            default_model() if source is None else source, download=download, n=n, seed=seed, device=device
        )
    eye = open_extractor(extractor, weights=weights, download=download, device=device)
    folder = faces if isinstance(faces, FaceFolder) else FaceFolder(faces)
    chosen = choose_real(folder, source, partition=partition, against=against, real=real, seed=seed, progress=shown)
    generated = np.empty((n, 3, source.config.size, source.config.size), np.uint8)
    with shown.phase("generating", n, "faces") as phase:
        for start in range(0, n, BLOCK):
            block = source.generate(min(BLOCK, n - start), start=start)
            generated[start : start + len(block)] = block.numpy()
            phase.advance(len(block))
    return _Evaluation(source, folder, eye, chosen, generated, seed, shown)


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


class _Evaluation:
    def __init__(
        self,
        source: SyntheticFaceSource,
        folder: FaceFolder,
        eye: Extractor,
        real: RealSets,
        generated: Pixels,
        seed: int,
        progress: Progress,
    ) -> None:
        self.source = source
        self.folder = folder
        self.eye = eye
        self.real = real
        self.faces = generated
        self.seed = seed
        self._progress = progress
        total = len(real.training) + len(generated) + (0 if real.unseen is None else len(real.unseen))
        with progress.phase("describing", total, "faces") as phase:
            self.training = _Set(TRAINING, describe(eye, real.training, phase.advance))
            self.generated = _Set(GENERATED, describe(eye, generated, phase.advance))
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
