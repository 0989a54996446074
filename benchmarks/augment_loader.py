"""An epoch of a DataLoader: read JPEG files, augment, collate. Prints one JSON line.

    PYTHONPATH=src python benchmarks/augment_loader.py CELEBA200 --seed 0

The faces are cut to 178 x 218 and written as JPEG of quality 95 first. faceaug and albumentations do the same
operations (see ``augment_kits.py``) on the same files, decoded by the same call, in batches of 64 with two persistent
workers each; their epochs alternate, and a ratio belongs to one such round: above 1, albumentations took longer.
``wall`` is by the clock; ``processor`` is the processor time of the workers, on which other programs weigh less.
``AugmentedDataset`` is faceaug's own dataset on the same folder: it also reads tables, moves landmarks and gives the
whole target.

Then whether one seed means one result: a hash over all items by their index, for 0, 1, 2 and 4 workers, forked and
spawned, in another order each time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augment_kits import Kit, Ours, quiet

quiet()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from augment_arrays import Albumentations  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from augment import CHAIN, calibrate, described, displacement, faces, spread  # noqa: E402
from faceaug import AugmentedDataset, Compose  # noqa: E402

PIPELINES = {"chain": CHAIN, "chain + elastic + gaussian": (*CHAIN, "elastic", "gaussian")}
SIZE = (218, 178)
WORKERS = 2
BATCH = 64


class Pictures(Dataset[Any]):
    """Files, decoded and augmented.

    Attributes:
        epoch: goes into faceaug's keys; workers keep the one they started with, which costs the same.
    """

    def __init__(self, paths: Sequence[Path], kit: Kit, steps: Sequence[str]) -> None:
        self._paths, self._ours, self.epoch = list(paths), isinstance(kit, Ours), 0
        self._transform = kit.chain([kit.step(step, fixed=False) for step in steps])

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = cv2.cvtColor(cv2.imread(str(self._paths[index])), cv2.COLOR_BGR2RGB)
        if self._ours:
            image = self._transform(image, key=(0, self.epoch, index))
        else:
            image = self._transform(image=image)["image"]
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class Seeded(Dataset[Any]):
    """Pictures with their index, under a library's own seed."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, int]]:
        return self._pictures[index], {"index": index}


def one_thread(_: int) -> None:
    """In every worker: OpenCV starts none of its own."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def loader(dataset: Dataset[Any]) -> Any:
    """As the epochs use it."""
    return DataLoader(
        dataset, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True, worker_init_fn=one_thread
    )


def epoch(batches: Any) -> tuple[float, float]:
    """Seconds of one pass: by the clock, of the workers' processors."""
    before, began = worker_seconds(batches), time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - began, worker_seconds(batches) - before


def worker_seconds(batches: Any) -> float:
    """Processor time that the workers have had so far."""
    ticks = 0
    for worker in getattr(batches._iterator, "_workers", []):
        words = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def race(contenders: dict[str, Any], count: int, rounds: int) -> dict[str, Any]:
    """Epochs in turn."""
    for batches in contenders.values():
        epoch(batches)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for turn in range(rounds):
        names = list(contenders)
        for name in names if turn % 2 == 0 else names[::-1]:
            taken[name].append(epoch(contenders[name]))
    base = taken["albumentations"]
    found: dict[str, Any] = {}
    for name, times in taken.items():
        found[name] = {"images_per_s": round(count / statistics.median(wall for wall, _ in times))}
        if times is not base:
            pairs = list(zip(times, base, strict=True))
            found[name]["over_albumentations_wall"] = spread([other[0] / own[0] for own, other in pairs])
            found[name]["over_albumentations_processor"] = spread([other[1] / own[1] for own, other in pairs])
        print(f"{name:28} {found[name]}", file=sys.stderr, flush=True)
    return found


