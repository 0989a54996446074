"""The generators of synthetic faces and the real faces these are compared with."""

from __future__ import annotations

import hashlib
import json
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
from faceaug.mix.synthetic import Part, Patterns, SyntheticFaces, make_synthetic
from faceaug.progress import SILENT, Progress
from faceaug.synthesize.classifier import BUNDLED_CLASSIFIERS, DEFAULT_CLASSIFIER, load_classifier
from faceaug.synthesize.source import SyntheticFaceSource

ModelLike: TypeAlias = "SyntheticFaceSource | str | Path"
_SAMPLE = 3_000  # real faces that calibrate the filter
_HASHED = 256  # real faces hashed by one task
_FEW = 1_500  # up to this many, hashing real faces takes less time than starting processes


@dataclass(frozen=True, slots=True, eq=False)
class Generators:
    """One generator, or one for each class.

    Attributes:
        sources: (label, generator); a single generator has label -1.
    """

    sources: tuple[tuple[int, SyntheticFaceSource], ...]

    @property
    def name(self) -> str:
        """Name of the first model."""
        return self.sources[0][1].config.name

    @property
    def size(self) -> int:
        """Side of the faces, pixels."""
        return self.sources[0][1].config.size

    @property
    def crop(self) -> Crop:
        """Crop of real faces mixed with the generated ones."""
        return self.sources[0][1].config.crop

    @property
    def asks(self) -> bool:
        """Whether a source requests attributes itself."""
        return any(source.asked for _, source in self.sources)

    def can_be_asked(self, *, balanced: bool, filtered: bool) -> bool:
        """Whether each face can have its own requested attributes.

        This holds for a model that takes attributes. For one that takes none, the classifier selects fitting faces
        from the stream, which needs the filter and is affordable for few attributes only: the balanced ones.

        Raises:
            ArgumentError: both the source and ``balance`` request attributes.
        """
        if len(self.sources) > 1:
            return False
        source = self.sources[0][1]
        if balanced and source.asked:
            raise ArgumentError(
                f"source: asks for {some(list(source.asked))} itself, and balance sets the attributes of each face: "
                "use one of the two"
            )
        chosen = (balanced or bool(source.asked)) and filtered and source.chooses and has_classifier()
        return takes_attributes(source) or chosen

    def made_with(self, *, asked: bool) -> dict[str, Any]:
        """Everything that the faces depend on, as JSON data.

        Args:
            asked: whether attributes are requested for the faces.
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
        configs = [source.config.digest() for _, source in self.sources]
        found["model_config_sha256"] = hashlib.sha256(json.dumps(configs).encode()).hexdigest()
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
            real: real faces.
            plan: number of synthetic faces and their requested attributes.
            wanted: shares of the balanced attributes.
            crop: crop of the real faces.
            filtered: whether to filter faces by comparing them with the real ones.
            hashes: hashes of the real faces by row, if known.
            progress: shows how many faces are read and made.
        """
        parts = self._parts(real, plan, wanted)
        if not filtered:
            return make_synthetic(parts, sieve=None, progress=progress)
        side = real_side(real, plan.used, crop, self.size, hashes, progress)
        classifier = open_classifier() if len(plan.patterns) else None
        columns = self._columns(wanted)
        agreement = None if classifier is None else Agreement(classifier, columns, side)
        return make_synthetic(parts, sieve=partial(FaceFilter, side, agreement), progress=progress)

    def requested(self, wanted: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the attributes that can be requested for a face."""
        if takes_attributes(self.sources[0][1]):
            return ATTRIBUTES
        return tuple(ATTRIBUTES[column] for column in sorted(self._columns(wanted)))

    def _columns(self, wanted: Mapping[str, float]) -> list[int]:
        """Columns of the attributes in which a face must agree with its request."""
        return [attribute_index(name) for name in (wanted or self.sources[0][1].asked)]

    def _parts(self, real: RealFaces, plan: Plan, wanted: Mapping[str, float]) -> list[Part]:
        if len(plan.patterns):
            source = self.sources[0][1]
            patterns = _source_patterns(source, plan.synthetic) if source.asked else _patterns(real, plan, wanted)
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
    """Open the requested generators.

    Args:
        source: see ``expand_dataset``.
        seed: seed of sources that are made here.
        classes: classes of the folder.

    Raises:
        ArgumentError: an unknown model or class, or models that do not fit together.
    """
    if not isinstance(source, Mapping):
        if classes:
            warnings.warn(
                f"the faces have classes ({some(list(classes))}), and those of one model belong to none: they get "
                "label -1. Give a model for each class (source={...}, --model CLASS=MODEL) to label them",
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
        raise ArgumentError("source: the models differ in size or crop; train them with the same ones")
    return Generators(opened)


def takes_attributes(source: SyntheticFaceSource) -> bool:
    """Whether the model of a source takes attributes."""
    return bool(source.config.attributes)


def has_classifier() -> bool:
    """Whether this installation has an attribute classifier."""
    return DEFAULT_CLASSIFIER in BUNDLED_CLASSIFIERS


def open_classifier() -> AttributeClassifier | None:
    """Load the bundled attribute classifier; None, with a warning, if this installation has none."""
    if not has_classifier():
        warnings.warn(
            "no attribute classifier: synthetic faces get their requested attributes as labels, unchecked",
            stacklevel=4,
        )
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
    """Prepare the real faces that synthetic ones are compared with.

    Args:
        real: all real faces.
        rows: rows used, int64 (n,).
        crop: crop of the faces.
        side: side of the faces after cropping, pixels.
        hashes: hashes by row, if known.
        progress: shows how many faces are read.
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


def _source_patterns(source: SyntheticFaceSource, n: int) -> Patterns:
    """Attributes requested by the source itself; a rejected face is retried with another face's attributes."""
    faces = np.arange(n)
    return Patterns(source.attribute_rows(n), faces, [faces] * n)


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
