"""What each arm of the comparison is shown: real faces, copies of them, generated ones, all of these.

Copies and generated faces are what ``expand_dataset`` makes of the same real faces.
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

from faceaug.data.annotations import ALL, ATTRIBUTES, attribute_index, select_rows, settle
from faceaug.data.folder import FaceFolder
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, RefusedError, printable
from faceaug.evaluate.pupil import SIDE, Pool, Schooling, Thresholds, joined, scores, set_thresholds, teach
from faceaug.evaluate.real import unseen_rows
from faceaug.mix.balance import BalancedRows
from faceaug.mix.copies import Recipe, as_recipe
from faceaug.mix.expand import ExpandedDataset, expand_dataset
from faceaug.mix.plan import AUGMENTED, REAL, SYNTHETIC, make_plan, synthetic_count
from faceaug.progress import SILENT, Progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.classifier import load_classifier
from faceaug.train.faces import load_faces
from faceaug.train.lessons import hold_back

Arm: TypeAlias = Literal["real", "real + classical", "real + synthetic", "all"]
ARMS: tuple[Arm, ...] = get_args(Arm)
MOST = 25_000  # real faces, unless a count says otherwise
HELD = 0.2  # of the real faces: they set thresholds
RAREST = 10
_FEWEST = (5, 2, 3)  # faces with and without an attribute, taught, held back, unseen: below, nothing can be said of it
_CHOSEN = 2  # attributes by which faces of a generator that obeys none are chosen
_LIKELY = 0.9  # a face that nobody asked for anything has an attribute if the classifier is so sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """What the arms add to the real faces.

    Attributes:
        copies: augmented copies of each real face.
        synthetic: synthetic faces: a float is a share of the real ones, an int a count.
        recipe: what a copy goes through; see ``expand_dataset``.
        filter: whether synthetic faces are held against real ones and looked at by the classifier first.
    """

    copies: int = 4
    synthetic: float | int = 1.0
    recipe: Recipe | None = None
    filter: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Experiment:
    """Everything the arms are made of, and what they are asked afterwards.

    Attributes:
        attributes: what is learnt.
        shown: generated faces, then the real ones, then augmented copies of these, in one: so every arm is a stretch.
        held: real faces that set thresholds.
        unseen: real faces that are asked about.
        rows: of the folder, which were shown or held back.
        rejected: generated faces that were left out, by reason.
        labels: where the labels of generated faces come from.
        notes: what to keep in mind.
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
        """What an arm is shown."""
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
        """Teach a pupil and ask it about the unseen faces: bool (n, a)."""
        network = teach(self.pool(arm), schooling, seed=seed, device=device, on_step=on_step)
        thresholds: Thresholds = set_thresholds(scores(network, self.held.pixels), self.held)
        return thresholds.answers(scores(network, self.unseen.pixels))


def prepare(
    source: SyntheticFaceSource,
    folder: FaceFolder,
    recipes: Recipes,
    *,
    attributes: Sequence[str] | None,
    fraction: float | int,
    partition: str | None,
    against: str | None,
    seed: int,
    progress: Progress = SILENT,
) -> Experiment:
    """Choose the real faces and make the others.

    Args:
        source: of the synthetic faces.
        folder: of the real ones.
        recipes: what the arms add.
        attributes: what is learnt; None is the ten rarest that can be.
        fraction: of the training rows: a float is a share, an int a count.
        partition: rows to learn from; None is the train rows.
        against: rows to ask about; None is the val rows, or the test rows.
        seed: of all draws.
        progress: shows the phases.
    """
    known = folder.annotations
    rows, others = _both_rows(folder, partition, against)
    rows, limited = _limited(fraction_of(rows, fraction, seed=seed), fraction, seed)
    side = min(source.config.size, SIDE)
    pixels, rows, notes = _load(folder, rows, source, side, progress)
    asked, others, more = _load(folder, others, source, side, progress)
    held = hold_back(known.identity[rows], HELD, seed)
    parts = (known.attributes[rows[~held]], known.attributes[rows[held]], known.attributes[others])
    names = _learnable(parts, attributes)
    columns = [attribute_index(name) for name in names]
    real, kept = (_pool(pixels[which], known.attributes[rows[which]][:, columns]) for which in (~held, held))
    unseen = _pool(asked, known.attributes[others][:, columns])
    classical, synthetic, rejected, labels = _added(source, folder, rows[~held], recipes, names, side, seed, progress)
    shown = joined(synthetic, real, classical)
    return Experiment(names, shown, kept, unseen, rows, rejected, labels, (*limited, *notes, *more))


