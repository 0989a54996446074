"""Train the network that reads attributes: one function that reads as what it does.

As in the other loop, every step draws its numbers from (seed, step) and the state is saved whole: a run that was
stopped and resumed is, on the same machine, the same run to the bit. A slice of the training faces is held back, by
identity, to keep the best weights and to set thresholds. Faces of another partition are seen once, at the end, for the
figures of the card; nothing is chosen by them.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, PARTITIONS, select_rows
from faceaug.errors import Interrupted, RefusedError, printable
from faceaug.storage.files import explained, finish_output
from faceaug.data.folder import FaceFolder
from faceaug.synthesize.attribute_network import AttributeNetwork
from faceaug.synthesize.classifier import AttributeClassifier, ClassifierConfig, load_classifier, save_classifier
from faceaug.train.calibrate import area_under_curve, balanced_accuracy, fit_odds
from faceaug.train.checkpoint import checkpoints, read_checkpoint, write_checkpoint
from faceaug.train.lessons import ClassifierTraining, Labelled, Lessons, hold_back, learnable, load_labelled
from faceaug.train.record import RUN_FILE, RunLog, open_run
from faceaug.train.schedule import passed
from faceaug.train.signals import Signals

CLASSIFIER_PRESETS: dict[str, ClassifierTraining] = {"attributes-64": ClassifierTraining()}
COARSE = 32  # pixels: the figures also say how well faces so small are read
_ENOUGH = 10  # faces to measure on


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """How a run ended.

    Attributes:
        run: the run folder.
        model: the model folder in it, loadable by ``load_classifier``; None before the run is finished.
        images: faces shown so far.
        finished: whether that is all the config asks for.
        faces: faces learnt from, without those held back.
        held_back: faces that chose weights and thresholds.
        attributes: what it learnt.
        metrics: figures on unseen faces; None where there are none, or before the run is finished.
        unreadable: pictures left out, a line each.
        seconds: of this session.
    """

    run: Path
    model: Path | None
    images: int
    finished: bool
    faces: int
    held_back: int
    attributes: tuple[str, ...]
    metrics: dict[str, Any] | None
    unreadable: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": str(self.run), "model": None if self.model is None else str(self.model), "images": self.images,
            "finished": self.finished, "faces": self.faces, "held_back": self.held_back,
            "attributes": list(self.attributes), "metrics": self.metrics, "unreadable": list(self.unreadable),
            "seconds": round(self.seconds, 2),
        }  # fmt: skip


def train_classifier(
    folder: FaceFolder | Path | str,
    out: Path | str,
    config: ClassifierTraining = CLASSIFIER_PRESETS["attributes-64"],
    *,
    resume: bool = False,
    minutes: float | None = None,
    partition: str | int | None = None,
    license: str = "unknown",
    data: str = "",
    device: str | torch.device | None = None,
    on_progress: Callable[[int, str], None] | None = None,
) -> ClassifierReport:
    """Train an attribute classifier on a folder of faces.

    Args:
        folder: real faces with a table of attributes. Only rows of the wanted partition are learnt from.
        out: run folder: config.json, checkpoint-*/, log.jsonl, and model/ when it is finished. New; an unfinished run
            with the same arguments is continued.
        config: see ``ClassifierTraining``.
        resume: there must be a run in ``out``; continue its newest checkpoint.
        minutes: save and return after so many minutes, finished or not.
        partition: "train", "val", "test" or "all"; None is the train rows where a table has any, else all rows.
        license: of the weights; for faces from CelebA "LicenseRef-CelebA-NonCommercial".
        data: what the faces were, for the card.
        device: where to compute; None is the GPU where there is one, else the CPU.
        on_progress: called every ``config.log_every`` faces, with their number and a line on how it goes.

    Raises:
        RefusedError: no readable faces, no attribute with enough faces on both sides, or ``out`` holds something else.
        Interrupted: SIGINT or SIGTERM; everything is saved first.
    """
    folder, run, began = folder if isinstance(folder, FaceFolder) else FaceFolder(folder), Path(out), time.monotonic()
    rows, _ = select_rows(folder.annotations, partition)
    columns = _columns(folder, rows)
    labelled, unreadable = load_labelled(folder, rows, columns, crop=config.crop)
    open_run(run, folder, config, resume=resume, init=None)
    held = hold_back(labelled.identity, config.held_back, config.seed)
    shown, kept_back = (labelled.part(np.flatnonzero(which)) for which in (~held, held))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    lessons = Lessons(config, shown, kept_back, place)
    deadline = math.inf if minutes is None else began + 60 * minutes
    with Signals() as signals, explained(run):
        if found := checkpoints(run):
            lessons.restore(read_checkpoint(found[-1]))
        _learn(lessons, run, lambda: bool(signals.received) or time.monotonic() >= deadline, on_progress)
    if signals.received:
        raise Interrupted(
            f"stopped by {signals.received} at {lessons.images:,} of {config.images:,} faces; --resume continues"
        )
    finished, metrics = lessons.images >= config.images, None
    if finished:
        facts = {"data": data or f"{folder.root.name}, see the run's log"}
        unseen = unseen_rows(folder, rows)
        metrics = _export(run, lessons, columns, facts, license, folder, unseen)
    return ClassifierReport(
        run, run / "model" if finished else None, lessons.images, finished, len(lessons.shown), len(lessons.held),
        _names(columns), metrics, tuple(unreadable), time.monotonic() - began,
    )  # fmt: skip


def _columns(folder: FaceFolder, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    columns = learnable(folder.annotations.attributes[rows])
    if not len(columns):
        raise RefusedError(
            f"{printable(folder.root)}: no attribute has enough faces with it and without it among {len(rows):,}; a "
            "classifier needs a table of attributes (list_attr_celeba.txt, or columns in metadata.csv)"
        )
    return columns


def _names(columns: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(ATTRIBUTES[k] for k in columns.tolist())


def _learn(
    lessons: Lessons, run: Path, stopped: Callable[[], bool], on_progress: Callable[[int, str], None] | None
) -> None:
    config = lessons.config
    with RunLog(run, lessons.images, tensorboard=False) as log:
        clock = (time.monotonic(), lessons.images)
        while lessons.images < config.images and not stopped():
            lessons.step()
            if passed(lessons.images, config.batch, config.log_every):
                now = time.monotonic()
                rate = (lessons.images - clock[1]) / max(now - clock[0], 1e-9)
                clock = (now, lessons.images)
                log.write(lessons.images, {"loss": lessons.loss, "images_per_s": round(rate, 1)})
                if on_progress is not None:
                    left = max(config.images - lessons.images, 0) / max(rate, 1e-9) / 60
                    line = f"{rate:,.0f} faces/s  loss {lessons.loss:.3f}  {left:.0f} min left"
                    on_progress(lessons.images, line)
            if passed(lessons.images, config.batch, config.checkpoint_every) or lessons.images >= config.images:
                log.write(lessons.images, {"area_under_curve": lessons.look()})
                write_checkpoint(run, lessons.checkpoint())
        if lessons.images < config.images:
            # No look now: which weights are the best must not depend on when a run was stopped.
            write_checkpoint(run, lessons.checkpoint())


def unseen_rows(folder: FaceFolder, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of a partition that is not learnt from: the val rows, or the test rows where those were learnt from."""
    known = folder.annotations
    for name in ("val", "test"):
        found = np.setdiff1d(np.flatnonzero((known.origin == 0) & (known.partition == PARTITIONS[name])), rows)
        if len(found) >= _ENOUGH:
            return found
    return np.empty(0, np.int64)


