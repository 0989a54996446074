"""Are generated faces as long and as wide as real ones? Eye distance over eye-mouth distance. Prints one JSON line.

    python -m pip install --no-deps facenet-pytorch
    python benchmarks/shape.py CELEBA --model dcgan-32 --model faces-64 [--n 1000]

CELEBA is a folder of aligned faces, true in shape, with its partition table. The landmarks come from MTCNN (Zhang et
al. 2016) as facenet-pytorch ships it, a detector that faceaug has no part in. Real validation faces are cropped as the
model's training faces were and reduced to the model's size. All faces are enlarged to 256 pixels before the detector
sees them, so that real and generated ones are treated alike. A face squeezed to a square from 178x218 has 218/178 =
1.22 times the ratio of a true one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from facenet_pytorch import MTCNN
from machine import facts
from numpy.typing import NDArray
from torch import Tensor

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import select_rows
from faceaug.draws import permutation
from faceaug.train.faces import load_faces

SEEN_AT = 256  # pixels: faces of 32 and 64 pixels are too small for the detector
SMALLEST = 80  # pixels of SEEN_AT; faces fill more than half of a picture
SURE = 0.9  # probability that it is a face, below which its landmarks say little
BATCH = 32
RESAMPLES = 1000  # of the bootstrap


def ratios(detector: MTCNN, faces: Tensor) -> NDArray[np.float64]:
    """Eye distance over eye-mouth distance of each face that is found: uint8 (n, 3, H, W) -> float64 (m,)."""
    found = []
    for part in faces.split(BATCH):
        large = F.interpolate(part.float(), size=(SEEN_AT, SEEN_AT), mode="bicubic", align_corners=False)
        pictures = large.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
        _, probabilities, points = detector.detect(pictures, landmarks=True)
        for scores, five in zip(probabilities, points, strict=True):
            if five is None or scores[0] is None or scores[0] < SURE:
                continue
            left, right, _, mouth_left, mouth_right = np.asarray(five[0], np.float64)
            height = np.linalg.norm((mouth_left + mouth_right) / 2 - (left + right) / 2)
            found.append(np.linalg.norm(right - left) / height)
    return np.array(found)


def interval(model: NDArray[np.float64], real: NDArray[np.float64], seed: int) -> list[float]:
    """Bootstrap interval (95 %) of the ratio of the two medians."""
    rng = np.random.default_rng(seed)
    medians = [[np.median(rng.choice(values, len(values))) for values in (model, real)] for _ in range(RESAMPLES)]
    quotients = np.array(medians)[:, 0] / np.array(medians)[:, 1]
    return [round(float(q), 4) for q in np.percentile(quotients, [2.5, 97.5])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", dest="models", action="append", required=True, metavar="NAME|PATH")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    detector = MTCNN(keep_all=True, select_largest=False, min_face_size=SMALLEST, post_process=False)
    folder = FaceFolder(options.folder)
    rows, _ = select_rows(folder.annotations, "val")
    rows = np.sort(rows[permutation(len(rows), options.seed, slot="shape")[: options.n]])
    results = []
    for name in options.models:
        source = SyntheticFaceSource(name, seed=options.seed)
        real_faces, _, _ = load_faces(folder, crop=source.config.crop, size=source.config.size, rows=rows)
        real, made = ratios(detector, torch.from_numpy(real_faces)), ratios(detector, source.generate(options.n))
        results.append(
            {
                "model": Path(name).name,
                "size": source.config.size,
                "eye_distance_over_eye_mouth_distance": round(float(np.median(made)), 4),
                "the_same_of_real_faces": round(float(np.median(real)), 4),
                "quotient": round(float(np.median(made) / np.median(real)), 4),
                "quotient_interval_95": interval(made, real, options.seed),
                "found": round(len(made) / options.n, 4),
                "found_of_real_faces": round(len(real) / len(rows), 4),
            }
        )
    result = {"figure": "shape of faces: quotient 1 is true", "n": options.n, "seed": options.seed, "models": results}
    print(json.dumps(result | facts("torch", "facenet-pytorch")))


if __name__ == "__main__":
    main()
