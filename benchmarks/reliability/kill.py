"""Kill `faceaug clean`, or let a call of the system fail, at N distinct calls; run again; undo. Prints one JSON line.

    python -m benchmarks.reliability.kill --n 200 --fault KILL --fault ENOSPC --fault EIO

Run it from the root of the repository; it needs strace(1). A first run without a fault lists the calls. Every call
that can change the disk is taken, then others from the moment the folder is first looked at, evenly spaced. After each
fault no file may be missing; a second clean must end where a clean without a fault ends; undo must give the folder
back: names, bytes, modes, times. A run in which the fault did not happen counts as a failure of the benchmark.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.reliability.zoo import build_zoo, contents, differences, publish, tree

from faceaug.clean import CleanPolicy, clean_folder, undo_clean

CHANGING = ("mkdir", "link", "linkat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "rmdir", "fsync")
CHANGING += ("fdatasync", "write", "pwrite64", "utimensat", "ftruncate", "fallocate")
# Not reported by the kernel as failing, or made by the interpreter for itself.
NEVER_FAILING = {"mmap", "munmap", "mprotect", "brk", "futex", "getpid", "rt_sigaction", "lseek", "ioctl", "mremap"}
NEVER_FAILING |= {"exit_group", "getrandom", "madvise", "sched_getaffinity", "clock_nanosleep", "fcntl", "close"}
KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
SHARE = CleanPolicy(max_remove=0.5)
_CALL = re.compile(r"\d+ +(?P<name>\w+)\((?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Call:
    """The ``ordinal``-th call of a name since the process began, as strace(1) counts them."""

    name: str
    ordinal: int
    changing: bool
    here: bool
    talking: bool
    lasting: bool = False  # the fault stays: every later call of that name fails too


def command(verb: str, folder: Path) -> list[str]:
    share = ["--max-remove", "0.5"] if verb == "clean" else ["--all"]
    return [sys.executable, "-m", "faceaug", verb, str(folder), *share]


def environment() -> dict[str, str]:
    path = os.pathsep.join(path for path in sys.path if path)
    fixed = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    return os.environ | fixed | {"PYTHONPATH": path}


def trace(verb: str, folder: Path, work: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the command under strace; what it said, and the log."""
    log = work / "strace.log"
    done = subprocess.run(
        ["strace", "-f", "-y", "-qq", "-s", "256", "-o", str(log), *options, *command(verb, folder)],
        env=environment(), capture_output=True, check=False, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    return done, log.read_text("utf-8", "replace")


def calls_of(log: str, folder: Path) -> list[Call]:
    """The calls of a run from the moment it first names the folder."""
    count: Counter[str] = Counter()
    found: list[Call] = []
    began = False
    for match in map(_CALL.match, log.splitlines()):
        if match is None:
            continue
        name, rest = match["name"], match["rest"]
        count[name] += 1
        here = str(folder) in rest
        began = began or (here and name != "execve")
        changing = name in CHANGING or (name == "openat" and "O_CREAT" in rest)
        if began:
            talking = name == "write" and rest.startswith(("1<", "2<"))
            found.append(Call(name, count[name], changing, here, talking))
    return found


def choose(calls: list[Call], n: int, fault: str) -> list[Call]:
    """Every call that changes the disk, and others evenly spaced; of one kind of error those it can happen to.

    Of the many writes to the cache of signatures some are taken. Where all these are fewer than ``n``, they are taken a
    second time with an error that lasts, as on a disk that stays full.
    """
    changing = [call for call in calls if call.changing and call.name != "pwrite64"]
    cache = _spaced([call for call in calls if call.name == "pwrite64"], n // 5)
    others = [call for call in calls if not call.changing]
    if fault == "EIO":
        others = [call for call in others if call.here and call.name not in NEVER_FAILING]
    elif fault != "KILL":
        others = []
    chosen = _spaced([*changing, *cache], n)
    chosen += _spaced(others, n - len(chosen))
    # A lasting error in write would take the error line itself, one in openat the modules of the interpreter.
    enduring = [call for call in changing if call.name not in {"write", "openat"} and fault != "KILL"]
    lasting = [replace(call, lasting=True) for call in enduring]
    return chosen + _spaced(lasting, n - len(chosen))


def _spaced(calls: list[Call], n: int) -> list[Call]:
    if n <= 0:
        return []
    return calls if len(calls) <= n else [calls[i * len(calls) // n] for i in range(n)]


class Trial:
    """One verb under one kind of fault.

    Attributes:
        failures: what went wrong, a line each.
        exits: exit code -> how many runs ended with it.
    """

    def __init__(self, verb: str, fault: str, zoo: Path, work: Path) -> None:
        self.verb, self.fault, self.work = verb, fault, work
        self.template = copy(zoo, work / "template")
        self.before, self.everything = tree(zoo), contents(zoo)
        reference = copy(zoo, work / "reference")
        clean_folder(reference, SHARE)
        self.cleaned = tree(reference)
        if verb == "undo":
            self.template = reference
        self.failures: list[str] = []
        self.exits: Counter[int] = Counter()

    def calls(self, n: int) -> list[Call]:
        """The calls to disturb, from a run without a fault."""
        folder = copy(self.template, self.work / "folder")
        done, log = trace(self.verb, folder, self.work)
        if done.returncode != 0:
            raise SystemExit(f"the run without a fault failed: {done.stderr}")
        return choose(calls_of(log, folder), n, self.fault)

    def run(self, call: Call) -> None:
        """One fault, and all that has to hold after it."""
        lasting = "+" if call.lasting else ""
        how = "signal=KILL" if self.fault == "KILL" else f"error={self.fault}"
        inject = [f"--trace={call.name}", f"--inject={call.name}:{how}:when={call.ordinal}{lasting}"]
        for _ in range(3):  # the last calls of a name are not always reached: their number varies a little
            folder = copy(self.template, self.work / "folder")
            done, log = trace(self.verb, folder, self.work, *inject)
            if "(INJECTED)" in log or done.returncode in KILLED:
                break
        for problem in [*self._ending(call, done, log), *self._consequences(folder)]:
            self.failures.append(f"{self.verb} {self.fault} {call.name} {call.ordinal}{lasting}: {problem}")

    def _ending(self, call: Call, done: subprocess.CompletedProcess[str], log: str) -> Iterator[str]:
        # Told to stop: 3, and 1 where the disk is broken or all is done and only the words had no place to go.
        self.exits[done.returncode] += 1
        if self.fault == "KILL":
            if done.returncode not in KILLED:
                yield f"the kill did not happen (exit {done.returncode})"
            return
        if "(INJECTED)" not in log:
            yield "the error did not happen"
        said = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
        if "Traceback" in done.stderr or "unexpected" in done.stderr:
            yield f"said {said[-1] if said else ''!r}"
        if done.returncode not in {0, 1, 3}:
            yield f"exit {done.returncode}"
        elif done.returncode and (len(said) != 1 or not said[0].startswith("faceaug: ")):
            yield f"{len(said)} lines instead of one: {said[:3]}"
        elif self.fault in {"ENOSPC", "EDQUOT", "EROFS"} and done.returncode == 1 and not call.talking:
            yield f"exit 1 and not 3: {said[0]}"

    def _consequences(self, folder: Path) -> Iterator[str]:
        if contents(folder) != self.everything:
            yield "LOST"
        if self.verb == "clean":
            clean_folder(folder, SHARE)
            if contents(folder) != self.everything:
                yield "LOST by the second run"
            if unlike := differences(untimed(self.cleaned), untimed(tree(folder))):
                yield f"the second run ended elsewhere: {unlike[:3]}"
        runs = (folder / ".faceaug" / "journal.jsonl").read_bytes() if (folder / ".faceaug").exists() else b""
        if b'"undone"' not in runs:
            undo_clean(folder, all_runs=True)
        if contents(folder) != self.everything:
            yield "LOST by undo"
        if unlike := differences(self.before, tree(folder)):
            yield f"undo left {unlike[:3]} unlike"


def untimed(found: dict[str, tuple[Any, ...]]) -> dict[str, tuple[object, ...]]:
    """A tree without the times of its folders, which change with every move."""
    return {name: (v[0], 0 if stat.S_ISDIR(v[0]) else v[1], v[2]) for name, v in found.items()}


def copy(source: Path, target: Path) -> Path:
    """A copy with times, modes, hard links, links and pipes."""
    if target.exists():
        shutil.rmtree(target)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def measure(n: int, seed: int, faults: list[str], verbs: list[str], work: Path) -> dict[str, Any]:
    zoo = build_zoo(work / "zoo", seed)
    entries = sum(not path.is_dir() or path.is_symlink() for path in zoo.rglob("*"))
    parts: dict[str, Any] = {}
    failures: list[str] = []
    for verb in verbs:
        for fault in faults:
            began = time.monotonic()
            trial = Trial(verb, fault, zoo, work)
            chosen = trial.calls(n)
            for call in chosen:
                trial.run(call)
            failures += trial.failures
            parts[f"{verb} {fault}"] = {
                "n": len(chosen),
                "failures": len(trial.failures),
                "lasting": sum(call.lasting for call in chosen),
                "calls": dict(sorted(Counter(call.name for call in chosen).items())),
                "exit codes": {str(code): count for code, count in sorted(trial.exits.items())},
                "seconds": round(time.monotonic() - began, 1),
            }
    return {
        "figure": "files lost, trees not given back and unclear endings over faults at distinct system calls",
        "files": entries,
        "n": sum(part["n"] for part in parts.values()),
        "failures": len(failures),
        "failed": failures[:50],
        "runs": parts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="faults of each kind for each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", action="append", choices=["KILL", "ENOSPC", "EIO", "EDQUOT", "EROFS"])
    parser.add_argument("--verb", action="append", choices=["clean", "undo"])
    parser.add_argument("--name", default="kill", help="of the result file")
    options = parser.parse_args()
    faults, verbs = options.fault or ["KILL", "ENOSPC", "EIO"], options.verb or ["clean"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        result = measure(options.n, options.seed, faults, verbs, Path(work))
    said = " ".join([f"--n {options.n} --seed {options.seed}", *(f"--fault {fault}" for fault in faults)])
    said += "".join(f" --verb {verb}" for verb in verbs) + f" --name {options.name}"
    result |= {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)}
    publish(options.name, result, f"python -m benchmarks.reliability.kill {said}")


if __name__ == "__main__":
    main()
