"""Malformed pictures, made from a seed, against the one decoder. Prints one JSON line.

    python -m benchmarks.reliability.pictures --n 10000 --seed 0

Every picture is a mutant of one made here (JPEG, progressive, grey, CMYK, PNG of 1 to 16 bits, with palette and alpha,
WebP with and without loss, BMP, GIF, TIFF): cut, bits flipped, bytes overwritten, spliced with another, parts repeated
or removed, claims of size, lengths and counts rewritten, scans repeated, something hung on, animated, or given another
name. They are decoded in child processes with a limit of memory and of time. Allowed are a picture of uint8 and of the
announced size, or ``ImageError``; all else is a failure, so is a child that dies or does not end. Decoding twice must
give the same. Then each whole picture is cut at every percent: no cut may pass, and no whole one may be refused.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.reliability.zoo import picture, publish
from PIL import Image

from faceaug.draws import stream
from faceaug.errors import ImageError
from faceaug.data.image import decode, probe, read_image

BATCH = 250
MEMORY = 2 * 2**30  # address space of a child, of which OpenCV and numpy reserve about a third for themselves
PATIENCE = 60.0  # seconds for a batch of 250
GOOD = 1000
Rng = np.random.Generator


@lru_cache(maxsize=64)
def whole(kind: int) -> tuple[str, bytes]:
    """(name, bytes) of an undamaged picture; ``len(KINDS)`` of them."""
    name = KINDS[kind % len(KINDS)]
    image = Image.fromarray(picture(kind, height=40 + 9 * (kind % 5), width=36 + 7 * (kind % 3)))
    return name, _save(name, image)


def _save(name: str, image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    mode, _, kind = name.rpartition(" ")
    if mode == "progressive":
        options = {"progressive": True, "quality": 85}
    elif mode == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
    elif mode == "animated":
        options = {"save_all": True, "append_images": [image.rotate(90 * k) for k in (1, 2)]}
    elif mode == "lossless":
        options = {"lossless": True}
    elif mode == "16-bit":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode in {"L", "CMYK", "P", "1", "RGBA", "LA"}:
        image = image.convert(mode)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


READ = ["RGB JPEG", "progressive JPEG", "exif JPEG", "L JPEG", "CMYK JPEG", "RGB PNG", "L PNG", "P PNG", "1 PNG"]
READ += ["RGBA PNG", "LA PNG", "16-bit PNG", "animated PNG", "RGB WEBP", "lossless WEBP", "animated WEBP", "exif WEBP"]
READ += ["RGB BMP", "L BMP"]
KINDS = [*READ, "RGB GIF", "animated GIF", "RGB TIFF", "RGB JPEG2000", "RGB PPM"]


def cut(rng: Rng, data: bytes) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def flip(rng: Rng, data: bytes) -> bytes:
    found = bytearray(data)
    for at in rng.integers(0, len(found), int(rng.integers(1, 9))):
        found[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(found)


def overwrite(rng: Rng, data: bytes) -> bytes:
    at, size = int(rng.integers(0, len(data))), int(rng.integers(1, 65))
    filling = rng.bytes(size) if rng.integers(0, 2) else bytes([int(rng.choice([0, 0xFF, 0xD8, 0xD9]))]) * size
    return data[:at] + filling + data[at + size :]


def splice(rng: Rng, data: bytes) -> bytes:
    _, other = whole(int(rng.integers(0, len(KINDS))))
    return data[: int(rng.integers(0, len(data)))] + other[int(rng.integers(0, len(other))) :]


def repeat(rng: Rng, data: bytes) -> bytes:
    one, other = sorted(int(at) for at in rng.integers(0, len(data), 2))
    return data[:other] + data[one:other] * int(rng.integers(1, 50)) + data[other:]


def remove(rng: Rng, data: bytes) -> bytes:
    one, other = sorted(int(at) for at in rng.integers(0, len(data), 2))
    return data[:one] + data[min(other, one + 200) :]


def claim_size(rng: Rng, data: bytes) -> bytes:
    """Other dimensions in the header, with a right checksum: far too big, nothing, or only wrong."""
    values = [0, 1, 37, 255, 5000, 16384, 16385, 65500, 65535, 2**31 - 1, 2**32 - 1]
    width, height = (int(value) for value in rng.choice(values, 2))
    if data.startswith(b"\xff\xd8"):
        at = max(data.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2"))
        return data[: at + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[at + 9 :]
    if data.startswith(b"\x89PNG"):
        header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<II", width, height) + data[26:]
    at = int(rng.choice([20, 23, 24, 26]))
    return data[:at] + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + data[at + 4 :]


def claim_length(rng: Rng, data: bytes) -> bytes:
    """A number somewhere in the first kilobyte becomes an extreme one."""
    at = int(rng.integers(2, min(len(data), 1024)))
    value = int(rng.choice([0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
    size = int(rng.choice([1, 2, 4]))
    return data[:at] + (value & (256**size - 1)).to_bytes(size, "big") + data[at + size :]


def bomb(rng: Rng, _: bytes) -> bytes:
    """Little to send, much to do: scans repeated, or pixels that pack a thousandfold."""
    if rng.integers(0, 2):
        _, jpeg = whole(KINDS.index("progressive JPEG"))
        start = jpeg.rfind(b"\xff\xda")
        return jpeg[:-2] + jpeg[start:-2] * int(rng.integers(1, 3000)) + jpeg[-2:]
    side = int(rng.choice([256, 2048, 5000, 9000, 16384]))
    packed = zlib.compress(bytes((side + 1) * min(side, 2048)), 9)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def polyglot(rng: Rng, data: bytes) -> bytes:
    """Something else before or behind the picture."""
    other = [b"PK\x03\x04" + rng.bytes(200), b"<script>alert(1)</script>", rng.bytes(5000), b"\x00" * 4096, b"%PDF-1.7"]
    hung = other[int(rng.integers(0, len(other)))]
    return data + hung if rng.integers(0, 3) else hung + data


def whole_picture(_: Rng, data: bytes) -> bytes:
    return data


def several(rng: Rng, data: bytes) -> bytes:
    for _ in range(int(rng.integers(2, 5))):
        mutate = SINGLE[int(rng.integers(0, len(SINGLE)))]
        data = mutate(rng, data) if len(data) > 100 else data
    return data


SINGLE: list[Callable[[Rng, bytes], bytes]] = [cut, flip, overwrite, splice, repeat, remove, claim_size, claim_length]
MUTATIONS = [*SINGLE, bomb, polyglot, whole_picture, several]
SUFFIXES = [".jpg", ".png", ".webp", ".bmp", ".jpeg"]


def mutant(seed: int, index: int) -> tuple[str, bytes]:
    """(what it is, bytes) of malformed picture ``index``: the same wherever it is made."""
    rng = stream(seed, index=index, slot="reliability/pictures")
    kind, data = whole(int(rng.integers(0, len(KINDS))))
    mutate = MUTATIONS[int(rng.integers(0, len(MUTATIONS)))]
    return f"{mutate.__name__} {kind}", mutate(rng, data)


def check(data: bytes, path: Path) -> str:
    """Say nothing for a picture, the reason for a refusal; anything else is raised."""
    path.write_bytes(data)
    try:
        image = read_image(path)
    except ImageError as error:
        if error.name != str(path) or not error.reason or "\n" in str(error):
            raise ValueError(f"an unclear reason: {error!r}") from error
        return error.reason
    header = probe(data)
    sides = sorted((header.height, header.width))
    if image.dtype != np.uint8 or sorted(image.shape[:2]) != sides or image.shape[2:] != (3,):
        raise ValueError(f"announced {header}, decoded {image.shape} {image.dtype}")
    if not np.array_equal(image, decode(data)):
        raise ValueError("decoded twice with two results")
    return ""


def work(seed: int, first: int, last: int) -> dict[str, Any]:
    """In a child: decode a batch; what happened, with the index of every fault."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    found: Counter[str] = Counter()
    faults: list[str] = []
    slowest: tuple[float, str] = (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        for index in range(first, last):
            what, data = mutant(seed, index)
            path = Path(folder) / f"picture{SUFFIXES[index % len(SUFFIXES)]}"
            print(f"at {index}", flush=True)
            began = time.perf_counter()
            try:
                found["refused" if check(data, path) else "accepted"] += 1
            except Exception as error:  # noqa: BLE001 - the point of the exercise: only ImageError may come out
                faults.append(f"{index} ({what}): {type(error).__name__}: {error}")
            slowest = max(slowest, (time.perf_counter() - began, f"{index} ({what})"))
            found[what.split()[0]] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"found": found, "faults": faults, "slowest": slowest, "peak": peak}


