"""Faces per second of the generator, against the same network in plain eager float32. Prints one JSON line.

    python benchmarks/generation.py --rounds 10
    python benchmarks/generation.py --peer PYTHON --peer PYTHON     interpreters that have gan_face_generate, GANexLib

The plain way is torch as it comes: float32, batches of 64, batch norm as a layer. All ways take turns within one
process, so that what else the machine does hits all alike; ratios are those of the medians, pixels as uint8 included.
Then the command `faceaug synth --n 10000` from a cold process, files and metadata included, and one face from a cold
process. Peers are timed as their users run them, one process; where a peer is not installed it is left out and named.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import facts

from faceaug.synthesize import SyntheticFaceSource, load_model
from faceaug.synthesize.render import to_uint8

FACES = 512
ONE = "from faceaug import SyntheticFaceSource; SyntheticFaceSource('dcgan-32', seed={}).generate(1)"
PEERS = {
    "gan_face_generate": (1, ["-m", "gan_face_generate.inference", "--save-file", "face.png"]),  # its command: a face
    "GANexLib": (100, ["-c", "from GANexLib import expand_dataset; expand_dataset('faces', 100, epochs=1)"]),
}  # name: faces it makes, arguments of the interpreter


def turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, taking turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            found[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in found.items()}


def in_memory(model: str, rounds: int) -> dict[str, object]:
    generator = load_model(model).generator
    z = SyntheticFaceSource(model, seed=0).latents(FACES)
    sources = {name: SyntheticFaceSource(model, precision=name) for name in ("fp32", "bf16")}

    @torch.inference_mode()
    def plain() -> None:
        for part in z.split(64):
            to_uint8(generator(part))

    ways: dict[str, Callable[[], object]] = {"plain": plain}
    for name, source in sources.items():
        ways[name] = lambda source=source: source.render(z)
    median = turns(ways, rounds)
    return {
        "faces_per_s": {name: round(FACES / value) for name, value in median.items()},
        "times_plain": {name: round(median["plain"] / value, 2) for name, value in median.items() if name != "plain"},
    }


def command(words: list[str], python: str = sys.executable, folder: str | None = None) -> float:
    """Seconds of a cold process."""
    began = time.perf_counter()
    subprocess.run(
        [python, *words], env=os.environ | {"MPLBACKEND": "agg"}, check=True, capture_output=True, cwd=folder
    )
    return time.perf_counter() - began


def end_to_end(n: int, precision: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out")
        return command(["-m", "faceaug", "synth", "--n", str(n), "--out", out, "--precision", precision, "-q"])


def peers(pythons: list[str]) -> dict[str, object]:
    """Seconds per face of the commands others ship; GANexLib trains on every call: one epoch, 64 faces."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        SyntheticFaceSource("dcgan-32", seed=0).save(Path(folder) / "faces", 64, format="jpg")
        for name, (faces, words) in PEERS.items():
            for python in pythons:
                try:
                    found[name] = round(command(words, python, folder) / faces, 3)
                    break
                except subprocess.CalledProcessError as error:
                    found[name] = f"does not run: {error.stderr.decode().strip().splitlines()[-1]}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dcgan-32")
    parser.add_argument("--n", type=int, default=10_000, help="faces of the whole command")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cold", type=int, default=3, help="cold starts")
    parser.add_argument("--peer", action="append", metavar="PYTHON", help="interpreter that has peers")
    options = parser.parse_args()
    result: dict[str, object] = {
        "figure": "faces per second; seconds of the whole command and of one face from a cold process",
        "model": options.model, "rounds": options.rounds, "threads": torch.get_num_threads(),
        "in_memory": in_memory(options.model, options.rounds),
        "synth_seconds": {name: round(end_to_end(options.n, name), 2) for name in ("fp32", "bf16")},
        "synth_n": options.n,
        "one_cold_face_seconds": round(min(command(["-c", ONE.format(k)]) for k in range(options.cold)), 2),
    }  # fmt: skip
    if options.peer:
        result["peers_seconds_per_face"] = peers(options.peer)
    print(json.dumps(result | facts("faceaug", "torch", "pillow")))


if __name__ == "__main__":
    main()
