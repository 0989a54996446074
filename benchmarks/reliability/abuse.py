"""Abuse a running `faceaug serve`, and see what becomes of it and of others. Prints one JSON line.

    python -m benchmarks.reliability.abuse --n 100000

Run it from the root of the repository. The server runs in a process of its own, as the command starts it, without
``--rate``, so that every request goes as deep as it can. From 127.0.0.1 come N requests that hypothesis makes up, over
raw sockets: odd methods, targets, headers, lengths, bodies, pieces of requests. Then slow sockets, bodies of 10 MB, 500
clicks at once, many requests on one connection, connections by the thousand. All the time an honest client on 127.0.0.2
asks for faces. A failure is: an answer 5xx other than 503, an answer with a trace or without the security headers, a
trace in the server's log, an honest request that is not answered with faces, honest waits whose 99th percentile reaches
two seconds, or memory that has grown.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.reliability.zoo import run_campaign
from hypothesis import HealthCheck, Phase, given, seed as seeded, settings, strategies as st

ATTACKER, HONEST = "127.0.0.1", "127.0.0.2"
SIDE = 10  # beginnings and ends of requests in one example
AT_ONCE = 20  # requests sent at the same time by each process
PROCESSES = 3  # that make up requests
GROWTH_MIB = (
    48.0  # more resident memory than the most that warming up took, and as much again in a second round: a leak
)
TRACE = re.compile(rb'Traceback|File \\?"|site-packages|\.py\b|src/faceaug')
NAMES = ["n", "seed", "face", "to", "to_face", "steps", "attributes", "model", "format", "x"]
PATHS = [
    "/",
    "/api/faces",
    "/api/faces",
    "/api/faces",
    "/api/meta",
    "/healthz",
    "/readyz",
    "/static/app.js",
    "/static/app.css",
]
METHODS = [b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"\x00"]
STRANGE = [
    "/static/../app.py", "/static/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/api/faces/../meta", "/api/faces%00", "*",
    "http://127.0.0.1/api/faces", "http://evil.example/", "evil.example:443", "", "/\\..\\..", "/api/faces?n=1?n=2#x",
]  # fmt: skip


def _targets() -> st.SearchStrategy[bytes]:
    values = st.one_of(
        st.integers(1, 4).map(str), st.integers(-(2**70), 2**70).map(str), st.sampled_from(["png", "webp", "zip"]),
        st.sampled_from(["dcgan-32", "../../etc", "Smiling:1", "Male:-1,Young:1", "1e9", "1000000000", "0x10", "٣"]),
        st.text(max_size=20),
    )  # fmt: skip
    queries = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=4).map(urlencode)
    known = st.tuples(st.sampled_from(PATHS), queries).map(lambda t: (t[0] + "?" + t[1]).encode())
    strange = st.sampled_from(STRANGE).map(str.encode)
    quoted = st.text(max_size=30).map(lambda text: ("/" + quote(text)).encode())
    long = st.integers(1000, 5000).map(lambda n: b"/api/faces?seed=" + b"1" * n)
    return st.one_of(known, known, known, known, strange, quoted, st.binary(max_size=30), long)


def _headers() -> st.SearchStrategy[list[bytes]]:
    line = st.one_of(
        st.sampled_from([
            b"If-None-Match: *", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
            b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"NoColon",
            b"Upgrade: websocket\r\nConnection: Upgrade", b"Connection: close", b"Connection: keep-alive",
            b" folded: line", b"Host: evil.example", b"Origin: http://evil.example", b"X-Forwarded-For: 1.2.3.4",
            b"Range: bytes=0-", b"Expect: 100-continue",
        ]),
        st.binary(max_size=40).map(lambda data: b"X: " + data),
        st.binary(max_size=40),
        st.integers(1000, 20_000).map(lambda n: b"X-Long: " + b"x" * n),
    )  # fmt: skip
    return st.lists(line, max_size=3)


@st.composite
def packs(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Requests: every beginning with every end. And whether an answer is waited for: pieces are left standing."""
    methods = st.sampled_from([b"GET"] * 8 + METHODS)
    versions = st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b""])
    hosts = st.sampled_from([[b"Host: 127.0.0.1"]] * 6 + [[], [b"Host: evil.example"]])
    lines = draw(st.lists(st.tuples(methods, _targets(), versions), min_size=SIDE, max_size=SIDE))
    ends = st.tuples(hosts, _headers(), st.binary(max_size=20), st.integers(0, 9), st.floats(0, 1))
    made = []
    for host, headers, body, whole, share in draw(st.lists(ends, min_size=SIDE, max_size=SIDE)):
        for line in lines:
            request = b"\r\n".join([b" ".join(line), *host, *headers]) + b"\r\n\r\n" + body
            made.append((request, True) if whole else (request[: int(share * len(request))], False))
    return made