def _both_rows(
    folder: FaceFolder, partition: str | None, against: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, assumed = select_rows(folder.annotations, partition)
    settle(folder.annotations, ("attributes",))
    others = unseen_rows(folder, "all" if assumed else partition or "train", against)
    if not len(others):
        raise RefusedError(
            f"{printable(folder.root)}: no rows are left to ask about; usefulness needs faces that are not learnt "
            "from: a partition table (list_eval_partition.txt, or a column in metadata.csv) with val or test rows"
        )
    return rows, others


def fraction_of(rows: NDArray[np.int64], fraction: float | int, *, seed: int) -> NDArray[np.int64]:
    """Some rows, drawn by the seed: a float is a share, an int a count. Fewer are a part of more."""
    whole = isinstance(fraction, int) and not isinstance(fraction, bool)
    count = int(fraction) if whole else round(float(fraction) * len(rows))
    if not (whole or 0 < fraction <= 1) or not 1 <= count <= len(rows):
        raise ArgumentError(
            f"fraction {fraction!r}: expected a share such as 0.1 or a count up to the {len(rows):,} rows there are"
        )
    return np.sort(rows[permutation(len(rows), seed, slot="usefulness/fraction")[:count]])


def _limited(rows: NDArray[np.int64], fraction: float | int, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """At most so many rows as fit into memory with their copies, unless a count asked for more."""
    if isinstance(fraction, int) or len(rows) <= MOST:
        return rows, []
    note = f"{MOST:,} of {len(rows):,} real faces were used, drawn by the seed; give a count to use more"
    return fraction_of(rows, MOST, seed=seed), [note]


def _load(
    folder: FaceFolder, rows: NDArray[np.int64], source: SyntheticFaceSource, side: int, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    pixels, used, problems = load_faces(folder, crop=source.config.crop, size=side, rows=rows, progress=progress)
    return pixels, used, [f"left out: {line}" for line in problems]


def _learnable(parts: Sequence[NDArray[np.int8]], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes to learn: those wanted, or the rarest of those that can be learnt and asked about."""
    sides = [np.minimum((part > 0).sum(axis=0), (part < 0).sum(axis=0)) for part in parts]
    enough = np.all([side >= least for side, least in zip(sides, _FEWEST, strict=True)], axis=0)
    if wanted is not None:
        for name in wanted:
            if not enough[attribute_index(name)]:
                counts = ", ".join(str(side[attribute_index(name)]) for side in sides)
                raise RefusedError(
                    f"attribute {name}: of the faces learnt from, held back and unseen only {counts} are of its rarer "
                    f"side; at least {', '.join(map(str, _FEWEST))} are needed; take a larger fraction, or another "
                    "attribute"
                )
        return tuple(dict.fromkeys(wanted))
    taught = parts[0]
    shares = np.minimum((taught > 0).mean(axis=0), (taught < 0).mean(axis=0))
    order = [k for k in np.argsort(shares, kind="stable").tolist() if enough[k]][:RAREST]
    if not order:
        raise RefusedError(
            f"no attribute has {', '.join(map(str, _FEWEST))} faces of its rarer side among those learnt from, held "
            "back and unseen; take a larger fraction, or a folder with a table of attributes"
        )
    return tuple(ATTRIBUTES[k] for k in order)


def _pool(pixels: NDArray[np.uint8], labels: NDArray[np.int8], origin: int = REAL) -> Pool:
    return Pool(pixels, np.ascontiguousarray(labels), np.full(len(pixels), origin, np.int8))


def _added(
    source: SyntheticFaceSource,
    folder: FaceFolder,
    rows: NDArray[np.int64],
    recipes: Recipes,
    names: tuple[str, ...],
    side: int,
    seed: int,
    progress: Progress,
) -> tuple[Pool, Pool, dict[str, int], str]:
    """(copies, synthetic faces, what the filter left out, where the labels of the latter come from)."""
    columns = [attribute_index(name) for name in names]
    real: Any = Subset(folder, rows.tolist())  # type: ignore[arg-type]  # a folder is a map-style dataset
    with warnings.catch_warnings():
        # The shares are a direction given here, not a user's wish: being short of one is nobody's trouble.
        warnings.filterwarnings("ignore", message="balance ")
        wanted = _shares(folder.annotations.attributes[rows], names)
        # Of a model that obeys nothing, faces are chosen; such as have one of many combinations would take for ever.
        asked = bool(source.config.attributes) or len(names) <= _CHOSEN
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
            seed=seed,
            progress=progress,
        )
        known = made.real.annotations
        plan = make_plan(known, partition=ALL, copies=recipes.copies, synthetic=0, wanted=wanted, seed=seed)
    copies = ExpandedDataset(
        made.real,
        plan,
        made.frame,
        generators=None,
        recipe=as_recipe(recipes.recipe),
        filtered=False,
        transform=None,
        target_transform=None,
        seed=seed,
        wanted=wanted,
    )
    shown = known.attributes[plan.rows[plan.real :]][:, columns]
    classical = _pool(_pictures(copies, AUGMENTED, side, progress), shown, AUGMENTED)
    pictures = _pictures(made, SYNTHETIC, side, progress)
    if made.generators is None:
        return classical, _pool(pictures, shown[:0], SYNTHETIC), {}, ""
    labels, origin = _labels(source, made, pictures, filtered=recipes.filter)
    return classical, _pool(pictures, labels[:, columns], SYNTHETIC), dict(made.rejected), origin


def _shares(attributes: NDArray[np.int8], names: Sequence[str]) -> dict[str, float]:
    """What balancing aims at: a half for one attribute; for several as much more of each as goes together."""
    everyone = np.arange(len(attributes))
    for reach in (1.0, 0.5, 0.25):
        found = _nearer_a_half(attributes, names, reach / len(names))
        try:
            BalancedRows(attributes, everyone, found)
        except ArgumentError:  # such as five colours of hair, each of which is to be a half
            continue
        return found
    return _nearer_a_half(attributes, names, 0.0)


def _nearer_a_half(attributes: NDArray[np.int8], names: Sequence[str], reach: float) -> dict[str, float]:
    found = {}
    for name in names:
        column = attributes[:, attribute_index(name)]
        share = float((column > 0).sum() / max(int((column != 0).sum()), 1))
        found[name] = float(np.clip(0.5, share - reach, share + reach))
    return found


def _labels(
    source: SyntheticFaceSource, made: ExpandedDataset, pictures: NDArray[np.uint8], *, filtered: bool
) -> tuple[NDArray[np.int8], str]:
    """Attributes of the synthetic faces, int8 (n, 40), and where they come from."""
    if len(made.plan.patterns):
        checked = "asked for and seen by the classifier" if source.config.attributes else "chosen by the classifier"
        return made.synthetic.attributes, checked if filtered else "asked for"
    classifier = load_classifier()
    likely = classifier.probabilities(pictures)
    found = np.where(likely > _LIKELY, 1, np.where(likely < 1 - _LIKELY, -1, 0)).astype(np.int8)
    return found, "seen by the classifier"


def _pictures(dataset: ExpandedDataset, origin: int, side: int, progress: Progress) -> NDArray[np.uint8]:
    """The items of one origin: uint8 (n, 3, side, side)."""
    chosen = [i for i in range(len(dataset)) if dataset.plan.origin(i) == origin]
    found = np.empty((len(chosen), 3, side, side), np.uint8)
    with progress.phase("augmenting" if origin == AUGMENTED else "gathering", len(chosen), "faces") as phase:
        for place, i in enumerate(phase.over(chosen)):
            found[place] = dataset.item(i).image.transpose(2, 0, 1)
    return found
