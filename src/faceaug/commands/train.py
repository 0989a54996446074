"""`faceaug train`: train a generator, or with --classifier an attribute classifier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceaug.errors import ArgumentError
from faceaug.progress import Progress, open_progress

if TYPE_CHECKING:
    from faceaug.data.folder import FaceFolder
    from faceaug.train import TrainReport
    from faceaug.train.reports import ClassifierReport

_NOT_OF_A_CLASSIFIER = {"preset": "--preset", "init": "--init", "size": "--size", "tensorboard": "--tensorboard"}


def train_network(
    folder: Path | FaceFolder,
    run: Path,
    *,
    classifier: bool,
    preset: str | None,
    settings: tuple[str, ...],
    resume: bool,
    init: str | None,
    tensorboard: bool,
    changes: dict[str, Any],
    progress: bool,
    **session: Any,
) -> TrainReport | ClassifierReport:
    """Choose the config and train a generator or a classifier.

    Args:
        folder: folder of faces.
        run: the run folder.
        classifier: whether to train a classifier.
        preset: name of a preset; None chooses one.
        settings: config fields as NAME=VALUE.
        resume: whether to continue the run.
        init: model to start from; None for random weights.
        tensorboard: whether to write a TensorBoard log too.
        changes: config fields that have their own options; None if not given.
        progress: whether to show progress.
        **session: ``minutes``, ``began``, ``partition`` and ``device`` of ``train_gan``.

    Raises:
        ArgumentError: an option does not apply to a classifier, or torchrun started several processes for one.
    """
    shown = open_progress(progress)
    given = {key: value for key, value in changes.items() if value is not None}
    if classifier:
        options = given | {"preset": preset, "init": init, "tensorboard": tensorboard}
        if wrong := [option for name, option in _NOT_OF_A_CLASSIFIER.items() if options.get(name)]:
            raise ArgumentError(f"{wrong[0]}: does not apply to --classifier")
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise ArgumentError("--classifier: trains in one process; start it without torchrun")
        _import_torch(shown)
        from faceaug.train.classifier import choose_classifier, train_classifier

        chosen = choose_classifier(resume=run if resume else None, settings=settings, **given)
        return train_classifier(folder, run, chosen, resume=resume, progress=shown, **session)
    _import_torch(shown)
    from faceaug.train import choose_config, parse_settings, train_gan

    config = choose_config(preset, init, resume=run if resume else None, **parse_settings(settings) | given)
    return train_gan(folder, run, config, resume=resume, init=init, tensorboard=tensorboard, progress=shown, **session)


def _import_torch(shown: Progress) -> None:
    """Import torch with a progress phase, because it takes seconds."""
    with shown.phase("loading", 1, "packages", at_once=True) as phase:
        import faceaug.train  # noqa: F401

        phase.advance()
