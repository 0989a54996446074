"""`faceaug expand`: replay of rows, and the memorisation audit of a purely synthetic set.

The audit needs both ``mix`` and ``evaluate``. ``mix`` may not import ``evaluate``, so it is here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ALL, PARTITIONS
from faceaug.data.marks import REPLAYED
from faceaug.errors import ArgumentError, printable
from faceaug.evaluate.copies import find_copies
from faceaug.evaluate.features import describe, open_extractor
from faceaug.evaluate.neighbours import meet, surround
from faceaug.mix.mixture import Mixture
from faceaug.mix.pictures import small_picture
from faceaug.mix.replay import Replayed, replay_row
from faceaug.mix.report import Appendix
from faceaug.progress import SILENT, Progress
from faceaug.reports.sections import Heading, Notes, Paragraph
from faceaug.storage.outputs import check_output

_UNSEEN = 5_000  # most unseen real faces of the control
_TRAINING_FEATURES = 5_000  # most training faces whose features are compared
_OTHER_FEATURES = 2_000  # most generated, and most unseen, faces whose features are compared
_FEWEST = 20  # faces needed to measure authenticity


def replay_to(
    folder: Path,
    row: str,
    out: Path,
    *,
    faces: Path | None = None,
    models: str | dict[str, str] | None = None,
    recipe: Path | None = None,
    overwrite: bool = False,
) -> Replayed:
    """Regenerate one row of an expanded folder and write its picture, outside the folders that are read.

    Raises:
        ArgumentError: the row does not exist, ``out`` is a folder or has another ending, or several models are given.
        RefusedError: ``out`` is another file, or lies in one of the folders.
    """
    if out.is_dir():
        raise ArgumentError(f"{printable(out)}: with --replay, --out is the picture to write")
    check_output(out, REPLAYED, overwrite=True, apart_from=[folder] if faces is None else [folder, faces])
    if isinstance(models, dict):
        raise ArgumentError("--replay needs one model: the one that made the row")
    made = replay_row(folder, row, faces=faces, source=models, recipe=recipe)
    made.save(out, overwrite=overwrite)
    return made


def audit(dataset: Mixture, progress: Progress = SILENT) -> Appendix:
    """Measure how many synthetic faces of a dataset are copies of training faces, with unseen real faces as control.

    The result has only numbers, because it accompanies a set without real faces.

    Args:
        dataset: a dataset with synthetic faces.
        progress: reports the phases.
    """
    faces = np.stack([dataset.synthetic[k] for k in range(len(dataset.synthetic))])
    training = _real(dataset, dataset.plan.used, progress)
    unseen = _real(dataset, _unseen_rows(dataset), progress)
    search = find_copies(faces, training, unseen if len(unseen) else None, progress)
    document: dict[str, object] = {
        "faces": len(faces),
        "training": len(training),
        "unseen": len(unseen),
        "copies": len(search.copies),
        "unseen_copies": search.unseen_copies if len(unseen) else None,
        "compared": search.compared,
    }
    control = f" (of {len(unseen):,} unseen real faces: {search.unseen_copies})" if len(unseen) else ""
    lines = [f"copies of the {len(training):,} training faces, by the criteria of clean: {len(search.copies)}{control}"]
    try:
        found = _authenticity(faces, training, unseen, progress)
    except ArgumentError as error:  # the extra with the extractor is not installed
        lines.append(f"authenticity was not measured: {error}")
    else:
        document |= found
        words = {"authenticity": "authenticity", "unseen_authenticity": "authenticity of unseen real faces"}
        lines += [f"{words[name]}: {value:.1%}" for name, value in found.items()]
    text = (
        "A face is a copy if it, or its mirror image, has a perceptual hash close to that of a training face (at most "
        "6 of 64 bits differ) and a comparison of the pixels confirms it. Authenticity is the share of faces that are "
        "farther from their nearest training face, by features of a network, than that one is from its own nearest "
        "neighbour; unseen real faces are the control. Neither proves that no person can be recognised."
    )
    return Appendix("memorisation", document, tuple(lines), (Heading("Memorisation"), Paragraph(text), Notes(lines)))


def _authenticity(
    faces: NDArray[np.uint8], training: NDArray[np.uint8], unseen: NDArray[np.uint8], progress: Progress
) -> dict[str, float]:
    if min(len(training), len(faces)) < _FEWEST:
        return {}
    extractor = open_extractor()
    known = _sample(training, _TRAINING_FEATURES)
    tested = {
        "authenticity": _sample(faces, _OTHER_FEATURES),
        "unseen_authenticity": _sample(unseen, _OTHER_FEATURES),
    }
    found = {}
    with progress.phase("describing", len(known) + sum(map(len, tested.values())), "faces") as phase:
        learnt = surround(describe(extractor, known, phase.advance))
        for name, pixels in tested.items():
            if len(pixels) >= _FEWEST:
                met = meet(surround(describe(extractor, pixels, phase.advance)), learnt)
                found[name] = met.authenticity(learnt)
    return found


def _unseen_rows(dataset: Mixture) -> NDArray[np.int64]:
    """Validation rows, else test rows, that the dataset does not use."""
    known = dataset.real.annotations
    for name in (name for name in PARTITIONS if name not in {"train", ALL}):
        rows = np.setdiff1d(
            np.flatnonzero((known.partition == PARTITIONS[name]) & (known.origin == 0)), dataset.plan.used
        )
        if len(rows):
            return rows[:_UNSEEN]
    return np.empty(0, np.int64)


def _real(dataset: Mixture, rows: NDArray[np.int64], progress: Progress) -> NDArray[np.uint8]:
    """Real faces cropped and scaled as for the model: uint8 (n, 3, H, W), without unreadable ones."""
    side = dataset.synthetic.shape[-1]
    crop = dataset.frame.crop
    with progress.phase("reading", len(rows), "pictures") as phase:
        pictures = (small_picture(dataset.real, row, crop, side) for row in phase.over(rows.tolist()))
        found = [image for image in pictures if image is not None]
    empty = np.empty((0, 3, side, side), np.uint8)
    return np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2)) if found else empty


def _sample(faces: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    places = np.unique(np.linspace(0, len(faces) - 1, min(len(faces), most)).astype(np.int64))
    return np.ascontiguousarray(faces[places])
