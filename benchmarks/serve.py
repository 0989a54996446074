"""Faces per second and waiting times of `faceaug serve` beside a straightforward server. Prints one JSON line.

    python benchmarks/serve.py --peer PYTHON     an interpreter with fastapi, uvicorn and what faceaug needs

The peer (benchmarks/serve_peer.py) is a FastAPI application behind uvicorn that loads the same generator and answers
one face a request. All servers run all the time, each in one process, and are asked in turns, a moment each, so that
what else the machine does hits all alike; the order changes with every round. A client asks, waits for the whole answer
and asks again on the same connection; where it wants 16 faces, the peer is asked 16 times. A ratio is the median over
rounds of ours over the peer's within one round. Processor time of the server process per face is given beside it: it
depends less on the neighbours. Then cold starts, from starting the process to the first face in hand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from machine import facts

HERE = Path(__file__).resolve().parent
CLIENTS, WANTED = (1, 8, 64), (1, 16)
MODEL = "dcgan-32"  # of serve_peer.py too
VERSIONS = (
    "import json, sys; from importlib.metadata import version; print(json.dumps({n: version(n) for n in sys.argv[1:]}))"
)
LONGEST_START = 600.0  # seconds
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on a port, and how to ask it for n faces: requests that have to be made for them."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def requests(self, n: int) -> list[str]:
        """Paths to ask for, one after the other, to have n faces."""
        return ["/face"] * n if self.name == "peer" else [f"/api/faces?n={n}"]

    def cpu_seconds(self) -> float:
        """Processor time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Load:
    """What one moment of load found: seconds a client waited for its faces, and answers that were not faces."""

    waits: list[float] = field(default_factory=list)
    wrong: int = 0


class _Client(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, requests: list[str], port: int, until: float, load: Load) -> None:
        self._messages = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode() for path in requests]
        self._until, self._load = until, load
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._begin()

    def _begin(self) -> None:
        self._began, self._left = time.perf_counter(), len(self._messages)
        self._ask()

    def _ask(self) -> None:
        self._held, self._need = b"", 0
        self._transport.write(self._messages[-self._left])

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._need:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._held[:end].lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self._need = end + 4 + length
        if len(self._held) >= self._need:
            self._answered()

    def _answered(self) -> None:
        if not self._held.startswith(b"HTTP/1.1 200") or b"\r\n\r\n\x89PNG" not in self._held:
            self._load.wrong += 1
        self._left -= 1
        if self._left:
            self._ask()
            return
        now = time.perf_counter()
        self._load.waits.append(now - self._began)
        if now < self._until:
            self._begin()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._load.wrong += 1
        if not self.done.done():
            self.done.set_result(None)


