"""The engine of a cluster: what is lost with it, what it costs. See ``scale.py``.

- ``kills``: signatures of PHOTOS on a cluster of three nodes of one processor; then again while a worker is killed, and
  again while the raylet of a node is: equal results, and seconds longer.
- ``head``: a clean in place of made pictures that is killed in the middle, with its Ray; how many the next run reads
  again.
- ``tasks``: a million tasks that do nothing; how much the memory of this process grows from the first 50,000 on.
- ``rate``: pictures per processor second, Ray's own processes included, beside faceaug's processes; in turns.
- ``offline``: ``faceaug clean PHOTOS --dry-run --on ray`` in a network namespace that has a loopback and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from machine import facts

from faceaug.clean import clean_folder
from faceaug.clean.signatures import read_signature
from faceaug.cluster import ClusterExecutor, open_ray
from faceaug.data.image import encode_png
from faceaug.draws import stream
from faceaug.executor import ProcessExecutor

TASKS = 1_000_000
SETTLED = 50_000  # tasks until everything is loaded
MADE = 6_000  # pictures of the killed clean
KILLED_AT = 4_500
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}
TICKS = os.sysconf("SC_CLK_TCK")
KILLED = """
import os, signal, sys
from faceaug.clean import clean_folder
from faceaug.cluster import open_ray

def stop(phase, done, total, words):
    if phase == "reading":
        open(sys.argv[2], "w").write(str(done))
        if done >= int(sys.argv[3]):
            os.killpg(0, signal.SIGKILL)

if __name__ == "__main__":
    with open_ray(workers=2) as executor:
        clean_folder(sys.argv[1], executor=executor, progress=stop)
"""
LOOPBACK = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
    fcntl.ioctl(handle, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--tests", nargs="+", choices=list(TESTS), default=list(TESTS))
    parser.add_argument("--most", type=int, default=2_500, help="photos to use")
    given = parser.parse_args(arguments)
    paths = sorted(str(path) for path in given.photos.resolve().rglob("*.jpg"))[: given.most]
    found = {name: TESTS[name](paths, given.photos) for name in given.tests}
    print(json.dumps({"benchmark": "scale engine", "photos": len(paths)} | found | facts("faceaug", "ray")))


def kills(paths: list[str], _: Path) -> dict[str, Any]:
    """Lose a worker, then a node."""
    expected = list(map(read_signature, paths))
    found: dict[str, Any] = {}
    with three_nodes() as (nodes, executor):
        list(executor.map(read_signature, paths[:200]))  # every worker has loaded everything
        cases: dict[str, Callable[[], None]] = {
            "nothing": lambda: None,
            "worker": kill_worker,
            "raylet": lambda: os.kill(raylet_of(nodes.list_all_nodes()[-1]), signal.SIGKILL),
        }
        for name, kill in cases.items():
            timer = threading.Timer(1.0, kill)
            timer.start()
            began = time.monotonic()
            same = list(executor.map(read_signature, paths, chunk=16)) == expected
            found[name] = {"seconds": round(time.monotonic() - began, 1), "equal": same}
            timer.join()
        found["notes"] = executor.notes
    for name in ("worker", "raylet"):
        found[name]["longer"] = round(found[name]["seconds"] - found["nothing"]["seconds"], 1)
    return found


@contextmanager
def three_nodes() -> Iterator[tuple[Any, ClusterExecutor]]:
    """A cluster of three nodes on this machine."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        for _ in range(2):
            nodes.add_node(wait=False, **NODE)
        nodes.wait_for_nodes()
        with open_ray(nodes.address) as executor:
            yield nodes, executor
    finally:
        nodes.shutdown()


def kill_worker() -> None:
    """Kill a worker of ours that is at work."""
    for pid in below(os.getpid()):
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
        if name.startswith(b"ray::_run"):
            os.kill(pid, signal.SIGKILL)
            return
    raise RuntimeError("no worker is at work")


def raylet_of(node: Any) -> int:
    """The process of a node's raylet."""
    return int(node.all_processes["raylet"][0].process.pid)


