"""Throughput of every augmentation and of chains, beside other libraries, in one process. Prints one JSON line.

    pip install albumentations==2.0.8 kornia torchtransform fuse-augmentations variopinta scipy
    PYTHONPATH=src python benchmarks/augment.py CELEBA200 --seed 0

Real faces, decoded, at 178 x 218 and 512 x 512. One process, one thread in every library. Each peer is timed against
faceaug alone, chunk by chunk (A B, B A, A B ...), so that whatever else the machine does meets both; a ratio belongs to
one such round. Time is processor time of the whole process (other programs on the machine do not count, a library's
hidden threads would); ``wall`` gives the ratio by the clock. Every library gets its own native layout (see
``augment_kits.py``).

Rows: every single operation, the chain rotate + flip + stretch + perspective, the same with an elastic, both with five
landmarks carried. Each is measured twice: ``drawn`` calls the library as its users do, with everything drawn at random
on every call; ``fixed`` has its ranges collapsed.

Agreement stands in the same row: PSNR between our and the peer's fixed result in the inner half of the picture. Of a
chain it cannot be high where the peer resamples at every step (see ``augment_quality.py`` for who is right). Random
fields differ, so of an elastic the displacements are compared: every peer's strength is set so that their root mean
square is ours, and the Gaussian of those that smooth noise is as wide as our spline ("elastic"), or what their
documentation shows ("elastic, sigma 50", "elastic, sigma 5").
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from augment_kits import STEPS, Apply, Kit, Lacking, Ours, OursTensor, Points, Size, quiet, single_threaded, smoothness

quiet()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from augment_arrays import Albumentations, AlbumentationsCompose, Fuse, Variopinta  # noqa: E402
from augment_tensors import (  # noqa: E402
    Kornia,
    KorniaFloat,
    TorchTransform,
    TorchTransform32,
    Torchvision,
    TorchvisionPil,
)
from machine import facts  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

KITS: tuple[type[Kit], ...] = (
    Ours, OursTensor, Albumentations, AlbumentationsCompose, Torchvision, TorchvisionPil, Kornia, KorniaFloat,
    TorchTransform, TorchTransform32, Fuse, Variopinta,
)  # fmt: skip
CHAIN = ("rotate", "flip h", "stretch", "perspective")
SIZES = {"178x218": (218, 178), "512x512": (512, 512)}
PACKAGES = (
    "torch", "torchvision", "opencv-python", "numpy", "pillow", "albumentations", "kornia", "torchtransform",
    "fuse-augmentations", "variopinta",
)  # fmt: skip
TOO_SLOW = 3.0  # seconds for one picture
_EYES = ((0.39, 0.51), (0.61, 0.51), (0.5, 0.62), (0.4, 0.7), (0.6, 0.7))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        steps: the operations.
        marked: whether five landmarks come along.
        sigma: of the peers' elastic, pixels; 0 for as smooth as ours.
    """

    steps: tuple[str, ...]
    marked: bool = False
    sigma: float = 0.0


ROWS = {step: Row((step,)) for step in STEPS} | {
    "chain": Row(CHAIN),
    "chain + elastic": Row((*CHAIN, "elastic")),
    "chain, landmarks": Row(CHAIN, marked=True),
    "chain + elastic, landmarks": Row((*CHAIN, "elastic"), marked=True),
    "elastic, sigma 50": Row(("elastic",), sigma=50),
    "elastic, sigma 5": Row(("elastic",), sigma=5),
    "chain + elastic, sigma 50": Row((*CHAIN, "elastic"), sigma=50),
}


def faces(folder: Path, size: Size, count: int) -> list[NDArray[np.uint8]]:
    """Real faces of exactly that size: enlarged or reduced until they cover it, then cut in the middle."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".png"})[:count]
    pictures = []
    for path in paths:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
        shape = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
        top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
        pictures.append(np.ascontiguousarray(image[top : top + size[0], left : left + size[1]]))
    return pictures


def landmarks(size: Size) -> Points:
    """Five places about where a face has them, (5, 2), pixel indices."""
    return np.array(_EYES, np.float32) * (size[1] - 1, size[0] - 1)


# Agreement.


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Of the inner half (a quarter off every side), dB; 99 for equal pictures."""
    top, left = a.shape[0] // 4, a.shape[1] // 4
    error = a[top:-top, left:-left].astype(np.float64) - b[top:-top, left:-left]
    return min(99.0, round(float(10 * np.log10(255**2 / max((error**2).mean(), 1e-9))), 1))