@dataclass(slots=True)
class Tally:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, sent: bytes, answer: bytes) -> None:
        """Count an answer, and look for what must not be in it."""
        wrong = ""
        status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "none"
        head, _, body = answer.partition(b"\r\n\r\n")
        if status.startswith("5") and status != "503":
            wrong = f"answer {status}"
        elif status != "none" and b"content-security-policy: default-src 'none'" not in head.lower():
            wrong = f"answer {status} without the security headers"
        elif status[0] in "45" and TRACE.search(body):
            wrong = f"answer {status} with a trace"
        elif answer and status == "none":
            wrong = f"answer {answer[:20]!r}"
        with self.lock:
            self.statuses[status] += 1
            if wrong:
                self.failures.append(f"{wrong} to {sent[:200]!r}")


@dataclass(frozen=True)
class Door:
    """Where the server listens."""

    port: int

    def open(self, source: str = ATTACKER, patience: float = 2.0) -> socket.socket:
        """A connection from one of this machine's loopback addresses."""
        return socket.create_connection((ATTACKER, self.port), timeout=patience, source_address=(source, 0))


@dataclass(frozen=True)
class Server(Door):
    """The server's process and log."""

    process: subprocess.Popen[bytes]
    log: Path

    def memory(self) -> dict[str, float]:
        """Resident memory now and at most, MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = {name: int(kib) / 1024 for name, kib in re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", text)}
        return {"now": round(found["VmRSS"], 1), "peak": round(found["VmHWM"], 1)}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    log = folder / "log.txt"
    with log.open("wb") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "faceaug", "serve", "--port", "0", "--json", "--rate", "0"],
            stdout=subprocess.PIPE, stderr=handle,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # systems that share the processor out by session then give all alike
        )  # fmt: skip
    assert process.stdout
    try:
        text = b""
        while not text.rstrip().endswith(b"}"):
            line = process.stdout.readline()
            if not line:
                raise SystemExit(log.read_text())
            text += line
        yield Server(int(json.loads(text)["url"].rstrip("/").rpartition(":")[2]), process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


def exchange(server: Door, sent: bytes, tally: Tally, *, wait: bool = True) -> None:
    """Send something on a connection of its own; take the answer, which the server or its length ends."""
    answer = b""
    with suppress(OSError), server.open() as connection:
        _push(connection, sent)
        if not wait:
            return
        while True:
            part = connection.recv(65536)
            answer += part
            head, _, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if not part or (body is not None and length and (len(body) >= int(length[1]) or sent.startswith(b"HEAD"))):
                break
    tally.note(sent, answer)


class Honest(threading.Thread):
    """Somebody who only wants faces, ten times a second."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server, self._stop_asking = server, threading.Event()
        self.waits: list[float] = []
        self.refused: list[str] = []

    def run(self) -> None:
        """Ask, on a new connection each time."""
        while not self._stop_asking.wait(0.1):
            began, answer = time.perf_counter(), b""
            try:
                with self._server.open(HONEST, 30) as connection:
                    connection.sendall(b"GET /api/faces?n=4 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    while part := connection.recv(65536):
                        answer += part
            except OSError as error:
                answer = str(error).encode()
            if answer.startswith(b"HTTP/1.1 200") and b"\x89PNG" in answer:
                self.waits.append(time.perf_counter() - began)
            else:
                self.refused.append(answer[:100].decode("latin-1"))

    def end(self) -> None:
        """Stop asking."""
        self._stop_asking.set()
        self.join(60)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        found = percentile(self.waits, share)
        return math.inf if found is None else found


def percentile(waits: list[float], share: float) -> float | None:
    """Of waiting times; None if nobody waited."""
    return round(sorted(waits)[int(share * (len(waits) - 1))], 3) if waits else None


def made_up(server: Door, tally: Tally, n: int, seed: int, *, processes: int = PROCESSES) -> int:
    """Requests from hypothesis, some at a time; how many. Making them up is most of the work."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        shares = [pool.submit(_made_up, server.port, -(-n // processes), seed + 1000 * k) for k in range(processes)]
        found = [share.result() for share in shares]
    for _, statuses, failures in found:
        tally.statuses += statuses
        tally.failures += failures
    return sum(sent for sent, _, _ in found)


def _made_up(port: int, n: int, seed: int) -> tuple[int, Counter[str], list[str]]:
    server, tally = Door(port), Tally()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = 0

        @seeded(seed)
        @settings(
            max_examples=-(-n // SIDE**2), database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(packs())
        def send(pack: list[tuple[bytes, bool]]) -> None:
            nonlocal sent
            sent += len(pack)
            list(pool.map(lambda request: exchange(server, request[0], tally, wait=request[1]), pack))

        while sent < n:  # hypothesis stops early where it believes to have seen everything
            send()
    return sent, tally.statuses, tally.failures


def slow_sockets(server: Server, count: int, seconds: float) -> dict[str, int]:
    """Silent ones, ones that send a byte now and then, ones that do not read what they asked for."""
    head = b"GET /api/faces?n=64 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    openings = [b"", head + b"X: ", b"G", (head + b"\r\n") * 50]
    held: list[socket.socket] = []
    closed = opened = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        while len(held) < count:
            with suppress(OSError):
                connection = server.open()
                connection.settimeout(0)
                held.append(connection)
                connection.send(openings[opened % 4])
            opened += 1
        for connection in list(held):
            try:
                connection.send(b"x")
            except BlockingIOError:
                continue
            except OSError:
                closed += 1
                connection.close()
                held.remove(connection)
        time.sleep(1)
    for connection in held:
        connection.close()
    return {"held": count, "opened": opened, "closed_by_the_server": closed}


def big_bodies(server: Server, tally: Tally, times: int) -> None:
    """Ten megabytes that nobody asked for."""
    body = b"x" * 10_000_000
    for k in range(times):
        method = (b"POST", b"GET", b"PUT")[k % 3]
        length = b"Transfer-Encoding: chunked\r\n\r\n989680\r\n" if k % 2 else b"Content-Length: 10000000\r\n\r\n"
        exchange(server, method + b" /api/faces HTTP/1.1\r\nHost: 127.0.0.1\r\n" + length + body, tally)


async def _click(port: int, tally: Tally) -> None:
    sent, answer = b"GET /api/faces?n=24 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", b""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(ATTACKER, port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
    tally.note(sent, answer)


def clicks(server: Server, tally: Tally, count: int) -> None:
    """So many who press the button at the same moment."""

    async def all_at_once() -> None:
        await asyncio.gather(*(_click(server.port, tally) for _ in range(count)))

    asyncio.run(all_at_once())


def one_connection(server: Server, tally: Tally, count: int) -> None:
    """Many requests before the first answer is read, for a billion faces each."""
    sent = b"GET /api/faces?n=1000000000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    answer = b""
    with suppress(OSError), server.open() as connection:
        threading.Thread(target=lambda: _push(connection, sent * count), daemon=True).start()
        while answer.count(b"HTTP/1.1 ") < count and (part := connection.recv(65536)):
            answer += part
    for one in answer.split(b"HTTP/1.1 ")[1:]:
        tally.note(sent, b"HTTP/1.1 " + one)


def _push(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        connection.sendall(data)


def churn(server: Server, count: int) -> None:
    """Connections that are closed at once."""
    for _ in range(count):
        with suppress(OSError):
            server.open().close()


def warm_up(server: Server, tally: Tally, n: int, seed: int, processes: int, slow: int, click: int) -> None:
    """A little of every part: buffers and the allocator have their sizes then, and what grows later is lost."""
    made_up(server, tally, n, seed, processes=processes)
    slow_sockets(server, slow, 5)
    for _ in range(4):
        clicks(server, tally, click)
    churn(server, 2000)


def measure(
    n: int, seed: int, work: Path, *,
    slow: int = 200, slow_seconds: float = 20, click: int = 500, processes: int = PROCESSES, honest_s: float = 2.0,
) -> dict[str, Any]:  # fmt: skip
    """The whole campaign; see the top of the file."""
    parts: dict[str, Any] = {}
    tallies: dict[str, Tally] = {}
    with serving(work) as server:
        honest = Honest(server)

        def part(name: str, act: Callable[[Tally], object]) -> None:
            began, before_it = time.monotonic(), len(honest.waits)
            tally = tallies[name] = Tally()
            more = act(tally)
            parts[name] = {
                "seconds": round(time.monotonic() - began, 1),
                "answers": dict(sorted(tally.statuses.items())), "memory_mib": server.memory()["now"],
                "honest_p99_s": percentile(honest.waits[before_it:], 0.99),
            }  # fmt: skip
            parts[name] |= more if isinstance(more, dict) else {}

        part("warming up", lambda tally: warm_up(server, tally, min(n, 2000), seed + 1, processes, slow, click))
        before = server.memory()
        honest.start()
        part("made up by hypothesis", lambda tally: {"sent": made_up(server, tally, n, seed, processes=processes)})
        part("slow sockets", lambda _: slow_sockets(server, slow, slow_seconds))
        part("bodies of 10 MB", lambda tally: big_bodies(server, tally, 12))
        part("clicks at once", lambda tally: [clicks(server, tally, click) for _ in range(4)])
        part("a billion faces, on one connection", lambda tally: one_connection(server, tally, 2000))
        part("connections closed at once", lambda _: churn(server, 2000))
        time.sleep(6)  # longer than the server's patience: nothing of the above is left
        honest.end()
        after = server.memory()
        again = after
        if after["now"] - before["peak"] > GROWTH_MIB:
            # The allocator keeps what threads once held, in steps of tens of MiB; a leak grows in every round.
            part("all of it again", lambda tally: warm_up(server, tally, n, seed + 2, processes, slow, click))
            time.sleep(6)
            again = server.memory()
        log = server.log.read_text("utf-8", "replace")
    failures = [failure for tally in tallies.values() for failure in tally.failures]
    failures += [f"honest request: {refused}" for refused in honest.refused]
    failures += [line for line in log.splitlines() if "Traceback" in line or "Error" in line]
    if honest.percentile(0.99) >= honest_s:
        failures.append("honest requests wait too long")
    if again["now"] - after["now"] > GROWTH_MIB / 2:
        failures.append(f"memory grew from {before['peak']} to {after['now']} and {again['now']} MiB")
    return {
        "figure": "wrong answers, traces, refused honest requests and leaks under abuse",
        "n": parts["made up by hypothesis"]["sent"], "failures": len(failures), "failed": failures[:50],
        "parts": parts, "memory_mib": {"before": before, "after": after, "again": again},
        "honest": {
            "answered": len(honest.waits), "refused": len(honest.refused), "p50_s": honest.percentile(0.5),
            "p99_s": honest.percentile(0.99), "longest_s": honest.percentile(1.0),
        },
    }  # fmt: skip


def main() -> None:
    run_campaign("abuse", __doc__, measure, n=100_000, of="requests made up by hypothesis")


if __name__ == "__main__":
    main()
