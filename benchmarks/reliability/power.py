"""Cut the power at every moment of a clean and of an undo, with every legal loss. Prints one JSON line.

    python -m benchmarks.reliability.power --plans 40 --seed 0

What a disk may lose in a power cut is all that was not waited for: any subset of the names given, taken and changed
since their folder was last synchronised, and any end of what was appended to the journal since it was. (No file system
loses more; most lose less.) A recording disk notes every change and every wait of plans with at most six moves; every
state that a cut at any point could leave is built and opened again. No file may be without a name, the journal must
explain where each is, and undo must give every name back.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.reliability.zoo import publish

import faceaug.storage.journal
from faceaug.storage.disk import Disk
from faceaug.draws import stream
from faceaug.errors import FaceAugError, RefusedError
from faceaug.data.folder import list_folder
from faceaug.storage.journal import Move, open_journal

TARGETS = ["a", "b", "c", "d", "e", "f", "A", "x", "y", "more/a", "more/z", None, None]
MOST = 12  # changes on their way at once that are tried in every combination; beyond, each alone and each missing


@dataclass(frozen=True, slots=True)
class Change:
    """One change of names in a folder: (name, what it names after it), all or nothing. What is None names nothing."""

    folders: frozenset[str]
    names: tuple[tuple[str, object], ...]


@dataclass(slots=True)
class Record:
    """What a disk did: names that are safe, changes that are not, the journal and how much of it is safe."""

    safe: dict[str, object] = field(default_factory=dict)
    waiting: list[Change] = field(default_factory=list)
    journal: bytes = b""
    sure: int = 0

    def states(self) -> Iterator[tuple[dict[str, object], bytes]]:
        """Every state that a power cut now may leave: (names, journal)."""
        for kept in _subsets(len(self.waiting)):
            names = dict(self.safe)
            for position in kept:
                names |= dict(self.waiting[position].names)
            for length in _lengths(self.journal, self.sure):
                yield {name: what for name, what in names.items() if what is not None}, self.journal[:length]


def _subsets(n: int) -> Iterator[tuple[int, ...]]:
    if n <= MOST:
        yield from itertools.chain.from_iterable(itertools.combinations(range(n), k) for k in range(n + 1))
        return
    for k in range(n):
        yield (k,)
        yield tuple(i for i in range(n) if i != k)
        yield tuple(range(k))


def _lengths(journal: bytes, sure: int) -> list[int]:
    """What may be left of the journal: all, nothing new, whole lines of the new, and one torn line."""
    new = journal[sure:]
    ends = [sure + at + 1 for at, byte in enumerate(new) if byte == 10]
    torn = [sure + len(new) // 2] if new else []
    return sorted({sure, len(journal), *ends[:2], *torn})


class RecordingDisk(Disk):
    """The real disk, with a note of what a power cut would leave; calls ``on_cut`` before and after every change."""

    def __init__(self, root: Path, record: Record, on_cut: Callable[[], None], *, links: bool) -> None:
        self.root, self.record, self.on_cut, self.links = root, record, on_cut, links

    def append(self, descriptor: int, data: bytes) -> None:
        """Written, and not safe yet."""
        super().append(descriptor, data)
        self.record.journal += data
        self.on_cut()

    def sync(self, descriptor: int) -> None:
        """Now the journal is safe."""
        super().sync(descriptor)
        self.record.sure = len(self.record.journal)
        self.on_cut()

    def sync_folder(self, path: Path) -> None:
        """Now the names in a folder are safe."""
        super().sync_folder(path)
        folder = self._name(path)
        left = []
        for change in self.record.waiting:
            if folder in change.folders:  # of a rename between two folders, either wait is enough for both
                self.record.safe |= dict(change.names)
            else:
                left.append(change)
        self.record.waiting = left
        if (self.root / ".faceaug" / "journal.jsonl").exists() and folder == ".faceaug":
            self.record.safe["journal"] = "journal"
        self.on_cut()

    def make_folder(self, path: Path) -> None:
        """A name for a folder."""
        super().make_folder(path)
        self._note((path, "folder"))

    def rename_folder(self, start: Path, end: Path) -> None:
        """Another name for a folder."""
        super().rename_folder(start, end)
        self._note((start, None), (end, "folder"))

    def link(self, start: Path, end: Path) -> None:
        """A further name for a file."""
        if not self.links:
            raise OSError(errno.EPERM, "no hard links here")
        super().link(start, end)
        self._note((end, end.lstat().st_ino))

    def unlink(self, path: Path) -> None:
        """A name less."""
        super().unlink(path)
        self._note((path, None))

    def rename(self, start: Path, end: Path) -> None:
        """Another name for a file, in one piece."""
        super().rename(start, end)
        self._note((start, None), (end, end.lstat().st_ino))

    def _note(self, *names: tuple[Path, object]) -> None:
        change = Change(frozenset(self._name(p.parent) for p, _ in names), tuple((self._name(p), w) for p, w in names))
        self.record.waiting.append(change)
        self.on_cut()

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))


class PowerCuts:
    """One plan, every cut.

    Attributes:
        states: how many different states were built and opened again.
        failures: what went wrong, a line each.
    """

    def __init__(self, base: Path, targets: dict[str, str | None], group: int, *, links: bool) -> None:
        self.base, self.targets, self.group, self.links = base, targets, group, links
        self.pool = {name: base / "pool" / str(i) for i, name in enumerate(sorted(targets))}
        self.states, self.failures = 0, []  # type: int, list[str]
        self.seen: set[tuple[object, ...]] = set()
        (base / "pool").mkdir()
        for name, path in self.pool.items():
            path.write_text(name)
        self.by_inode = {path.stat().st_ino: path for path in self.pool.values()}
        self.what = ", ".join(f"{a} to {b}" for a, b in targets.items()) + f" in groups of {group}"

    def run(self) -> None:
        """Clean and undo with a recording disk; try every state on the way."""
        root = self.base / "folder"
        names: dict[str, object] = {name: path.stat().st_ino for name, path in self.pool.items()}
        names |= {"more": "folder"}
        self._build(root, names, None)
        record = Record(safe=names)
        moments: list[tuple[dict[str, object], bytes]] = []

        def cut() -> None:
            for state in record.states():
                key = (tuple(sorted(state[0].items(), key=lambda item: item[0])), state[1])
                if key not in self.seen:
                    self.seen.add(key)
                    moments.append(state)

        disk = RecordingDisk(root, record, cut, links=self.links)
        with mock.patch.object(faceaug.storage.journal, "GROUP", self.group):
            with open_journal(root, beside=False, purpose="test", disk=disk) as journal:
                journal.apply(self._plan(root))
            with open_journal(root, beside=False, purpose="test", disk=disk) as journal, suppress(RefusedError):
                journal.undo()
            for place, text in moments:
                self._try(place, text)

    def _plan(self, root: Path) -> list[Move]:
        known = {file.name: file for file in list_folder(root).files}
        return [Move(known[name], target, "test") for name, target in self.targets.items()]

    def _try(self, names: dict[str, object], journal: bytes) -> None:
        self.states += 1
        root = self.base / "cut"
        self._build(root, names, journal if "journal" in names else None)
        disk = Disk()
        if not self.links:
            disk = RecordingDisk(root, Record(), lambda: None, links=False)
        try:
            self._open_again(root, disk)
        except (FaceAugError, AssertionError, OSError, KeyError) as error:
            shown = sorted(name for name, what in names.items() if isinstance(what, int))
            self.failures.append(f"{self.what}: with {shown} and {journal.count(10)} lines: {error}")

    def _open_again(self, root: Path, disk: Disk) -> None:
        self._expect(root, "after the cut", exact=False)
        with open_journal(root, beside=False, purpose="test", disk=disk):
            pass
        self._expect(root, "after recovery", exact=True)
        with open_journal(root, beside=False, purpose="test", disk=disk) as journal, suppress(RefusedError):
            report = journal.undo(all_runs=True)
            if report.left:
                raise AssertionError(f"undo left {report.left}")
        found = self._expect(root, "after undo", exact=True)
        if sorted(found) != sorted(self.targets):
            raise AssertionError(f"undo gave {sorted(found)}")
        for name, path in found.items():
            if path.read_text() != name:
                raise AssertionError(f"undo gave {name} the content of {path.read_text()}")

    def _expect(self, root: Path, when: str, *, exact: bool) -> dict[str, Path]:
        """Every file has a name; after recovery, one name."""
        ours = root / ".faceaug"
        found = {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file() and p.parent != ours}
        texts = sorted(path.read_text() for path in found.values())
        if (texts if exact else sorted(set(texts))) != sorted(self.targets):
            raise AssertionError(f"{when} there are {sorted(found)}")
        return found

    def _build(self, root: Path, names: dict[str, object], journal: bytes | None) -> None:
        """A folder in a given state, of the very same files: the journal knows them by their inodes."""
        if root.exists():
            shutil.rmtree(root)
        root.mkdir()
        for name in sorted(names, key=lambda name: name.count("/")):
            what, path = names[name], root / name
            if name == "journal" or not path.parent.is_dir():
                continue  # a name in a folder that has none itself is lost with it
            if what == "folder":
                path.mkdir()
            else:
                os.link(self.by_inode[int(str(what))], path)
        if journal is not None and (root / ".faceaug").is_dir():
            (root / ".faceaug" / "journal.jsonl").write_bytes(journal)


def plans(n: int, seed: int) -> Iterator[tuple[dict[str, str | None], int, bool]]:
    """Fixed ones that have gone wrong elsewhere (chains, swaps, cases), then random ones: (targets, group, links)."""
    fixed: list[dict[str, str | None]] = [
        {"a": None}, {"a": "b"}, {"a": "b", "b": "c"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"},
        {"a": "A"}, {"a": None, "b": "a"}, {"a": None, "b": None, "c": None, "d": "a", "e": "b", "f": "c"},
    ]  # fmt: skip
    for number in range(n):
        rng = stream(seed, index=number, slot="reliability/power")
        targets = dict(fixed[number]) if number < len(fixed) else _targets(rng)
        yield targets, int(rng.choice([1, 2, 256])), bool(rng.integers(0, 4))


def _targets(rng: Any) -> dict[str, str | None]:
    chosen: dict[str, str | None] = {}
    for name in "abcdef"[: int(rng.integers(1, 7))]:
        target = TARGETS[int(rng.integers(0, len(TARGETS)))]
        taken = {found for found in chosen.values() if found is not None}
        chosen[name] = None if target in taken or target == name else target
    return chosen


def measure(n: int, seed: int) -> dict[str, Any]:
    """Try ``n`` plans."""
    states, failures = 0, []
    for targets, group, links in plans(n, seed):
        with tempfile.TemporaryDirectory() as base:
            cuts = PowerCuts(Path(base), targets, group, links=links)
            cuts.run()
        states += cuts.states
        failures += cuts.failures
    return {
        "figure": "states after a power cut from which a file or its name does not come back",
        "plans": n,
        "n": states,
        "failures": len(failures),
        "failed": failures[:50],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=40, help="plans of at most six moves")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    result = measure(options.plans, options.seed)
    result |= {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)}
    publish("power", result, f"python -m benchmarks.reliability.power --plans {options.plans} --seed {options.seed}")


if __name__ == "__main__":
    main()
