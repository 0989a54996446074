"""How near a chain comes to the truth, resampled once or at every step. Prints one JSON line.

    PYTHONPATH=src python benchmarks/augment_quality.py CELEBA200 --seed 0

The truth is known where a picture is a function of the place, which can be evaluated through the exact map and not only
at pixels. Two kinds of such pictures:

- ``faces``: the cosine series through the pixels of a real face, 178 x 218 (what a band-limited camera saw).
  Evaluated on a grid four times as fine by the series itself and between its points by splines of degree five.
- ``texture``: a sum of 60 waves of 0.02 to 0.25 cycles per pixel, their amplitude falling with frequency.

Both are rounded to uint8 at the pixels; that is all a library gets. PSNR in the inner half, dB, against the rounded
truth. The maps are written out here from the formulas in docs/augment.md, and do not come from faceaug; only the random
fields of an elastic and the profile of a twist do.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from augment_kits import CORNERS, FIXED, Kit, Lacking, Ours, homography, quiet, single_threaded

quiet()

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.fft import dctn, idctn  # noqa: E402
from scipy.ndimage import map_coordinates, spline_filter  # noqa: E402

from augment import CHAIN, KITS, described, faces, psnr  # noqa: E402

Places: TypeAlias = NDArray[np.float64]  # (n, 2), x and y
Function: TypeAlias = Callable[[Places], NDArray[np.float64]]  # places -> (n, 3), 0..255

SIZE = (218, 178)
FINER = 4
PEERS = ("albumentations", "torchvision v2", "kornia", "torchtransform", "fuse-augmentations")


def of_face(image: NDArray[np.uint8]) -> Function:
    """The cosine series through the pixels, as a function of the place."""
    height, width = image.shape[:2]
    series = dctn(image.astype(np.float64), axes=(0, 1), norm="forward")
    padded = np.zeros((height * FINER, width * FINER, 3))
    padded[:height, :width] = series
    fine = idctn(padded, axes=(0, 1), norm="forward")
    planes = [spline_filter(fine[..., k], order=5, mode="mirror") for k in range(3)]

    def evaluate(places: Places) -> NDArray[np.float64]:
        # The pixels of either grid are centred: position p in pixels is (p + 1/2) * FINER - 1/2 on the fine grid.
        at = ((places + 0.5) * FINER - 0.5).T[::-1]
        values = [map_coordinates(plane, at, order=5, mode="mirror", prefilter=False) for plane in planes]
        return np.stack(values, axis=1)

    return evaluate


def of_texture(seed: int) -> Function:
    """A sum of waves."""
    rng = np.random.default_rng(seed)
    cycles = 0.02 * (0.25 / 0.02) ** rng.random(60)
    angle, phase = rng.random(60) * math.tau, rng.random((60, 3)) * math.tau
    across, down = cycles * np.cos(angle) * math.tau, cycles * np.sin(angle) * math.tau
    share = cycles**-0.5

    def evaluate(places: Places) -> NDArray[np.float64]:
        turn = places[:, :1] * across + places[:, 1:] * down
        waves = [(np.cos(turn + phase[:, k]) * share).sum(axis=1) for k in range(3)]
        return 127.5 + 127.5 / (2.5 * math.sqrt((share**2).sum() / 2)) * np.stack(waves, axis=1)

    return evaluate


def rounded(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """As a picture of SIZE."""
    return values.round().clip(0, 255).astype(np.uint8).reshape(*SIZE, 3)


def places() -> Places:
    """All pixels of SIZE."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def backward_matrix(*, isotropic: bool) -> NDArray[np.float64]:
    """Output pixel -> source, homogeneous, of the fixed chain."""
    centre = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
    angle = math.radians(FIXED["rotate"][0])
    x, y = FIXED["stretch"][0][0], FIXED["stretch"][0 if isotropic else 1][0]
    turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    matrix = np.eye(3)
    for linear in (turn, [[-1.0, 0.0], [0.0, 1.0]], [[x, 0.0], [0.0, y]]):
        step = np.eye(3)
        step[:2, :2] = linear
        step[:2, 2] = centre - np.array(linear) @ centre
        matrix = step @ matrix
    return np.linalg.inv(homography(SIZE) @ matrix)


