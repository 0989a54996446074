"""How fast a dataset grows: `expand` to disk, the in-memory loader, and GANexLib beside it. Prints one JSON line.

    python benchmarks/mixing.py CELEBA64
    python benchmarks/mixing.py CELEBA64 --ganexlib PYTHON --faces 1000
    python benchmarks/mixing.py CELEBA64 --judge JUDGE --model faces-64

The first writes every face with one augmented copy and a quarter of synthetic ones, the filter at its default (every
reason in the JSON), then loads one epoch at 64 x 64 with two workers. Both count everything: reading tables, hashing
the real faces, making and filtering the synthetic ones, starting processes, report and table.

The second runs the generation phase of GANexLib 0.1.0, its own loop with its own networks, by PYTHON, an interpreter
that has it, in turn with the generation of as many faces by faceaug (``synth``'s own code), each written as PNG files.
GANexLib must train before it generates; its training is not counted, so its generator has random weights.

The third balances the train partition to a half each of Eyeglasses and Male, with a quarter of synthetic faces. A judge
that took no part (benchmarks/judge.py) looks at the added synthetic faces: ``agreement`` is how often it sees their
label, over how often it would on as many real validation faces with and as many without. Then the audit of a shared
set: copies by the verifier of `clean`, and authenticity (with the extra ``metrics``) beside that of unseen faces.

A run shares its processors with whatever else runs, so processor time is given too: of this process and its children,
without what shared caches and threads cost.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from judge import load_judge, validation
from machine import facts
from torch.utils.data import DataLoader

from faceaug import FaceFolder, SyntheticFaceSource, expand_dataset
from faceaug.data.annotations import ATTRIBUTES
from faceaug.commands.expand import audit
from faceaug.synthesize.render import RENDER_PRECISIONS

PEER = """
import sys, os, time, json
import numpy as np
import tensorflow as tf
from tqdm import tqdm
from PIL import Image
from GANexLib import core
out, n = sys.argv[1], int(sys.argv[2])
class Holder: generator = core._build_generator()
GAN, INPUT_DIMENSION, absolute_path = Holder, core.INPUT_DIMENSION, out
GAN.generator(tf.random.normal([1, INPUT_DIMENSION]), training=False)
began, cpu = time.perf_counter(), time.process_time()
for i in tqdm(range(n), desc="Generating images", disable=True):  # as in GANexLib.core.expand_dataset
    random_noise = tf.random.normal([1, INPUT_DIMENSION])
    generated_image = GAN.generator(random_noise, training=False)
    generated_image = (generated_image * 127.5) + 127.5
    generated_image = generated_image.numpy().astype(np.uint8)
    img = Image.fromarray(generated_image[0])
    img.save(os.path.join(absolute_path, f"generated_img_{i}.png"))
print(json.dumps([time.perf_counter() - began, time.process_time() - cpu]))
"""


def processor_time() -> float:
    """Seconds, of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def expand(folder: Path, work: Path, seed: int) -> dict[str, Any]:
    """To disk, with the default filter."""
    began, busy = time.perf_counter(), processor_time()
    dataset = expand_dataset(folder, copies=1, synthetic=0.25, partition="all", seed=seed, eager=False)
    report = dataset.save(work / "expanded")
    seconds, busy = time.perf_counter() - began, processor_time() - busy
    total = dict(report.sizes)["total"]
    return {
        "images": total, "seconds": round(seconds, 2), "images_per_s": round(total / seconds),
        "processor_s": round(busy, 2), "images_per_processor_s": round(total / busy), "size": report.size,
        "rejected": report.rejected, "looked_at": report.looked_at,
    }  # fmt: skip


def load(folder: Path, seed: int, rounds: int) -> dict[str, Any]:
    """One epoch after another, shuffled, two workers, 64 x 64."""
    dataset = expand_dataset(folder, copies=1, synthetic=0.25, partition="all", size=64, seed=seed)
    options: dict[str, Any] = {"batch_size": 128, "num_workers": 2, "persistent_workers": True}
    loader = DataLoader(dataset, sampler=dataset.sampler(), **options)
    rates: list[float] = []
    busy = processor_time()
    for _ in range(rounds):
        began = time.perf_counter()
        images = sum(len(batch) for batch, _ in loader)
        rates.append(images / (time.perf_counter() - began))
    del loader  # its processes end: their time counts
    busy = processor_time() - busy
    return {
        "images": len(dataset), "images_per_s": round(median(rates)), "rounds": [round(rate) for rate in rates],
        "images_per_processor_s": round(rounds * len(dataset) / busy),
    }  # fmt: skip


