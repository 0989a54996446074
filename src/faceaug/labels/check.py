"""Check the labels of a folder: ``check_labels``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, ORIGINS, REAL, attribute_index, settle
from faceaug.data.folder import FaceFolder
from faceaug.errors import RefusedError, counted, printable
from faceaug.labels.correlations import correlate
from faceaug.labels.disagreements import (
    CheckedAttribute,
    LabelProposal,
    SkippedAttribute,
    check_attribute,
    require_cleanlab,
)
from faceaug.labels.embeddings import choose_model
from faceaug.labels.people import PeopleCheck, check_people
from faceaug.labels.report import LabelReport
from faceaug.labels.seen import Seen, look_at
from faceaug.progress import Progress, Show, open_progress
from faceaug.synthesize.classifier import AttributeClassifier, load_classifier


def check_labels(
    folder: Path | str | FaceFolder,
    attributes: Sequence[str] | None = None,
    *,
    embedding: Path | str | None = None,
    workers: int | None = None,
    device: str | None = None,
    progress: Show = None,
) -> LabelReport:
    """Find labels that seem wrong, attributes that go together, and people under wrong names. Changes nothing.

    Each label of an attribute is compared with what the bundled classifier sees in the picture, read by a small
    classifier that has not learnt from this picture. Unknown labels are not guessed.

    Args:
        folder: a folder or ``FaceFolder`` with labels of attributes or identities.
        attributes: attributes to check; None for all forty.
        embedding: ONNX file that turns faces into vectors, to compare people; None for dlib's network if it is
            installed (extra ``identities``).
        workers: processes that compute embeddings, >= 0; None chooses.
        device: where the classifier computes; None for the CPU.
        progress: see ``faceaug.progress.open_progress``.

    Returns:
        The report; ``proposals`` has the labels in doubt.

    Raises:
        ArgumentError: cleanlab is not installed (extra ``labels``), an unknown attribute, or no such folder or file.
        RefusedError: there are neither labels of attributes nor identities, the folder is ambiguous about them, or no
            picture can be read.
        WeightsError: the ONNX file is no model of faces.

    Example:
        >>> from faceaug import SyntheticFaceSource, check_labels
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("faces", 60)
        >>> report = check_labels("faces", ["Male"])
        >>> report.attributes[0].known, report.people is None
        (60, True)
    """
    require_cleanlab()
    asked = check_names(attributes)
    faces = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    model = require_labels(faces, embedding)
    shown = open_progress(progress)
    known = faces.annotations
    rows, notes = _rows(faces)
    labels = known.attributes[rows]
    classifier = load_classifier(device=device) if labels.any() else None
    seen = look_at(faces, rows[labels.any(axis=1)], classifier, shown) if classifier else None
    found = _attributes(faces, seen, asked, shown) if seen else ((), (), ())
    return LabelReport(
        folder=str(faces.root),
        pictures=len(rows),
        classifier=classifier.config.name if classifier else "",
        attributes=found[0],
        skipped=found[1],
        proposals=found[2],
        correlations=correlate(labels, known.partition[rows]),
        people=_people(faces, rows, model, workers, shown),
        notes=(*notes, *(_learnt(faces, rows, classifier) if classifier else ())),
        unreadable=seen.unreadable if seen else (),
    )


def check_names(attributes: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes to check; all if None.

    Raises:
        ArgumentError: an unknown attribute.
    """
    if attributes is None:
        return ATTRIBUTES
    chosen = {attribute_index(name) for name in attributes}
    return tuple(ATTRIBUTES[k] for k in sorted(chosen))


def require_labels(faces: FaceFolder, embedding: Path | str | None) -> str | None:
    """Check that there is something to check. Returns the model of embeddings, None if there is none.

    Raises:
        ArgumentError: there is no such file, or onnxruntime is missing.
        RefusedError: there are neither labels of attributes nor identities, or the folder is ambiguous about them.
        WeightsError: the file is no model of faces.
    """
    known = faces.annotations
    settle(known, ("attributes", "identity"))
    if not known.attributes.any() and not (known.identity >= 0).any():
        raise RefusedError(
            f"{printable(faces.root)}: no picture has a label of an attribute or an identity, so there is nothing to "
            "check; see `faceaug info FOLDER` for what was read"
        )
    return choose_model(embedding)


def _rows(faces: FaceFolder) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The real pictures, or all if none is real; and a note on others."""
    origin = faces.annotations.origin
    rows = np.flatnonzero(origin == REAL)
    if not len(rows):
        return np.arange(len(faces)), ()
    others = len(faces) - len(rows)
    kinds = " and ".join(name for k, name in enumerate(ORIGINS) if k != REAL and (origin == k).any())
    note = f"{counted(others, 'picture is', 'pictures are')} {kinds} and {'was' if others == 1 else 'were'} left out"
    return rows, (note,) if others else ()


def _attributes(
    faces: FaceFolder, seen: Seen, asked: Sequence[str], progress: Progress
) -> tuple[tuple[CheckedAttribute, ...], tuple[SkippedAttribute, ...], tuple[LabelProposal, ...]]:
    labels = faces.annotations.attributes[seen.rows]
    names = [faces.names[row] for row in seen.rows.tolist()]
    checked: list[CheckedAttribute] = []
    skipped: list[SkippedAttribute] = []
    proposals: list[LabelProposal] = []
    with progress.phase("comparing labels", len(asked), "attributes") as phase:
        for attribute in phase.over(asked):
            found = check_attribute(attribute, seen.logits, labels, names)
            if isinstance(found, SkippedAttribute):
                skipped.append(found)
            else:
                checked.append(found[0])
                proposals += found[1]
    return tuple(checked), tuple(skipped), tuple(proposals)


def _learnt(faces: FaceFolder, rows: NDArray[np.int64], classifier: AttributeClassifier) -> tuple[str, ...]:
    """A note where the classifier may know the labels by heart."""
    if faces.layout != "celeba" or not (faces.annotations.partition[rows] == 0).any():
        return ()
    remembers = "where it remembers a wrong label of theirs, the label is not doubted"
    return (f"{classifier.config.name} learnt from CelebA's train rows: {remembers}",)


def _people(
    faces: FaceFolder, rows: NDArray[np.int64], model: str | None, workers: int | None, progress: Progress
) -> PeopleCheck | None:
    if not (faces.annotations.identity[rows] >= 0).any():
        return None
    return check_people(faces, rows, model, workers=workers, progress=progress)