def through(matrix: NDArray[np.float64], at: Places) -> Places:
    """Homogeneous."""
    found = np.concatenate([at, np.ones((len(at), 1))], axis=1) @ matrix.T
    return found[:, :2] / found[:, 2:]


class OursSteps(Ours):
    """faceaug with one resample per step: what fusing is compared with."""

    def run(self, names: Sequence[str], image: NDArray[np.uint8], *, key: int, interpolation: str, fused: bool) -> Any:
        """The chain with the corners of the benchmark; the elastic is drawn by the key."""
        steps = [self.step(name, fixed=True) for name in names]
        steps = [
            replace(step, interpolation=interpolation) if hasattr(step, "interpolation") else step for step in steps
        ]
        whole = self.chain(steps)
        params = whole.params(key, SIZE)
        for drawn in params:
            if drawn["name"] == "Perspective":
                drawn["corners"] = CORNERS.tolist()
        if fused:
            return whole.render(image, params)
        for drawn in params:
            image = steps[drawn["step"]].render(image, [{k: v for k, v in drawn.items() if k != "step"}])
        return image

    def sources(self, names: Sequence[str], key: int) -> Places:
        """Where every output pixel comes from, with the elastic and the twist by faceaug's formulas."""
        steps = [self.step(name, fixed=True) for name in names]
        params = self.chain(steps).params(key, SIZE)
        at = places()
        for drawn in reversed(params[len(CHAIN) :]):
            at = steps[drawn["step"]].motion(drawn, SIZE).sources(at)
        return through(backward_matrix(isotropic=False), at)


def ours(pictures: Sequence[Function]) -> dict[str, Any]:
    """Fused against sequential, by chain and interpolation."""
    kit, found = OursSteps(SIZE), {}
    for title, names in {
        "chain": CHAIN, "chain + elastic": (*CHAIN, "elastic"), "chain + elastic + twist": (*CHAIN, "elastic", "twist"),
    }.items():  # fmt: skip
        for interpolation in ("linear", "cubic"):
            fused, steps = [], []
            for key, function in enumerate(pictures):
                image, truth = rounded(function(places())), rounded(function(kit.sources(names, key)))
                run = partial(kit.run, names, image, key=key, interpolation=interpolation)
                fused.append(psnr(run(fused=True), truth))
                steps.append(psnr(run(fused=False), truth))
            gain = [a - b for a, b in zip(fused, steps, strict=True)]
            found[f"{title}, {interpolation}"] = {
                "fused_db": figures(fused), "sequential_db": figures(steps), "gain_db": figures(gain)
            }  # fmt: skip
    return found


def peers(pictures: Sequence[Function]) -> dict[str, Any]:
    """The chain as each library does it, linear."""
    found: dict[str, Any] = {}
    for kind in KITS:
        kit: Kit = kind(SIZE)
        if kit.name not in PEERS:
            continue
        matrix = backward_matrix(isotropic=kit.isotropic)
        try:
            work = kit.apply(CHAIN, fixed=True)
        except Lacking as lack:
            found[kit.name] = {"lacking": str(lack)}
            continue
        values = []
        for function in pictures:
            truth = rounded(function(through(matrix, places())))
            values.append(psnr(kit.show(work(kit.load(rounded(function(places()))))), truth))
        found[kit.name] = figures(values)
    return found


def figures(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    kinds = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {kind: round(value, 1) for kind, value in kinds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="CELEBA200")
    parser.add_argument("--n", type=int, default=40, help="pictures of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    single_threaded()
    kinds = {
        "faces": [of_face(image) for image in faces(options.folder, SIZE, options.n)],
        "texture": [of_texture(options.seed + k) for k in range(options.n)],
    }
    results = {kind: {"faceaug": ours(pictures), "chain by peers": peers(pictures)} for kind, pictures in kinds.items()}
    for kind, found in results.items():
        for title, value in (found["faceaug"] | found["chain by peers"]).items():
            print(f"{kind:8} {title:34} {value}", file=sys.stderr)
    result = {"figure": "PSNR against the truth: one resample or one per step", "n": options.n, "seed": options.seed}
    print(json.dumps(result | {"size": "178x218", "pictures": results} | described(options.folder)))


if __name__ == "__main__":
    main()
