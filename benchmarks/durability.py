"""What durable outputs cost: `expand` of one folder by two versions, in turn. Prints one JSON line.

    python benchmarks/durability.py CELEBA64 --before SRC --runs 5 --pictures 3000

SRC is the ``src`` folder of the version to compare with, of a second checkout; what runs this script is the other.
Every picture is written with one augmented copy and without synthetic faces, so that as little as possible is computed
for a file. Both versions wait in a process each, everything imported, and write in turn, with one process, to the same
disk, which is synced before each run. Shared processors make single runs differ: medians with the smallest and the
largest are given, of the time and of the share by which one run took longer than its neighbour.
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

import faceaug
from faceaug.data.folder import FaceFolder

SERVANT = """
import json, os, shutil, sys, time
from faceaug import expand_dataset
folder, out = sys.argv[1], sys.argv[2]
for _ in sys.stdin:
    os.sync()
    began, busy = time.perf_counter(), os.times()
    expand_dataset(folder, copies=1, synthetic=0, seed=0, progress=False).save(out, workers=1, progress=False)
    seconds, now = time.perf_counter() - began, os.times()
    print(json.dumps([seconds, now.user + now.system - busy.user - busy.system]), flush=True)
    shutil.rmtree(out)
"""


class Version:
    """One version in a process of its own, which has imported all it needs and writes when it is told to."""

    def __init__(self, source: Path, folder: Path, out: Path) -> None:
        command = [sys.executable, "-W", "ignore", "-c", SERVANT, str(folder), str(out)]
        environment = os.environ | {"PYTHONPATH": str(source)}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip

    def run(self) -> tuple[float, float]:
        """Seconds, and seconds of processor time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        seconds, busy = json.loads(self.process.stdout.readline())
        return seconds, busy


def part_of(folder: Path, pictures: int, place: Path) -> Path:
    """The first pictures of a CelebA folder, with all its tables."""
    faces = FaceFolder(folder)
    for name in faces.names[:pictures]:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, place / name)
    for table in folder.glob("*.txt"):
        shutil.copy2(table, place)
    return place


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": round(median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def measure(folder: Path, before: Path, runs: int, pictures: int) -> dict[str, Any]:
    """Pairs of runs, each pair in the other order than the one before."""
    versions = {"before": before, "after": Path(faceaug.__file__).parents[1]}
    seconds: dict[str, list[float]] = {name: [] for name in versions}
    busy: dict[str, list[float]] = {name: [] for name in versions}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as work:
        chosen = part_of(folder, pictures, Path(work) / "faces") if pictures else folder
        waiting = {
            name: Version(source, chosen.absolute(), Path(work).absolute() / name) for name, source in versions.items()
        }
        for version in waiting.values():  # the first run fills caches
            version.run()
        for run in range(runs):
            for name in sorted(versions, reverse=run % 2 == 0):
                taken, used = waiting[name].run()
                seconds[name].append(taken)
                busy[name].append(used)
                print(f"{name}: {taken:.1f} s, {used:.1f} s of processors", file=sys.stderr)
        for version in waiting.values():
            version.process.communicate()
    pairs = zip(seconds["after"], seconds["before"], strict=True)
    return {
        "figure": "time of expand with durable outputs over that without",
        "runs": runs,
        "pictures": pictures or "all",
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "processor_seconds": {name: spread(values) for name, values in busy.items()},
        "ratio": spread([after / before for after, before in pairs]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="src of the version to compare with")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=0, help="only the first so many; 0: all")
    options = parser.parse_args()
    result = measure(options.folder, options.before, options.runs, options.pictures)
    print(json.dumps(result | facts("numpy", "opencv-python")))


if __name__ == "__main__":
    main()
