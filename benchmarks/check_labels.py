"""Flipped labels: how many `check_labels` finds among three times as many. Prints one JSON line.

    PYTHONPATH=src python benchmarks/check_labels.py CELEBA64 --seeds 3

The pictures of one partition get a table in which 2 % of the labels of each attribute are flipped, each attribute in
rows of its own. ``CELEBA64`` is a folder of CelebA faces with attributes; its own wrong labels count as false alarms.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts
from numpy.typing import NDArray

from faceaug import FaceFolder, check_labels
from faceaug.data.annotations import ATTRIBUTES, attribute_index, select_rows

ASKED = ("Eyeglasses", "Male", "Smiling", "Bald")
TIMES = 3  # labels flagged for each flipped one


def main() -> None:
    """Flip, check and count, for every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--partition", default="val")
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    faces = FaceFolder(options.folder)
    rows = select_rows(faces.annotations, options.partition)[0]
    count = round(options.share * len(rows))
    found: dict[str, list[int]] = {name: [] for name in ASKED}
    flagged: dict[str, list[int]] = {name: [] for name in ASKED}
    seconds = []
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory(dir=options.folder.parent) as place:
            flipped = _write(faces, rows, Path(place), count, seed)
            began = time.perf_counter()
            report = check_labels(place, ASKED, progress=False)
            seconds.append(round(time.perf_counter() - began, 1))
        for name in ASKED:
            first = {proposal.name for proposal in report.of(name)[: TIMES * count]}
            found[name].append(len(first & flipped[name]))
            flagged[name].append(len(report.of(name)))
        print(seed, {name: values[-1] for name, values in found.items()}, file=sys.stderr, flush=True)
    shares = {name: round(float(np.mean(values)) / count, 4) for name, values in found.items()}
    result: dict[str, Any] = {
        "figure": "flipped labels found",
        "pictures": len(rows),
        "flipped": count,
        "looked_at": TIMES * count,
        "seeds": [*range(options.first, options.first + options.seeds)],
        "found": found,
        "share": shares,
        "proposals": flagged,
        "seconds": seconds,
    }
    print(json.dumps(result | facts("faceaug", "cleanlab", "scikit-learn", "torch", "numpy")))


def _write(faces: FaceFolder, rows: NDArray[np.int64], place: Path, count: int, seed: int) -> dict[str, set[str]]:
    """Link the pictures, and write a table with flipped labels; the names of the rows flipped for each attribute."""
    random = np.random.default_rng(seed)
    labels = faces.annotations.attributes[rows].copy()
    names = [Path(faces.names[row]).name for row in rows.tolist()]
    flipped = {}
    for name in ASKED:
        at = random.choice(len(rows), count, replace=False)
        labels[at, attribute_index(name)] *= -1
        flipped[name] = {names[k] for k in at.tolist()}
    for row, name in zip(rows.tolist(), names, strict=True):
        os.link(faces.path(row), place / name)
    with (place / "metadata.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("file_name", *ATTRIBUTES))
        writer.writerows((name, *values) for name, values in zip(names, labels.tolist(), strict=True))
    return flipped


if __name__ == "__main__":
    main()
