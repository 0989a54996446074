"""Cut the power at random moments of clean, clean --out, expand, synth and train, on a real disk. Prints one JSON line.

    python -m benchmarks.reliability.powercuts --n 200 --train 25 --seed 0

Needs Linux, root, loop devices, mkfs.xfs and the mkfs of the file system under test; run it from the root of the
repository. The file system under test lies in an image file on XFS. While a command works on it, reflinks of the image
are taken at random moments. XFS locks the file for a reflink, so each one is the block device at a single moment: all
writes that had reached the device by then, and nothing of what the system still held in memory. Commands run with
different mount options (how often the journal is committed, how data is ordered), groups of files of different lengths,
and sometimes next to another program that syncs files at random, so that other parts of the work reach the disk first.

Each reflink is then mounted as after a power cut (the file system repairs itself from its journal), and:

* every picture of the folder that was cleaned is in it or set aside;
* an output that says it is finished is the reference to the byte, and so is whatever a command that ended without an
  error has left;
* the same command goes on and ends with the bytes of the reference, a run that nothing disturbed;
* undo gives every name, content, mode and time back.

What this cannot show: a disk that loses writes which it has reported as done and was not asked to flush.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from benchmarks.reliability.single import build
from benchmarks.reliability.training import COMMON, ending
from benchmarks.reliability.zoo import contents, differences, digest, jpeg, publish, tree, write

import faceaug.storage.durable
import faceaug.storage.journal
from faceaug import CleanPolicy, SyntheticFaceSource, clean_folder, expand_dataset, train_gan, undo_clean
from faceaug.draws import stream
from faceaug.train import TrainConfig, export

FORK = multiprocessing.get_context("fork")  # everything is imported once, not once for every run
FICLONE = 0x40049409  # linux/fs.h
POLICY = CleanPolicy(max_remove=1, near=False)
PER_RUN = 8  # cuts during one run
PICTURES = 160
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
OPTIONS = {  # of mount; the journal of ext4 is otherwise committed every five seconds, longer than these runs take
    "ext4": ["commit=1", "commit=1,nodelalloc", "commit=1,data=writeback", "commit=1,data=journal", "defaults"],
    "xfs": ["defaults"],
    "btrfs": ["commit=1", "commit=1,flushoncommit", "defaults"],
}


class Disks:
    """Images of one file system, and reflinks of them; one is mounted at a time, always at the same place.

    Args:
        work: an empty folder.
        system: the file system under test.
        mebibytes: size of an image.
    """

    def __init__(self, work: Path, system: str, mebibytes: int) -> None:
        self.system = system
        self.place = work / "place"
        self.place.mkdir()
        self._images = work / "images"
        self._images.mkdir()
        holder = work / "holder.img"
        _sparse(holder, 8192)
        _call("mkfs.xfs", "-q", "-m", "reflink=1", str(holder))
        _call("mount", "-o", "loop", str(holder), str(self._images))
        _sparse(self._images / "start", mebibytes)
        _call(*MAKE[system], str(self._images / "start"))

    @contextmanager
    def mounted(self, image: str, options: str = "defaults") -> Iterator[Path]:
        """The place where an image is mounted; journals are replayed, as after a power cut."""
        _call("mount", "-o", f"loop,{options}", str(self._images / image), str(self.place))
        try:
            yield self.place
        finally:
            for _ in range(100):
                if subprocess.run(["umount", str(self.place)], capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.05)
            else:
                raise SystemExit(f"{self.place} cannot be unmounted")

    def reflink(self, image: str, copy: str) -> None:
        """What an image holds at this moment, as another image."""
        with (self._images / image).open("rb") as original, (self._images / copy).open("wb") as target:
            fcntl.ioctl(target.fileno(), FICLONE, original.fileno())

    def remove(self, image: str) -> None:
        """Remove an image."""
        (self._images / image).unlink()

    def close(self) -> None:
        """Unmount everything."""
        _call("umount", str(self._images))


def _sparse(path: Path, mebibytes: int) -> None:
    with path.open("wb") as handle:
        handle.truncate(mebibytes << 20)


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")


class Clean:
    """`faceaug clean FOLDER`."""

    def build(self, place: Path) -> None:
        """The folder."""
        build(place / "faces", PICTURES, 1)
        self.before = tree(place / "faces")
        self.pictures = Counter(contents(place / "faces"))

    def act(self, place: Path) -> None:
        """The command."""
        clean_folder(place / "faces", POLICY, workers=0, progress=False)

    def found(self, place: Path) -> dict[str, str]:
        """What must be equal at the end."""
        return _digests(place / "faces")

    def finished(self, _: Path) -> bool:
        """Whether the output says that it is complete: here only the exit code does."""
        return False

    def at_once(self, place: Path) -> list[str]:
        """What must hold right after the cut."""
        lost = self.pictures - Counter(contents(place / "faces"))
        return [f"{lost.total()} pictures are nowhere"] if lost else []

    def afterwards(self, place: Path) -> list[str]:
        """What must hold at the very end."""
        wrong = self.at_once(place)
        code, said = in_process(lambda: undo_clean(place / "faces", all_runs=True, progress=False))
        unlike = differences(self.before, tree(place / "faces"))
        wrong += [f"undo ended with {code}: {said}"] if code else []
        return wrong + ([f"undo left {len(unlike)} entries unlike: {unlike[:3]}"] if unlike else [])


class Output:
    """A command that reads a folder and writes another."""

    marker = "dataset.json"

    def build(self, place: Path) -> None:
        """A folder in CelebA's layout."""
        for k in range(1, PICTURES + 1):
            write(place / "faces" / "img_align_celeba" / f"{k:06d}.jpg", jpeg(k))
        self.before = tree(place / "faces")

    def act(self, place: Path) -> None:
        """The command."""
        made = expand_dataset(place / "faces", copies=2, synthetic=20, source="dcgan-32", size=32, partition="all",
                              progress=False)  # fmt: skip
        made.save(place / "out", workers=1, progress=False)

    def found(self, place: Path) -> dict[str, str]:
        """What must be equal at the end."""
        return _digests(place / "out")

    def finished(self, place: Path) -> bool:
        """Whether the output says that it is complete."""
        with suppress(OSError, ValueError):
            return json.loads((place / "out" / self.marker).read_bytes()).get("finished") is True
        return False

    def at_once(self, place: Path) -> list[str]:
        """What must hold right after the cut."""
        return ["the folder that is only read has changed"] if tree(place / "faces") != self.before else []

    def afterwards(self, _: Path) -> list[str]:
        """What must hold at the very end."""
        return []


