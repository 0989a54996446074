"""New pictures against a folder of known ones: seconds, planted copies found, wrong ones. Prints one JSON line.

    python benchmarks/clean_against.py CELEBA64 --work FOLDER --n 1000 --copies 100 --seed 0

All pictures of CELEBA64 but ``n - copies`` are the known ones; these and copies of known ones (half of them the same
bytes, half edited, by the edits of ``clean_set``) are the new ones. They are cleaned
three times against the known ones, in a process of its own each: without an index, with the index of that run, and in a
dry run with it. The known folder must be the same before and after, byte for byte and to the nanosecond.

Pictures that are set aside although they were not planted are shown by name: CelebA has some photos twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from clean_set import EDITS, edited
from machine import facts

from faceaug.data.image import read_image
from faceaug.draws import stream

_RUN = """
import json, resource, sys, time
from faceaug import CleanPolicy, clean_folder
begin, used = time.perf_counter(), time.process_time()
report = clean_folder(
    sys.argv[1], CleanPolicy(max_remove=1), against=[sys.argv[2]], index=sys.argv[3], dry_run=sys.argv[4] == "dry",
    progress=False,
)
children = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "seconds": time.perf_counter() - begin,
    "processor_seconds": time.process_time() - used + children.ru_utime + children.ru_stime,
    "max_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "set_aside": {entry.name: [entry.kind, entry.keeper] for entry in report.set_aside},
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("celeba64", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    known, new, planted = _make(options.celeba64, options.work, options.n, options.copies, options.seed)
    before = _stamp(known)
    index = options.work / "known.faceaug-index"
    index.unlink(missing_ok=True)
    runs = {
        "without an index": _clean(new, known, index, "dry"),
        "with an index": _clean(new, known, index, "dry"),
        "with an index, moving": _clean(new, known, index, "move"),
    }
    aside = runs["with an index, moving"].pop("set_aside")
    same = all(run.pop("set_aside", aside) == aside for run in runs.values())
    found = {
        "known": sum(1 for _ in known.iterdir()), "new": options.n, "planted": len(planted),
        "found": len(planted.keys() & aside.keys()),
        "of the wrong picture": sum(Path(aside[name][1]).name != planted[name] for name in planted if name in aside),
        "not planted": {name: keeper for name, keeper in aside.items() if name not in planted},
        "missed": sorted(planted.keys() - aside.keys()), "all runs alike": same,
        "known untouched": _stamp(known) == before, "index_mib": round(index.stat().st_size / 2**20, 1), "runs": runs,
    }  # fmt: skip
    about = {"figure": "new pictures against known ones", "seed": options.seed, "n": options.n}
    print(json.dumps(about | {"found": found} | facts("faceaug", "opencv-python", "numpy")))


def _make(source: Path, work: Path, n: int, copies: int, seed: int) -> tuple[Path, Path, dict[str, str]]:
    """The known folder, the new one, and the planted copies: name -> name of the original."""
    known, new = work / "known", work / "new"
    for folder in (known, new):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    pictures = sorted((source / "img_align_celeba").iterdir())
    rng = stream(seed, slot="benchmarks/clean_against")
    fresh = set(rng.choice(len(pictures), n - copies, replace=False).tolist())
    for k, picture in enumerate(pictures):
        shutil.copy2(picture, (new if k in fresh else known) / picture.name)
    originals = rng.choice(sorted(p.name for p in known.iterdir()), copies, replace=False).tolist()
    planted = {}
    for k, name in enumerate(originals):
        copy = f"copy-{k:04d}.jpg"
        edit = str(rng.choice(sorted(EDITS)))
        data = (known / name).read_bytes() if k % 2 else edited(read_image(known / name), edit, rng)
        (new / copy).write_bytes(data)
        planted[copy] = name
    return known, new, planted


def _clean(new: Path, known: Path, index: Path, how: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", _RUN, str(new), str(known), str(index), how]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}


def _stamp(folder: Path) -> str:
    found = hashlib.sha256(str(folder.stat().st_mtime_ns).encode())
    for path in sorted(folder.iterdir()):
        found.update(f"{path.name} {path.stat().st_mtime_ns}".encode() + path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
