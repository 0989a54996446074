"""Train a classifier that reads attributes from faces.

As in the loop for generators, every step draws its numbers from (seed, step), and a checkpoint holds the whole state.
Under the same conditions, a run that was stopped and resumed equals an uninterrupted run to the bit. Part of the
training faces is held back, by identity, to select the best weights and to set thresholds. Faces of another partition
are used once, at the end, for the figures of the model card; they influence no choice.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, PARTITIONS, select_rows, settle
from faceaug.data.folder import FaceFolder
from faceaug.errors import Interrupted, RefusedError, printable
from faceaug.progress import Progress, Show, open_progress
from faceaug.progress.phases import Phase
from faceaug.storage.files import explained, finish_output, replacing_folder
from faceaug.synthesize.attribute_network import AttributeNetwork
from faceaug.synthesize.classifier import CLASSIFIER_FILES, AttributeClassifier, load_classifier, save_classifier
from faceaug.synthesize.config import ClassifierConfig
from faceaug.train.calibrate import area_under_curve, balanced_accuracy, fit_odds
from faceaug.train.checkpoint import checkpoints, read_checkpoint, write_checkpoint
from faceaug.train.classifier_session import (
    FEWEST,
    ClassifierSession,
    ClassifierTraining,
    Labelled,
    hold_back,
    learnable,
    load_labelled,
)
from faceaug.train.conditions import begin_session, conditions
from faceaug.train.config import known_fields, parse_settings
from faceaug.train.record import RUN_FILE, RunLog, lock_run, open_run, read_run
from faceaug.train.reports import ClassifierReport
from faceaug.train.schedule import passed
from faceaug.train.signals import Signals

CLASSIFIER_PRESETS: dict[str, ClassifierTraining] = {"attributes-64": ClassifierTraining()}
COARSE = 32  # pixels; the figures also cover faces reduced to this size
_ENOUGH = 10  # faces needed to measure


def choose_classifier(
    *, resume: Path | None = None, settings: tuple[str, ...] = (), **changes: Any
) -> ClassifierTraining:
    """Choose a config for a classifier: that of the run to resume, otherwise the preset, with some fields changed.

    Args:
        resume: run folder to continue.
        settings: fields from a command line, such as ``("dropout=0.3",)``.
        **changes: fields with other values.

    Raises:
        ArgumentError: a field is unknown, or a value is invalid; the message lists the fields.
        RefusedError: there is no run in ``resume``, or it is the run of a generator.

    Example:
        >>> from faceaug.train.classifier import choose_classifier
        >>> choose_classifier(settings=("dropout=0.3",), seed=1).dropout
        0.3
    """
    found = CLASSIFIER_PRESETS["attributes-64"].to_json()
    if resume is not None:
        began_with = read_run(resume)
        if set(began_with) - {"init"} != set(found):
            raise RefusedError(f"{printable(resume)}: the run trains a generator; resume it without --classifier")
        found = {name: began_with[name] for name in found}
    changes = parse_settings(settings, ClassifierTraining) | changes
    return ClassifierTraining(**(found | known_fields(changes, ClassifierTraining)))


def train_classifier(
    folder: FaceFolder | Path | str,
    out: Path | str,
    config: ClassifierTraining = CLASSIFIER_PRESETS["attributes-64"],
    *,
    resume: bool = False,
    minutes: float | None = None,
    began: float | None = None,
    partition: str | int | None = None,
    license: str = "unknown",
    data: str = "",
    device: str | torch.device | None = None,
    progress: Show = None,
) -> ClassifierReport:
    """Train an attribute classifier on a folder of faces.

    Args:
        folder: real faces with a table of attributes. Only rows of the partition are used for training.
        out: run folder: config.json, checkpoint-*/, log.jsonl, and model/ when the run is finished. It must be new, or
            hold an unfinished run with the same arguments, which is continued.
        config: see ``ClassifierTraining``.
        resume: require a run in ``out`` and continue it from its newest checkpoint.
        minutes: time limit: save and return then, finished or not.
        began: ``time.monotonic()`` from which ``minutes`` counts; None for now.
        partition: "train", "val", "test" or "all"; None for the train rows if a table has any, otherwise all rows.
        license: license of the weights; for faces from CelebA "LicenseRef-CelebA-NonCommercial".
        data: description of the training faces, for the model card.
        device: where to compute; None for the GPU if there is one, otherwise the CPU.
        progress: see ``train_gan``.

    Returns:
        The report of this session.

    Raises:
        RefusedError: there are no readable faces, no attribute has enough faces with and without it, or ``out`` holds
            something else.
        Interrupted: SIGINT or SIGTERM arrived; everything was saved first.

    Example:
        >>> from faceaug.train.classifier import train_classifier
        >>> train_classifier("celeba", "reader").finished  # doctest: +SKIP
        True
    """
    began = time.monotonic() if began is None else began
    folder = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    run = Path(out)
    progress = open_progress(progress)
    rows, _ = select_rows(folder.annotations, partition)
    columns = _columns(folder, rows)
    labelled, unreadable = load_labelled(folder, rows, columns, crop=config.crop, progress=progress)
    open_run(run, folder, config, resume=resume, init=None)
    session = _classifier_session(labelled, config, device)
    deadline = math.inf if minutes is None else began + 60 * minutes
    with lock_run(run), Signals() as signals, explained(run):
        if found := checkpoints(run):
            session.restore(read_checkpoint(found[-1]))
        before = session.images
        notes = folder.notes + begin_session(run, before, conditions(session.device))
        _train(session, run, signals, deadline, progress)
    if signals.received:
        raise Interrupted(
            f"stopped by {signals.received} at {session.images:,} of {config.images:,} faces; --resume continues"
        )
    finished = session.images >= config.images
    metrics = None
    if finished:
        facts = {"data": data or f"{folder.root.name}, see the run's log"}
        unseen = unseen_rows(folder, rows)
        metrics = _export(run, session, columns, facts, license, folder, unseen, progress)
    return ClassifierReport(
        run,
        run / "model" if finished else None,
        session.images,
        finished=finished,
        faces=len(session.shown),
        unreadable=tuple(unreadable),
        seconds=time.monotonic() - began,
        added=session.images - before,
        minutes=minutes,
        notes=notes,
        held_back=len(session.held),
        attributes=_names(columns),
        metrics=metrics,
    )


def _columns(folder: FaceFolder, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    settle(folder.annotations, ("attributes",))
    columns = learnable(folder.annotations.attributes[rows])
    if not len(columns):
        raise RefusedError(
            f"{printable(folder.root)}: no attribute has at least {FEWEST} faces with it and {FEWEST} without it among "
            f"{len(rows):,}; a classifier needs a table of attributes (list_attr_celeba.txt, or columns of "
            "metadata.csv)"
        )
    return columns


def _classifier_session(
    labelled: Labelled, config: ClassifierTraining, device: str | torch.device | None
) -> ClassifierSession:
    """Hold back some of the faces and build the network."""
    held = hold_back(labelled.identity, config.held_back, config.seed)
    shown = labelled.part(np.flatnonzero(~held))
    kept_back = labelled.part(np.flatnonzero(held))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return ClassifierSession(config, shown, kept_back, place)


def _names(columns: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(ATTRIBUTES[k] for k in columns.tolist())


def _train(session: ClassifierSession, run: Path, signals: Signals, deadline: float, progress: Progress) -> None:
    """Take steps until the run is finished, a signal arrives, or the time is over."""

    def stopped() -> bool:
        """Whether to end before the next step."""
        return bool(signals.received) or time.monotonic() >= deadline

    limit = deadline - time.monotonic()
    images = session.config.images
    with progress.phase("training", images, "faces", start=session.images, limit=limit, at_once=True) as phase:
        _learn(session, run, stopped, phase)


def _learn(session: ClassifierSession, run: Path, stopped: Callable[[], bool], phase: Phase) -> None:
    """Take steps, and write the log and the checkpoints when they are due."""
    config = session.config
    with RunLog(run, session.images, tensorboard=False) as log:
        clock = (time.monotonic(), session.images)
        while session.images < config.images and not stopped():
            session.step()
            phase.reach(session.images)
            if passed(session.images, config.batch, config.log_every):
                now = time.monotonic()
                rate = (session.images - clock[1]) / max(now - clock[0], 1e-9)
                clock = (now, session.images)
                log.write(session.images, {"loss": session.loss, "images_per_s": round(rate, 1)})
                phase.reach(session.images, f"loss {session.loss:.3f}")
            if passed(session.images, config.batch, config.checkpoint_every) or session.images >= config.images:
                log.write(session.images, {"area_under_curve": session.look()})
                write_checkpoint(run, session.checkpoint())
        if session.images < config.images:
            # No evaluation here: which weights are the best must not depend on when a run was stopped.
            write_checkpoint(run, session.checkpoint())


def unseen_rows(folder: FaceFolder, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of a partition that was not used for training: the val rows, or else the test rows."""
    known = folder.annotations
    for name in ("val", "test"):
        found = np.setdiff1d(np.flatnonzero((known.origin == 0) & (known.partition == PARTITIONS[name])), rows)
        if len(found) >= _ENOUGH:
            return found
    return np.empty(0, np.int64)


