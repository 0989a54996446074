"""How far landmarks come to lie from the pixels that they mark. Prints one JSON line.

    PYTHONPATH=src python benchmarks/landmarks.py --seeds 16

Two ways of looking, for faceaug and for other libraries, on pictures of 178 x 218 with five landmarks, everything drawn
at random within the ranges of ``augment_kits.py``; every library gets picture and landmarks in one call.

- ``inverse``: a picture whose colours say where each pixel comes from goes through the transform. Where the landmark's
  own place came to lie is solved for in the result (Newton's method on a quadratic through the pixels around), and
  compared with the landmark that was returned. Peers take ramps in floats, which is exact; faceaug takes uint8 only,
  so it gets waves of 24 pixels in nine phases, several pictures in one sample, which can be read to about 0.002 pixels
  (see its flips, which are exact).
- ``blobs``: a spot (Gaussian, sigma 2.5 pixels) per landmark, each in a channel of its own; the centroid of what
  became of it is compared with the landmark. Its floor is about 0.03 pixels for a perspective and 0.1 under strong
  warps, which bend the spot.

Landmarks that left the frame, or nearly did, are not measured. A flip that exchanges left and right is undone first
(``swap=()``). ``count``: landmarks in and out; of too many, the nearest counts, in the library's favour.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from augment_kits import STEPS, Kit, Lacking, Ours, Points, quiet, single_threaded

quiet()

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from augment import CHAIN, KITS, Row, calibrate, described, displacement, landmarks  # noqa: E402

Floats: TypeAlias = NDArray[np.float64]

SIZE = (218, 178)
NAMES = ("faceaug", "albumentations", "torchvision v2", "kornia (float in, float out)", "torchtransform")
ROWS = {step: Row((step,), marked=True) for step in STEPS if step not in {"gaussian", "motion"}} | {
    "chain": Row(CHAIN, marked=True),
    "chain + elastic": Row((*CHAIN, "elastic"), marked=True),
    "chain + elastic + twist": Row((*CHAIN, "elastic", "twist"), marked=True),
}
PERIOD = 24.0  # pixels; shorter waves are bent by linear interpolation, longer ones rounded more coarsely
PHASES = np.arange(9) * 2 * np.pi / 9
MARGIN = 6  # pixels: nearer to the edge is not measured
REACH = 14  # pixels around the middle of a spot that belong to it
WINDOW = 4  # pixels around a place on which the quadratic is fitted


def places() -> tuple[Floats, Floats]:
    """Columns and rows of every pixel."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    return x, y


# What goes in, and where the pixels of the result come from.


def ramp() -> NDArray[np.float32]:
    """Columns and rows as shares of the size, and 1 where there is a picture: (height, width, 3)."""
    x, y = places()
    return np.stack([x / SIZE[1], y / SIZE[0], np.ones_like(x)], axis=2).astype(np.float32)


def read_ramp(result: NDArray[np.float32]) -> Floats:
    """Source x and y of every pixel, (height, width, 2)."""
    places = result[..., :2].astype(np.float64) * (SIZE[1], SIZE[0])
    places[result[..., 2] < 0.999] = np.inf  # at least partly the fill
    return places


def waves() -> list[NDArray[np.uint8]]:
    """Pictures of three channels: for x and for y the coarse place, and nine phases of a wave."""
    pictures = []
    for axis in places():
        turn = axis[..., None] / PERIOD * 2 * np.pi + PHASES
        stack = np.concatenate([np.repeat(axis[..., None], 3, axis=2), 127.5 + 127 * np.cos(turn)], axis=2)
        pictures += [np.ascontiguousarray(stack[..., k : k + 3]) for k in range(0, 12, 3)]
    return [picture.round().astype(np.uint8) for picture in pictures]


def read_waves(results: Sequence[NDArray[np.uint8]]) -> Floats:
    """Source x and y of every pixel: the phase, in the period that the coarse place tells."""
    found = []
    for start in (0, 4):
        coarse = results[start][..., 0].astype(np.float64)
        levels = np.concatenate(list(results[start + 1 : start + 4]), axis=2).astype(np.float64)
        fine = np.angle((levels * np.exp(-1j * PHASES)).sum(axis=2)) / (2 * np.pi) * PERIOD
        found.append(fine + PERIOD * np.round((coarse - fine) / PERIOD))
    return np.stack(found, axis=2)


