"""Checks of faces on real photos with made faults: what `clean --faces` finds, and what it says of good photos.

    PYTHONPATH=src python benchmarks/face_checks.py PHOTOS --first 3500 --seed 0 --sheets SHEETS

PHOTOS is a folder of faces, one in each, such as CelebA's. From the photos after the first ``--first`` (on which no
constant was chosen: those come from another folder), ``--good`` are taken as they are, and ``--each`` others for every
fault, all by one seed. They are written into one folder, which `clean_folder(..., faces=True)` then checks. "named" is
the share of pictures with a fault that are said to have it, "flagged" that of those said to have any. Good photos are
not sorted by hand: some of CelebA's are blurred or dark, so the share flagged is at most a few percent, and not all of
it is wrong. ``--sheets`` writes contact sheets of what was missed and of the good photos flagged; they show people and
are not to be published.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import facts
from numpy.typing import NDArray

from faceaug import CleanPolicy, FaceFinder, FaceFolder, clean_folder
from faceaug.clean.faults import FAULTS
from faceaug.data.image import Image8, encode_jpeg, encode_png, read_image
from faceaug.reports.shell import grid

Random = np.random.Generator
SIDE = 150  # pixels of a picture on a sheet


def clipped(values: NDArray[np.floating[Any]]) -> Image8:
    """Grey levels as they are stored."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def eyes(image: Image8) -> float:
    """Distance of the eyes in a photo, pixels."""
    found = FaceFinder().find(image)
    return found[0].eye_distance if found else 0.22 * image.shape[1]


def no_face(image: Image8, k: int, random: Random) -> Image8:
    """A photo in shuffled tiles, an enlarged corner of its background, or drawn shapes."""
    height, width = image.shape[:2]
    if k % 3 == 0:
        side = 24
        tiles = [
            image[y : y + side, x : x + side]
            for y in range(0, height - side + 1, side)
            for x in range(0, width - side + 1, side)
        ]
        order = random.permutation(len(tiles))
        columns = width // side
        rows = [np.hstack([tiles[j] for j in order[at : at + columns]]) for at in range(0, len(tiles), columns)]
        return np.vstack(rows)
    if k % 3 == 1:
        return cv2.resize(image[:40, :40], (width, height), interpolation=cv2.INTER_CUBIC)
    shapes = np.full_like(image, random.integers(60, 200, 3))
    for _ in range(30):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        colour = random.integers(0, 256, 3).tolist()
        if random.random() < 0.5:
            cv2.rectangle(
                shapes, (x, y), (x + int(random.integers(5, 60)), y + int(random.integers(5, 60))), colour, -1
            )
        else:
            cv2.line(shapes, (x, y), (int(random.integers(0, width)), int(random.integers(0, height))), colour, 3)
    return clipped(shapes + random.normal(0, 5, shapes.shape))


def blurred(image: Image8, k: int, _: Random) -> Image8:
    """A Gaussian of 3 to 10 % of the eye distance; the first at exactly 3 %."""
    return cv2.GaussianBlur(image, (0, 0), (0.03 + 0.07 * (k % 20) / 19) * eyes(image))


def exposed(image: Image8, stops: float) -> Image8:
    """The photo with another exposure, in linear light."""
    linear = (image / 255) ** 2.2 * 2**stops
    return clipped(255 * np.clip(linear, 0, 1) ** (1 / 2.2))


def tiny(image: Image8, k: int, random: Random) -> Image8:
    """Eyes 5 to 9 pixels apart, in a small picture or far away in a larger one."""
    scale = random.uniform(5, 9) / eyes(image)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if k % 2:
        return small
    far = cv2.GaussianBlur(cv2.resize(image[:30, :30], (200, 200)), (0, 0), 4)
    y, x = (int(random.integers(0, 200 - side)) for side in small.shape[:2])
    far[y : y + small.shape[0], x : x + small.shape[1]] = small
    return far


def cut_off(image: Image8, k: int, random: Random) -> Image8:
    """A photo that ends within the face: 25 to 45 % of its box are outside."""
    found = FaceFinder().find(image)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = found[0].box if found else (0.2 * width, 0.2 * height, 0.8 * width, 0.9 * height)
    share = random.uniform(0.25, 0.45)
    left, top = round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))
    right, bottom = round(x1 - share * (x1 - x0)), round(y1 - share * (y1 - y0))
    return [image[:, left:], image[:, :right], image[top:], image[:bottom]][k % 4]


def several(image: Image8, _: int, random: Random) -> Image8:
    """Two faces side by side, one of them smaller."""
    other = cv2.resize(image[:, ::-1], None, fx=(scale := random.uniform(0.6, 1.0)), fy=scale)
    other = cv2.copyMakeBorder(other, 0, image.shape[0] - other.shape[0], 0, 0, cv2.BORDER_REPLICATE)
    return np.hstack([image, other])


