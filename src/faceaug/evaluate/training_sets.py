"""The training faces of each arm of the comparison: real faces, real and copies, real and generated, or all.

``expand_dataset`` makes the copies and generated faces from the same real faces.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset

from faceaug.data.annotations import (
    ALL,
    ATTRIBUTES,
    AUGMENTED,
    REAL,
    SYNTHETIC,
    attribute_index,
    select_rows,
    settle,
)
from faceaug.data.folder import FaceFolder
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, RefusedError, printable
from faceaug.evaluate.comparison_classifier import SIDE, Pool, Schooling, joined, scores, set_cutoffs, teach
from faceaug.evaluate.options import EvaluationOptions
from faceaug.evaluate.real import unseen_rows
from faceaug.mix.balance import BalancedRows
from faceaug.mix.copies import as_recipe
from faceaug.mix.expand import ExpandedDataset, expand_dataset
from faceaug.mix.framing import Choice
from faceaug.mix.mixture import Settings
from faceaug.mix.plan import Plan, make_plan, synthetic_count
from faceaug.progress import SILENT, Progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.classifier import load_classifier
from faceaug.train.classifier_session import hold_back
from faceaug.train.faces import load_faces

Arm: TypeAlias = Literal["real", "real + classical", "real + synthetic", "all"]
ARMS: tuple[Arm, ...] = get_args(Arm)
MOST = 25_000  # real faces, unless a count requests more
HELD = 0.2  # share of the real faces held back to set thresholds
RAREST = 10
_FEWEST = (5, 2, 3)  # taught, held-back and unseen faces needed on each side of an attribute
_SELECTED = 2  # most attributes by which faces are selected from a generator that takes none
_LIKELY = 0.9  # probability above which the classifier labels an unconditioned face


@dataclass(frozen=True, slots=True, eq=False)
class Experiment:
    """Training and test faces of all arms.

    Attributes:
        attributes: attributes to learn.
        shown: generated faces, then real ones, then augmented copies of these, so that every arm is a slice.
        held: real faces held back to set thresholds.
        unseen: real faces of the test.
        rows: rows of the folder that were shown or held back.
        rejected: number of rejected generated faces, by reason.
        labels: origin of the labels of generated faces.
        notes: remarks on the result.
    """

    attributes: tuple[str, ...]
    shown: Pool
    held: Pool
    unseen: Pool
    rows: NDArray[np.int64]
    rejected: dict[str, int]
    labels: str
    notes: tuple[str, ...]

    def pool(self, arm: Arm) -> Pool:
        """The training faces of an arm."""
        first = 0 if arm in ("real + synthetic", "all") else self._count(SYNTHETIC)
        last = len(self.shown) if arm in ("real + classical", "all") else len(self.shown) - self._count(AUGMENTED)
        return self.shown[first:last]

    def _count(self, origin: int) -> int:
        return int((self.shown.origin == origin).sum())

    def answer(
        self,
        arm: Arm,
        schooling: Schooling,
        *,
        seed: int,
        device: torch.device,
        on_step: Callable[[int], None] = lambda _: None,
    ) -> NDArray[np.bool_]:
        """Train a classifier on an arm and classify the unseen faces: bool (n, a)."""
        network = teach(self.pool(arm), schooling, seed=seed, device=device, on_step=on_step)
        cutoffs = set_cutoffs(scores(network, self.held.pixels), self.held)
        return cutoffs.answers(scores(network, self.unseen.pixels))


def prepare(
    source: SyntheticFaceSource, folder: FaceFolder, options: EvaluationOptions, progress: Progress = SILENT
) -> Experiment:
    """Select the real faces and make the others.

    Args:
        source: source of the synthetic faces.
        folder: folder of the real faces.
        options: partition, against and seed, and the options of usefulness.
        progress: shows the phases.

    Raises:
        ArgumentError: an unusable option.
        RefusedError: too few faces for an attribute, or no test rows.
    """
    known = folder.annotations
    seed = options.seed
    fraction = options.usefulness.fraction
    rows, others = _both_rows(folder, options.partition, options.against)
    rows, limited = _limited(fraction_of(rows, fraction, seed=seed), fraction, seed)
    side = min(source.config.size, SIDE)
    pixels, rows, notes = _load(folder, rows, source, side, progress)
    asked, others, more = _load(folder, others, source, side, progress)
    held = hold_back(known.identity[rows], HELD, seed)
    parts = (known.attributes[rows[~held]], known.attributes[rows[held]], known.attributes[others])
    names = _learnable(parts, options.usefulness.attributes)
    columns = [attribute_index(name) for name in names]
    real, kept = (_pool(pixels[which], known.attributes[rows[which]][:, columns]) for which in (~held, held))
    unseen = _pool(asked, known.attributes[others][:, columns])
    added = _added(source, folder, rows[~held], names, side, options, progress)
    shown = joined(added.synthetic, real, added.classical)
    return Experiment(names, shown, kept, unseen, rows, added.rejected, added.labels, (*limited, *notes, *more))


def _both_rows(
    folder: FaceFolder, partition: str | None, against: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, assumed = select_rows(folder.annotations, partition)
    settle(folder.annotations, ("attributes",))
    others = unseen_rows(folder, "all" if assumed else partition or "train", against)
    if not len(others):
        raise RefusedError(
            f"{printable(folder.root)}: no rows are left for the test; usefulness needs faces outside the training "
            "rows: a partition table (list_eval_partition.txt, or a column in metadata.csv) with val or test rows"
        )
    return rows, others


def fraction_of(rows: NDArray[np.int64], fraction: float | int, *, seed: int) -> NDArray[np.int64]:
    """Draw a share (float) or number (int) of rows; smaller draws are subsets of larger ones."""
    whole = isinstance(fraction, int) and not isinstance(fraction, bool)
    count = int(fraction) if whole else round(float(fraction) * len(rows))
    if not (whole or 0 < fraction <= 1) or not 1 <= count <= len(rows):
        raise ArgumentError(
            f"fraction {fraction!r}: expected a share such as 0.1, or a count of up to {len(rows):,} rows"
        )
    return np.sort(rows[permutation(len(rows), seed, slot="usefulness/fraction")[:count]])


def _limited(rows: NDArray[np.int64], fraction: float | int, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """Limit the rows to a number that fits in memory with its copies, unless a count requested more."""
    if isinstance(fraction, int) or len(rows) <= MOST:
        return rows, []
    note = f"{MOST:,} of {len(rows):,} real faces were used, drawn at random; pass a count to use more"
    return fraction_of(rows, MOST, seed=seed), [note]


def _load(
    folder: FaceFolder, rows: NDArray[np.int64], source: SyntheticFaceSource, side: int, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    pixels, used, problems = load_faces(folder, crop=source.config.crop, size=side, rows=rows, progress=progress)
    return pixels, used, [f"left out: {line}" for line in problems]


def _learnable(parts: Sequence[NDArray[np.int8]], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes to learn: those wanted, or the rarest with enough faces."""
    sides = [np.minimum((part > 0).sum(axis=0), (part < 0).sum(axis=0)) for part in parts]
    enough = np.all([side >= least for side, least in zip(sides, _FEWEST, strict=True)], axis=0)
    if wanted is not None:
        for name in wanted:
            if not enough[attribute_index(name)]:
                counts = ", ".join(str(side[attribute_index(name)]) for side in sides)
                raise RefusedError(
                    f"attribute {name}: of the faces for training, held back and unseen only {counts} are of its rarer "
                    f"side; at least {', '.join(map(str, _FEWEST))} are needed; choose a larger fraction or another "
                    "attribute"
                )
        return tuple(dict.fromkeys(wanted))
    taught = parts[0]
    shares = np.minimum((taught > 0).mean(axis=0), (taught < 0).mean(axis=0))
    order = [k for k in np.argsort(shares, kind="stable").tolist() if enough[k]][:RAREST]
    if not order:
        raise RefusedError(
            f"no attribute has {', '.join(map(str, _FEWEST))} faces of its rarer side among those for training, held "
            "back and unseen; choose a larger fraction, or a folder with a table of attributes"
        )
    return tuple(ATTRIBUTES[k] for k in order)