def head(_: list[str], __: Path) -> dict[str, Any]:
    """Kill a clean with everything that it has started, and clean again."""
    with tempfile.TemporaryDirectory() as place:
        folder, note = Path(place, "faces"), Path(place, "done")
        folder.mkdir()
        for k in range(MADE):
            image = stream(k, slot="scale").integers(0, 256, (24, 24, 3), "u1")
            (folder / f"{k:06d}.png").write_bytes(encode_png(image))
        command = [sys.executable, "-c", KILLED, str(folder), str(note), str(KILLED_AT)]
        subprocess.run(command, check=False, start_new_session=True, stderr=subprocess.DEVNULL)
        end_left_over()
        read = int(note.read_text())
        started: list[int] = []

        def watch(phase: str, done: int, *_: object) -> None:
            if phase == "reading":
                started.append(done)

        report = clean_folder(folder, dry_run=True, workers=1, progress=watch)
        return {"read_when_killed": read, "read_again": read - started[0], "pictures": report.original}


def end_left_over() -> None:
    """Wait for the processes of a Ray whose driver was killed: they notice by themselves."""
    for _ in range(60):
        names = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        if not any(b"--session-name" in name and b"127.0.0.1" in name for name in names):
            return
        time.sleep(0.5)


def tasks(_: list[str], __: Path) -> dict[str, Any]:
    """Run very many tasks."""
    with open_ray(workers=2) as executor:
        settled = most = 0
        began = time.monotonic()
        for done, _result in enumerate(executor.map(abs, range(TASKS))):
            if done == SETTLED:
                settled = resident()
            if done % SETTLED == 0:
                most = max(most, resident())
        seconds = time.monotonic() - began
        return {
            "tasks": TASKS,
            "head_mb": round(settled / 1e6),
            "growth_mb": round((max(most, resident()) - settled) / 1e6, 1),
            "tasks_per_second": round(TASKS / seconds),
        }


def rate(paths: list[str], _: Path) -> dict[str, Any]:
    """Pictures per processor second of both executors, in turns."""
    found: dict[str, list[float]] = {"processes": [], "ray": []}
    walls: dict[str, list[float]] = {"processes": [], "ray": []}
    with ProcessExecutor(2) as local, open_ray(workers=2) as there:
        executors: dict[str, Any] = {"processes": local, "ray": there}
        for executor in executors.values():
            list(executor.map(read_signature, paths[:400]))
        for _round in range(3):
            for name, executor in executors.items():
                began, used = time.monotonic(), processor_seconds()
                list(executor.map(read_signature, paths))
                walls[name].append(time.monotonic() - began)
                found[name].append(len(paths) / (processor_seconds() - used))
    rates = {name: round(median(values)) for name, values in found.items()}
    seconds = {name: round(median(values), 1) for name, values in walls.items()}
    return {"per_processor_second": rates, "share": round(rates["ray"] / rates["processes"], 3), "seconds": seconds}


def offline(_: list[str], photos: Path) -> dict[str, Any]:
    """Clean in a process without any network."""
    clean = [sys.executable, "-m", "faceaug", "clean", str(photos.resolve()), "--dry-run", "--json", "--on", "ray"]
    program = f"{LOOPBACK}\nimport os, sys\nos.execv(sys.executable, {clean!r})"
    began = time.monotonic()
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", program], capture_output=True, text=True, check=False)
    plain = subprocess.run(clean[:-2], capture_output=True, text=True, check=False)
    equal = done.returncode == 0 and json.loads(done.stdout) == json.loads(plain.stdout)
    return {"exit_code": done.returncode, "equal": equal, "seconds": round(time.monotonic() - began, 1)} | (
        {} if equal else {"stderr": done.stderr[-500:]}
    )


def below(pid: int) -> list[int]:
    """The processes below one."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int(_stat(int(path.name))[1]), []).append(int(path.name))
        except OSError:  # ended meanwhile
            continue
    found, left = [], [pid]
    while left:
        mine = children.get(left.pop(), [])
        found += mine
        left += mine
    return found


def processor_seconds() -> float:
    """Of this process and all below it, ended ones that were waited for included."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in [os.getpid(), *below(os.getpid())]) / TICKS


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


TESTS: dict[str, Callable[[list[str], Path], dict[str, Any]]] = {
    "kills": kills, "head": head, "tasks": tasks, "rate": rate, "offline": offline,
}  # fmt: skip

if __name__ == "__main__":
    if shutil.which("unshare") is None:
        TESTS.pop("offline")
    main(sys.argv[1:])