class Copy(Output):
    """`faceaug clean FOLDER --out OUT`."""

    marker = "clean.json"

    def build(self, place: Path) -> None:
        """The folder."""
        build(place / "faces", PICTURES, 1)
        self.before = tree(place / "faces")

    def act(self, place: Path) -> None:
        """The command."""
        clean_folder(place / "faces", POLICY, out=place / "out", workers=0, progress=False)


class Synth(Output):
    """`faceaug synth --out OUT`."""

    def act(self, place: Path) -> None:
        """The command."""
        SyntheticFaceSource("dcgan-32").save(place / "out", 500, progress=False)


class Train(Output):
    """`faceaug train FOLDER --out RUN`."""

    marker = "config.json"

    def act(self, place: Path) -> None:
        """The command."""
        train_gan(place / "faces", place / "out", TrainConfig(**COMMON | {"precision": "fp32"}), device="cpu")

    def found(self, place: Path) -> dict[str, str]:
        """What must be equal at the end; the log holds speeds."""
        try:
            return ending(place / "out") | {"config": digest(place / "out" / "model" / "config.json")}
        except (OSError, ValueError) as error:
            return {"run": repr(error)}

    def at_once(self, place: Path) -> list[str]:
        """Nor is a model half of one checkpoint and half of another."""
        wrong = super().at_once(place)
        model = place / "out" / "model"
        if model.exists():
            code, said = in_process(lambda: SyntheticFaceSource(model))
            wrong += [f"the model cannot be loaded: {said}"] if code else []
        return wrong


VERBS: dict[str, Callable[[], Clean | Output]] = {
    "clean": Clean,
    "clean --out": Copy,
    "expand": Output,
    "synth": Synth,
    "train": Train,
}


