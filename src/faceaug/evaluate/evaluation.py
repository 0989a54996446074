"""evaluate_source: figures and controls for the faces of a generator.

The two public functions take the options as keywords and put them into one ``EvaluationOptions``, which everything
below passes on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from faceaug.data.crop import Crop
from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, counted, printable
from faceaug.evaluate.comparison import Comparison
from faceaug.evaluate.evaluated import (
    Source,
    folder_names,
    generate_faces,
    is_model,
    open_source,
    read_faces,
    shared_pictures,
    usual_side,
)
from faceaug.evaluate.features import CLASSIFIER, DEFAULT_EXTRACTOR, Extractor, ExtractorName, open_extractor
from faceaug.evaluate.options import MOST_REAL, N_FACES, REQUESTS, SMALLEST_SIDE, EvaluationOptions
from faceaug.evaluate.real import choose_reference, choose_rows, load_real
from faceaug.evaluate.report import EvaluationReport, FaceNames
from faceaug.progress import Progress, Show, open_progress
from faceaug.synthesize import SyntheticFaceSource


def evaluate_source(
    source: Source,
    faces: str | Path | FaceFolder,
    *,
    n: int = N_FACES,
    extractor: str | Extractor | nn.Module = DEFAULT_EXTRACTOR,
    partition: str | None = None,
    against: str | None = None,
    real: int = MOST_REAL,
    seed: int = 0,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
    requests: int = REQUESTS,
    crop: Crop | None = None,
    size: int | None = None,
    progress: Show = None,
) -> EvaluationReport:
    """Compare generated faces with real ones: fidelity, diversity, attributes and memorisation, with controls.

    Or compare the pictures of two folders: the first may hold the faces of any generator, or real ones.

    Args:
        source: a source, or an argument of ``SyntheticFaceSource.from_pretrained``; None is "faces-64". Or a folder of
            pictures, of which the largest centred square is used: its path, if there is no model, or a ``FaceFolder``.
        faces: folder of the training faces, cropped and resized as the model's config says; or the folder that another
            folder is compared with.
        n: number of generated faces, the first of the stream, or largest number of pictures of a folder; at least 10.
        extractor: "efficientnet-lite0", "inception", "attributes-64", a torch module or an ``Extractor``; see
            ``faceaug.evaluate.open_extractor``.
        partition: rows the model may have been trained on: "train", "val", "test" or "all"; None is the train rows if a
            table marks any, else all.
        against: unseen rows for the controls; None is the val rows, or the test rows if there are fewer than 10.
        real: largest number of training faces, and of unseen faces, drawn at random.
        seed: seed of the draws, and of the faces if ``source`` is not a source yet.
        weights: file with the extractor's weights, if they are not bundled.
        download: whether models and weights may be downloaded.
        device: device of the model and the named extractors; the CPU by default.
        requests: number of faces requested with each attribute, and without it, from a model that takes attributes; 0
            skips this test.
        crop: crop of the pictures of ``faces``, if ``source`` is a folder; "square" by default.
        size: height and width to which the pictures of both folders are resized, pixels; by default the smallest of
            their usual sizes and of the extractor's input. A model has its own crop and size.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

    Raises:
        ArgumentError: n < 10, an unknown model, partition or extractor, or one that is not installed; crop or size for
            a model.
        RefusedError: fewer than 10 faces in a folder.
        WeightsError: the model is damaged.
        FaceAugError: the extractor fails, or makes something other than features.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import evaluate_source
        >>> Path("faces").mkdir()
        >>> for k, face in enumerate(np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)):
        ...     Image.fromarray(face).save(f"faces/{k}.png")
        >>> report = evaluate_source("dcgan-32", "faces", n=20, extractor="attributes-64", progress=False)
        >>> len(report.memorisation.copies)
        0
        >>> same = evaluate_source("faces", "faces", extractor="attributes-64", progress=False)
        >>> len(same.memorisation.copies), round(same.figures[0].frechet, 3)
        (20, 0.0)
    """
    options = EvaluationOptions(
        n=n,
        extractor=extractor,
        partition=partition,
        against=against,
        real=real,
        seed=seed,
        weights=weights,
        download=download,
        device=device,
        requests=requests,
        crop=crop,
        size=size,
    )
    return report_evaluation(source, faces, options, progress)


def evaluate_memorisation(
    source: Source,
    faces: str | Path | FaceFolder,
    *,
    n: int = N_FACES,
    extractor: str | Extractor | nn.Module = CLASSIFIER,
    partition: str | None = None,
    against: str | None = None,
    real: int = MOST_REAL,
    seed: int = 0,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
    crop: Crop | None = None,
    size: int | None = None,
    progress: Show = None,
) -> EvaluationReport:
    """Test whether generated faces copy training faces: the memorisation part of ``evaluate_source``.

    Every generated face is compared with its nearest training face by features of the bundled classifier, which needs
    no extra; unseen real faces are the control. Copies are found by perceptual hash and verified as in cleaning.

    The arguments are those of ``evaluate_source``.

    Returns:
        A report without fidelity figures.
    """
    options = EvaluationOptions(
        n=n,
        extractor=extractor,
        partition=partition,
        against=against,
        real=real,
        seed=seed,
        weights=weights,
        download=download,
        device=device,
        crop=crop,
        size=size,
    )
    return report_memorisation(source, faces, options, progress)


def report_evaluation(
    source: Source, faces: str | Path | FaceFolder, options: EvaluationOptions, progress: Show = None
) -> EvaluationReport:
    """``evaluate_source`` with its options as one object."""
    return _compared(source, faces, options, DEFAULT_EXTRACTOR, progress).report(options.requests)


def report_memorisation(
    source: Source, faces: str | Path | FaceFolder, options: EvaluationOptions, progress: Show = None
) -> EvaluationReport:
    """``evaluate_memorisation`` with its options as one object."""
    return _compared(source, faces, options, CLASSIFIER, progress).audit()


def _compared(
    source: Source,
    faces: str | Path | FaceFolder,
    options: EvaluationOptions,
    extractor: ExtractorName,
    progress: Show,
) -> Comparison:
    """Generate and read the faces, and compute their features; ``extractor`` is the default one."""
    shown = open_progress(progress)
    opened = open_source(source, options)
    if isinstance(opened, FaceFolder) and not isinstance(faces, FaceFolder) and is_model(faces):
        raise ArgumentError(f"{printable(faces)}: a model, not a folder of pictures; the model comes first")
    eye = open_extractor(
        extractor if options.extractor is None else options.extractor,
        weights=options.weights,
        download=options.download,
        device=options.device,
    )
    folder = faces if isinstance(faces, FaceFolder) else FaceFolder(faces)
    if isinstance(opened, FaceFolder):
        return _of_folder(opened, folder, eye, options, shown)
    return _of_generator(opened, folder, eye, options, shown)


def _of_generator(
    source: SyntheticFaceSource, folder: FaceFolder, eye: Extractor, options: EvaluationOptions, shown: Progress
) -> Comparison:
    """Compare generated faces with real ones that are cropped and sized as the model's config says."""
    config = source.config
    if options.crop is not None or options.size is not None:
        raise ArgumentError(
            f"crop {options.crop!r}, size {options.size!r}: the config of {config.name} decides (crop {config.crop}, "
            f"{config.size} px); they can be given where two folders are compared"
        )
    names = FaceNames()
    rows = choose_rows(folder, options)
    real = load_real(folder, rows, names, options, crop=config.crop, size=config.size, progress=shown)
    made = generate_faces(source, options.n, shown)
    return Comparison(made, folder, real, eye, names=names, crop=config.crop, seed=options.seed, progress=shown)