def _export(
    run: Path,
    session: ClassifierSession,
    columns: NDArray[np.int64],
    facts: dict[str, Any],
    license: str,
    folder: FaceFolder,
    unseen: NDArray[np.int64],
    progress: Progress,
) -> dict[str, Any] | None:
    """Write run/model, calibrated on the held-back faces and measured on unseen ones."""
    network, config = calibrated(
        session, name=run.resolve().name, attributes=_names(columns), license=license, facts=facts
    )
    with replacing_folder(run / "model", ours=CLASSIFIER_FILES) as model:
        save_classifier(model, network, config, overwrite=True)
    metrics = None
    if len(unseen):
        others, _ = load_labelled(folder, unseen, columns, crop=session.config.crop, progress=progress)
        number = int(folder.annotations.partition[unseen[0]])
        metrics = measure(load_classifier(run / "model"), others) | {"partition": list(PARTITIONS)[number]}
        with replacing_folder(run / "model", ours=CLASSIFIER_FILES) as model:
            save_classifier(model, network, config, metrics, overwrite=True)
    finish_output(run, marker=RUN_FILE, document=json.loads((run / RUN_FILE).read_bytes()))
    return metrics


def calibrated(
    session: ClassifierSession, *, name: str, attributes: tuple[str, ...], license: str, facts: dict[str, Any]
) -> tuple[AttributeNetwork, ClassifierConfig]:
    """Return the best weights, calibrated in the last layer, and their config; both from the held-back faces.

    The logits become log-odds (Platt 1999) minus the log-odds of the attribute's prevalence, so that the threshold 0
    maximises the balanced accuracy.
    """
    config = session.config
    held = session.held
    scores = session.scores(held.pixels, best=True)
    labels = session.shown.labels
    prevalence = (labels > 0).sum(axis=0) / np.maximum((labels != 0).sum(axis=0), 1)
    network = copy.deepcopy(session.best).cpu()
    accuracies = []
    with torch.no_grad():
        for k, (score, label) in enumerate(zip(scores.T, held.labels.T, strict=True)):
            scale, shift = fit_odds(score, label)
            shift -= math.log(prevalence[k] / (1 - prevalence[k]))
            network.fc.weight[k] *= scale
            network.fc.bias[k] = network.fc.bias[k] * scale + shift
            accuracies.append(balanced_accuracy(scale * score + shift > 0, label))
    training = facts | {
        "faces": len(session.shown),
        "faces_held_back": len(held),
        "faces_shown": session.images,
        "optimizer": f"AdamW {config.learning_rate}, weight decay {config.weight_decay}, batch {config.batch}",
        "seen_as": "mirrored, moved, turned, squeezed, lit otherwise, coarse, partly hidden",
        "seed": config.seed,
    }
    # Without faces of both kinds among those held back the accuracy is unknown: chance is assumed.
    known = tuple(round(0.5 if math.isnan(a) else a, 4) for a in accuracies)
    return network, ClassifierConfig(
        name=name,
        crop=config.crop,
        attributes=attributes,
        prevalence=tuple(round(float(p), 5) for p in prevalence),
        balanced_accuracy=known,
        license=license,
        training=training,
    )


