"""How much faster or slower two versions of faceaug are on the same work. Prints one JSON line.

    python benchmarks/beside.py CELEBA64 --before OTHER/src --now src --rounds 7 --tasks expand loader

Every round runs each task once with either version, in turn and in an order that alternates, each in a fresh process
with PYTHONPATH set to that version's sources. ``throughput`` is the processor time of the earlier version (user and
system, child processes included) over that of the later one, so 0.95 means that the later one needs 5 % more; the
median of all rounds is given with the lowest and the highest. ``wall`` is the same of elapsed time, which means little
where other programs run. Each process runs its task on one thread per process; what comes before the clock starts
(imports, opening the folder) is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from machine import facts

START = """
import resource, sys, time, warnings
warnings.simplefilter("ignore")
from pathlib import Path
folder, out, n = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used), time.perf_counter()
"""
SUBSET = """
import torch
from torch.utils.data import DataLoader, Subset
from faceaug import FaceFolder, SyntheticFaceSource, expand_dataset
faces = Subset(FaceFolder(folder), range(n))
"""
TASKS = {
    "augment": (1500, """
import cv2
import torch
from torchvision.transforms import v2
from faceaug import Compose, Elastic, FaceFolder, GaussianBlur, HorizontalFlip, OneOf, Perspective, Rotate, Stretch
from faceaug.augment import Preset
cv2.setNumThreads(1)
torch.set_num_threads(1)
faces = FaceFolder(folder)
known = [faces[k] for k in range(100)]
chains = [
    Rotate(12), HorizontalFlip(), Preset("light"), Preset("strong"),
    Compose([HorizontalFlip(), Rotate(12), Stretch(1.1), Perspective(0.05), OneOf([Elastic(2), GaussianBlur(1)])]),
    Compose([Rotate(12), v2.ColorJitter(0.3, 0.3), v2.RandomResizedCrop(48), GaussianBlur(1)]),
]
begin = seconds()
for k in range(n):
    image, target = known[k % 100]
    for chain in chains: chain(image, key=k); chain(image, key=k, landmarks=target["landmarks"])
"""),
    "serve": (400, """
from functools import partial
from faceaug.serve import Engine, FaceService
from faceaug.synthesize import load_model
engine = Engine({"dcgan-32": partial(load_model, "dcgan-32")})
service = FaceService(engine)
service.ask("n=1&seed=1").result()
begin = seconds()
for k in range(n): service.ask(f"n={k % 16 + 1}&seed={k}").result()
engine.close()
"""),
    "expand": (3000, SUBSET + """
begin = seconds()
expand_dataset(faces, copies=1, synthetic=0, size=64, partition="all").save(out)
"""),
    "mixed": (1200, SUBSET + """
begin = seconds()
expand_dataset(faces, copies=1, synthetic=0.25, source="dcgan-32", size=32, partition="all").save(out)
"""),
    "loader": (6000, SUBSET + """
dataset = expand_dataset(faces, copies=1, synthetic=0, size=64, partition="all")
begin = seconds()
for images, target in DataLoader(dataset, batch_size=64, num_workers=1): pass
"""),
    "clean": (0, """
from faceaug import clean_folder
begin = seconds()
clean_folder(out)
"""),
    "synth": (600, """
from faceaug import SyntheticFaceSource
source = SyntheticFaceSource("faces-64", seed=1)
begin = seconds()
source.save(out, n)
"""),
    "step": (768, SUBSET + """
from faceaug.train import PRESETS, train_gan
import dataclasses
config = dataclasses.replace(PRESETS["dcgan-32"], images=n, seed=1)
begin = seconds()
train_gan(FaceFolder(folder), out, config, partition="val")
"""),
}  # fmt: skip
END = """
end = seconds()
print("seconds", end[0] - begin[0], end[1] - begin[1])
"""


def run(task: str, folder: Path, sources: Path, pictures: int) -> tuple[float, float]:
    """Processor and elapsed seconds of one task with one version."""
    n, program = TASKS[task]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        if task == "clean":
            shutil.copytree(folder, out, ignore=_all_but(pictures))
        environment = os.environ | {"PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", START + program + END, str(folder), str(out), str(n)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{task} with {sources}: {done.stderr}")
    processor, elapsed = done.stdout.splitlines()[-1].split()[1:]
    return float(processor), float(elapsed)


def _all_but(pictures: int) -> Any:
    def left_out(_: str, names: list[str]) -> list[str]:
        faces = sorted(name for name in names if name.endswith((".jpg", ".png")))
        return faces[pictures:]

    return left_out


def spread(ratios: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": round(median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="sources of the earlier version")
    parser.add_argument("--now", type=Path, required=True, help="sources of the later version")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=4000, help="of the folder that is cleaned")
    options = parser.parse_args()
    versions = (options.before.resolve(), options.now.resolve())
    results: dict[str, Any] = {}
    for task in options.tasks:
        pairs = []
        for turn in range(options.rounds):
            order = versions if turn % 2 == 0 else versions[::-1]
            found = {version: run(task, options.folder, version, options.pictures) for version in order}
            pairs.append((found[versions[0]], found[versions[1]]))
            print(task, turn, [tuple(round(x, 2) for x in one) for one in pairs[-1]], file=sys.stderr, flush=True)
        results[task] = {
            "n": TASKS[task][0] or options.pictures,
            "throughput": spread([before[0] / now[0] for before, now in pairs]),
            "wall": spread([before[1] / now[1] for before, now in pairs]),
            "processor_seconds": {
                name: round(median(pair[k][0] for pair in pairs), 2) for k, name in enumerate(("before", "now"))
            },
        }
    settings = {"rounds": options.rounds, "figure": "throughput of the later version over the earlier one"}
    print(json.dumps(settings | {"results": results} | facts("torch", "numpy", "opencv-python")))


if __name__ == "__main__":
    main()