def _pool(pixels: NDArray[np.uint8], labels: NDArray[np.int8], origin: int = REAL) -> Pool:
    return Pool(pixels, np.ascontiguousarray(labels), np.full(len(pixels), origin, np.int8))


@dataclass(frozen=True, slots=True, eq=False)
class _Added:
    """The faces that the arms add to the real ones.

    Attributes:
        classical: augmented copies.
        synthetic: generated faces.
        rejected: number of rejected generated faces, by reason.
        labels: origin of the labels of the generated faces; "" if there are none.
    """

    classical: Pool
    synthetic: Pool
    rejected: dict[str, int]
    labels: str


def _added(
    source: SyntheticFaceSource,
    folder: FaceFolder,
    rows: NDArray[np.int64],
    names: tuple[str, ...],
    side: int,
    options: EvaluationOptions,
    progress: Progress,
) -> _Added:
    """Make copies of these rows and generated faces, both balanced towards the attributes of these names."""
    recipes = options.usefulness.recipes
    columns = [attribute_index(name) for name in names]
    made, copies, plan = _expanded(source, folder, rows, names, side, options, progress)
    shown = made.real.annotations.attributes[plan.rows[plan.real :]][:, columns]
    classical = _pool(_pictures(copies, AUGMENTED, side, progress), shown, AUGMENTED)
    pictures = _pictures(made, SYNTHETIC, side, progress)
    if made.generators is None:
        return _Added(classical, _pool(pictures, shown[:0], SYNTHETIC), {}, "")
    labels, origin = _labels(source, made, pictures, filtered=recipes.filter)
    return _Added(classical, _pool(pictures, labels[:, columns], SYNTHETIC), dict(made.rejected), origin)


