"""How far generated faces are from real ones: Frechet distance on EfficientNet-Lite0 features. Prints one JSON line.

    python benchmarks/fidelity.py CELEBA --model dcgan-32 --model dcgan-32-report --n 5000 --seed 0

The distance (Heusel et al. 2017) is taken between 1,280 pooled ImageNet features of faces enlarged to 128 pixels with
bilinear interpolation, generated against the training rows; `faceaug evaluate` shows it with others beside it. It is
not the FID: that name belongs to the Inception network. The control is the same distance for real faces no model has
seen (the validation rows). Only ratios between figures of one run mean something.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from machine import facts

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.annotations import select_rows
from faceaug.draws import permutation
from faceaug.evaluate import describe, open_extractor
from faceaug.synthesize.frechet import feature_statistics, frechet_distance
from faceaug.train.faces import load_faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", default=[], help="name or folder; repeatable")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    folder, eye = FaceFolder(options.folder), open_extractor("efficientnet-lite0")
    config = SyntheticFaceSource(options.model[0]).config
    rows = {name: select_rows(folder.annotations, name)[0] for name in ("train", "val")}
    real = {name: load_faces(folder, crop=config.crop, size=config.size, rows=r)[0] for name, r in rows.items()}
    found = {name: describe(eye, faces) for name, faces in real.items()}
    train = feature_statistics(found["train"])
    half = permutation(len(found["train"]), options.seed)[: len(found["val"])]

    def distance(model: str) -> float:
        faces = SyntheticFaceSource(model, seed=options.seed).generate(options.n).numpy()
        return frechet_distance(feature_statistics(describe(eye, faces)), train)

    result = {
        "figure": "Frechet distance, EfficientNet-Lite0 features, 128 px bilinear, against the training faces",
        "n": options.n,
        "seed": options.seed,
        "training_faces": len(real["train"]),
        "control_unseen_real": round(frechet_distance(feature_statistics(found["val"]), train), 2),
        "control_unseen_n": len(real["val"]),
        "control_training_subset_same_n": round(frechet_distance(feature_statistics(found["train"][half]), train), 2),
        "distance": {model: round(distance(model), 2) for model in options.model},
    }
    print(json.dumps(result | facts("faceaug", "torch", "numpy", "efficientnet-lite-pytorch")))


if __name__ == "__main__":
    main()