def _digests(folder: Path) -> dict[str, str]:
    """Content by name, of everything but the state of cleaning (reports hold dates and seconds)."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {str(path.relative_to(folder)): path for path in files}
    return {name: digest(path) for name, path in sorted(named.items()) if not name.startswith(".faceaug")}


def in_process(act: Callable[[], object]) -> tuple[int, str]:
    """Run something in a process of its own: its exit code, and what it said if it failed."""
    process, said = started(act)
    process.join()
    return int(process.exitcode or 0), said()


def started(act: Callable[[], object]) -> tuple[Any, Callable[[], str]]:
    """A process that runs something, and what it said once it has ended."""
    out, into = os.pipe()

    def work() -> None:
        warnings.simplefilter("ignore")
        try:
            act()
        except BaseException as error:  # whatever it is goes to the result
            os.write(into, traceback.format_exc().encode()[-2000:])
            raise SystemExit(1) from error

    process = FORK.Process(target=work)
    process.start()
    os.close(into)

    def said() -> str:
        with open(out, "rb") as pipe:
            return pipe.read().decode(errors="replace").strip()

    return process, said


@dataclass(slots=True)
class Part:
    """The cuts of one command.

    Attributes:
        cuts: how many.
        runs: runs that were cut.
        when: where the cuts fell.
        failures: what went wrong, a line each.
    """

    cuts: int = 0
    runs: int = 0
    when: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Meddler(threading.Thread):
    """Another program on the same disk: it syncs files at random, and with them the journal of the file system."""

    def __init__(self, place: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._place, self._draw, self._end = place, random.Random(seed), threading.Event()  # noqa: S311 - no secret

    def run(self) -> None:
        """Sync now and then."""
        while not self._end.wait(self._draw.uniform(0.005, 0.1)):
            with suppress(OSError, IndexError):
                path = self._draw.choice([path for path in self._place.rglob("*") if path.is_file()])
                with path.open("rb") as handle:
                    os.fsync(handle.fileno())

    def end(self) -> None:
        """Stop."""
        self._end.set()
        self.join()


class Cuts:
    """All cuts of one command on one file system."""

    def __init__(self, name: str, disks: Disks, seed: int) -> None:
        self.name, self.disks, self.verb, self.part = name, disks, VERBS[name](), Part()
        self._draw = stream(seed, slot=f"reliability/powercuts/{name}")
        self._input = f"input {name}"
        disks.reflink("start", self._input)
        with disks.mounted(self._input) as place:
            self.verb.build(place)
        disks.reflink(self._input, "reference")
        with disks.mounted("reference") as place:
            began = time.monotonic()
            code, said = in_process(lambda: self.verb.act(place))
            self.took = time.monotonic() - began
            if code:
                raise SystemExit(f"{name}: the run that nothing disturbs failed: {said}")
            self.expected = self.verb.found(place)
        disks.remove("reference")

    def run(self, count: int) -> None:
        """Cut the power so many times during one run."""
        for image, ended in self._one_run(count):
            self.part.cuts += 1
            problems = self._look(image, ended)
            self.part.failures += [f"{self.name}, cut {self.part.cuts}: {problem}" for problem in problems]
            self.disks.remove(image)
        self.part.runs += 1

    def _one_run(self, count: int) -> list[tuple[str, bool]]:
        """Reflinks of one run: (image, whether the command had ended without an error by then)."""
        moments = sorted(float(moment) for moment in self._draw.uniform(0, 1.15 * self.took, count))
        options = str(self._draw.choice(OPTIONS[self.disks.system]))
        interval = float(self._draw.choice([0.0, 0.05, 0.3, 1.0]))
        group = int(self._draw.choice([1, 16, 256]))
        meddled = bool(self._draw.integers(0, 2))
        taken = []
        self.disks.reflink(self._input, "live")

        def act(place: Path) -> None:
            faceaug.storage.durable._INTERVAL, faceaug.storage.journal.GROUP = interval, group
            self.verb.act(place)

        with self.disks.mounted("live", options) as place:
            meddler = Meddler(place, int(self._draw.integers(0, 2**31)))
            process, said = started(lambda: act(place))
            began = time.monotonic()
            if meddled:
                meddler.start()  # not before: a process with threads cannot be forked
            for k, moment in enumerate(moments):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                ended = process.exitcode == 0
                self.disks.reflink("live", f"cut{k}")
                taken.append((f"cut{k}", ended))
            process.join()
            if meddled:
                meddler.end()
            if process.exitcode:
                self.part.failures.append(f"{self.name}: a run failed: {said()}")
        self.disks.remove("live")
        return taken

    def _look(self, image: str, ended: bool) -> list[str]:
        """What is wrong with a disk after a power cut."""
        verb = self.verb
        with self.disks.mounted(image) as place:
            problems = verb.at_once(place)
            finished = verb.finished(place)
            unlike = differences(_as_tree(self.expected), _as_tree(verb.found(place)))
            self.part.when["after the end" if ended else "finished" if finished else "midway"] += 1
            if (ended or finished) and unlike:
                problems.append(f"called finished, and {len(unlike)} files are unlike: {unlike[:3]}")
            if isinstance(verb, Output) and ended and not finished:
                problems.append("the command had ended, and the output does not say so")
            if not finished:
                code, said = in_process(lambda: verb.act(place))
                problems += [f"the next run ended with {code}: {said}"] if code else []
            if unlike := differences(_as_tree(self.expected), _as_tree(verb.found(place))):
                problems.append(f"the next run left {len(unlike)} files unlike: {unlike[:3]}")
            return problems + verb.afterwards(place)


def _as_tree(digests: dict[str, str]) -> dict[str, tuple[object, ...]]:
    return {name: (value,) for name, value in digests.items()}


def measure(counts: dict[str, int], seed: int, system: str, work: Path, until: float = math.inf) -> dict[str, Any]:
    """All commands on one file system, in turn; no run begins after ``until`` (monotonic seconds)."""
    torch.set_num_threads(1)  # a process with threads cannot be forked
    export._STATISTICS_BATCHES = 2
    SyntheticFaceSource("dcgan-32").generate(1)  # imported and warm in every fork
    disks = Disks(work, system, 400 if system == "xfs" else 256)
    try:
        verbs = [Cuts(name, disks, seed) for name, count in counts.items() if count]
        waiting = verbs
        while waiting and time.monotonic() < until:
            for verb in waiting:
                if time.monotonic() < until:
                    verb.run(min(PER_RUN, counts[verb.name] - verb.part.cuts))
            waiting = [verb for verb in waiting if verb.part.cuts < counts[verb.name]]
    finally:
        disks.close()
    parts = {verb.name: verb.part for verb in verbs}
    failed = [line for part in parts.values() for line in part.failures]
    return {
        "figure": "cuts of the power after which something was lost, wrongly called finished, or unlike in the end",
        "file system": system, "asked": counts, "n": sum(part.cuts for part in parts.values()), "failures": len(failed),
        "failed": failed[:50],
        "parts": {
            name: {"cuts": part.cuts, "runs": part.runs, "failures": len(part.failures)}
            | {"cuts fell": dict(sorted(part.when.items()))} for name, part in parts.items()
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="cuts of each command but train")
    parser.add_argument("--train", type=int, default=25, help="cuts of train")
    parser.add_argument("--system", choices=sorted(MAKE), default="ext4")
    parser.add_argument("--only", choices=sorted(VERBS), help="one command alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further run after this long")
    options = parser.parse_args()
    for word in ("mkfs.xfs", MAKE[options.system][0]):
        if shutil.which(word) is None:
            raise SystemExit(f"{word} is missing")
    counts = {name: options.train if name == "train" else options.n for name in VERBS}
    counts = {name: count for name, count in counts.items() if options.only in {None, name}}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        result = measure(counts, options.seed, options.system, Path(work), began + 60 * options.minutes)
    result |= {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)}
    command = f"python -m benchmarks.reliability.powercuts --n {options.n} --train {options.train}"
    command += f" --system {options.system} --seed {options.seed}"
    command += f" --only '{options.only}'" if options.only else ""
    command += f" --minutes {options.minutes:g}" if options.minutes < math.inf else ""
    part = "-" + re.sub(r"\W+", "-", options.only) if options.only else ""
    publish(f"powercuts-{options.system}{part}", result, command)


if __name__ == "__main__":
    main()
