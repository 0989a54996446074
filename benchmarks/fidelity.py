"""How far generated faces are from real ones, in features of EfficientNet-Lite0. Prints one JSON line.

    python benchmarks/fidelity.py CELEBA --model dcgan-32 --model dcgan-32-report --n 10000 --seed 0
    python benchmarks/fidelity.py CELEBA --model dcgan-32 --model dcgan-32-report --judge JUDGE
    python benchmarks/fidelity.py CELEBA --run RUN --run OTHER     every checkpoint in them, raw and averaged weights

The distance (Heusel et al. 2017) is taken between 1,280 pooled ImageNet features of faces enlarged to 128 pixels with
bilinear interpolation, generated against the training rows and against the validation rows, which no model has seen;
`faceaug evaluate` shows it with others beside it. It is not the FID: that name belongs to the Inception network.
Precision, recall, density and coverage are against the validation rows, of as many generated faces. The control is the
same for real faces. Only ratios between figures of one run mean something.

A model that was taught by a relative of EfficientNet-Lite0 (``projected_on``) may please both more than it deserves. So
``--judge`` takes the 256 features of the last layer but one of what benchmarks/judge.py made instead: another
architecture, which learnt CelebA's attributes and took no part in the training of any generator.

A run keeps its last two checkpoints; for a curve over images, copy more of them into its folder as they appear.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from judge import load_judge
from machine import facts

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import select_rows
from faceaug.data.crop import Crop
from faceaug.draws import permutation
from faceaug.evaluate import describe, open_extractor
from faceaug.evaluate.features import Extractor, Features
from faceaug.evaluate.neighbours import Balls, meet, surround
from faceaug.synthesize.frechet import feature_statistics, frechet_distance
from faceaug.train.checkpoint import checkpoints
from faceaug.train.export import export_model
from faceaug.train.faces import load_faces


def exported(run: Path, into: Path) -> Iterator[tuple[str, Path]]:
    """Every checkpoint of a run as model folders: (name, folder)."""
    for k, checkpoint in enumerate(checkpoints(run)):
        alone = into / f"{run.name}-{k}"
        alone.mkdir()
        (alone / "config.json").symlink_to((run / "config.json").resolve())
        (alone / checkpoint.name).symlink_to(checkpoint.resolve())
        averaged = json.loads((run / "config.json").read_text())["run"]["average_half_life"]
        for weights in ("raw", "average") if averaged else ("raw",):
            export_model(alone, alone / weights, weights=weights)
            yield f"{run.name} {int(checkpoint.name.split('-')[-1]):,} {weights}", alone / weights


def open_eye(judge: Path | None) -> Extractor:
    if judge is None:
        return open_extractor("efficientnet-lite0")
    network = load_judge(judge).network.to(memory_format=torch.channels_last)
    return Extractor("the last layer but one of the judge", network.features, 64, 127.5, 127.5)


def real_features(
    eye: Extractor, where: Path, crop: Crop, size: int, *, cache: Path | None, judged: bool = False
) -> dict[str, Features]:
    """Features of the training and the validation faces; kept in a folder, if one is named."""
    folder, of = FaceFolder(where), f"{crop}-{size}{'-judge' if judged else ''}"
    found: dict[str, Features] = {}
    for part in ("train", "val"):
        kept = cache and cache / f"{where.resolve().name}-{part}-{of}.npy"
        if kept and kept.exists():
            found[part] = np.load(kept)
            continue
        rows = select_rows(folder.annotations, part)[0]
        found[part] = describe(eye, load_faces(folder, crop=crop, size=size, rows=rows)[0])
        if kept:
            np.save(kept, found[part])
    return found


def neighbourhood(samples: Features, reference: Balls) -> dict[str, float]:
    met = meet(surround(samples[: len(reference.points)]), reference)
    return {name: round(getattr(met, name), 4) for name in ("precision", "recall", "density", "coverage")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", default=[], help="name or folder; repeatable")
    parser.add_argument("--run", action="append", default=[], type=Path, help="run folder; repeatable")
    parser.add_argument("--judge", type=Path, help="what benchmarks/judge.py made: looks in place of EfficientNet")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cache", type=Path, help="folder that keeps the features of real faces")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    eye = open_eye(options.judge)
    with tempfile.TemporaryDirectory() as place:
        models = [(name, name) for name in options.model]
        models += [pair for run in options.run for pair in exported(run, Path(place))]
        config = SyntheticFaceSource(models[0][1]).config
        real = real_features(
            eye, options.folder, config.crop, config.size, cache=options.cache, judged=options.judge is not None
        )
        statistics = {part: feature_statistics(features) for part, features in real.items()}
        balls = surround(real["val"])

        def figures(model: str | Path) -> dict[str, float]:
            source = SyntheticFaceSource(model, seed=options.seed)
            found = describe(eye, source.generate(options.n).numpy())
            mine = feature_statistics(found)
            apart = {part: round(frechet_distance(mine, real), 2) for part, real in statistics.items()}
            return apart | neighbourhood(found, balls)

        half = permutation(len(real["train"]), options.seed)[: len(real["val"])]
        subset = real["train"][half]
        control = {
            "unseen_to_train": round(frechet_distance(statistics["val"], statistics["train"]), 2),
            "train_subset_to_train": round(frechet_distance(feature_statistics(subset), statistics["train"]), 2),
            "train_subset_to_unseen": round(frechet_distance(feature_statistics(subset), statistics["val"]), 2),
            **neighbourhood(subset, balls),
        }
        result = {
            "figure": f"Frechet distance, {eye.label}, bilinear, against train and val faces",
            "n": options.n, "seed": options.seed, "size": config.size,
            "faces": {part: len(features) for part, features in real.items()}, "control_real": control,
            "models": {name: figures(model) for name, model in models},
        }  # fmt: skip
    print(json.dumps(result | facts("faceaug", "torch", "numpy", "efficientnet-lite-pytorch")))


if __name__ == "__main__":
    main()
