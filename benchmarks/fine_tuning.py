"""What going on from a model brings with few faces of one group. Prints one JSON line.

    python benchmarks/fine_tuning.py CELEBA --init dcgan-32 --attribute Eyeglasses --faces 500 --out SCRATCH

Takes some training faces that have an attribute, trains a generator on them from the model's weights and one from fresh
weights with the same recipe and images shown, and measures how far faces of both, and of the model as it was, are from
faces of the group that no training has shown: those of the validation partition. Beside it, from the group's other
training faces, which are more, but the model has seen them among all. Frechet distance on
EfficientNet-Lite0 features, as in ``fidelity.py``. The floor is that distance for the chosen real faces themselves.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from machine import facts
from numpy.typing import NDArray

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import attribute_index, select_rows
from faceaug.draws import permutation
from faceaug.evaluate import describe, open_extractor
from faceaug.synthesize import load_model
from faceaug.synthesize.frechet import feature_statistics, frechet_distance
from faceaug.data.tables import ATTRIBUTES
from faceaug.train import fine_tuning, train_gan
from faceaug.train.faces import load_faces


def copy_group(folder: FaceFolder, rows: NDArray[np.int64], out: Path) -> Path:
    """The pictures of some rows as a folder of their own, with their attributes."""
    pictures = out / "img_align_celeba"
    pictures.mkdir(parents=True)
    lines = []
    for row in rows.tolist():
        path = folder.path(row)
        shutil.copy(path, pictures / path.name)
        lines.append(f"{path.name} {' '.join(map(str, folder.annotations.attributes[row].tolist()))}\n")
    (out / "list_attr_celeba.txt").write_text(f"{len(rows)}\n{' '.join(ATTRIBUTES)}\n{''.join(lines)}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--init", default="dcgan-32", help="name or folder")
    parser.add_argument("--attribute", default="Eyeglasses")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--freeze", type=int, default=0)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a new folder for the faces and both runs")
    options = parser.parse_args()

    folder, eye, model = FaceFolder(options.folder), open_extractor("efficientnet-lite0"), load_model(options.init)
    rows = select_rows(folder.annotations, "train")[0]
    group = rows[folder.annotations.attributes[rows, attribute_index(options.attribute)] == 1]
    group = group[permutation(len(group), options.seed)]
    chosen, unseen = np.sort(group[: options.faces]), np.sort(group[options.faces :])
    faces = copy_group(folder, chosen, options.out / "faces")
    config = fine_tuning(model.config, images=options.images, seed=options.seed, freeze=options.freeze)
    fresh = fine_tuning(
        model.config, images=options.images, seed=options.seed, warmup=0, learning_rate=2e-4, d_learning_rate=None
    )
    train_gan(faces, options.out / "tuned", config, init=options.init)
    train_gan(faces, options.out / "fresh", fresh)

    def features(which: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = describe(
            eye, load_faces(folder, crop=model.config.crop, size=model.config.size, rows=which)[0]
        )
        return found

    has = folder.annotations.attributes[:, attribute_index(options.attribute)] == 1
    held_out = select_rows(folder.annotations, "val")[0]
    others = {"unseen": held_out[has[held_out]], "other_training": unseen}
    targets = {name: feature_statistics(features(which)) for name, which in others.items()}

    def distances(made: NDArray[np.float32]) -> dict[str, float]:
        found = feature_statistics(made)
        return {name: round(frechet_distance(found, target), 2) for name, target in targets.items()}

    sources = {"model": SyntheticFaceSource(model), "tuned": SyntheticFaceSource(options.out / "tuned")}
    sources["fresh"] = SyntheticFaceSource(options.out / "fresh")
    if model.config.attributes:
        sources["model_asked"] = SyntheticFaceSource(model, attributes={options.attribute: 1})
    result = {
        "figure": f"Frechet distance to faces with {options.attribute}",
        "real_faces": {name: len(which) for name, which in others.items()},
        "init": model.config.name, "faces": len(chosen), "images_shown": options.images, "freeze": options.freeze,
        "n": options.n, "seed": options.seed,
        "floor_the_chosen_faces": distances(features(chosen)),
        "distance": {
            name: distances(describe(eye, source.generate(options.n).numpy())) for name, source in sources.items()
        },
    }  # fmt: skip
    print(json.dumps(result | facts("faceaug", "torch", "numpy", "efficientnet-lite-pytorch")))


if __name__ == "__main__":
    main()