def measure(classifier: AttributeClassifier, faces: Labelled) -> dict[str, Any]:
    """Measure accuracy, balanced accuracy and area under the curve, by attribute and by size of the faces.

    Args:
        classifier: the classifier to measure.
        faces: unseen faces, with labels in the order of its attributes.

    Returns:
        "n", "prevalence" by attribute, and "sizes": by side in pixels, by figure, by attribute. Attributes without
        faces of both kinds are left out.
    """
    names = classifier.attributes
    shown = {str(classifier.config.size): faces.pixels, str(COARSE): _reduced(faces.pixels)}
    kept = [k for k in range(len(names)) if (faces.labels[:, k] > 0).any() and (faces.labels[:, k] < 0).any()]
    sizes = {}
    for side, pixels in shown.items():
        logits = classifier.logits(pixels)
        figures: dict[str, dict[str, float]] = {"accuracy": {}, "balanced_accuracy": {}, "area_under_curve": {}}
        for k in kept:
            labels = faces.labels[:, k]
            answers = logits[:, k] > 0
            known = labels != 0
            figures["accuracy"][names[k]] = round(float((answers[known] == (labels[known] > 0)).mean()), 4)
            figures["balanced_accuracy"][names[k]] = round(balanced_accuracy(answers, labels), 4)
            figures["area_under_curve"][names[k]] = round(area_under_curve(logits[:, k], labels), 4)
        sizes[side] = figures
    shares = {names[k]: round(float((faces.labels[:, k] > 0).sum() / (faces.labels[:, k] != 0).sum()), 4) for k in kept}
    return {"n": len(faces), "prevalence": shares, "sizes": sizes}


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce faces to 32 pixels by averaging: uint8 (n, 3, 32, 32)."""
    side = pixels.shape[2] // COARSE
    means: NDArray[np.float64] = pixels.reshape(len(pixels), 3, COARSE, side, COARSE, side).mean(axis=(3, 5))
    return np.rint(means).astype(np.uint8)
