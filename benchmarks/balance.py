"""What a classifier learns from balanced faces, and what it learns of where they come from. Prints one JSON line.

    python benchmarks/balance.py CELEBA64 --state STATE [--attributes Eyeglasses Bald] [--seeds 3] [--model faces-64]

Of each attribute, balanced to a half among 2,000 real training faces with a copy of each and a quarter of synthetic
faces, a small classifier (the network of `faceaug evaluate --usefulness`) is taught in four ways; steps, rates and loss
are the same:

* one-sided: as `expand_dataset` balanced until 0.1.0. Further copies of the rare side and synthetic faces of the rare
  side alone until half of all faces have the attribute; every face counts once.
* weighted: as it balances now, `target["weight"]` in the loss.
* drawn: the same faces, `sampler(balanced=True)`.
* unweighted: the same faces, weights ignored, to see what that costs.

All are asked about the real validation faces: area under the curve, and balanced accuracy where yes begins at a logit
of 0 (the first three show, or count, as many faces with the attribute as without). Then about faces that differ in
origin: validation faces augmented, and fresh synthetic faces asked to be with and without it. ``yes_without`` is how
often a face without the attribute is said to have it, by origin; ``origin_auc`` is how well the answers about faces
without it tell an added face from a real one, where 0.5 is chance.

Every classifier's answers go to STATE at once: the same command goes on where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import facts
from numpy.typing import NDArray
from torch.utils.data import Subset

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import Annotations, attribute_index, select_rows
from faceaug.draws import permutation, stream
from faceaug.evaluate.comparison_classifier import BLOCKS, STEM, WIDTHS, scores
from faceaug.evaluate.intervals import Estimate, bootstrap_recalls, difference, estimate
from faceaug.evaluate.training_sets import fraction_of
from faceaug.mix import ExpandedDataset, expand_dataset
from faceaug.mix.framing import Choice
from faceaug.mix.mixture import Settings
from faceaug.mix.plan import Plan
from faceaug.synthesize.attribute_network import AttributeNetwork, build_attribute_network
from faceaug.train.calibrate import area_under_curve

WAYS = ("one-sided", "weighted", "drawn", "unweighted")
ORIGINS = ("real", "augmented", "synthetic")
HALF, BATCH, RATE = 0.5, 64, 2e-3
ROUNDS = 500  # of the bootstrap
DRAWS = 3  # augmented copies are drawn so often, then they come again
ASKED = 1000  # synthetic faces that are asked about


def one_sided(dataset: ExpandedDataset, column: int, seed: int) -> Plan:
    """The plan for one rare attribute at a half as it was until 0.1.0."""
    known: Annotations = dataset.real.annotations
    rows, synthetic = dataset.plan.used, dataset.plan.synthetic
    present = np.tile(rows, 2)
    rare = rows[known.attributes[rows, column] > 0]
    needed = round((HALF * len(present) - 2 * len(rare)) / (1 - HALF))
    extra = np.resize(rare[permutation(len(rare), seed, slot="benchmark/rare")], needed)
    extra = extra[permutation(needed, seed, slot="benchmark/extra")]
    shown = np.concatenate([present, extra[synthetic:]])
    weights = np.ones(len(shown) + synthetic, np.float32)
    return Plan(shown, len(rows), synthetic, (), weights, rows, extra[:synthetic])


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Faces to ask about: pixels uint8 (n, 3, side, side), labels int8 (n,), by origin."""

    pixels: dict[str, NDArray[np.uint8]]
    labels: dict[str, NDArray[np.int8]]


def questions(folder: FaceFolder, source: SyntheticFaceSource, name: str, side: int) -> Questions:
    """Validation faces, the same augmented, and fresh synthetic faces with and without."""
    column = attribute_index(name)
    rows = select_rows(folder.annotations, "val")[0]
    held: Any = Subset(folder, rows.tolist())  # type: ignore[arg-type]
    real = expand_dataset(held, copies=1, synthetic=0, size=side, partition="all")
    made = expand_dataset(
        held, copies=0, synthetic=ASKED, balance=name, source=source, partition="all", only_synthetic=True, size=side
    )
    pixels, labels = {}, {}
    for place, origin in enumerate(ORIGINS):
        dataset = made if origin == "synthetic" else real
        items = [dataset.item(i) for i in np.flatnonzero(dataset.plan.origins == place).tolist()]
        pixels[origin] = np.stack([item.image.transpose(2, 0, 1) for item in items])
        labels[origin] = np.array([item.target["attributes"][column] for item in items], np.int8)
    return Questions(pixels, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """The items of a dataset, made once: pixels uint8 (draws, n, 3, side, side), labels int8 (n,)."""

    dataset: ExpandedDataset
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int8]


