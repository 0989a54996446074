"""evaluate_usefulness: do generated faces improve a classifier? Four arms differ only in their training faces.

::

    some real faces --expand_dataset--+--> real | + copies | + generated | all --> the same classifier, several seeds
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
from faceaug.evaluate.comparison_classifier import Pool, Schooling
from faceaug.evaluate.evaluated import open_generator
from faceaug.evaluate.intervals import Recalls, bootstrap_recalls, difference
from faceaug.evaluate.options import SEEDS, EvaluationOptions, Recipes, UsefulnessOptions
from faceaug.evaluate.training_sets import ARMS, Experiment, prepare
from faceaug.evaluate.usefulness_report import ArmResult, AttributeResult, UsefulnessReport, seen_faces
from faceaug.progress import Progress, Show, open_progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.classifier import DEFAULT_CLASSIFIER, load_classifier

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
    """Test whether augmented copies and generated faces improve an attribute classifier.

    The same small network is trained on real faces, on real faces and copies, on real and generated faces, and on all.
    Everything else is equal: steps, learning rates, loss, and draws that show faces with and without each attribute
    equally often. A fifth of the real faces is held back to set thresholds; faces of another partition are the test.

    Args:
        source: a source, or an argument of ``SyntheticFaceSource.from_pretrained``; None is the default model.
        faces: real faces with a table of attributes and one of partitions.
        attributes: attributes to learn; None is the ten rarest.
        fraction: training rows to use: a float is a share, an int a count. Faces that help a small dataset may not help
            a large one. A share is limited to 25,000 faces.
        seeds: number of trainings per arm, each with other weights and draws; 3 or more.
        recipes: faces that the arms add.
        schooling: training settings of the classifiers.
        partition: training rows; None is the train rows if a table marks any.
        against: test rows; None is the val rows, or else the test rows.
        seed: seed of the draws, and of the faces if ``source`` is not a source yet.
        download: whether a model may be downloaded.
        device: device of the training; the CPU by default.
        progress: see ``evaluate_source``.

    Raises:
        ArgumentError: an unusable option.
        RefusedError: too few faces with or without an attribute, or no test faces.
    """
    options = EvaluationOptions(
        partition=partition,
        against=against,
        seed=seed,
        download=download,
        device=device,
        usefulness=UsefulnessOptions(
            attributes=None if attributes is None else tuple(attributes),
            fraction=fraction,
            seeds=seeds,
            recipes=recipes,
            schooling=schooling,
        ),
    )
    return report_usefulness(source, faces, options, progress)


def report_usefulness(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    options: EvaluationOptions,
    progress: Show = None,
) -> UsefulnessReport:
    """``evaluate_usefulness`` with its options as one object."""
    wanted = options.usefulness
    shown = open_progress(progress)
    opened = open_generator(source, options)
    folder = faces if isinstance(faces, FaceFolder) else FaceFolder(faces)
    experiment = prepare(opened, folder, options, shown)
    seeds = range(options.seed, options.seed + wanted.seeds)
    place = torch.device("cpu" if options.device is None else options.device)
    answers = _teach_all(experiment, wanted.schooling, seeds, place, shown)
    return summarise(experiment, answers, source=opened, schooling=wanted.schooling, folder=folder, seed=options.seed)


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
    """Make the report of an experiment.

    Args:
        experiment: training and test faces.
        answers: answers on the test faces by arm, bool (n, a) for each seed.
        source: source of the generated faces.
        schooling: training settings of the classifiers.
        folder: folder of the real faces.
        seed: seed of the bootstrap.
    """
    recalls = bootstrap_recalls(
        {arm: np.stack(given) for arm, given in answers.items()}, experiment.unseen.labels, seed=seed
    )
    taught = experiment.pool("real")
    labels = taught.labels
    sides = ((labels > 0).sum(axis=0) <= (labels < 0).sum(axis=0)).astype(np.int64)  # the rarer one: 0 no, 1 yes
    real = recalls["real"]
    whole = recalls["all"]
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