def batch(seed: int, first: int, last: int) -> dict[str, Any]:
    """Run a batch in a child; a death or a hang is a fault at the picture in hand, and the rest goes on."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.reliability.pictures",
        "--seed",
        str(seed),
        "--batch",
        f"{first}-{last}",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "SILENT"}
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=PATIENCE
        )
        said, ending = done.stdout.decode(), f"died with {done.returncode}"
    except subprocess.TimeoutExpired as error:
        said, ending = (error.stdout or b"").decode(), "did not end"
    lines = said.splitlines()
    if lines and lines[-1].startswith("{"):
        return json.loads(lines[-1])
    at = int(lines[-1].split()[1]) if lines else first
    fault = {"found": {"lost": at - first}, "faults": [f"{at} ({mutant(seed, at)[0]}): {ending}"]}
    rest = (
        batch(seed, at + 1, last) if at + 1 < last else {"found": {}, "faults": [], "slowest": [0.0, ""], "peak": 0.0}
    )
    return rest | {
        "found": Counter(rest["found"]) + Counter(fault["found"]),
        "faults": fault["faults"] + rest["faults"],
    }


def missed_cuts() -> dict[str, list[int]]:
    """Percents at which a cut picture passed as whole, by kind."""
    missed = {}
    for kind, name in enumerate(KINDS[: len(READ)]):
        data = whole(kind)[1]
        missed[name] = [percent for percent in range(100) if is_picture(data[: len(data) * percent // 100])]
    return missed


def is_picture(data: bytes) -> bool:
    """Whether the decoder accepts these bytes."""
    try:
        decode(data)
    except ImageError:
        return False
    return True


def refused_whole(n: int) -> int:
    """How many of so many undamaged pictures are refused."""
    names = [KINDS[i % len(READ)] for i in range(n)]
    return sum(not is_picture(_save(name, Image.fromarray(picture(i)))) for i, name in enumerate(names))


def measure(n: int, seed: int) -> dict[str, Any]:
    """Decode ``n`` malformed pictures in children and cut whole ones at every percent."""
    found: Counter[str] = Counter()
    faults: list[str] = []
    slowest, peak = (0.0, ""), 0.0
    for first in range(0, n, BATCH):
        result = batch(seed, first, min(first + BATCH, n))
        found.update(result["found"])
        faults += result["faults"]
        slowest, peak = max(slowest, tuple(result["slowest"])), max(peak, result["peak"])
    missed = {name: percents for name, percents in missed_cuts().items() if percents}
    refused = refused_whole(GOOD)
    return {
        "figure": "malformed pictures that crash, hang or raise anything but ImageError",
        "n": n,
        "failures": len(faults) + len(missed) + refused,
        "failed": faults[:50],
        "accepted": found.pop("accepted", 0),
        "refused": found.pop("refused", 0),
        "mutations": dict(sorted(found.items())),
        "slowest_seconds": round(slowest[0], 3),
        "slowest": slowest[1],
        "peak_memory_mb": round(peak),
        "cuts": {"kinds": len(READ), "percents": 100, "missed": missed},
        "whole_pictures": {"n": GOOD, "refused": refused},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch:
        first, last = map(int, options.batch.split("-"))
        print(json.dumps(work(options.seed, first, last)))
        return
    began = time.monotonic()
    result = measure(options.n, options.seed)
    result |= {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)}
    said = f"--n {options.n} --seed {options.seed}"
    publish("pictures", result, f"python -m benchmarks.reliability.pictures {said}")


if __name__ == "__main__":
    main()
