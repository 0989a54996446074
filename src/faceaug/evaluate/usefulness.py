"""evaluate_usefulness: do generated faces make a classifier better? Four arms that differ in what they are shown.

::

    some real faces --expand_dataset--+--> real | + copies | + generated | all --> the same pupil, several seeds
    unseen real faces ----------------+--> its answers --> recalls with intervals, differences, a verdict
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceaug.data.folder import FaceFolder
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.evaluate.arms import ARMS, Experiment, Recipes, prepare
from faceaug.evaluate.intervals import Recalls, bootstrap_recalls, difference
from faceaug.evaluate.pupil import Pool, Schooling
from faceaug.evaluate.usefulness_report import ArmResult, AttributeResult, UsefulnessReport, seen_faces
from faceaug.progress import Progress, Show, open_progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.classifier import DEFAULT_CLASSIFIER, load_classifier
from faceaug.synthesize.weights import default_model

SEEDS = 3
Answers = dict[str, list[NDArray[np.bool_]]]


def evaluate_usefulness(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    *,
    attributes: Sequence[str] | None = None,
    fraction: float | int = 1.0,
    seeds: int = SEEDS,
    recipes: Recipes = Recipes(),  # noqa: B008 - frozen
    schooling: Schooling = Schooling(),  # noqa: B008 - frozen
    partition: str | None = None,
    against: str | None = None,
    seed: int = 0,
    download: bool = False,
    device: str | torch.device | None = None,
    progress: Show = None,
) -> UsefulnessReport:
    """Find out whether augmented copies and generated faces make an attribute classifier better.

    The same small network is taught by real faces; by these and augmented copies; by these and generated faces; by all
    of them. Everything else is the same: steps, rates, loss, draws that show every attribute with and without equally
    often. A fifth of the real faces is held back to set thresholds; faces of another partition are asked about.

    Args:
        source: a source, or what ``SyntheticFaceSource.from_pretrained`` takes; None is the default model.
        faces: real faces with a table of attributes and one of partitions.
        attributes: what is learnt; None is the ten rarest.
        fraction: of the training rows to use: a float is a share, an int a count. What helps few faces may not help
            many. A share stops at 25,000 faces.
        seeds: how often every arm is taught, each time with other weights and draws; 3 or more.
        recipes: what the arms add.
        schooling: how the pupils are taught.
        partition: the rows to learn from; None is the train rows where a table has any.
        against: the rows to ask about; None is the val rows, or the test rows.
        seed: of what is drawn, and of the faces where ``source`` is not a source already.
        download: whether a model may be fetched.
        device: where pupils are taught; the CPU by default.
        progress: see ``evaluate_source``.

    Raises:
        ArgumentError: an option that cannot be used.
        RefusedError: too few faces with or without an attribute, or no faces to ask about.
    """
    if seeds < 1:
        raise ArgumentError(f"seeds {seeds}: expected at least 1")
    check_seed(seed)
    shown = open_progress(progress)
    if not isinstance(source, SyntheticFaceSource):
        source = SyntheticFaceSource.from_pretrained(
            default_model() if source is None else source, download=download, seed=seed, device=device
        )
    folder = faces if isinstance(faces, FaceFolder) else FaceFolder(faces)
    place = torch.device("cpu" if device is None else device)
    experiment = prepare(
        source,
        folder,
        recipes,
        attributes=attributes,
        fraction=fraction,
        partition=partition,
        against=against,
        seed=seed,
        progress=shown,
    )
    answers = _teach_all(experiment, schooling, range(seed, seed + seeds), place, shown)
    return summarise(experiment, answers, source=source, schooling=schooling, folder=folder, seed=seed)


def _teach_all(
    experiment: Experiment, schooling: Schooling, seeds: Sequence[int], device: torch.device, progress: Progress
) -> Answers:
    found: Answers = {arm: [] for arm in ARMS}
    with progress.phase("training", len(ARMS) * len(seeds) * schooling.images, "faces") as phase:
        for number, (seed, arm) in enumerate(product(seeds, ARMS)):
            phase.reach(number * schooling.images, f"with {arm}")
            found[arm].append(experiment.answer(arm, schooling, seed=seed, device=device, on_step=phase.advance))
    return found


def summarise(
    experiment: Experiment,
    answers: Answers,
    *,
    source: SyntheticFaceSource,
    schooling: Schooling,
    folder: FaceFolder,
    seed: int,
) -> UsefulnessReport:
    """The report of an experiment.

    Args:
        experiment: whose faces were asked about.
        answers: by arm, what each seed's pupil said of them, bool (n, a).
        source: of the generated faces.
        schooling: of the pupils.
        folder: of the real faces.
        seed: of the bootstrap.
    """
    recalls = bootstrap_recalls(
        {arm: np.stack(given) for arm, given in answers.items()}, experiment.unseen.labels, seed=seed
    )
    taught = experiment.pool("real")
    labels = taught.labels
    sides = ((labels > 0).sum(axis=0) <= (labels < 0).sum(axis=0)).astype(np.int64)  # the rarer one: 0 no, 1 yes
    real, whole = recalls["real"], recalls["all"]
    eye = load_classifier().config if "classifier" in experiment.labels else None
    return UsefulnessReport(
        model=source.config.name,
        conditional=bool(source.config.attributes),
        folder=str(folder.root),
        attributes=experiment.attributes,
        taught=len(taught),
        held=len(experiment.held),
        unseen=len(experiment.unseen),
        seeds=len(answers["real"]),
        images=schooling.images,
        seed=seed,
        arms=tuple(_arm(arm, experiment.pool(arm), recalls[arm], sides, experiment.attributes) for arm in ARMS),
        over_real={arm: difference(recalls[arm], real) for arm in ARMS[1:]},
        over_classical=difference(whole, recalls["real + classical"]),
        generator_saw=seen_faces(source.config.training),
        classifier=DEFAULT_CLASSIFIER if eye is not None else "",
        classifier_saw=None if eye is None else seen_faces(eye.training),
        labels=experiment.labels,
        rejected=experiment.rejected,
        notes=experiment.notes,
    )


def _arm(arm: str, pool: Pool, recalls: Recalls, sides: NDArray[np.int64], names: Sequence[str]) -> ArmResult:
    each = []
    for k, name in enumerate(names):
        column = slice(k, k + 1)
        shown = int((pool.labels[:, k] == (1 if sides[k] else -1)).sum())
        each.append(AttributeResult(name, shown, recalls.balanced(column), recalls.side(sides, column)))
    origins = tuple(int((pool.origin == kind).sum()) for kind in range(3))
    return ArmResult(arm, origins, recalls.balanced(), recalls.side(sides), tuple(each))
