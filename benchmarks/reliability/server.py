"""What a health check sees while the server is kept busy, and what the server keeps. Prints one JSON line.

    python -m benchmarks.reliability.server --n 100000

Run it from the root of the repository; it uses this machine's loopback addresses alone. The server runs in a process of
its own, as the command starts it, without ``--rate``, on one processor core that it shares with a program that computes
without end (on Linux; elsewhere on all of them). Somebody at 127.0.0.2 asks for ``/healthz`` on a new connection
forty times a second, throughout. Meanwhile come rounds of twelve walks of 64 steps at once, 60 walks in all, with as
many headers without end behind others; then requests by the thousand behind a walk that is not finished; then N
requests that hypothesis makes up (see ``abuse``). A part begins no more of its work after ``SECONDS``.

A failure is: a health check that is answered with anything but 200, a 99th percentile of 0.2 s or more, a header that
is not cut before 4 MB have been sent, or memory that grew by 100 MB or more since warming up (a little of all, so that
buffers have their sizes).

On a machine where others compute too, waiting for the processor is in every figure: ``quiet`` is what a health check
takes when the server has nothing else to do, and ``load`` the load average of the last minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.reliability.abuse import HONEST, Server, Tally, made_up, percentile, serving
from benchmarks.reliability.zoo import run_campaign

WALK = b"GET /api/faces?format=zip&to=5&steps=64&model=faces-64 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ENDLESS = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
AT_ONCE, WALKS = 12, 60
CUT = 4 * 2**20  # bytes: what the system's buffers take, too
P99_S, GROWTH_MB = 0.2, 100.0
SECONDS = 1200.0  # a part stops beginning more of its work after this long
_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with this process, even if killed


class Watch(threading.Thread):
    """Somebody who asks whether the server lives."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server, self._end = server, threading.Event()
        self.waits: list[float] = []
        self.wrong: list[str] = []
        self.memory = 0.0

    def run(self) -> None:
        """Ask, on a new connection each time, and look at the memory."""
        while not self._end.wait(0.025):
            began, answer = time.perf_counter(), b""
            try:
                with self._server.open(HONEST, 30) as connection:
                    connection.sendall(HEALTH)
                    while part := connection.recv(4096):
                        answer += part
            except OSError as error:
                answer = repr(error).encode()
            self.waits.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 200"):
                self.wrong.append(answer[:80].decode("latin-1"))
            self.memory = max(self.memory, self._server.memory()["now"])

    def end(self) -> None:
        """Stop asking."""
        self._end.set()
        self.join(60)


@contextmanager
def serving_on_a_busy_core(work: Path) -> Iterator[Server]:
    """A server on one core, together with a program that never rests; this process keeps off that core."""
    if not hasattr(os, "sched_setaffinity"):
        with serving(work) as server:
            yield server
        return
    cores = os.sched_getaffinity(0)
    core = {max(cores)}
    os.sched_setaffinity(0, core)  # what is started now stays there
    # In a session of its own, or systems that share the processor out by session would count it with this process.
    busy = subprocess.Popen([sys.executable, "-c", _BUSY], start_new_session=True)
    try:
        with serving(work) as server:
            os.sched_setaffinity(0, cores - core or cores)
            yield server
    finally:
        os.sched_setaffinity(0, cores)
        busy.kill()
        busy.wait()


def endless(server: Server) -> int:
    """A header without end behind a walk; the bytes that were taken before the connection ended."""
    sent = 0
    with suppress(OSError), server.open(patience=30) as connection:
        connection.sendall(WALK + ENDLESS)
        while sent < 16 * CUT:
            connection.sendall(b"a" * 65536)
            sent += 65536
    return sent


