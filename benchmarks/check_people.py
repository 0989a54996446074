"""Planted mix-ups of people: how many `check_labels` finds. Prints one JSON line.

    PYTHONPATH=src python benchmarks/check_people.py CELEBA200 --seeds 3

For each seed, fifty pairs of people get one name, and of fifty others half of the pictures get another name; then once
more nothing is changed. Needs ``pip install 'faceaug[identities]'``. What is found without anything planted is counted
as wrong, though some of it may be mistakes of CelebA's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from machine import facts
from numpy.typing import NDArray

from faceaug import FaceFolder
from faceaug.labels.embeddings import DLIB
from faceaug.labels.people import embed_faces, find_mixed, find_two_names

EACH = 50
LEAST = 4  # pictures of a person who gets two names


def main() -> None:
    """Embed once, then plant and count for every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    faces = FaceFolder(options.folder)
    rows = np.flatnonzero(faces.annotations.identity >= 0)
    began = time.perf_counter()
    vectors, seen = embed_faces(faces, rows, DLIB, workers=options.workers)
    seconds = time.perf_counter() - began
    identity = faces.annotations.identity[seen]
    unplanted = {"mixed": len(find_mixed(vectors, identity)), "two_names": len(find_two_names(vectors, identity))}
    planted = [plant(vectors, identity, seed) for seed in range(options.first, options.first + options.seeds)]
    for counts in planted:
        print(counts, file=sys.stderr, flush=True)
    keys = ("mixed_found", "two_names_found")
    result = {
        "figure": "planted mix-ups of people found",
        "pictures": len(rows),
        "without_a_face": len(rows) - len(seen),
        "people": len(np.unique(identity)),
        "planted_of_each": EACH,
        "seeds": [*range(options.first, options.first + options.seeds)],
        "found": planted,
        "share": {key: round(float(np.mean([counts[key] for counts in planted])) / EACH, 4) for key in keys},
        "found_without_planting": unplanted,
        "seconds_of_embedding": round(seconds, 1),
    }
    print(json.dumps(result | facts("faceaug", "dlib-bin", "opencv-python", "numpy")))


def plant(vectors: NDArray[np.float64], identity: NDArray[np.int64], seed: int) -> dict[str, int]:
    """Give people wrong names, and count what is found of it and beside it."""
    random = np.random.default_rng(seed)
    people, counts = np.unique(identity, return_counts=True)
    changed = identity.copy()
    several = random.permutation(people[counts >= 2])
    merged = {int(one) for one in several[:EACH]}
    for one, other in zip(several[:EACH], several[EACH : 2 * EACH], strict=True):
        changed[identity == other] = one
    left = [person for person in people[counts >= LEAST].tolist() if person not in set(several[: 2 * EACH].tolist())]
    renamed: dict[int, int] = {}
    for person in random.permutation(left)[:EACH].tolist():
        at = random.permutation(np.flatnonzero(identity == person))
        renamed[person] = int(people.max()) + 1 + len(renamed)
        changed[at[: len(at) // 2]] = renamed[person]
    mixed = [entry[0] for entry in find_mixed(vectors, changed)]
    twice = [(entry[0], entry[1]) for entry in find_two_names(vectors, changed)]
    right = [renamed.get(one) == other for one, other in twice]
    return {
        "mixed_found": len(merged & set(mixed)),
        "mixed_others": len(set(mixed) - merged),
        "two_names_planted": len(renamed),
        "two_names_found": sum(right),
        "two_names_others": len(right) - sum(right),
    }


if __name__ == "__main__":
    main()
