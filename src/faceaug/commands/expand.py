"""`faceaug expand`: rows made again, and the audit that goes with a set of faces of nobody.

Mixing lies below evaluating; this is where the two meet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ALL, PARTITIONS
from faceaug.errors import ArgumentError
from faceaug.evaluate.copies import find_copies
from faceaug.evaluate.features import describe, open_extractor
from faceaug.evaluate.neighbours import meet, surround
from faceaug.mix.mixture import Mixture
from faceaug.mix.pictures import small_picture
from faceaug.mix.replay import Replayed, replay_row
from faceaug.mix.report import Appendix
from faceaug.progress import SILENT, Progress
from faceaug.reports.sections import Heading, Notes, Paragraph

_UNSEEN = 5_000  # real faces of the control
_LEARNT, _SHOWN = 5_000, 2_000  # faces whose features are compared: training, and generated or unseen
_FEWEST = 20


def replay_to(
    folder: Path, row: str, out: Path, *, faces: Path | None = None,
    models: str | dict[str, str] | None = None, recipe: Path | None = None,
) -> Replayed:  # fmt: skip
    """Make a row of an expanded folder again and write its picture.

    Raises:
        ArgumentError: no such row, or ``out`` is a folder.
    """
    if out.is_dir():
        raise ArgumentError(f"{out}: with --replay, --out is the picture to write")
    if isinstance(models, dict):
        raise ArgumentError("--replay needs one model: the one that made the row")
    made = replay_row(folder, row, faces=faces, source=models, recipe=recipe)
    made.save(out)
    return made


def audit(dataset: Mixture, progress: Progress = SILENT) -> Appendix:
    """Whether the synthetic faces of a dataset show training faces again, beside the same for faces nobody has seen.

    Numbers only: the page goes with a set that holds no real face.

    Args:
        dataset: with synthetic faces.
        progress: shows the phases.
    """
    faces = np.stack([dataset.synthetic[k] for k in range(len(dataset.synthetic))])
    training = _real(dataset, dataset.plan.used, progress)
    unseen = _real(dataset, _unseen_rows(dataset), progress)
    search = find_copies(faces, training, unseen if len(unseen) else None, progress)
    document: dict[str, object] = {
        "faces": len(faces), "training": len(training), "unseen": len(unseen), "copies": len(search.copies),
        "unseen_copies": search.unseen_copies if len(unseen) else None, "compared": search.compared,
    }  # fmt: skip
    control = f" (of {len(unseen):,} unseen real faces: {search.unseen_copies})" if len(unseen) else ""
    lines = [f"copies of the {len(training):,} training faces, found as by clean: {len(search.copies)}{control}"]
    try:
        found = _authenticity(faces, training, unseen, progress)
    except ArgumentError as error:  # the extra with the network is not installed
        lines.append(f"authenticity was not measured: {error}")
    else:
        document |= found
        words = {"authenticity": "authenticity", "unseen_authenticity": "authenticity of unseen real faces"}
        lines += [f"{words[name]}: {value:.1%}" for name, value in found.items()]
    text = (
        "A face is a copy if it, or its mirror image, looks like a training face at a glance (at most 6 of 64 bits of "
        "their perceptual hashes differ) and the pixels then show one photo. Authenticity is the share of faces that "
        "are farther from their nearest training face, by features of a network, than that one is from its own nearest "
        "neighbour; faces the model has never seen are the control. Neither proves that no person can be recognised."
    )
    return Appendix("memorisation", document, tuple(lines), (Heading("Memorisation"), Paragraph(text), Notes(lines)))


def _authenticity(
    faces: NDArray[np.uint8], training: NDArray[np.uint8], unseen: NDArray[np.uint8], progress: Progress
) -> dict[str, float]:
    if min(len(training), len(faces)) < _FEWEST:
        return {}
    eye = open_extractor()
    known = _some(training, _LEARNT)
    asked = {"authenticity": _some(faces, _SHOWN), "unseen_authenticity": _some(unseen, _SHOWN)}
    found = {}
    with progress.phase("describing", len(known) + sum(map(len, asked.values())), "faces") as phase:
        learnt = surround(describe(eye, known, phase.advance))
        for name, pixels in asked.items():
            if len(pixels) >= _FEWEST:
                met = meet(surround(describe(eye, pixels, phase.advance)), learnt)
                found[name] = float((met.distance > learnt.nearest[met.nearest]).mean())
    return found


def _unseen_rows(dataset: Mixture) -> NDArray[np.int64]:
    """Validation rows, else test rows, that the dataset is not made from."""
    known = dataset.real.annotations
    for name in (name for name in PARTITIONS if name not in {"train", ALL}):
        rows = np.setdiff1d(
            np.flatnonzero((known.partition == PARTITIONS[name]) & (known.origin == 0)), dataset.plan.used
        )
        if len(rows):
            return rows[:_UNSEEN]
    return np.empty(0, np.int64)


def _real(dataset: Mixture, rows: NDArray[np.int64], progress: Progress) -> NDArray[np.uint8]:
    """Real faces as the model saw them: uint8 (n, 3, H, W), without those that cannot be read."""
    side, crop = dataset.synthetic.shape[-1], dataset.frame.crop
    with progress.phase("reading", len(rows), "pictures") as phase:
        pictures = (small_picture(dataset.real, row, crop, side) for row in phase.over(rows.tolist()))
        found = [image for image in pictures if image is not None]
    empty = np.empty((0, 3, side, side), np.uint8)
    return np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2)) if found else empty


def _some(faces: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    places = np.unique(np.linspace(0, len(faces) - 1, min(len(faces), most)).astype(np.int64))
    return np.ascontiguousarray(faces[places])