async def load_for(server: Server, clients: int, n: int, seconds: float) -> Load:
    load, loop = Load(), asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    made = [
        await loop.create_connection(partial(_Client, server.requests(n), server.port, until, load), *server.address)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    return load


def moment(server: Server, clients: int, n: int, seconds: float) -> dict[str, Any]:
    """One server under load for a moment."""
    cpu, began = server.cpu_seconds(), time.perf_counter()
    load = asyncio.run(load_for(server, clients, n, seconds))
    taken, faces = time.perf_counter() - began, n * len(load.waits)
    cpu = server.cpu_seconds() - cpu
    return {
        "faces_per_s": faces / taken,
        "cpu_ms_per_face": 1000 * cpu / faces,
        "waits": load.waits,
        "wrong": load.wrong,
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def get(port: int, path: str) -> bytes:
    with NO_PROXY.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        data: bytes = answer.read()
    return data


def first(process: subprocess.Popen[bytes], port: int, path: str) -> bytes:
    """The first answer of a server that is starting."""
    until = time.monotonic() + LONGEST_START
    while time.monotonic() < until and process.poll() is None:
        try:
            return get(port, path)
        except OSError:
            time.sleep(0.02)
    status = process.poll()
    raise SystemExit(f"{process.args!r}: no answer, exit status {status}; is everything installed that it needs?")


def command(kind: str, python: str, port: int) -> list[str]:
    ours = ["-m", "faceaug", "serve", "--model", MODEL, "--port", str(port), "--rate", "0"]
    arguments = {
        "ours": ours,
        "ours bf16": [*ours, "--precision", "bf16"],
        "peer": ["-m", "uvicorn", "serve_peer:app", "--port", str(port), "--log-level", "warning", "--no-access-log"],
        "function": ["-m", "functions_framework", "--target", "generate", "--source", "main.py", "--host", "127.0.0.1",
                     "--port", str(port)],
    }  # fmt: skip
    return [python, *arguments[kind]]


@contextmanager
def running(kind: str, python: str, path: str) -> Iterator[Server]:
    """A server in a process of its own, ready."""
    place = HERE.parent / "examples" / "cloud_function" if kind == "function" else HERE
    port = free_port()
    # The peer's interpreter must not see packages of this one.
    paths = [str(HERE.parent / "src"), str(HERE), *([] if kind == "peer" else [os.environ.get("PYTHONPATH", "")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "FACEAUG_MODEL": MODEL}
    quiet = subprocess.DEVNULL
    # A session each: systems that share the processor out by session then give all servers alike, however many threads
    # they have.
    process = subprocess.Popen(
        command(kind, python, port), cwd=place, env=environment, stdout=quiet, start_new_session=True
    )
    try:
        first(process, port, path)
        yield Server(kind, process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def cold(kind: str, path: str, times: int) -> dict[str, Any]:
    """Seconds from starting the process to the first face in hand; and the processor time spent in it."""
    taken, cpu = [], []
    for _ in range(times):
        began = time.perf_counter()
        with running(kind, sys.executable, path) as server:
            taken.append(time.perf_counter() - began)
            cpu.append(server.cpu_seconds())
    return {"seconds": spread(taken), "cpu_seconds": spread(cpu), "times": times}


def summary(moments: list[dict[str, Any]]) -> dict[str, Any]:
    waits = sorted(wait for found in moments for wait in found["waits"])
    return {
        "faces_per_s": round(statistics.median(found["faces_per_s"] for found in moments), 1),
        "cpu_ms_per_face": round(statistics.median(found["cpu_ms_per_face"] for found in moments), 3),
        "p50_ms": round(1000 * waits[len(waits) // 2], 1), "p99_ms": round(1000 * waits[int(0.99 * len(waits))], 1),
        "answers": len(waits), "wrong": sum(found["wrong"] for found in moments),
    }  # fmt: skip


def spread(ratios: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(ratios), 2), "min": round(min(ratios), 2), "max": round(max(ratios), 2),
    }  # fmt: skip


def measure(peer: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    settings = [(clients, n) for n in WANTED for clients in CLIENTS]
    found: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(running(name, sys.executable, "/api/faces")) for name in ("ours", "ours bf16")]
        servers.append(stack.enter_context(running("peer", peer, "/face")))
        for server in servers:
            moment(server, 8, 1, seconds)  # warm
        for turn in range(rounds):
            for clients, n in settings:
                for k in range(len(servers)):
                    server = servers[(turn + k) % len(servers)]
                    found.setdefault((clients, n, server.name), []).append(moment(server, clients, n, seconds))
    return [
        {"clients": clients, "n": n} | beside({server.name: found[clients, n, server.name] for server in servers})
        for clients, n in settings
    ]


def beside(moments: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """All servers at one setting, and ours over the peer's."""
    others = moments["peer"]
    ratios = {
        name: {
            "throughput": spread([a["faces_per_s"] / b["faces_per_s"] for a, b in zip(mine, others, strict=True)]),
            "per_cpu_second": spread(
                [b["cpu_ms_per_face"] / a["cpu_ms_per_face"] for a, b in zip(mine, others, strict=True)]
            ),
        }
        for name, mine in moments.items()
        if name != "peer"
    }
    return {"servers": {name: summary(found) for name, found in moments.items()}, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of load at a time")
    parser.add_argument("--starts", type=int, default=5, help="of each kind, 0 for none")
    parser.add_argument("--note", default="", help="what else the machine did; kept beside its processor")
    options = parser.parse_args()
    names = ["fastapi", "starlette", "uvicorn", "uvloop", "httptools", "torch", "pillow"]
    versions = subprocess.run([options.peer, "-c", VERSIONS, *names], capture_output=True, check=True, text=True)
    result = {
        "figure": "faces per second at so many clients, ours over the peer's: above 1 ours is faster",
        "rounds": options.rounds, "seconds": options.seconds,
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "load": measure(options.peer, options.rounds, options.seconds),
        "cold_start": {
            name: cold(kind, path, options.starts)
            for name, kind, path in (("page", "ours", "/api/faces"), ("function", "function", "/"))
            if options.starts
        },
        "peer_versions": json.loads(versions.stdout),
    }  # fmt: skip
    told = facts("faceaug", "uvicorn", "uvloop", "httptools", "torch", "pillow", "functions-framework")
    told["machine"] |= {"note": options.note} if options.note else {}
    print(json.dumps(result | told))


if __name__ == "__main__":
    main()