def walk(server: Server) -> int:
    """A walk to its end; the bytes of its answer."""
    taken = 0
    with suppress(OSError), server.open(patience=120) as connection:
        connection.sendall(WALK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        while part := connection.recv(65536):
            taken += len(part)
    return taken


def walks(server: Server, count: int, until: float) -> dict[str, Any]:
    """Twelve at a time, with as many headers without end."""
    taken, uncut = 0, 0
    done = 0
    while done < count and time.monotonic() < until:
        with ThreadPoolExecutor(2 * AT_ONCE) as pool:
            ends = [pool.submit(endless, server) for _ in range(AT_ONCE)]
            ways = [pool.submit(walk, server) for _ in range(AT_ONCE)]
        done += AT_ONCE
        uncut += sum(end.result() > CUT for end in ends)
        taken += sum(way.result() > 100_000 for way in ways)
    return {"walks": done, "walks_answered": taken, "headers_not_cut": uncut}


def behind(server: Server, connections: int, until: float) -> dict[str, Any]:
    """Requests by the thousand behind a walk, by clients that go after a while and read nothing."""
    rest = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20_000
    opened = 0

    def push() -> None:
        with suppress(OSError), server.open() as connection:
            connection.sendall(WALK + rest)
            time.sleep(5)

    while opened < connections and time.monotonic() < until:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in range(AT_ONCE):
                pool.submit(push)
        opened += AT_ONCE
    return {"connections": opened}


def measure(n: int, seed: int, work: Path) -> dict[str, Any]:
    """The whole campaign; see the top of the file."""
    parts: dict[str, Any] = {}
    tally = Tally()
    with serving_on_a_busy_core(work) as server:

        def part(name: str, act: Callable[[float], dict[str, Any]]) -> None:
            began, before = time.monotonic(), len(watch.waits)
            found = act(began + SECONDS)
            waits = watch.waits[before:]
            parts[name] = {
                "seconds": round(time.monotonic() - began, 1), "health_checks": len(waits),
                "p50_s": percentile(waits, 0.5), "p99_s": percentile(waits, 0.99), "longest_s": percentile(waits, 1.0),
                "memory_mib": server.memory()["now"], "load": round(os.getloadavg()[0], 1),
            } | found  # fmt: skip
            print(name, parts[name], file=sys.stderr, flush=True)

        made_up(server, tally, min(n, 1000), seed + 1)
        walks(server, 2 * AT_ONCE, time.monotonic() + SECONDS)
        behind(server, AT_ONCE, time.monotonic() + SECONDS)
        warm = server.memory()["now"]
        watch = Watch(server)
        watch.start()
        part("quiet", lambda _: time.sleep(15) or {})
        part("walks with headers without end", lambda until: walks(server, WALKS, until))
        part("thousands behind a walk", lambda until: behind(server, 4 * AT_ONCE, until))
        part("odd requests", lambda until: _odd(server, tally, n, seed, until))
        time.sleep(6)  # longer than the server's patience
        watch.end()
        after = server.memory()["now"]
    failures = [*tally.failures, *(f"health check: {wrong}" for wrong in watch.wrong)]
    failures += [
        f"{name}: p99 {found['p99_s']} s" for name, found in parts.items() if not (found["p99_s"] or P99_S) < P99_S
    ]
    if parts["walks with headers without end"]["headers_not_cut"]:
        failures.append("a header without end was not cut")
    if watch.memory - warm >= GROWTH_MB:
        failures.append(f"memory grew from {warm} to {watch.memory} MiB")
    return {
        "figure": "health checks and memory while the server is kept busy", "n": parts["odd requests"]["sent"],
        "failures": len(failures), "failed": failures[:50], "parts": parts, "p99_s": percentile(watch.waits, 0.99),
        "memory_mib": {"warm": warm, "most": watch.memory, "after": after, "growth": round(watch.memory - warm, 1)},
    }  # fmt: skip


def _odd(server: Server, tally: Tally, n: int, seed: int, until: float) -> dict[str, Any]:
    sent, share = 0, max(2000, n // 10)  # hypothesis begins with the simplest requests, and a few are all alike
    while sent < n and time.monotonic() < until:
        sent += made_up(server, tally, share, seed + sent)
    return {"sent": sent, "answers": dict(sorted(tally.statuses.items()))}


def main() -> None:
    run_campaign("server", __doc__, measure, n=100_000, of="requests made up by hypothesis")


if __name__ == "__main__":
    main()
