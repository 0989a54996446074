"""The faces that an evaluation judges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceaug.evaluate.options import EvaluationOptions
from faceaug.evaluate.real import Pixels
from faceaug.progress import Progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.weights import default_model


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The faces to judge, and where they come from.

    Attributes:
        source: their generator.
        pixels: uint8 (n, 3, size, size).
    """

    source: SyntheticFaceSource
    pixels: Pixels


def open_source(source: SyntheticFaceSource | str | Path | None, options: EvaluationOptions) -> SyntheticFaceSource:
    """Open the generator to evaluate; see ``evaluate_source``."""
    if isinstance(source, SyntheticFaceSource):
        return source
    return SyntheticFaceSource.from_pretrained(
        default_model() if source is None else source,
        download=options.download,
        n=options.n,
        seed=options.seed,
        device=options.device,
    )


def generate_candidates(source: SyntheticFaceSource, n: int, progress: Progress) -> Candidates:
    """Generate the first ``n`` faces of a source."""
    size = source.config.size
    generated = np.empty((n, 3, size, size), np.uint8)
    with progress.phase("generating", n, "faces") as phase:
        for start in range(0, n, BLOCK):
            block = source.generate(min(BLOCK, n - start), start=start)
            generated[start : start + len(block)] = block.numpy()
            phase.advance(len(block))
    return Candidates(source, generated)
