"""Cleaning at the size of CelebA: seconds, memory, planted copies found. Prints one JSON line.

    python benchmarks/clean_scale.py CELEBA200 CELEBA64 --work FOLDER --n 200000 --seed 0

Pictures of 178 x 218 are made from the real ones by the seed and stay in FOLDER for the next run. Each is a crop of one
photo (85 to 100 % of it, turned, half of them mirrored, light and colour changed) that fades into a crop of a second
photo over about a third of its area: the tones and edges of faces, and no two of them one photo. ``hash_pairs`` says
how many of a million pairs are within 10 and 12 bits of each other, among the real photos and among the made pictures.
Among them are exact copies (1 in 200) and edited copies (1 in 100). JPEG quality is drawn from 70 to 95, names are
drawn by the seed.

Then, each in a process of its own on two processors, imports not counted:

- faceaug on all of them: a dry run and a clean without a cache, a second clean from its cache, and undo (the system's
  cache of files is warm for everybody);
- imagededup's pHash pipeline at radius 10 and faceaug in turns, on ``--peer-n`` of these pictures and on all of each
  real folder. Its search compares every picture with every other and parses all hashes again for each one, so the
  whole set is out of its reach.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import imagehash
import numpy as np
from clean_peers import DEFAULT_RADIUS, HAS_NEAR, PROCESSORS, Outcome, run_apart
from clean_set import edited
from numpy.typing import NDArray
from PIL import Image

from clean import described, on_a_copy, score, spread
from faceaug.clean import undo_clean
from faceaug.draws import stream
from faceaug.errors import RefusedError
from faceaug.storage.files import write_bytes
from faceaug.data.image import decode, encode_jpeg, read_image
from faceaug.storage.state import state_folder

Picture: TypeAlias = NDArray[np.uint8]

WIDTH, HEIGHT = 178, 218
MOST = 202_599  # above, a name would be none of CelebA's
EXACT_IN, NEAR_IN = 200, 100  # one planted copy in so many pictures
NEAR = ("jpeg 70", "jpeg 40", "resize 0.75", "brightness +10", "contrast -10", "gamma 0.8", "crop 2")
CHUNK = 500
ACROSS = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
DOWN = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its name, the number of the picture it shows and the edit it went through ("" for none)."""

    name: str
    number: int
    edit: str


def plan(n: int, seed: int) -> list[Entry]:
    """All files of a set."""
    exact, near = n // EXACT_IN, n // NEAR_IN
    originals = n - exact - near
    copied = stream(seed, slot="clean_scale/copied").permutation(originals)[: exact + near]
    shown = [(number, "") for number in range(originals)]
    shown += [(int(number), "exact") for number in copied[:exact]]
    shown += [(int(number), NEAR[place % len(NEAR)]) for place, number in enumerate(copied[exact:])]
    order = stream(seed, slot="clean_scale/names").permutation(n)
    return [Entry(f"{place + 1:06d}.jpg", number, edit) for (number, edit), place in zip(shown, order, strict=True)]


def picture(photos: Sequence[Path], seed: int, number: int) -> bytes:
    """Picture ``number`` as a JPEG: it depends on nothing but the photos, the seed and its number."""
    draw = stream(seed, index=number, slot="clean_scale/picture")
    one, other = (_view(read_image(photos[k]), draw) for k in _two(draw, len(photos)))
    share = _fade(draw)[..., None]
    mixed = one * (1 - share) + other * share
    return encode_jpeg(_toned(mixed, draw), quality=int(draw.integers(70, 96)))


def _two(draw: np.random.Generator, photos: int) -> tuple[int, int]:
    """Which photos a picture shows, most of the first; the first numbers of its stream."""
    first, second = draw.choice(photos, 2, replace=False)
    return int(first), int(second)