def epochs_of(paths: Sequence[Path], steps: Sequence[str], kits: Sequence[Kit], rounds: int) -> dict[str, Any]:
    """The race of one pipeline."""
    ours, peer = kits
    recipe = Compose([ours.step(step, fixed=False) for step in steps])
    contenders = {
        "faceaug": loader(Pictures(paths, ours, steps)),
        "albumentations": loader(Pictures(paths, peer, steps)),
        "faceaug.AugmentedDataset": loader(AugmentedDataset(paths[0].parent, recipe, seed=0)),
    }
    return race(contenders, len(paths), rounds)


def digest(dataset: Any, count: int, *, workers: int, method: str | None, order: int) -> str:
    """A hash over all items by their index."""
    sampler = np.random.default_rng(order).permutation(count).tolist()
    batches = DataLoader(
        dataset, batch_size=16 + order, sampler=sampler, num_workers=workers, multiprocessing_context=method,
        worker_init_fn=one_thread,
    )  # fmt: skip
    items: dict[int, bytes] = {}
    for images, target in batches:
        for image, index in zip(images, target["index"].tolist(), strict=True):
            items[index] = hashlib.sha256(image.numpy().tobytes()).digest()
    return hashlib.sha256(b"".join(items[index] for index in range(count))).hexdigest()[:16]


def identity(dataset: Any, count: int) -> dict[str, Any]:
    """One hash per way of loading, and whether they are all the same."""
    ways = [(0, None)] + [(workers, method) for method in ("fork", "spawn") for workers in (1, 2, 4)]
    hashes = {
        f"{workers} workers" + (f", {method}" if method else ""): digest(
            dataset, count, workers=workers, method=method, order=order
        )
        for order, (workers, method) in enumerate(ways)
    }
    return {"identical": len(set(hashes.values())) == 1, "hashes": hashes}


def identities(paths: Sequence[Path], kits: Sequence[Kit], count: int) -> dict[str, Any]:
    """Of faceaug's dataset and of albumentations with a seed, in the full pipeline."""
    import albumentations as A

    ours, peer = kits
    steps = PIPELINES["chain + elastic + gaussian"]
    recipe = Compose([ours.step(step, fixed=False) for step in steps])
    augmented = AugmentedDataset(paths[0].parent, recipe, seed=0)
    pictures = Pictures(paths[:count], peer, steps)
    pictures._transform = A.Compose([peer.step(step, fixed=False) for step in steps], seed=0)
    found = {"faceaug.AugmentedDataset": identity(augmented, count)}
    augmented.set_epoch(1)
    found["faceaug.AugmentedDataset, epoch 1"] = identity(augmented, count)
    found["albumentations, seed=0"] = identity(Seeded(pictures), count)
    for name, said in found.items():
        print(name, said, file=sys.stderr, flush=True)
    return found


def stored(folder: Path, target: Path, count: int) -> list[Path]:
    """Faces of one size as files."""
    paths = []
    for k, image in enumerate(faces(folder, SIZE, count)):
        paths.append(target / f"{k + 1:06}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="CELEBA200")
    parser.add_argument("--n", type=int, default=1000, help="pictures in an epoch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", type=int, default=128, help="pictures whose hashes are compared")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    one_thread(0)
    torch.manual_seed(options.seed)
    ours, peer = Ours(SIZE), Albumentations(SIZE)
    calibrate(peer, displacement(ours)[0])
    with tempfile.TemporaryDirectory() as name:
        paths = stored(options.folder, Path(name), options.n)
        epochs = {title: epochs_of(paths, steps, (ours, peer), options.rounds) for title, steps in PIPELINES.items()}
        same = identities(paths, (ours, peer), min(options.check, len(paths)))
    result = {"figure": "a DataLoader epoch, faceaug over albumentations", "n": len(paths), "seed": options.seed}
    known = {
        "workers": WORKERS,
        "batch": BATCH,
        "rounds": options.rounds,
        "epochs": epochs,
        "same_for_any_workers": same,
    }
    print(json.dumps(result | known | described(options.folder)))


if __name__ == "__main__":
    main()
