"""Clean and undo on disks that number files anew, cut times, fold case or have no hard links. Prints one JSON line.

    python -m benchmarks.reliability.disks --n 300 --seed 0

Each run builds a folder, mounts the disk again, cleans it with a crash at a random call that changes the disk, mounts
it again, cleans, mounts it again, perhaps lets an undo crash too, and undoes all. After every step each content is in
the folder or set aside; at the end every file has its name, content and time again, and nothing else is there.

Real file systems need root, loop devices and the programs: exFAT through exfat-fuse (new numbers at each mount, no
hard links, folds case, times of whole seconds) and NTFS through lowntfs-3g with ``ignore_case``. Always there is
"copied": the folder is copied file by file at each "mount" (new numbers, times cut to two seconds as FAT does), and the
calls for hard links and for renames without overwriting are missing. What cannot be mounted is told in the result.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.reliability.folders import Crash, HookedDisk
from benchmarks.reliability.zoo import OLD, digest, jpeg, run_campaign, same_pixels

import faceaug.storage.journal
from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.draws import stream
from faceaug.errors import FaceAugError, RefusedError
from faceaug.storage.disk import Disk
from faceaug.storage.identity import same_time

ALL = CleanPolicy(max_remove=1, near=False)
NAMES = ["00003.jpg", "000004.JPG", "000005.jpg.jpg", "000006 (1).jpg", "000007.jpeg", "x.png", "Copy.JPG"]


class PlainDisk(HookedDisk):
    """FAT as most systems mount it: no hard links, and a rename that may overwrite is all there is."""

    def link(self, start: Path, end: Path) -> None:
        """There are none."""
        if os.path.lexists(end):
            raise FileExistsError(errno.EEXIST, "exists", str(end))
        raise PermissionError(errno.EPERM, "no hard links", str(start))

    def rename(self, start: Path, end: Path) -> None:
        """Hold the name with an empty file, then replace it."""
        missing = OSError(errno.ENOSYS, "no renameat2")
        with mock.patch("faceaug.storage.disk._rename_noreplace", side_effect=missing):
            super().rename(start, end)


class Mounted:
    """A real file system in an image file."""

    def __init__(self, work: Path, make: list[str], mount: list[str]) -> None:
        self._image, self.place, self._mount = work / "image", work / "place", mount
        self.place.mkdir(parents=True)
        with self._image.open("wb") as handle:
            handle.truncate(64 << 20)
        subprocess.run([*make, str(self._image)], check=True, capture_output=True)
        found = subprocess.run(["losetup", "-f", "--show", self._image], check=True, capture_output=True, text=True)
        self._loop = found.stdout.strip()
        self._up()

    def again(self) -> None:
        """Unmount and mount."""
        self._down()
        self._up()

    def close(self) -> None:
        """Unmount and let the device go."""
        self._down()
        subprocess.run(["losetup", "-d", self._loop], check=True)

    def disk(self, *hook: Any, **options: Any) -> Disk:
        """The calls that change it."""
        return HookedDisk(*hook, **options)

    def _up(self) -> None:
        subprocess.run([self._mount[0], self._loop, self.place, *self._mount[1:]], check=True, capture_output=True)

    def _down(self) -> None:
        for _ in range(50):
            if subprocess.run(["umount", self.place], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.05)
        for _ in range(100):  # the process behind a FUSE mount ends a moment later
            if not subprocess.run(["fuser", self._loop], capture_output=True, check=False).stdout.strip():
                return
            time.sleep(0.02)


class Copied:
    """A folder that is copied file by file each time, with times cut to two seconds."""

    def __init__(self, work: Path) -> None:
        self.place = work / "place"
        self.place.mkdir(parents=True)

    def again(self) -> None:
        """Copy everything; the copies come in the order of their names backwards, so that numbers change places."""
        old = self.place.rename(self.place.with_name("old"))
        for path in sorted(old.rglob("*"), reverse=True):
            new = self.place / path.relative_to(old)
            if path.is_file():
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, new)
            else:
                new.mkdir(parents=True, exist_ok=True)
        for path in [old, *old.rglob("*")]:
            time_ns = path.stat().st_mtime_ns
            os.utime(self.place / path.relative_to(old), ns=(time_ns, time_ns - time_ns % (2 * 10**9)))
        shutil.rmtree(old)

    def close(self) -> None:
        """Nothing to let go."""

    def disk(self, *hook: Any, **options: Any) -> Disk:
        """The calls that change it."""
        return PlainDisk(*hook, **options, kinds=("append", "sync", "sync_folder", "make_folder", "unlink"))


def kinds() -> tuple[dict[str, Callable[[Path], Any]], list[str]]:
    """The disks that can be had here, and why others cannot."""
    found: dict[str, Callable[[Path], Any]] = {"copied": Copied}
    missing = ["vfat: not in this kernel; fusefat 0.1a never returns from unlink"] if "vfat" not in _kernel() else []
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    for name, make, mount in (
        ("exfat", ["mkfs.exfat"], ["mount.exfat-fuse"]),
        ("ntfs", ["mkntfs", "-F", "-Q"], ["lowntfs-3g", "-o", "ignore_case,windows_names"]),
    ):
        if root and shutil.which(make[0]) and shutil.which(mount[0]):
            found[name] = lambda work, make=make, mount=mount: Mounted(work, make, mount)  # type: ignore[misc]
        else:
            missing.append(f"{name}: needs root, {make[0]} and {mount[0]}")
    return found, missing


def _kernel() -> str:
    with suppress(OSError):
        return Path("/proc/filesystems").read_text()
    return ""


def build(root: Path, seed: int) -> None:
    """Twelve to thirty pictures: good ones, copies, damaged names and files."""
    rng = stream(seed, slot="reliability/disks")
    pictures = root / "img_align_celeba"
    pictures.mkdir(parents=True)
    files = {f"{k:06d}.jpg": jpeg(k) for k in range(8, 16)}
    for k in range(int(rng.integers(4, 16))):
        number = int(rng.integers(8, 16))
        files[f"{20 + k:06d}.jpg"] = [jpeg(number), same_pixels(number), jpeg(number)[:200], b""][
            int(rng.integers(0, 4))
        ]
    for name in NAMES[: int(rng.integers(0, len(NAMES) + 1))]:
        files[name] = jpeg(int(rng.integers(1, 16)))
    for k, (name, data) in enumerate(files.items()):
        path = pictures / name
        path.write_bytes(data)
        os.utime(path, ns=(OLD, OLD + k * 1_300_000_000))
    rows = "".join(f"{k:06d}.jpg {k % 3}\n" for k in range(1, 41))
    (root / "list_eval_partition.txt").write_text(rows)


def tree(root: Path) -> dict[str, tuple[str, int]]:
    """Name -> (digest, time) of every file outside the state folder."""
    files = [path for path in root.rglob("*") if path.is_file() and ".faceaug" not in path.parts]
    return {str(path.relative_to(root)): (digest(path), path.stat().st_mtime_ns) for path in files}


def everything(root: Path) -> Counter[str]:
    """How often each content is in the folder or set aside."""
    ours = [path for path in root.rglob("*") if path.is_file() and path.parent != root / ".faceaug"]
    kept = [path for path in ours if "runs" not in path.relative_to(root).parts]
    return Counter(digest(path) for path in kept if path.stat().st_size)


def one_run(disk: Any, seed: int, happened: Counter[str]) -> list[str]:
    """One folder on one disk; what went wrong."""
    rng = stream(seed, slot="reliability/disks/crash")
    root, problems = disk.place / f"run{seed}", []
    build(root, seed)
    disk.again()
    before, all_of_it = tree(root), everything(root)
    work: list[tuple[str, Callable[[], object], int]] = [
        ("clean", lambda: clean_folder(root, ALL, workers=0), int(rng.integers(1, 60))),
        ("clean", lambda: clean_folder(root, ALL, workers=0), 0),
        ("undo", lambda: undo_clean(root, all_runs=True), int(rng.integers(1, 60)) if rng.integers(0, 2) else 0),
        ("undo", lambda: undo_clean(root, all_runs=True), 0),
    ]
    for verb, act, at in work:
        try:
            with (
                mock.patch.object(faceaug.storage.journal, "Disk", lambda at=at: disk.disk(at, _crash)),
                mock.patch.object(faceaug.storage.journal, "GROUP", [1, 4, 256][seed % 3]),
            ):
                act()
        except Crash:
            happened[f"{verb} crashed"] += 1
        except RefusedError as error:
            if "no run to undo" not in str(error):
                problems.append(f"{verb}: {error}")
        except FaceAugError as error:
            problems.append(f"{verb}: {error}")
        else:
            happened[verb] += 1
        disk.again()
        found = everything(root)
        if set(found) != set(all_of_it) or any(found[key] < count for key, count in all_of_it.items()):
            problems.append(f"after {verb}: {sum((all_of_it - found).values())} files are nowhere")
    return problems + _unlike(before, tree(root))


def _crash() -> None:
    raise Crash


def _unlike(before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]]) -> list[str]:
    odd = sorted(before.keys() ^ after.keys())
    odd += [name for name in before.keys() & after.keys() if before[name][0] != after[name][0]]
    times = [name for name in before.keys() & after.keys() if not same_time(before[name][1], after[name][1])]
    return [f"undo left {len(odd)} names unlike: {odd[:3]}"] * bool(odd) + [f"other times: {times[:3]}"] * bool(times)


def measure(n: int, seed: int, work: Path) -> dict[str, Any]:
    """Share ``n`` runs among the disks there are."""
    found, missing = kinds()
    parts: dict[str, Any] = {}
    failed: list[str] = []
    for number, (name, make) in enumerate(sorted(found.items())):
        happened: Counter[str] = Counter()
        disk = make(work / name)
        mine = range(number, n, len(found))
        wrong = 0
        try:
            for k in mine:
                problems = one_run(disk, seed * 10_000 + k, happened)
                wrong += bool(problems)
                failed += [f"{name} {k}: {problem}" for problem in problems]
                shutil.rmtree(disk.place / f"run{seed * 10_000 + k}")
        finally:
            disk.close()
        parts[name] = {"n": len(mine), "failures": wrong, "happened": dict(sorted(happened.items()))}
    return {
        "figure": "runs with a file that is nowhere or not given back, on disks that number files anew at each mount",
        "n": n,
        "failures": sum(part["failures"] for part in parts.values()),
        "failed": failed[:50],
        "disks": parts,
        "not here": missing,
    }


if __name__ == "__main__":
    run_campaign("disks", __doc__, measure, n=300, of="runs, shared among the disks")
