"""The contenders of ``clean.py``, each in a process of its own: what it would remove, its time and its memory.

Every tool answers in one form, pairs (file to remove, file that stays in its stead).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeAlias

from faceaug.clean import CleanPolicy

Pair: TypeAlias = tuple[str, str]  # file to remove, file that stays
# Radius, or "" -> pairs. Under "mirrored": pairs that are told of and stay.
Answers: TypeAlias = dict[str, list[Pair]]
Work: TypeAlias = Callable[[], Answers]

PROCESSORS = 2
DEFAULT_RADIUS = 10  # of imagededup and of czkawka
HAS_NEAR = "near" in {field.name for field in fields(CleanPolicy)}


# The contenders: each imports what it needs and returns the work to be timed.


def faceaug_near(folder: Path, _: Sequence[int]) -> Work:
    """Everything ``faceaug clean --dry-run`` finds."""
    return _faceaug(folder, CleanPolicy(max_remove=1.0))


def faceaug_exact(folder: Path, _: Sequence[int]) -> Work:
    """The same bytes and the same pixels only."""
    return _faceaug(folder, CleanPolicy(max_remove=1.0, **({"near": False} if HAS_NEAR else {})))


def faceaug_clean(folder: Path, _: Sequence[int]) -> Work:
    """No dry run: files are moved, caches and reports are written."""
    return _faceaug(folder, CleanPolicy(max_remove=1.0), dry_run=False)


def _faceaug(folder: Path, policy: CleanPolicy, *, dry_run: bool = True) -> Work:
    from faceaug.clean import clean_folder
    from faceaug.data.image import load_cv2

    load_cv2()

    def work() -> Answers:
        report = clean_folder(folder, policy, dry_run=dry_run, workers=PROCESSORS)
        told = [(pair.one, pair.other) for pair in getattr(report, "mirrored", ())]
        return {"": [(entry.name, entry.keeper) for entry in report.set_aside], "mirrored": told}

    return work


def imagededup(folder: Path, radii: Sequence[int]) -> Work:
    """The pHash with the largest radius; the pairs of smaller ones are among those found."""
    from imagededup.methods import PHash

    finder = PHash(verbose=False)

    def work() -> Answers:
        hashes = finder.encode_images(str(folder), num_enc_workers=PROCESSORS)
        found = finder.find_duplicates(
            encoding_map=hashes, max_distance_threshold=max(radii), scores=True, num_dist_workers=PROCESSORS
        )
        return {str(radius): _neighbours_removed(found, radius) for radius in radii}

    return work


def _neighbours_removed(found: Mapping[str, list[tuple[str, int]]], radius: int) -> list[Pair]:
    """The rule of imagededup's ``get_files_to_remove``, with the file each one is removed for."""
    removed: set[str] = set()
    pairs: list[Pair] = []
    for keeper, neighbours in found.items():
        if keeper not in removed:
            near = [name for name, distance in neighbours if distance <= radius]
            removed.update(near)
            pairs += [(name, keeper) for name in near]
    return pairs


def cleanvision(folder: Path, _: Sequence[int]) -> Work:
    """Exact and near duplicates; near are those of equal pHash."""
    from cleanvision import Imagelab

    def work() -> Answers:
        lab = Imagelab(data_path=str(folder), verbose=False)
        kinds = ("exact_duplicates", "near_duplicates")
        lab.find_issues({kind: {} for kind in kinds}, n_jobs=PROCESSORS, verbose=False)
        groups = [group for kind in kinds for group in lab.info[kind]["sets"]]
        return {"": _first_stays(groups)}

    return work


def difpy(folder: Path, _: Sequence[int]) -> Work:
    """Mean squared error on 50 x 50 pixels, all pairs."""
    import difPy

    def work() -> Answers:
        index = difPy.build(str(folder), show_progress=False, processes=PROCESSORS)
        found = difPy.search(index, similarity="similar", show_progress=False, processes=PROCESSORS)
        going = set(found.lower_quality)
        pairs: list[Pair] = []
        for first, matches in found.result.items():
            group = [first, *(name for name, _ in matches)]
            keeper = next((name for name in group if name not in going), first)
            pairs += [(Path(name).name, Path(keeper).name) for name in group if name in going]
        return {"": pairs}

    return work


def imagehash_equal(folder: Path, _: Sequence[int]) -> Work:
    """The script everybody writes: a dict of ``imagehash.phash``."""
    from multiprocessing import Pool

    import imagehash  # noqa: F401
    from PIL import Image  # noqa: F401

    def work() -> Answers:
        paths = sorted(folder.iterdir())
        buckets: dict[str, list[str]] = defaultdict(list)
        with Pool(PROCESSORS) as pool:
            for path, value in zip(paths, pool.imap(_phash, paths, chunksize=64), strict=True):
                buckets[value].append(path.name)
        return {"": _first_stays(buckets.values())}

    return work