def _export(
    run: Path, lessons: Lessons, columns: NDArray[np.int64], facts: dict[str, Any], license: str, folder: FaceFolder,
    unseen: NDArray[np.int64],
) -> dict[str, Any] | None:  # fmt: skip
    """Write run/model: calibrated by the faces held back, measured on unseen ones."""
    network, config = calibrated(
        lessons, name=run.resolve().name, attributes=_names(columns), license=license, facts=facts
    )
    save_classifier(run / "model", network, config)
    metrics = None
    if len(unseen):
        others, _ = load_labelled(folder, unseen, columns, crop=lessons.config.crop)
        number = int(folder.annotations.partition[unseen[0]])
        metrics = measure(load_classifier(run / "model"), others) | {"partition": list(PARTITIONS)[number]}
        save_classifier(run / "model", network, config, metrics)
    finish_output(run, marker=RUN_FILE, document=json.loads((run / RUN_FILE).read_bytes()))
    return metrics


def calibrated(
    lessons: Lessons, *, name: str, attributes: tuple[str, ...], license: str, facts: dict[str, Any]
) -> tuple[AttributeNetwork, ClassifierConfig]:
    """The best weights with thresholds in the last layer, and their config; both by the faces held back.

    What the last layer says becomes the logarithm of odds (Platt 1999), less what it is before any face is seen: 0 is
    where the shares recognised of faces with and without the attribute add up to most.
    """
    config, held = lessons.config, lessons.held
    scores = lessons.scores(held.pixels, best=True)
    labels = lessons.shown.labels
    prevalence = (labels > 0).sum(axis=0) / np.maximum((labels != 0).sum(axis=0), 1)
    network = copy.deepcopy(lessons.best).cpu()
    accuracies = []
    with torch.no_grad():
        for k, (score, label) in enumerate(zip(scores.T, held.labels.T, strict=True)):
            scale, shift = fit_odds(score, label)
            shift -= math.log(prevalence[k] / (1 - prevalence[k]))
            network.fc.weight[k] *= scale
            network.fc.bias[k] = network.fc.bias[k] * scale + shift
            accuracies.append(balanced_accuracy(scale * score + shift > 0, label))
    training = facts | {
        "faces": len(lessons.shown), "faces_held_back": len(held), "faces_shown": lessons.images,
        "optimizer": f"AdamW {config.learning_rate}, weight decay {config.weight_decay}, batch {config.batch}",
        "seen_as": "mirrored, moved, turned, squeezed, lit otherwise, coarse, partly hidden", "seed": config.seed,
    }  # fmt: skip
    # Where a kind is missing among the faces held back, nothing is known: as good as a guess.
    known = tuple(round(0.5 if math.isnan(a) else a, 4) for a in accuracies)
    return network, ClassifierConfig(
        name=name, crop=config.crop, attributes=attributes, prevalence=tuple(round(float(p), 5) for p in prevalence),
        balanced_accuracy=known, license=license, training=training,
    )  # fmt: skip


