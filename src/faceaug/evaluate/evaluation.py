"""evaluate_source: figures and controls for the faces of a generator.

The two public functions take the options as keywords and put them into one ``EvaluationOptions``, which everything
below passes on.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from faceaug.data.folder import FaceFolder
from faceaug.evaluate.candidates import generate_candidates, open_source
from faceaug.evaluate.comparison import Comparison
from faceaug.evaluate.features import CLASSIFIER, DEFAULT_EXTRACTOR, Extractor, ExtractorName, open_extractor
from faceaug.evaluate.options import FACES, MOST_REAL, REQUESTS, EvaluationOptions
from faceaug.evaluate.real import choose_real
from faceaug.evaluate.report import EvaluationReport
from faceaug.progress import Show, open_progress
from faceaug.synthesize import SyntheticFaceSource

Source = SyntheticFaceSource | str | Path | None


def evaluate_source(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    *,
    n: int = FACES,
    extractor: str | Extractor | nn.Module = DEFAULT_EXTRACTOR,
    partition: str | None = None,
    against: str | None = None,
    real: int = MOST_REAL,
    seed: int = 0,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
    requests: int = REQUESTS,
    progress: Show = None,
) -> EvaluationReport:
    """Compare generated faces with real ones: fidelity, diversity, attributes and memorisation, with controls.

    Args:
        source: a source, or an argument of ``SyntheticFaceSource.from_pretrained``; None is "faces-64".
        faces: folder of the training faces, cropped and resized as the model's config says.
        n: number of generated faces, the first of the stream; at least 10.
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
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

    Raises:
        ArgumentError: n < 10, an unknown model, partition or extractor, or one that is not installed.
        RefusedError: fewer than 10 real faces.
        WeightsError: the model is damaged.

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
    )
    return report_on(source, faces, options, progress)


def evaluate_memorisation(
    source: SyntheticFaceSource | str | Path | None,
    faces: str | Path | FaceFolder,
    *,
    n: int = FACES,
    extractor: str | Extractor | nn.Module = CLASSIFIER,
    partition: str | None = None,
    against: str | None = None,
    real: int = MOST_REAL,
    seed: int = 0,
    weights: str | Path | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
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
    )
    return audit(source, faces, options, progress)


def report_on(
    source: Source, faces: str | Path | FaceFolder, options: EvaluationOptions, progress: Show = None
) -> EvaluationReport:
    """``evaluate_source`` with its options as one object."""
    return _compared(source, faces, options, DEFAULT_EXTRACTOR, progress).report(options.requests)


def audit(
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
    eye = open_extractor(
        extractor if options.extractor is None else options.extractor,
        weights=options.weights,
        download=options.download,
        device=options.device,
    )
    folder = faces if isinstance(faces, FaceFolder) else FaceFolder(faces)
    real = choose_real(folder, options, crop=opened.config.crop, size=opened.config.size, progress=shown)
    candidates = generate_candidates(opened, options.n, shown)
    return Comparison(candidates, folder, real, eye, seed=options.seed, progress=shown)
