"""The whole path on a real folder, timed step by step. Prints one JSON line.

    python benchmarks/pipeline.py CELEBA64 --seed 0

Works on a copy in a temporary folder: clean, undo (the tree must be as before: names, bytes, modes, times), clean
again after planting the usual damage (lost digits, copies, cut-off files) and undo that, then synth, expand and one
epoch of a DataLoader with two workers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from machine import facts
from torch.utils.data import DataLoader

from faceaug import SyntheticFaceSource, clean_folder, expand_dataset, undo_clean
from faceaug.draws import permutation

T = TypeVar("T")
Tree = dict[str, tuple[int, int, str]]


def tree(folder: Path) -> Tree:
    """Every file and folder outside the state folder: mode, time of change, hash of the bytes."""
    found: Tree = {}
    for path in sorted([folder, *folder.rglob("*")]):
        if ".faceaug" in path.parts:
            continue
        facts = path.stat()
        digest = hashlib.blake2b(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[os.fspath(path.relative_to(folder))] = (facts.st_mode, facts.st_mtime_ns, digest)
    return found


def damage(folder: Path, seed: int) -> dict[str, int]:
    """Plant lost digits, copies under other names and cut-off files into the pictures of a CelebA folder."""
    pictures = sorted((folder / "img_align_celeba").iterdir())
    order = [pictures[k] for k in permutation(len(pictures), seed, slot="benchmark/damage")]
    n = len(order) // 50
    for path in order[:n]:
        path.rename(path.with_name(path.name[1:]))
    for path in order[n : 2 * n]:
        shutil.copy2(path, path.with_name(f"{path.stem} (1).jpg"))
    for k, path in enumerate(order[2 * n : 2 * n + n // 10]):
        data = path.read_bytes()
        path.with_name(f"cut {k}.jpg").write_bytes(data[: len(data) * 2 // 3])
    return {"lost_digit": n, "copies": n, "cut_off": n // 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faces", type=int, default=10_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # a folder of test rows only: all rows are used, and faceaug says so
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copytree(options.folder, work / "celeba")
        result = run(work, options.seed, options.faces)
    line = {"figure": "the whole path", "folder": options.folder.name, "seed": options.seed} | result
    print(json.dumps(line | facts("faceaug", "torch", "opencv-python", "numpy")))


def run(work: Path, seed: int, faces: int) -> dict[str, Any]:
    """Every step on ``work/celeba``."""
    folder, seconds = work / "celeba", {}

    def timed(step: str, action: Callable[[], T]) -> T:
        began = time.perf_counter()
        value = action()
        seconds[step] = round(time.perf_counter() - began, 2)
        return value

    before = tree(folder)
    cleaned = timed("clean", lambda: clean_folder(folder))
    if cleaned.set_aside or cleaned.renames:
        timed("undo", lambda: undo_clean(folder))
    identical = tree(folder) == before
    planted = damage(folder, seed)
    messy = tree(folder)
    repaired = timed("clean damaged", lambda: clean_folder(folder))
    timed("undo damaged", lambda: undo_clean(folder))
    identical_damaged = tree(folder) == messy
    clean_folder(folder)
    timed(f"synth {faces}", lambda: SyntheticFaceSource("dcgan-32", seed=seed).save(work / "extra", faces))
    dataset = timed(
        "expand: plan", lambda: expand_dataset(folder, copies=1, synthetic=0.25, source="dcgan-32", size=32, seed=seed)
    )
    report = timed("expand: save", lambda: dataset.save(work / "expanded"))
    loader = DataLoader(dataset, batch_size=128, sampler=dataset.sampler(), num_workers=2)
    items = timed("one epoch, 2 workers", lambda: sum(len(images) for images, _ in loader))
    return {
        "n": len(before), "seconds": seconds, "tree_identical_after_undo": identical,
        "duplicates_found": cleaned.byte_duplicates + cleaned.pixel_duplicates, "planted": planted,
        "renamed": repaired.renamed, "unclear": len(repaired.unclear), "unreadable": repaired.unreadable,
        "set_aside_same_bytes": repaired.byte_duplicates, "tree_identical_after_undo_damaged": identical_damaged,
        "sizes": dict(report.sizes), "items_in_epoch": items,
        "items_per_s": round(items / seconds["one epoch, 2 workers"]),
    }  # fmt: skip


if __name__ == "__main__":
    main()