def measure(classifier: AttributeClassifier, faces: Labelled) -> dict[str, Any]:
    """Figures for the card: accuracy, balanced accuracy and area under the curve, by attribute and size of the faces.

    Args:
        classifier: what is measured.
        faces: none of which it has seen; labels in the order of its attributes.

    Returns:
        "n", "prevalence" by attribute, and "sizes": by side in pixels, by figure, by attribute. Attributes that are
        missing on one side are left out.
    """
    names = classifier.attributes
    shown = {str(classifier.config.size): faces.pixels, str(COARSE): _reduced(faces.pixels)}
    kept = [k for k in range(len(names)) if (faces.labels[:, k] > 0).any() and (faces.labels[:, k] < 0).any()]
    sizes = {}
    for side, pixels in shown.items():
        logits = classifier.logits(pixels)
        figures: dict[str, dict[str, float]] = {"accuracy": {}, "balanced_accuracy": {}, "area_under_curve": {}}
        for k in kept:
            labels, answers = faces.labels[:, k], logits[:, k] > 0
            known = labels != 0
            figures["accuracy"][names[k]] = round(float((answers[known] == (labels[known] > 0)).mean()), 4)
            figures["balanced_accuracy"][names[k]] = round(balanced_accuracy(answers, labels), 4)
            figures["area_under_curve"][names[k]] = round(area_under_curve(logits[:, k], labels), 4)
        sizes[side] = figures
    shares = {names[k]: round(float((faces.labels[:, k] > 0).sum() / (faces.labels[:, k] != 0).sum()), 4) for k in kept}
    return {"n": len(faces), "prevalence": shares, "sizes": sizes}


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Faces averaged down to 32 pixels: uint8 (n, 3, 32, 32)."""
    side = pixels.shape[2] // COARSE
    means: NDArray[np.float64] = pixels.reshape(len(pixels), 3, COARSE, side, COARSE, side).mean(axis=(3, 5))
    return np.rint(means).astype(np.uint8)
