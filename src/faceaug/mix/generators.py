"""Where synthetic faces come from, and what they are held against."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.data.crop import Crop
from faceaug.errors import ArgumentError, some
from faceaug.executor import open_executor
from faceaug.mix.filter import Agreement, AttributeClassifier, FaceFilter, RealSide
from faceaug.mix.pictures import hash_some, small_picture
from faceaug.mix.plan import Plan
from faceaug.mix.real import RealFaces
from faceaug.mix.synthetic import Part, Patterns, SyntheticFaces
from faceaug.progress import SILENT, Progress
from faceaug.synthesize.classifier import BUNDLED_CLASSIFIERS, DEFAULT_CLASSIFIER, load_classifier
from faceaug.synthesize.source import SyntheticFaceSource

ModelLike: TypeAlias = "SyntheticFaceSource | str | Path"
_SAMPLE = 3_000  # real faces that say what is likely
_HASHED = 256  # real faces hashed by one task
_FEW = 1_500  # real faces that are hashed sooner than processes have started


@dataclass(frozen=True, slots=True, eq=False)
class Generators:
    """One generator, or one for each class.

    Attributes:
        sources: (label, generator); a single one has label -1.
    """

    sources: tuple[tuple[int, SyntheticFaceSource], ...]

    @property
    def name(self) -> str:
        """Of the model, or of the first."""
        return self.sources[0][1].config.name

    @property
    def size(self) -> int:
        """Side of the faces, pixels."""
        return self.sources[0][1].config.size

    @property
    def crop(self) -> Crop:
        """How real faces beside them are cut."""
        return self.sources[0][1].config.crop

    @property
    def asks(self) -> bool:
        """Whether a generator asks for attributes by itself."""
        return any(source.asked for _, source in self.sources)

    def can_be_asked(self, *, balanced: bool, filtered: bool) -> bool:
        """Whether every face can be asked for attributes of its own.

        A model that obeys them can; one that obeys none can where faces are chosen from its stream, which takes the
        filter, and pays for few attributes only: the balanced ones.
        """
        if len(self.sources) > 1:
            return False
        source = self.sources[0][1]
        if balanced and source.asked:
            raise ArgumentError(
                f"source: asks for {some(list(source.asked))} itself, and balance asks each face for its own: give "
                "one of the two"
            )
        chosen = (balanced or bool(source.asked)) and filtered and source.chooses and has_classifier()
        return takes_attributes(source) or chosen

    def made_with(self, *, asked: bool) -> dict[str, Any]:
        """What the faces depend on, as JSON data.

        Args:
            asked: whether they are asked for attributes.
        """
        one = self.sources[0][1]
        found: dict[str, Any] = {"model": one.config.name, "model_sha256": one.config.sha256, "model_seed": one.seed}
        if one.truncation is not None:
            found["truncation"] = one.truncation
        if one.precision != "fp32":
            found["precision"] = one.precision
        if asked:
            found |= {"classifier_sha256": BUNDLED_CLASSIFIERS.get(DEFAULT_CLASSIFIER, "")}
        if one.asked:
            found["attributes"] = one.asked
        if one.config.attributes:
            found["strength"] = one.strength
        if len(self.sources) > 1:
            found["models"] = [[label, s.config.name, s.config.sha256, s.seed] for label, s in self.sources]
        return found

    def make(
        self,
        real: RealFaces,
        plan: Plan,
        wanted: Mapping[str, float],
        *,
        crop: Crop,
        filtered: bool,
        hashes: Mapping[int, int] | None,
        progress: Progress = SILENT,
    ) -> SyntheticFaces:
        """Make the synthetic faces of a plan.

        Args:
            real: the real faces.
            plan: how many, and what they are asked for.
            wanted: the balanced attributes.
            crop: how the real faces are cut.
            filtered: hold them against the real faces.
            hashes: of the real faces by row, where they are known.
            progress: shows how many are read and made.
        """
        parts = self._parts(real, plan, wanted)
        if not filtered:
            return SyntheticFaces(parts, sieve=None, progress=progress)
        side = real_side(real, plan.used, crop, self.size, hashes, progress)
        classifier = open_classifier() if len(plan.patterns) else None
        columns = self._columns(wanted)
        agreement = None if classifier is None else Agreement(classifier, columns, side)
        return SyntheticFaces(parts, sieve=partial(FaceFilter, side, agreement), progress=progress)

    def requested(self, wanted: Mapping[str, float]) -> tuple[str, ...]:
        """The attributes that faces which are asked for some are asked for."""
        if takes_attributes(self.sources[0][1]):
            return ATTRIBUTES
        return tuple(ATTRIBUTES[column] for column in sorted(self._columns(wanted)))

    def _columns(self, wanted: Mapping[str, float]) -> list[int]:
        """The attributes that a face must have as it was asked."""
        return [attribute_index(name) for name in (wanted or self.sources[0][1].asked)]

    def _parts(self, real: RealFaces, plan: Plan, wanted: Mapping[str, float]) -> list[Part]:
        if len(plan.patterns):
            source = self.sources[0][1]
            patterns = _asked_alike(source, plan.synthetic) if source.asked else _patterns(real, plan, wanted)
            columns = None if takes_attributes(source) else self._columns(wanted)
            return [Part(source, plan.synthetic, patterns=patterns, columns=columns)]
        labels = real.annotations.label[plan.used]
        sizes = [int((labels == label).sum()) if label >= 0 else 1 for label, _ in self.sources]
        if not sum(sizes):
            raise ArgumentError("source: none of its classes has a picture among the rows used")
        ends = np.rint(np.cumsum(sizes) * plan.synthetic / sum(sizes)).astype(int).tolist()
        counts = np.diff(ends, prepend=0).tolist()
        return [Part(s, n, label) for (label, s), n in zip(self.sources, counts, strict=True) if n]


def open_generators(source: ModelLike | Mapping[str, ModelLike], seed: int, *, classes: Sequence[str]) -> Generators:
    """The generators that were asked for.

    Args:
        source: see ``expand_dataset``.
        seed: of those that have none.
        classes: of the folder.

    Raises:
        ArgumentError: an unknown model or class, or models that do not fit together.
    """
    if not isinstance(source, Mapping):
        if classes:
            warnings.warn(
                f"the faces have classes ({some(list(classes))}), and those of one model belong to none: they get "
                "label -1. A model for each class (source={...}, --model CLASS=MODEL) gives others",
                stacklevel=5,
            )
        return Generators(((-1, _opened(source, seed)),))
    absent = [name for name in source if name not in classes]
    if absent or not source:
        raise ArgumentError(
            f"source: no class {some(absent)} in this folder; its classes are {', '.join(classes) or 'none'}"
        )
    opened = tuple((classes.index(name), _opened(model, seed)) for name, model in sorted(source.items()))
    if len({(s.config.size, s.config.crop) for _, s in opened}) > 1:
        raise ArgumentError("source: the models differ in size or crop; train them alike")
    return Generators(opened)


def takes_attributes(source: SyntheticFaceSource) -> bool:
    """Whether a generator can be asked for attributes."""
    return bool(source.config.attributes)


def has_classifier() -> bool:
    """Whether a classifier of attributes is part of this installation."""
    return DEFAULT_CLASSIFIER in BUNDLED_CLASSIFIERS


def open_classifier() -> AttributeClassifier | None:
    """The bundled classifier of attributes; None, with a warning, where it is not part of this installation."""
    if not has_classifier():
        warnings.warn("no attribute classifier: synthetic faces are labelled as asked for, unchecked", stacklevel=4)
        return None
    return load_classifier()


def real_side(
    real: RealFaces,
    rows: NDArray[np.int64],
    crop: Crop,
    side: int,
    hashes: Mapping[int, int] | None = None,
    progress: Progress = SILENT,
) -> RealSide:
    """The real faces as synthetic ones are held against them.

    Args:
        real: all of them.
        rows: those used.
        crop: how to cut.
        side: pixels of the result.
        hashes: by row, where they are known.
        progress: shows how many are read, where they are not.
    """
    if hashes is None:
        hashes = _hash_rows(real, rows, crop, side, progress)
    known = np.array([row for row in rows.tolist() if row in hashes], np.int64)
    words = np.array([hashes[row] for row in known.tolist()], np.uint64)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(int))]
    with progress.phase("sampling", len(chosen), "pictures") as phase:
        sample = {row: small_picture(real, row, crop, side) for row in phase.over(chosen.tolist())}
    pictures = {row: image for row, image in sample.items() if image is not None}
    empty = np.empty((0, side, side, 3), np.uint8)
    return RealSide(
        hashes=words,
        picture=lambda place: small_picture(real, int(known[place]), crop, side),
        sample=np.stack(list(pictures.values())) if pictures else empty,
        attributes=real.annotations.attributes[list(pictures)],
    )


def _opened(model: ModelLike, seed: int) -> SyntheticFaceSource:
    return model if isinstance(model, SyntheticFaceSource) else SyntheticFaceSource(model, seed=seed)


def _patterns(real: RealFaces, plan: Plan, wanted: Mapping[str, float]) -> Patterns:
    known = real.annotations.attributes
    columns = [attribute_index(name) for name in wanted]
    values = known[plan.used][:, columns]
    _, groups = np.unique(values, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    pools = [plan.used[groups == g] for g in range(int(groups.max()) + 1)]
    of_row = dict(zip(plan.used.tolist(), groups.tolist(), strict=True))
    return Patterns(known, plan.patterns, [pools[of_row[row]] for row in plan.patterns.tolist()])


def _asked_alike(source: SyntheticFaceSource, n: int) -> Patterns:
    """What the source itself asks for; a face that is left out is followed by one that is told what another one was."""
    everyone = np.arange(n)
    return Patterns(source.attribute_rows(n), everyone, [everyone] * n)


def _hash_rows(real: RealFaces, rows: NDArray[np.int64], crop: Crop, side: int, progress: Progress) -> dict[int, int]:
    parts = [rows[start : start + _HASHED].tolist() for start in range(0, len(rows), _HASHED)]
    tasks = [(real.pictures(part), part, crop, side) for part in parts]
    found: dict[int, int] = {}
    alone = not real.are_files or len(rows) <= _FEW
    with (
        open_executor(1 if alone else None, chunk=1) as executor,
        progress.phase("reading", len(rows), "pictures") as phase,
    ):
        for part, result in zip(parts, executor.map(hash_some, tasks), strict=True):
            found |= result
            phase.advance(len(part))
    return found
