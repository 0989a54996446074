"""Splitting people into train, val and test: how near the parts come to their shares. Prints one JSON line.

    PYTHONPATH=src python benchmarks/split.py FOLDER ... --attributes list_attr_celeba.csv

``FOLDER``: folders with identities, split into 80/10/10 as ``faceaug split`` does it; the table is written to a
temporary folder. ``--attributes``: a table of CelebA's attributes without identities (published, CSV, or a member of a
ZIP). Its rows are sorted by the attribute Male, which a person does not change, and dealt to as many people as CelebA
has, of one to 35 pictures each, so that the features vary within a person more than they do in CelebA.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts
from numpy.typing import NDArray

from faceaug import split_folder
from faceaug.data.annotations import PARTITIONS
from faceaug.data.shares import assign_groups
from faceaug.data.tables import read_table

SHARES = (0.8, 0.1, 0.1)
MOST = 35  # pictures of a person in CelebA


def of_folder(folder: Path, seed: int) -> dict[str, Any]:
    """The report of a split."""
    with tempfile.TemporaryDirectory() as place:
        report = split_folder(folder, SHARES, seed=seed, out=Path(place, "split.csv"), progress=False)
    total = sum(report.pictures.values())
    wanted = dict(zip(report.pictures, SHARES, strict=True))
    return {
        "pictures": report.pictures, "people": report.groups,
        "largest_size_error": round(max(abs(n / total - wanted[name]) for name, n in report.pictures.items()), 6),
        "largest_attribute_error": round(report.largest_deviation, 6), "at": report.deviates,
    }  # fmt: skip


def of_table(table: Path, people: int, seed: int) -> dict[str, Any]:
    """Sizes and attributes of the parts, where the rows of a table are dealt to people."""
    read = read_table(table, "attributes")
    signs = (read.values == 1).astype(np.int8)
    order = np.argsort(signs[:, read.columns.index("Male")], kind="stable")
    group = np.empty(len(signs), np.int64)
    group[order] = np.repeat(np.arange(people), sizes_of(people, len(signs), seed))
    part = assign_groups(group, signs, np.array(SHARES), seed)[group]
    off = {name: np.abs(signs[part == k].mean(axis=0) - signs.mean(axis=0)) for name, k in PARTITIONS.items()}
    worst = max(off, key=lambda name: float(off[name].max()))
    return {
        "rows": len(signs), "people": people,
        "pictures": {name: int((part == k).sum()) for name, k in PARTITIONS.items()},
        "largest_size_error": round(max(abs(float((part == k).mean()) - SHARES[k]) for k in PARTITIONS.values()), 6),
        "largest_attribute_error": round(float(off[worst].max()), 6),
        "at": f"{read.columns[int(off[worst].argmax())]} in {worst}",
    }  # fmt: skip


def sizes_of(people: int, rows: int, seed: int) -> NDArray[np.int64]:
    """Numbers of pictures, 1 to 35, with the given sum."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, MOST + 1, people)
    while (left := rows - int(sizes.sum())) != 0:
        k = rng.choice(people, min(abs(left), people), replace=False)
        sizes[k] = np.clip(sizes[k] + (1 if left > 0 else -1), 1, MOST)
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--attributes", type=Path)
    parser.add_argument("--people", type=int, default=10_177)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = {path.name: of_folder(path, options.seed) for path in options.folders}
    if options.attributes:
        found["attributes"] = of_table(options.attributes, options.people, options.seed)
    print(json.dumps({"figure": "splitting people", "seed": options.seed, "found": found} | facts("faceaug", "numpy")))


if __name__ == "__main__":
    main()
