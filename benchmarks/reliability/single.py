"""One file that cannot be moved, at each move of a clean and of an undo. Prints one JSON line.

    python -m benchmarks.reliability.single --n 200 --seed 0

A folder of ``--n`` pictures with copies, damaged names and damaged files is cleaned with a disk on which calls about
one file fail: once for each file that a clean moves and each way to fail, and again for the undo. All other files must
be moved, a later run must finish, and the folder must come back as it was.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.reliability.zoo import age_folders, contents, differences, jpeg, run_campaign, same_pixels, tree, write

import faceaug.storage.journal
from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.draws import stream
from faceaug.storage.disk import Disk

ALL = CleanPolicy(max_remove=1, near=False)
# The call that fails for one file for as long as the run lasts, and with what.
KINDS = {
    "on another disk that is full": {"link": errno.EXDEV, "copy": errno.ENOSPC},
    "in a folder of somebody else's": {"link": errno.EACCES},
    "held by a sticky folder": {"unlink": errno.EPERM},
    "on a path that is too long": {"link": errno.ENAMETOOLONG},
    "below something that is no folder": {"link": errno.ENOTDIR},
    "immutable": {"link": errno.EPERM, "rename": errno.EPERM},
}


class OneBad(Disk):
    """A disk on which calls about the k-th file that is moved fail."""

    def __init__(self, at: int, errors: dict[str, int]) -> None:
        self.at, self.errors, self.bad = at, errors, ""
        self.seen: list[str] = []

    def link(self, start: Path, end: Path) -> None:
        """A further name."""
        if str(start) not in self.seen:
            self.seen.append(str(start))
        if len(self.seen) == self.at and not self.bad:
            self.bad = str(start)
        self._fail("link", start)
        super().link(start, end)

    def unlink(self, path: Path) -> None:
        """A name less."""
        self._fail("unlink", path)
        super().unlink(path)

    def rename(self, start: Path, end: Path) -> None:
        """Another name."""
        self._fail("rename", start)
        super().rename(start, end)

    def copy(self, start: Path, end: Path) -> None:
        """A copy."""
        self._fail("copy", start)
        super().copy(start, end)

    def _fail(self, call: str, path: Path) -> None:
        if str(path) == self.bad and call in self.errors:
            raise OSError(self.errors[call], os.strerror(self.errors[call]), str(path))


def build(root: Path, n: int, seed: int) -> Path:
    """A folder in CelebA's layout: of ten pictures one is a copy, one has a damaged name or is damaged."""
    pictures = root / "img_align_celeba"
    for k in range(1, n + 1):
        name, data = f"{k:06d}.jpg", jpeg(seed * 100_000 + k)
        how = int(stream(seed, index=k, slot="reliability/single").integers(0, 10)) if k > 10 else 9
        if how == 0:
            data = [jpeg(seed * 100_000 + k % 10 + 1), same_pixels(seed * 100_000 + k % 10 + 1)][k % 2]
        elif how == 1:
            name, data = [(name[1:], data), (name[:-3] + "JPG", data), (name, data[:200])][k % 3]
        write(pictures / name, data)
    write(root / "list_eval_partition.txt", "".join(f"{k:06d}.jpg {k % 3}\n" for k in range(1, n + 1)).encode())
    age_folders(root)
    return root


def failures_of(template: Path, work: Path, verb: str, kind: str, happened: Counter[str]) -> Iterator[str]:
    """Let each move of a verb fail in one way; what went wrong, a line each."""
    before, everything = tree(template), contents(template)
    at = 0
    while True:
        at += 1
        folder = _copy(template, work / "folder")
        if verb == "undo":
            _clean(folder, Disk())
        disk = OneBad(at, KINDS[kind])
        left = _clean(folder, disk) if verb == "clean" else _undo(folder, disk)
        if not disk.bad:
            return
        happened[f"{verb}, {kind}"] += 1
        where = f"{verb}, {kind}, move {at}"
        if left > 1:
            yield f"{where}: {left} files were left"
        if contents(folder) != everything:
            yield f"{where}: LOST"
        if verb == "clean":
            if again := _clean(folder, Disk()):
                yield f"{where}: the next run left {again} files"
            _undo(folder, Disk())
        elif left:
            _undo(folder, Disk())
        if unlike := differences(before, tree(folder)):
            yield f"{where}: undo left {unlike[:3]} unlike"


def _clean(folder: Path, disk: Disk) -> int:
    with mock.patch.object(faceaug.storage.journal, "Disk", return_value=disk):
        return len(clean_folder(folder, ALL, workers=0).left)


def _undo(folder: Path, disk: Disk) -> int:
    with mock.patch.object(faceaug.storage.journal, "Disk", return_value=disk):
        return len(undo_clean(folder, all_runs=True).left)


def _copy(template: Path, folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    subprocess.run(["cp", "-a", str(template), str(folder)], check=True)
    return folder


def measure(n: int, seed: int, work: Path) -> dict[str, Any]:
    """Every kind of failure at every move of one folder."""
    template = build(work / "template", n, seed)
    happened: Counter[str] = Counter()
    failed: list[str] = []
    for verb in ("clean", "undo"):
        for kind in KINDS:
            failed += failures_of(template, work, verb, kind, happened)
    return {
        "figure": "runs in which one file that cannot be moved held up another, or after which undo was not exact",
        "pictures": n,
        "n": happened.total(),
        "failures": len(failed),
        "failed": failed[:50],
        "runs": dict(sorted(happened.items())),
    }


if __name__ == "__main__":
    run_campaign("single", __doc__, measure, n=200, of="pictures in the folder")
