"""Folders for the tests of cleaning, and a way to say that two trees are the same."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from faceaug.data.image import encode_jpeg
from tests.conftest import picture

OLD = 1_500_000_000_123_456_789  # an mtime that no clock of today gives


@lru_cache(maxsize=512)
def jpeg(seed: int) -> bytes:
    return encode_jpeg(picture(seed, height=24, width=20), quality=90)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(OLD, OLD))
    return path


def celeba(root: Path, files: dict[str, bytes], *, known: int = 40, partition: dict[int, int] | None = None) -> Path:
    """A folder in CelebA's layout whose partition table knows 000001.jpg to ``known``."""
    for name, data in files.items():
        write(root / "img_align_celeba" / name, data)
    rows = "".join(f"{k:06d}.jpg {(partition or {}).get(k, 0)}\n" for k in range(1, known + 1))
    write(root / "list_eval_partition.txt", rows.encode())
    age_folders(root)
    return root


def age_folders(root: Path) -> None:
    for folder in [*(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()), root]:
        os.utime(folder, ns=(OLD, OLD + len(folder.name)))


def good(*numbers: int) -> dict[str, bytes]:
    return {f"{k:06d}.jpg": jpeg(k) for k in numbers}


def tree(root: Path, *, folder_times: bool = True) -> dict[str, tuple[object, ...]]:
    """Everything outside the state folder: name -> mode, mtime, content."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        name = path.relative_to(root)
        if name.parts[:1] == (".faceaug",):
            continue
        facts = path.lstat()
        if stat.S_ISDIR(facts.st_mode):
            content: object = "folder"
        elif stat.S_ISLNK(facts.st_mode):
            content = os.readlink(path)
        else:
            content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else "special"
        timed = folder_times or content != "folder"
        found[os.fsdecode(os.fsencode(name))] = (facts.st_mode, facts.st_mtime_ns if timed else 0, content)
    return found


def contents(root: Path) -> list[bytes]:
    """What must never change: the content of every file, those set aside included, hard links once."""
    seen: dict[tuple[int, int], bytes] = {}
    for path in root.rglob("*"):
        ours = ".faceaug" in path.parts and "set-aside" not in path.parts and "temporary" not in path.parts
        if not ours and path.is_file() and not path.is_symlink():
            facts = path.stat()
            seen[facts.st_dev, facts.st_ino] = path.read_bytes()
    return sorted(seen.values())


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "img_align_celeba").iterdir())


def messy(root: Path) -> Path:
    """Renames, copies, re-encodings and damaged files at once."""
    files = good(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
    files["00021.jpg"] = jpeg(21)  # only 000021 is free
    files["000022.JPG"] = jpeg(22)
    files["000003 (1).jpg"] = jpeg(3)
    files["000024.jpg.jpg"] = jpeg(24)
    files["000025.jpg"] = jpeg(5)
    files["000026.jpg"] = jpeg(26)[:300]
    files["000027.jpg"] = b""
    known = 27
    folder = celeba(root, files, known=known)
    write(folder / "notes.txt", b"mine")
    (folder / "img_align_celeba" / "000001.jpg").chmod(0o640)
    age_folders(folder)
    return folder
