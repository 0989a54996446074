"""Do generated faces make a classifier better? The ten rarest attributes, four arms, two sizes. One JSON line.

    python benchmarks/usefulness.py CELEBA64 --state STATE [--model faces-64] [--own-images 300000]

Generators and classifiers have seen the train partition only; classifiers are asked about the val partition. For 2,000
and for 10,000 real faces, a fifth of which sets thresholds, four arms: real, real + copies, real + generated, all.

With --own-images there is a second generator at the smallest size, which has seen those 2,000 faces and nothing else:
it is trained here from nothing (preset faces-64), and its faces are labelled as asked, because the bundled classifier
has seen more. That is the honest test of whether faces can be made from nothing.

It takes hours. Every classifier's answers go to STATE/answers.jsonl at once, a generator has checkpoints: the same
command goes on where it was cut off. --arms without names teaches nobody and prints what is known so far;
--arms real "real + classical" teaches those that are the same beside any generator.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import facts
from numpy.typing import NDArray
from torch.utils.data import Subset

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import ATTRIBUTES, select_rows
from faceaug.evaluate.comparison_classifier import Schooling
from faceaug.evaluate.options import EvaluationOptions, Recipes, UsefulnessOptions
from faceaug.evaluate.training_sets import ARMS, RAREST, Experiment, fraction_of, prepare
from faceaug.evaluate.usefulness import summarise
from faceaug.mix import expand_dataset
from faceaug.train import preset, train_gan
from faceaug.train.calibrate import balanced_accuracy
from faceaug.train.record import read_config

ADDED = ("real + synthetic", "all")  # the arms that depend on the generator
ANY = "any generator"
Key = tuple[int, str, str, int]  # real faces, generator, arm, seed


class State:
    """What classifiers answered, a line each."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.settings = folder / "answers.jsonl", settings
        self.found = {tuple(line["key"]): line["answers"] for line in self._lines() if line["settings"] == settings}

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.path.is_file():
            for line in self.path.read_text().splitlines():
                try:
                    yield json.loads(line)
                except ValueError:  # cut off while it was written
                    continue

    def add(self, key: Key, answers: NDArray[np.bool_], seconds: float) -> None:
        """Write a line at once."""
        packed = base64.b64encode(np.packbits(answers).tobytes()).decode()
        self.found[key] = packed
        line = {"key": key, "seconds": round(seconds, 1), "settings": self.settings, "answers": packed}
        with self.path.open("a") as handle:
            handle.write(json.dumps(line) + "\n")

    def answers(self, key: Key, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """What a classifier said of each face: bool (n, a)."""
        bits = np.unpackbits(np.frombuffer(base64.b64decode(self.found[key]), np.uint8))
        return bits[: shape[0] * shape[1]].reshape(shape).astype(bool)


def rarest(folder: FaceFolder) -> list[str]:
    """The ten that the fewest training faces have."""
    rows, _ = select_rows(folder.annotations, "train")
    shares = (folder.annotations.attributes[rows] > 0).mean(axis=0)
    return [ATTRIBUTES[k] for k in np.argsort(shares, kind="stable")[:RAREST]]


def own_generator(folder: FaceFolder, size: int, state: Path, images: int) -> Path:
    """A generator that has seen the real faces of the experiment and nothing else; continued where it was cut off."""
    faces, run = state / "own-faces", state / "own-run"
    if not (faces / "dataset.json").is_file():
        rows = fraction_of(select_rows(folder.annotations, "train")[0], size, seed=0)
        subset: Any = Subset(folder, rows.tolist())  # type: ignore[arg-type]
        expand_dataset(subset, copies=0, synthetic=0, partition="all").save(faces)
    begun = (run / "config.json").is_file()
    finished = begun and not (run / "faces.json").is_file() and (run / "model").is_dir()
    if not finished:
        config = read_config(run) if begun else preset("faces-64", images=images, teacher=0.0, matching=0.0)
        train_gan(faces, run, config, partition="all", resume=begun)
    return run


def measure(
    size: int, generator: str, source: SyntheticFaceSource, recipes: Recipes, folder: FaceFolder, state: State,
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Train the classifiers that are missing, then report; what is missing is told where nothing may be taught."""
    schooling = Schooling(images=options.images, synthetic_share=options.share)
    # Real faces and their copies are the same beside any generator.
    keys = [(size, generator if arm in ADDED else ANY, arm, seed) for seed in range(options.seeds) for arm in ARMS]
    missing = [key for key in keys if key not in state.found]
    wanted = [key for key in missing if key[2] in options.arms]
    if missing and not wanted:
        return {"size": size, "generator": generator, "missing": len(missing)}
    if not any(key[2] in ADDED for key in wanted) and missing:
        recipes = replace(recipes, synthetic=1)  # so many as decide how real faces are cut
    what = UsefulnessOptions(attributes=tuple(rarest(folder)), fraction=size, recipes=recipes)
    experiment = prepare(source, folder, EvaluationOptions(partition="train", against="val", usefulness=what))
    for key in wanted:
        teach(experiment, key, schooling, state, torch.device(options.device))
    if len(wanted) < len(missing):
        return {"size": size, "generator": generator, "missing": len(missing) - len(wanted)}
    shape = (len(experiment.unseen), len(experiment.attributes))
    answers = {arm: [state.answers(key, shape) for key in keys if key[2] == arm] for arm in ARMS}
    document = summarise(experiment, answers, source=source, schooling=schooling, folder=folder, seed=0).to_json()
    return {"size": size, "generator": generator} | {k: v for k, v in document.items() if k not in ("folder", "model")}


def teach(experiment: Experiment, key: Key, schooling: Schooling, state: State, device: torch.device) -> None:
    """Train one classifier and keep what it answers."""
    began = time.monotonic()
    given = experiment.answer(key[2], schooling, seed=key[3], device=device)  # type: ignore[arg-type]
    seconds = time.monotonic() - began
    state.add(key, given, seconds)
    scores = np.mean([balanced_accuracy(a, y) for a, y in zip(given.T, experiment.unseen.labels.T, strict=True)])
    print(f"{key}: balanced accuracy {scores:.4f}, {seconds:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    options = _options()
    folder = FaceFolder(options.folder)
    recipes = Recipes(copies=options.copies, synthetic=options.synthetic)
    settings = {
        "images": options.images, "copies": options.copies, "synthetic": options.synthetic, "share": options.share,
    }  # fmt: skip
    state = State(options.state, settings)
    source = SyntheticFaceSource(options.model, seed=0, precision="bf16")
    results = [measure(size, _name(source), source, recipes, folder, state, options) for size in options.sizes]
    if options.own_images:
        size = min(options.sizes)
        run = own_generator(folder, size, options.state, options.own_images)
        own = SyntheticFaceSource(run, seed=0, precision="bf16")
        # The classifier that would check the labels has seen more than these faces.
        unchecked = replace(recipes, filter=False)
        results.append(measure(size, f"own, {_name(own)}", own, unchecked, folder, state, options))
    document = {
        "figure": "balanced accuracy of a classifier on real validation faces, by what it was taught with",
        "model": _name(source),
        "settings": settings | {"seeds": options.seeds},
        "results": results,
    }
    print(json.dumps(document | facts("faceaug", "torch", "numpy")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--state", type=Path, required=True, help="a folder that is made, or holds an unfinished run")
    parser.add_argument("--model", default="faces-64", help="name or folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=40_000, help="faces shown to each classifier")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--synthetic", type=float, default=1.0, help="generated faces, share of the real ones taught")
    parser.add_argument("--share", type=float, default=0.5, help="of the faces shown that are generated")
    parser.add_argument("--own-images", type=int, default=0, help="faces shown to the generator that sees few; 0: none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS, help="teach no others; none reports")
    return parser.parse_args()


def _name(source: SyntheticFaceSource) -> str:
    return f"{source.config.name} {source.config.sha256[:8]}"


if __name__ == "__main__":
    main()