def lessons(dataset: ExpandedDataset, column: int) -> Items:
    """Every item, augmented ones drawn several times."""
    pixels = np.empty((DRAWS, len(dataset), 3, *dataset.frame.size), np.uint8)
    for epoch in range(DRAWS):
        dataset.set_epoch(epoch)
        for i, origin in enumerate(dataset.plan.origins.tolist()):
            pixels[epoch, i] = dataset.item(i).image.transpose(2, 0, 1) if origin == 1 or not epoch else pixels[0, i]
    return Items(dataset, pixels, dataset.labels()[:, column])


def teach(given: Items, way: str, seed: int, images: int) -> AttributeNetwork:
    """A network that was shown so many faces of a dataset."""
    dataset, side = given.dataset, given.pixels.shape[-1]
    network = build_attribute_network(1, seed=seed, side=side, stem=STEM, widths=WIDTHS, blocks=BLOCKS)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.05)
    steps = images // BATCH
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    dataset.set_epoch(1000 * seed)  # another order for each seed
    sampler, order = dataset.sampler(balanced=way == "drawn"), []
    while len(order) < images:
        order += [(i, dataset.epoch % DRAWS) for i in sampler]
    for step in range(steps):
        items, draws = np.array(order[step * BATCH : (step + 1) * BATCH]).T
        faces = torch.from_numpy(given.pixels[draws, items]).float() / 127.5 - 1
        label = torch.from_numpy(given.labels[items]).float()
        counted = label.abs() * (torch.from_numpy(dataset.weights[items]) if way == "weighted" else 1)
        logits = network(faces.contiguous(memory_format=torch.channels_last))[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, (label > 0).float(), reduction="none")
        optimizer.zero_grad(set_to_none=True)
        (loss * counted).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
    return network.eval()


def answers(network: AttributeNetwork, asked: Questions) -> dict[str, list[float]]:
    """Logits, by origin."""
    return {origin: scores(network, pixels)[:, 0].round(4).tolist() for origin, pixels in asked.pixels.items()}


def judge(given: dict[str, NDArray[np.float64]], asked: Questions) -> dict[str, Any]:
    """The figures of one classifier."""
    real, labels = given["real"], asked.labels["real"]
    without = {origin: given[origin][asked.labels[origin] < 0] for origin in ORIGINS}
    having = {origin: given[origin][asked.labels[origin] > 0] for origin in ORIGINS}
    apart = {}
    for origin in ORIGINS[1:]:
        both = np.concatenate([without["real"], without[origin]])
        kinds = np.repeat(np.array([-1, 1], np.int8), [len(without["real"]), len(without[origin])])
        apart[origin] = area_under_curve(both, kinds)
    recalls = [(real[labels > 0] > 0).mean(), (real[labels < 0] <= 0).mean()]
    return {
        "auc": area_under_curve(real, labels), "balanced_accuracy": float(np.mean(recalls)),
        "yes_without": {origin: float((found > 0).mean()) for origin, found in without.items()},
        "yes_with": {origin: float((found > 0).mean()) for origin, found in having.items()},
        "probability_without": {o: float((1 / (1 + np.exp(-found))).mean()) for o, found in without.items()},
        "origin_auc": apart,
    }  # fmt: skip


def auc_over(one: list[NDArray[np.float64]], other: list[NDArray[np.float64]], labels: NDArray[np.int8]) -> Estimate:
    """How much higher one way's area under the curve is; faces and seeds are drawn again with replacement."""
    draws, n, seeds = stream(0, slot="benchmark/bootstrap"), len(labels), len(one)

    def gain(faces: NDArray[np.int64], chosen: NDArray[np.int64]) -> float:
        pairs = [(one[k], other[k]) for k in chosen.tolist()]
        return mean(
            area_under_curve(a[faces], labels[faces]) - area_under_curve(b[faces], labels[faces]) for a, b in pairs
        )

    drawn = [gain(draws.integers(n, size=n), draws.integers(seeds, size=seeds)) for _ in range(ROUNDS)]
    return estimate(gain(np.arange(n), np.arange(seeds)), np.array(drawn))


