"""How much faster or slower two versions of faceaug are on the same work. Prints one JSON line.

    python benchmarks/beside.py CELEBA64 --before OTHER/src --now src --rounds 30 --tasks expand loader

Of each task two processes wait with everything imported and the folder open, one with PYTHONPATH set to either
version's sources. Every round both do the task once, in an order that alternates; a first one does not count.
``throughput`` is the processor time of the earlier version (user and system, child processes included) over that of
the later one, so 0.95 means that the later one needs 5 % more; the median of all rounds is given with its standard
error (of 1,000 bootstrap draws), the lowest and the highest. ``wall`` is the same of elapsed time, which means little
where other programs run. The tasks are short and the rounds many because the speed of a shared processor changes within
minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import facts

START = """
import dataclasses, resource, shutil, sys, time, warnings
warnings.simplefilter("ignore")
from pathlib import Path
folder, out, n = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used), time.perf_counter()
def before(): pass
"""
SUBSET = """
import torch
torch.set_num_threads(1)
from torch.utils.data import DataLoader, Subset
from faceaug import FaceFolder, SyntheticFaceSource, expand_dataset
faces = Subset(FaceFolder(folder), range(n))
"""
END = """
print("ready", flush=True)
for _ in sys.stdin:
    before()
    begin = seconds()
    task()
    end = seconds()
    print(end[0] - begin[0], end[1] - begin[1], flush=True)
    shutil.rmtree(out, ignore_errors=True)
"""
TASKS = {
    "augment": (200, """
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
def task():
    for k in range(n):
        image, target = known[k % 100]
        for chain in chains: chain(image, key=k); chain(image, key=k, landmarks=target["landmarks"])
"""),
    "serve": (100, """
from functools import partial
from faceaug.serve import Engine, FaceService
from faceaug.synthesize import load_model
service = FaceService(Engine({"dcgan-32": partial(load_model, "dcgan-32")}))
turn = 0
def before():
    global turn
    turn += 1
def task():
    for k in range(n): service.ask(f"n={k % 16 + 1}&seed={turn * n + k}").result()
"""),
    "expand": (400, SUBSET + """
def task(): expand_dataset(faces, copies=1, synthetic=0, size=64, partition="all").save(out)
"""),
    "mixed": (200, SUBSET + """
def task(): expand_dataset(faces, copies=1, synthetic=0.25, source="dcgan-32", size=32, partition="all").save(out)
"""),
    "loader": (1000, SUBSET + """
dataset = expand_dataset(faces, copies=1, synthetic=0, size=64, partition="all")
def task():
    for images, target in DataLoader(dataset, batch_size=64, num_workers=1): pass
"""),
    "clean": (700, """
from faceaug import clean_folder
def before():
    left_out = set(sorted(path.name for path in folder.rglob("*.[jp][pn]g"))[n:])
    shutil.copytree(folder, out, ignore=lambda _, names: left_out.intersection(names))
def task(): clean_folder(out)
"""),
    "synth": (100, SUBSET + """
def task(): SyntheticFaceSource("faces-64", seed=1).save(out, n)
"""),
    "step": (512, SUBSET + """
from faceaug.train import PRESETS, train_gan
config = dataclasses.replace(PRESETS["dcgan-32"], images=n, seed=1)
whole = FaceFolder(folder)
def task(): train_gan(whole, out, config, partition="val")
"""),
}  # fmt: skip


class Servant:
    """A process that does one task with one version as often as it is told to."""

    def __init__(self, task: str, folder: Path, sources: Path, out: Path) -> None:
        n, program = TASKS[task]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START + program + END, str(folder), str(out), str(n)],
            env=os.environ | {"PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._read_until("ready")

    def run(self) -> tuple[float, float]:
        """Processor and elapsed seconds of the task, done once."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        processor, elapsed = self._read_until("").split()
        return float(processor), float(elapsed)

    def _read_until(self, start: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start):
                return line
        raise SystemExit(f"the process ended with {self._process.wait()}")

    def __enter__(self) -> Servant:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def pairs_of(task: str, folder: Path, versions: tuple[Path, Path], rounds: int) -> list[list[tuple[float, float]]]:
    """For each round the seconds of the earlier and of the later version."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servants = [
            stack.enter_context(Servant(task, folder, version, scratch / str(k))) for k, version in enumerate(versions)
        ]
        for servant in servants:
            servant.run()
        pairs = []
        for turn in range(rounds):
            order = servants if turn % 2 == 0 else servants[::-1]
            found = {id(servant): servant.run() for servant in order}
            pairs.append([found[id(servant)] for servant in servants])
    return pairs


def spread(ratios: list[float]) -> dict[str, float]:
    """Median with its standard error, lowest and highest."""
    draws = np.random.default_rng(0).choice(ratios, (1000, len(ratios)))
    error = float(np.median(draws, axis=1).std())
    found = {"median": median(ratios), "error": error, "min": min(ratios), "max": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="sources of the earlier version")
    parser.add_argument("--now", type=Path, required=True, help="sources of the later version")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    versions = (options.before.resolve(), options.now.resolve())
    results: dict[str, Any] = {}
    for task in options.tasks:
        pairs = pairs_of(task, options.folder, versions, options.rounds)
        results[task] = {
            "n": TASKS[task][0],
            "throughput": spread([before[0] / now[0] for before, now in pairs]),
            "wall": spread([before[1] / now[1] for before, now in pairs]),
            "processor_seconds": {
                name: round(median(pair[k][0] for pair in pairs), 3) for k, name in enumerate(("before", "now"))
            },
        }
        print(task, results[task], file=sys.stderr, flush=True)
    settings = {"rounds": options.rounds, "figure": "throughput of the later version over the earlier one"}
    print(json.dumps(settings | {"results": results} | facts("torch", "numpy", "opencv-python")))


if __name__ == "__main__":
    main()
