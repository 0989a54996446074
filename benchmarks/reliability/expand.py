"""Kill `faceaug expand` with SIGKILL at N random moments and go on after each. Prints one JSON line.

    python -m benchmarks.reliability.expand CELEBA64 --n 20

Run it from the root of the repository. A run that nobody stops is the reference. Then the same command is killed, with
all its processes, at random moments of the time the reference took, started again, killed again, until it has been
killed N times; then it may finish. The folder must be the reference's to the byte, and no file may be left over.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.zoo import publish

from faceaug.draws import stream


def command(folder: Path, out: Path, options: list[str]) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "faceaug", "expand", str(folder), "--out", str(out), "-q", *options]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_for(words: list[str], seconds: float | None) -> int:
    """Run a command, or kill it and its children after a time; its exit code."""
    process = subprocess.Popen(words, env=environment(), start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def measure(folder: Path, n: int, seed: int, options: list[str], work: Path) -> dict[str, Any]:
    """Reference, kills, comparison."""
    began = time.monotonic()
    code = run_for(command(folder, work / "reference", options), None)
    if code:
        raise SystemExit(f"the run without a kill failed: exit {code}")
    took = time.monotonic() - began
    wanted = digests(work / "reference")
    draw = stream(seed, slot="benchmark/expand")
    kills, finished, failures, moments, trial = 0, 0, [], [], 0
    while kills < n:
        out, trial = work / f"out{trial}", trial + 1
        while kills < n:
            moments.append(float(draw.uniform(0.3, took)))
            code = run_for(command(folder, out, options), moments[-1])
            if code != -signal.SIGKILL:
                break
            kills += 1
            if (out / "dataset.json").is_file() and b'"finished": true' in (out / "dataset.json").read_bytes():
                code = 0  # killed in the last moment, when all was done
                break
        if code == -signal.SIGKILL:
            code = run_for(command(folder, out, options), None)
        finished += 1
        found = digests(out)
        if code or found != wanted:
            unlike = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            failures.append(f"folder {trial}: exit {code}, {len(unlike)} files unlike: {unlike[:3]}")
    return {
        "figure": "folders of faceaug expand that differ after kills at random moments", "n": kills,
        "failures": len(failures), "failed": failures, "files": len(wanted), "folders": finished,
        "reference_s": round(took, 1), "options": options,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    words = ["--partition", "all", "--workers", "2"]
    with tempfile.TemporaryDirectory() as work:
        result = measure(options.folder.resolve(), options.n, options.seed, words, Path(work)) | {"seed": options.seed}
    publish("expand", result, f"python -m benchmarks.reliability.expand CELEBA64 --n {options.n} --seed {options.seed}")


if __name__ == "__main__":
    main()