def true_place(sources: Floats, point: Floats, told: Floats | None) -> Floats | None:
    """The output place whose source is the point: Newton's method on a local quadratic. None near the edge.

    A mirrored border may show a place twice; then the one nearer to what the library told is meant.
    """
    apart = ((sources - point) ** 2).sum(axis=2)
    apart[:MARGIN], apart[-MARGIN:], apart[:, :MARGIN], apart[:, -MARGIN:] = (np.inf,) * 4
    if apart.min() > 4:
        return None
    if told is not None:
        x, y = places()
        away = np.where(apart <= 4, (x - told[0]) ** 2 + (y - told[1]) ** 2, np.inf)
        row, column = np.unravel_index(int(away.argmin()), away.shape)
        around = (np.abs(y - row) <= WINDOW) & (np.abs(x - column) <= WINDOW)
        apart = np.where(around, apart, np.inf)
    row, column = np.unravel_index(int(apart.argmin()), apart.shape)
    y, x = np.mgrid[-WINDOW : WINDOW + 1, -WINDOW : WINDOW + 1].astype(np.float64)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2).reshape(-1, 6)
    near = sources[row - WINDOW : row + WINDOW + 1, column - WINDOW : column + WINDOW + 1].reshape(-1, 2)
    if not np.isfinite(near).all():
        return None
    c = np.linalg.lstsq(terms, near, rcond=None)[0]
    at = np.zeros(2)
    for _ in range(20):
        u, v = at
        error = np.array([1, u, v, u * u, u * v, v * v]) @ c - point
        slope = np.stack([c[1] + 2 * u * c[3] + v * c[4], c[2] + u * c[4] + 2 * v * c[5]], axis=1)
        at = at - np.linalg.solve(slope, error)
    return np.array([column, row]) + at if np.abs(at).max() < 2 else None


# The libraries with pictures of their own kinds.

Call: TypeAlias = Callable[[], tuple[Any, NDArray[Any]]]


class Marked:
    """One library and one row: pictures and landmarks through one draw."""

    def __init__(self, kit: Kit, row: Row) -> None:
        self.kit, self.row = kit, row

    def sources(self, points: Points) -> tuple[Floats, Floats]:
        """Where pixels come from, and the landmarks that were returned."""
        if isinstance(self.kit, Ours):
            results, moved = self._ours(waves(), points)
            return read_waves(results), moved
        result, moved = self.kit.apply_marked(self.row.steps, points, fixed=False)(self._load(ramp()))
        return read_ramp(self._show(result)), np.asarray(moved, np.float64)

    def spots(self, points: Points) -> tuple[Floats, Floats]:
        """The spots after the transform, (height, width, n), and the landmarks that were returned."""
        x, y = places()
        near = [255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.5**2)) for u, v in points.astype(np.float64)]
        spots = np.stack(near, axis=2).round()
        if isinstance(self.kit, Ours):
            pictures = [np.repeat(spots[..., k : k + 1], 3, axis=2).astype(np.uint8) for k in range(len(points))]
            results, moved = self._ours(pictures, points)
            return np.stack([result[..., 0] for result in results], axis=2).astype(np.float64), moved
        loaded = self._load((spots / 255).astype(np.float32))
        result, moved = self.kit.apply_marked(self.row.steps, points, fixed=False)(loaded)
        return self._show(result).astype(np.float64) * 255, np.asarray(moved, np.float64)

    def _ours(self, pictures: Sequence[NDArray[np.uint8]], points: Points) -> tuple[list[Any], Floats]:
        import faceaug as fa

        steps = [self.kit.step(name, fixed=False) for name in self.row.steps]
        sample = {"pictures": list(pictures), "landmarks": points.astype(np.float64)}
        made = fa.Compose(steps, swap=())(sample)
        return made["pictures"], made["landmarks"]

    def _load(self, picture: NDArray[np.float32]) -> Any:
        import torch

        if self.kit.name == "albumentations":
            return picture
        tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return tensor if self.kit.name == "torchvision v2" else tensor[None]

    def _show(self, result: Any) -> NDArray[np.float32]:
        if self.kit.name == "albumentations":
            return result
        tensor = result if self.kit.name == "torchvision v2" else result[0]
        return tensor.permute(1, 2, 0).numpy()