def rounded(value: Any) -> Any:
    """Floats to four digits, wherever they are."""
    if isinstance(value, dict):
        return {name: rounded(found) for name, found in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def averaged(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of figures that have the same shape."""
    return {
        name: averaged([one[name] for one in found]) if isinstance(value, dict) else mean(one[name] for one in found)
        for name, value in found[0].items()
    }


def measure(folder: FaceFolder, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All ways for one attribute."""
    column = attribute_index(name)
    rows = fraction_of(select_rows(folder.annotations, "train")[0], options.faces, seed=0)
    subset: Any = Subset(folder, rows.tolist())  # type: ignore[arg-type]
    source = SyntheticFaceSource(options.model, seed=0)
    new = expand_dataset(
        subset, synthetic=0.25, balance=name, source=source, partition="all", seed=0, size=options.side
    )
    plan = one_sided(new, column, 0)
    choice = Choice(new.frame, new.generators, plan.synthetic)
    old = ExpandedDataset(new.real, plan, choice, Settings(wanted=new.wanted))
    old.make_faces()
    before, now = lessons(old, column), lessons(new, column)
    taught = {way: before if way == "one-sided" else now for way in WAYS}
    asked = questions(folder, SyntheticFaceSource(options.model, seed=1000), name, options.side)
    state = options.state / f"{name}.jsonl"
    given = {tuple(line[:2]): line[2] for line in map(json.loads, state.read_text().splitlines())} if (
        state.is_file()
    ) else {}  # fmt: skip
    for seed in range(options.seeds):
        for way in WAYS:
            if (way, seed) not in given:
                began = time.monotonic()
                given[way, seed] = answers(teach(taught[way], way, seed, options.images), asked)
                with state.open("a") as handle:
                    handle.write(json.dumps([way, seed, given[way, seed]]) + "\n")
                print(f"{name}, {way}, {seed}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return report({"one-sided": old, "weighted": new}, asked, given, options.seeds)


def report(
    datasets: dict[str, ExpandedDataset], asked: Questions, given: dict[tuple[str, int], Any], seeds: int
) -> dict[str, Any]:
    """The figures of all classifiers of one attribute."""
    logits = {key: {origin: np.array(found) for origin, found in one.items()} for key, one in given.items()}
    classifiers = {way: [judge(logits[way, seed], asked) for seed in range(seeds)] for way in WAYS}
    said = {way: np.stack([logits[way, seed]["real"] > 0 for seed in range(seeds)])[:, :, None] for way in WAYS}
    recalls = bootstrap_recalls(said, asked.labels["real"][:, None], seed=0)
    over = {way: difference(recalls[way], recalls["one-sided"]).to_json() for way in WAYS[1:]}
    real = {way: [logits[way, seed]["real"] for seed in range(seeds)] for way in WAYS}
    higher = {way: auc_over(real[way], real["one-sided"], asked.labels["real"]).to_json() for way in WAYS[1:]}
    described: dict[str, Any] = {}
    for way, dataset in datasets.items():
        described[way] = {"items": dict(zip(ORIGINS, dataset.plan.kinds, strict=True))}
        described[way] |= dataset.shares_without([])[0].to_json()
    return {
        "asked_about": {o: [int((found < 0).sum()), int((found > 0).sum())] for o, found in asked.labels.items()},
        "datasets": rounded(described), "mean": {way: rounded(averaged(found)) for way, found in classifiers.items()},
        "balanced_accuracy_over_one_sided": over, "auc_over_one_sided": higher,
        "auc_by_seed": {way: [round(one["auc"], 4) for one in found] for way, found in classifiers.items()},
        "balanced_accuracy_by_seed": {
            way: [round(one["balanced_accuracy"], 4) for one in found] for way, found in classifiers.items()
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--state", type=Path, required=True, help="a folder that is made, or holds an unfinished run")
    parser.add_argument("--attributes", nargs="+", default=["Eyeglasses", "Wearing_Hat", "Bald"])
    parser.add_argument("--model", default="faces-64")
    parser.add_argument("--faces", type=int, default=2000, help="real faces to learn from")
    parser.add_argument("--images", type=int, default=40_000, help="faces shown to each classifier")
    parser.add_argument("--side", type=int, default=64, help="pixels; 32 takes a quarter of the time")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.state.mkdir(parents=True, exist_ok=True)
    folder = FaceFolder(options.folder)
    document = {
        "figure": "what classifiers learn from balanced faces, by how they were balanced",
        "settings": {
            "faces": options.faces,
            "images": options.images,
            "side": options.side,
            "seeds": options.seeds,
            "model": options.model,
        },
        "results": {name: measure(folder, name, options) for name in options.attributes},
    }
    print(json.dumps(document | facts("faceaug", "torch", "numpy")))


if __name__ == "__main__":
    main()