def _phash(path: Path) -> str:
    import imagehash
    from PIL import Image

    with Image.open(path) as picture:
        return str(imagehash.phash(picture))


def czkawka(folder: Path, radii: Sequence[int]) -> Work:
    """The Rust library behind the czkawka programs, through its Python binding; its command line is on no index."""
    from czkawka import ImageSimilarity

    def groups(radius: int) -> list[list[str]]:
        finder = ImageSimilarity()
        finder.set_directories([folder])
        finder.set_similarity(radius)
        return [[path.name for path in group] for group in finder.find_similar()]

    return lambda: {str(radius): _first_stays(groups(radius)) for radius in radii}


def _first_stays(groups: Iterable[Sequence[str]]) -> list[Pair]:
    pairs: list[Pair] = []
    for group in groups:
        first, *others = sorted(Path(name).name for name in group)
        pairs += [(name, first) for name in others]
    return pairs


CONTENDERS: dict[str, Callable[[Path, Sequence[int]], Work]] = {
    "faceaug": faceaug_near,
    "faceaug --no-near": faceaug_exact,
    "imagededup": imagededup,
    "cleanvision": cleanvision,
    "difPy": difpy,
    "imagehash equal": imagehash_equal,
    "czkawka": czkawka,
}
APART = CONTENDERS | {"faceaug clean": faceaug_clean}


# A contender in a process of its own.


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run gave.

    Attributes:
        seconds: of the work, imports aside.
        answers: radius, or "" -> pairs.
        rss: largest sum of resident memory over its processes, MiB; pages they share count for each.
        pss: the same with shared pages counted once, seen four times a second.
        problem: why there is no answer; empty if there is one.
    """

    seconds: float = 0.0
    answers: Answers
    rss: float = 0.0
    pss: float = 0.0
    problem: str = ""


def run_apart(
    contender: str, folder: Path, radii: Sequence[int] = (DEFAULT_RADIUS,), *, cache: Path, limit: float = 3600
) -> Outcome:
    """Run a contender in a process of its own on ``folder`` and watch its memory.

    Args:
        contender: a key of APART.
        folder: the pictures.
        radii: Hamming radii, for those that have one.
        cache: the folder its user-wide caches go to.
        limit: seconds after which it is stopped.
    """
    with tempfile.TemporaryDirectory() as place:
        answer, log = Path(place, "answer.json"), Path(place, "log")
        words = [sys.executable, __file__, "--contender", contender, "--answer", str(answer), str(folder)]
        words += [f"--radius={radius}" for radius in radii]
        environment = os.environ | {"XDG_CACHE_HOME": str(cache), "RAYON_NUM_THREADS": str(PROCESSORS)}
        with log.open("wb") as stream:
            process = subprocess.Popen(words, stdout=stream, stderr=stream, env=environment)
            rss, pss = _watch(process, limit)
        if not answer.is_file():
            last = (log.read_text(errors="replace").strip().splitlines() or [""])[-1].replace(str(folder), folder.name)
            return Outcome(answers={}, rss=rss, pss=pss, problem=f"exit code {process.returncode}: {last[:200]}")
        said = json.loads(answer.read_text())
    answers = {radius: [(a, b) for a, b in pairs] for radius, pairs in said["answers"].items()}
    return Outcome(seconds=said["seconds"], answers=answers, rss=rss, pss=pss)


def _watch(process: subprocess.Popen[bytes], limit: float) -> tuple[float, float]:
    """Wait for a process; its largest memory with all its descendants: (sum of RSS, sum of PSS) in MiB."""
    rss = pss = 0.0
    deadline = time.monotonic() + limit
    tick = 0
    while process.poll() is None:
        family = _descendants(process.pid)
        rss = max(rss, sum(_kilobytes(pid, "status", "VmRSS:") for pid in family) / 1024)
        if tick % 5 == 0:
            pss = max(pss, sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in family) / 1024)
        if time.monotonic() > deadline:
            for pid in reversed(family):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        tick += 1
        time.sleep(0.05)
    return rss, pss


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is walked
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def _kilobytes(pid: int, file: str, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return 0


def perform(contender: str, folder: Path, radii: Sequence[int], answer: Path) -> None:
    """What the process of a contender does."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])
    work = APART[contender](folder, radii)
    start = time.perf_counter()
    answers = work()
    seconds = time.perf_counter() - start
    answer.write_text(json.dumps({"seconds": seconds, "answers": answers}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contender", choices=APART, required=True)
    parser.add_argument("--radius", type=int, action="append", default=[], help="Hamming distance; repeatable")
    parser.add_argument("--answer", type=Path, required=True, help="the JSON to write")
    options = parser.parse_args()
    perform(options.contender, options.folder, options.radius, options.answer)


if __name__ == "__main__":
    main()