# Figures.


def errors_by_inverse(marked: Marked, points: Points) -> tuple[list[float], int]:
    """Distances, and how many landmarks came back."""
    sources, moved = marked.sources(points)
    found = []
    for k, point in enumerate(points.astype(np.float64)):
        true = true_place(sources, point, moved[k] if len(moved) == len(points) else None)
        if true is not None:
            found.append(distance(moved, k, true, len(points)))
    return found, len(moved)


def errors_by_blobs(marked: Marked, points: Points) -> list[float]:
    """Distances of centroids, of spots that are whole."""
    spots, moved = marked.spots(points)
    x, y = places()
    found = []
    for k in range(len(points)):
        row, column = np.unravel_index(int(spots[..., k].argmax()), SIZE)
        near = (np.abs(y - row) <= REACH) & (np.abs(x - column) <= REACH)  # a mirrored border may show it twice
        spot = spots[..., k] * (near & (spots[..., k] > 3))
        edge = max(spot[:MARGIN].max(), spot[-MARGIN:].max(), spot[:, :MARGIN].max(), spot[:, -MARGIN:].max())
        if edge > 0 or spot.max() < 128:
            continue
        centre = np.array([(x * spot).sum(), (y * spot).sum()]) / spot.sum()
        found.append(distance(moved, k, centre, len(points)))
    return found


def distance(moved: Floats, k: int, true: Floats, count: int) -> float:
    """To the k-th landmark, or to the nearest where their number changed."""
    if len(moved) == 0:
        return float("nan")
    apart = np.hypot(*(moved[:, :2] - true).T)
    return float(apart[k] if len(moved) == count else apart.min())


def measure(kit: Kit, row: Row, seeds: int) -> dict[str, Any]:
    """Both ways over all seeds."""
    for step in row.steps:
        kit.step(step, fixed=False)  # or Lacking
    marked = Marked(kit, row)
    inverse, blobs, counts = [], [], set()
    for seed in range(seeds):
        seed_all(seed)
        jitter = np.random.default_rng(seed).uniform(-12, 12, (5, 2)).astype(np.float32)
        points = landmarks(SIZE) + jitter
        found, count = errors_by_inverse(marked, points)
        inverse += found
        counts.add(count)
        blobs += errors_by_blobs(marked, points)
    return {"inverse_px": figures(inverse), "blobs_px": figures(blobs), "landmarks_out_of_5": sorted(counts)}


def seed_all(seed: int) -> None:
    """The generators that the libraries draw from."""
    import random

    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def figures(values: Sequence[float]) -> dict[str, Any]:
    """Mean and largest."""
    known = [value for value in values if value == value]  # NaN: no landmark came back
    if not known:
        return {"measured": 0}
    return {"mean": round(statistics.mean(known), 4), "max": round(max(known), 4), "measured": len(known)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--peer", action="append", default=[], choices=NAMES, help="repeatable")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    single_threaded()
    target = displacement(Ours(SIZE))[0]
    results: dict[str, Any] = {}
    for kind in KITS:
        kit = kind(SIZE)
        if kit.name not in (options.peer or NAMES):
            continue
        if not isinstance(kit, Ours):
            calibrate(kit, target)
        for title, row in ROWS.items():
            try:
                found = measure(kit, row, options.seeds)
            except Lacking as lack:
                found = {"lacking": str(lack)}
            results.setdefault(title, {})[kit.name] = found
            print(f"{kit.name:30} {title:26} {found}", file=sys.stderr, flush=True)
    result = {"figure": "distance of landmarks from their pixels, px", "size": "178x218", "seeds": options.seeds}
    known = described(None)
    print(json.dumps(result | {"rows": results} | known))


if __name__ == "__main__":
    main()