def _agreement(label: Any, seen: Any, truth: Any, right: Any) -> dict[str, Any]:
    """How often a judge sees the labels (-1, 0, 1) of added faces, over how often it would on such real faces."""
    has, known = label > 0, label != 0
    recalls = right[truth].mean(), right[~truth].mean()  # on real faces with the attribute, and without
    agreed, expected = float((seen[known] == has[known]).mean()), float(np.where(has[known], *recalls).mean())
    return {
        "labelled_with": int(has.sum()), "labelled_without": int((label < 0).sum()),
        "judge_agrees": round(agreed, 4), "judge_on_real": round(expected, 4),
        "agreement": round(agreed / expected, 4),
    }  # fmt: skip


def _last(pair: tuple[str, float]) -> float:
    return pair[1]


def balance(folder: Path, judge: Path, model: str, synthetic: float | int, seed: int) -> dict[str, Any]:
    """Eyeglasses and Male to a half each, and what a judge sees in the added faces."""
    began, busy = time.perf_counter(), processor_time()
    wanted = {"Eyeglasses": 0.5, "Male": 0.5}
    dataset = expand_dataset(folder, synthetic=synthetic, balance=wanted, source=model, seed=seed)
    seconds, busy = time.perf_counter() - began, processor_time() - busy
    opinion, real = load_judge(judge), validation(FaceFolder(folder))
    faces = dataset.synthetic
    seen = opinion(np.stack([faces[k] for k in range(len(faces))]))
    right = opinion(real.pixels) == (real.labels > 0)
    by_attribute = {
        name: _agreement(faces.attributes[:, k], seen[:, k], real.labels[:, k] > 0, right[:, k])
        for k, name in enumerate(ATTRIBUTES)
        if faces.attributes[:, k].any()
    }
    ratios = {name: facts["agreement"] for name, facts in by_attribute.items()}
    return {
        "model": dataset.model, "synthetic": len(faces), "augmented": dataset.plan.augmented, "total": len(dataset),
        "shares": {s.attribute: {"before": round(s.before, 4), "after": round(s.after, 4)} for s in dataset.shares},
        "rejected": dataset.rejected, "looked_at": faces.made, "seconds": round(seconds, 1),
        "agreement_of_all": round(float(np.mean(list(ratios.values()))), 4),
        "least_agreement": min(ratios.items(), key=_last),
        "added": {name: by_attribute[name] for name in wanted}, "agreement": ratios,
        "processor_s": round(busy, 1), "memorisation": audit(dataset).document,
    }  # fmt: skip


def beside(python: str, faces: int, rounds: int) -> dict[str, Any]:
    """Generation phases in turn."""
    sources = {name: SyntheticFaceSource(seed=1, precision=name) for name in RENDER_PRECISIONS}
    ours: dict[str, list[float]] = {name: [] for name in sources}
    theirs: list[float] = []
    for source in sources.values():
        source.generate(64)
    # The folders stay until the end: ext4 is slow to make files for a while where many have just been removed.
    with tempfile.TemporaryDirectory() as folder:
        for k in range(rounds):
            work = Path(folder) / str(k)
            for name, source in sources.items():
                began = time.perf_counter()
                source.save(work / name, faces)
                ours[name].append(time.perf_counter() - began)
            (work / "theirs").mkdir()
            words = [python, "-c", PEER, str(work / "theirs"), str(faces)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            theirs.append(json.loads(done.stdout.splitlines()[-1])[0])
    ratios = {name: [peer / mine for mine, peer in zip(times, theirs, strict=True)] for name, times in ours.items()}
    return {
        "faces": faces, "faceaug_s": {name: [round(s, 2) for s in times] for name, times in ours.items()},
        "ganexlib_s": [round(s, 2) for s in theirs],
        "ratio": {name: round(median(found), 1) for name, found in ratios.items()},
        "ratios": {name: [round(r, 1) for r in found] for name, found in ratios.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ganexlib", metavar="PYTHON", help="an interpreter that has GANexLib 0.1.0")
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--judge", type=Path, help="what benchmarks/judge.py made: measure balance")
    parser.add_argument("--model", default="faces-64", help="with --judge")
    parser.add_argument("--synthetic", type=int, help="with --judge: how many; by default a quarter")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.ganexlib:
        line: dict[str, Any] = {"figure": "generation phase beside GANexLib 0.1.0"}
        line |= beside(options.ganexlib, options.faces, options.rounds)
    elif options.judge:
        line = {"figure": "Eyeglasses and Male balanced to a half each"}
        synthetic = 0.25 if options.synthetic is None else options.synthetic
        line |= balance(options.folder, options.judge, options.model, synthetic, options.seed)
    else:
        with tempfile.TemporaryDirectory() as work:
            line = {"figure": "expanding", "to_disk": expand(options.folder, Path(work), options.seed)}
        line["loader_64"] = load(options.folder, options.seed, options.rounds)
    print(json.dumps(line | facts("faceaug", "torch", "opencv-python", "numpy")))


if __name__ == "__main__":
    main()
