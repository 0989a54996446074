"""What campaigns share: folders made from a seed, a way to say that two are the same, a command, a result."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.machine import facts
from numpy.typing import NDArray

from faceaug.draws import stream
from faceaug.data.image import encode_jpeg, encode_png

OLD = 1_500_000_000_123_456_789  # an mtime that no clock of today gives
RESULTS = Path(__file__).parent / "results"


def picture(seed: int, *, height: int = 48, width: int = 40) -> NDArray[np.uint8]:
    """A smooth picture with detail, different for every seed: uint8 (height, width, 3)."""
    coarse = stream(seed, slot="reliability/coarse").integers(0, 256, (9, 7, 3)).astype(np.float32)
    fine = stream(seed, slot="reliability/fine").normal(0, 6, (height // 2, width // 2, 3)).astype(np.float32)
    mixed = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + cv2.resize(fine, (width, height))
    return np.clip(mixed, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1024)
def jpeg(seed: int, *, quality: int = 90) -> bytes:
    """Picture ``seed`` as a JPEG file."""
    return encode_jpeg(picture(seed), quality=quality)


@lru_cache(maxsize=1024)
def same_pixels(seed: int) -> bytes:
    """The pixels of ``jpeg(seed)`` in other bytes."""
    decoded = cv2.imdecode(np.frombuffer(jpeg(seed), np.uint8), cv2.IMREAD_COLOR)
    return encode_png(np.ascontiguousarray(decoded[..., ::-1]))


def write(path: Path, data: bytes) -> Path:
    """Write a file with an old time, as in a folder nobody touched for years."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(OLD, OLD))
    return path


def age_folders(root: Path) -> None:
    """Give every folder an old time of its own."""
    for folder in [*(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()), root]:
        os.utime(folder, ns=(OLD, OLD + len(folder.name)))


def build_zoo(root: Path, seed: int = 0) -> Path:
    """A folder of 60 entries in CelebA's layout with everything that goes wrong with folders."""
    pictures = root / "img_align_celeba"
    first = 1000 * seed
    for k in range(1, 31):
        write(pictures / f"{k:06d}.jpg", jpeg(first + k))
    (pictures / "000001.jpg").chmod(0o640)
    (pictures / "000002.jpg").chmod(0o400)
    _add_damaged_names(pictures, first)
    _add_copies(root, pictures, first)
    _add_odd_files(root, pictures)
    rows = "".join(f"{k:06d}.jpg {k % 3}\n" for k in range(1, 46))
    write(root / "list_eval_partition.txt", rows.encode())
    age_folders(root)
    return root


def _add_damaged_names(pictures: Path, first: int) -> None:
    for k, name in {
        31: "00031.jpg",
        32: "000032.JPG",
        33: "000033.jpg.jpg",
        34: "34.jpg",
        35: "000035 (1).jpg",
    }.items():
        write(pictures / name, jpeg(first + k))
    for k, name in {36: "000036.jpeg", 37: "bad\udcff.jpg", 38: "new\nline.jpg"}.items():
        write(pictures / name, jpeg(first + k))
    write(pictures / "000030.JPG", jpeg(first + 39))  # a twin that differs in case only


def _add_copies(root: Path, pictures: Path, first: int) -> None:
    for k in (40, 41, 42):
        write(pictures / f"{k:06d}.jpg", jpeg(first + k - 35))
    write(pictures / "000008 (1).jpg", jpeg(first + 8))
    write(pictures / "000009.png", same_pixels(first + 9))
    write(pictures / "000010.png", same_pixels(first + 10))
    write(root / "more" / "000011.jpg", jpeg(first + 11))
    write(root / "more" / "000012.jpg", jpeg(first + 12))


def _add_odd_files(root: Path, pictures: Path) -> None:
    write(pictures / "000043.jpg", jpeg(43)[:300])
    write(pictures / "000044.jpg", b"")
    write(pictures / "000045.jpg", b"<html>not found</html>")
    write(pictures / "Thumbs.db", b"junk")
    write(root / "notes.txt", b"mine")
    write(pictures / "._000001.jpg", b"junk of another system")
    os.link(pictures / "000013.jpg", pictures / "linked.jpg")
    (root / "latest").symlink_to(".")
    (root / "album").symlink_to("img_align_celeba")
    (pictures / "gone.jpg").symlink_to("nowhere.jpg")
    (pictures / "other.jpg").symlink_to("000014.jpg")
    os.mkfifo(pictures / "pipe.jpg")


def is_state(root: Path, path: Path) -> bool:
    """Whether a path is faceaug's own, files set aside included."""
    parts = path.relative_to(root).parts
    return bool(parts) and parts[0].startswith(".faceaug")


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Everything outside the state folder: name -> mode, mtime, content."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [root, *root.rglob("*")]:
        if is_state(root, path):
            continue
        entry = path.lstat()
        kept: object = None
        if stat.S_ISLNK(entry.st_mode):
            kept = os.readlink(path)
        elif stat.S_ISREG(entry.st_mode):
            kept = digest(path)
        timed = 0 if stat.S_ISLNK(entry.st_mode) else entry.st_mtime_ns
        found[str(path.relative_to(root))] = (entry.st_mode, timed, kept)
    return found


def contents(*roots: Path) -> list[str]:
    """What must never change: the digest of every file, those set aside included, hard links once."""
    seen: dict[tuple[int, int], str] = {}
    for root in roots:
        for path in root.rglob("*"):
            ours = any(part.endswith(".faceaug") for part in path.parts)
            kept = not ours or "set-aside" in path.parts or "temporary" in path.parts
            entry = path.lstat()
            if kept and stat.S_ISREG(entry.st_mode):
                seen[entry.st_dev, entry.st_ino] = digest(path)
    return sorted(seen.values())


def digest(path: Path) -> str:
    """The content of a file in 32 hexadecimal digits."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def differences(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> list[str]:
    """The names under which two trees differ."""
    return sorted(ascii(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def publish(name: str, result: dict[str, Any], command: str) -> None:
    """Print a result as one JSON line and keep it beside the benchmarks."""
    line = result | facts("faceaug", "numpy", "opencv-python") | {"command": command}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(line, indent=2) + "\n", "utf-8")
    print(json.dumps(line))


def run_campaign(
    name: str, doc: str | None, measure: Callable[[int, int, Path], dict[str, Any]], *, n: int, of: str
) -> None:
    """The command of a campaign that needs a number, a seed and an empty folder: measure, then publish."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=n, help=of)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        result = measure(options.n, options.seed, Path(work))
    result |= {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)}
    publish(name, result, f"python -m benchmarks.reliability.{name} --n {options.n} --seed {options.seed}")