def _expanded(
    source: SyntheticFaceSource,
    folder: FaceFolder,
    rows: NDArray[np.int64],
    names: tuple[str, ...],
    side: int,
    options: EvaluationOptions,
    progress: Progress,
) -> tuple[ExpandedDataset, ExpandedDataset, Plan]:
    """(dataset with generated faces, dataset with copies, plan of the copies), of the same real faces."""
    recipes = options.usefulness.recipes
    real: Any = Subset(folder, rows.tolist())  # type: ignore[arg-type]  # a folder is a map-style dataset
    with warnings.catch_warnings():
        # The shares are targets set here, not by the user, so a warning that one is missed would only confuse.
        warnings.filterwarnings("ignore", message="balance ")
        wanted = _shares(folder.annotations.attributes[rows], names)
        # Rejection sampling over many combinations never finishes for a model that takes no attributes.
        asked = bool(source.config.attributes) or len(names) <= _SELECTED
        made = expand_dataset(
            real,
            copies=0,
            synthetic=synthetic_count(recipes.synthetic, len(rows)),
            balance=wanted if asked else None,
            source=source,
            size=side,
            crop=source.config.crop,
            partition=ALL,
            filter=recipes.filter,
            seed=options.seed,
            progress=progress,
        )
        known = made.real.annotations
        plan = make_plan(known, partition=ALL, copies=recipes.copies, synthetic=0, wanted=wanted, seed=options.seed)
    settings = Settings(recipe=as_recipe(recipes.recipe), filtered=False, seed=options.seed, wanted=wanted)
    return made, ExpandedDataset(made.real, plan, Choice(made.frame, None, 0), settings), plan


def _shares(attributes: NDArray[np.int8], names: Sequence[str]) -> dict[str, float]:
    """Target shares of balancing: a half for one attribute; for several, as close to a half as is possible jointly."""
    rows = np.arange(len(attributes))
    for reach in (1.0, 0.5, 0.25):
        found = _towards_a_half(attributes, names, reach / len(names))
        try:
            BalancedRows(attributes, rows, found)
        except ArgumentError:  # for example five hair colours that cannot all have a share of a half
            continue
        return found
    return _towards_a_half(attributes, names, 0.0)


def _towards_a_half(attributes: NDArray[np.int8], names: Sequence[str], reach: float) -> dict[str, float]:
    found = {}
    for name in names:
        column = attributes[:, attribute_index(name)]
        share = float((column > 0).sum() / max(int((column != 0).sum()), 1))
        found[name] = float(np.clip(0.5, share - reach, share + reach))
    return found


def _labels(
    source: SyntheticFaceSource, made: ExpandedDataset, pictures: NDArray[np.uint8], *, filtered: bool
) -> tuple[NDArray[np.int8], str]:
    """Attributes of the synthetic faces, int8 (n, 40), and their origin."""
    if len(made.plan.patterns):
        checked = "asked for and seen by the classifier" if source.config.attributes else "chosen by the classifier"
        return made.synthetic.attributes, checked if filtered else "asked for"
    classifier = load_classifier()
    likely = classifier.probabilities(pictures)
    found = np.where(likely > _LIKELY, 1, np.where(likely < 1 - _LIKELY, -1, 0)).astype(np.int8)
    return found, "seen by the classifier"


def _pictures(dataset: ExpandedDataset, origin: int, side: int, progress: Progress) -> NDArray[np.uint8]:
    """Pictures of the items of one origin: uint8 (n, 3, side, side)."""
    chosen = [i for i in range(len(dataset)) if dataset.plan.origin(i) == origin]
    found = np.empty((len(chosen), 3, side, side), np.uint8)
    with progress.phase("augmenting" if origin == AUGMENTED else "gathering", len(chosen), "faces") as phase:
        for place, i in enumerate(phase.over(chosen)):
            found[place] = dataset.item(i).image.transpose(2, 0, 1)
    return found