def _view(image: Picture, draw: np.random.Generator) -> NDArray[np.float32]:
    """A crop of 85 to 100 %, turned by up to 4 degrees, half of them mirrored: float32 (218, 178, 3)."""
    height, width = image.shape[:2]
    part = draw.uniform(0.85, 1.0)
    scale = max(WIDTH / width, HEIGHT / height) / part
    room = np.array([width - WIDTH / scale, height - HEIGHT / scale]) / 2
    center = np.array([width, height]) / 2 + draw.uniform(-1, 1, 2) * room
    turn = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), draw.uniform(-4, 4), scale)
    turn[:, 2] += np.array([WIDTH, HEIGHT]) / 2 - center
    if draw.random() < 0.5:
        turn = np.array([[-1, 0, WIDTH - 1], [0, 1, 0]]) @ np.vstack([turn, [0, 0, 1]])
    seen = cv2.warpAffine(image, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return seen.astype(np.float32)


def _fade(draw: np.random.Generator) -> NDArray[np.float32]:
    """How much of the second photo shows: 0 to 1 across an edge of any direction, about a third of the area."""
    angle = draw.uniform(0, 2 * np.pi)
    along = np.cos(angle) * ACROSS + np.sin(angle) * DOWN
    return 1 / (1 + np.exp((draw.uniform(0.2, 0.5) - along) / 0.1)).astype(np.float32)


def _toned(image: NDArray[np.float32], draw: np.random.Generator) -> Picture:
    gains = draw.uniform(0.8, 1.2) * draw.uniform(0.92, 1.08, 3).astype(np.float32)
    contrast = draw.uniform(0.8, 1.15)
    return np.clip((image - 127) * contrast * gains + 127, 0, 255).astype(np.uint8)


def write_chunk(entries: Sequence[Entry], *, photos: Sequence[Path], seed: int, out: Path) -> None:
    """Make and write some of the files."""
    cv2.setNumThreads(1)
    for entry in entries:
        data = picture(photos, seed, entry.number)
        if entry.edit not in {"", "exact"}:
            data = edited(decode(data), entry.edit, stream(seed, index=entry.number, slot="clean_scale/edit"))
        (out / entry.name).write_bytes(data)


def make(entries: Sequence[Entry], photos: Sequence[Path], seed: int, out: Path) -> float | None:
    """Write all files, unless a finished set of the same making is there: seconds, or None."""
    done = out.with_suffix(".done")
    recipe = [inspect.getsource(step) for step in (plan, picture, _two, _view, _fade, _toned, write_chunk)]
    making = hashlib.sha256(repr([len(photos), *recipe]).encode()).hexdigest().encode()
    if done.is_file() and done.read_bytes() == making:
        restored(out)  # after a run that was stopped
        if all((out / entry.name).is_file() for entry in entries):
            return None
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    start = time.perf_counter()
    chunks = [entries[k : k + CHUNK] for k in range(0, len(entries), CHUNK)]
    task = partial(write_chunk, photos=photos, seed=seed, out=out)
    with ProcessPoolExecutor(PROCESSORS, get_context("spawn")) as pool:
        for count, _ in enumerate(pool.map(task, chunks), start=1):
            if count % 20 == 0 or count == len(chunks):
                made = min(count * CHUNK, len(entries))
                print(f"made {made} of {len(entries)}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    seconds = time.perf_counter() - start
    write_bytes(done, making)
    return seconds


def labelled(entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """The same as labels of ``clean_set.py``: the photo of a copy is the file it was made from."""
    originals = {entry.number: entry.name for entry in entries if not entry.edit}
    return {entry.name: {"base": originals[entry.number], "edit": entry.edit} for entry in entries}


def hash_pairs(paths: Sequence[Path], seed: int, sample: int = 2_000) -> dict[str, float]:
    """Pairs within 10 and 12 bits of pHash, of a million pairs: how much there is to look at for whoever searches."""
    chosen = stream(seed, slot="clean_scale/hash_pairs").permutation(len(paths))[:sample]
    pictures = (Image.fromarray(read_image(paths[k])) for k in chosen)
    hashes = np.stack([np.packbits(imagehash.phash(image).hash) for image in pictures]).view(np.uint64).ravel()
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])[np.triu_indices(len(hashes), 1)]
    return {f"within {radius}": round(float((distances <= radius).mean()) * 1e6, 1) for radius in (10, 12)}


def restored(folder: Path) -> float:
    """Undo what was cleaned in a set, and forget all that was kept about it: seconds."""
    start = time.perf_counter()
    state = state_folder(folder, beside=False)
    if (state / "journal.jsonl").is_file():
        with suppress(RefusedError):  # nothing was moved
            undo_clean(folder, all_runs=True)
    seconds = time.perf_counter() - start
    if state.exists():
        shutil.rmtree(state)
    return seconds


def whole(folder: Path, labels: dict[str, dict[str, Any]], limit: float) -> dict[str, Any]:
    """A dry run and a clean, both without a cache, a clean from its cache, and undo."""
    with tempfile.TemporaryDirectory() as cache:
        run = partial(run_apart, folder=folder, cache=Path(cache), limit=limit)
        dry = run("faceaug" if HAS_NEAR else "faceaug --no-near")
        first = run("faceaug clean")
        again = run("faceaug clean")
    found = {"dry_run": figures(dry, labels), "clean": figures(first, labels)}
    for name in ("recall_by_edit", "first_wrong"):
        found["clean"].pop(name, None)
    left = len(again.answers.get("", []))
    found["clean_again"] = {"problem": again.problem} if again.problem else cost(again, len(labels)) | {"removed": left}
    return found | {"undo_seconds": round(restored(folder), 1)}


def cost(run: Outcome, pictures: int) -> dict[str, float]:
    """Time and memory."""
    return {
        "seconds": round(run.seconds, 1),
        "images_per_second": round(pictures / run.seconds, 1),
        "peak_rss_mib": round(run.rss),
        "peak_pss_mib": round(run.pss),
    }


def figures(run: Outcome, labels: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Time, memory, and what was found of what was planted."""
    if run.problem:
        return {"problem": run.problem}
    judged = score(labels, run.answers[""])
    planted = sum(1 for label in labels.values() if label["edit"])
    return cost(run, len(labels)) | {
        "planted": planted,
        "found": round(sum(judged["recall_by_edit"][label["edit"]] for label in labels.values() if label["edit"])),
        "recall_by_edit": judged["recall_by_edit"],
        "wrong": judged["wrong"],
        "first_wrong": judged["first_wrong"],
    }


def beside_peer(folder: Path, n: int, *, repetitions: int, limit: float) -> dict[str, Any]:
    """Some of the pictures through imagededup and faceaug, in turns: seconds, and theirs over ours in each turn."""
    contender = "faceaug" if HAS_NEAR else "faceaug --no-near"
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".jpg")[:n]
    runs: dict[str, list[Outcome]] = {contender: [], "imagededup": []}
    with tempfile.TemporaryDirectory() as place:
        subset = Path(place, "pictures")
        subset.mkdir()
        for name in names:
            shutil.copyfile(folder / name, subset / name)
        for turn in range(repetitions):
            for title in sorted(runs, reverse=turn % 2 == 1):
                run = partial(run_apart, title, radii=(DEFAULT_RADIUS,), limit=limit)
                runs[title].append(on_a_copy(subset, lambda copy, cache, run=run: run(copy, cache=cache)))
                print(f"turn {turn + 1}: {title}: {runs[title][-1].seconds:.1f} s", file=sys.stderr)
    problems = [run.problem for several in runs.values() for run in several if run.problem]
    if problems:
        return {"problem": problems[0]}
    ratios = [theirs.seconds / ours.seconds for theirs, ours in zip(runs["imagededup"], runs[contender], strict=True)]
    return {
        "pictures": len(names),
        "seconds": {title: spread([run.seconds for run in several]) for title, several in runs.items()},
        "images_per_second": {
            title: spread([n / run.seconds for run in several], 1) for title, several in runs.items()
        },
        "peak_pss_mib": {title: round(max(run.pss for run in several)) for title, several in runs.items()},
        "imagededup_times_slower": spread(ratios),
    }


def compared_folders(real: Sequence[Path], made: Path, n: int) -> list[tuple[str, Path, int]]:
    """(name, pictures, how many of them) of what imagededup works on too: all real pictures, some of the made ones."""
    if not n:
        return []
    pictures = [folder / "img_align_celeba" for folder in real]
    return [("made", made, n), *((p.parent.name, p, sum(1 for _ in p.iterdir())) for p in pictures)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="CELEBA200 CELEBA64")
    parser.add_argument("--work", type=Path, required=True, help="where the pictures are kept")
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--peer-n", type=int, default=10_000, help="made pictures for imagededup; 0 leaves it out")
    parser.add_argument("--repetitions", type=int, default=3, help="of the comparison with imagededup")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=7200, help="seconds one run may take")
    options = parser.parse_args()
    if not 0 < options.n <= MOST:
        parser.error(f"--n {options.n}: expected 1 to {MOST}")
    photos = [path for folder in options.folders for path in sorted((folder / "img_align_celeba").iterdir())]
    entries = plan(options.n, options.seed)
    folder = options.work / f"faces-{options.n}-{options.seed}"
    made = make(entries, photos, options.seed, folder)
    labels = labelled(entries)
    result = {
        "figure": "clean on made pictures of 178 x 218: seconds, memory, planted copies found",
        "n": options.n,
        "seed": options.seed,
        "near_search": HAS_NEAR,
        "bytes_per_picture": round(sum((folder / name).stat().st_size for name in labels) / len(labels)),
        "hash_pairs": {
            "real": hash_pairs(photos, options.seed),
            "made": hash_pairs([folder / entry.name for entry in entries if not entry.edit], options.seed),
        },
        "seconds_to_make": None if made is None else round(made, 1),
        **whole(folder, labels, options.limit),
        "beside_imagededup": {
            name: beside_peer(pictures, n, repetitions=options.repetitions, limit=options.limit)
            for name, pictures, n in compared_folders(options.folders, folder, min(options.peer_n, options.n))
        },
    }
    print(json.dumps(result | described()))


if __name__ == "__main__":
    main()
