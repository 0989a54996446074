"""Kill a training with SIGKILL at N random moments and go on after each. Prints one JSON line.

    python -m benchmarks.reliability.training --n 50

Run it from the root of the repository. A run without a kill is the reference. Then runs of the same config are killed
some steps further on, drawn at random, plus a random moment, started again with the same call and killed again. A run
counts as a failure if a process ends with an error, or if its last checkpoint, its model, its last sheet of samples or
its log (but for the speed) are not those of the reference to the bit. Recipes take turns, so that every kind of state
is part of it: both precisions, penalties, spectral norm, adaptive augmentation, decay.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from benchmarks.reliability.zoo import picture, run_campaign

from faceaug.draws import stream
from faceaug.data.image import encode_png
from faceaug.train import TrainConfig, export, train_gan

COMMON: dict[str, Any] = {
    "z_size": 8, "g_conv_dim": 8, "d_conv_dim": 8, "batch": 8, "images": 160, "crop": "square",
    "checkpoint_every": 24, "sample_every": 80, "monitor_every": 80, "log_every": 8, "average_half_life": 500,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "plain fp32": {"precision": "fp32"},
    "r1 bf16": {"precision": "bf16", "r1": 0.5, "penalty_every": 4},
    "hinge, spectral norm, linear decay": {
        "precision": "fp32", "loss": "hinge", "d_norm": "spectral", "decay": "linear", "d_learning_rate": 4e-4,
    },
    "adaptive augmentation bf16": {
        "precision": "bf16", "augment": "color,translation,cutout", "augment_target": 0.3, "augment_images": 2000,
    },
}  # fmt: skip
STEPS = 8  # at most, from one kill to the next; a checkpoint is written every third step
FORK = multiprocessing.get_context("fork")  # torch is loaded once, not once for every kill


def train(faces: Path, run: Path, config: dict[str, Any]) -> None:
    """In a process of its own: train, or go on."""
    warnings.simplefilter("ignore")
    train_gan(faces, run, TrainConfig(**config), device="cpu")


def start(faces: Path, run: Path, config: dict[str, Any]) -> Any:
    """A process that trains."""
    process = FORK.Process(target=train, args=(faces, run, config))
    process.start()
    return process


def ending(run: Path) -> dict[str, str]:
    """Digests of what a run ends with."""
    last = max(path for path in run.glob("checkpoint-*") if path.suffix != ".partial")
    state = json.loads((last / "state.json").read_text())
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    plain = json.dumps([{k: v for k, v in line.items() if k != "images_per_s"} for line in log])
    sheet = max((run / "samples").glob("*.png"))
    contents = {
        "checkpoint": (last / "state.safetensors").read_bytes() + json.dumps(state).encode(),
        "model": (run / "model" / "model.safetensors").read_bytes(),
        "samples": sheet.read_bytes() + sheet.name.encode(),
        "log": plain.encode(),
        "leftovers": json.dumps(sorted(str(p.relative_to(run)) for p in run.rglob("*.partial*"))).encode(),
    }
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def logged(run: Path) -> int:
    """Lines in the log of a run: a line for every step, and those of the watch."""
    try:
        return (run / "log.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def moment(run: Path) -> str:
    """What lay in the run folder when the process died."""
    if any(run.glob("checkpoint-*.partial")):
        return "while a checkpoint was written"
    if any(run.rglob("*.partial")):
        return "while another file was written"
    return "between writes" if any(run.glob("checkpoint-*")) else "before the first checkpoint"


class Trial:
    """Runs of one recipe, killed again and again.

    Attributes:
        failures: what went wrong, a line each.
        moments: what the kills interrupted.
        finished: runs that came to their end, each compared with the reference.
    """

    def __init__(self, name: str, faces: Path, work: Path) -> None:
        self.name, self.faces, self.work = name, faces, work
        self.config = COMMON | RECIPES[name]
        self.failures: list[str] = []
        self.moments: Counter[str] = Counter()
        self.finished = 0
        process = start(faces, work / "reference", self.config)
        process.join()
        if process.exitcode:
            raise SystemExit("the run without a kill failed")
        self.expected = ending(work / "reference")
        self._run = work / "run"

    def kill(self, steps: int, seconds: float) -> bool:
        """Go on until so many more steps are in the log, and some seconds, then kill. False if the run ended before."""
        goal = logged(self._run) + steps
        process = start(self.faces, self._run, self.config)
        while process.is_alive() and logged(self._run) < goal:
            time.sleep(0.002)
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            self.moments[moment(self._run)] += 1
            return True
        self._compare(process.exitcode)
        return False

    def end(self) -> None:
        """Let the last run come to its end."""
        if self._run.exists():
            process = start(self.faces, self._run, self.config)
            process.join()
            self._compare(process.exitcode)

    def _compare(self, code: int) -> None:
        self.finished += 1
        if code:
            self.failures.append(f"{self.name}: exit {code}")
        else:
            found = ending(self._run)
            self.failures += [f"{self.name}: {key} differs" for key in found if found[key] != self.expected[key]]
        shutil.rmtree(self._run)


def measure(n: int, seed: int, work: Path) -> dict[str, Any]:
    threads, torch_batches = torch.get_num_threads(), export._STATISTICS_BATCHES
    torch.set_num_threads(1)  # a process with threads cannot be forked, and networks this small need none
    export._STATISTICS_BATCHES = 2
    try:
        return _measure(n, seed, work)
    finally:
        torch.set_num_threads(threads)
        export._STATISTICS_BATCHES = torch_batches


def _measure(n: int, seed: int, work: Path) -> dict[str, Any]:
    faces = work / "faces"
    faces.mkdir(parents=True)
    for k in range(40):
        (faces / f"{k:03d}.png").write_bytes(encode_png(picture(k)))
    names = list(RECIPES)[:n]
    rng, parts, failures = stream(seed, slot="reliability/training"), {}, []
    for index, name in enumerate(names):
        place = work / f"recipe{index}"
        place.mkdir()
        trial, killed = Trial(name, faces, place), 0
        wanted = n // len(names) + (index < n % len(names))
        while killed < wanted:
            killed += trial.kill(int(rng.integers(0, STEPS)), float(rng.uniform(0, 0.1)))
        trial.end()
        failures += trial.failures
        parts[name] = {
            "kills": killed, "runs": trial.finished, "failures": len(trial.failures),
            "killed": dict(sorted(trial.moments.items())),
        }  # fmt: skip
    return {
        "figure": "trainings that do not end as the undisturbed one, to the bit, after SIGKILL at random moments",
        "n": sum(part["kills"] for part in parts.values()),
        "runs": sum(part["runs"] for part in parts.values()),
        "failures": len(failures), "failed": failures[:50], "recipes": parts,
    }  # fmt: skip


def main() -> None:
    run_campaign("training", __doc__, measure, n=50, of="kills in all")


if __name__ == "__main__":
    main()