def displacement(kit: Kit, draws: int = 40, limit: float = 2.0) -> tuple[float, float]:
    """Root mean square and largest displacement of its elastic in the middle of the picture, pixels.

    Fewer draws where they take longer than the limit, seconds.
    """
    began = time.perf_counter()
    height, width = kit.size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ramp = np.stack([x / width, y / height, np.zeros_like(x)], axis=2)
    transform = kit.step("elastic", fixed=True)
    squares = []
    for _ in range(draws):
        if squares and time.perf_counter() - began > limit:
            break
        shift = (kit.probe(transform, ramp) - ramp)[height // 5 : -height // 5, width // 5 : -width // 5, :2]
        squares.append(((shift * (width, height)) ** 2).sum(axis=2))
    return float(np.sqrt(np.mean(squares))), float(np.sqrt(np.max(squares)))


def calibrate(kit: Kit, target: float, *, most: float = math.inf) -> dict[str, float]:
    """Set a peer's elastic so strong that its displacements are ours; what they are then.

    Raises Lacking where one picture takes more than ``most`` seconds.
    """
    kit.elastic = 20.0
    began = time.process_time()
    try:
        root, largest = displacement(kit, draws=1)  # in proportion to the strength
        if (seconds := time.process_time() - began) > most:
            raise Lacking(f"too slow to be timed: {seconds:.0f} s of processor time for one picture")
        root, largest = displacement(kit)
    except RuntimeError as error:
        raise Lacking(f"cannot: {str(error)[:120]}") from error
    kit.elastic *= target / root
    own = {"strength": round(kit.elastic, 2)} | ({"sigma": kit.sigma} if kit.has_sigma else {})
    return own | {"rms_px": round(target, 2), "max_px": round(largest * target / root, 1)}


def agreement(ours: Ours, kit: Kit, row: Row, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """How far the fixed results are the same, or the notes why they are not comparable."""
    notes = {step: kit.notes[step] for step in row.steps if step in kit.notes}
    said: dict[str, Any] = {"notes": notes} if notes else {}
    if "elastic" in row.steps:
        return said
    if isinstance(kit, Ours):
        work: Apply = partial(kit.with_corners, row.steps)
    else:
        work = kit.apply(row.steps, fixed=True)
    values = [
        psnr(kit.show(work(kit.load(image))), ours.with_corners(row.steps, image, isotropic=kit.isotropic))
        for image in pictures[:8]
    ]
    return {"psnr_db": round(statistics.median(values), 1)} | said


# Speed.


class Runner:
    """A function with its pictures, called chunk by chunk.

    Attributes:
        count: calls per chunk.
        batch: pictures per call.
    """

    def __init__(self, work: Apply, items: Sequence[Any], *, batch: int, chunk: float) -> None:
        self._work, self._items, self._at, self.batch = work, items, 0, batch
        self.count = 1
        self.chunk()
        self.count = 5 if self.chunk()[0] * batch < chunk else 1
        self.count = max(1, min(3000, round(chunk / (self.chunk()[0] * batch))))

    def chunk(self) -> tuple[float, float]:
        """Seconds per picture: of the processor, by the clock."""
        items = [self._items[(self._at + k) % len(self._items)] for k in range(self.count)]
        self._at += self.count
        work = self._work
        clock, processor = time.perf_counter(), time.process_time()
        for item in items:
            work(item)
        processor, clock = time.process_time() - processor, time.perf_counter() - clock
        return processor / (self.count * self.batch), clock / (self.count * self.batch)


def compare(ours: Runner, peer: Runner, *, rounds: int, limit: float) -> dict[str, Any]:
    """Rounds A B, B A, A B ...; as many as the limit (seconds of the processor) allows, at least three."""
    began = time.process_time()
    ratios, walls, own, other = [], [], [], []
    for turn in range(rounds):
        if turn > 2 and time.process_time() - began > limit:
            break
        order = (ours, peer) if turn % 2 == 0 else (peer, ours)
        taken = {runner: runner.chunk() for runner in order}
        ratios.append(taken[peer][0] / taken[ours][0])
        walls.append(taken[peer][1] / taken[ours][1])
        own.append(taken[ours][0])
        other.append(taken[peer][0])
    return {
        "ratio": spread(ratios),
        "wall": round(statistics.median(walls), 2),
        "ours_per_s": round(1 / statistics.median(own), 1),
        "peer_per_s": round(1 / statistics.median(other), 1),
        "rounds": len(ratios),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    kinds = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {kind: round(value, 2) for kind, value in kinds.items()}


class Bench:
    """Everything at one size."""

    def __init__(self, size: Size, pictures: Sequence[NDArray[np.uint8]], options: argparse.Namespace) -> None:
        self.size, self.pictures, self.options = size, pictures, options
        self.ours = Ours(size)
        self.points = landmarks(size)
        self.target = displacement(self.ours, draws=32)
        self._runners: dict[tuple[str, bool], Runner] = {}
        self._calibrated: dict[tuple[str, float], tuple[dict[str, Any], float, float]] = {}

    def run(self, kit: Kit) -> dict[str, Any]:
        """Every row of one peer."""
        items = [kit.load(image) for image in self.pictures[:: kit.batch]]
        found: dict[str, Any] = {}
        for title, row in ROWS.items():
            if self.options.only and title not in self.options.only:
                continue
            if row.sigma and not (kit.has_sigma and self.size[0] < 300):
                continue
            try:
                found[title] = self._row(kit, title, row, items)
            except Lacking as lack:
                found[title] = {"lacking": str(lack)}
            print(line(f"{self.size[1]}x{self.size[0]}", kit.name, title, found[title]), file=sys.stderr, flush=True)
        return found

    def _row(self, kit: Kit, title: str, row: Row, items: Sequence[Any]) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for step in row.steps:
            kit.step(step, fixed=True)  # or Lacking, before anything is measured
        if "elastic" in row.steps and not isinstance(kit, Ours):
            same = kit.probe.__qualname__, row.sigma  # several kits of one library share its field
            if same not in self._calibrated:
                kit.sigma = row.sigma or smoothness(self.size)
                self._calibrated[same] = self._calibration(kit), kit.elastic, kit.sigma
            said["displacement"], kit.elastic, kit.sigma = self._calibrated[same]
            if "lacking" in said["displacement"]:
                raise Lacking(said["displacement"]["lacking"])
        if not row.marked:
            said |= agreement(self.ours, kit, row, self.pictures)
        for mode in self.options.mode:
            fixed = mode == "fixed"
            ours = self._ours(title, row, fixed)
            peer = Runner(self._work(kit, row, fixed), items, batch=kit.batch, chunk=self.options.chunk)
            said[mode] = compare(ours, peer, rounds=self.options.rounds, limit=self.options.limit)
        return said

    def _calibration(self, kit: Kit) -> dict[str, Any]:
        try:
            return calibrate(kit, self.target[0], most=TOO_SLOW)
        except Lacking as lack:
            return {"lacking": str(lack)}

    def _ours(self, title: str, row: Row, fixed: bool) -> Runner:
        if (title, fixed) not in self._runners:
            work = self._work(self.ours, row, fixed)
            self._runners[title, fixed] = Runner(work, self.pictures, batch=1, chunk=self.options.chunk)
        return self._runners[title, fixed]

    def _work(self, kit: Kit, row: Row, fixed: bool) -> Apply:
        if row.marked:
            return kit.apply_marked(row.steps, self.points, fixed=fixed)
        return kit.apply(row.steps, fixed=fixed)


def line(size: str, name: str, title: str, found: dict[str, Any]) -> str:
    """A line for people."""
    if "lacking" in found:
        return f"{size} {name:30} {title:28} {found['lacking']}"
    parts = [f"{size} {name:30} {title:28}"]
    for mode in ("drawn", "fixed"):
        if mode in found:
            ratio = found[mode]["ratio"]
            parts.append(
                f"{mode} {ratio['median']:7.2f}x ({ratio['min']:.2f}-{ratio['max']:.2f}) "
                f"{found[mode]['ours_per_s']:7.0f}/s : {found[mode]['peer_per_s']:7.1f}/s"
            )
    parts.append(f"{found['psnr_db']} dB" if "psnr_db" in found else str(found.get("displacement", "")))
    return "  ".join(parts)


def described(folder: Path | None) -> dict[str, Any]:
    """Facts, with the versions of the peers that are here and of faceaug, installed or run from its sources."""
    import tomllib

    found = []
    for name in PACKAGES:
        try:
            version(name)
            found.append(name)
        except PackageNotFoundError:
            continue
    known = facts(*found)
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    known["versions"]["faceaug"] = project["version"]
    return ({"folder": folder.name} if folder else {}) | known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="CELEBA200")
    parser.add_argument("--n", type=int, default=200, help="pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chunk", type=float, default=0.025, help="seconds of one library at a time")
    parser.add_argument("--limit", type=float, default=4.0, help="seconds for one peer in one row and mode")
    parser.add_argument("--size", action="append", default=[], choices=SIZES, help="repeatable")
    parser.add_argument("--only", action="append", default=[], choices=ROWS, help="repeatable")
    parser.add_argument("--peer", action="append", default=[], help="start of a name; repeatable")
    parser.add_argument("--mode", action="append", default=[], choices=("drawn", "fixed"), help="repeatable")
    options = parser.parse_args()
    options.mode = options.mode or ["drawn", "fixed"]
    warnings.simplefilter("ignore")
    single_threaded()
    np.random.seed(options.seed)  # noqa: NPY002 - peers draw from it
    results: dict[str, Any] = {}
    for title in options.size or SIZES:
        bench = Bench(SIZES[title], faces(options.folder, SIZES[title], options.n), options)
        peers: dict[str, Any] = {}
        for kind in KITS[1:]:
            if not options.peer or any(kind.name.startswith(start) for start in options.peer):
                peers[kind.name] = bench.run(kind(SIZES[title]))
        moved = {"rms_px": round(bench.target[0], 2), "max_px": round(bench.target[1], 1)}
        results[title] = {"our_elastic": moved, "peers": peers}
    result = {
        "figure": "throughput, faceaug over peer: above 1 faceaug is faster",
        "n": options.n,
        "seed": options.seed,
    }
    print(json.dumps(result | {"rounds": options.rounds, "sizes": results} | described(options.folder)))


if __name__ == "__main__":
    main()