def _of_folder(
    folder: FaceFolder, other: FaceFolder, eye: Extractor, options: EvaluationOptions, shown: Progress
) -> Comparison:
    """Compare the pictures of two folders, at the smallest of: their usual sizes, and the extractor's input."""
    crop = options.crop or "square"
    same = folder.root.resolve() == other.root.resolve()
    own: Crop = crop if same else "square"
    rows = choose_reference(other, options)
    sides = [usual_side(folder, range(len(folder)), own), usual_side(other, rows.training.tolist(), crop)]
    size = options.size or max(SMALLEST_SIDE, min(*sides, eye.input_side or min(sides)))
    names = folder_names(folder, other, rows)
    real = load_real(other, rows, names, options, crop=crop, size=size, progress=shown)
    made = read_faces(folder, size, own, options, shown)
    notes = ["both folders are the same one"] if same else []
    if shared := 0 if same else shared_pictures(folder, other):
        of = printable(folder.root)
        also = counted(shared, f"picture of {of} is", f"pictures of {of} are")
        notes.append(f"{also} also in {printable(other.root)}")
    if own != crop:
        one, two = printable(folder.root), printable(other.root)
        notes.append(f"crop {crop} cuts the pictures of {two} alone; those of {one} are their largest centred squares")
    if sides[0] != sides[1]:
        notes.append(
            f"the pictures have {sides[0]} and {sides[1]} pixels; all were resized to {size}, which affects the figures"
        )
    made = replace(made, notes=(*notes, *made.notes))
    return Comparison(made, other, real, eye, names=names, crop=crop, seed=options.seed, progress=shown)