FAULTY: dict[str, Callable[[Image8, int, Random], Image8]] = {
    "no-face": no_face,
    "several-faces": several,
    "upside-down": lambda image, _k, _random: image[::-1, ::-1],
    "sideways": lambda image, k, _random: np.rot90(image, 1 + 2 * (k % 2)),
    "tiny": tiny,
    "cut-off": cut_off,
    "blurred": blurred,
    "dark": lambda image, _k, random: exposed(image, -random.uniform(3, 5)),
    "bright": lambda image, _k, random: exposed(image, random.uniform(2.5, 4)),
    "washed-out": lambda image, _k, random: clipped(
        random.uniform(90, 180) + random.uniform(0.15, 0.35) * (image.astype(float) - 128)
    ),
    "odd-size": lambda image, _k, _random: np.asarray(
        cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8
    ),
    "odd-shape": lambda image, _k, _random: np.asarray(
        cv2.copyMakeBorder(image, 0, 0, 100, 100, cv2.BORDER_REPLICATE), np.uint8
    ),
    "low-information": lambda image, _k, random: clipped(
        np.full(image.shape, random.integers(0, 256, 3)) + random.normal(0, 1, image.shape)
    ),
}


def make(photos: Sequence[Path], out: Path, *, good: int, each: int, seed: int) -> dict[str, str]:
    """Write the folder; name of each picture -> its fault, or "good"."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(photos))
    if len(order) < good + each * len(FAULTY):
        raise SystemExit(f"{len(order)} photos: {good + each * len(FAULTY)} are needed")
    truth = {}
    for at in order[:good].tolist():
        name = f"good-{photos[at].name}"
        (out / name).write_bytes(photos[at].read_bytes())
        truth[name] = "good"
    rest = iter(order[good:].tolist())
    for fault, change in FAULTY.items():
        for k in range(each):
            photo = photos[next(rest)]
            changed = np.ascontiguousarray(change(read_image(photo), k, random))
            name = f"{fault}-{photo.stem}.{'png' if k % 2 else 'jpg'}"
            (out / name).write_bytes(encode_png(changed) if k % 2 else encode_jpeg(changed, quality=90))
            truth[name] = fault
    return truth


def sheet(folder: Path, names: Sequence[str], path: Path) -> None:
    """A contact sheet of pictures."""
    shown = []
    for name in names[:60]:
        image = read_image(folder / name)
        scale = SIDE / max(image.shape[:2])
        small = cv2.resize(image, (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))))
        down, across = SIDE - small.shape[0], SIDE - small.shape[1]
        shown.append(cv2.copyMakeBorder(small, 0, down, 0, across, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    if shown:
        path.write_bytes(encode_png(grid(shown, columns=10)))


def main() -> None:
    """Make the folder, check it, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--first", type=int, default=0, help="photos left out, at the beginning")
    parser.add_argument("--good", type=int, default=300)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    faces = FaceFolder(options.photos)
    photos = [faces.path(k) for k in range(options.first, len(faces))]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        truth = make(photos, folder, good=options.good, each=options.each, seed=options.seed)
        began = time.perf_counter()
        report = clean_folder(
            folder, CleanPolicy(near=False, max_remove=1), dry_run=True, faces=True, workers=options.workers
        )
        seconds = time.perf_counter() - began
        assert report.checks is not None
        said = {picture.name: picture for picture in report.checks.faulty}
        wrong = [name for name, fault in truth.items() if fault == "good" and name in said]
        missed = [
            name
            for name, fault in truth.items()
            if fault != "good" and (name not in said or fault not in said[name].faults)
        ]
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            sheet(folder, wrong, options.sheets / "good-flagged.png")
            sheet(folder, missed, options.sheets / "missed.png")
    for name in [*wrong, *missed]:
        print(name, said[name].reason if name in said else "nothing found", file=sys.stderr)
    found: dict[str, Any] = {}
    for fault in FAULTY:
        names = [name for name, kind in truth.items() if kind == fault]
        named = sum(name in said and fault in said[name].faults for name in names)
        flagged = sum(name in said for name in names)
        found[fault] = {"n": len(names), "named": named / len(names), "flagged": flagged / len(names)}
    kinds = Counter(fault for name in wrong for fault in said[name].faults)
    n = len(truth) - len(FAULTY) * options.each
    good = {"n": n, "flagged": len(wrong) / n, "faults": {fault: kinds[fault] for fault in FAULTS if kinds[fault]}}
    limits = {limit.fault: [limit.least, limit.most] for limit in report.checks.limits}
    result = {
        "figure": "checks of faces",
        "seed": options.seed,
        "faults": found,
        "good": good,
        "limits": limits,
        "pictures": len(truth),
        "seconds": round(seconds, 2),
    }
    print(json.dumps(result | facts("faceaug", "opencv-python", "numpy")))


if __name__ == "__main__":
    main()
